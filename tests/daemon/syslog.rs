//! The system's log, which may come late, be restarted, or take nothing.

use jool_simulated::daemon::Program;
use jool_simulated::node::{Network, Node, Side, pair};
use jool_simulated::system_log::SystemLog;
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! {
        without_a_syslog_it_logs_to_standard_error_until_there_is_one
        a_restarted_syslog_is_found_and_told_what_was_lost
        a_syslog_that_takes_nothing_holds_nothing_up_and_is_told_what_was_lost
    })
}

const LOST: &str = "log lines lost while syslog was not there or took none: ";

/// Two routers with daemons, the first of which has a syslog of its own.
fn logging(log: &SystemLog, level: &str) -> Result<(Node, Node), Failed> {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let logging = Program::new(env!("CARGO_BIN_EXE_joold"))
        .argument("--log-level")
        .argument(level)
        .system_log(log);
    let network = Network::Ipv6;
    j.start_and_wait(&logging, &configuration(network, Side::J))?;
    k.start_and_wait(&program(), &configuration(network, Side::K))?;
    Ok((j, k))
}

/// How many lines that tell of losses there are, and how many they tell of.
fn told(said: &str) -> (usize, u64) {
    let numbers = said
        .lines()
        .filter_map(|line| line.split_once(LOST)?.1.parse().ok());
    let numbers: Vec<u64> = numbers.collect();
    (numbers.len(), numbers.iter().sum())
}

fn without_a_syslog_it_logs_to_standard_error_until_there_is_one() -> Outcome {
    let mut log = SystemLog::new()?;
    let (mut j, _k) = logging(&log, "notice")?;
    let daemon = daemon(&mut j)?;
    daemon.wait_for("there is no syslog to log to (No such file or directory)")?;
    daemon.wait_for("kernel module is there")?;
    log.listen()?;
    log.read()?;
    // A line within the second after the last look at syslog would go where that one went.
    wait::for_some("a line in syslog", || {
        daemon.ask_for_counters().ok()?;
        (!log.said().is_empty()).then_some(())
    })?;
    log.wait_for("]: counters: ")?;
    daemon.wait_for("there is a syslog now; logging to it from here on")?;
    log.wait_for("there was no syslog until now; earlier lines went to standard error")?;
    assert_eq!(daemon.stop()?.code(), Some(0));
    log.wait_for("stopping on SIGTERM")?;
    assert!(!daemon.said().contains("stopping"), "{}", daemon.said());
    Ok(())
}

fn a_restarted_syslog_is_found_and_told_what_was_lost() -> Outcome {
    let mut log = SystemLog::new()?;
    log.listen()?;
    log.read()?;
    let (mut j, k) = logging(&log, "notice")?;
    let daemon = daemon(&mut j)?;
    log.wait_for("kernel module is there")?;
    let open = daemon.descriptors()?.len();
    log.stop();
    // A line about this datagram ends the connection to the log that is gone.
    k.multicast(Network::Ipv6, PORT, b"?")?;
    wait::for_value("open descriptors", open - 1, || {
        daemon.descriptors().map_or(0, |open| open.len())
    })?;
    log.listen()?;
    log.read()?;
    // There is no other line than the one that tells of those that are lost.
    log.wait_for(LOST)?;
    assert_eq!(daemon.stop()?.code(), Some(0));
    let said = log.wait_for("stopping on SIGTERM")?;
    let (lines, lost) = told(&said);
    assert_eq!(lines, 1, "{said}");
    assert!(
        said.contains(&format!("; log lines lost: {lost}\n")),
        "{said}"
    );
    assert_eq!(daemon.said(), "");
    Ok(())
}

fn a_syslog_that_takes_nothing_holds_nothing_up_and_is_told_what_was_lost() -> Outcome {
    const SESSIONS: u32 = 36 * 2_000;
    let mut log = SystemLog::new()?;
    log.listen()?;
    let (mut j, k) = logging(&log, "debug")?;
    widen_queue(&j);
    translate(&j, (0..SESSIONS).map(sample::udp));
    wait_for_sessions(&k, SESSIONS as usize)?;
    log.read()?;
    log.wait_for(LOST)?;
    let daemon = daemon(&mut j)?;
    assert_eq!(daemon.stop()?.code(), Some(0));
    let said = log.wait_for("stopping on SIGTERM")?;
    let (_, lost) = told(&said);
    // Each batch is a line.
    assert!(lost > 1_000, "{said}");
    assert!(
        said.contains(&format!("; log lines lost: {lost}\n")),
        "{said}"
    );
    assert_eq!(daemon.said(), "");
    Ok(())
}
