//! Which of two copies of a session is the later one.
//!
//! A copy tells when its session was used last: its timer's timeout less the time that it has left. The
//! one used last replaces the other. What the TCP timers hide:
//!
//! - A connection that is reset becomes transitory, with a packet; one whose time is up becomes the same,
//!   without one (the module sends a probe). A copy does not tell which. It counts as reset: the other is
//!   four minutes of one router in which it had missed all of a connection's packets for two hours, and
//!   any packet makes the connection an established one again.
//! - An incoming SYN that waits for an answer counts as older than all others, and by what it has left:
//!   Jool 4.1 takes its timeout for 6 ms where it reads sessions, and for 6 s elsewhere, so that it gains
//!   6 s with each router that passes it on.
//! - A FIN alone does not prolong a session, so copies used at about the same time are told apart by
//!   their states: the one further on is the later.
//!
//! That makes a number of each copy, the same at all routers with the same timeouts, so that they agree
//! on the latest. Only of three copies that are hardly more than the tolerance apart need none be it.

use super::globals::Globals;
use super::session::{Protocol, State, Timer};
use super::update::Update;

/// How far apart two copies of one use may be, in milliseconds: the time on their way, and the ticks
/// of both kernels' clocks.
pub const TOLERANCE: u32 = 20;

/// The same for two of which one is a step further on: no connection takes one back, and a copy that
/// waited seems to have been used later than it was.
const STEP_TOLERANCE: u32 = WAIT;

/// For how long busy routers may keep what passes through them, in milliseconds.
pub const WAIT: u32 = 500;

/// How long an incoming SYN waits for an answer, in milliseconds; the module has no global for it.
pub const INCOMING_SYN: u32 = 6_000;

const UDP: u8 = Protocol::Udp as u8;
const ICMP: u8 = Protocol::Icmp as u8;
const ESTABLISHED: u8 = Timer::Established as u8;
const SYN: u8 = Timer::IncomingSyn as u8;
const V4_FIN: u8 = State::V4FinReceived as u8;
const V6_FIN: u8 = State::V6FinReceived as u8;

/// How long sessions live after their last packet, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `tcp-est`.
    pub tcp_established: u32,
    /// `tcp-trans`.
    pub tcp_transitory: u32,
    /// `udp-timeout`.
    pub udp: u32,
    /// `icmp-timeout`.
    pub icmp: u32,
}

impl Timeouts {
    /// Those of an instance; nothing while not all are known.
    pub fn of(globals: &Globals) -> Option<Self> {
        let [
            Some(tcp_established),
            Some(tcp_transitory),
            Some(udp),
            Some(icmp),
        ] = globals.timeouts
        else {
            return None;
        };
        Some(Self {
            tcp_established,
            tcp_transitory,
            udp,
            icmp,
        })
    }

    /// How long the session lives from its last use on, as long as its stage remains.
    fn of_update(&self, update: &Update) -> u32 {
        match (update.body.protocol(), update.body.stage().1) {
            (UDP, _) => self.udp,
            (ICMP, _) => self.icmp,
            (_, ESTABLISHED) => self.tcp_established,
            (_, SYN) => INCOMING_SYN,
            _ => self.tcp_transitory,
        }
    }
}

/// Milliseconds since the session was used last, as far as its timer tells; 0 for one that lives longer
/// than that, as one of a router with longer timeouts may.
pub fn idle(update: &Update, timeouts: &Timeouts) -> u32 {
    timeouts.of_update(update).saturating_sub(update.expiration)
}

/// Whether `theirs` should take the place of `ours`. Both are copies of one session.
pub fn is_later(theirs: &Update, ours: &Update, timeouts: &Timeouts) -> bool {
    let (their_age, our_age) = (age(theirs, timeouts), age(ours, timeouts));
    let (their_steps, our_steps) = (steps(theirs), steps(ours));
    let tolerance = match their_steps.is_some() && our_steps.is_some() && their_steps != our_steps {
        true => STEP_TOLERANCE,
        false => TOLERANCE,
    };
    if their_age.abs_diff(our_age) > tolerance.into() {
        return their_age < our_age;
    }
    progress(theirs) > progress(ours)
}

/// Whether `theirs` is a step further on than `ours`, on the same connection.
pub fn is_further(theirs: &Update, ours: &Update) -> bool {
    let (theirs, ours) = (steps(theirs), steps(ours));
    theirs.is_some() && ours.is_some() && theirs > ours
}

/// How far on a connection is that no packet takes back from there: open at one end, at both, a FIN, two.
fn steps(update: &Update) -> Option<u8> {
    const V4_SYN: u8 = State::V4Init as u8;
    const V6_SYN: u8 = State::V6Init as u8;
    const OPEN: u8 = State::Established as u8;
    const CLOSED: u8 = State::BothFinReceived as u8;
    let (state, _) = update.body.stage();
    let is_tcp = update.body.protocol() == Protocol::Tcp as u8;
    match state {
        _ if !is_tcp => None,
        V4_SYN | V6_SYN => Some(0),
        OPEN => Some(1),
        V4_FIN | V6_FIN => Some(2),
        CLOSED => Some(3),
        _ => None,
    }
}

/// Milliseconds since the last use. A copy that cannot tell is older than all that can.
fn age(update: &Update, timeouts: &Timeouts) -> i64 {
    let is_tcp = update.body.protocol() == Protocol::Tcp as u8;
    if is_tcp && update.body.stage().1 == SYN {
        return OLDEST - i64::from(update.expiration.min(INCOMING_SYN));
    }
    idle(update, timeouts).into()
}

/// Beyond any age.
const OLDEST: i64 = 1 << 33;

/// How far on a TCP connection of that state is, in copies that were used at the same time.
fn progress(update: &Update) -> (u8, std::cmp::Reverse<u8>) {
    const ORDER: [State; 7] = [
        State::V4Init,
        State::V6Init,
        State::Established,
        State::V4FinReceived,
        State::V6FinReceived,
        State::BothFinReceived,
        State::Transitory,
    ];
    let (state, timer) = update.body.stage();
    let place = ORDER.iter().position(|&known| known as u8 == state);
    let place = place.map_or(0, |place| place as u8);
    (place, std::cmp::Reverse(timer))
}

#[cfg(test)]
mod tests {
    use super::super::netlink::{Attribute, put_attribute};
    use super::super::session::{Format, Session, example};
    use super::*;
    use proptest::prelude::*;

    /// The module's defaults.
    const TIMEOUTS: Timeouts = Timeouts {
        tcp_established: 2 * HOUR,
        tcp_transitory: 4 * MINUTE,
        udp: 5 * MINUTE,
        icmp: MINUTE,
    };
    const SECOND: u32 = 1_000;
    const MINUTE: u32 = 60 * SECOND;
    const HOUR: u32 = 60 * MINUTE;

    fn copy(protocol: Protocol, state: State, timer: Timer, expiration: u32) -> Update {
        let session = Session {
            protocol,
            state,
            timer,
            expiration,
            ..example()
        };
        let mut attribute = Vec::new();
        session.emit(Format::Flat, &mut attribute);
        Update::read(&attribute, Format::Flat).unwrap()
    }

    /// A TCP session in a stage that occurs, used so long ago.
    fn tcp(state: State, used: u32) -> Update {
        use State::*;
        let timer = match state {
            Established | V4FinReceived | V6FinReceived => Timer::Established,
            V4Init => Timer::IncomingSyn,
            V6Init | BothFinReceived | Transitory => Timer::Transitory,
        };
        let stage = copy(Protocol::Tcp, state, timer, 0);
        let expiration = TIMEOUTS.of_update(&stage) - used;
        Update {
            expiration,
            ..stage
        }
    }

    fn udp(used: u32) -> Update {
        let left = TIMEOUTS.udp - used;
        copy(Protocol::Udp, State::Established, Timer::Established, left)
    }

    /// Which of two copies holds at either router, by a word for each.
    #[derive(Debug, PartialEq, Eq)]
    enum Latest {
        First,
        Second,
        Both,
    }

    fn latest(first: Update, second: Update) -> Latest {
        match (
            is_later(&first, &second, &TIMEOUTS),
            is_later(&second, &first, &TIMEOUTS),
        ) {
            (true, false) => Latest::First,
            (false, true) => Latest::Second,
            (false, false) => Latest::Both,
            (true, true) => panic!("each is later than the other"),
        }
    }

    #[test]
    fn each_timer_counts_from_its_own_timeout() {
        let idle = |protocol, state, timer, left| {
            super::idle(&copy(protocol, state, timer, left), &TIMEOUTS)
        };
        let (tcp, established) = (Protocol::Tcp, State::Established);
        for (expected, seen) in [
            (
                SECOND,
                idle(tcp, established, Timer::Established, 2 * HOUR - SECOND),
            ),
            (
                SECOND,
                idle(tcp, State::Transitory, Timer::Transitory, 239 * SECOND),
            ),
            (
                SECOND,
                idle(tcp, State::V4Init, Timer::IncomingSyn, 5 * SECOND),
            ),
            (
                5 * MINUTE,
                idle(Protocol::Udp, established, Timer::Established, 0),
            ),
            (
                SECOND,
                idle(Protocol::Icmp, established, Timer::Established, 59 * SECOND),
            ),
        ] {
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_session_that_lives_longer_than_its_timeout_was_used_now() {
        let longer = copy(Protocol::Udp, State::Established, Timer::Established, HOUR);
        assert_eq!(idle(&longer, &TIMEOUTS), 0);
        assert_eq!(latest(longer, udp(0)), Latest::Both);
    }

    #[test]
    fn the_copy_that_was_used_last_is_the_later() {
        assert_eq!(latest(udp(SECOND), udp(2 * SECOND)), Latest::First);
        let (now, then) = (tcp(State::Established, 0), tcp(State::Established, HOUR));
        assert_eq!(latest(then, now), Latest::Second);
    }

    #[test]
    fn copies_within_the_tolerance_stay_where_they_are() {
        assert_eq!(latest(udp(0), udp(TOLERANCE)), Latest::Both);
        assert_eq!(latest(udp(0), udp(TOLERANCE + 1)), Latest::First);
    }

    #[test]
    fn a_connection_that_was_reset_at_one_router_is_so_at_the_other() {
        let reset = tcp(State::Transitory, SECOND);
        for state in [State::Established, State::V4FinReceived] {
            assert_eq!(latest(reset, tcp(state, HOUR)), Latest::First);
        }
        let used_since = tcp(State::Established, 0);
        assert_eq!(latest(reset, used_since), Latest::Second);
    }

    #[test]
    fn an_incoming_syn_counts_for_less_than_everything_else() {
        let syn = copy(Protocol::Tcp, State::V4Init, Timer::IncomingSyn, 5 * SECOND);
        for state in [State::Established, State::Transitory, State::V6Init] {
            assert_eq!(latest(syn, tcp(state, MINUTE)), Latest::Second);
        }
    }

    #[test]
    fn two_fins_end_a_connection_that_was_not_used_since() {
        let closed = tcp(State::BothFinReceived, MINUTE);
        for used in [MINUTE, MINUTE + SECOND, HOUR] {
            for state in [State::Established, State::V4FinReceived] {
                assert_eq!(latest(closed, tcp(state, used)), Latest::First);
            }
        }
        let goes_on = tcp(State::Established, MINUTE - SECOND);
        assert_eq!(latest(closed, goes_on), Latest::Second);
    }

    #[test]
    fn a_fin_that_came_without_a_later_use_is_the_news() {
        let (open, fin) = (State::Established, State::V6FinReceived);
        assert_eq!(latest(tcp(open, HOUR), tcp(fin, HOUR)), Latest::Second);
        let used_since = tcp(open, MINUTE);
        assert_eq!(latest(used_since, tcp(fin, HOUR)), Latest::First);
    }

    #[test]
    fn a_fin_is_not_taken_back_by_a_copy_that_waited_for_a_moment() {
        let (open, fin) = (State::Established, State::V6FinReceived);
        let waited = tcp(open, SECOND - STEP_TOLERANCE);
        assert_eq!(latest(tcp(fin, SECOND), waited), Latest::First);
        let both = tcp(State::BothFinReceived, SECOND);
        assert_eq!(
            latest(tcp(fin, SECOND - STEP_TOLERANCE), both),
            Latest::Second
        );
        let used_since = tcp(open, SECOND - STEP_TOLERANCE - 1);
        assert_eq!(latest(tcp(fin, SECOND), used_since), Latest::Second);
    }

    #[test]
    fn an_established_connection_is_no_embryonic_one_again_by_a_copy_that_waited() {
        let waited = tcp(State::V6Init, SECOND - STEP_TOLERANCE);
        let established = tcp(State::Established, SECOND);
        assert_eq!(latest(waited, established), Latest::Second);
    }

    #[test]
    fn an_incoming_syn_that_a_module_took_for_younger_is_not_passed_to_and_fro() {
        let fresh = tcp(State::V4Init, 0);
        let prolonged = Update {
            expiration: 2 * INCOMING_SYN,
            ..fresh
        };
        assert_eq!(latest(fresh, prolonged), Latest::Both);
    }

    #[test]
    fn timeouts_are_known_once_all_four_are() {
        let mut globals = Globals::default();
        for (number, timeout) in [
            (23, MINUTE),
            (20, 2 * HOUR),
            (21, 4 * MINUTE),
            (22, 5 * MINUTE),
        ] {
            assert_eq!(Timeouts::of(&globals), None);
            let mut bytes = Vec::new();
            put_attribute(&mut bytes, number, &timeout.to_ne_bytes());
            globals.take(&Attribute {
                number,
                value: &bytes[Attribute::HEADER..],
                offset: 0,
            });
        }
        assert_eq!(Timeouts::of(&globals), Some(TIMEOUTS));
    }

    /// Copies of one session in any stages, often hardly apart, or with hardly any time left.
    fn copies<const N: usize>() -> impl Strategy<Value = (Timeouts, [Update; N])> {
        let timeout = || prop_oneof![0..500u32, 1_000..10_000u32, any::<u32>()];
        let stage = (0..7usize, 0..3usize);
        let left = prop_oneof![
            0..300u32,
            5_900..6_100u32,
            7_100_000..7_300_000u32,
            any::<u32>()
        ];
        let copy = (stage, left.clone(), left, any::<bool>());
        (
            0..3usize,
            prop_oneof![
                Just(TIMEOUTS),
                [(); 4].map(|()| timeout()).prop_map(timeouts)
            ],
            prop::array::uniform5(copy),
        )
            .prop_map(|(protocol, timeouts, copies)| {
                let near = copies[0].1;
                let copies = std::array::from_fn(|at| {
                    let ((state, timer), left, step, is_near) = copies[at];
                    let left = if is_near {
                        near.saturating_add(step % 200)
                    } else {
                        left
                    };
                    any_copy(protocol, state, timer, left)
                });
                (timeouts, copies)
            })
    }

    fn timeouts([tcp_established, tcp_transitory, udp, icmp]: [u32; 4]) -> Timeouts {
        Timeouts {
            tcp_established,
            tcp_transitory,
            udp,
            icmp,
        }
    }

    fn any_copy(protocol: usize, state: usize, timer: usize, left: u32) -> Update {
        use State::*;
        let states = [
            Established,
            V6Init,
            V4Init,
            V4FinReceived,
            V6FinReceived,
            BothFinReceived,
            Transitory,
        ];
        let timers = [Timer::Established, Timer::Transitory, Timer::IncomingSyn];
        let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp];
        copy(protocols[protocol], states[state], timers[timer], left)
    }

    proptest! {
        #[test]
        fn no_copy_is_later_than_one_that_is_later_than_it(
            (timeouts, [a, b]) in copies::<2>(),
        ) {
            prop_assert!(!is_later(&a, &a, &timeouts));
            prop_assert!(!(is_later(&a, &b, &timeouts) && is_later(&b, &a, &timeouts)));
        }

        #[test]
        fn routers_that_exchange_their_copies_have_the_same_in_the_end(
            (timeouts, [a, b]) in copies::<2>(),
        ) {
            let take = |theirs, ours| if is_later(&theirs, &ours, &timeouts) { theirs } else { ours };
            let (at_a, at_b) = (take(b, a), take(a, b));
            prop_assert!(at_a.body.is_same_stage(&at_b.body));
            prop_assert!(idle(&at_a, &timeouts).abs_diff(idle(&at_b, &timeouts)) <= TOLERANCE);
            prop_assert!(!is_later(&at_a, &at_b, &timeouts) && !is_later(&at_b, &at_a, &timeouts));
        }

        #[test]
        fn copies_that_are_clearly_apart_have_one_order(
            (timeouts, [a, b, c]) in copies::<3>(),
        ) {
            let apart = |a, b| age(a, &timeouts).abs_diff(age(b, &timeouts)) > TOLERANCE.into();
            let later = |a, b| is_later(a, b, &timeouts);
            if apart(&a, &b) && apart(&b, &c) && apart(&a, &c) && later(&a, &b) && later(&b, &c) {
                prop_assert!(later(&a, &c));
            }
        }
    }
}
