//! The service manager, which is told how the daemon stands: systemd's protocol (sd_notify(3)), which
//! others understand as well.
//!
//! Each message is one datagram to the socket that the environment names. None waits for the manager:
//! what it must know, and its socket has no room for, is said again soon.

use std::collections::VecDeque;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use crate::failure::words;
use crate::sync::Budget;
use crate::sys;

/// How often the status may change, at the most: so many times at once, and once more each pause.
const BURST: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// How soon a message is said again that the manager had no room for.
const AGAIN: Duration = Duration::from_millis(100);

/// The service manager.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Half of the time within which the manager has to hear of the daemon again and again.
    beat: Option<Duration>,
    /// When it should be told next that the daemon is alive.
    beat_due: Option<Instant>,
    /// What it has to know and does not yet.
    owed: VecDeque<String>,
    /// When that is said again.
    again: Option<Instant>,
    /// The status that it knows, and the one that it should know.
    status: [String; 2],
    budget: Budget,
    /// Whether it does not listen any more, which is said once.
    is_deaf: bool,
}

/// What the manager puts into the environment of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `NOTIFY_SOCKET`
    pub socket: Option<OsString>,
    /// `WATCHDOG_USEC`
    pub watchdog: Option<OsString>,
    /// `WATCHDOG_PID`
    pub watched: Option<OsString>,
}

impl Surroundings {
    /// Those of this process.
    pub fn here() -> Self {
        Self {
            socket: env::var_os("NOTIFY_SOCKET"),
            watchdog: env::var_os("WATCHDOG_USEC"),
            watched: env::var_os("WATCHDOG_PID"),
        }
    }

    /// Half of the time that the watchdog has, if it watches this process.
    fn beat(&self) -> Option<Duration> {
        let number = |text: &OsString| text.to_str()?.parse::<u64>().ok();
        let own = u64::from(process::id());
        if self.watched.as_ref().and_then(number).unwrap_or(own) != own {
            return None;
        }
        let whole = self.watchdog.as_ref().and_then(number)?;
        (whole > 1).then(|| Duration::from_micros(whole / 2))
    }
}

impl Manager {
    /// The one that started this process, if one did that wants to know how it stands. To be called before
    /// any right is given up. That it cannot be reached is logged.
    pub fn of(surroundings: &Surroundings, now: Instant) -> Option<Self> {
        let socket = surroundings.socket.as_deref().filter(|s| !s.is_empty())?;
        Self::open(socket, surroundings.beat(), now)
            .inspect_err(|error| {
                log::warn!(
                    "the service manager is told nothing: cannot reach its socket {}, the NOTIFY_SOCKET of \
                     the environment: {}",
                    Path::new(socket).display(),
                    words(error)
                );
            })
            .ok()
    }

    fn open(socket: &OsStr, beat: Option<Duration>, now: Instant) -> io::Result<Self> {
        let address = address_of(socket)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address)?;
        Ok(Self {
            socket,
            address,
            beat,
            beat_due: None,
            owed: VecDeque::new(),
            again: None,
            status: Default::default(),
            budget: Budget::new(now, PAUSE, BURST),
            is_deaf: false,
        })
    }

    /// The daemon does its work, and stands as `status` says.
    pub fn ready(&mut self, now: Instant, status: &str) {
        self.owe(now, format!("READY=1\nSTATUS={}\n", one_line(status)));
        self.status = [status.to_owned(), status.to_owned()];
        self.beat_due = self.beat.map(|beat| now + beat);
    }

    /// The daemon reads its configuration again, until it is ready next.
    pub fn reloading(&mut self, now: Instant) {
        // What was owed about reloading before is old.
        self.owed.clear();
        let time = sys::monotonic_microseconds();
        self.owe(now, format!("RELOADING=1\nMONOTONIC_USEC={time}\n"));
    }

    /// The daemon ends.
    pub fn stopping(&mut self, now: Instant, status: &str) {
        self.owed.clear();
        self.owe(now, format!("STOPPING=1\nSTATUS={}\n", one_line(status)));
    }

    /// The daemon stands as `status` says, which the manager learns now or soon.
    pub fn stand(&mut self, now: Instant, status: String) {
        self.status[1] = status;
        self.say_status(now);
    }

    /// When [`Manager::elapse`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let status = (self.status[0] != self.status[1]).then(|| self.budget.next());
        let deadlines = [self.beat_due, self.again, status];
        deadlines.into_iter().flatten().min()
    }

    /// Time has passed, and the daemon is alive: to be called by its loop alone.
    pub fn elapse(&mut self, now: Instant) {
        if self.again.is_some_and(|again| again <= now) {
            self.say_owed(now);
        }
        if self.beat_due.is_some_and(|due| due <= now) {
            // If there is no room for it, there is enough else to be read.
            self.say("WATCHDOG=1\n");
            self.beat_due = self.beat.map(|beat| now + beat);
        }
        self.say_status(now);
    }

    fn say_status(&mut self, now: Instant) {
        let [known, wanted] = &self.status;
        if known == wanted || self.again.is_some() || !self.budget.spend(now) {
            return;
        }
        let message = format!("STATUS={}\n", one_line(wanted));
        if self.say(&message) {
            self.status[0] = self.status[1].clone();
        }
    }

    fn owe(&mut self, now: Instant, message: String) {
        self.owed.push_back(message);
        self.say_owed(now);
    }

    /// Says what is owed, in its order, as far as there is room for it.
    fn say_owed(&mut self, now: Instant) {
        self.again = None;
        while let Some(message) = self.owed.pop_front() {
            if !self.say(&message) {
                self.owed.push_front(message);
                self.again = Some(now + AGAIN);
                return;
            }
        }
    }

    /// Says it, unless there is no room for it. Whoever does not listen any more needs no message.
    fn say(&mut self, message: &str) -> bool {
        let mut sent = self.socket.send(message.as_bytes());
        if matches!(&sent, Err(error) if error.kind() != io::ErrorKind::WouldBlock) {
            // It may have been started again, with another socket in the same place.
            let again = self.socket.connect_addr(&self.address);
            sent = again.and_then(|()| self.socket.send(message.as_bytes()));
        }
        match sent {
            Ok(_) => self.is_deaf = false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if !self.is_deaf => {
                self.is_deaf = true;
                log::warn!(
                    "the service manager does not listen any more: {}",
                    words(&error)
                );
            }
            Err(_) => (),
        }
        true
    }
}

/// A path, or behind an `@` the name of an abstract socket.
fn address_of(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(socket),
        _ => Err(io::Error::other(
            "it is neither a path nor an abstract name",
        )),
    }
}

/// A message is made of lines.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Listener(UnixDatagram);

    impl Listener {
        /// One at an abstract address of that name, and a manager that tells it things.
        fn new(name: &str, surroundings: Surroundings, now: Instant) -> (Self, Manager) {
            let name = format!("joold-test-{}-{name}", process::id());
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            let socket = UnixDatagram::bind_addr(&address).unwrap();
            socket.set_nonblocking(true).unwrap();
            let surroundings = Surroundings {
                socket: Some(format!("@{name}").into()),
                ..surroundings
            };
            (Self(socket), Manager::of(&surroundings, now).unwrap())
        }

        /// What was said since the last time.
        fn heard(&self) -> Vec<String> {
            let mut heard = Vec::new();
            let mut message = [0; 4096];
            while let Ok(length) = self.0.recv(&mut message) {
                heard.push(String::from_utf8(message[..length].to_vec()).unwrap());
            }
            heard
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn readiness_comes_with_the_status_on_one_line() {
        let now = Instant::now();
        let (listener, mut manager) = Listener::new("ready", Surroundings::default(), now);
        manager.ready(now, "alone\nREADY=0");
        assert_eq!(listener.heard(), ["READY=1\nSTATUS=alone READY=0\n"]);
        assert_eq!(manager.deadline(), None);
    }

    #[test]
    fn a_status_is_said_when_it_changes_and_not_too_often() {
        let now = Instant::now();
        let (listener, mut manager) = Listener::new("status", Surroundings::default(), now);
        manager.ready(now, "0");
        for change in 0..100 {
            manager.stand(now, change.to_string());
        }
        let heard = listener.heard();
        assert_eq!(heard.len(), 1 + BURST as usize, "{heard:?}");
        // The last one comes when that may be.
        let due = manager.deadline().unwrap();
        assert!(due > now && due <= now + SECOND);
        manager.elapse(due);
        assert_eq!(listener.heard(), ["STATUS=99\n"]);
        assert_eq!(manager.deadline(), None);
    }

    #[test]
    fn a_watchdog_hears_twice_as_often_as_it_has_to_from_readiness_on() {
        let now = Instant::now();
        let watched = Surroundings {
            watchdog: Some("3000000".into()),
            watched: Some(process::id().to_string().into()),
            ..Surroundings::default()
        };
        let (listener, mut manager) = Listener::new("watchdog", watched, now);
        assert_eq!(manager.deadline(), None);
        manager.ready(now, "");
        listener.heard();
        assert_eq!(manager.deadline(), Some(now + SECOND * 3 / 2));
        manager.elapse(now + SECOND);
        assert!(listener.heard().is_empty());
        manager.elapse(now + 2 * SECOND);
        assert_eq!(listener.heard(), ["WATCHDOG=1\n"]);
        assert_eq!(manager.deadline(), Some(now + SECOND * 7 / 2));
    }

    #[test]
    fn another_processs_watchdog_and_one_of_no_time_hear_nothing() {
        let beat = |usec: &str, pid: &str| {
            let surroundings = Surroundings {
                socket: None,
                watchdog: Some(usec.into()),
                watched: Some(pid.into()),
            };
            surroundings.beat()
        };
        let own = process::id().to_string();
        assert_eq!(beat("2000000", &own), Some(SECOND));
        assert_eq!(beat("2000000", "1"), None);
        for usec in ["0", "1", "", "soon", "-1"] {
            assert_eq!(beat(usec, &own), None, "{usec}");
        }
    }

    #[test]
    fn what_it_has_to_know_is_said_again_when_there_was_no_room_for_it() {
        let now = Instant::now();
        let (listener, mut manager) = Listener::new("full", Surroundings::default(), now);
        while manager.say("x") {}
        manager.reloading(now);
        manager.ready(now, "alone");
        let due = manager.deadline().unwrap();
        assert_eq!(due, now + AGAIN);
        manager.elapse(due);
        assert_eq!(manager.deadline(), Some(due + AGAIN));
        assert!(listener.heard().iter().all(|message| message == "x"));
        manager.elapse(due + AGAIN);
        let heard = listener.heard();
        assert!(heard[0].starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(heard[1..], ["READY=1\nSTATUS=alone\n"]);
        assert_eq!(manager.deadline(), None);
    }

    #[test]
    fn one_that_was_started_again_is_told_at_the_same_place() {
        let now = Instant::now();
        let path = env::temp_dir().join(format!("joold-manager-{}", process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        let surroundings = Surroundings {
            socket: Some(path.clone().into()),
            ..Surroundings::default()
        };
        let mut manager = Manager::of(&surroundings, now).unwrap();
        drop(socket);
        std::fs::remove_file(&path).unwrap();
        manager.stand(now, "alone".to_owned());
        assert!(manager.is_deaf);
        let listener = Listener(UnixDatagram::bind(&path).unwrap());
        listener.0.set_nonblocking(true).unwrap();
        manager.stand(now, "in sync".to_owned());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(listener.heard(), ["STATUS=in sync\n"]);
    }

    #[test]
    fn where_there_is_none_nobody_is_told() {
        let now = Instant::now();
        for socket in [
            "",
            "relative",
            "vsock:2:1",
            "/no/such/socket",
            "@joold-no-such",
        ] {
            let surroundings = Surroundings {
                socket: Some(socket.into()),
                ..Surroundings::default()
            };
            assert!(Manager::of(&surroundings, now).is_none(), "{socket}");
        }
        assert!(Manager::of(&Surroundings::default(), now).is_none());
    }
}
