//! The instance: what the daemon makes of it when it appears, and what it leaves alone.

use jool_simulated::instance::Pool4Entry;
use jool_simulated::node::{INSTANCE, Network, Node, Side, pair};
use jool_simulated::{requests, sample, wait};
use joold::wire::jool::{Command, Version};
use joold::wire::session::{Format, Session};
use libtest_mimic::{Failed, Trial};

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        synchronization_is_turned_on_wherever_the_daemon_starts
        an_instance_that_comes_later_is_served
        an_instance_that_was_created_anew_meanwhile_is_configured_again
        a_file_that_says_false_leaves_the_instance_alone
        what_somebody_turns_off_by_hand_stays_off_until_the_instance_is_created_anew
        what_the_file_names_is_set_and_told_with_old_and_new_value
        a_value_that_the_module_refuses_is_told_in_its_words
        no_session_waits_for_the_modules_own_timer
        an_idle_node_does_not_flush
        sessions_outside_pool4_do_not_reach_the_kernel
        an_instance_that_is_just_being_configured_takes_sessions_outside_pool4
        a_pool4_that_grew_since_it_was_read_is_asked_for_before_anything_is_left_out
        a_flat_datagram_to_an_old_module_is_refused_once_its_version_is_known
    });
    for (name, version) in [("flat", Version::SUPPORTED), ("nested", OLD)] {
        let test = move || lifetimes_are_cut_to_the_instances_longest(version);
        tests.push(case(
            "lifetimes_are_cut_to_the_instances_longest",
            name,
            test,
        ));
    }
    tests
}

/// Starts the daemon of a node with these keys in its module file.
fn start(node: &mut Node, keys: &str) -> Outcome {
    let mut configuration = configuration(Network::Ipv6, node.side);
    configuration.modsocket = Some(format!(r#"{{ "instance": "default"{keys} }}"#));
    Ok(node.start_and_wait(&program(), &configuration)?)
}

fn is_on(node: &Node) -> bool {
    let on = node.kernel.with(INSTANCE, |jool| jool.globals.ss_enabled);
    on.unwrap_or_default()
}

fn wait_until_on(node: &Node) -> Outcome {
    Ok(wait::for_value("synchronization", true, || is_on(node))?)
}

/// Lets the daemon look at its instance, and act on it.
fn let_it_look(node: &Node) -> Outcome {
    wait_for_a_look(node)?;
    wait_for_a_look(node)
}

/// A pair whose instances are as `jool instance add` leaves them.
fn plain_pair() -> Result<(Node, Node), Failed> {
    let (j, k) = pair(Version::SUPPORTED)?;
    for node in [&j, &k] {
        node.kernel.add_plain_instance(INSTANCE);
    }
    Ok((j, k))
}

fn synchronization_is_turned_on_wherever_the_daemon_starts() -> Outcome {
    let (mut j, mut k) = plain_pair()?;
    for node in [&mut j, &mut k] {
        start(node, "")?;
        wait_until_on(node)?;
    }
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    daemon(&mut j)?.wait_for("ss-enabled of the instance set from false to true")?;
    Ok(())
}

fn an_instance_that_comes_later_is_served() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    j.kernel.remove_instance(INSTANCE);
    start(&mut j, "")?;
    start(&mut k, "")?;
    let said = daemon(&mut j)?.wait_for("jool instance add")?;
    assert!(said.contains("This namespace lacks an instance"), "{said}");
    j.kernel.add_plain_instance(INSTANCE);
    wait_until_on(&j)?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    assert_eq!(daemon(&mut j)?.times("jool instance add"), 1);
    Ok(())
}

fn an_instance_that_was_created_anew_meanwhile_is_configured_again() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    start(&mut j, r#", "ss-flush-deadline": 50"#)?;
    start(&mut k, "")?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    let_it_look(&j)?;
    // Between two looks: there is no moment without an instance.
    j.kernel.add_plain_instance(INSTANCE);
    daemon(&mut j)?.wait_for("created anew")?;
    wait_until_on(&j)?;
    let deadline = j
        .kernel
        .with(INSTANCE, |jool| jool.globals.ss_flush_deadline);
    assert_eq!(deadline, Some(50));
    translate(&j, (36..72).map(sample::udp));
    wait_for_sessions(&k, 72)
}

fn a_file_that_says_false_leaves_the_instance_alone() -> Outcome {
    let (mut j, _k) = plain_pair()?;
    start(&mut j, r#", "ss-enabled": false"#)?;
    daemon(&mut j)?.wait_for("which joold leaves alone")?;
    let_it_look(&j)?;
    assert!(!is_on(&j));
    assert!(requests_by_instance(&j, Command::GlobalUpdate).is_empty());
    Ok(())
}

fn what_somebody_turns_off_by_hand_stays_off_until_the_instance_is_created_anew() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    start(&mut j, "")?;
    daemon(&mut j)?.wait_for("sessions are synchronized")?;
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    daemon(&mut j)?.wait_for("was turned off at the instance")?;
    let_it_look(&j)?;
    assert!(!is_on(&j));
    j.kernel.add_plain_instance(INSTANCE);
    wait_until_on(&j)
}

fn what_the_file_names_is_set_and_told_with_old_and_new_value() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let keys =
        r#", "ss-flush-deadline": 20, "ss-capacity": 1024, "ss-max-sessions-per-packet": 36"#;
    start(&mut j, keys)?;
    let said = daemon(&mut j)?.wait_for("sessions are synchronized")?;
    let globals = j.kernel.with(INSTANCE, |jool| jool.globals.clone());
    let globals = globals.unwrap();
    assert_eq!((globals.ss_flush_deadline, globals.ss_capacity), (20, 1024));
    for line in [
        "ss-flush-deadline of the instance set from 2000 to 20",
        "ss-capacity of the instance set from 512 to 1024",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(!said.contains("ss-max-sessions-per-packet of"), "{said}");
    Ok(())
}

fn a_value_that_the_module_refuses_is_told_in_its_words() -> Outcome {
    let (mut j, _k) = plain_pair()?;
    j.kernel.module().refuses_updates = true;
    start(&mut j, "")?;
    let said = daemon(&mut j)?.wait_for("refused to change the instance's globals")?;
    assert!(said.contains("(error 22)"), "{said}");
    j.kernel.module().refuses_updates = false;
    wait_until_on(&j)
}

fn no_session_waits_for_the_modules_own_timer() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    start(&mut j, r#", "ss-flush-deadline": 100"#)?;
    start(&mut k, "")?;
    daemon(&mut j)?.wait_for("sessions are synchronized")?;
    j.kernel.module().stop_timer();
    // The first of each three leaves at once, for the deadline since the last batch has passed. The
    // others are queued behind it.
    for number in 0..5 {
        wait::a_moment();
        translate(&j, (number * 3..number * 3 + 3).map(sample::udp));
        wait_for_sessions(&k, 3 * (number as usize + 1))?;
    }
    Ok(())
}

fn an_idle_node_does_not_flush() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    start(&mut j, r#", "ss-flush-deadline": 20"#)?;
    start(&mut k, "")?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    wait::a_moment();
    let acks = || j.kernel.statistics(INSTANCE).acks;
    let before = acks();
    let_it_look(&j)?;
    assert_eq!(acks(), before);
    Ok(())
}

fn lifetimes_are_cut_to_the_instances_longest(version: Version) -> Outcome {
    let (mut j, k) = running(Network::Ipv6, version)?;
    daemon(&mut j)?.wait_for("sessions are synchronized")?;
    let format = j.kernel.module().format();
    let ever = Session {
        expiration: 49 * 86_400_000,
        ..sample::udp(0)
    };
    k.multicast(Network::Ipv6, PORT, &requests::datagram(&[ever], format))?;
    wait_for_sessions(&j, 1)?;
    let lives = j.kernel.sessions(INSTANCE)[0].expiration;
    assert!(lives <= 2 * 60 * 60 * 1000, "{lives}");
    daemon(&mut j)?.ask_for_counters()?;
    daemon(&mut j)?.wait_for("lifetimes cut to the instance's longest: 1")?;
    Ok(())
}

/// An entry of pool4 that has a session's mask.
fn entry(session: &Session) -> Pool4Entry {
    Pool4Entry {
        protocol: session.protocol,
        address: *session.source4.ip(),
        ports: (0, u16::MAX),
    }
}

/// A pair of which J's instance has a pool4 for the first of two sessions.
fn pair_with_pool4() -> Result<(Node, Node, [Session; 2]), Failed> {
    let (mut j, k) = pair(Version::SUPPORTED)?;
    let (inside, mut outside) = (sample::udp(0), sample::udp(1));
    outside.source4.set_ip("203.0.113.1".parse().unwrap());
    j.kernel
        .with(INSTANCE, |jool| jool.pool4.push(entry(&inside)));
    start(&mut j, "")?;
    daemon(&mut j)?.wait_for("sessions are synchronized")?;
    Ok((j, k, [inside, outside]))
}

fn sessions_outside_pool4_do_not_reach_the_kernel() -> Outcome {
    let (mut j, k, [inside, outside]) = pair_with_pool4()?;
    let format = j.kernel.module().format();
    let datagram = requests::datagram(&[outside, inside], format);
    k.multicast(Network::Ipv6, PORT, &datagram)?;
    wait_for_sessions(&j, 1)?;
    assert_eq!(timeless(&j)[0].source4, inside.source4);
    daemon(&mut j)?.wait_for("not in pool4")?;
    Ok(())
}

fn a_pool4_that_grew_since_it_was_read_is_asked_for_before_anything_is_left_out() -> Outcome {
    let (mut j, k, both) = pair_with_pool4()?;
    // What was read a moment ago is believed.
    for _ in 0..4 {
        wait::a_moment();
    }
    j.kernel
        .with(INSTANCE, |jool| jool.pool4.push(entry(&both[1])));
    let format = j.kernel.module().format();
    k.multicast(Network::Ipv6, PORT, &requests::datagram(&both, format))?;
    wait_for_sessions(&j, 2)?;
    assert!(!daemon(&mut j)?.said().contains("not in pool4"));
    Ok(())
}

fn an_instance_that_is_just_being_configured_takes_sessions_outside_pool4() -> Outcome {
    let (mut j, k, both) = pair_with_pool4()?;
    j.kernel.add_plain_instance(INSTANCE);
    j.kernel
        .with(INSTANCE, |jool| jool.pool4.push(entry(&both[0])));
    daemon(&mut j)?.wait_for("created anew")?;
    wait_until_on(&j)?;
    let format = j.kernel.module().format();
    k.multicast(Network::Ipv6, PORT, &requests::datagram(&both, format))?;
    wait_for_sessions(&j, 2)
}

fn a_flat_datagram_to_an_old_module_is_refused_once_its_version_is_known() -> Outcome {
    let (mut j, mut k) = pair(OLD)?;
    j.start_and_wait(&program(), &configuration(Network::Ipv6, Side::J))?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    translate(&j, (0..10).map(sample::udp));
    daemon(&mut j)?.wait_for("its module is Jool 4.1.11")?;
    let flat = requests::datagram(&[sample::udp(0)], Format::Flat);
    k.multicast(Network::Ipv6, PORT, &flat)?;
    daemon(&mut j)?.wait_for("another version of Jool")?;
    Ok(())
}
