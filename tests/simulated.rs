//! The real daemon on simulated Jools: pairs of routers in namespaces of their own.
//!
//! Needs no kernel module and, where user namespaces are allowed, no root. To run another daemon
//! through the same tests, such as upstream's, name it in `JOOLD_UNDER_TEST`.

// The lints let tests unwrap, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::env;
use std::process::ExitCode;

use jool_simulated::daemon::{Configuration, Daemon, Program};
use jool_simulated::node::{INSTANCE, LINK, Network, Node, Side, pair};
use jool_simulated::server::Forger;
use jool_simulated::tap::Tap;
use jool_simulated::{message, requests, sample, sandbox, wait};
use joold::family::Family;
use joold::modsocket::ModSocket;
use joold::wire::jool::{Command, Version};
use joold::wire::request::{Address, Plain};
use joold::wire::session::Session;
use libtest_mimic::{Arguments, Failed, Trial};

/// The multicast port of the examples.
const PORT: u16 = 6464;

/// The stats server's port of upstream's manual.
const STATISTICS: &str = "45678";

/// A module whose batches are nested.
const OLD: Version = Version::new(4, 1, 9);

type Outcome = Result<(), Failed>;

fn program() -> Program {
    match env::var_os("JOOLD_UNDER_TEST") {
        Some(path) => Program::new(path),
        None => Program::new(env!("CARGO_BIN_EXE_joold")).argument("--stderr"),
    }
}

fn configuration(network: Network, side: Side) -> Configuration {
    Configuration {
        netsocket: network.netsocket(side, ""),
        modsocket: None,
        statistics: Some(STATISTICS.to_owned()),
    }
}

/// Two routers whose daemons hear both sides.
fn running(network: Network, version: Version) -> Result<(Node, Node), Failed> {
    let (mut j, mut k) = pair(version)?;
    for node in [&mut j, &mut k] {
        node.start_and_wait(&program(), &configuration(network, node.side))?;
    }
    Ok((j, k))
}

fn daemon(node: &mut Node) -> Result<&mut Daemon, Failed> {
    node.daemon.as_mut().ok_or_else(|| "no daemon".into())
}

fn translate(node: &Node, sessions: impl IntoIterator<Item = Session>) {
    for session in sessions {
        node.kernel.translate(INSTANCE, &session);
    }
}

fn wait_for_sessions(node: &Node, count: usize) -> Outcome {
    let what = format!("the number of sessions at {:?}", node.side);
    Ok(wait::for_value(&what, count, || {
        node.kernel.count(INSTANCE)
    })?)
}

/// The sessions of a node, but for their lifetimes.
fn timeless(node: &Node) -> Vec<Session> {
    let mut sessions = node.kernel.sessions(INSTANCE);
    for session in &mut sessions {
        session.expiration = 0;
    }
    sessions
}

/// How many requests of one kind the daemon has made, by the instance that they name.
fn requests_by_instance(node: &Node, command: Command) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in node.kernel.requests() {
        if request.command == command as u8 {
            *counts.entry(request.instance).or_default() += 1;
        }
    }
    counts
}

/// Sends whatever waits in the queue of a node's kernel, although no packet is full.
fn flush(node: &Node) {
    let deadline = node
        .kernel
        .with(INSTANCE, |jool| {
            std::mem::replace(&mut jool.globals.ss_flush_deadline, 0)
        })
        .unwrap_or_default();
    node.kernel.tick();
    node.kernel
        .with(INSTANCE, |jool| jool.globals.ss_flush_deadline = deadline);
}

// Sessions.

fn sessions_travel(network: Network, version: Version) -> Outcome {
    let (j, k) = running(network, version)?;
    translate(&j, (0..40).map(sample::udp));
    flush(&j);
    wait_for_sessions(&k, 40)?;
    translate(&k, (40..80).map(sample::tcp));
    flush(&k);
    wait_for_sessions(&j, 80)?;
    assert_eq!(timeless(&j), timeless(&k));
    Ok(())
}

fn sessions_keep_what_is_left_of_their_lifetime() -> Outcome {
    // Slow machines take their time between the two looks, but not this long.
    const MOST: u32 = 20_000;
    let (j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let sample = |n| [sample::tcp(n), sample::udp(n), sample::icmp(n)];
    translate(&j, (0..36).flat_map(sample));
    wait_for_sessions(&k, 108)?;
    let lifetimes = |node: &Node| -> Vec<u32> {
        let mut sessions = node.kernel.sessions(INSTANCE);
        sessions.sort_by_key(|one| (one.protocol, one.source4));
        sessions.iter().map(|one| one.expiration).collect()
    };
    let (at_j, at_k) = (lifetimes(&j), lifetimes(&k));
    assert!(at_j.iter().max() > Some(&1_000_000), "TCP's is two hours");
    for (left, there) in at_j.iter().zip(&at_k) {
        assert!(
            left.abs_diff(*there) < MOST,
            "{left} ms at J, {there} ms at K"
        );
    }
    Ok(())
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

fn an_advertisement_arrives_whole(from_j: bool) -> Outcome {
    let (j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let (from, to) = if from_j { (&j, &k) } else { (&k, &j) };
    from.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    translate(from, (0..2_000).map(sample::udp));
    from.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
    from.kernel.advertise(INSTANCE)?;
    wait_for_sessions(to, 2_000)?;
    assert_eq!(timeless(&j), timeless(&k));
    Ok(())
}

fn a_daemon_that_starts_late_is_told_by_the_next_advertisement() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let network = Network::Ipv6;
    j.start_and_wait(&program(), &configuration(network, Side::J))?;
    translate(&j, (0..360).map(sample::udp));
    wait::for_value("sessions sent", 360, || {
        j.kernel.statistics(INSTANCE).sessions_sent
    })?;
    k.start_and_wait(&program(), &configuration(network, Side::K))?;
    j.kernel.advertise(INSTANCE)?;
    wait_for_sessions(&k, 360)
}

fn own_multicasts_do_not_come_back(network: Network) -> Outcome {
    let (j, k) = running(network, Version::SUPPORTED)?;
    translate(&j, (0..72).map(sample::udp));
    wait_for_sessions(&k, 72)?;
    wait::a_moment();
    assert!(requests_by_instance(&j, Command::JooldAdd).is_empty());
    Ok(())
}

// Instances.

fn instances_are_matched_without_case() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let network = Network::Ipv6;
    let mut shouting = configuration(network, Side::J);
    shouting.modsocket = Some(r#"{ "instance": "DeFault" }"#.to_owned());
    j.start_and_wait(&program(), &shouting)?;
    k.start_and_wait(&program(), &configuration(network, Side::K))?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    // The kernel itself does compare case: it only takes an acknowledgement in its own spelling.
    wait::for_value("acknowledgements", 1, || j.kernel.statistics(INSTANCE).acks)?;
    Ok(())
}

fn other_instances_are_left_alone() -> Outcome {
    let (j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    j.kernel.add_instance("other");
    for session in (0..36).map(sample::udp) {
        j.kernel.translate("other", &session);
    }
    translate(&j, (36..72).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    wait::a_moment();
    assert_eq!(k.kernel.count(INSTANCE), 36);
    let acks = requests_by_instance(&j, Command::JooldAck);
    assert_eq!(acks.keys().collect::<Vec<_>>(), [INSTANCE]);
    Ok(())
}

fn each_batch_that_comes_alone_is_acknowledged_once() -> Outcome {
    let (j, _k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let acks = || j.kernel.statistics(INSTANCE).acks;
    wait::a_moment();
    // A daemon may acknowledge at its start what its predecessor did not.
    let before = acks();
    for number in 0..4 {
        translate(&j, (number * 36..(number + 1) * 36).map(sample::udp));
        let expected = before + u64::from(number) + 1;
        wait::for_value("acknowledgements", expected, acks)?;
        wait::a_moment();
        assert_eq!(acks(), expected);
    }
    assert_eq!(j.kernel.statistics(INSTANCE).packets_sent, 4);
    Ok(())
}

fn a_burst_is_released_to_its_end() -> Outcome {
    let (j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    translate(&j, (0..36 * 100).map(sample::udp));
    wait_for_sessions(&k, 36 * 100)?;
    assert_eq!(j.kernel.statistics(INSTANCE).packets_sent, 100);
    // What the kernel has next, it still sends without waiting for its deadline.
    translate(&j, (4000..4036).map(sample::udp));
    wait_for_sessions(&k, 36 * 101)
}

// What the kernel refuses.

/// Batches that J's kernel multicasts one after the other.
fn send_batches(j: &Node, count: u32) -> Outcome {
    for number in 0..count {
        let sent = || j.kernel.statistics(INSTANCE).packets_sent;
        let before = sent();
        translate(j, (number * 36..(number + 1) * 36).map(sample::udp));
        wait::for_some("the batch to leave", || (sent() > before).then_some(()))?;
    }
    Ok(())
}

/// What `k` says of the kernel's refusals: the text, and not for each of them.
fn a_refusal_is_logged_at_a_bounded_rate(j: &Node, k: &mut Node, text: &str) -> Outcome {
    send_batches(j, 50)?;
    wait::for_value("requests at K", 50, || {
        let adds = requests_by_instance(k, Command::JooldAdd);
        adds.values().sum::<usize>()
    })?;
    let said = daemon(k)?.wait_for(text)?;
    let lines = said.lines().filter(|line| line.contains(text)).count();
    assert!(
        (1..=10).contains(&lines),
        "{lines} lines for 50 refusals: {said}"
    );
    assert!(daemon(k)?.is_running()?);
    Ok(())
}

fn a_missing_instance_is_reported_and_survived() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    k.kernel.remove_instance(INSTANCE);
    let text = "This namespace lacks an instance named 'default'.";
    a_refusal_is_logged_at_a_bounded_rate(&j, &mut k, text)?;
    assert!(daemon(&mut k)?.said().contains('3'), "the error's number");
    k.kernel.add_instance(INSTANCE);
    translate(&j, (5_000..5_036).map(sample::udp));
    wait_for_sessions(&k, 36)
}

fn disabled_synchronization_is_reported_and_survived() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    let text = "Session sync is disabled on this instance.";
    a_refusal_is_logged_at_a_bounded_rate(&j, &mut k, text)?;
    assert!(daemon(&mut k)?.said().contains("22"), "the error's number");
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
    translate(&j, (5_000..5_036).map(sample::udp));
    wait_for_sessions(&k, 36)
}

fn a_collision_is_reported_and_its_neighbours_are_added() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let mut other = sample::udp(0);
    other.source4.set_port(1234);
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    k.kernel.translate(INSTANCE, &other);
    k.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = true);
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    daemon(&mut k)?.wait_for("22")?;
    assert!(timeless(&k).contains(&other), "the older one stays");
    Ok(())
}

fn a_missing_permission_is_reported() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    k.kernel.module().administrator = false;
    translate(&j, (0..36).map(sample::udp));
    daemon(&mut k)?.wait_for("CAP_NET_ADMIN")?;
    assert!(daemon(&mut k)?.is_running()?);
    Ok(())
}

fn another_minor_version_is_an_error_that_names_both() -> Outcome {
    let (mut j, _k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let (family, group) = {
        let module = j.kernel.module();
        (module.family().unwrap(), module.group().unwrap())
    };
    let header = message::own_header(Version::new(4, 2, 0), &requests::name(INSTANCE));
    let before = j.kernel.requests().len();
    let sessions = requests::datagram(&[sample::udp(0)], j.kernel.module().format());
    j.kernel
        .multicast(&message::batch(family, &header, &sessions));
    let said = daemon(&mut j)?.wait_for("4.2.0")?;
    let line = said.lines().find(|line| line.contains("4.2.0")).unwrap();
    assert!(line.contains("4.1"), "group {group}: {line}");
    wait::a_moment();
    assert_eq!(j.kernel.requests().len(), before, "and no acknowledgement");
    Ok(())
}

fn a_module_of_another_minor_version_refuses_and_is_quoted() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    k.kernel
        .change(|module, now| module.replace(Version::new(4, 2, 0), now));
    k.kernel.add_instance(INSTANCE);
    let network = Network::Ipv6;
    j.start_and_wait(&program(), &configuration(network, Side::J))?;
    k.start_and_wait(&program(), &configuration(network, Side::K))?;
    translate(&j, (0..36).map(sample::udp));
    let said = daemon(&mut k)?.wait_for("4.2.0")?;
    assert!(said.contains("4.1.13"), "{said}");
    Ok(())
}

fn a_netlink_message_from_anybody_but_the_kernel_is_ignored() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let (family, group, format) = {
        let module = j.kernel.module();
        let (family, group) = (module.family(), module.group());
        (family.unwrap(), group.unwrap(), module.format())
    };
    let header = message::own_header(Version::SUPPORTED, &requests::name(INSTANCE));
    let sessions = requests::datagram(&[sample::udp(0)], format);
    let forged = message::batch(family, &header, &sessions);
    let forger = Forger::open(&j.namespace)?;
    forger.multicast(group, &forged);
    if env::var_os("JOOLD_UNDER_TEST").is_none() {
        daemon(&mut j)?.wait_for("port id")?;
    }
    translate(&j, (36..72).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    assert!(!timeless(&k).contains(&sample::udp(0)));
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

// The network.

fn the_hop_limit_is_the_configured_one(network: Network) -> Outcome {
    let (mut j, k) = pair(Version::SUPPORTED)?;
    let mut three = configuration(network, Side::J);
    three.netsocket = network.netsocket(Side::J, r#", "ttl": 3"#);
    j.start_and_wait(&program(), &three)?;
    let tap = Tap::open(&k.namespace)?;
    translate(&j, (0..36).map(sample::udp));
    let datagram = wait::for_some("a datagram on the wire", || tap.next(PORT))?;
    assert_eq!((datagram.ttl, datagram.payload.len()), (3, 36 * 40));
    Ok(())
}

fn the_hop_limit_is_one_by_default() -> Outcome {
    let (j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let tap = Tap::open(&k.namespace)?;
    translate(&j, (0..36).map(sample::udp));
    let datagram = wait::for_some("a datagram on the wire", || tap.next(PORT))?;
    assert_eq!(datagram.ttl, 1);
    Ok(())
}

fn a_datagram_is_what_the_container_held(version: Version) -> Outcome {
    let (j, k) = running(Network::Ipv6, version)?;
    let tap = Tap::open(&k.namespace)?;
    let session = sample::udp(0);
    translate(&j, [session]);
    flush(&j);
    let datagram = wait::for_some("a datagram on the wire", || tap.next(PORT))?;
    let format = j.kernel.module().format();
    let read: Vec<_> = joold::wire::session::sessions(&datagram.payload, format).collect();
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(read[0].unwrap().source6, session.source6);
    Ok(())
}

fn a_link_that_was_down_is_used_again() -> Outcome {
    let (mut j, k) = running(Network::Ipv4ByName, Version::SUPPORTED)?;
    j.namespace.set_up(LINK, false)?;
    translate(&j, (0..36).map(sample::udp));
    wait::a_moment();
    assert_eq!(k.kernel.count(INSTANCE), 0);
    j.namespace.set_up(LINK, true)?;
    wait::for_value("sessions at K", 36, || {
        translate(&j, (0..36).map(sample::udp));
        flush(&j);
        k.kernel.count(INSTANCE)
    })?;
    assert!(daemon(&mut j)?.is_running()?);
    Ok(())
}

// Statistics.

fn ask_for_statistics(node: &Node, from: &str, to: &str) -> Result<BTreeMap<String, u64>, Failed> {
    let socket = node.udp(from)?;
    let mut buffer = [0; 1500];
    socket.send_to(b"\n", format!("{to}:{STATISTICS}"))?;
    let (length, _) = socket.recv_from(&mut buffer)?;
    let text = String::from_utf8(buffer[..length].to_vec())?;
    assert!(text.ends_with('\n'), "{text:?}");
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.split(',').next())
        .collect();
    assert_eq!(
        names,
        [
            "KERNEL_SENT_PKTS",
            "KERNEL_SENT_BYTES",
            "NET_RCVD_PKTS",
            "NET_RCVD_BYTES",
            "NET_SENT_PKTS",
            "NET_SENT_BYTES"
        ]
    );
    let pair = |line: &str| {
        let (name, value) = line.split_once(',').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    Ok(text.lines().map(pair).collect())
}

fn statistics_tell_what_passed(from: &str, to: &str) -> Outcome {
    let (j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    translate(&j, (0..72).map(sample::udp));
    wait_for_sessions(&k, 72)?;
    translate(&k, (72..108).map(sample::udp));
    wait_for_sessions(&j, 108)?;
    let at_j = ask_for_statistics(&j, from, to)?;
    let at_k = ask_for_statistics(&k, from, to)?;
    let values = |told: &BTreeMap<String, u64>| {
        ["KERNEL_SENT", "NET_RCVD", "NET_SENT"].map(|name| {
            (
                told[&format!("{name}_PKTS")],
                told[&format!("{name}_BYTES")],
            )
        })
    };
    assert_eq!(values(&at_j), [(2, 2880), (1, 1440), (2, 2880)]);
    assert_eq!(values(&at_k), [(1, 1440), (2, 2880), (1, 1440)]);
    Ok(())
}

// The process.

fn a_termination_ends_it_with_success() -> Outcome {
    let (mut j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    assert_eq!(daemon(&mut j)?.stop()?.code(), Some(0));
    assert_eq!(daemon(&mut k)?.interrupt()?.code(), Some(0));
    Ok(())
}

fn one_thread_does_everything() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    assert_eq!(daemon(&mut j)?.threads()?, 1);
    Ok(())
}

/// How often the process gave up the processor, by itself or not.
fn switches(daemon: &Daemon) -> Result<Vec<String>, Failed> {
    let status = daemon.proc("status")?;
    let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
    Ok(switches.map(str::to_owned).collect())
}

fn an_idle_daemon_sleeps() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    // Two looks a second apart: whatever wakes it in between, such as a timer, shows.
    wait::a_moment();
    let before = switches(daemon(&mut j)?)?;
    assert_eq!(before.len(), 2);
    for _ in 0..4 {
        wait::a_moment();
    }
    assert_eq!(switches(daemon(&mut j)?)?, before);
    Ok(())
}

fn without_the_module_it_says_what_to_load() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    j.kernel.unload();
    j.start(&program(), &configuration(Network::Ipv6, Side::J))?;
    let status = daemon(&mut j)?.wait()?;
    let said = daemon(&mut j)?.said();
    assert_eq!(status.code(), Some(69), "{said}");
    assert!(said.contains("modprobe jool"), "{said}");
    Ok(())
}

fn a_port_that_is_taken_is_named() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let taken = j.udp("[::]:45678")?;
    j.start(&program(), &configuration(Network::Ipv6, Side::J))?;
    let status = daemon(&mut j)?.wait()?;
    let said = daemon(&mut j)?.said();
    drop(taken);
    assert_eq!(status.code(), Some(71), "{said}");
    let expected =
        "cannot open the stats server on UDP port 45678: Address already in use; give PORT";
    assert!(said.contains(expected), "{said}");
    Ok(())
}

fn no_datagram_crashes_the_kernel_or_the_daemon(network: Network) -> Outcome {
    let (mut j, k) = running(network, Version::SUPPORTED)?;
    let tap = Tap::open(&j.namespace)?;
    let mut session = requests::datagram(&[sample::udp(0)], j.kernel.module().format());
    // Nothing, less than an attribute, an attribute that ends the walk, garbage, a session cut off.
    let payloads: [&[u8]; 6] = [b"", b"x", &[0; 3], &[0; 4], &[0xff; 1440], &session[..39]];
    for payload in payloads {
        k.multicast(network, PORT, payload)?;
        let passed = wait::for_some("the datagram on the wire", || tap.next(PORT))?;
        assert_eq!(passed.payload, payload);
    }
    session[4..20].fill(0x20);
    k.multicast(network, PORT, &session)?;
    wait_for_sessions(&j, 1)?;
    assert_eq!(j.kernel.module().oops(), None);
    assert!(daemon(&mut j)?.is_running()?);
    Ok(())
}

// The harness itself.

/// In the environment: this process is to be the client of the test below.
const CLIENT: &str = "JOOL_SIMULATED_TEST_CLIENT";

/// Runs this very program as the daemon, with the preloaded library.
fn what_an_acknowledgement_releases_is_there_when_it_returns() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    // Nobody hears the first batch; nine full packets remain in the kernel's queue.
    translate(&j, (0..360).map(sample::udp));
    let client = Program::new(env::current_exe()?).variable(CLIENT, "1");
    j.start(&client, &Configuration::default())?;
    let status = daemon(&mut j)?.wait()?;
    assert!(status.success(), "{}", daemon(&mut j)?.said());
    Ok(())
}

/// Acknowledges nine batches, and finds the next one in the socket each time without waiting.
fn client() -> Result<(), Box<dyn std::error::Error>> {
    let family = Family::resolve().map_err(|failure| failure.message)?;
    let socket = ModSocket::open(family.group, 1 << 18)?;
    let mut room = [0; 4096];
    let address = Address {
        family: family.id,
        version: Version::SUPPORTED,
        instance: requests::name(INSTANCE),
    };
    for _ in 0..9 {
        socket.send(Plain::new(&address, Command::JooldAck).bytes())?;
        let receipt = socket.receive(&mut room)?;
        assert_eq!(receipt.port, 0, "the kernel's port id");
    }
    Ok(())
}

fn tests() -> Vec<Trial> {
    let new = Version::SUPPORTED;
    let networks = [
        ("ipv6", Network::Ipv6),
        ("ipv6_link_local", Network::Ipv6Link),
        ("ipv6_by_address", Network::Ipv6ByAddress),
        ("ipv4", Network::Ipv4),
        ("ipv4_by_name", Network::Ipv4ByName),
    ];
    let mut tests = Vec::new();
    let mut add = |name: &str, test: Box<dyn FnOnce() -> Outcome + Send>| {
        tests.push(Trial::test(name, test));
    };
    for (name, network) in networks {
        add(
            &format!("sessions_travel_both_ways::{name}"),
            Box::new(move || sessions_travel(network, new)),
        );
    }
    for (name, network) in [("ipv6", Network::Ipv6), ("ipv4", Network::Ipv4)] {
        add(
            &format!("nested_sessions_travel_both_ways::{name}"),
            Box::new(move || sessions_travel(network, OLD)),
        );
        add(
            &format!("own_multicasts_do_not_come_back::{name}"),
            Box::new(move || own_multicasts_do_not_come_back(network)),
        );
        add(
            &format!("no_datagram_crashes_the_kernel_or_the_daemon::{name}"),
            Box::new(move || no_datagram_crashes_the_kernel_or_the_daemon(network)),
        );
        add(
            &format!("the_hop_limit_is_the_configured_one::{name}"),
            Box::new(move || the_hop_limit_is_the_configured_one(network)),
        );
    }
    for (name, version) in [("flat", new), ("nested", OLD)] {
        add(
            &format!("a_datagram_is_what_the_container_held::{name}"),
            Box::new(move || a_datagram_is_what_the_container_held(version)),
        );
    }
    for (name, from_j) in [("from_j_to_k", true), ("from_k_to_j", false)] {
        add(
            &format!("an_advertisement_arrives_whole::{name}"),
            Box::new(move || an_advertisement_arrives_whole(from_j)),
        );
    }
    for (name, from, to) in [
        ("ipv6", "[::1]:0", "[::1]"),
        ("ipv4", "127.0.0.1:0", "127.0.0.1"),
    ] {
        add(
            &format!("statistics_tell_what_passed::{name}"),
            Box::new(move || statistics_tell_what_passed(from, to)),
        );
    }
    macro_rules! also {
        ($($test:ident)*) => { $(add(stringify!($test), Box::new($test));)* };
    }
    also! {
        sessions_keep_what_is_left_of_their_lifetime
        a_network_without_room_makes_the_kernel_wait_and_loses_nothing
        a_port_that_is_taken_is_named
        a_daemon_that_starts_late_is_told_by_the_next_advertisement
        instances_are_matched_without_case
        other_instances_are_left_alone
        each_batch_that_comes_alone_is_acknowledged_once
        a_burst_is_released_to_its_end
        a_missing_instance_is_reported_and_survived
        disabled_synchronization_is_reported_and_survived
        a_collision_is_reported_and_its_neighbours_are_added
        a_missing_permission_is_reported
        another_minor_version_is_an_error_that_names_both
        a_module_of_another_minor_version_refuses_and_is_quoted
        a_netlink_message_from_anybody_but_the_kernel_is_ignored
        a_full_socket_buffer_is_reported_and_survived
        the_hop_limit_is_one_by_default
        a_link_that_was_down_is_used_again
        a_termination_ends_it_with_success
        one_thread_does_everything
        an_idle_daemon_sleeps
        without_the_module_it_says_what_to_load
        what_an_acknowledgement_releases_is_there_when_it_returns
    }
    tests
}

fn main() -> ExitCode {
    if env::var_os(CLIENT).is_some() {
        return match client() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    // Before anything starts a thread.
    if let Err(why) = sandbox::enter() {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(&Arguments::from_args(), tests()).exit_code()
}
