//! What peers tell beyond sessions: the engine's side of [`crate::sync`].

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::network::Manner;
use super::refresh::{Heard, Refreshes};
use super::{Engine, Event, FromNetwork, Reason};
use crate::outbox::{Kind, Outbox, Taken};
use crate::sync::{Contents, Delivery, Options, Part, Sync, Table, keep_later};
use crate::wire::Malformed;
use crate::wire::extension::{Datagram, Header};
use crate::wire::globals::Global;
use crate::wire::request::Add;
use crate::wire::session::{Format, retain};
use crate::wire::update::Update;

/// Sessions that came late, at the place of a datagram's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Their bytes.
    length: usize,
    /// Whether they are a part of a table.
    part: Option<Part>,
}

impl Engine {
    /// Numbers what is sent and asks for what is lost. `seed` should be another one at each start.
    #[must_use]
    pub fn extending(mut self, options: Options, seed: u64, now: Instant) -> Self {
        self.sync = Some(Sync::new(options, seed, now));
        self
    }

    /// Does so from here on, or not any more.
    pub fn extend(&mut self, now: Instant, options: Option<Options>, seed: u64) {
        match (&mut self.sync, options) {
            (Some(sync), Some(options)) => sync.set_options(now, options),
            (None, Some(options)) => {
                let sync = Sync::new(options, seed, now);
                self.sync = Some(sync.having_counted(self.counters.group));
            }
            (_, None) => self.sync = None,
        }
    }

    /// What is known of the other nodes, if anything is asked of them.
    pub fn sync(&self) -> Option<&Sync> {
        self.sync.as_ref()
    }

    /// How many bytes of `payload` may be sessions.
    pub fn sessions_of(&self, payload: usize) -> usize {
        match self.sync {
            Some(_) => payload.saturating_sub(Header::SIZE),
            None => payload,
        }
    }

    /// The trailer of a new datagram, if there shall be one.
    pub fn stamp(&mut self) -> Option<Header> {
        self.sync.as_mut().map(Sync::stamp)
    }

    /// The first datagram of the outbox leaves it, sent or not: it can be repeated from now on.
    pub fn record(&mut self, now: Instant, outbox: &Outbox) {
        if let (Some(sync), Some((Kind::Sessions(Some(number)), pieces))) =
            (&mut self.sync, outbox.first())
        {
            sync.record(now, number, pieces);
        }
    }

    /// A datagram went out.
    pub fn sent(&mut self, taken: Taken) {
        if let Kind::Sessions(_) = taken.kind {
            self.counters.net_sent.add(taken.length);
        }
        self.journal.success(Reason::NotSent);
    }

    /// A datagram could not be sent. What is no sessions is said again if it matters.
    pub fn not_sent(&mut self, now: Instant, taken: Taken, detail: impl FnOnce() -> String) {
        match taken.kind {
            Kind::Sessions(_) => {
                self.counters.unsent += taken.length as u64;
                self.lose(now, Reason::NotSent, detail);
            }
            Kind::Message => self.lose(now, Reason::MessageNotSent, detail),
        }
    }

    /// There was no interface to send a datagram over. That was told when it was news.
    pub fn nowhere_to_send(&mut self, taken: Taken) {
        if let Kind::Sessions(_) = taken.kind {
            self.counters.unsent += taken.length as u64;
            self.counters.lose(Reason::InterfaceMissing, 1);
        }
    }

    /// Whether the kernel should wait, for some other router does not follow.
    pub fn holds_back(&mut self, now: Instant) -> bool {
        let bound = self.longest_wait();
        match &mut self.sync {
            Some(sync) => sync.holds_back(now, bound),
            None => false,
        }
    }

    /// For how long the kernel has room without an acknowledgement; nothing if it has for ever.
    pub(super) fn longest_wait(&self) -> Option<Duration> {
        if self.watch.advertises() {
            return None;
        }
        let capacity = self.watch.get(Global::SsCapacity);
        Some(self.room.bound(capacity.filter(|_| self.has_queue())))
    }

    /// When [`Engine::write_message`] has something to write, or time something to change.
    pub fn message_due(&self) -> Option<Instant> {
        self.sync.as_ref().map(Sync::due)
    }

    /// Writes the next message that is due to the start of `room`, and returns its length: 0 if none
    /// is. `table` is the kernel's.
    pub fn write_message(
        &mut self,
        now: Instant,
        room: &mut [u8],
        payload: usize,
        table: &mut impl Table,
    ) -> usize {
        let format = self.format();
        match &mut self.sync {
            Some(sync) => sync.write(now, room, payload, format, table),
            None => 0,
        }
    }

    /// Tells the other nodes' engine half what became of the kernel, and what time it is.
    pub(super) fn follow_sync(&mut self, now: Instant) {
        let serves = self.has_module() && self.watch.is_on();
        let kernel = serves.then(|| self.watch.incarnation());
        let Some(sync) = &mut self.sync else {
            return;
        };
        if sync.serve(now, kernel, self.watch.sessions()) {
            // What is held is of the kernel before.
            forget_known(&mut self.refreshes, &mut self.releases_all);
        }
        sync.elapse(now);
        for news in sync.news() {
            // Whoever makes up nodes fills no log.
            if self.group_lines.spend(now) {
                self.journal.note(Event::Group(news));
            }
        }
        self.counters.group = *sync.tally();
    }

    /// For that reason, something is lost that no repeat brings back.
    pub(super) fn owe_table(&mut self, now: Instant, reason: Reason) {
        let Some(sync) = &mut self.sync else {
            return;
        };
        match reason {
            Reason::KernelOverrun
            | Reason::TruncatedMessage
            | Reason::QueueFull
            | Reason::PacketFull => {
                sync.lost_own(now);
                // What is held may be older than what was lost.
                forget_known(&mut self.refreshes, &mut self.releases_all);
            }
            Reason::HeldNotSent => sync.lost_own(now),
            Reason::AddNotSent => sync.miss_all(now),
            _ => (),
        }
    }

    /// What a datagram is, and what becomes of it if that is not for its sessions to say.
    pub(super) fn on_extended(
        &mut self,
        now: Instant,
        source: SocketAddr,
        buffer: &mut [u8],
        length: usize,
    ) -> Extended {
        let contents = buffer.get_mut(Add::HEADROOM..Add::HEADROOM + length);
        let (Some(sync), Some(contents)) = (&mut self.sync, contents) else {
            return Extended::Sessions(length);
        };
        match Datagram::of(contents) {
            Datagram::Plain => {
                sync.on_plain(now, source);
                Extended::Sessions(length)
            }
            // It is found to have no sessions as any other datagram is.
            Datagram::Unknown(0) => Extended::Sessions(length),
            Datagram::Unknown(sessions) => Extended::Sessions(sessions),
            Datagram::Numbered(sessions, header) => {
                let is_own = header.node == sync.node();
                let delivery = sync.on_sessions(now, source, header);
                if delivery != Delivery::Add {
                    self.counters.group = *sync.tally();
                }
                match delivery {
                    Delivery::Add => Extended::Sessions(sessions),
                    Delivery::Compare => Extended::Overtaken(sessions),
                    Delivery::Nothing if is_own => {
                        self.lose(now, Reason::OwnDatagram, || format!("from {source}"));
                        Extended::Done
                    }
                    Delivery::Nothing => Extended::Done,
                }
            }
            Datagram::Message(header) => {
                let heard = sync.on_message(now, source, header, contents);
                if sync.take_table_asked() {
                    // Whether it is another instance's by now, a look tells; the parts come after that.
                    self.watch.look_again(now);
                }
                self.counters.group = *sync.tally();
                if let Ok(Contents::Sessions(from, _)) = heard {
                    // Where a datagram's sessions stand, so that a request can be built there.
                    contents.copy_within(from.., 0);
                }
                self.on_heard(now, source, length, heard)
            }
        }
    }

    fn on_heard(
        &mut self,
        now: Instant,
        source: SocketAddr,
        length: usize,
        heard: Result<Contents, Malformed>,
    ) -> Extended {
        match heard {
            Ok(Contents::Nothing) => Extended::Done,
            Ok(Contents::Sessions(from, part)) => Extended::Again(length - from, part),
            Err(problem) => {
                self.lose(now, Reason::MalformedTalk, || {
                    format!("it has {problem}; from {source}")
                });
                Extended::Done
            }
        }
    }

    /// Sessions that are late were checked, or refused; the kernel's own come next.
    pub(super) fn on_late(
        &mut self,
        now: Instant,
        source: SocketAddr,
        buffer: &mut [u8],
        (length, part): (usize, Option<Part>),
    ) -> FromNetwork {
        let admitted = match length {
            // A stretch of a table may be empty.
            0 => Some(0),
            _ => {
                let manner = Manner {
                    is_table: part.is_some(),
                    ..Manner::default()
                };
                self.admit(now, source, buffer, length, manner).ok()
            }
        };
        let Some(length) = admitted else {
            // It counts as received by now.
            if let Some(sync) = self.sync.as_mut().filter(|_| part.is_none()) {
                sync.miss_from(now, source);
            }
            return FromNetwork::Ignore;
        };
        FromNetwork::Compare(Late { length, part })
    }

    /// Leaves out of the sessions behind the headroom those of which this router has told something that
    /// is as new, and moves the others together. Returns their bytes.
    pub(super) fn leave_out_known(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        length: usize,
        is_late: bool,
    ) -> usize {
        let time = self.time(now);
        let format = self.format_of(buffer);
        let (Some(refreshes), Some(timeouts), Some(_)) =
            (&mut self.refreshes, self.watch.timeouts(), &self.sync)
        else {
            return length;
        };
        let contents = buffer.get_mut(Add::HEADROOM..Add::HEADROOM + length);
        let Some(contents) = contents.filter(|_| !refreshes.is_empty()) else {
            return length;
        };
        let size = format.size();
        let left = retain(contents, size, |attribute| {
            Update::read(attribute, format).is_none_or(|theirs| {
                refreshes.hear(time, &theirs, &timeouts, is_late) == Heard::New
            })
        });
        self.counters.follow(refreshes);
        self.counters.known += ((length - left) / size) as u64;
        left
    }

    /// How the sessions behind the headroom are written: if the module has not told its own way, by the
    /// size of the first.
    pub fn format_of(&self, buffer: &[u8]) -> Format {
        let size = buffer.get(Add::HEADROOM..).and_then(|b| b.first_chunk());
        let size = size.map(|size| usize::from(u16::from_ne_bytes(*size)));
        let mut all = [Format::Flat, Format::Nested].into_iter();
        let theirs = all.find(|format| Some(format.size()) == size);
        match (self.version, theirs) {
            (None, Some(theirs)) => theirs,
            _ => self.format(),
        }
    }

    /// The table could not be read; `words` are the kernel's. That there is no instance, or no module, is told
    /// when it is news.
    pub fn table_unread(&mut self, now: Instant, errno: i32, words: String) {
        match errno {
            libc::ESRCH | libc::ENOENT => {
                self.watch.hint(now);
                self.doubts_module |= errno == libc::ENOENT;
                self.counters.lose(Reason::TableUnread, 1);
            }
            _ => self.lose(now, Reason::TableUnread, || words),
        }
    }

    /// Compares sessions that came late with `table`, the kernel's; the later ones are added.
    pub fn compare(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        late: Late,
        table: &mut impl Table,
    ) -> FromNetwork {
        let format = self.format_of(buffer);
        let timeouts = self.watch.timeouts();
        let length = self.leave_out_known(now, buffer, late.length, true);
        let contents = buffer.get_mut(Add::HEADROOM..Add::HEADROOM + length);
        let kept = contents
            .zip(timeouts)
            .and_then(|(contents, timeouts)| keep_later(contents, format, &timeouts, table));
        let Some(sync) = &mut self.sync else {
            return FromNetwork::Ignore;
        };
        let Some(kept) = kept else {
            self.counters.nothing_new += 1;
            if late.part.is_none() {
                sync.miss_all(now);
            }
            return FromNetwork::Ignore;
        };
        let size = format.size();
        if let Some(part) = &late.part {
            sync.took_part(now, part, late.length / size);
        }
        self.counters.older += ((length - kept) / size) as u64;
        match Add::finish(buffer, kept).filter(|_| kept > 0) {
            Some(total) => FromNetwork::Add(total),
            None => {
                self.counters.nothing_new += 1;
                FromNetwork::Ignore
            }
        }
    }
}

/// The table that others read next is ahead of what was told: what is held must not come after that.
fn forget_known(refreshes: &mut Option<Refreshes>, releases_all: &mut bool) {
    if let Some(refreshes) = refreshes {
        refreshes.forget_known();
        *releases_all = refreshes.held() > 0;
    }
}

/// A datagram, once its extension was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extended {
    /// So many bytes of sessions, to be added.
    Sessions(usize),
    /// So many bytes of sessions that others have overtaken.
    Overtaken(usize),
    /// So many bytes of sessions that were told before, and what part of a table they are.
    Again(usize, Option<Part>),
    /// Nothing is left to do.
    Done,
}

/// How many of a datagram's bytes are sessions, whatever else is behind them.
pub(super) fn sessions_in(contents: &[u8]) -> usize {
    match Datagram::of(contents) {
        Datagram::Numbered(sessions, _) | Datagram::Unknown(sessions) => sessions,
        Datagram::Plain | Datagram::Message(_) => contents.len(),
    }
}
