//! Who may send: `"allow from"` of the network file.

use std::net::{Ipv6Addr, SocketAddrV6};

use jool_simulated::node::{LINK, Network, Node, Side, pair};
use jool_simulated::{requests, sample};
use joold::wire::jool::{Command, Version};
use libtest_mimic::{Failed, Trial};

use crate::stage::*;
use crate::statistics::ask_for_statistics;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! { a_pair_that_allows_only_each_other_is_in_sync });
    for (name, network, allowed, stranger) in [
        ("ipv6", Network::Ipv6, "2001:db8::9", "from [2001:db8::2]:"),
        ("ipv4", Network::Ipv4, "192.0.2.9", "from 192.0.2.2:"),
    ] {
        let test = move || only_what_is_allowed_reaches_the_kernel(network, allowed, stranger);
        tests.push(case("only_what_is_allowed_reaches_the_kernel", name, test));
    }
    tests
}

/// Sends one datagram to the group from an address that K has besides its own.
fn multicast_from(k: &Node, address: &str, network: Network, payload: &[u8]) -> Outcome {
    let Ok(group) = network.group().parse::<Ipv6Addr>() else {
        let with_length = format!("{address}/24");
        k.namespace
            .ip(&["address", "add", &with_length, "dev", LINK])?;
        let socket = k.udp(&format!("{address}:0"))?;
        socket.send_to(payload, (network.group(), PORT))?;
        return Ok(());
    };
    k.namespace.address(LINK, &format!("{address}/64"))?;
    let index = k.namespace.run(|| nix::net::if_::if_nametoindex(LINK))??;
    let socket = k.udp(&format!("[{address}]:0"))?;
    socket.send_to(payload, SocketAddrV6::new(group, PORT, 0, index))?;
    Ok(())
}

fn allowing(network: Network, side: Side, list: &str) -> jool_simulated::daemon::Configuration {
    let mut configuration = configuration(network, side);
    configuration.netsocket = network.plain_netsocket(side, &format!(r#", "allow from": {list}"#));
    configuration
}

fn only_what_is_allowed_reaches_the_kernel(
    network: Network,
    allowed: &str,
    stranger: &str,
) -> Outcome {
    let (mut j, k) = pair(Version::SUPPORTED)?;
    let list = format!(r#"["2001:db8:1::/48", "198.51.100.0/24", "{allowed}"]"#);
    j.start_and_wait(&program(), &allowing(network, Side::J, &list))?;
    let datagram = |session| {
        let format = j.kernel.module().format();
        requests::datagram(&[session], format)
    };
    k.multicast(network, PORT, &datagram(sample::udp(0)))?;
    multicast_from(&k, allowed, network, &datagram(sample::udp(1)))?;
    wait_for_sessions(&j, 1)?;
    assert_eq!(timeless(&j)[0].source6, sample::udp(1).source6);
    let adds = requests_by_instance(&j, Command::JooldAdd);
    assert_eq!(adds.values().sum::<usize>(), 1, "{adds:?}");
    let received = ask_for_statistics(&j, "[::1]:0", "[::1]")?["NET_RCVD_PKTS"];
    assert_eq!(received, 1, "what is dropped is nothing of another router");
    let said = daemon(&mut j)?.wait_for("datagram from outside \"allow from\" dropped: ")?;
    assert!(said.contains(stranger), "it names the source: {said}");
    assert!(said.contains("add its address to"), "{said}");
    Ok(())
}

fn a_pair_that_allows_only_each_other_is_in_sync() -> Result<(), Failed> {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let network = Network::Ipv6;
    for (node, other) in [(&mut j, Side::K), (&mut k, Side::J)] {
        let list = format!("\"{}\"", other.ipv6());
        let configuration = allowing(network, node.side, &list);
        node.start_and_wait(&program(), &configuration)?;
    }
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    translate(&k, (36..72).map(sample::udp));
    wait_for_sessions(&j, 72)
}
