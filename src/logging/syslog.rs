//! Lines to the system's log, which may be restarted or stuck: sending never waits, and what is lost
//! is counted and told.

use std::fmt::{self, Arguments};
use std::io::{self, IoSlice, Write};
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use log::Level;
use socket2::{Domain, SockAddr, Socket, Type};
use syslog::{Facility, LogFormat, Logger, Severity};

use super::IDENT;

/// How often a connection is tried at most.
const PERIOD: Duration = Duration::from_secs(1);

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
        out.write_fmt(format_args!("<{priority}>{IDENT}[{}]: {message}", self.pid))
            .map_err(syslog::Error::Write)
    }
}

/// OpenWrt's logd takes all that stands before a space at that place behind the priority for the time, and throws it
/// away: "joold[208]: the time" would lose its name.
const PLACE_BEHIND_TIME: usize = 15;

/// Moves the text of a line by one if it has a space at that place. (A time in front would do, too, but needs the time
/// zone.)
fn keep_whole(line: &mut Vec<u8>) {
    let Some(end) = line.iter().position(|&byte| byte == b'>') else {
        return;
    };
    let is_cut = line.get(end + 1 + PLACE_BEHIND_TIME) == Some(&b' ');
    let colon = line.iter().position(|&byte| byte == b':');
    if let Some(colon) = colon.filter(|_| is_cut) {
        line.insert(colon + 1, b' ');
    }
}

/// The system's log, connected or not.
pub struct Syslog {
    path: PathBuf,
    channel: Option<Channel>,
    /// When a connection was tried last.
    attempted: Option<Instant>,
    /// Writes the line that is to be sent.
    line: Logger<Vec<u8>, Local>,
    /// Lines that were lost, and that this was not told of yet.
    untold: u64,
    lost: u64,
}

impl Syslog {
    /// The log that listens at `path`, not connected yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            channel: None,
            attempted: None,
            line: Logger::new(Vec::new(), Local { pid: process::id() }),
            untold: 0,
            lost: 0,
        }
    }

    /// Connects, unless that was tried a moment ago.
    ///
    /// # Errors
    /// Those of connect(2); [`io::ErrorKind::NotConnected`] if it is too early.
    pub fn connect(&mut self, now: Instant) -> io::Result<()> {
        if !self.may_connect(now) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.attempted = Some(now);
        self.channel = Some(Channel::open(&self.path)?);
        Ok(())
    }

    fn may_connect(&self, now: Instant) -> bool {
        self.attempted.is_none_or(|last| now >= last + PERIOD)
    }

    /// Sends a line, or counts it as lost.
    pub fn write(&mut self, now: Instant, level: Level, text: &Arguments<'_>) {
        self.elapse(now);
        self.format(level, text);
        if self.deliver(now).is_err() {
            self.untold += 1;
            self.lost += 1;
        }
    }

    /// How many lines were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// When [`Syslog::elapse`] has something to do: only while there are lost lines to tell of.
    pub fn deadline(&self) -> Option<Instant> {
        self.attempted
            .filter(|_| self.untold > 0)
            .map(|last| last + PERIOD)
    }

    /// Tells of lost lines, if it is time to try that and the log takes it.
    pub fn elapse(&mut self, now: Instant) {
        if self.untold == 0 || !self.may_connect(now) {
            return;
        }
        // Whoever takes nothing may be one whose place another has taken. If there is none, the
        // old one may do yet.
        let _ = self.connect(now);
        let untold = self.untold;
        self.format(
            Level::Warn,
            &format_args!("log lines lost while syslog was not there or took none: {untold}"),
        );
        if self.send().is_ok() {
            self.untold = 0;
        }
    }

    fn format(&mut self, level: Level, text: &Arguments<'_>) {
        self.line.backend.clear();
        // What is written into memory fails only if the text itself does, in the middle of a line.
        let _ = match level {
            Level::Error => self.line.err(text),
            Level::Warn => self.line.warning(text),
            Level::Info => self.line.notice(text),
            Level::Debug | Level::Trace => self.line.debug(text),
        };
        keep_whole(&mut self.line.backend);
    }

    /// Sends the line, over a new connection if the old one has ended.
    fn deliver(&mut self, now: Instant) -> io::Result<()> {
        match self.send() {
            Err(error) if !is_full(&error) => {
                self.channel = None;
                self.connect(now)?;
                self.send()
            }
            result => result,
        }
    }

    fn send(&self) -> io::Result<()> {
        let channel = self.channel.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        channel.send(&self.line.backend)
    }
}

/// Whether the log is there, but takes no more for now.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// A connection. Most logs take datagrams, some take a stream in which a zero byte ends each line.
struct Channel {
    socket: Socket,
    end: &'static [u8],
}

impl Channel {
    fn open(path: &PathBuf) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        let connect = |kind| {
            let socket = Socket::new(Domain::UNIX, kind, None)?;
            // Before connecting, which would wait for a stream's other end that accepts nobody.
            socket.set_nonblocking(true)?;
            socket.connect(&address)?;
            Ok(socket)
        };
        let (socket, end): (io::Result<_>, &[u8]) = match connect(Type::DGRAM) {
            Err(error) if is_stream(&error) => (connect(Type::STREAM), b"\0"),
            result => (result, b""),
        };
        Ok(Self {
            socket: socket?,
            end,
        })
    }

    /// Sends a line as one datagram. A stream that takes but a part of it has failed: what came
    /// next would be read as the line's other part.
    fn send(&self, line: &[u8]) -> io::Result<()> {
        let parts = [IoSlice::new(line), IoSlice::new(self.end)];
        match self.socket.send_vectored(&parts)? {
            sent if sent == line.len() + self.end.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// Whether a datagram socket cannot be connected because the other end is a stream (unix(7)).
fn is_stream(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPROTOTYPE)
}

#[cfg(test)]
mod tests;
