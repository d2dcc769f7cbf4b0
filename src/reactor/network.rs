//! What goes to the network and comes from it.

use std::io::{self, IoSlice};
use std::time::Instant;

use mio::{Interest, Token};

use super::{NETWORK_BUDGET, PATIENCE, Reactor, Served, Source};
use crate::ctlsocket::Direction;
use crate::engine::{Engine, FromNetwork, Piece, Reason};
use crate::failure::words;
use crate::netsocket::{SLOTS, remedy};
use crate::outbox::Taken;
use crate::wire::request::Add;

impl Reactor {
    /// Puts updates that were held until now into the outbox.
    pub(super) fn collect_due(&mut self, now: Instant) {
        if self.engine.due().is_some_and(|due| due <= now) {
            self.collect(now, Engine::write_due);
        }
    }

    /// Puts all that `write` has into the outbox, unless the network has no room.
    pub(super) fn collect(
        &mut self,
        now: Instant,
        write: fn(&mut Engine, Instant, &mut [u8], usize) -> usize,
    ) {
        while !self.blocked {
            let payload = self.engine.sessions_of(self.outbox.payload());
            let Some(room) = self.outbox.room() else {
                self.send(now);
                continue;
            };
            let length = write(&mut self.engine, now, room, payload);
            if length == 0 {
                return;
            }
            let piece = Piece {
                range: 0..length,
                joinable: true,
            };
            self.keep(&piece);
        }
    }

    /// Keeps a piece of the outbox's room for the network.
    pub(super) fn keep(&mut self, piece: &Piece) {
        if !self.followers.is_empty() {
            let room = self.outbox.room();
            let sessions = room.and_then(|room| room.get(piece.range.clone()));
            let format = self.engine.format();
            self.followers
                .tell(Direction::Out, format, sessions.unwrap_or_default());
        }
        let engine = &mut self.engine;
        if self.outbox.keep(piece, || engine.stamp()) {
            self.engine.shared();
        }
    }

    /// Takes out the outbox's first datagram, which has left or never will.
    pub(super) fn take(&mut self, now: Instant) -> Option<Taken> {
        self.engine.record(now, &self.outbox);
        self.outbox.take()
    }

    /// Sends what is in the outbox, as far as the network has room for it.
    pub(super) fn send(&mut self, now: Instant) {
        while !self.blocked && !self.outbox.is_empty() {
            match self.netsocket.send(&self.outbox) {
                Ok(count) => {
                    for _ in 0..count {
                        let Some(taken) = self.take(now) else {
                            break;
                        };
                        log::debug!("sent {} bytes to the network", taken.length);
                        self.engine.sent(taken);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.block(now),
                Err(_) if !self.netsocket.sends() => {
                    // That the interface is missing was told when that was news.
                    if let Some(taken) = self.take(now) {
                        self.engine.nowhere_to_send(taken);
                    }
                }
                Err(error) => self.give_up_one(now, &error),
            }
        }
    }

    fn give_up_one(&mut self, now: Instant, error: &io::Error) {
        let detail = || format!("{}; {}", words(error), remedy(error));
        if let Some(taken) = self.take(now) {
            self.engine.not_sent(now, taken, detail);
        }
    }

    fn block(&mut self, now: Instant) {
        match self.watch_network(Interest::READABLE | Interest::WRITABLE) {
            Ok(()) => {
                self.engine.waits();
                (self.blocked, self.writable) = (true, false);
            }
            Err(error) => self.give_up_one(now, &error),
        }
    }

    /// The network may have room again: go on with what waits, and with the kernel's batches.
    fn resume(&mut self, now: Instant) {
        if !(self.blocked && self.writable) {
            return;
        }
        self.unblock(now);
        if !self.blocked {
            // Room is of no interest from here on, and each report of it would cost a wake-up.
            // Should this fail, it does no more harm than that.
            let _ = self.watch_network(Interest::READABLE);
        }
    }

    /// Goes on with what waits for room, and with the kernel's batches if that is gone.
    pub(super) fn unblock(&mut self, now: Instant) {
        (self.blocked, self.writable) = (false, false);
        self.send(now);
        if self.blocked {
            return;
        }
        for (_, polled) in &mut self.sources {
            polled.ready |= polled.source == Source::Kernel;
        }
    }

    fn watch_network(&mut self, interest: Interest) -> io::Result<()> {
        let found = self
            .sources
            .iter()
            .find(|(_, polled)| polled.source == Source::Network);
        match (found, self.netsocket.member()) {
            (Some((key, _)), Some(member)) => {
                let registry = self.poll.registry();
                registry.reregister(&mut member.socket, Token(key), interest)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn serve_network(&mut self, now: Instant) -> Served {
        self.resume(now);
        if self.engine.needs_preparation() {
            for slot in self.netsocket.slots() {
                self.engine.prepare(slot);
            }
        }
        let mut failures = 0;
        for _ in 0..NETWORK_BUDGET {
            let count = match self.netsocket.receive() {
                Ok(count) => {
                    self.engine.succeeded(Reason::NetworkReceive);
                    count
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => {
                    self.engine.failed(now, Reason::NetworkReceive, &error);
                    failures += 1;
                    if failures >= PATIENCE {
                        return Served::Dry;
                    }
                    continue;
                }
            };
            self.add(now, count);
            let lost = self.netsocket.lost(count);
            self.lose_from_network(now, lost);
            if count < SLOTS {
                return Served::Dry;
            }
        }
        Served::Remaining
    }

    /// Has the kernel add the sessions of the first `count` datagrams.
    fn add(&mut self, now: Instant, count: usize) {
        let mut lengths = [0; SLOTS];
        for n in 0..count.min(SLOTS) {
            let mut verdict = self.judge(now, n);
            if let FromNetwork::Compare(late) = verdict {
                // With all that came before it.
                self.pass_on(now, &mut lengths);
                verdict = self.compare(now, n, late);
            }
            if let FromNetwork::Add(total) = verdict {
                lengths[n] = total;
            }
        }
        self.pass_on(now, &mut lengths);
    }

    /// What becomes of the `n`th datagram.
    fn judge(&mut self, now: Instant, n: usize) -> FromNetwork {
        let own = self.netsocket.own().map(|own| (own.ip(), own.port()));
        let Some((slot, arrival)) = self.netsocket.slot(n) else {
            return FromNetwork::Ignore;
        };
        // Scopes are not compared: a loop may bring it back on another link.
        let source = arrival.source;
        if own == Some((source.ip(), source.port())) {
            self.engine
                .lose(now, Reason::OwnDatagram, || format!("from {source}"));
            return FromNetwork::Ignore;
        }
        if arrival.truncated {
            self.engine.oversized(now, arrival.source);
            return FromNetwork::Ignore;
        }
        let long = arrival.length;
        let verdict = self.engine.on_datagram(now, source, slot, long);
        if verdict != FromNetwork::Ask {
            return verdict;
        }
        self.look_at_instance(now);
        match self.netsocket.slot(n) {
            Some((slot, _)) => self.engine.again(now, source, slot, long),
            None => FromNetwork::Ignore,
        }
    }

    /// Gives the kernel the requests in the slots, of which these are the lengths; none is left then.
    fn pass_on(&mut self, now: Instant, lengths: &mut [usize; SLOTS]) {
        let requests = lengths
            .iter()
            .enumerate()
            .filter(|(_, length)| **length > 0);
        let requests = requests.map(|(n, &length)| &self.netsocket.contents(n)[..length]);
        let mut vectors = [IoSlice::new(&[]); SLOTS];
        let mut used = 0;
        for (vector, request) in vectors.iter_mut().zip(requests) {
            *vector = IoSlice::new(request);
            used += 1;
        }
        let mut each = vectors[..used].iter();
        self.modsocket.send_all(&vectors[..used], |result| {
            let request = each.next();
            match result {
                Ok(()) => {
                    self.engine.succeeded(Reason::AddNotSent);
                    if !self.followers.is_empty() {
                        let request: &[u8] = request.map_or(&[], |request| request);
                        let format = self.engine.format_of(request);
                        let sessions = request.get(Add::HEADROOM..).unwrap_or_default();
                        self.followers.tell(Direction::In, format, sessions);
                    }
                }
                Err(error) => self.engine.failed(now, Reason::AddNotSent, &error),
            }
        });
        lengths.fill(0);
    }

    /// Counts all that the network socket dropped and that is not counted yet.
    pub(super) fn count_lost_from_network(&mut self, now: Instant) {
        let lost = self.netsocket.lost_by_now();
        self.lose_from_network(now, lost);
    }

    fn lose_from_network(&mut self, now: Instant, lost: u32) {
        if lost > 0 {
            let detail = || format!("{lost} of them");
            self.engine
                .lose_several(now, Reason::NetworkOverrun, lost.into(), detail);
        }
    }
}
