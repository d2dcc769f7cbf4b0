//! Buffers that are full.

use jool_simulated::node::{INSTANCE, LINK, Network, Side, pair};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::Trial;

use crate::stage::*;
use crate::statistics::ask_for_statistics;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        a_network_without_room_makes_the_kernel_wait_and_loses_nothing
        a_full_socket_buffer_is_reported_and_survived
        datagrams_lost_for_a_full_buffer_are_counted
        the_log_tells_how_large_the_buffers_are
    })
}

/// The link takes 4 Mbit/s, and the socket's buffer is far smaller than the table.
fn a_network_without_room_makes_the_kernel_wait_and_loses_nothing() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let slow = "qdisc add dev DEV root tbf rate 4mbit burst 16kb limit 4mb".replace("DEV", LINK);
    j.namespace.tc(&slow.split(' ').collect::<Vec<_>>())?;
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    translate(&j, (0..8_000).map(sample::udp));
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
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
fn number_after(said: &str, text: &str) -> Option<u64> {
    let rest = said.rsplit_once(text)?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

fn datagrams_lost_for_a_full_buffer_are_counted() -> Outcome {
    const COUNT: u32 = 300;
    let network = Network::Ipv6;
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let mut small = configuration(network, Side::K);
    small.netsocket = network.netsocket(Side::K, r#", "receive buffer": 131072"#);
    j.start_and_wait(&program(), &configuration(network, Side::J))?;
    k.start_and_wait(&program(), &small)?;
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_capacity = 100_000);
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
    small.netsocket = network.netsocket(Side::J, r#", "receive buffer": 150000"#);
    small.modsocket = Some(r#"{ "instance": "default", "netlink buffer": 100000 }"#.to_owned());
    j.start_and_wait(&program(), &small)?;
    let j = daemon(&mut j)?;
    j.wait_for("the netlink buffer has 100000 bytes")?;
    j.wait_for("the receive buffer has 150000 bytes")?;
    Ok(())
}
