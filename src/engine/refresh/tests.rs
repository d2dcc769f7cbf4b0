//! What the peers are told, and when.

use super::*;
use crate::engine::thin::thin;
use crate::wire::lifetime::Timeouts;
use crate::wire::session::{Format, Protocol, Session, State, Timer};
use proptest::prelude::*;

pub const WINDOW: u64 = 1000;
pub const UDP: u32 = 300_000;

pub fn refreshes(sessions: usize) -> Refreshes {
    let limits = Limits {
        window: WINDOW as u32,
        sessions,
    };
    Refreshes::new(limits, 0x5eed)
}

/// The session of that number.
fn session(number: u16) -> Session {
    Session {
        source6: ("2001:db8::8".parse().unwrap(), number),
        destination6: Some(("64:ff9b::cb00:7118".parse().unwrap(), 53)),
        source4: std::net::SocketAddrV4::new([192, 0, 2, 1].into(), 61001),
        destination4: std::net::SocketAddrV4::new([203, 0, 113, 24].into(), 53),
        protocol: Protocol::Udp,
        state: State::Established,
        timer: Timer::Established,
        expiration: UDP,
    }
}

fn update(session: &Session, format: Format) -> Update {
    let mut bytes = Vec::new();
    session.emit(format, &mut bytes);
    Update::read(&bytes, format).unwrap()
}

pub fn refresh(number: u16, expiration: u32) -> Update {
    let session = Session {
        expiration,
        ..session(number)
    };
    update(&session, Format::Flat)
}

pub fn change(number: u16, state: State) -> Update {
    let session = Session {
        state,
        ..session(number)
    };
    update(&session, Format::Flat)
}

pub fn tcp(number: u16, state: State, timer: Timer, expiration: u32) -> Update {
    let session = Session {
        protocol: Protocol::Tcp,
        state,
        timer,
        expiration,
        ..session(number)
    };
    update(&session, Format::Flat)
}

pub fn due(refreshes: &mut Refreshes, now: u64) -> Vec<Update> {
    std::iter::from_fn(|| refreshes.next_due(now)).collect()
}

#[test]
fn what_is_held_can_be_taken_before_its_window_ends() {
    let mut refreshes = refreshes(4);
    for number in 0..4 {
        refreshes.offer(u64::from(number), &refresh(number, UDP));
        assert_eq!(refreshes.offer(100, &refresh(number, UDP)), Verdict::Hold);
    }
    let taken: Vec<_> = std::iter::from_fn(|| refreshes.next_held(110)).collect();
    let expected: Vec<_> = (0..4).map(|number| refresh(number, UDP - 10)).collect();
    assert_eq!(taken, expected);
    assert_eq!((refreshes.held(), refreshes.deadline()), (0, None));
}

#[test]
fn the_first_update_of_a_session_passes_at_once() {
    let mut refreshes = refreshes(4);
    for number in 0..10 {
        assert_eq!(refreshes.offer(0, &refresh(number, UDP)), Verdict::Pass);
    }
    assert_eq!(refreshes.deadline(), None, "nothing is due");
}

#[test]
fn a_change_of_state_passes_at_once_and_what_was_held_gives_way_to_it() {
    let mut refreshes = refreshes(4);
    refreshes.offer(0, &change(1, State::V6Init));
    assert_eq!(refreshes.offer(1, &change(1, State::V6Init)), Verdict::Hold);
    let established = change(1, State::Established);
    assert_eq!(refreshes.offer(2, &established), Verdict::Pass);
    assert_eq!((refreshes.held(), refreshes.merged()), (0, 1));
    assert_eq!(due(&mut refreshes, 2 * WINDOW), []);
}

#[test]
fn a_change_of_timer_passes_at_once() {
    let mut refreshes = refreshes(4);
    refreshes.offer(0, &refresh(1, UDP));
    let other = Session {
        timer: Timer::Transitory,
        ..session(1)
    };
    let other = update(&other, Format::Flat);
    assert_eq!(refreshes.offer(1, &other), Verdict::Pass);
}

#[test]
fn of_many_refreshes_the_last_goes_out_when_the_window_ends_with_the_lifetime_left_by_then() {
    let mut refreshes = refreshes(4);
    refreshes.offer(0, &refresh(1, UDP));
    for now in 1..=500 {
        assert_eq!(refreshes.offer(now, &refresh(1, UDP)), Verdict::Hold);
    }
    let end = refreshes.deadline().unwrap();
    assert!((WINDOW - WINDOW / STEPS..=WINDOW).contains(&end), "{end}");
    assert_eq!(due(&mut refreshes, end - 1), []);
    assert_eq!(
        due(&mut refreshes, end),
        [refresh(1, UDP - (end - 500) as u32)]
    );
    assert_eq!((refreshes.held(), refreshes.merged()), (0, 499));
    assert_eq!(refreshes.deadline(), None, "an idle session needs no timer");
}

#[test]
fn what_goes_out_at_the_end_of_a_window_starts_the_next_one() {
    let mut refreshes = refreshes(4);
    refreshes.offer(0, &refresh(1, UDP));
    refreshes.offer(1, &refresh(1, UDP));
    let end = refreshes.deadline().unwrap();
    due(&mut refreshes, end);
    assert_eq!(refreshes.offer(end + 1, &refresh(1, UDP)), Verdict::Hold);
    assert!(refreshes.deadline().unwrap() > end + WINDOW / 2);
}

#[test]
fn after_a_quiet_window_a_refresh_passes_at_once() {
    let mut refreshes = refreshes(4);
    refreshes.offer(0, &refresh(1, UDP));
    assert_eq!(refreshes.offer(WINDOW, &refresh(1, UDP)), Verdict::Pass);
}

#[test]
fn a_refresh_passes_when_the_peers_entry_is_within_two_windows_of_its_end() {
    let mut refreshes = refreshes(4);
    refreshes.offer(0, &refresh(1, 2500));
    assert_eq!(refreshes.offer(499, &refresh(1, 2500)), Verdict::Hold);
    assert_eq!(refreshes.offer(500, &refresh(1, 2500)), Verdict::Pass);
    refreshes.offer(500, &refresh(2, 2000));
    assert_eq!(refreshes.offer(501, &refresh(2, 2000)), Verdict::Pass);
}

#[test]
fn a_session_with_something_held_keeps_its_place_and_newcomers_pass_unmerged() {
    let mut refreshes = refreshes(2);
    for number in [1, 2, 1, 2] {
        refreshes.offer(0, &refresh(number, UDP));
    }
    assert_eq!(refreshes.held(), 2);
    for _ in 0..3 {
        assert_eq!(refreshes.offer(1, &refresh(3, UDP)), Verdict::Pass);
    }
    assert_eq!(due(&mut refreshes, WINDOW).len(), 2);
}

#[test]
fn a_newcomer_takes_the_place_of_the_session_that_was_told_longest_ago() {
    let mut refreshes = refreshes(2);
    refreshes.offer(0, &refresh(1, UDP));
    refreshes.offer(1, &refresh(2, UDP));
    refreshes.offer(2, &refresh(3, UDP));
    assert_eq!(refreshes.offer(3, &refresh(2, UDP)), Verdict::Hold);
    assert_eq!(refreshes.offer(3, &refresh(3, UDP)), Verdict::Hold);
    assert_eq!(refreshes.offer(3, &refresh(1, UDP)), Verdict::Pass);
}

#[test]
fn sessions_that_differ_in_the_ipv6_destination_alone_are_two() {
    let mut refreshes = refreshes(4);
    let other = Session {
        destination6: Some(("2001:db8:64::cb00:7118".parse().unwrap(), 53)),
        ..session(1)
    };
    for session in [&session(1), &other] {
        let update = update(session, Format::Nested);
        assert_eq!(refreshes.offer(0, &update), Verdict::Pass);
        assert_eq!(refreshes.offer(1, &update), Verdict::Hold);
    }
    let told = due(&mut refreshes, WINDOW);
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].destination6, told[1].destination6);
}

#[test]
fn a_standstill_of_the_daemon_delays_what_is_held_and_loses_nothing() {
    let mut refreshes = refreshes(16);
    for (now, number) in [(0, 1), (300, 2), (700, 3)] {
        refreshes.offer(now, &refresh(number, UDP));
        refreshes.offer(now + 1, &refresh(number, UDP));
    }
    let later = 1000 * WINDOW;
    let told: Vec<_> = due(&mut refreshes, later)
        .iter()
        .map(|update| update.expiration)
        .collect();
    assert_eq!(told, [1, 1, 1], "their lifetimes are over");
    assert_eq!(refreshes.offer(later + 1, &refresh(1, UDP)), Verdict::Pass);
    assert_eq!(refreshes.offer(later + 2, &refresh(1, UDP)), Verdict::Hold);
    assert!(refreshes.deadline().unwrap() > later);
}

#[test]
fn cleared_it_knows_no_session() {
    let mut refreshes = refreshes(4);
    for _ in 0..2 {
        refreshes.offer(0, &refresh(1, UDP));
    }
    assert_eq!(refreshes.clear(), 1);
    assert_eq!((refreshes.held(), refreshes.deadline()), (0, None));
    assert_eq!(refreshes.offer(1, &refresh(1, UDP)), Verdict::Pass);
}

/// What the kernel reported of a session last, and what the peers were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    at: u64,
    state: State,
    ends: u64,
}

/// A kernel with eight sessions and their peers, which check every promise on the way.
struct Check {
    refreshes: Refreshes,
    window: u64,
    now: u64,
    reported: [Option<Known>; 8],
    told: [Option<Known>; 8],
    offered: u64,
    passed: u64,
    /// Whether each session has a place.
    roomy: bool,
}

impl Check {
    fn new(sessions: usize, window: u32) -> Self {
        Self {
            refreshes: Refreshes::new(Limits { window, sessions }, 1),
            window: window.into(),
            now: 0,
            reported: [None; 8],
            told: [None; 8],
            offered: 0,
            passed: 0,
            roomy: sessions >= 8,
        }
    }

    /// The loop wakes up at each deadline.
    fn sleep(&mut self, until: u64) -> Result<(), TestCaseError> {
        while let Some(deadline) = self.refreshes.deadline().filter(|&due| due <= until) {
            prop_assert!(deadline >= self.now);
            self.now = deadline;
            while let Some(update) = self.refreshes.next_due(deadline) {
                self.delivered(&update)?;
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn delivered(&mut self, update: &Update) -> Result<(), TestCaseError> {
        let is_of = |number: &usize| {
            let own = refresh(*number as u16, UDP);
            update.body.is_same_session(&own.body)
        };
        let number = (0..8).find(is_of).unwrap();
        let before = self.told[number].unwrap();
        prop_assert!(self.now - before.at <= self.window, "held too long");
        let known = Known {
            at: self.now,
            ends: self.now + u64::from(update.expiration),
            ..before
        };
        let reported = self.reported[number].unwrap();
        prop_assert_eq!((known.state, known.ends), (reported.state, reported.ends));
        self.told[number] = Some(known);
        self.passed += 1;
        Ok(())
    }

    fn report(&mut self, number: u16, state: State, expiration: u32) -> Result<(), TestCaseError> {
        let session = Session {
            state,
            expiration,
            ..session(number)
        };
        let known = Known {
            at: self.now,
            state,
            ends: self.now + u64::from(expiration),
        };
        let number = usize::from(number);
        self.reported[number] = Some(known);
        self.offered += 1;
        let verdict = self
            .refreshes
            .offer(self.now, &update(&session, Format::Flat));
        let must = self.told[number].is_none_or(|before| {
            before.state != state || before.ends <= self.now + 2 * self.window
        });
        let may = self.told[number]
            .is_none_or(|before| self.now - before.at >= self.window - self.window / STEPS);
        match verdict {
            Verdict::Pass => {
                prop_assert!(must || may || !self.roomy, "told too often");
                self.told[number] = Some(known);
                self.passed += 1;
            }
            Verdict::Hold => prop_assert!(!must, "news was held"),
        }
        let accounted = self.passed + self.refreshes.merged() + self.refreshes.held() as u64;
        prop_assert_eq!(self.offered, accounted, "each is told, merged or held");
        Ok(())
    }
}

/// A batch of TCP sessions number 1 in these states, as the module writes it.
fn batch(states: &[State]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &state in states {
        let session = Session {
            protocol: Protocol::Tcp,
            state,
            ..session(1)
        };
        session.emit(Format::Flat, &mut bytes);
    }
    bytes
}

#[test]
fn what_is_held_does_not_follow_something_newer_that_came_with_what_was_not_understood() {
    let mut refreshes = refreshes(4);
    for expected in [40, 0] {
        let left = thin(
            &mut refreshes,
            0,
            &mut batch(&[State::Established]),
            Format::Flat,
        );
        assert_eq!(left.length, expected);
    }
    let mut strange = batch(&[State::BothFinReceived, State::Established]);
    // No protocol has this number.
    strange[79] |= 0b110_0000;
    let expected = strange.clone();
    let left = thin(&mut refreshes, 200, &mut strange, Format::Flat);
    assert_eq!((left.length, left.understood), (80, false));
    assert_eq!(strange, expected);
    assert_eq!(due(&mut refreshes, 5000), []);
}

#[test]
fn a_state_that_no_module_makes_is_a_state() {
    let mut refreshes = refreshes(4);
    let mut seven = batch(&[State::Established]);
    seven[39] |= 7 << 2;
    for (contents, expected) in [
        (&batch(&[State::Established]), 40),
        (&seven, 40),
        (&seven, 0),
    ] {
        let left = thin(&mut refreshes, 0, &mut contents.clone(), Format::Flat);
        assert_eq!((left.length, left.understood), (expected, true));
    }
}

proptest! {
    #[test]
    fn the_peers_learn_everything_within_a_window_and_nothing_is_told_too_often(
        sessions in 1usize..12,
        window in prop::sample::select(vec![1, 2, 7, 15, 16, 17, 31, 63, 64, 95, 500, 1000, 9999]),
        steps in prop::collection::vec(
            (0u16..8, prop::bool::weighted(0.1), 20_000u32..40_000, 0u64..400),
            0..200,
        ),
    ) {
        let mut check = Check::new(sessions, window);
        for (number, closing, expiration, pause) in steps {
            check.sleep(check.now + pause)?;
            let state = if closing { State::V4FinReceived } else { State::Established };
            check.report(number, state, expiration)?;
        }
        check.sleep(check.now + u64::from(window))?;
        prop_assert_eq!((check.refreshes.held(), check.refreshes.deadline()), (0, None));
        for (told, reported) in check.told.into_iter().zip(check.reported) {
            let what = |known: Known| (known.state, known.ends);
            prop_assert_eq!(told.map(what), reported.map(what));
        }
    }
}

/// Each session with a place is found there, by one chain.
fn check_chains(refreshes: &Refreshes) {
    let places = 0..refreshes.entries.len();
    let mut found: Vec<_> = refreshes
        .chains
        .iter()
        .flat_map(|&first| {
            let is_link = |link: &Link| *link != Link::NONE;
            let next = move |link: &Link| {
                let next = refreshes.entries[link.place()].chain;
                Some(next).filter(is_link)
            };
            std::iter::successors(Some(first).filter(is_link), next)
        })
        .map(Link::place)
        .collect();
    found.sort_unstable();
    assert_eq!(found, places.clone().collect::<Vec<_>>());
    for at in places {
        let body = refreshes.entries[at].body;
        let update = Update {
            body,
            destination6: None,
            expiration: UDP,
        };
        let hash = body.hash(refreshes.seed);
        assert_eq!(refreshes.find(hash, &update), Some(at));
    }
}

proptest! {
    #[test]
    fn each_session_with_a_place_is_found_however_many_share_a_chain(
        seed: u64,
        places in 1usize..8,
        chains in prop_oneof![Just(1usize), Just(2), Just(16)],
        steps in prop::collection::vec((0u64..400, 0u16..20, 0u8..16), 1..200),
    ) {
        let limits = Limits { window: WINDOW as u32, sessions: places };
        let mut refreshes = Refreshes::new(limits, seed);
        refreshes.chains = vec![Link::NONE; chains].into_boxed_slice();
        let timeouts = Timeouts { tcp_established: 0, tcp_transitory: 0, udp: UDP, icmp: 0 };
        let mut now = 0;
        for (pause, number, what) in steps {
            now += pause;
            while refreshes.next_due(now).is_some() {}
            match what {
                0 => {
                    refreshes.clear();
                }
                1..6 => {
                    refreshes.hear(now, &refresh(number, UDP), &timeouts, what == 1);
                }
                _ => {
                    refreshes.offer(now, &refresh(number, UDP));
                }
            }
            check_chains(&refreshes);
        }
    }
}
