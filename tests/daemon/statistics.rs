//! The stats server.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Instant;

use jool_simulated::node::{LINK, Network, Node, Side, pair};
use jool_simulated::sample;
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        a_port_that_is_taken_is_named
        two_servers_do_not_answer_each_other
        all_numbers_are_for_this_host_and_for_whom_the_file_names
        a_servers_address_may_come_later
    });
    for (name, from, to, others) in [
        (
            "ipv6",
            "[2001:db8::2]:0",
            "[2001:db8::1]",
            [("192.0.2.2:0", "192.0.2.1"), ("192.0.2.3:0", "192.0.2.1")],
        ),
        (
            "ipv4",
            "192.0.2.2:0",
            "192.0.2.1",
            [
                ("192.0.2.3:0", "192.0.2.1"),
                ("[2001:db8::2]:0", "[2001:db8::1]"),
            ],
        ),
    ] {
        let test = move || a_flood_gets_its_share_and_others_get_theirs(from, to, others);
        tests.push(case(
            "a_flood_gets_its_share_and_others_get_theirs",
            name,
            test,
        ));
    }
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

/// The answer to these bytes, whatever it is.
fn ask(node: &Node, from: &str, to: &str, request: &str) -> Result<String, Failed> {
    let socket = node.udp(from)?;
    socket.send_to(request.as_bytes(), format!("{to}:{STATISTICS}"))?;
    let mut buffer = vec![0; 65_536];
    let (length, _) = socket.recv_from(&mut buffer)?;
    buffer.truncate(length);
    Ok(String::from_utf8(buffer)?)
}

fn all_numbers_are_for_this_host_and_for_whom_the_file_names() -> Outcome {
    let (mut j, k) = pair(Version::SUPPORTED)?;
    let mut told = configuration(Network::Ipv6, Side::J);
    let list = r#", "stats allow": ["2001:db8::2/128", "192.0.2.128/25"]"#;
    told.netsocket = Network::Ipv6.plain_netsocket(Side::J, list);
    j.start_and_wait(&program(), &told)?;
    for (node, from, to, is_trusted) in [
        (&j, "127.0.0.1:0", "127.0.0.1", true),
        (&j, "[::1]:0", "[::1]", true),
        (&k, "[2001:db8::2]:0", "[2001:db8::1]", true),
        (&k, "192.0.2.2:0", "192.0.2.1", false),
    ] {
        let ask = |request| ask(node, from, to, request);
        let plain = ask("")?;
        assert_eq!(plain.lines().count(), 6, "{plain}");
        assert!(plain.starts_with("KERNEL_SENT_PKTS,0\n"), "{plain}");
        for (request, begins) in [
            ("json\n", "{\"instance\":\"default\","),
            ("prometheus", "# HELP joold_info "),
            ("all\n", "may_take_over "),
        ] {
            let answer = ask(request)?;
            let begins = if is_trusted { begins } else { &plain };
            assert!(
                answer.starts_with(begins) && answer.ends_with('\n'),
                "{from}: {answer}"
            );
            assert_eq!(answer.len() > 1000, is_trusted, "{from}: {answer}");
        }
        // What else may stand in a request asks for nothing more.
        for request in ["all numbers", "JSON", "csv"] {
            assert_eq!(ask(request)?, plain, "{from}: {request}");
        }
    }
    Ok(())
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

/// How many datagrams wait in a socket.
fn waiting(socket: &UdpSocket) -> Result<u32, Failed> {
    socket.set_nonblocking(true)?;
    let mut count = 0;
    while socket.recv(&mut [0; 1500]).is_ok() {
        count += 1;
    }
    Ok(count)
}

/// Requests are handled in their order: when a later one is answered, so are those before it.
fn a_flood_gets_its_share_and_others_get_theirs(
    from: &str,
    to: &str,
    others: [(&str, &str); 2],
) -> Outcome {
    const REQUESTS: usize = 150;
    let (mut j, k) = pair(Version::SUPPORTED)?;
    j.start_and_wait(&program(), &configuration(Network::Ipv6, Side::J))?;
    k.namespace
        .ip(&["address", "add", "192.0.2.3/24", "dev", LINK])?;
    // From here on it answers.
    ask_for_statistics(&j, "[::1]:0", "[::1]")?;
    let flood = k.udp(from)?;
    let start = Instant::now();
    for _ in 0..REQUESTS {
        flood.send_to(b"", format!("{to}:{STATISTICS}"))?;
    }
    for (from, to) in others {
        ask_for_statistics(&k, from, to)?;
    }
    // As often as a script that waits for something to show in the counters.
    for _ in 0..100 {
        ask_for_statistics(&j, "[::1]:0", "[::1]")?;
    }
    let said = daemon(&mut j)?.wait_for("stats request beyond the bounds not answered: ")?;
    let source = from.replace(":0", ":");
    let expected = format!("more than 10 a second from one address; from {source}");
    assert!(said.contains(&expected), "{said}");
    let answers = waiting(&flood)?;
    let most = 10.0 + 10.0 * start.elapsed().as_secs_f64();
    assert!((1.0..=most).contains(&answers.into()), "{answers} answers");
    Ok(())
}

/// Whoever forges a request from one server to another would have them talk for ever.
fn two_servers_do_not_answer_each_other() -> Outcome {
    let (mut j, k) = pair(Version::SUPPORTED)?;
    j.start_and_wait(&program(), &configuration(Network::Ipv6, Side::J))?;
    ask_for_statistics(&j, "[::1]:0", "[::1]")?;
    let server = format!("[2001:db8::1]:{STATISTICS}");
    let of_the_same_port = k.udp(&format!("[2001:db8::2]:{STATISTICS}"))?;
    of_the_same_port.send_to(b"\n", &server)?;
    let of_another_port = k.udp("[2001:db8::2]:45679")?;
    of_another_port.send_to(b"KERNEL_SENT_PKTS,0\nKERNEL_SENT_BYTES,0\n", &server)?;
    ask_for_statistics(&k, "[2001:db8::2]:0", "[2001:db8::1]")?;
    assert_eq!(waiting(&of_the_same_port)?, 0);
    assert_eq!(waiting(&of_another_port)?, 0);
    let said = daemon(&mut j)?.wait_for("it is an answer; from [2001:db8::2]:45679")?;
    assert!(
        said.contains("its source port is a stats server's; from [2001:db8::2]:45678"),
        "{said}"
    );
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
    let expected = "cannot open the stats server on UDP port 45678: Address already in use; choose";
    assert!(said.contains(expected), "{said}");
    Ok(())
}

/// A router that takes over has its addresses only then.
fn a_servers_address_may_come_later() -> Outcome {
    for address in ["2001:db8::77", "192.0.2.77"] {
        let (mut j, k) = pair(Version::SUPPORTED)?;
        let program = program().argument("--stats.address").argument(address);
        j.start_and_wait(&program, &configuration(Network::Ipv6, Side::J))?;
        let (prefix, from, to) = match address.contains(':') {
            true => (64, "[2001:db8::2]:0", format!("[{address}]")),
            false => (24, "192.0.2.2:0", address.to_owned()),
        };
        j.namespace.address(LINK, &format!("{address}/{prefix}"))?;
        ask_for_statistics(&k, from, &to)?;
    }
    Ok(())
}
