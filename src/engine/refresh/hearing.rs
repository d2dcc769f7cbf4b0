//! What others say of the sessions that this router told of.
//!
//! When another router takes a session over, each may still have something to say of it: an update that
//! was held, or waited in a kernel's queue, comes after newer ones of the other. Whoever told the newer
//! one does not take the older one, and tells its own again for the sake of all others who heard both.

use super::{NEVER, Refreshes};
use crate::wire::lifetime::{Timeouts, WAIT, idle, is_further, is_later};
use crate::wire::session::Timer;
use crate::wire::update::Update;

/// What is known of a session that another router tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that is newer.
    New,
    /// What this router told is as new, or newer.
    Known,
}

impl Refreshes {
    /// Whether this router has told of anything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Another kernel is served, which may have nothing of what was reported until now; or something that
    /// the kernel reported since was lost, and is newer.
    pub fn forget_known(&mut self) {
        for entry in &mut self.entries {
            entry.is_known = false;
        }
    }

    /// How many updates were told again.
    pub fn restated(&self) -> u64 {
        self.restated
    }

    /// Another router tells `theirs`. What is late is compared with the own by everybody who hears it, so
    /// that nothing has to be told again.
    pub fn hear(&mut self, now: u64, theirs: &Update, timeouts: &Timeouts, is_late: bool) -> Heard {
        let Some(at) = self.find(theirs.body.hash(self.seed), theirs) else {
            return Heard::New;
        };
        if !self.entries[at].is_known {
            return Heard::New;
        }
        let ours = self.as_of(now, at);
        // What waited on its way seems to have been used later than it was. The kernel goes on meanwhile:
        // a copy of what it told a moment ago must not take back what it has made of it since.
        // One a step further on is none of those.
        let seems_later = idle(theirs, timeouts).saturating_add(WAIT) >= idle(&ours, timeouts)
            && !is_further(theirs, &ours);
        // An incoming SYN tells nothing of the time.
        let is_dated = ours.body.stage().1 != Timer::IncomingSyn as u8;
        if is_late && is_dated && ours.expiration > 0 && seems_later {
            return Heard::Known;
        }
        // One whose time is up is none that another could be older than.
        if ours.expiration == 0 || is_later(theirs, &ours, timeouts) {
            self.give_way(at);
            return Heard::New;
        }
        let is_older = is_later(&ours, theirs, timeouts);
        if !is_late && (is_older || !ours.body.is_same_stage(&theirs.body)) {
            self.restate(now, at, &ours);
        }
        Heard::Known
    }

    /// When the kernel reported it last.
    fn reported(&self, at: usize) -> u64 {
        let entry = &self.entries[at];
        let after = Some(entry.held_after).filter(|&after| after != NEVER);
        entry.told + u64::from(after.unwrap_or_default())
    }

    /// What the kernel reported last of a session, with the lifetime that is left.
    fn as_of(&self, now: u64, at: usize) -> Update {
        let entry = &self.entries[at];
        let expiration = match entry.held_after {
            NEVER => entry.told_expiration,
            _ => entry.expiration,
        };
        let elapsed = now.saturating_sub(self.reported(at));
        let elapsed = u32::try_from(elapsed).unwrap_or(u32::MAX);
        Update {
            body: entry.body,
            destination6: self.destinations.get(at).copied(),
            expiration: expiration.saturating_sub(elapsed),
        }
    }

    /// What is held of a session is not told any more.
    fn give_way(&mut self, at: usize) {
        if self.release(at) {
            self.merged += 1;
        }
        // The first to be given up: another router tells of it now, and what this one told is not the
        // latest any more.
        self.entries[at].is_known = false;
        self.link_first(at);
    }

    /// Tells an update again in an eighth of a window, if it is not held anyway.
    fn restate(&mut self, now: u64, at: usize, ours: &Update) {
        if self.entries[at].held_after != NEVER || ours.expiration == 0 {
            return;
        }
        // Of what was told long ago, another router may have told more that was lost on its way here.
        if now.saturating_sub(self.entries[at].told) > 2 * self.window {
            return;
        }
        self.unlink(super::TOLD, at);
        if self.deadline().is_none_or(|due| due > now) {
            self.swept = now >> self.shift;
        }
        let since = self.window - self.window / 8;
        let entry = &mut self.entries[at];
        entry.told = now.saturating_sub(since);
        entry.held_after = (now - entry.told) as u16;
        (entry.told_expiration, entry.expiration) = (ours.expiration, ours.expiration);
        self.held += 1;
        self.restated += 1;
        self.link(self.moment_of(at), at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::tests::{UDP, WINDOW, change, due, refresh, refreshes, tcp};
    use super::*;
    use crate::wire::session::{State, Timer};

    const TIMEOUTS: Timeouts = Timeouts {
        tcp_established: 7_200_000,
        tcp_transitory: 240_000,
        udp: UDP,
        icmp: 60_000,
    };

    #[test]
    fn of_a_session_that_this_router_did_not_tell_of_everything_is_new() {
        let mut refreshes = refreshes(4);
        assert_eq!(
            refreshes.hear(0, &refresh(1, UDP), &TIMEOUTS, false),
            Heard::New
        );
    }

    #[test]
    fn what_another_router_translated_later_is_new_and_what_is_held_is_not_told_any_more() {
        let mut refreshes = refreshes(4);
        refreshes.offer(0, &refresh(1, UDP));
        assert_eq!(refreshes.offer(100, &refresh(1, UDP)), Verdict::Hold);
        assert_eq!(
            refreshes.hear(500, &refresh(1, UDP), &TIMEOUTS, false),
            Heard::New
        );
        assert_eq!(due(&mut refreshes, 2 * WINDOW), []);
        assert_eq!((refreshes.merged(), refreshes.held()), (1, 0));
    }

    #[test]
    fn what_is_older_is_known_and_the_newer_is_told_again_once() {
        let mut refreshes = refreshes(4);
        refreshes.offer(1000, &refresh(1, UDP));
        for _ in 0..3 {
            let older = refresh(1, UDP - 700);
            assert_eq!(refreshes.hear(1100, &older, &TIMEOUTS, false), Heard::Known);
        }
        assert_eq!(due(&mut refreshes, 1100), []);
        assert_eq!(due(&mut refreshes, 1300), [refresh(1, UDP - 300)]);
        assert_eq!(due(&mut refreshes, 9 * WINDOW), []);
        assert_eq!(refreshes.restated(), 1);
    }

    #[test]
    fn what_is_the_same_is_known_and_nothing_is_told_again() {
        let mut refreshes = refreshes(4);
        refreshes.offer(0, &refresh(1, UDP));
        let same = refresh(1, UDP - 110);
        assert_eq!(refreshes.hear(100, &same, &TIMEOUTS, false), Heard::Known);
        assert_eq!(due(&mut refreshes, 9 * WINDOW), []);
    }

    #[test]
    fn of_two_stages_at_the_same_time_the_own_one_stays_and_is_told_again() {
        let mut refreshes = refreshes(4);
        refreshes.offer(0, &change(1, State::V4FinReceived));
        let other = change(1, State::Established);
        assert_eq!(refreshes.hear(10, &other, &TIMEOUTS, false), Heard::Known);
        assert_eq!(due(&mut refreshes, WINDOW).len(), 1);
    }

    #[test]
    fn what_is_held_is_told_when_it_would_be_anyway() {
        let mut refreshes = refreshes(4);
        refreshes.offer(0, &refresh(1, UDP));
        refreshes.offer(100, &refresh(1, UDP));
        let older = refresh(1, UDP - 400);
        assert_eq!(refreshes.hear(200, &older, &TIMEOUTS, false), Heard::Known);
        assert_eq!((refreshes.held(), refreshes.restated()), (1, 0));
    }

    #[test]
    fn what_was_told_for_another_kernel_is_not_known() {
        let mut refreshes = refreshes(4);
        refreshes.offer(0, &refresh(1, UDP));
        refreshes.offer(10, &refresh(1, UDP));
        refreshes.forget_known();
        let older = refresh(1, UDP - 700);
        assert_eq!(refreshes.hear(100, &older, &TIMEOUTS, false), Heard::New);
        assert_eq!(due(&mut refreshes, WINDOW).len(), 1, "what is held is told");
        assert_eq!(refreshes.hear(WINDOW, &older, &TIMEOUTS, false), Heard::New);
        refreshes.offer(WINDOW, &refresh(1, UDP));
        assert_eq!(
            refreshes.hear(WINDOW + 1, &older, &TIMEOUTS, false),
            Heard::Known
        );
    }

    #[test]
    fn one_that_gave_way_is_the_first_to_lose_its_place() {
        let mut refreshes = refreshes(2);
        refreshes.offer(0, &refresh(1, UDP));
        refreshes.offer(1, &refresh(2, UDP));
        refreshes.hear(500, &refresh(2, UDP), &TIMEOUTS, false);
        refreshes.offer(600, &refresh(3, UDP));
        let older = refresh(1, UDP - 900);
        assert_eq!(refreshes.hear(600, &older, &TIMEOUTS, false), Heard::Known);
        assert_eq!(
            refreshes.hear(600, &refresh(2, UDP - 900), &TIMEOUTS, false),
            Heard::New
        );
    }

    #[test]
    fn what_another_router_took_over_is_not_told_again_for_a_third_that_is_behind() {
        let mut refreshes = refreshes(4);
        refreshes.offer(0, &refresh(1, UDP));
        assert_eq!(
            refreshes.hear(500, &refresh(1, UDP), &TIMEOUTS, false),
            Heard::New
        );
        let older = refresh(1, UDP - 9000);
        assert_eq!(refreshes.hear(600, &older, &TIMEOUTS, false), Heard::New);
        assert_eq!(due(&mut refreshes, 9 * WINDOW), []);
    }

    #[test]
    fn what_is_late_is_known_and_nothing_is_told_again() {
        let mut refreshes = refreshes(4);
        refreshes.offer(0, &refresh(1, UDP));
        let older = refresh(1, UDP - 9000);
        assert_eq!(refreshes.hear(600, &older, &TIMEOUTS, true), Heard::Known);
        assert_eq!(due(&mut refreshes, 9 * WINDOW), []);
    }

    #[test]
    fn an_incoming_syn_gives_way_to_what_another_router_knows_of_the_connection() {
        let mut refreshes = refreshes(4);
        let syn = tcp(1, State::V4Init, Timer::IncomingSyn, 6_000);
        refreshes.offer(5_000, &syn);
        let left = TIMEOUTS.tcp_established - 4_000;
        let older = tcp(1, State::Established, Timer::Established, left);
        assert_eq!(refreshes.hear(5_100, &older, &TIMEOUTS, true), Heard::New);
    }

    #[test]
    fn whatever_follows_a_session_whose_time_was_up_is_new() {
        let mut refreshes = refreshes(4);
        let (closed, timer) = (State::BothFinReceived, Timer::Transitory);
        refreshes.offer(0, &tcp(1, closed, timer, 240_000));
        let syn = tcp(1, State::V4Init, Timer::IncomingSyn, 6_000);
        assert_eq!(refreshes.hear(240_000, &syn, &TIMEOUTS, false), Heard::New);
    }

    #[test]
    fn what_comes_late_does_not_take_back_what_the_kernel_told_a_moment_ago() {
        let mut refreshes = refreshes(4);
        refreshes.offer(0, &change(1, State::Established));
        let waited = change(1, State::V6Init);
        let late = |refreshes: &mut Refreshes, now| refreshes.hear(now, &waited, &TIMEOUTS, true);
        assert_eq!(late(&mut refreshes, 400), Heard::Known);
        assert_eq!(refreshes.restated(), 0);
        assert_eq!(late(&mut refreshes, 600), Heard::New);
    }

    #[test]
    fn what_comes_late_and_is_a_step_further_on_is_new() {
        let mut refreshes = refreshes(4);
        let copy = |state| tcp(1, state, Timer::Established, TIMEOUTS.tcp_established);
        refreshes.offer(0, &copy(State::Established));
        let closed = copy(State::V4FinReceived);
        assert_eq!(refreshes.hear(400, &closed, &TIMEOUTS, true), Heard::New);
    }
}
