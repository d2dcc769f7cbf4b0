//! Those who ask over the control socket, a few at a time.

use std::io;
use std::path::Path;
use std::time::Instant;

use mio::net::UnixStream;
use mio::{Interest, Token};
use slab::Slab;

use super::followers::too_many_follow;
use super::{PATIENCE, Polled, Reactor, Served, Source};
use crate::config::{Group, ModsocketConfig};
use crate::ctlsocket::{Client, CtlSocket, Directions, Heard, Request, Wrong, report_order};
use crate::engine::Reason;
use crate::failure::words;
use crate::logging::{self, Threshold};
use crate::report;
use crate::status::Status;

/// How many may be connected at once.
pub(super) const CLIENTS: usize = 16;

/// How many connections are accepted before the others get their turn.
const BUDGET: usize = 2 * CLIENTS;

/// The control socket, and who is connected.
pub(super) struct Control {
    pub(super) socket: Option<CtlSocket>,
    /// Each with its key among the polled sources.
    clients: Slab<(usize, Client<UnixStream>)>,
}

impl Control {
    pub(super) fn new(socket: Option<CtlSocket>) -> Self {
        Self {
            socket,
            clients: Slab::with_capacity(CLIENTS),
        }
    }

    /// When the first of the clients is given up.
    pub(super) fn due(&self) -> Option<Instant> {
        let clients = self.clients.iter();
        clients.map(|(_, (_, client))| client.until).min()
    }

    /// One that should have been given up by now.
    fn overdue(&self, now: Instant) -> Option<usize> {
        let mut clients = self.clients.iter();
        let overdue = clients.find(|(_, (_, client))| client.until <= now);
        overdue.map(|(number, _)| number)
    }
}

impl Reactor {
    /// Accepts whoever connected, and refuses those for whom there is no place.
    pub(super) fn serve_control(&mut self, now: Instant) -> Served {
        let mut failures = 0;
        for _ in 0..BUDGET {
            let Some(socket) = &self.control.socket else {
                return Served::Dry;
            };
            match socket.accept() {
                Ok(stream) => self.admit(now, stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Served::Dry,
                Err(error) => {
                    self.engine.failed(now, Reason::ControlFailed, &error);
                    failures += 1;
                    if failures >= PATIENCE {
                        return Served::Dry;
                    }
                }
            }
        }
        Served::Remaining
    }

    fn admit(&mut self, now: Instant, mut stream: UnixStream) {
        if self.control.clients.len() >= CLIENTS {
            let detail = || format!("{CLIENTS} are connected");
            return self.engine.lose(now, Reason::ControlBusy, detail);
        }
        let place = self.control.clients.vacant_entry();
        let key = self.sources.insert(Polled {
            source: Source::Client(place.key()),
            ready: true,
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        match registry.register(&mut stream, Token(key), interest) {
            Ok(()) => {
                place.insert((key, Client::new(stream, now)));
                self.engine.succeeded(Reason::ControlFailed);
            }
            Err(error) => {
                self.sources.remove(key);
                self.engine.failed(now, Reason::ControlFailed, &error);
            }
        }
    }

    /// Hears one client, or goes on answering it. Whoever has gone did not want the answer.
    pub(super) fn serve_client(&mut self, now: Instant, number: usize) -> Served {
        let Some((_, client)) = self.control.clients.get_mut(number) else {
            return Served::Dry;
        };
        if !client.is_answered() {
            let line = match client.receive() {
                Ok(Heard::Nothing) => return Served::Dry,
                Ok(Heard::Line(line)) => line,
                Ok(Heard::Gone) | Err(_) => {
                    self.dismiss(number);
                    return Served::Dry;
                }
            };
            let answer = match line {
                Ok(Request::Follow(wanted)) if self.followers.have_room() => {
                    return self.begin_to_follow(number, wanted);
                }
                line => self.answer(now, line),
            };
            if let Some((_, client)) = self.control.clients.get_mut(number) {
                client.answer(answer);
            }
        }
        let client = self.control.clients.get_mut(number);
        let sent = client.map_or(Ok(true), |(_, client)| client.send());
        if !matches!(sent, Ok(false)) {
            self.dismiss(number);
        }
        Served::Dry
    }

    fn answer(&mut self, now: Instant, request: Result<Request, Wrong>) -> String {
        match request {
            Ok(Request::State) => {
                let standing = self.engine.standing();
                let may = if standing.may_take_over() {
                    "yes"
                } else {
                    "no"
                };
                format!("{standing}\n{may}\n")
            }
            Ok(Request::Status) => self.status(now).to_json() + "\n",
            Ok(Request::Stats(format)) => format.write(&self.status(now)),
            Ok(Request::Reload) => report_order(&self.reload(now)),
            Ok(Request::LogLevel(None)) => report_order(&Ok(logging::threshold().to_string())),
            Ok(Request::LogLevel(Some(level))) => report_order(&Ok(set_log_level(level))),
            Ok(Request::Advertise) => report_order(&self.advertise(now)),
            Ok(Request::Follow(_)) => report_order(&Err(too_many_follow())),
            Err(wrong) => format!("error: {wrong}\n"),
        }
    }

    /// Makes a client a follower, who is no client any more: it may stay for as long as it wants.
    fn begin_to_follow(&mut self, number: usize, wanted: Directions) -> Served {
        let Some((key, client)) = self.control.clients.try_remove(number) else {
            return Served::Dry;
        };
        let follower = self.followers.admit(key, client.stream, wanted);
        if let Some(polled) = self.sources.get_mut(key) {
            polled.source = Source::Follower(follower);
        }
        // It may have said more, or have gone, since it was heard.
        Served::Remaining
    }

    /// All that there is to tell, with counters that are exact now.
    pub(super) fn status(&mut self, now: Instant) -> Status {
        self.count_lost(now);
        Status::of(
            &self.running.config,
            &self.engine,
            self.links.place.as_ref(),
        )
    }

    /// Ends the connection.
    fn dismiss(&mut self, number: usize) {
        if let Some((key, _)) = self.control.clients.try_remove(number) {
            self.sources.try_remove(key);
        }
    }

    /// Ends those connections that took too long.
    pub(super) fn dismiss_due(&mut self, now: Instant) {
        while let Some(number) = self.control.overdue(now) {
            self.dismiss(number);
            let detail = || "it had two seconds".to_owned();
            self.engine.lose(now, Reason::ControlSlow, detail);
        }
    }

    /// Listens where the module file now says. Where that cannot be, all stays as it is, and `config`
    /// gets what is in effect; returns a warning. Whoever is connected stays so.
    pub(super) fn reload_control(
        &mut self,
        config: &mut ModsocketConfig,
        old: &ModsocketConfig,
    ) -> Option<String> {
        let keys = |config: &ModsocketConfig| {
            let (path, group) = (&config.control_socket, &config.control_group);
            (path.clone(), group.clone())
        };
        let (wanted, before) = (keys(config), keys(old));
        let (Some(path), group) = (&wanted.0, wanted.1.as_ref()) else {
            self.control.socket = None;
            return None;
        };
        let done = match &self.control.socket {
            Some(_) if wanted == before => return None,
            Some(socket) if socket.path() == path => {
                let shared = socket.share(group);
                shared.map_err(|error| words(&error))
            }
            _ => self.listen_at(path, group),
        };
        match (done, &self.control.socket) {
            (Ok(()), _) => None,
            (Err(why), Some(socket)) => {
                (config.control_socket, config.control_group) = before;
                Some(report::control_stays(socket.path(), &why))
            }
            (Err(why), None) => {
                let is_default = config.is_control_default();
                Some(report::no_control_socket(path, is_default, &why))
            }
        }
    }

    /// Opens another control socket in place of the one that there is, if any.
    fn listen_at(&mut self, path: &Path, group: Option<&Group>) -> Result<(), String> {
        let mut socket = CtlSocket::open(path, group)?;
        let polled = self.sources.iter_mut();
        let mut polled = polled.filter(|(_, polled)| polled.source == Source::Control);
        if let Some((key, polled)) = polled.next() {
            let registry = self.poll.registry();
            let registered = registry.register(&mut socket.socket, Token(key), Interest::READABLE);
            registered.map_err(|error| words(&error))?;
            polled.ready = true;
        }
        self.control.socket = Some(socket);
        Ok(())
    }
}

/// Logs as much from here on, and says so.
fn set_log_level(level: Threshold) -> String {
    let before = logging::threshold();
    logging::set_threshold(level);
    let told = match before == level {
        true => format!("the log level is {level} already"),
        false => format!("the log level was {before} and is {level} until joold is started again"),
    };
    // Whoever looks for missing lines later finds why.
    log::info!(target: logging::ANSWER, "{told}");
    told
}
