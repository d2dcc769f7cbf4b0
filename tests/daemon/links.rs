//! Interfaces that come, go, and change.

use jool_simulated::node::{INSTANCE, LINK, Network, Node, Side, connect, pair};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::losses::{fill_network, number_after};
use crate::process::it_sleeps;
use crate::stage::*;

const NETWORKS: [(&str, Network); 5] = [
    ("ipv6", Network::Ipv6),
    ("ipv6_link_local", Network::Ipv6Link),
    ("ipv6_by_address", Network::Ipv6ByAddress),
    ("ipv4_by_address", Network::Ipv4),
    ("ipv4_by_name", Network::Ipv4ByName),
];

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        a_renamed_interface_is_used_until_another_has_its_name
        an_ipv4_address_that_is_gone_and_back_is_sent_from_again
        an_interface_by_name_goes_on_with_the_address_that_it_has
        an_interface_by_address_follows_the_address
        an_interface_that_is_made_anew_again_and_again_leaks_nothing
        a_daemon_is_idle_again_when_its_interface_is_back
        what_waited_for_room_is_given_up_when_the_interface_goes
        the_kernels_choice_is_waited_for_and_followed
        a_route_that_comes_late_is_used_even_if_the_other_way_needs_none
        an_own_datagram_that_comes_back_is_dropped
        without_an_address_of_the_groups_family_the_advice_is_to_add_one
        an_mtu_that_ipv6_cannot_use_does_not_end_the_membership
        a_daemon_whose_interface_is_down_sleeps
        an_interface_that_is_made_anew_with_the_old_ones_index_is_noticed
    });
    for (name, network) in NETWORKS {
        let test = move || an_interface_that_is_missing_at_the_start_is_waited_for(network);
        tests.push(case(
            "an_interface_that_is_missing_at_the_start_is_waited_for",
            name,
            test,
        ));
        let test = move || an_interface_that_is_made_anew_is_used(network);
        tests.push(case("an_interface_that_is_made_anew_is_used", name, test));
        let test = move || an_interface_that_was_down_is_used_again(network);
        tests.push(case("an_interface_that_was_down_is_used_again", name, test));
    }
    tests
}

/// The rejoin's notice, whose number a test waits for.
const JOINED: &str = "is joined again, over";

fn wait_until_joined(node: &mut Node, times: usize) -> Outcome {
    wait_until_said(node, JOINED, times)
}

fn wait_until_said(node: &mut Node, text: &str, times: usize) -> Outcome {
    let daemon = daemon(node)?;
    daemon.wait_for_times(text, times)?;
    assert_eq!(daemon.times(text), times, "{}", daemon.said());
    Ok(())
}

/// New sessions both ways, beginning with that one.
fn both_ways(j: &Node, k: &Node, first: u32) -> Outcome {
    for (from, to, sessions) in [(j, k, first..first + 36), (k, j, first + 36..first + 72)] {
        translate(from, sessions.clone().map(sample::udp));
        wait::for_value("sessions at the other side", 36, || {
            let all = timeless(to);
            let new = sessions.clone().map(sample::udp);
            new.filter(|session| {
                all.iter().any(|one| {
                    (one.source6, one.destination4) == (session.source6, session.destination4)
                })
            })
            .count()
        })
        .map_err(|why| {
            let said = |node: &Node| node.daemon.as_ref().map(|daemon| daemon.said());
            format!("{why}\n{:?}\n{:?}", said(j), said(k))
        })?;
    }
    Ok(())
}

fn an_interface_that_is_missing_at_the_start_is_waited_for(network: Network) -> Outcome {
    let mut j = Node::new(Side::J, Version::SUPPORTED)?;
    let mut k = Node::new(Side::K, Version::SUPPORTED)?;
    let missing = match network {
        Network::Ipv4 | Network::Ipv6ByAddress => "no interface has the address",
        _ => "there is no interface \"to_peer\"",
    };
    for node in [&mut j, &mut k] {
        node.start(&program(), &configuration(network, node.side))?;
        wait_until_said(node, missing, 1)?;
    }
    // Its batches are acknowledged meanwhile, or the kernel would not give two.
    let sent = || j.kernel.statistics(INSTANCE).packets_sent;
    for number in 0..2 {
        wait::for_some("a batch that reaches the daemon", || {
            translate(&j, (0..36).map(sample::udp));
            (sent() > number).then_some(())
        })?;
    }
    connect(&j, &k)?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for(JOINED)?;
        wait_until_said(node, missing, 1)?;
    }
    both_ways(&j, &k, 1000)
}

/// Takes the link away, on both sides, and makes it anew.
fn make_anew(j: &Node, k: &Node) -> Outcome {
    j.namespace.ip(&["link", "delete", LINK])?;
    Ok(connect(j, k)?)
}

fn an_interface_that_is_made_anew_is_used(network: Network) -> Outcome {
    let (mut j, mut k) = running(network, Version::SUPPORTED)?;
    both_ways(&j, &k, 0)?;
    j.namespace.ip(&["link", "delete", LINK])?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for("nothing is synchronized over it until it is there")?;
    }
    translate(&j, (5000..5036).map(sample::udp));
    connect(&j, &k)?;
    for node in [&mut j, &mut k] {
        let said = daemon(node)?.wait_for(JOINED)?;
        assert!(said.contains("run \"jool session advertise\""), "{said}");
    }
    both_ways(&j, &k, 1000)?;
    // So quickly that there may be no gap to be seen.
    make_anew(&j, &k)?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for_times(JOINED, 2)?;
    }
    both_ways(&j, &k, 2000)?;
    assert_eq!(daemon(&mut j)?.stop()?.code(), Some(0));
    let said = daemon(&mut j)?.wait_for("stopping on ")?;
    let dropped = "batches dropped while the out interface was missing: ";
    assert!(number_after(&said, dropped) >= Some(1), "{said}");
    Ok(())
}

fn an_interface_that_was_down_is_used_again(network: Network) -> Outcome {
    let (mut j, mut k) = running(network, Version::SUPPORTED)?;
    both_ways(&j, &k, 0)?;
    j.namespace.set_up(LINK, false)?;
    wait_until_said(&mut j, "to_peer is down", 1)?;
    wait_until_said(&mut k, "to_peer has no carrier", 1)?;
    let acknowledged = || j.kernel.statistics(INSTANCE).acks;
    let before = acknowledged();
    translate(&j, (5000..5036).map(sample::udp));
    wait::for_value(
        "acknowledgements of what cannot be sent",
        before + 1,
        acknowledged,
    )?;
    daemon(&mut j)?.wait_for("cannot send a batch to the network")?;
    j.namespace.set_up(LINK, true)?;
    j.add_addresses6()?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for("to_peer is up again")?;
        daemon(node)?.wait_for(JOINED)?;
    }
    both_ways(&j, &k, 1000)?;
    wait_until_said(&mut j, "to_peer is down", 1)
}

fn rename(node: &Node, from: &str, to: &str) -> Outcome {
    node.namespace.set_up(from, false)?;
    node.namespace.ip(&["link", "set", from, "name", to])?;
    Ok(node.namespace.set_up(to, true)?)
}

fn a_renamed_interface_is_used_until_another_has_its_name() -> Outcome {
    let (mut j, k) = running(Network::Ipv4ByName, Version::SUPPORTED)?;
    rename(&j, LINK, "renamed")?;
    daemon(&mut j)?.wait_for("which is renamed now")?;
    wait_until_joined(&mut j, 1)?;
    both_ways(&j, &k, 0)?;
    j.namespace
        .ip(&["link", "add", LINK, "type", "veth", "peer", "name", "far"])?;
    for name in ["far", LINK] {
        j.namespace.set_up(name, true)?;
    }
    daemon(&mut j)?.wait_for("is joined again, over to_peer")?;
    j.namespace.ip(&["link", "delete", LINK])?;
    rename(&j, "renamed", LINK)?;
    wait::for_some("a way between the routers", || {
        translate(&j, (1000..1036).map(sample::udp));
        (k.kernel.count(INSTANCE) >= 108).then_some(())
    })?;
    both_ways(&j, &k, 2000)
}

fn delete_address4(node: &Node, dev: &str) -> Outcome {
    let address = format!("{}/24", node.side.ipv4());
    Ok(node
        .namespace
        .ip(&["address", "delete", &address, "dev", dev])?)
}

fn an_ipv4_address_that_is_gone_and_back_is_sent_from_again() -> Outcome {
    let (mut j, k) = running(Network::Ipv4, Version::SUPPORTED)?;
    both_ways(&j, &k, 0)?;
    delete_address4(&j, LINK)?;
    daemon(&mut j)?.wait_for("no interface has the address 192.0.2.1 any more")?;
    translate(&j, (5000..5036).map(sample::udp));
    daemon(&mut j)?.wait_for("cannot send a batch to the network")?;
    j.add_address4()?;
    daemon(&mut j)?.wait_for("to_peer has the address 192.0.2.1")?;
    daemon(&mut j)?.wait_for(JOINED)?;
    both_ways(&j, &k, 1000)
}

fn an_interface_by_name_goes_on_with_the_address_that_it_has() -> Outcome {
    let (mut j, k) = running(Network::Ipv4ByName, Version::SUPPORTED)?;
    both_ways(&j, &k, 0)?;
    delete_address4(&j, LINK)?;
    j.namespace
        .ip(&["address", "add", "192.0.2.11/24", "dev", LINK])?;
    both_ways(&j, &k, 1000)?;
    j.add_address4()?;
    both_ways(&j, &k, 2000)?;
    let said = daemon(&mut j)?.said();
    assert!(!said.contains(JOINED), "nothing was missed: {said}");
    Ok(())
}

fn an_interface_by_address_follows_the_address() -> Outcome {
    let (mut j, mut k) = running(Network::Ipv4, Version::SUPPORTED)?;
    both_ways(&j, &k, 0)?;
    j.namespace.join(&k.namespace, "other")?;
    for node in [&mut j, &mut k] {
        delete_address4(node, LINK)?;
        node.namespace.ip(&[
            "address",
            "add",
            &format!("{}/24", node.side.ipv4()),
            "dev",
            "other",
        ])?;
        daemon(node)?.wait_for("is joined again, over other")?;
    }
    // Only the way over the other link is left.
    j.namespace.set_up(LINK, false)?;
    both_ways(&j, &k, 1000)
}

fn an_interface_that_is_made_anew_again_and_again_leaks_nothing() -> Outcome {
    let (mut j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let kinds =
        |node: &mut Node| -> Result<usize, Failed> { Ok(daemon(node)?.descriptors()?.len()) };
    let before = [kinds(&mut j)?, kinds(&mut k)?];
    for time in 0..20 {
        make_anew(&j, &k)?;
        wait::for_some("sessions over the new link", || {
            translate(&j, (0..36).map(|number| sample::udp(time * 36 + number)));
            (k.kernel.count(INSTANCE) >= 36 * (time as usize + 1)).then_some(())
        })?;
    }
    assert_eq!([kinds(&mut j)?, kinds(&mut k)?], before);
    Ok(())
}

fn a_daemon_is_idle_again_when_its_interface_is_back() -> Outcome {
    let (mut j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    make_anew(&j, &k)?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for(JOINED)?;
    }
    both_ways(&j, &k, 0)?;
    // The kernel has more to tell of a new link for about a second.
    for _ in 0..6 {
        wait::a_moment();
    }
    it_sleeps(&mut j)
}

fn what_waited_for_room_is_given_up_when_the_interface_goes() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    fill_network(&mut j, "8kbit", 36 * 300)?;
    let queued = || j.kernel.with(INSTANCE, |jool| jool.queued());
    j.namespace.ip(&["link", "delete", LINK])?;
    wait::for_value("an empty queue", Some(0), || {
        flush(&j);
        queued()
    })?;
    connect(&j, &k)?;
    daemon(&mut j)?.wait_for(JOINED)?;
    wait::for_some("sessions at K", || {
        translate(&j, (20_000..20_036).map(sample::udp));
        timeless(&k)
            .iter()
            .any(|one| one.source6 == sample::udp(20_000).source6)
            .then_some(())
    })?;
    Ok(())
}

fn the_kernels_choice_is_waited_for_and_followed() -> Outcome {
    let mut j = Node::new(Side::J, Version::SUPPORTED)?;
    let mut k = Node::new(Side::K, Version::SUPPORTED)?;
    let netsocket =
        r#"{ "multicast address": "233.252.0.64", "multicast port": 6464, "extensions": false }"#;
    for node in [&mut j, &mut k] {
        let mut any = configuration(Network::Ipv4, node.side);
        any.netsocket = netsocket.to_owned();
        node.start(&program(), &any)?;
        daemon(node)?.wait_for("no route leads to the multicast group")?;
    }
    connect(&j, &k)?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for(JOINED)?;
    }
    both_ways(&j, &k, 0)?;
    make_anew(&j, &k)?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for_times(JOINED, 2)?;
    }
    both_ways(&j, &k, 1000)
}

fn a_route_that_comes_late_is_used_even_if_the_other_way_needs_none() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    j.namespace
        .ip(&["route", "del", "233.252.0.0/24", "dev", LINK])?;
    let mut one_way = configuration(Network::Ipv4ByName, Side::J);
    one_way.netsocket = format!(
        r#"{{ "multicast address": "233.252.0.64", "multicast port": 6464, "extensions": false, "in interface": "{LINK}" }}"#
    );
    j.start_and_wait(&program(), &one_way)?;
    daemon(&mut j)?.wait_for("no route leads to the multicast group")?;
    k.start_and_wait(&program(), &configuration(Network::Ipv4ByName, Side::K))?;
    j.namespace
        .ip(&["route", "add", "233.252.0.0/24", "dev", LINK])?;
    daemon(&mut j)?.wait_for("a route leads to the multicast group")?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)
}

/// K's side of the link is a bridge that sends everything back where it came from.
fn an_own_datagram_that_comes_back_is_dropped() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    for line in [
        "link add bridge type bridge mcast_snooping 0",
        "link set bridge up",
        "link set to_peer master bridge",
        "link set to_peer type bridge_slave hairpin on",
    ] {
        k.namespace.ip(&line.split(' ').collect::<Vec<_>>())?;
    }
    wait::for_some("an own datagram that came back", || {
        translate(&j, (0..36).map(sample::udp));
        let said = j.daemon.as_ref()?.said();
        said.contains("own datagram that came back dropped: from [2001:db8::1]")
            .then_some(())
    })?;
    assert_eq!(daemon(&mut j)?.stop()?.code(), Some(0));
    let said = daemon(&mut j)?.wait_for("stopping on ")?;
    assert!(said.contains("from the network: 0 (0 bytes)"), "{said}");
    Ok(())
}

fn without_an_address_of_the_groups_family_the_advice_is_to_add_one() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    both_ways(&j, &k, 0)?;
    j.namespace.ip(&["-6", "address", "flush", "dev", LINK])?;
    translate(&j, (5000..5036).map(sample::udp));
    daemon(&mut j)?.wait_for("has no address to send from")?;
    j.add_addresses6()?;
    both_ways(&j, &k, 1000)
}

/// The kernel takes IPv6 off an interface whose MTU is below 1280, and all memberships with it.
fn an_mtu_that_ipv6_cannot_use_does_not_end_the_membership() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    j.namespace.ip(&["link", "set", LINK, "mtu", "1200"])?;
    daemon(&mut j)?.wait_for("cannot join the group")?;
    j.namespace.ip(&["link", "set", LINK, "mtu", "1400"])?;
    j.add_addresses6()?;
    daemon(&mut j)?.wait_for(JOINED)?;
    daemon(&mut j)?.wait_for("up to 1352 bytes of sessions travel in one datagram")?;
    j.namespace.ip(&["link", "set", LINK, "mtu", "1500"])?;
    both_ways(&j, &k, 0)
}

fn a_daemon_whose_interface_is_down_sleeps() -> Outcome {
    let (mut j, _k) = running(Network::Ipv4ByName, Version::SUPPORTED)?;
    j.namespace.set_up(LINK, false)?;
    daemon(&mut j)?.wait_for("to_peer is down")?;
    translate(&j, (0..36).map(sample::udp));
    daemon(&mut j)?.wait_for("cannot send a batch to the network")?;
    for _ in 0..6 {
        wait::a_moment();
    }
    it_sleeps(&mut j)
}

fn an_interface_that_is_made_anew_with_the_old_ones_index_is_noticed() -> Outcome {
    let (mut j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let memberships = daemon(&mut j)?.proc("net/igmp6")?;
    let line = memberships.lines().find(|line| line.contains(LINK));
    let index = line.and_then(|line| line.split_whitespace().next());
    let index = index.ok_or("no index")?;
    // So that all that it sees at a look is as it was before.
    daemon(&mut j)?.pause()?;
    j.namespace.ip(&["link", "delete", LINK])?;
    j.namespace.ip(&[
        "link", "add", LINK, "index", index, "type", "veth", "peer", "name", "far",
    ])?;
    j.namespace
        .ip(&["link", "set", LINK, "addrgenmode", "none"])?;
    let far = k.namespace.path();
    j.namespace
        .ip(&["link", "set", "far", "netns", &far, "name", LINK])?;
    for node in [&mut j, &mut k] {
        node.namespace.set_up(LINK, true)?;
        node.add_addresses6()?;
    }
    wait::a_moment();
    daemon(&mut j)?.resume()?;
    for node in [&mut j, &mut k] {
        daemon(node)?.wait_for(JOINED)?;
    }
    both_ways(&j, &k, 0)
}
