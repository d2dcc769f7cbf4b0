//! Where log lines go: syslog, or standard error.
//!
//! The `log` crate has no "notice", the level of state changes; its `info` is used for that.

mod syslog;

use std::fmt::{self, Arguments};
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use log::{Level, LevelFilter, Log, Metadata, Record};

use self::syslog::Syslog;
use crate::failure::{Failure, words};
use crate::sys;

/// The name before each line.
const IDENT: &str = "joold";

/// How much is logged: the names of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(LevelFilter);

impl Threshold {
    /// What `--log-level` takes.
    pub const NAMES: [&str; 4] = ["error", "warning", "notice", "debug"];

    /// Errors alone.
    pub const ERROR: Self = Self(LevelFilter::Error);
    /// Warnings as well.
    pub const WARNING: Self = Self(LevelFilter::Warn);
    /// Changes of the state as well.
    pub const NOTICE: Self = Self(LevelFilter::Info);
    /// Everything.
    pub const DEBUG: Self = Self(LevelFilter::Debug);

    /// The level of that number, as `log` counts them.
    fn numbered(number: usize) -> Self {
        let all = [Self::ERROR, Self::WARNING, Self::NOTICE];
        let mut all = all.into_iter();
        all.find(|one| one.0 as usize == number)
            .unwrap_or(Self::DEBUG)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_level().map_or("off", name))
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self::NOTICE
    }
}

impl FromStr for Threshold {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let levels = [Self::ERROR, Self::WARNING, Self::NOTICE, Self::DEBUG];
        let at = Self::NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or(())?;
        Ok(levels[at])
    }
}

/// Where a Linux system's log listens.
const SYSTEM_LOG: &str = "/dev/log";

/// Where lines go.
struct Sink {
    /// The system's log, unless that is not wanted.
    syslog: Option<Syslog>,
    /// Whether they go to standard error, be it until there is a syslog.
    on_stderr: bool,
}

struct Output {
    sink: Mutex<Sink>,
}

static OUTPUT: OnceLock<Output> = OnceLock::new();

/// How much is logged now, as a number of `log`'s.
static THRESHOLD: AtomicUsize = AtomicUsize::new(LevelFilter::Info as usize);

/// The target of lines that somebody asked for, which pass whatever the level.
pub const ANSWER: &str = "joold::answer";

/// Starts logging: to syslog unless `stderr`, and to standard error, with a line that says so,
/// as long as there is no syslog.
pub fn start(stderr: bool, threshold: Threshold) {
    let mut syslog = (!stderr).then(|| Syslog::new(SYSTEM_LOG));
    let connected = syslog
        .as_mut()
        .map_or(Ok(()), |syslog| syslog.connect(Instant::now()));
    let output = OUTPUT.get_or_init(|| Output {
        sink: Mutex::new(Sink {
            syslog,
            on_stderr: stderr || connected.is_err(),
        }),
    });
    // Fails only if a logger is set already, which then goes on being used.
    let _ = log::set_logger(output);
    set_threshold(threshold);
    if let Err(error) = connected {
        log::warn!(
            "there is no syslog to log to ({}); logging to standard error until there is",
            words(&error)
        );
    }
}

/// How much is logged.
pub fn threshold() -> Threshold {
    Threshold::numbered(THRESHOLD.load(Ordering::Relaxed))
}

/// Logs that much from here on.
pub fn set_threshold(threshold: Threshold) {
    THRESHOLD.store(threshold.0 as usize, Ordering::Relaxed);
    // Answers are notices.
    log::set_max_level(threshold.0.max(LevelFilter::Info));
}

/// Tells why the program ends: in the log, and on standard error for whoever started it.
pub fn fatal(failure: &Failure) {
    log::error!("{failure}");
    if !OUTPUT.get().is_some_and(|output| output.sink().on_stderr) {
        let _ = say(failure);
    }
}

/// Writes a line to standard error, with the program's name before it, in one call: whoever reads it
/// never has half of one.
///
/// # Errors
/// Those of write(2).
pub fn say(text: &impl fmt::Display) -> io::Result<()> {
    let line = format!("{IDENT}: {text}\n");
    io::stderr().write_all(line.as_bytes())
}

/// When [`elapse`] has something to do: only while syslog has to be told of lost lines.
pub fn deadline() -> Option<Instant> {
    OUTPUT.get()?.sink().syslog.as_ref()?.deadline()
}

/// Tells syslog of lines that were lost, if there are any and it can be reached again.
pub fn elapse(now: Instant) {
    if let Some(output) = OUTPUT.get() {
        if let Some(syslog) = &mut output.sink().syslog {
            syslog.elapse(now);
        }
    }
}

/// How many log lines neither syslog nor standard error took: for the end of a line with counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost(u64);

/// The lines that were lost so far.
pub fn lost() -> Lost {
    let lost = |output: &Output| output.sink().syslog.as_ref().map_or(0, Syslog::lost);
    Lost(OUTPUT.get().map_or(0, lost) + UNTAKEN.load(Ordering::Relaxed) as u64)
}

impl Lost {
    /// How many.
    pub fn lines(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            lines => write!(f, "; log lines lost: {lines}"),
        }
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "notice",
        Level::Debug | Level::Trace => "debug",
    }
}

impl Output {
    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Output {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries may log through the same facade; their lines mean nothing to an operator.
        let target = metadata.target();
        target.starts_with(IDENT) && (metadata.level() <= threshold().0 || target == ANSWER)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut sink = self.sink();
            sink.write(Instant::now(), record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

impl Sink {
    fn write(&mut self, now: Instant, level: Level, text: &Arguments<'_>) {
        self.switch(now);
        match &mut self.syslog {
            Some(syslog) if !self.on_stderr => syslog.write(now, level, text),
            _ => complain(level, text),
        }
    }

    /// Goes over to syslog, if it is wanted and has come meanwhile. Until then standard error has
    /// every line, so that it is soon enough to look when there is another one.
    fn switch(&mut self, now: Instant) {
        let Some(syslog) = self.syslog.as_mut().filter(|_| self.on_stderr) else {
            return;
        };
        if syslog.connect(now).is_ok() {
            self.on_stderr = false;
            let to = format_args!("there is a syslog now; logging to it from here on");
            complain(Level::Info, &to);
            let from =
                format_args!("there was no syslog until now; earlier lines went to standard error");
            syslog.write(now, Level::Info, &from);
        }
    }
}

/// Lines that standard error did not take. (Not every processor of a small router has atomic numbers of 64 bits.)
static UNTAKEN: AtomicUsize = AtomicUsize::new(0);

/// Writes a line to standard error, unless that would have to wait for whoever reads it. Where that
/// fails there is nobody left to tell.
fn complain(level: Level, text: &Arguments<'_>) {
    let taken =
        sys::takes_a_line(&io::stderr()) && say(&format_args!("{}: {text}", name(level))).is_ok();
    if !taken {
        UNTAKEN.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notice_is_the_default_level() {
        assert_eq!("notice".parse(), Ok(Threshold::default()));
    }

    #[test]
    fn each_level_reads_back_by_name_and_by_number() {
        for name in Threshold::NAMES {
            let threshold: Threshold = name.parse().unwrap();
            assert_eq!(threshold.to_string(), name);
            assert_eq!(Threshold::numbered(threshold.0 as usize), threshold);
        }
    }

    #[test]
    fn an_unknown_level_is_refused() {
        assert_eq!("verbose".parse::<Threshold>(), Err(()));
    }
}
