//! Merging of refreshes: Jool reports each packet that it translates, which the peers need not
//! know so closely.
//!
//! The first update of a session passes at once, and so does each that changes its TCP state or
//! timer. An update that only refreshes the lifetime passes once a window; the others are held,
//! each in place of the one before, and the last of them goes out when the window ends. Nothing is
//! dropped: the peers know everything that the kernel reported, lifetimes at most one window late.
//! A refresh passes all the same when the peers' entry would else come within two windows of its
//! end.
//!
//! Memory is fixed. A session that finds no place takes that of the one that was told longest ago
//! and has nothing held; if all have, it passes without a place, unmerged.

mod hearing;
mod link;

pub use hearing::Heard;
use link::Link;

use crate::wire::update::{Body, Destination6, Update};

/// How many sessions have a place, and how long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In milliseconds, 1 to [`Limits::LONGEST_WINDOW`].
    pub window: u32,
    /// 1 to [`Limits::MOST_SESSIONS`].
    pub sessions: usize,
}

impl Limits {
    /// The longest window.
    pub const LONGEST_WINDOW: u32 = NEVER as u32 - 1;
    /// The most sessions.
    pub const MOST_SESSIONS: usize = Link::PLACES;
}

/// What becomes of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the peers now.
    Pass,
    /// It stays until its session's window ends or something newer comes.
    Hold,
}

/// Windows end at one of at least so many moments per window, so that sessions share a datagram.
const STEPS: u64 = 16;

/// Lists of held updates, by the moment when they are due. A window spans at most 2 x STEPS + 1
/// moments, so that no list has updates of two.
const MOMENTS: usize = 64;

/// The list of sessions with nothing held, in the order in which they were told.
const TOLD: usize = MOMENTS;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// Of a session with nothing held: see [`Entry::held_after`].
const NEVER: u16 = u16::MAX;

/// One session, in one line of the processor's cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Entry {
    body: Body,
    /// When the peers were told last.
    told: u64,
    /// The lifetime that they were told.
    told_expiration: u32,
    /// The lifetime that the kernel reported last.
    expiration: u32,
    /// How long after `told` that was; [`NEVER`] if nothing is held.
    held_after: u16,
    /// Whether the kernel has reported it: the one before may have, and this one not have it.
    is_known: bool,
    /// The next with the same hash.
    chain: Link,
    before: u32,
    after: u32,
}

const _: () = assert!(size_of::<Entry>() == 64);

const VACANT: Entry = Entry {
    body: Body::ZERO,
    told: 0,
    told_expiration: 0,
    expiration: 0,
    held_after: NEVER,
    is_known: false,
    chain: Link::NONE,
    before: NONE,
    after: NONE,
};

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List {
    first: NONE,
    last: NONE,
};

/// The sessions that the peers were told of lately. Times are milliseconds since some start.
#[derive(Debug)]
pub struct Refreshes {
    window: u64,
    /// From one moment to the next: 2 to this power.
    shift: u32,
    seed: u64,
    /// Room for all is reserved at the start; it fills up, and stays full.
    entries: Vec<Entry>,
    /// What only the nested format has, by the same index; empty in the flat one.
    destinations: Vec<Destination6>,
    sessions: usize,
    chains: Box<[Link]>,
    lists: [List; MOMENTS + 1],
    /// Which of the lists by moment have something, a bit each.
    occupied: u64,
    /// A moment before which those lists are empty.
    swept: u64,
    held: usize,
    merged: u64,
    restated: u64,
}

impl Refreshes {
    /// Takes all the memory that it will ever have. `seed` should be hard to guess, or clients of
    /// the NAT64 could choose sessions that make this slow.
    pub fn new(limits: Limits, seed: u64) -> Self {
        let window = u64::from(limits.window.clamp(1, Limits::LONGEST_WINDOW));
        let sessions = limits.sessions.clamp(1, Limits::MOST_SESSIONS);
        Self {
            window,
            shift: (window / STEPS).checked_ilog2().unwrap_or_default(),
            seed,
            entries: Vec::with_capacity(sessions),
            destinations: Vec::with_capacity(sessions),
            sessions,
            // Four times as many as sessions, so that few have more than one.
            chains: vec![Link::NONE; 4 * sessions.next_power_of_two()].into_boxed_slice(),
            lists: [EMPTY; MOMENTS + 1],
            occupied: 0,
            swept: 0,
            held: 0,
            merged: 0,
            restated: 0,
        }
    }

    /// As those of before, which had merged and told again so many updates.
    #[must_use]
    pub fn having_merged(mut self, merged: u64, restated: u64) -> Self {
        (self.merged, self.restated) = (merged, restated);
        self
    }

    /// What it was made with, but for what was out of range.
    pub fn limits(&self) -> Limits {
        Limits {
            window: self.window as u32,
            sessions: self.sessions,
        }
    }

    /// How many updates are held now.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many updates gave way to newer ones of their session.
    pub fn merged(&self) -> u64 {
        self.merged
    }

    /// The kernel reports `update`.
    pub fn offer(&mut self, now: u64, update: &Update) -> Verdict {
        let hash = update.body.hash(self.seed);
        let Some(at) = self.find(hash, update) else {
            self.admit(now, hash, update);
            return Verdict::Pass;
        };
        self.entries[at].is_known = true;
        if self.must_pass(&self.entries[at], now, update) {
            if self.release(at) {
                self.merged += 1;
            }
            self.tell(now, at, update);
            Verdict::Pass
        } else {
            self.hold(now, at, update);
            Verdict::Hold
        }
    }

    fn must_pass(&self, entry: &Entry, now: u64, update: &Update) -> bool {
        let peers_keep_it_until = entry.told + u64::from(entry.told_expiration);
        !entry.body.is_same_stage(&update.body)
            || now >= self.end_of_window(entry.told)
            || now + 2 * self.window >= peers_keep_it_until
    }

    /// Never later than a window after `told`, and always after it.
    fn end_of_window(&self, told: u64) -> u64 {
        (told + self.window) >> self.shift << self.shift
    }

    /// The peers are told `update` now, of a session that is in no list.
    fn tell(&mut self, now: u64, at: usize, update: &Update) {
        let entry = &mut self.entries[at];
        entry.body = update.body;
        entry.told = now;
        entry.told_expiration = update.expiration;
        self.link(TOLD, at);
    }

    fn hold(&mut self, now: u64, at: usize, update: &Update) {
        if self.entries[at].held_after == NEVER {
            self.unlink(TOLD, at);
            if self.deadline().is_none_or(|due| due > now) {
                self.swept = now >> self.shift;
            }
            self.held += 1;
            self.link(self.moment_of(at), at);
        } else {
            self.merged += 1;
        }
        let entry = &mut self.entries[at];
        entry.expiration = update.expiration;
        // Less than a window.
        entry.held_after = (now - entry.told) as u16;
    }

    /// Takes a session out of its list; tells whether it had something held.
    fn release(&mut self, at: usize) -> bool {
        let holds = self.entries[at].held_after != NEVER;
        if holds {
            self.unlink(self.moment_of(at), at);
            self.entries[at].held_after = NEVER;
            self.held -= 1;
        } else {
            self.unlink(TOLD, at);
        }
        holds
    }

    /// The list of a session that holds something.
    fn moment_of(&self, at: usize) -> usize {
        let moment = (self.entries[at].told + self.window) >> self.shift;
        (moment % MOMENTS as u64) as usize
    }

    /// When the first of the held updates is due.
    pub fn deadline(&self) -> Option<u64> {
        if self.occupied == 0 {
            return None;
        }
        let from = (self.swept % MOMENTS as u64) as u32;
        let ahead = self.occupied.rotate_right(from).trailing_zeros();
        Some((self.swept + u64::from(ahead)) << self.shift)
    }

    /// Takes one of the updates that are due, to tell the peers now.
    pub fn next_due(&mut self, now: u64) -> Option<Update> {
        let due = self.deadline().filter(|&due| due <= now)?;
        Some(self.take(now, due))
    }

    /// Takes one of the held updates, due or not, to tell the peers now.
    pub fn next_held(&mut self, now: u64) -> Option<Update> {
        let due = self.deadline()?;
        Some(self.take(now, due))
    }

    /// Takes an update out of the list that is due at `due`, which has one.
    fn take(&mut self, now: u64, due: u64) -> Update {
        self.swept = due >> self.shift;
        let list = (self.swept % MOMENTS as u64) as usize;
        let at = self.lists[list].first as usize;
        let entry = self.entries[at];
        let reported = entry.told + u64::from(entry.held_after);
        let elapsed = u32::try_from(now.saturating_sub(reported)).unwrap_or(u32::MAX);
        let update = Update {
            body: entry.body,
            destination6: self.destinations.get(at).copied(),
            expiration: entry.expiration.saturating_sub(elapsed).max(1),
        };
        self.release(at);
        self.tell(now, at, &update);
        update
    }

    /// Forgets all sessions; returns how many of them held something.
    pub fn clear(&mut self) -> usize {
        let held = self.held;
        self.chains.fill(Link::NONE);
        self.lists = [EMPTY; MOMENTS + 1];
        self.entries.clear();
        self.destinations.clear();
        (self.occupied, self.held) = (0, 0);
        held
    }

    fn chain_of(&self, hash: u64) -> usize {
        hash as usize & (self.chains.len() - 1)
    }

    fn find(&self, hash: u64, update: &Update) -> Option<usize> {
        let mut link = self.chains[self.chain_of(hash)];
        while !link.ends(hash) {
            let at = link.place();
            if link.fits(hash) && self.is_session_of(at, update) {
                return Some(at);
            }
            link = self.entries[at].chain;
        }
        None
    }

    fn is_session_of(&self, at: usize, update: &Update) -> bool {
        self.entries[at].body.is_same_session(&update.body)
            && update
                .destination6
                .is_none_or(|destination6| self.destinations.get(at) == Some(&destination6))
    }

    /// Gives a new session a place, if there is one.
    fn admit(&mut self, now: u64, hash: u64, update: &Update) {
        let at = if self.entries.len() < self.sessions {
            self.entries.push(VACANT);
            self.destinations.extend(update.destination6);
            self.entries.len() - 1
        } else {
            match self.lists[TOLD].first {
                NONE => return,
                oldest => self.evict(oldest as usize),
            }
        };
        if let (Some(own), Some(new)) = (self.destinations.get_mut(at), update.destination6) {
            *own = new;
        }
        self.entries[at].is_known = true;
        let chain = self.chain_of(hash);
        let first = &mut self.chains[chain];
        self.entries[at].chain = *first;
        *first = Link::to(at, hash, *first);
        self.tell(now, at, update);
    }

    fn evict(&mut self, at: usize) -> usize {
        self.release(at);
        let entry = self.entries[at];
        let chain = self.chain_of(entry.body.hash(self.seed));
        let mut link = self.chains[chain];
        if link.place() == at {
            self.chains[chain] = entry.chain;
            return at;
        }
        while link != Link::NONE {
            let next = &mut self.entries[link.place()].chain;
            if next.place() == at {
                *next = entry.chain;
                break;
            }
            link = *next;
        }
        at
    }

    fn link(&mut self, list: usize, at: usize) {
        let last = self.lists[list].last;
        self.entries[at].before = last;
        self.entries[at].after = NONE;
        match last {
            NONE => self.lists[list].first = at as u32,
            last => self.entries[last as usize].after = at as u32,
        }
        self.lists[list].last = at as u32;
        if list != TOLD {
            self.occupied |= 1 << list;
        }
    }

    /// As the one that was told longest ago.
    fn link_first(&mut self, at: usize) {
        let first = self.lists[TOLD].first;
        self.entries[at].before = NONE;
        self.entries[at].after = first;
        match first {
            NONE => self.lists[TOLD].last = at as u32,
            first => self.entries[first as usize].before = at as u32,
        }
        self.lists[TOLD].first = at as u32;
    }

    fn unlink(&mut self, list: usize, at: usize) {
        let Entry { before, after, .. } = self.entries[at];
        match before {
            NONE => self.lists[list].first = after,
            before => self.entries[before as usize].after = after,
        }
        match after {
            NONE => self.lists[list].last = before,
            after => self.entries[after as usize].before = before,
        }
        if list != TOLD && self.lists[list].first == NONE {
            self.occupied &= !(1 << list);
        }
    }
}

#[cfg(test)]
mod tests;
