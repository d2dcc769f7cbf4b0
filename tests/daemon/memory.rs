//! Memory: all that messages need is taken at the start.

use jool_simulated::allocations::Allocations;
use jool_simulated::node::{INSTANCE, Network, Node, pair};
use jool_simulated::tap::{Datagram, Tap};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let cases = [
        ("flat", Version::SUPPORTED, ""),
        ("nested", OLD, ""),
        ("flat_and_extended", Version::SUPPORTED, EXTENDED),
        ("nested_and_extended", OLD, EXTENDED),
    ];
    let trials = cases.map(|(name, version, more)| {
        let test = move || no_message_takes_memory_from_the_heap(version, more);
        case("no_message_takes_memory_from_the_heap", name, test)
    });
    Vec::from(trials)
}

/// With more messages than usual.
const EXTENDED: &str = r#", "extensions": true, "hello period": 100"#;

/// New sessions both ways, more of them than have a place, and refreshes of some, which are held,
/// merged, and delivered.
fn traffic(j: &Node, k: &Node, first: u32) -> Outcome {
    const COUNT: u32 = 36 * 20;
    let there = first..first + COUNT;
    let back = first + COUNT..first + 2 * COUNT;
    for (node, sessions) in [(j, &there), (k, &back)] {
        for _ in 0..3 {
            translate(node, sessions.clone().map(sample::udp));
            flush(node);
        }
    }
    let all = (first + 2 * COUNT) as usize;
    wait_for_sessions(j, all)?;
    wait_for_sessions(k, all)
}

/// Waits until messages have passed on the link of a node.
fn wait_for_messages(node: &Node) -> Outcome {
    let tap = Tap::open(&node.namespace)?;
    let is_message = |datagram: &Datagram| datagram.payload.starts_with(&[0, 0]);
    for _ in 0..4 {
        wait::for_some("a message", || tap.next(PORT).filter(is_message))?;
    }
    Ok(())
}

/// Two routers whose daemons' allocations are counted.
fn counted(version: Version, more: &str) -> Result<(Node, Node, [Allocations; 2]), Failed> {
    let (mut j, mut k) = pair(version)?;
    let counters = [Allocations::new()?, Allocations::new()?];
    for (node, counter) in [&mut j, &mut k].into_iter().zip(&counters) {
        let mut configuration = configuration(Network::Ipv6, node.side);
        if !more.is_empty() {
            configuration.netsocket = Network::Ipv6.netsocket(node.side, more);
        }
        configuration.modsocket = Some(
            r#"{ "instance": "default", "refresh window": 100, "refresh sessions": 1000 }"#
                .to_owned(),
        );
        widen_queue(node);
        node.start_and_wait(&counter.of(program()), &configuration)?;
    }
    if !more.is_empty() {
        for node in [&mut j, &mut k] {
            daemon(node)?.wait_for("standing: in sync")?;
        }
    }
    Ok((j, k, counters))
}

fn no_message_takes_memory_from_the_heap(version: Version, more: &str) -> Outcome {
    let (j, k, counters) = counted(version, more)?;
    let counts =
        || -> Result<[u64; 2], std::io::Error> { Ok([counters[0].count()?, counters[1].count()?]) };
    // Whatever is said once, such as that the first sessions come, is said now.
    traffic(&j, &k, 0)?;
    // With extensions, whoever is new reads the other's table, which takes memory.
    let settled = wait::for_some("the last table to be read", || {
        let before = counts().ok()?;
        wait::a_moment();
        (counts().ok()? == before).then_some(before)
    })?;
    assert!(settled.iter().all(|&count| count > 0), "nothing is counted");

    let messages = || j.kernel.statistics(INSTANCE).packets_sent;
    let looks = || looks(&j) + looks(&k);
    let first = messages();
    let (mut round, mut judged, mut calm) = (0, 0, 0);
    while judged < 3 {
        let (before, looks_before) = (counts()?, looks());
        round += 1;
        traffic(&j, &k, round * 2 * 36 * 20)?;
        wait::a_moment();
        if !more.is_empty() {
            wait_for_messages(&j)?;
        }
        let after = counts()?;
        // Every three seconds a daemon asks how its instance is, and when somebody reads its table, which may go on
        // in the next round: that is no message's doing.
        calm = if looks() == looks_before { calm + 1 } else { 0 };
        if calm > 1 {
            assert_eq!(after, before);
            judged += 1;
        }
    }
    assert!(messages() > first + 60, "that was little traffic");
    Ok(())
}
