//! Which stats requests are answered: to each address a share, and not too many together.
//!
//! The source of a UDP datagram can be forged, and the answer is longer than the request. Without
//! bounds, whoever can reach the port could have all routers flood somebody else, or keep two
//! servers answering each other.
//!
//! What each address got is kept in a few rows of buckets of tokens, in one bucket of each row, which
//! a keyed hash chooses. It is refused when all of its buckets are empty. So the memory is the same
//! whatever comes, no address ever gets more than its share, and the flood of one takes another's
//! share only if both have all buckets in common, which nobody can bring about who lacks the key.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::engine::Reason;

/// Answers to one address: a person or a program that looks at the counters needs one a second. To
/// an address of IPv6's, those in the same /64 count as well, for a host may have all of them.
const EACH: Rate = Rate::per_second(10);

/// Answers to all addresses together: 25 kB a second at most.
const ALL: Rate = Rate::per_second(100);

/// Answers to this host itself, which count for nobody else's: they leave over no link.
const HERE: Rate = Rate::per_second(1000);

/// Answers with all numbers, which are long, to all addresses together. Only whom the operator named gets
/// one: 500 kB a second at most, where there are as many routers as a daemon remembers, and with two some
/// 120 kB.
const LONG: Rate = Rate::per_second(10);

/// The same to this host itself: each takes some of the time that is the sessions'.
const LONG_HERE: Rate = Rate::per_second(100);

/// How many buckets an address has. With so many rows, ten addresses that are flooding take the
/// share of one other in 27,000.
const ROWS: usize = 4;

/// Buckets of a row.
const WIDTH: usize = 128;

/// What every answer begins with, this daemon's and upstream's.
const ANSWER: &[u8] = b"KERNEL_SENT_PKTS,";

/// How many bytes of a request are looked at.
pub const LOOKED_AT: usize = ANSWER.len();

const SECOND: u64 = 1_000_000_000;

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address has had its share.
    Share,
    /// All addresses together have had theirs.
    All,
    /// This host has had its share.
    Here,
    /// All addresses together have had theirs of long answers.
    Long,
    /// This host has had its share of long answers.
    LongHere,
    /// An answer to where it says that it comes from would go to no host, or to many.
    NoHost,
    /// Nobody can listen on the port that it says it comes from.
    NoPort,
    /// It comes from a stats server's port, so an answer might be answered.
    Server,
    /// It is an answer itself: of another stats server, or ours that came back.
    Answer,
}

impl Refusal {
    /// What it is counted as.
    pub fn reason(self) -> Reason {
        match self {
            Self::Share | Self::All | Self::Here | Self::Long | Self::LongHere => {
                Reason::StatsShare
            }
            Self::NoHost | Self::NoPort | Self::Server | Self::Answer => Reason::StatsOdd,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share => write!(f, "more than {EACH} from one address"),
            Self::All => write!(f, "more than {ALL} from all addresses together"),
            Self::Here => write!(f, "more than {HERE} from this host"),
            Self::Long => write!(f, "more than {LONG} for all numbers"),
            Self::LongHere => write!(f, "more than {LONG_HERE} for all numbers from this host"),
            Self::NoHost => write!(f, "its source is no host's address"),
            Self::NoPort => write!(f, "its source port is 0"),
            Self::Server => write!(f, "its source port is a stats server's"),
            Self::Answer => write!(f, "it is an answer"),
        }
    }
}

/// What everybody got. It takes some 4 kB.
#[derive(Debug)]
pub struct Shares {
    /// The port of the server itself.
    port: u16,
    /// What the buckets' nanoseconds count from.
    start: Instant,
    key: RandomState,
    here: Bucket,
    all: Bucket,
    long_here: Bucket,
    long: Bucket,
    rows: [[Bucket; WIDTH]; ROWS],
}

impl Shares {
    /// Nobody got anything. `port` is the server's own, `key` should be nobody else's.
    pub fn new(port: u16, key: RandomState, now: Instant) -> Self {
        Self {
            port,
            start: now,
            key,
            here: Bucket::FULL,
            all: Bucket::FULL,
            long_here: Bucket::FULL,
            long: Bucket::FULL,
            rows: [[Bucket::FULL; WIDTH]; ROWS],
        }
    }

    /// Whether a request from there, which begins with these bytes, is to be answered. If so, the
    /// answer is taken from its share.
    ///
    /// # Errors
    /// Why it is not.
    pub fn take(
        &mut self,
        now: Instant,
        client: SocketAddr,
        request: &[u8],
    ) -> Result<(), Refusal> {
        let address = client.ip().to_canonical();
        if let Some(refusal) = self.oddity(address, client.port(), request) {
            return Err(refusal);
        }
        let now = self.time(now);
        if address.is_loopback() {
            return self
                .here
                .take_one(now, HERE)
                .then_some(())
                .ok_or(Refusal::Here);
        }
        let mut buckets = own(&mut self.rows, self.key.hash_one(share_of(address)));
        if !buckets.iter().any(|bucket| bucket.has_one(now, EACH)) {
            return Err(Refusal::Share);
        }
        if !self.all.take_one(now, ALL) {
            return Err(Refusal::All);
        }
        for bucket in &mut buckets {
            bucket.take(now, EACH);
        }
        Ok(())
    }

    /// Whether a request that was taken may have a long answer.
    ///
    /// # Errors
    /// Why it gets none.
    pub fn take_long(&mut self, now: Instant, client: SocketAddr) -> Result<(), Refusal> {
        let now = self.time(now);
        let (bucket, rate, refusal) = match client.ip().to_canonical().is_loopback() {
            true => (&mut self.long_here, LONG_HERE, Refusal::LongHere),
            false => (&mut self.long, LONG, Refusal::Long),
        };
        bucket.take_one(now, rate).then_some(()).ok_or(refusal)
    }

    fn time(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_nanos() as u64
    }

    /// What no client's request has.
    fn oddity(&self, address: IpAddr, port: u16, request: &[u8]) -> Option<Refusal> {
        let nowhere = address.is_multicast()
            || address.is_unspecified()
            || address == IpAddr::V4(Ipv4Addr::BROADCAST);
        if nowhere {
            Some(Refusal::NoHost)
        } else if port == 0 {
            Some(Refusal::NoPort)
        } else if port == self.port {
            Some(Refusal::Server)
        } else if request.starts_with(ANSWER) {
            Some(Refusal::Answer)
        } else {
            None
        }
    }
}

/// Of each row the bucket that `hash` chooses.
fn own(rows: &mut [[Bucket; WIDTH]; ROWS], hash: u64) -> [&mut Bucket; ROWS] {
    const BITS: u32 = WIDTH.trailing_zeros();
    const { assert!(WIDTH.is_power_of_two() && BITS * ROWS as u32 <= u64::BITS) };
    let mut rest = hash;
    rows.each_mut().map(|row| {
        let at = rest as usize % WIDTH;
        rest >>= BITS;
        &mut row[at]
    })
}

/// The addresses that have a share together, as a number: one of IPv4's, or a /64. Of the link's own
/// one alone, for all of its hosts have theirs in the same /64.
fn share_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) if address.is_unicast_link_local() => address.to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

/// How fast a bucket fills up. It holds what fills it in one second.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Nanoseconds a token.
    interval: u64,
}

impl Rate {
    const fn per_second(tokens: u64) -> Self {
        Self {
            interval: SECOND / tokens,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a second", SECOND / self.interval)
    }
}

/// A bucket of tokens, as the time when it will be full again. All times are nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: u64,
}

impl Bucket {
    const FULL: Self = Self { full_at: 0 };

    fn has_one(&self, now: u64, rate: Rate) -> bool {
        self.full_at.max(now) + rate.interval <= now + SECOND
    }

    /// One token less, or none at all.
    fn take(&mut self, now: u64, rate: Rate) {
        self.full_at = (self.full_at.max(now) + rate.interval).min(now + SECOND);
    }

    fn take_one(&mut self, now: u64, rate: Rate) -> bool {
        let has_one = self.has_one(now, rate);
        if has_one {
            self.take(now, rate);
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Counters;
    use proptest::prelude::*;
    use std::time::Duration;

    const PORT: u16 = 45678;

    /// The shares, and a clock that tests set.
    struct Stage {
        shares: Shares,
        now: Instant,
    }

    impl Stage {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                shares: Shares::new(PORT, RandomState::new(), now),
                now,
            }
        }

        fn ask(&mut self, address: impl Into<IpAddr>) -> Result<(), Refusal> {
            self.shares
                .take(self.now, SocketAddr::new(address.into(), 5000), b"\n")
        }

        /// How many of `times` requests at once are answered.
        fn answered(&mut self, address: &str, times: usize) -> usize {
            let address: IpAddr = address.parse().unwrap();
            (0..times).filter(|_| self.ask(address).is_ok()).count()
        }

        fn pass(&mut self, milliseconds: u64) {
            self.now += Duration::from_millis(milliseconds);
        }
    }

    #[test]
    fn each_address_gets_ten_answers_at_once_and_ten_a_second() {
        let mut stage = Stage::new();
        assert_eq!(stage.answered("192.0.2.2", 1000), 10);
        stage.pass(99);
        assert_eq!(stage.answered("192.0.2.2", 10), 0);
        stage.pass(1);
        assert_eq!(stage.answered("192.0.2.2", 10), 1);
        stage.pass(500);
        assert_eq!(stage.answered("192.0.2.2", 10), 5);
        stage.pass(3_600_000);
        assert_eq!(stage.answered("192.0.2.2", 1000), 10);
    }

    #[test]
    fn the_flood_of_one_takes_nobody_elses_answer() {
        let mut stage = Stage::new();
        for _ in 0..20_000 {
            stage.pass(1);
            stage.answered("2001:db8::bad", 10);
            if stage.now.duration_since(stage.shares.start).as_millis() % 1000 == 0 {
                for other in ["192.0.2.2", "2001:db8:1::2", "127.0.0.1", "::1"] {
                    assert_eq!(stage.answered(other, 1), 1, "{other}");
                }
            }
        }
    }

    #[test]
    fn however_many_addresses_ask_the_answers_together_are_bounded() {
        let mut stage = Stage::new();
        let mut answered = 0;
        for number in 0..100_000 {
            answered += usize::from(stage.ask(Ipv4Addr::from_bits(0xcb00_7100 ^ number)).is_ok());
            if number % 100 == 0 {
                stage.pass(1);
            }
        }
        // In a second.
        assert!((190..=200).contains(&answered), "{answered}");
        assert_eq!(stage.ask([192, 0, 2, 2]), Err(Refusal::All));
        assert_eq!(
            stage.answered("127.0.0.1", 1),
            1,
            "this host is not among them"
        );
    }

    #[test]
    fn this_host_may_ask_a_thousand_times_a_second() {
        let mut stage = Stage::new();
        assert_eq!(stage.answered("127.0.0.1", 600), 600);
        assert_eq!(stage.answered("::1", 600), 400);
        assert_eq!(stage.ask([127, 0, 0, 1]), Err(Refusal::Here));
        for _ in 0..10_000 {
            stage.pass(1);
            assert_eq!(stage.answered("127.9.9.9", 2), 1);
        }
    }

    #[test]
    fn long_answers_are_fewer_and_take_nothing_from_the_others() {
        let mut stage = Stage::new();
        let long = |stage: &mut Stage, address: [u8; 4]| {
            let client = SocketAddr::from((address, 5000));
            stage.shares.take_long(stage.now, client)
        };
        for (address, most, refusal) in [
            ([192, 0, 2, 1], 10, Refusal::Long),
            ([127, 0, 0, 1], 100, Refusal::LongHere),
        ] {
            let answered = (0..200).filter(|_| long(&mut stage, address).is_ok());
            assert_eq!(answered.count(), most);
            assert_eq!(long(&mut stage, address), Err(refusal));
        }
        assert_eq!(long(&mut stage, [192, 0, 2, 2]), Err(Refusal::Long));
        assert_eq!(stage.answered("192.0.2.2", 20), 10);
        stage.pass(100);
        assert_eq!(long(&mut stage, [192, 0, 2, 2]), Ok(()));
    }

    #[test]
    fn a_network_of_64_bits_has_one_share_and_a_links_own_address_its_own() {
        let mut stage = Stage::new();
        assert_eq!(stage.answered("2001:db8::1", 5), 5);
        assert_eq!(stage.answered("2001:db8::ffff:2", 10), 5);
        assert_eq!(stage.answered("2001:db8:0:1::1", 20), 10);
        assert_eq!(stage.answered("fe80::1", 20), 10);
        assert_eq!(stage.answered("fe80::2", 20), 10);
    }

    #[test]
    fn an_ipv4_address_has_one_share_however_it_is_written() {
        let mut stage = Stage::new();
        assert_eq!(stage.answered("::ffff:192.0.2.2", 6), 6);
        assert_eq!(stage.answered("192.0.2.2", 10), 4);
        assert_eq!(stage.answered("192.0.2.3", 10), 10);
        assert_eq!(stage.answered("::ffff:127.0.0.1", 500), 500);
    }

    #[test]
    fn what_no_client_sends_is_refused_and_takes_nothing() {
        let mut stage = Stage::new();
        let mut answer = [0; Counters::REPLY];
        Counters::default().write_reply(&mut answer[..]).unwrap();
        let (answer, newline) = (&answer[..LOOKED_AT], &b"\n"[..]);
        for (client, request, refusal) in [
            ("192.0.2.2:0", newline, Refusal::NoPort),
            ("192.0.2.2:45678", newline, Refusal::Server),
            ("127.0.0.1:45678", newline, Refusal::Server),
            ("192.0.2.2:5000", answer, Refusal::Answer),
            ("127.0.0.1:5000", answer, Refusal::Answer),
            ("0.0.0.0:5000", newline, Refusal::NoHost),
            ("[::]:5000", newline, Refusal::NoHost),
            ("[::ffff:0.0.0.0]:5000", newline, Refusal::NoHost),
            ("255.255.255.255:5000", newline, Refusal::NoHost),
            ("233.252.0.64:5000", newline, Refusal::NoHost),
            ("[ff02::1]:5000", newline, Refusal::NoHost),
        ] {
            let client = client.parse().unwrap();
            for _ in 0..20 {
                assert_eq!(stage.shares.take(stage.now, client, request), Err(refusal));
            }
            assert_eq!(refusal.reason(), Reason::StatsOdd);
        }
        assert_eq!(stage.answered("192.0.2.2", 20), 10);
        let empty = stage
            .shares
            .take(stage.now, "192.0.2.9:5000".parse().unwrap(), b"");
        assert_eq!(empty, Ok(()));
    }

    #[test]
    fn a_refusal_says_what_was_too_much() {
        let refusals = [
            Refusal::Share,
            Refusal::All,
            Refusal::Here,
            Refusal::Long,
            Refusal::LongHere,
        ];
        let told = refusals.map(|refusal| {
            assert_eq!(refusal.reason(), Reason::StatsShare);
            refusal.to_string()
        });
        let expected = [
            "more than 10 a second from one address",
            "more than 100 a second from all addresses together",
            "more than 1000 a second from this host",
            "more than 10 a second for all numbers",
            "more than 100 a second for all numbers from this host",
        ];
        assert_eq!(told, expected);
    }

    proptest! {
        /// In any stretch of time, nobody gets more than a full bucket and what flows in meanwhile.
        #[test]
        fn whoever_asks_and_when_nobody_gets_more_than_a_share(
            asked in prop::collection::vec((0u8..40, 0u64..60), 1..600),
        ) {
            let mut stage = Stage::new();
            let mut answers: Vec<(u8, Instant)> = Vec::new();
            for (client, pause) in asked {
                stage.pass(pause / 3);
                if stage.ask([192, 0, 2, client]).is_ok() {
                    answers.push((client, stage.now));
                }
            }
            let within = |times: &[Instant], rate: u32| {
                (0..times.len()).all(|from| (from..times.len()).all(|to| {
                    let most = (times[to] - times[from]) * rate + Duration::from_secs(rate.into());
                    Duration::from_secs((to - from + 1) as u64) <= most
                }))
            };
            let all: Vec<_> = answers.iter().map(|(_, at)| *at).collect();
            prop_assert!(within(&all, 100));
            for client in 0..40 {
                let its = answers.iter().filter(|(to, _)| *to == client);
                let its: Vec<_> = its.map(|(_, at)| *at).collect();
                prop_assert!(within(&its, 10));
            }
        }

        /// Also where others drain the buckets that an address has in common with them.
        #[test]
        fn buckets_in_common_give_no_more_than_one_bucket(
            taken in prop::collection::vec((0usize..3, 0u64..40), 1..300),
        ) {
            let mut row = [Bucket::FULL; 2];
            let (mut now, mut got) = (0, Vec::new());
            for (who, pause) in taken {
                now += pause * 1_000_000;
                if who < 2 {
                    row[who].take_one(now, EACH);
                } else if row.iter().any(|bucket| bucket.has_one(now, EACH)) {
                    row.iter_mut().for_each(|bucket| bucket.take(now, EACH));
                    got.push(now);
                }
            }
            for from in 0..got.len() {
                for to in from..got.len() {
                    let most = 10 + (got[to] - got[from]) / EACH.interval;
                    prop_assert!(((to - from) as u64) < most);
                }
            }
        }
    }

    #[test]
    fn the_memory_is_small() {
        assert!(size_of::<Shares>() <= 4400, "{}", size_of::<Shares>());
    }
}
