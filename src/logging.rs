//! Where log lines go: syslog, or standard error.
//!
//! The `log` crate has no "notice", the level of state changes; its `info` is used for that.

use std::fmt;
use std::io::{self, Write};
use std::process;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;
use log::{Level, LevelFilter, Log, Metadata, Record};
use syslog::{Facility, LogFormat, Logger, LoggerBackend, Severity};

/// The name before each line.
const IDENT: &str = "joold";

/// How much is logged: the names of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(LevelFilter);

impl Threshold {
    /// What `--log-level` takes.
    pub const NAMES: [&str; 4] = ["error", "warning", "notice", "debug"];
}

impl Default for Threshold {
    fn default() -> Self {
        Self(LevelFilter::Info)
    }
}

impl FromStr for Threshold {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let levels = [
            LevelFilter::Error,
            LevelFilter::Warn,
            LevelFilter::Info,
            LevelFilter::Debug,
        ];
        let at = Self::NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or(())?;
        Ok(Self(levels[at]))
    }
}

/// RFC 3164 as local programs write it, but without the time: every syslog sets its own where there
/// is none, and knows its time zone better.
#[derive(Clone, Copy)]
struct Local {
    pid: u32,
}

impl<T: fmt::Display> LogFormat<T> for Local {
    fn format<W: Write>(
        &self,
        out: &mut W,
        severity: Severity,
        message: T,
    ) -> Result<(), syslog::Error> {
        let priority = Facility::LOG_DAEMON as u8 | severity as u8;
        // One call: each is a datagram.
        out.write_fmt(format_args!("<{priority}>{IDENT}[{}]: {message}", self.pid))
            .map_err(syslog::Error::Write)
    }
}

enum Sink {
    Syslog(Box<Logger<LoggerBackend, Local>>),
    Stderr,
}

struct Output {
    sink: Mutex<Sink>,
    threshold: LevelFilter,
}

/// The target of lines that somebody asked for, which pass whatever the level.
pub const ANSWER: &str = "joold::answer";

/// Whether log lines go to standard error.
static ON_STDERR: AtomicBool = AtomicBool::new(false);

/// Starts logging: to syslog unless `stderr`, and to standard error, with a line that says so,
/// where there is no syslog.
pub fn start(stderr: bool, threshold: Threshold) {
    let (sink, problem) = match stderr {
        true => (Sink::Stderr, None),
        false => match connect() {
            Ok(logger) => (Sink::Syslog(Box::new(logger)), None),
            Err(problem) => (Sink::Stderr, Some(innermost(&problem))),
        },
    };
    ON_STDERR.store(matches!(sink, Sink::Stderr), Ordering::Relaxed);
    // Fails only if a logger is set already, which then goes on being used.
    let _ = log::set_boxed_logger(Box::new(Output {
        sink: Mutex::new(sink),
        threshold: threshold.0,
    }));
    // Answers are notices.
    log::set_max_level(threshold.0.max(LevelFilter::Info));
    if let Some(problem) = problem {
        log::warn!("there is no syslog to log to ({problem}); logging to standard error");
    }
}

/// Tells why the program ends: in the log, and on standard error for whoever started it.
pub fn fatal(failure: &Failure) {
    log::error!("{failure}");
    if !ON_STDERR.load(Ordering::Relaxed) {
        let _ = writeln!(io::stderr(), "{IDENT}: {failure}");
    }
}

fn connect() -> Result<Logger<LoggerBackend, Local>, syslog::Error> {
    let logger = syslog::unix(Local { pid: process::id() })?;
    // A stuck syslog must not stop the daemon.
    match &logger.backend {
        LoggerBackend::Unix(socket) => socket.set_nonblocking(true)?,
        LoggerBackend::UnixStream(stream) => stream.get_ref().set_nonblocking(true)?,
        _ => (),
    }
    Ok(logger)
}

/// What lies under the library's layers: "Connection refused", say.
fn innermost(error: &syslog::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit("error: ").next().unwrap_or_default();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "notice",
        Level::Debug | Level::Trace => "debug",
    }
}

impl Log for Output {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries may log through the same facade; their lines mean nothing to an operator.
        let target = metadata.target();
        target.starts_with(IDENT) && (metadata.level() <= self.threshold || target == ANSWER)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut sink = self
            .sink
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // Where logging itself fails there is nobody left to tell.
        let _ = sink.write(record);
    }

    fn flush(&self) {}
}

impl Sink {
    fn write(&mut self, record: &Record<'_>) -> Result<(), syslog::Error> {
        let line = record.args();
        match self {
            Self::Syslog(logger) => match record.level() {
                Level::Error => logger.err(line),
                Level::Warn => logger.warning(line),
                Level::Info => logger.notice(line),
                Level::Debug | Level::Trace => logger.debug(line),
            },
            Self::Stderr => Ok(writeln!(
                io::stderr(),
                "{IDENT}: {}: {line}",
                name(record.level())
            )?),
        }
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
    fn a_line_for_syslog_has_facility_daemon_its_level_and_the_pid() {
        let mut logger = Logger::new(Vec::new(), Local { pid: 7 });
        logger.notice("x").unwrap();
        assert_eq!(logger.backend, b"<29>joold[7]: x");
    }

    #[test]
    fn an_unknown_level_is_refused() {
        assert_eq!("verbose".parse::<Threshold>(), Err(()));
    }
}
