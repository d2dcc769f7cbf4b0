//! The served instance, as the engine knows it: whether it is there, how it is configured, and how
//! it should be.
//!
//! Nothing tells when an instance comes, goes, or is created anew, so it is looked at every few
//! seconds, and sooner when the kernel's answers hint at a change. When it appears, what the module
//! file wants is set. What somebody changes later, by hand, stays.

use std::time::{Duration, Instant};

use super::journal::{Event, Journal};
use crate::wire::globals::{Global, Globals, Values};
use crate::wire::instance::Snapshot;
use crate::wire::jool::Version;
use crate::wire::lifetime::Timeouts;
use crate::wire::pool4::Pool4;
use crate::wire::statistics::Statistics;

/// How often an instance is looked at that is there.
const PERIOD: Duration = Duration::from_secs(3);

/// How often it is looked at while it does not synchronize: nothing is passed to it meanwhile.
const PERIOD_OFF: Duration = Duration::from_millis(250);

/// How often it is looked for while it is missing.
const SEARCH: Duration = Duration::from_millis(250);

/// The longest time to the next look while the kernel refuses it, and to the next try of a change
/// that it refuses. Each refusal is a line in the kernel's log, and for a change the kernel looks
/// through all of the instance's table.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The least time between two looks, whatever hints there are.
const PAUSE: Duration = Duration::from_millis(250);

/// How long it takes until pool4 is asked for again.
const POOL4_PERIOD: Duration = Duration::from_secs(30);

/// How long pool4 is believed at least, whatever comes from the network.
const POOL4_PAUSE: Duration = Duration::from_secs(1);

/// How long somebody may take to configure an instance that was just created: until then, its pool4
/// tells nothing.
const POOL4_GRACE: Duration = Duration::from_secs(10);

/// What is known of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// Nothing yet.
    Unknown,
    /// It is not there.
    Missing,
    /// It is there.
    Present,
    /// The kernel does not tell, for the daemon may not ask.
    Forbidden,
}

/// One instance's state over time.
#[derive(Debug)]
pub struct Watch {
    wanted: Values,
    /// What of that was not set yet since the instance appeared, or since it is wanted.
    pending: Values,
    presence: Presence,
    /// Whether it was missing the last time that anything was known.
    was_missing: bool,
    globals: Globals,
    statistics: Statistics,
    pool4: Pool4,
    /// When pool4 is asked for again; at the next look without.
    pool4_due: Option<Instant>,
    /// When it was asked for last.
    pool4_seen: Option<Instant>,
    /// Before that, nothing is compared with it.
    pool4_from: Option<Instant>,
    /// How often in a row the kernel refused to tell, and how it did last: an errno.
    refusals: (u32, i32),
    /// How often in a row the kernel refused to change anything.
    refused_changes: u32,
    /// When that is tried again.
    change_due: Option<Instant>,
    /// Whether the instance was configured since it appeared.
    settled: bool,
    /// Whether that is news.
    fresh: bool,
    last: Option<Instant>,
    due: Option<Instant>,
    /// How often an instance has appeared.
    incarnation: u32,
    /// Whether an advertise began, and the kernel has always had more since.
    advertises: bool,
    /// How many updates its queue had no room for, and nobody has counted yet.
    queue_lost: u64,
}

impl Watch {
    /// Of an instance that should have those globals when it appears.
    pub fn new(wanted: Values) -> Self {
        Self {
            wanted,
            pending: wanted,
            presence: Presence::Unknown,
            was_missing: false,
            globals: Globals::default(),
            statistics: Statistics::default(),
            pool4: Pool4::default(),
            pool4_due: None,
            pool4_seen: None,
            pool4_from: None,
            refusals: (0, 0),
            refused_changes: 0,
            change_due: None,
            settled: false,
            fresh: false,
            last: None,
            due: None,
            incarnation: 0,
            advertises: false,
            queue_lost: 0,
        }
    }

    /// Other globals are wanted from here on. Those that were wanted before stay as they are, for
    /// somebody may have changed them since.
    pub fn want(&mut self, now: Instant, wanted: Values) {
        for global in Global::ALL {
            if wanted.get(global) != self.wanted.get(global) {
                self.pending.set(global, wanted.get(global));
                self.settled = false;
            }
        }
        self.wanted = wanted;
        self.retry_changes();
        self.due = self.due.map(|_| now);
    }

    fn retry_changes(&mut self) {
        (self.refused_changes, self.change_due) = (0, None);
    }

    /// A module has come: whatever instance it has is another one.
    pub fn begin(&mut self, now: Instant) {
        self.end();
        self.due = Some(now);
    }

    /// There is no module, so nothing to look at.
    pub fn end(&mut self) {
        *self = Self {
            incarnation: self.incarnation,
            ..Self::new(self.wanted)
        };
    }

    /// Something hints at a change.
    pub fn hint(&mut self, now: Instant) {
        if self.refusals.0 > 0 {
            return;
        }
        let soonest = self.last.map_or(now, |last| last + PAUSE);
        self.due = self.due.map(|due| due.min(soonest.max(now)));
    }

    /// The last look was too early for what comes now.
    pub fn look_again(&mut self, now: Instant) {
        if self.refusals.0 == 0 {
            self.due = self.due.map(|_| now);
        }
    }

    /// When the next look is due.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the instance takes sessions from the network, as far as is known.
    pub fn takes_sessions(&self) -> bool {
        match self.presence {
            Presence::Unknown => true,
            Presence::Present => self.get(Global::SsEnabled) != Some(0),
            Presence::Missing | Presence::Forbidden => false,
        }
    }

    /// Whether the next look should ask for pool4, which seldom changes.
    pub fn wants_pool4(&self, now: Instant) -> bool {
        self.pool4_due.is_none_or(|due| due <= now)
    }

    /// Whether pool4 was asked for some time ago, so that it may be another one by now.
    pub fn is_pool4_old(&self, now: Instant) -> bool {
        self.refusals.0 == 0 && self.pool4_seen.is_none_or(|seen| now >= seen + POOL4_PAUSE)
    }

    /// A session came whose mask is not in pool4, as it was some time ago: the next look is due at
    /// once, and asks for it. Should that fail, it is not repeated for each session.
    pub fn doubt_pool4(&mut self, now: Instant) {
        (self.pool4_due, self.pool4_seen) = (None, Some(now));
        self.due = self.due.map(|_| now);
    }

    /// Which masks the instance's sessions can have, if that is known.
    pub fn pool4(&self, now: Instant) -> Option<&Pool4> {
        let counts = self.pool4_from.is_none_or(|from| now >= from);
        Some(&self.pool4).filter(|pool4| counts && pool4.is_known())
    }

    /// Whether the instance is known to be missing.
    pub fn is_missing(&self) -> bool {
        self.presence == Presence::Missing
    }

    /// Whether it synchronizes, as far as is known.
    pub fn is_on(&self) -> bool {
        self.presence == Presence::Present && self.get(Global::SsEnabled) == Some(1)
    }

    /// A number that is another one for each instance that has appeared.
    pub fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Whether it is telling its whole table, which no queue limits.
    pub fn advertises(&self) -> bool {
        self.advertises
    }

    /// How many updates its queue had no room for since this was asked last.
    pub fn take_queue_lost(&mut self) -> u64 {
        std::mem::take(&mut self.queue_lost)
    }

    /// It has nothing more to tell.
    pub fn advertised(&mut self) {
        self.advertises = false;
    }

    /// What it had counted when it was looked at last; nothing unless it is there.
    pub fn statistics(&self) -> Option<&Statistics> {
        Some(&self.statistics).filter(|_| self.presence == Presence::Present)
    }

    /// How many sessions it had when it was looked at last.
    pub fn sessions(&self) -> u32 {
        u32::try_from(self.statistics.sessions()).unwrap_or(u32::MAX)
    }

    /// Its timeouts, if they are known.
    pub fn timeouts(&self) -> Option<Timeouts> {
        Timeouts::of(&self.globals)
    }

    /// What one of its globals is, if that is known.
    pub fn get(&self, global: Global) -> Option<u32> {
        self.globals.values.get(global)
    }

    /// How many bytes of sessions make a packet full before 4.1.11, if that is known.
    pub fn max_payload(&self) -> Option<u32> {
        self.globals.max_payload
    }

    /// The longest time that any session of it lives, in milliseconds, if that is known.
    pub fn longest_timeout(&self) -> Option<u32> {
        self.globals.longest_timeout()
    }

    /// The instance was looked at, and this is what it is like. What is to change comes back as
    /// wanted values; empty for nothing.
    pub fn seen(
        &mut self,
        now: Instant,
        state: Snapshot,
        version: Option<Version>,
        journal: &mut Journal,
    ) -> Vec<(Global, u32)> {
        let is_anew =
            self.presence == Presence::Present && state.statistics.is_anew(&self.statistics);
        let appeared = match self.presence {
            Presence::Present => is_anew,
            _ => true,
        };
        if appeared {
            self.incarnation = self.incarnation.wrapping_add(1);
            (self.settled, self.pending) = (false, self.wanted);
            if is_anew || self.was_missing {
                self.pool4_from = Some(now + POOL4_GRACE);
            }
            self.retry_changes();
            journal.note(match is_anew {
                true => Event::InstanceRecreated,
                false => Event::InstanceFound,
            });
        }
        let was_on = self.is_on();
        (self.presence, self.was_missing) = (Presence::Present, false);
        self.globals = state.globals;
        if version.is_some_and(Version::has_known_statistics) && !appeared {
            let after = state.statistics.synchronization();
            let before = self.statistics.synchronization();
            self.advertises |= after.advertises > before.advertises;
            self.queue_lost += after.queue_full.saturating_sub(before.queue_full);
        }
        self.statistics = state.statistics;
        self.refusals = (0, 0);
        self.looked(now, if self.is_on() { PERIOD } else { PERIOD_OFF });
        match state.pool4 {
            Some(pool4) => {
                if pool4.is_too_large() && !self.pool4.is_too_large() {
                    journal.note(Event::Pool4TooLarge);
                }
                (self.pool4, self.pool4_seen) = (pool4, Some(now));
                self.pool4_due = Some(now + POOL4_PERIOD);
            }
            None if appeared => (self.pool4, self.pool4_due) = (Pool4::default(), None),
            None => (),
        }
        if self.settled {
            if was_on != self.is_on() {
                journal.note(match was_on {
                    true => Event::SynchronizationTurnedOff,
                    false => Event::SynchronizationTurnedOn,
                });
            }
            return Vec::new();
        }
        if self.change_due.is_some_and(|due| due > now) {
            return Vec::new();
        }
        let differing = self.pending.differing(&self.globals.values);
        let changes: Vec<_> = differing
            .map(|(global, wanted, _)| (global, wanted))
            .collect();
        if changes.is_empty() {
            self.settle(journal);
        }
        changes
    }

    /// The changes were made.
    pub fn changed(&mut self, changes: &[(Global, u32)], journal: &mut Journal) {
        for &(global, to) in changes {
            let from = self.get(global).unwrap_or_default();
            self.globals.values.set(global, Some(to));
            journal.note(Event::Changed { global, from, to });
        }
        self.settle(journal);
    }

    fn settle(&mut self, journal: &mut Journal) {
        (self.settled, self.fresh) = (true, true);
        for global in Global::ALL {
            if self.pending.get(global).is_some() && self.get(global).is_none() {
                journal.note(Event::LacksGlobal(global));
            }
        }
        self.pending = Values::default();
        self.retry_changes();
        let deadline = self.get(Global::SsFlushDeadline);
        journal.note(match self.is_on() {
            true => Event::Serving { deadline },
            false => Event::SynchronizationIsOff,
        });
    }

    /// Whether the instance has been configured since this was asked last: it has not heard of the
    /// daemon yet.
    pub fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// It could not be looked at.
    pub fn postpone(&mut self, now: Instant) {
        self.looked(now, PERIOD);
    }

    /// The kernel refused the changes, which are tried again later and later.
    pub fn change_refused(&mut self, now: Instant) {
        self.change_due = Some(now + pause(self.refused_changes));
        self.refused_changes = self.refused_changes.saturating_add(1);
    }

    /// The instance is missing, and was looked for.
    pub fn looked_for(&mut self, now: Instant, is_there: bool) {
        self.looked(now, SEARCH);
        self.refusals = (0, 0);
        if is_there {
            // How it is configured is another question.
            self.presence = Presence::Unknown;
            self.due = Some(now);
        }
    }

    /// The kernel says that there is no such instance; `words` are its own.
    pub fn missing(&mut self, now: Instant, words: impl FnOnce() -> String, journal: &mut Journal) {
        self.looked(now, SEARCH);
        let event = match self.presence {
            Presence::Missing => None,
            Presence::Present => Some(Event::InstanceRemoved(words())),
            Presence::Unknown | Presence::Forbidden => Some(Event::InstanceMissing(words())),
        };
        self.forget(Presence::Missing);
        self.was_missing = true;
        if let Some(event) = event {
            journal.note(event);
        }
    }

    /// The kernel does not tell what the instance is like. What is known of it stays, unless the
    /// daemon may not ask at all. Returns whether that is news.
    pub fn refused(&mut self, now: Instant, code: i32) -> bool {
        let (times, last) = if self.refusals.1 == code {
            self.refusals
        } else {
            (0, code)
        };
        let is_forbidden = code == libc::EPERM;
        if is_forbidden {
            self.forget(Presence::Forbidden);
        }
        // A module that comes or goes refuses in passing, which is not worth a line.
        let (is_news, next) = match (is_forbidden, times) {
            (true, _) => (times == 0, pause(times)),
            (false, 0) => (false, PAUSE),
            (false, _) => (times == 1, pause(times - 1)),
        };
        self.looked(now, next);
        self.refusals = (times.saturating_add(1), last);
        is_news
    }

    fn forget(&mut self, presence: Presence) {
        self.presence = presence;
        self.globals = Globals::default();
        self.statistics = Statistics::default();
        (self.pool4, self.pool4_due) = (Pool4::default(), None);
        self.settled = false;
        self.refusals = (0, 0);
    }

    fn looked(&mut self, now: Instant, next: Duration) {
        self.last = Some(now);
        self.due = Some(now + next);
    }
}

/// Twice as long after each refusal.
fn pause(refusals: u32) -> Duration {
    (PERIOD * (1 << refusals.min(8))).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
