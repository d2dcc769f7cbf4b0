//! System calls, counted by strace.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use jool_simulated::daemon::Daemon;
use jool_simulated::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::burst;
use crate::stage::{Router, Stage};

/// Batches of a burst under strace, which makes everything slow.
pub const BATCHES: u64 = 5_000;

/// Calls per batch, by name.
pub type Calls = BTreeMap<String, f64>;

/// Whether there is an strace here.
pub fn available() -> bool {
    Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What J's daemon calls for each batch that it sends.
///
/// # Errors
/// When strace or the burst fails.
pub fn sending(stage: &Stage, directory: &Path) -> Result<Calls, String> {
    counted(stage, &stage.j, directory, |burst| burst.out.given)
}

/// What K's daemon calls for each batch that arrives. It is slow under strace, and loses many.
///
/// # Errors
/// When strace or the burst fails.
pub fn receiving(stage: &Stage, directory: &Path) -> Result<Calls, String> {
    counted(stage, &stage.k, directory, |burst| burst.out.arrived)
}

fn counted(
    stage: &Stage,
    router: &Router,
    directory: &Path,
    batches: impl Fn(&burst::Burst) -> u64,
) -> Result<Calls, String> {
    let file = directory.join("strace");
    let strace = Strace::attach(&router.daemon, &file)?;
    let burst = burst::run(stage, BATCHES, false);
    strace.detach()?;
    let batches = batches(&burst?).max(1) as f64;
    let text = fs::read_to_string(&file).map_err(|error| format!("{file:?}: {error}"))?;
    Ok(parse(&text)
        .map(|(name, calls)| (name.to_owned(), calls / batches))
        .collect())
}

/// strace's summary: share, seconds, microseconds a call, calls, sometimes errors, name.
fn parse(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let calls = fields.nth(3)?.parse().ok()?;
        let name = fields.next_back().filter(|name| *name != "total")?;
        Some((name, calls))
    })
}

struct Strace(Child);

impl Strace {
    fn attach(daemon: &Daemon, file: &Path) -> Result<Self, String> {
        let start = Command::new("strace")
            .args(["-f", "-c", "-p"])
            .arg(daemon.id().to_string())
            .arg("-o")
            .arg(file)
            .stderr(Stdio::null())
            .spawn();
        let strace = Self(start.map_err(|error| format!("strace: {error}"))?);
        wait::for_some("strace to trace all threads of the daemon", || {
            all_traced(daemon).ok()?.then_some(())
        })?;
        Ok(strace)
    }

    fn detach(mut self) -> Result<(), String> {
        let id = i32::try_from(self.0.id()).map_err(|error| error.to_string())?;
        kill(Pid::from_raw(id), Signal::SIGINT).map_err(|error| format!("strace: {error}"))?;
        self.0.wait().map_err(|error| format!("strace: {error}"))?;
        Ok(())
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // It has ended already unless something failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn all_traced(daemon: &Daemon) -> io::Result<bool> {
    for entry in fs::read_dir(format!("/proc/{}/task", daemon.id()))? {
        let status = fs::read_to_string(entry?.path().join("status"))?;
        if status.contains("TracerPid:\t0\n") {
            return Ok(false);
        }
    }
    Ok(true)
}
