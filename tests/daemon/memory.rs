//! Memory: all of it is taken at the start.

use jool_simulated::allocations::Allocations;
use jool_simulated::node::{INSTANCE, Network, Node, pair};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::Trial;

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let formats = [("flat", Version::SUPPORTED), ("nested", OLD)];
    let trials = formats.map(|(name, version)| {
        let test = move || no_message_takes_memory_from_the_heap(version);
        case("no_message_takes_memory_from_the_heap", name, test)
    });
    Vec::from(trials)
}

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

fn no_message_takes_memory_from_the_heap(version: Version) -> Outcome {
    let (mut j, mut k) = pair(version)?;
    let counters = [Allocations::new()?, Allocations::new()?];
    for (node, counter) in [&mut j, &mut k].into_iter().zip(&counters) {
        let mut configuration = configuration(Network::Ipv6, node.side);
        configuration.modsocket = Some(
            r#"{ "instance": "default", "refresh window": 100, "refresh sessions": 1000 }"#
                .to_owned(),
        );
        widen_queue(node);
        node.start_and_wait(&counter.of(program()), &configuration)?;
    }
    let counts =
        || -> Result<[u64; 2], std::io::Error> { Ok([counters[0].count()?, counters[1].count()?]) };
    // Whatever is said once, such as that the first sessions come, is said now.
    traffic(&j, &k, 0)?;
    wait::a_moment();
    let before = counts()?;
    assert!(before.iter().all(|&count| count > 0), "nothing is counted");

    let messages = || j.kernel.statistics(INSTANCE).packets_sent;
    let first = messages();
    for round in 1..4 {
        traffic(&j, &k, round * 2 * 36 * 20)?;
        wait::a_moment();
    }
    assert!(messages() > first + 60, "that was little traffic");
    assert_eq!(counts()?, before);
    Ok(())
}
