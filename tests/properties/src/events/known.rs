//! What the engine should know of the instance, by what it was told, and when it should ask again.

use std::time::{Duration, Instant};

use joold::engine::Engine;
use joold::wire::datagram::Terms;
use joold::wire::globals::{Global, Values};
use joold::wire::instance::Snapshot;
use joold::wire::pool4::Pool4;
use joold::wire::session::Format;
use joold::wire::statistics::Statistics;

/// Errno of a module that lacks the instance, and of one that may not be asked.
pub const MISSING: i32 = 3;
pub const FORBIDDEN: i32 = 1;

/// How long it is, in milliseconds, until an instance is looked at again that synchronizes, and until
/// one is that does not, is missing, or was refused in passing. Nothing hurries a look more.
const ON: u64 = 3000;
const OFF: u64 = 250;

/// Until what is refused again and again is tried again.
const PAUSES: [u64; 6] = [3000, 6000, 12_000, 24_000, 48_000, 60_000];

/// How long pool4 is believed whatever comes, and not yet in an instance that was created.
const BELIEVED: u64 = 1000;
const GRACE: u64 = 10_000;

fn after(now: Instant, milliseconds: u64) -> Instant {
    now + Duration::from_millis(milliseconds)
}

fn pause(refusals: usize) -> u64 {
    PAUSES[refusals.min(PAUSES.len() - 1)]
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Presence {
    #[default]
    Unknown,
    Missing,
    Present,
    Forbidden,
}

/// What is known of an instance.
#[derive(Debug, Default)]
pub struct Known {
    presence: Presence,
    was_missing: bool,
    globals: Values,
    longest: Option<u32>,
    statistics: Statistics,
    /// Nothing before it was told.
    pool4: Option<Pool4>,
    /// When it was asked for, and from when on it counts.
    pool4_asked: Option<Instant>,
    pool4_from: Option<Instant>,
    wanted: Values,
    /// What is wanted and was not set yet.
    pending: Values,
    settled: bool,
    /// Whether an acknowledgement is owed to the instance if it synchronizes.
    fresh: bool,
    /// How many refusals in a row there were of that kind.
    refusals: (usize, i32),
    refused_changes: usize,
    change_due: Option<Instant>,
    last: Option<Instant>,
    /// The latest time of the next look.
    due: Option<Instant>,
}

impl Known {
    /// Nothing yet of an instance that should be like that.
    pub fn new(wanted: Values) -> Self {
        Self {
            wanted,
            pending: wanted,
            ..Self::default()
        }
    }

    /// There is nothing to look at.
    pub fn end(&mut self) {
        *self = Self::new(self.wanted);
    }

    /// There is another one to look at.
    pub fn begin(&mut self, now: Instant) {
        self.end();
        self.due = Some(now);
    }

    /// Something else is wanted of it. What is not new is not set again.
    pub fn want(&mut self, now: Instant, wanted: Values) {
        for global in Global::ALL {
            if wanted.get(global) != self.wanted.get(global) {
                self.pending.set(global, wanted.get(global));
                self.settled = false;
            }
        }
        self.wanted = wanted;
        self.retry_changes();
        self.look_again(now);
    }

    fn retry_changes(&mut self) {
        (self.refused_changes, self.change_due) = (0, None);
    }

    fn look_again(&mut self, now: Instant) {
        self.due = self.due.map(|_| now);
    }

    fn looked(&mut self, now: Instant, next: u64) {
        (self.last, self.due) = (Some(now), Some(after(now, next)));
    }

    /// It is like that. Returns what should be changed.
    pub fn learn(&mut self, now: Instant, state: &Snapshot) -> Vec<(Global, u32)> {
        let was_there = self.presence == Presence::Present;
        let is_anew = was_there && state.statistics.is_anew(&self.statistics);
        if is_anew || !was_there {
            if is_anew || self.was_missing {
                self.pool4_from = Some(after(now, GRACE));
            }
            // What is known of an earlier instance's pool4 holds for no other.
            self.pool4 = None;
            (self.settled, self.pending) = (false, self.wanted);
            self.retry_changes();
        }
        if let Some(pool4) = &state.pool4 {
            (self.pool4, self.pool4_asked) = (Some(pool4.clone()), Some(now));
        }
        (self.presence, self.was_missing) = (Presence::Present, false);
        self.globals = state.globals.values;
        self.longest = state.globals.longest_timeout();
        self.statistics = state.statistics.clone();
        self.refusals = (0, 0);
        self.looked(now, if self.is_on() { ON } else { OFF });
        if self.settled || self.change_due.is_some_and(|due| due > now) {
            return Vec::new();
        }
        let differing = self.pending.differing(&self.globals);
        let changes: Vec<_> = differing.map(|(global, to, _)| (global, to)).collect();
        if changes.is_empty() {
            self.settle();
        }
        changes
    }

    /// That was changed.
    pub fn changed(&mut self, changes: &[(Global, u32)]) {
        for &(global, value) in changes {
            self.globals.set(global, Some(value));
        }
        assert!(self.pending.differing(&self.globals).next().is_none());
        self.settle();
    }

    fn settle(&mut self) {
        (self.settled, self.fresh, self.pending) = (true, true, Values::default());
        self.retry_changes();
    }

    /// Whether it is owed an acknowledgement, after which it is looked at once more.
    pub fn owes_acknowledgement(&mut self, now: Instant) -> bool {
        let owes = std::mem::take(&mut self.fresh) && self.is_on();
        if owes {
            self.look_again(now);
        }
        owes
    }

    /// The module refuses the change.
    pub fn change_refused(&mut self, now: Instant) {
        self.change_due = Some(after(now, pause(self.refused_changes)));
        self.refused_changes += 1;
    }

    /// The module refuses to tell. Returns whether that is told.
    pub fn refused(&mut self, now: Instant, code: i32) -> bool {
        if code == MISSING {
            self.looked(now, OFF);
            self.forget(Presence::Missing);
            self.was_missing = true;
            return false;
        }
        let times = match self.refusals {
            (times, last) if last == code => times,
            _ => 0,
        };
        let pauses = match code {
            FORBIDDEN => pause(times),
            _ => times.checked_sub(1).map_or(OFF, pause),
        };
        if code == FORBIDDEN {
            self.forget(Presence::Forbidden);
        }
        self.looked(now, pauses);
        self.refusals = (times + 1, code);
        times == usize::from(code != FORBIDDEN)
    }

    fn forget(&mut self, presence: Presence) {
        self.presence = presence;
        (self.globals, self.longest) = (Values::default(), None);
        self.statistics = Statistics::default();
        self.pool4 = None;
        self.settled = false;
        self.refusals = (0, 0);
    }

    /// It could not be asked.
    pub fn failed(&mut self, now: Instant) {
        self.looked(now, ON);
    }

    /// It was asked whether it is there, no more.
    pub fn looked_for(&mut self, now: Instant, is_there: bool) {
        assert_eq!(self.presence, Presence::Missing);
        self.looked(now, if is_there { 0 } else { OFF });
        self.refusals = (0, 0);
        if is_there {
            self.presence = Presence::Unknown;
        }
    }

    /// Its pool4 is to be asked for at once.
    pub fn doubt_pool4(&mut self, now: Instant) {
        self.pool4_asked = Some(now);
        self.look_again(now);
    }

    /// Whether it should only be asked whether it is there.
    pub fn is_missing(&self) -> bool {
        self.presence == Presence::Missing
    }

    fn is_on(&self) -> bool {
        self.presence == Presence::Present && self.globals.get(Global::SsEnabled) == Some(1)
    }

    /// Whether sessions are passed to it.
    pub fn takes_sessions(&self) -> bool {
        match self.presence {
            Presence::Unknown => true,
            Presence::Missing | Presence::Forbidden => false,
            Presence::Present => self.globals.get(Global::SsEnabled) != Some(0),
        }
    }

    /// Whether its queue is to be flushed after a batch: its own timer is no faster.
    pub fn wants_flushes(&self) -> bool {
        let deadline = self.globals.get(Global::SsFlushDeadline);
        deadline.is_some_and(|deadline| deadline < 2000)
    }

    /// On which sessions from the network are admitted.
    pub fn terms(&self, now: Instant, format: Option<Format>) -> Terms<'_> {
        let counts = self.pool4_from.is_none_or(|from| now >= from);
        let is_old = |asked| now >= after(asked, BELIEVED);
        Terms {
            format,
            longest: self.longest,
            pool4: (self.pool4.as_ref()).filter(|pool4| counts && pool4.is_known()),
            is_pool4_old: self.refusals.0 == 0 && self.pool4_asked.is_none_or(is_old),
            is_table: false,
        }
    }

    /// The engine sees it like that.
    pub fn check(&self, now: Instant, engine: &Engine) {
        assert_eq!(engine.looks_for_instance(), self.is_missing());
        // Unless it is known, it is asked for.
        assert!(self.pool4.is_some() || engine.wants_pool4(now));
        let due = engine.look_due();
        if self.refusals.0 > 0 {
            // Each refusal is a line in the kernel's log.
            assert_eq!(due, self.due, "no hint hurries what is refused");
            return;
        }
        assert_eq!(due.is_some(), self.due.is_some());
        assert!(due <= self.due, "what was due is put off");
        if let (Some(due), Some(latest), Some(last)) = (due, self.due, self.last) {
            assert!(due >= latest.min(after(last, OFF)), "hurried too much");
        }
    }
}
