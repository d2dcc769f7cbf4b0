//! SIGHUP: the files are read again.

use jool_simulated::node::{INSTANCE, Network, Node, Side, pair};
use jool_simulated::tap::Tap;
use jool_simulated::{requests, sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::Trial;

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        files_that_say_the_same_change_nothing
        another_port_is_listened_on_and_the_old_one_is_not
        another_hop_limit_needs_no_other_socket
        whoever_is_not_allowed_any_more_is_dropped
        another_instance_is_served
        other_globals_are_set_and_a_change_by_hand_stays_while_the_file_is_the_same
        refreshes_pass_when_they_are_not_merged_any_more
        a_user_waits_for_another_start_and_is_told_so_each_time
        a_bad_file_changes_nothing_and_is_told
        an_instance_that_another_daemon_serves_changes_nothing
    })
}

const NETSOCKET: &str = "netsocket.json";
const MODSOCKET: &str = "modsocket.json";

/// Has the daemon of a node read that file anew, and waits until it says `text` of it.
fn reload(node: &mut Node, file: &str, contents: &str, text: &str) -> Outcome {
    let daemon = daemon(node)?;
    let before = daemon.times(text);
    daemon.reload(file, contents)?;
    daemon.wait_for_times(text, before + 1)?;
    Ok(())
}

fn netsocket(side: Side, more: &str) -> String {
    Network::Ipv6.plain_netsocket(side, more)
}

fn modsocket(keys: &str) -> String {
    format!(r#"{{ "instance": "default"{keys} }}"#)
}

fn files_that_say_the_same_change_nothing() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let before = daemon(&mut j)?.descriptors()?;
    let same = netsocket(Side::J, "");
    reload(&mut j, NETSOCKET, &same, "they say what they said before")?;
    assert_eq!(daemon(&mut j)?.descriptors()?, before);
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)
}

fn another_port_is_listened_on_and_the_old_one_is_not() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let before = daemon(&mut j)?.descriptors()?.len();
    let moved = netsocket(Side::J, "").replace("6464", "6465");
    let told = r#""multicast port" was 6464 and is 6465"#;
    reload(&mut j, NETSOCKET, &moved, told)?;
    let format = j.kernel.module().format();
    let datagram = |number| requests::datagram(&[sample::udp(number)], format);
    k.multicast(Network::Ipv6, PORT, &datagram(0))?;
    k.multicast(Network::Ipv6, PORT + 1, &datagram(1))?;
    wait_for_sessions(&j, 1)?;
    assert_eq!(timeless(&j)[0].source6, sample::udp(1).source6);
    assert_eq!(daemon(&mut j)?.descriptors()?.len(), before);
    Ok(())
}

fn another_hop_limit_needs_no_other_socket() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let before = daemon(&mut j)?.descriptors()?;
    let more = r#", "ttl": 7, "receive buffer": 262144"#;
    let told = r#""ttl" was 1 and is 7"#;
    reload(&mut j, NETSOCKET, &netsocket(Side::J, more), told)?;
    let tap = Tap::open(&k.namespace)?;
    translate(&j, (0..36).map(sample::udp));
    let datagram = wait::for_some("a datagram on the wire", || tap.next(PORT))?;
    assert_eq!(datagram.ttl, 7);
    assert_eq!(daemon(&mut j)?.descriptors()?, before);
    assert!(daemon(&mut j)?.said().contains("has 262144 bytes"));
    Ok(())
}

fn whoever_is_not_allowed_any_more_is_dropped() -> Outcome {
    let (j, mut k) = running(Network::Ipv6, Version::SUPPORTED)?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    let list = r#", "allow from": ["2001:db8::99"]"#;
    reload(&mut k, NETSOCKET, &netsocket(Side::K, list), "allow from")?;
    translate(&j, (36..72).map(sample::udp));
    daemon(&mut k)?.wait_for("datagram from outside")?;
    reload(
        &mut k,
        NETSOCKET,
        &netsocket(Side::K, ""),
        "is not named any more",
    )?;
    translate(&j, (72..108).map(sample::udp));
    wait_for_sessions(&k, 72)
}

fn another_instance_is_served() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    j.kernel.add_plain_instance("other");
    let other = r#"{ "instance": "other" }"#;
    reload(&mut j, MODSOCKET, other, r#""instance" was "default""#)?;
    wait::for_value("synchronization of the other", Some(true), || {
        j.kernel.with("other", |jool| jool.globals.ss_enabled)
    })?;
    translate(&j, (0..36).map(sample::udp));
    for number in 36..72 {
        j.kernel.translate("other", &sample::udp(number));
    }
    wait_for_sessions(&k, 36)?;
    assert!(
        timeless(&k)
            .iter()
            .all(|session| session.source6.1 != sample::udp(0).source6.1)
    );
    Ok(())
}

fn other_globals_are_set_and_a_change_by_hand_stays_while_the_file_is_the_same() -> Outcome {
    let (mut j, _k) = running(Network::Ipv6, Version::SUPPORTED)?;
    daemon(&mut j)?.wait_for("sessions are synchronized")?;
    let deadline = |node: &Node| {
        let deadline =
            |jool: &mut jool_simulated::instance::Instance| jool.globals.ss_flush_deadline;
        node.kernel.with(INSTANCE, deadline)
    };
    let told = "ss-flush-deadline of the instance set from 2000 to 50";
    let keys = modsocket(r#", "ss-flush-deadline": 50"#);
    reload(&mut j, MODSOCKET, &keys, told)?;
    assert_eq!(deadline(&j), Some(50));
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_flush_deadline = 70);
    reload(&mut j, MODSOCKET, &keys, "they say what they said before")?;
    wait_for_a_look(&j)?;
    wait_for_a_look(&j)?;
    assert_eq!(deadline(&j), Some(70));
    Ok(())
}

fn refreshes_pass_when_they_are_not_merged_any_more() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let keys = modsocket(r#", "refresh window": 0"#);
    translate(&j, (0..36).map(sample::udp));
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    reload(
        &mut j,
        MODSOCKET,
        &keys,
        r#""refresh window" was 1000 and is 0"#,
    )?;
    let received = || k.kernel.statistics(INSTANCE).sessions_received;
    // What was held left when it was not to be held any more.
    wait::for_value("updates at K", 72, received)?;
    translate(&j, (0..36).map(sample::udp));
    Ok(wait::for_value("updates at K", 108, received)?)
}

fn a_user_waits_for_another_start_and_is_told_so_each_time() -> Outcome {
    let (mut j, _k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let keys = modsocket(r#", "user": "root""#);
    let waits = r#""user" takes effect when joold is started again"#;
    for _ in 0..2 {
        reload(&mut j, MODSOCKET, &keys, waits)?;
    }
    let told = "the files were read again; nothing was changed";
    let j = daemon(&mut j)?;
    j.wait_for_times(told, 2)?;
    assert_eq!(j.times("they say what they said before"), 0);
    Ok(())
}

fn a_bad_file_changes_nothing_and_is_told() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    let before = daemon(&mut j)?.descriptors()?;
    for (file, contents, text) in [
        (NETSOCKET, "{", "not valid JSON"),
        (
            NETSOCKET,
            &netsocket(Side::J, r#", "ttl": 256"#),
            "out of range",
        ),
        (NETSOCKET, "", "the file is empty"),
    ] {
        reload(&mut j, file, contents, text)?;
        assert!(daemon(&mut j)?.said().contains("nothing was changed"));
    }
    reload(&mut j, NETSOCKET, &netsocket(Side::J, ""), "they say what")?;
    reload(&mut j, MODSOCKET, r#"{ "instance": 7 }"#, "7 is wrong")?;
    assert_eq!(daemon(&mut j)?.descriptors()?, before);
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)
}

fn an_instance_that_another_daemon_serves_changes_nothing() -> Outcome {
    let (mut j, k) = pair(Version::SUPPORTED)?;
    let network = Network::Ipv6;
    j.start_and_wait(&program(), &configuration(network, Side::J))?;
    let mut other = configuration(network, Side::J);
    other.modsocket = Some(r#"{ "instance": "other" }"#.to_owned());
    other.statistics = None;
    j.kernel.add_instance("other");
    let first = j.daemon.take();
    j.start(&program(), &other)?;
    daemon(&mut j)?.wait_for("all sockets are open")?;
    // Hold on to both: the first one is asked to serve what the second one does.
    let second = std::mem::replace(&mut j.daemon, first);
    let taken = r#"{ "instance": "other" }"#;
    reload(&mut j, MODSOCKET, taken, "nothing was changed")?;
    assert!(daemon(&mut j)?.said().contains("serves the instance other"));
    translate(&j, (0..36).map(sample::udp));
    assert!(k.daemon.is_none());
    drop(second);
    Ok(())
}
