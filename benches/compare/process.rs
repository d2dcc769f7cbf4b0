//! What the kernel tells about a process.

use std::fs;
use std::io;
use std::time::Duration;

use jool_simulated::daemon::Daemon;

/// What a daemon has used since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Time on a processor, of all threads: /proc/PID/task/*/schedstat.
    pub processor: Duration,
    /// Of that in user mode, in clock ticks: /proc/PID/stat.
    pub user_ticks: u64,
    /// And in the kernel.
    pub system_ticks: u64,
    /// Times that a thread went to sleep by itself, and was woken.
    pub wakeups: u64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub fn of(daemon: &Daemon) -> io::Result<Self> {
        let mut usage = Self::default();
        for entry in fs::read_dir(format!("/proc/{}/task", daemon.id()))? {
            let task = entry?.path();
            let schedstat = fs::read_to_string(task.join("schedstat"))?;
            usage.processor += Duration::from_nanos(number(schedstat.split(' ').next())?);
            let status = fs::read_to_string(task.join("status"))?;
            usage.wakeups += field(&status, "voluntary_ctxt_switches")?;
        }
        let stat = daemon.proc("stat")?;
        // The name in parentheses may contain anything; user and system time are the 12th and
        // 13th field behind it.
        let behind = stat.rsplit_once(") ").map(|(_, behind)| behind);
        let mut fields = behind.unwrap_or_default().split(' ').skip(11);
        usage.user_ticks = number(fields.next())?;
        usage.system_ticks = number(fields.next())?;
        Ok(usage)
    }

    /// What has been used since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            processor: self.processor.saturating_sub(earlier.processor),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
            wakeups: self.wakeups.saturating_sub(earlier.wakeups),
        }
    }
}

/// Time on a processor of the kernel's threads that take over when packets come faster than
/// those who send them may handle: work of the daemons that no daemon is charged for.
///
/// # Errors
/// When /proc cannot be read.
pub fn softirq_threads() -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        // Most entries are no processes, and processes end.
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        if name.starts_with("ksoftirqd/") {
            let schedstat = fs::read_to_string(process.join("schedstat"))?;
            total += Duration::from_nanos(number(schedstat.split(' ').next())?);
        }
    }
    Ok(total)
}

/// A daemon's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// The most that was resident, without the benchmark's own file.
    pub peak: u64,
    /// What is its own: neither a file's nor shared.
    pub private: u64,
}

impl Memory {
    /// Reads it.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub fn of(daemon: &Daemon) -> io::Result<Self> {
        let status = daemon.proc("status")?;
        let bytes = |name| field(&status, name).map(|kilobytes| kilobytes * 1024);
        Ok(Self {
            peak: bytes("VmHWM")?.saturating_sub(bytes("RssShmem")?),
            private: bytes("RssAnon")?,
        })
    }
}

/// A number of /proc/PID/status.
fn field(status: &str, name: &str) -> io::Result<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    number(line.and_then(|value| value.split_whitespace().next()))
}

fn number(text: Option<&str>) -> io::Result<u64> {
    text.and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| io::Error::other("/proc has another format than expected"))
}
