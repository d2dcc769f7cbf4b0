//! What the daemon may do, and as whom it runs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use jool_simulated::daemon::{Configuration, Daemon, Program};
use jool_simulated::node::{Network, Side, pair};
use jool_simulated::system_log::SystemLog;
use jool_simulated::{sample, wait};
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        root_keeps_one_capability_alone
        a_multicast_port_below_1024_keeps_its_capability_too
    });
    // In a user namespace with one user there is nobody else to be.
    let alone = !has_other_users();
    let others = tests! {
        with_a_user_it_runs_as_that_one_and_does_its_work
        started_with_the_one_capability_it_works_as_an_ordinary_user
        started_without_any_capability_it_runs
        to_become_another_user_without_the_right_is_refused
    };
    tests.extend(others.map(|test| test.with_ignored_flag(alone)));
    tests
}

/// Debian's user with the least rights, and its group.
pub const NOBODY: u32 = 65_534;

const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_ADMIN: u64 = 1 << 12;

/// Whether there is anybody besides root.
pub fn has_other_users() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let (first, count) = (numbers.next(), numbers.nth(1));
        matches!((first, count), (Some(Ok(0)), Some(Ok(NOBODY..))))
    })
}

/// The lines of `/proc/<id>/status`.
fn status(daemon: &Daemon) -> Result<BTreeMap<String, String>, Failed> {
    let status = daemon.proc("status")?;
    let pairs = status.lines().filter_map(|line| line.split_once(':'));
    let pairs = pairs.map(|(key, value)| {
        let words: Vec<_> = value.split_whitespace().collect();
        (key.to_owned(), words.join(" "))
    });
    Ok(pairs.collect())
}

/// Checks that it has `kept` and nothing else.
fn check_sets(status: &BTreeMap<String, String>, kept: u64) {
    let sets = [
        ("CapPrm", kept),
        ("CapEff", kept),
        ("CapInh", 0),
        ("CapAmb", 0),
    ];
    for (name, set) in sets {
        assert_eq!(status[name], format!("{set:016x}"), "{name}");
    }
    assert_eq!(status["NoNewPrivs"], "1");
}

fn check_bounding_set(status: &BTreeMap<String, String>, kept: u64) {
    assert_eq!(status["CapBnd"], format!("{kept:016x}"));
}

fn check_user(status: &BTreeMap<String, String>, user: u32) {
    let four = [user; 4].map(|id| id.to_string()).join(" ");
    assert_eq!(status["Uid"], four);
    assert_eq!(status["Gid"], four);
    assert_eq!(status["Groups"], "");
}

fn root_keeps_one_capability_alone() -> Outcome {
    let (mut j, k) = running(Network::Ipv6, Version::SUPPORTED)?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    translate(&k, (36..72).map(sample::udp));
    wait_for_sessions(&j, 72)?;
    let j = daemon(&mut j)?;
    let status = status(j)?;
    check_sets(&status, NET_ADMIN);
    check_bounding_set(&status, NET_ADMIN);
    assert!(status["Uid"].starts_with("0 "), "{}", status["Uid"]);
    j.wait_for("running with CAP_NET_ADMIN alone")?;
    Ok(())
}

fn a_multicast_port_below_1024_keeps_its_capability_too() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let mut low = configuration(Network::Ipv6, Side::J);
    low.netsocket = low.netsocket.replace("6464", "464");
    j.start(&program(), &low)?;
    let j = daemon(&mut j)?;
    j.wait_for("running with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE alone")?;
    let status = status(j)?;
    check_sets(&status, NET_ADMIN | NET_BIND_SERVICE);
    check_bounding_set(&status, NET_ADMIN | NET_BIND_SERVICE);
    Ok(())
}

/// A configuration whose module file names a user.
fn with_user(user: &str) -> Configuration {
    let mut configuration = configuration(Network::Ipv6, Side::J);
    configuration.modsocket = Some(format!(r#"{{ "instance": "default", "user": {user} }}"#));
    configuration
}

fn with_a_user_it_runs_as_that_one_and_does_its_work() -> Outcome {
    let mut log = SystemLog::new()?;
    log.listen()?;
    log.read()?;
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let joold = Program::new(env!("CARGO_BIN_EXE_joold")).system_log(&log);
    j.start_and_wait(&joold, &with_user(r#""nobody""#))?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    log.wait_for("running as the user nobody (65534) with CAP_NET_ADMIN alone")?;
    let status = status(daemon(&mut j)?)?;
    check_user(&status, NOBODY);
    check_sets(&status, NET_ADMIN);
    check_bounding_set(&status, NET_ADMIN);
    // As that user it finds a restarted syslog, too.
    log.stop();
    log.listen()?;
    log.read()?;
    wait::for_some("the counters in syslog", || {
        j.daemon.as_ref()?.ask_for_counters().ok()?;
        log.said().contains("counters: ").then_some(())
    })?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    translate(&k, (36..72).map(sample::udp));
    wait_for_sessions(&j, 72)?;
    let j = daemon(&mut j)?;
    assert_eq!(j.stop()?.code(), Some(0));
    log.wait_for("stopping on SIGTERM")?;
    assert_eq!(j.said(), "");
    Ok(())
}

/// The daemon's program where every user finds it.
struct Everybodys(PathBuf);

impl Everybodys {
    fn new() -> io::Result<Self> {
        let name = format!("joold-everybodys-{}", std::process::id());
        let mut path = std::env::temp_dir();
        path.push(format!("{name}-{:?}", std::thread::current().id()));
        // By another process: a program that this one has open for writing cannot be executed, nor
        // while a child has inherited that.
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_joold"))
            .arg(&path)
            .status()?;
        match copied.success() {
            true => Ok(Self(path)),
            false => Err(io::Error::other("cannot copy the program")),
        }
    }

    /// Started as a service manager does: as nobody, with `options` of setpriv(1).
    fn as_nobody(&self, options: &[&str]) -> Program {
        let nobody = NOBODY.to_string();
        let mut program = Program::new("setpriv");
        for option in ["--reuid", &nobody, "--regid", &nobody, "--clear-groups"] {
            program = program.argument(option);
        }
        for option in options {
            program = program.argument(option);
        }
        program
            .argument(&self.0.to_string_lossy())
            .argument("--stderr")
    }
}

impl Drop for Everybodys {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const THE_ONE: [&str; 4] = ["--inh-caps", "+net_admin", "--ambient-caps", "+net_admin"];

fn started_with_the_one_capability_it_works_as_an_ordinary_user() -> Outcome {
    let joold = Everybodys::new()?;
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    // What the file names is what the service manager has done.
    for configuration in [configuration(Network::Ipv6, Side::J), with_user("65534")] {
        j.start_and_wait(&joold.as_nobody(&THE_ONE), &configuration)?;
        let j = daemon(&mut j)?;
        j.wait_for(" with CAP_NET_ADMIN alone")?;
        let status = status(j)?;
        check_user(&status, NOBODY);
        check_sets(&status, NET_ADMIN);
        assert!(
            !j.said().contains("instead of"),
            "it may size its buffers: {}",
            j.said()
        );
    }
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    Ok(())
}

/// On the kernel's own generic netlink, which everybody may hear; the simulation's is not so.
fn started_without_any_capability_it_runs() -> Outcome {
    let joold = Everybodys::new()?;
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let unled = joold.as_nobody(&["env", "-u", "LD_PRELOAD"]);
    j.start(&unled, &configuration(Network::Ipv6, Side::J))?;
    let j = daemon(&mut j)?;
    j.wait_for("running with no capability")?;
    j.wait_for("all sockets are open")?;
    check_sets(&status(j)?, 0);
    assert!(j.is_running()?);
    Ok(())
}

fn to_become_another_user_without_the_right_is_refused() -> Outcome {
    let joold = Everybodys::new()?;
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    j.start(&joold.as_nobody(&THE_ONE), &with_user(r#""root""#))?;
    let j = daemon(&mut j)?;
    assert_eq!(j.wait()?.code(), Some(77), "{}", j.said());
    j.wait_for(
        "cannot become the user root (0), the \"user\" of the module file: Operation not permitted; \
         start joold as root",
    )?;
    Ok(())
}
