//! What the network brings, and what goes to it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::extensions::{Extended, sessions_in};
use super::refresh::Refreshes;
use super::{Engine, Event, FromNetwork, Reason};
use crate::wire::datagram::{self, Terms};
use crate::wire::request::Add;
use crate::wire::session::Format;
use crate::wire::update::Update;

/// Why nothing of a datagram is for the kernel, which was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The instance should be looked at first.
    Doubtful,
    /// It is something else.
    Other,
}

/// How sessions are looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// Whether pool4 may be another one by now, and is to be asked for before anything is left out.
    pub is_pool4_old: bool,
    /// Whether they are a stretch of a table.
    pub is_table: bool,
}

impl Engine {
    /// Writes to the start of a receive buffer what seldom changes of [`FromNetwork::Add`].
    pub fn prepare(&mut self, buffer: &mut [u8]) {
        Add::prepare(buffer, &self.address);
        self.prepared = true;
    }

    /// Whether that changed, so that [`Engine::prepare`] is due.
    pub fn needs_preparation(&self) -> bool {
        !self.prepared
    }

    /// Writes updates that were held until now to the start of `room`, and returns their length: 0
    /// when none is due any more. As many as fit into `payload` bytes, and one at least.
    pub fn write_due(&mut self, now: Instant, room: &mut [u8], payload: usize) -> usize {
        if !self.releases_all {
            return self.write(now, room, payload, Refreshes::next_due);
        }
        let length = self.write(now, room, payload, Refreshes::next_held);
        self.releases_all = length > 0;
        length
    }

    /// As [`Engine::write_due`], of updates that are held, due or not: there will be no later.
    pub fn write_held(&mut self, now: Instant, room: &mut [u8], payload: usize) -> usize {
        self.write(now, room, payload, Refreshes::next_held)
    }

    fn write(
        &mut self,
        now: Instant,
        room: &mut [u8],
        payload: usize,
        next: fn(&mut Refreshes, u64) -> Option<Update>,
    ) -> usize {
        let (time, format) = (self.time(now), self.format());
        let Some(refreshes) = &mut self.refreshes else {
            return 0;
        };
        let size = format.size();
        let places = (payload / size).max(1);
        let mut written = 0;
        for place in room.chunks_exact_mut(size).take(places) {
            let Some(update) = next(refreshes, time) else {
                break;
            };
            update.write(format, place);
            written += size;
        }
        self.counters.follow(refreshes);
        self.counters.releases += u64::from(written > 0);
        written
    }

    /// What is held cannot be sent any more.
    pub fn give_up_held(&mut self, now: Instant) {
        let held = self.counters.held;
        if held > 0 {
            self.lose_several(now, Reason::HeldNotSent, held, || {
                "the network has no room".to_owned()
            });
            self.counters.held = 0;
        }
    }

    /// Updates from here on are another instance's: what the refreshes know means nothing for them.
    pub fn forget_held(&mut self, now: Instant) {
        self.give_up_held(now);
        if let Some(refreshes) = &mut self.refreshes {
            refreshes.clear();
            self.counters.follow(refreshes);
        }
    }

    /// When [`Engine::write_due`] has something to write.
    pub fn due(&self) -> Option<Instant> {
        let time = self.refreshes.as_ref()?.deadline()?;
        if self.releases_all {
            return Some(self.start);
        }
        self.start.checked_add(Duration::from_millis(time))
    }

    /// A datagram of `length` bytes came from `source`, into `buffer` behind the headroom that
    /// [`Engine::prepare`] filled.
    pub fn on_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        buffer: &mut [u8],
        length: usize,
    ) -> FromNetwork {
        if self.is_stranger(now, source) {
            return FromNetwork::Ignore;
        }
        let extended = self.on_extended(now, source, buffer, length);
        if let Extended::Sessions(length) | Extended::Overtaken(length) = extended {
            if self.counters.net_received.packets == 0 {
                self.journal.note(Event::FirstDatagram(source));
            }
            self.counters.net_received.add(length);
        }
        let is_again = matches!(extended, Extended::Again(..));
        if extended == Extended::Done || is_again && !self.may_take() || !self.takes_sessions() {
            return FromNetwork::Ignore;
        }
        let length = match extended {
            Extended::Sessions(length) => length,
            Extended::Overtaken(length) => {
                return self.on_late(now, source, buffer, (length, None));
            }
            Extended::Again(length, part) => {
                self.counters.again += 1;
                return self.on_late(now, source, buffer, (length, part));
            }
            Extended::Done => return FromNetwork::Ignore,
        };
        if length == 0 {
            self.lose(now, Reason::EmptyDatagram, || format!("from {source}"));
            return FromNetwork::Ignore;
        }
        let manner = Manner {
            is_pool4_old: self.watch.is_pool4_old(now),
            ..Manner::default()
        };
        self.judge(now, source, buffer, length, manner)
    }

    /// The instance was looked at, or could not be, after [`FromNetwork::Ask`] for that datagram.
    pub fn again(
        &mut self,
        now: Instant,
        source: SocketAddr,
        buffer: &mut [u8],
        length: usize,
    ) -> FromNetwork {
        if !self.takes_sessions() {
            return FromNetwork::Ignore;
        }
        let contents = buffer.get(Add::HEADROOM..Add::HEADROOM + length);
        let length = contents.map_or(length, sessions_in);
        self.judge(now, source, buffer, length, Manner::default())
    }

    /// Whether there is somebody to take the sessions of a datagram; it is counted if not. What is
    /// amiss was told when it was news.
    fn takes_sessions(&mut self) -> bool {
        if self.may_take() {
            return true;
        }
        let reason = if !self.has_module() {
            Reason::ModuleMissing
        } else {
            // The kernel would put a line in its log for each.
            Reason::NotTaken
        };
        self.counters.lose(reason, 1);
        false
    }

    fn may_take(&self) -> bool {
        self.has_module() && !self.is_foreign() && self.watch.takes_sessions()
    }

    fn judge(
        &mut self,
        now: Instant,
        source: SocketAddr,
        buffer: &mut [u8],
        length: usize,
        manner: Manner,
    ) -> FromNetwork {
        let admitted = match self.admit(now, source, buffer, length, manner) {
            Ok(admitted) => self.leave_out_known(now, buffer, admitted, false),
            Err(Refused::Doubtful) => return FromNetwork::Ask,
            Err(Refused::Other) => return FromNetwork::Ignore,
        };
        if admitted == 0 {
            self.counters.nothing_new += 1;
            return FromNetwork::Ignore;
        }
        match Add::finish(buffer, admitted) {
            Some(total) => FromNetwork::Add(total),
            None => {
                self.too_long(now, source);
                FromNetwork::Ignore
            }
        }
    }

    /// Checks the sessions behind the headroom. Returns how many bytes of them are for the kernel.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        source: SocketAddr,
        buffer: &mut [u8],
        length: usize,
        manner: Manner,
    ) -> Result<usize, Refused> {
        let sessions = buffer
            .get_mut(Add::HEADROOM..Add::HEADROOM + length)
            .filter(|_| length <= Add::LONGEST)
            .map(|contents| {
                let terms = Terms {
                    format: self.version.map(Format::of),
                    longest: self.watch.longest_timeout(),
                    pool4: self.watch.pool4(now),
                    is_pool4_old: manner.is_pool4_old,
                    is_table: manner.is_table,
                };
                datagram::admit(contents, &terms)
            });
        let admitted = match sessions {
            Some(Ok(admitted)) => admitted,
            Some(Err(datagram::Refusal::OldPool4 {
                converted,
                shortened,
            })) => {
                self.counters.converted += u64::from(converted);
                self.counters.shortened += shortened as u64;
                self.watch.doubt_pool4(now);
                return Err(Refused::Doubtful);
            }
            Some(Err(refusal)) => return Err(self.refuse(now, source, refusal)),
            None => {
                self.too_long(now, source);
                return Err(Refused::Other);
            }
        };
        self.counters.converted += u64::from(admitted.converted);
        self.counters.shortened += admitted.shortened as u64;
        if admitted.outside > 0 {
            self.lose_several(now, Reason::OutsidePool4, admitted.outside as u64, || {
                format!("{} of a datagram from {source}", admitted.outside)
            });
        }
        if let Some((number, problem)) = admitted.first_impossible {
            self.lose_several(now, Reason::BadRow, admitted.impossible as u64, || {
                format!("session {} of a part: {problem}; from {source}", number + 1)
            });
        }
        Ok(admitted.length)
    }

    fn refuse(&mut self, now: Instant, source: SocketAddr, refusal: datagram::Refusal) -> Refused {
        use datagram::Refusal;
        match refusal {
            Refusal::Framing(problem) => self.lose(now, Reason::MalformedDatagram, || {
                format!("it has {problem}; from {source}")
            }),
            Refusal::OtherFormat(_) => {
                self.lose(now, Reason::ForeignDatagram, || format!("from {source}"));
            }
            Refusal::Session { number, problem } => self.lose(now, Reason::BadSession, || {
                format!("session {}: {problem}; from {source}", number + 1)
            }),
            // A joold that says more than upstream's does. (The other one is asked about first.)
            Refusal::OldPool4 { .. } | Refusal::NoSessions => {
                self.counters.lose(Reason::NoSessions, 1)
            }
        }
        Refused::Other
    }

    /// Whether nothing of a datagram is looked at, for nobody allowed its source to send. It is not
    /// counted as received: that is for what comes from the other routers.
    fn is_stranger(&mut self, now: Instant, source: SocketAddr) -> bool {
        if self.allowed.admits(source.ip()) {
            return false;
        }
        self.lose(now, Reason::NotAllowed, || format!("from {source}"));
        true
    }

    /// A datagram came that was longer than its buffer.
    pub fn oversized(&mut self, now: Instant, source: SocketAddr) {
        if !self.is_stranger(now, source) {
            self.too_long(now, source);
        }
    }

    fn too_long(&mut self, now: Instant, source: SocketAddr) {
        self.lose(now, Reason::OversizedDatagram, || format!("from {source}"));
    }

    /// What came out of [`Engine::on_kernel`] or [`Engine::write_due`] joined a datagram that was
    /// there already.
    pub fn shared(&mut self) {
        self.counters.shared += 1;
    }

    /// The network had no room for a datagram, which waits until it has.
    pub fn waits(&mut self) {
        self.counters.waits += 1;
    }
}
