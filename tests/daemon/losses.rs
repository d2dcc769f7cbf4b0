//! Buffers that are full.

use jool_simulated::daemon::Daemon;
use jool_simulated::node::{INSTANCE, LINK, Network, Node, Side, pair};
use jool_simulated::{requests, sample, wait};
use joold::wire::jool::Version;
use joold::wire::session::Session;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;
use crate::statistics::ask_for_statistics;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        a_network_without_room_makes_the_kernel_wait_and_loses_nothing
        a_full_socket_buffer_is_reported_and_survived
        datagrams_lost_for_a_full_buffer_are_counted
        the_log_tells_how_large_the_buffers_are
        after_an_overrun_nothing_more_is_lost_and_all_is_counted
        what_is_lost_is_counted_once_however_often_the_counters_are_told
        a_stop_loses_nothing_that_the_kernel_gave
        a_stop_waits_a_moment_for_room_in_the_network
        what_a_stop_leaves_for_want_of_room_is_counted
        refusals_do_not_fill_the_buffer_of_the_batches
    })
}

/// The link takes 4 Mbit/s, and the socket's buffer is far smaller than the table.
fn a_network_without_room_makes_the_kernel_wait_and_loses_nothing() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    limit(&j, "4mbit")?;
    fill(&j, 8_000);
    j.kernel.advertise(INSTANCE)?;
    wait_for_sessions(&k, 8_000)?;
    let daemon = daemon(&mut j)?;
    assert_eq!(daemon.stop()?.code(), Some(0));
    daemon.wait_for("waited for room in the network: ")?;
    assert!(!daemon.said().contains("cannot send"), "{}", daemon.said());
    Ok(())
}

fn a_full_socket_buffer_is_reported_and_survived() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    daemon(&mut j)?.pause()?;
    j.kernel.with(INSTANCE, |jool| {
        jool.globals.ss_flush_deadline = 0;
        jool.globals.ss_capacity = 100_000;
    });
    let advertised = (0..20_000).map(sample::udp);
    translate(&j, advertised);
    daemon(&mut j)?.resume()?;
    daemon(&mut j)?.wait_for("buffer full")?;
    j.kernel.with(INSTANCE, |jool| {
        jool.globals.ss_flush_deadline = 2000;
        jool.globals.ss_capacity = 512;
    });
    j.kernel.tick();
    wait::for_value("an empty queue", true, || {
        flush(&j);
        j.kernel.with(INSTANCE, |jool| jool.queued()) == Some(0)
    })?;
    wait::for_value("all sessions at K after an advertisement", 20_000, || {
        // Refused while the last one goes on.
        let _ = j.kernel.advertise(INSTANCE);
        k.kernel.count(INSTANCE)
    })?;
    Ok(())
}

/// The number behind the last `text` of what a daemon says.
pub fn number_after(said: &str, text: &str) -> Option<u64> {
    let rest = said.rsplit_once(text)?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

fn datagrams_lost_for_a_full_buffer_are_counted() -> Outcome {
    const COUNT: u32 = 300;
    let network = Network::Ipv6;
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let mut small = configuration(network, Side::K);
    small.netsocket = network.plain_netsocket(Side::K, r#", "receive buffer": 131072"#);
    j.start_and_wait(&program(), &configuration(network, Side::J))?;
    k.start_and_wait(&program(), &small)?;
    widen_queue(&j);
    let k = daemon(&mut k)?;
    k.pause()?;
    translate(&j, (0..36 * COUNT).map(sample::udp));
    wait::for_value("datagrams sent", u64::from(COUNT), || {
        ask_for_statistics(&j, "[::1]:0", "[::1]").map_or(0, |told| told["NET_SENT_PKTS"])
    })?;
    k.resume()?;
    k.wait_for("datagrams from the network lost: receive buffer full: ")?;
    assert_eq!(k.stop()?.code(), Some(0));
    let said = k.wait_for("stopping on ")?;
    let received = number_after(&said, "from the network: ");
    let lost = number_after(&said, "receive buffer full: ");
    assert_eq!(
        received.zip(lost).map(|(received, lost)| received + lost),
        Some(COUNT.into()),
        "{said}"
    );
    Ok(())
}

fn the_log_tells_how_large_the_buffers_are() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let network = Network::Ipv6;
    let mut small = configuration(network, Side::J);
    small.netsocket = network.plain_netsocket(Side::J, r#", "receive buffer": 150000"#);
    small.modsocket = Some(r#"{ "instance": "default", "netlink buffer": 100000 }"#.to_owned());
    j.start_and_wait(&program(), &small)?;
    let j = daemon(&mut j)?;
    j.wait_for("the netlink buffer has 100000 bytes")?;
    j.wait_for("the receive buffer has 150000 bytes")?;
    Ok(())
}

/// From here on J's link takes no more than `rate`.
fn limit(j: &Node, rate: &str) -> Outcome {
    let shape = format!("qdisc add dev {LINK} root tbf rate {rate} burst 16kb limit 4mb");
    Ok(j.namespace.tc(&shape.split(' ').collect::<Vec<_>>())?)
}

/// Puts so many sessions into J's table without telling its daemon.
fn fill(j: &Node, count: u32) {
    let enable = |on| {
        j.kernel.with(INSTANCE, |jool| jool.globals.ss_enabled = on);
    };
    enable(false);
    translate(j, (0..count).map(sample::udp));
    enable(true);
}

/// What a stopped daemon has received from its kernel, and what it knows to be lost, in messages.
fn accounts(daemon: &mut Daemon) -> Result<(u64, u64), Failed> {
    assert_eq!(daemon.stop()?.code(), Some(0));
    let said = daemon.wait_for("stopping on ")?;
    let received = number_after(&said, "batches from the kernel: ").unwrap_or_default();
    let lost = number_after(&said, "netlink receive buffer full: ").unwrap_or_default();
    Ok((received, lost))
}

fn after_an_overrun_nothing_more_is_lost_and_all_is_counted() -> Outcome {
    const LATE: usize = 500 * 36;
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    daemon(&mut j)?.pause()?;
    // One batch for each session, until the buffer is full.
    j.kernel.with(INSTANCE, |jool| {
        jool.globals.ss_flush_deadline = 0;
        jool.globals.ss_capacity = 100_000;
    });
    translate(&j, (0..20_000).map(sample::udp));
    // From here on the kernel waits for acknowledgements.
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_flush_deadline = 1_000_000);
    let late = 20_000..20_000 + LATE as u32;
    translate(&j, late.clone().map(sample::udp));
    daemon(&mut j)?.resume()?;
    let last: std::collections::HashSet<_> = late
        .map(|number| {
            (
                sample::udp(number).source4,
                sample::udp(number).destination4,
            )
        })
        .collect();
    wait::for_value("sessions at K that were not lost", LATE, || {
        let sessions = k.kernel.sessions(INSTANCE);
        let late = |one: &&Session| last.contains(&(one.source4, one.destination4));
        sessions.iter().filter(late).count()
    })?;
    let (received, lost) = accounts(daemon(&mut j)?)?;
    assert!(lost > 10_000, "{lost} lost");
    let sent = j.kernel.statistics(INSTANCE).packets_sent;
    assert_eq!(received + lost, sent);
    Ok(())
}

fn a_stop_loses_nothing_that_the_kernel_gave() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    fill(&j, 36 * 1500);
    j.kernel.advertise(INSTANCE)?;
    wait::for_some("sessions at K", || {
        (k.kernel.count(INSTANCE) > 3000).then_some(())
    })?;
    let (received, lost) = accounts(daemon(&mut j)?)?;
    assert_eq!(
        (received, lost),
        (j.kernel.statistics(INSTANCE).packets_sent, 0)
    );
    Ok(())
}

/// While the network has no room, nothing is received from the kernel, whose socket has not told yet that
/// it is full.
fn what_is_lost_is_counted_once_however_often_the_counters_are_told() -> Outcome {
    const LOST: &str = "netlink receive buffer full: ";
    let (mut j, _k) = running(Network::Ipv6, Version::SUPPORTED)?;
    fill_network(&mut j, "8kbit", 36 * 300)?;
    // A batch for each session, acknowledged or not, until the buffer is full.
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_flush_deadline = 0);
    translate(&j, (0..2_000).map(sample::udp));
    let told = daemon(&mut j)?;
    told.ask_for_counters()?;
    let lost = number_after(&told.wait_for(LOST)?, LOST);
    assert!(lost > Some(0), "{lost:?}");
    j.namespace.tc(&["qdisc", "del", "dev", LINK, "root"])?;
    wait::for_value("batches in the kernel", Some(0), || {
        flush(&j);
        j.kernel.with(INSTANCE, |jool| jool.queued())
    })?;
    let sent = j.kernel.statistics(INSTANCE).packets_sent;
    let daemon = daemon(&mut j)?;
    wait::for_some("the last batch to be received", || {
        daemon.ask_for_counters().ok()?;
        let said = daemon.said();
        let received = number_after(&said, "batches from the kernel: ")?;
        (received + number_after(&said, LOST)? >= sent).then_some(())
    })?;
    let (received, lost) = accounts(daemon)?;
    assert_eq!(received + lost, sent);
    Ok(())
}

/// Has J advertise `count` sessions, and waits until its network, which takes no more than `rate`, has no
/// room for them.
pub fn fill_network(j: &mut Node, rate: &str, count: u32) -> Outcome {
    limit(j, rate)?;
    fill(j, count);
    j.kernel.advertise(INSTANCE)?;
    let daemon = daemon(j)?;
    Ok(wait::for_some("a network without room", || {
        daemon.ask_for_counters().ok()?;
        let said = daemon.said();
        said.contains("waited for room in the network: ")
            .then_some(())
    })?)
}

/// J's daemon is stopped while its network has no room; the batches that its kernel gave it, those
/// that it sent, and those that it says it could not send.
fn stopped_without_room(rate: &str) -> Result<[u64; 3], Failed> {
    let (mut j, _k) = running(Network::Ipv6, Version::SUPPORTED)?;
    fill_network(&mut j, rate, 36 * 3000)?;
    let daemon = daemon(&mut j)?;
    let (received, _) = accounts(daemon)?;
    let said = daemon.said();
    let number = |text| number_after(&said, text).unwrap_or_default();
    assert_eq!(received, j.kernel.statistics(INSTANCE).packets_sent);
    Ok([
        received,
        number("datagrams to the network: "),
        number("; cannot send a batch to the network: "),
    ])
}

fn a_stop_waits_a_moment_for_room_in_the_network() -> Outcome {
    let [received, sent, not_sent] = stopped_without_room("50mbit")?;
    assert_eq!((sent, not_sent), (received, 0));
    Ok(())
}

fn what_a_stop_leaves_for_want_of_room_is_counted() -> Outcome {
    let [received, sent, not_sent] = stopped_without_room("8kbit")?;
    assert!(not_sent > 0, "all of {received} were sent");
    assert_eq!(sent + not_sent, received);
    Ok(())
}

fn refusals_do_not_fill_the_buffer_of_the_batches() -> Outcome {
    let (mut j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    daemon(&mut j)?.stop()?;
    k.kernel.remove_instance(INSTANCE);
    let sessions: Vec<_> = (0..36).map(sample::udp).collect();
    let datagram = requests::datagram(&sessions, k.kernel.module().format());
    daemon(&mut k)?.pause()?;
    for _ in 0..1500 {
        j.multicast(Network::Ipv6, PORT, &datagram)?;
    }
    daemon(&mut k)?.resume()?;
    daemon(&mut k)?.wait_for("the instance was removed")?;
    wait::a_moment();
    let (_, lost) = accounts(daemon(&mut k)?)?;
    assert_eq!(lost, 0);
    Ok(())
}
