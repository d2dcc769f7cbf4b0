//! The stats server.

use std::collections::BTreeMap;

use jool_simulated::node::{Network, Node, Side, pair};
use jool_simulated::sample;
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! { a_port_that_is_taken_is_named });
    for (name, from, to) in [
        ("ipv6", "[::1]:0", "[::1]"),
        ("ipv4", "127.0.0.1:0", "127.0.0.1"),
    ] {
        let test = move || statistics_tell_what_passed(from, to);
        tests.push(case("statistics_tell_what_passed", name, test));
    }
    tests
}

/// The reply of the node's stats server, by name.
pub fn ask_for_statistics(
    node: &Node,
    from: &str,
    to: &str,
) -> Result<BTreeMap<String, u64>, Failed> {
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
