//! Session tables that become equal.

use jool_simulated::node::{INSTANCE, Network, Node, Side, pair};
use jool_simulated::{sample, wait};
use joold::wire::jool::{Command, Version};
use libtest_mimic::Trial;

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        sessions_keep_what_is_left_of_their_lifetime
        a_daemon_that_starts_late_is_told_by_the_next_advertisement
        instances_are_matched_without_case
        other_instances_are_left_alone
    });
    for (name, network) in [
        ("ipv6", Network::Ipv6),
        ("ipv6_link_local", Network::Ipv6Link),
        ("ipv6_by_address", Network::Ipv6ByAddress),
        ("ipv4", Network::Ipv4),
        ("ipv4_by_name", Network::Ipv4ByName),
    ] {
        let test = move || sessions_travel(network, Version::SUPPORTED);
        tests.push(case("sessions_travel_both_ways", name, test));
    }
    for (name, network) in [("ipv6", Network::Ipv6), ("ipv4", Network::Ipv4)] {
        let nested = move || sessions_travel(network, OLD);
        tests.push(case("nested_sessions_travel_both_ways", name, nested));
        let own = move || own_multicasts_do_not_come_back(network);
        tests.push(case("own_multicasts_do_not_come_back", name, own));
    }
    for (name, from_j) in [("from_j_to_k", true), ("from_k_to_j", false)] {
        let test = move || an_advertisement_arrives_whole(from_j);
        tests.push(case("an_advertisement_arrives_whole", name, test));
    }
    tests
}

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
