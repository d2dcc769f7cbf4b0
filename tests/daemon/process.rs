//! The daemon as a process.

use std::fs;

use jool_simulated::daemon::{Configuration, Daemon, Program};
use jool_simulated::node::{Network, Node, Side, pair};
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;
use crate::statistics::ask_for_statistics;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        a_termination_ends_it_with_success
        one_thread_does_everything
        an_idle_daemon_sleeps
        counters_are_told_on_request_at_any_log_level
        closed_standard_streams_become_the_null_device
        a_second_daemon_is_refused_until_the_first_has_ended
        a_daemon_of_another_instance_on_the_same_port_is_warned_of
    })
}

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

/// Checks that nothing wakes the daemon but, every few seconds, a look at its instance.
pub fn it_sleeps(node: &mut Node) -> Outcome {
    for _ in 0..5 {
        wait_for_a_look(node)?;
        wait::a_moment();
        let (looks_before, before) = (looks(node), switches(daemon(node)?)?);
        assert_eq!(before.len(), 2);
        for _ in 0..4 {
            wait::a_moment();
        }
        let after = switches(daemon(node)?)?;
        // On a busy machine four moments may be longer than the time between two looks.
        if looks(node) == looks_before {
            assert_eq!(after, before);
            return Ok(());
        }
    }
    Err("it looked at its instance all the time".into())
}

fn an_idle_daemon_sleeps() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    it_sleeps(&mut j)
}

fn counters_are_told_on_request_at_any_log_level() -> Outcome {
    let (mut j, k) = pair(Version::SUPPORTED)?;
    let quiet = program().argument("--log-level").argument("error");
    j.start_and_wait(&quiet, &configuration(Network::Ipv6, Side::J))?;
    drop(k);
    // From here on it listens to signals.
    ask_for_statistics(&j, "[::1]:0", "[::1]")?;
    let j = daemon(&mut j)?;
    j.ask_for_counters()?;
    let said = j.wait_for("counters: ")?;
    assert!(!said.contains("receiving sessions"), "{said}");
    Ok(())
}

/// Or else the first sockets would be standard output and error, and be written to.
fn closed_standard_streams_become_the_null_device() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let script = r#"exec "$0" "$@" <&- >&- 2>&-"#;
    let closing = Program::new("/bin/sh")
        .argument("-c")
        .argument(script)
        .argument(env!("CARGO_BIN_EXE_joold"));
    let network = Network::Ipv6;
    j.start_and_wait(&closing, &configuration(network, Side::J))?;
    k.start_and_wait(&program(), &configuration(network, Side::K))?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    let id = daemon(&mut j)?.id();
    for stream in 0..3 {
        let target = fs::read_link(format!("/proc/{id}/fd/{stream}"))?;
        assert_eq!(target.to_str(), Some("/dev/null"), "{stream}");
    }
    Ok(())
}

/// What a second daemon is told; the stats port is the first one's.
fn second(network: Network, instance: &str) -> Configuration {
    Configuration {
        netsocket: network.plain_netsocket(Side::J, ""),
        modsocket: Some(format!(r#"{{ "instance": "{instance}" }}"#)),
        statistics: None,
    }
}

fn a_second_daemon_is_refused_until_the_first_has_ended() -> Outcome {
    let network = Network::Ipv6;
    let (mut j, _k) = running(network, Version::SUPPORTED)?;
    let id = daemon(&mut j)?.id();
    for instance in ["default", "Default"] {
        let second = second(network, instance);
        let mut second = Daemon::start(&program(), &j.namespace, &second)?;
        assert_eq!(second.wait()?.code(), Some(69), "{}", second.said());
        let holder = format!("process {id} (joold) serves the instance {instance} on [ff08::");
        second.wait_for(&holder)?;
    }
    assert!(daemon(&mut j)?.is_running()?);
    daemon(&mut j)?.kill();
    j.start_and_wait(&program(), &second(network, "default"))?;
    assert!(daemon(&mut j)?.is_running()?);
    Ok(())
}

fn a_daemon_of_another_instance_on_the_same_port_is_warned_of() -> Outcome {
    for network in [Network::Ipv6, Network::Ipv4] {
        let (mut j, mut k) = running(network, Version::SUPPORTED)?;
        let id = daemon(&mut j)?.id();
        let mut other = Daemon::start(&program(), &j.namespace, &second(network, "other"))?;
        other.wait_for("all sockets are open")?;
        other.wait_for(&format!("process {id} (joold) has a socket on "))?;
        assert!(other.is_running()?);
        let said = daemon(&mut k)?.said();
        assert!(!said.contains("has a socket on"), "{said}");
    }
    Ok(())
}
