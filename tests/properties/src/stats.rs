//! Requests for the counters.

use std::collections::{HashMap, VecDeque};
use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use joold::engine::Counters;
use joold::share::{LOOKED_AT, Refusal, Shares};

use crate::is_one_line;
use crate::script::Script;

/// The server's own.
const PORT: u16 = 45678;

/// Answers a second: to an address, to all of them, and to this host.
const EACH: u64 = 10;
const ALL: u64 = 100;
const HERE: u64 = 1000;

const SECOND: u64 = 1_000_000_000;

/// Requests from anywhere at any time, as the bytes decide: nobody gets more answers than a share,
/// nor all together more than theirs, whoever asks while nearly nobody does gets one, and what no
/// client sends gets none.
pub fn whoever_asks_nobody_gets_more_than_a_share(script: &[u8]) {
    let mut script = Script::new(script);
    let mut asked = Asked::new();
    while asked.step(&mut script).is_some() {}
}

/// A request.
#[derive(Clone, Debug)]
struct Request {
    client: SocketAddr,
    contents: Vec<u8>,
}

/// The shares, and what each should have been. Times are nanoseconds.
struct Asked {
    shares: Shares,
    start: Instant,
    now: u64,
    here: Bucket,
    all: Bucket,
    each: HashMap<IpAddr, Bucket>,
    /// When others than this host got answers in the last second.
    lately: VecDeque<u64>,
}

impl Asked {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            shares: Shares::new(PORT, RandomState::new(), start),
            start,
            now: 0,
            here: Bucket::default(),
            all: Bucket::default(),
            each: HashMap::new(),
            lately: VecDeque::new(),
        }
    }

    /// Time passes, and somebody asks up to 256 times at once.
    fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        let unit = [0, 1_000_000, 100_000_000, 1][usize::from(script.byte()? % 4)];
        self.now += unit * u64::from(script.byte()?);
        let request = request(script)?;
        for _ in 0..=script.byte()? {
            self.ask(&request);
        }
        Some(())
    }

    fn ask(&mut self, request: &Request) {
        let now = self.start + Duration::from_nanos(self.now);
        let outcome = self.shares.take(now, request.client, &request.contents);
        if let Err(refusal) = outcome {
            assert!(is_one_line(&refusal.to_string()));
        }
        if let Some(refusal) = oddity(request) {
            assert_eq!(outcome, Err(refusal));
            return;
        }
        let address = request.client.ip().to_canonical();
        if address.is_loopback() {
            let answered = self.here.take(self.now, HERE);
            assert_eq!(outcome, answered.then_some(()).ok_or(Refusal::Here));
        } else {
            self.check_other(address, outcome);
        }
    }

    fn check_other(&mut self, address: IpAddr, outcome: Result<(), Refusal>) {
        let second_ago = self.now.checked_sub(SECOND);
        while self.lately.front().copied() <= second_ago && !self.lately.is_empty() {
            self.lately.pop_front();
        }
        match outcome {
            Ok(()) => {
                let its = self.each.entry(share_of(address)).or_default();
                assert!(its.take(self.now, EACH), "{address} got more than a share");
                assert!(self.all.take(self.now, ALL), "all got more than theirs");
                self.lately.push_back(self.now);
            }
            Err(Refusal::All) => assert!(!self.all.take(self.now, ALL)),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Share);
                // Others may have used up what it has, but only if they got that much.
                assert!(self.lately.len() as u64 >= EACH);
            }
        }
    }
}

/// What an address gets, as the time at which all of it is there.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: u64,
}

impl Bucket {
    /// Whether there is one, which is taken then.
    fn take(&mut self, now: u64, a_second: u64) -> bool {
        let full_at = self.full_at.max(now) + SECOND / a_second;
        let there = full_at <= now + SECOND;
        if there {
            self.full_at = full_at;
        }
        there
    }
}

/// Who has a share together.
fn share_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) if !address.is_unicast_link_local() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

/// Why nobody sends that.
fn oddity(request: &Request) -> Option<Refusal> {
    let nowhere = match request.client.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_unspecified() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified(),
    };
    match request.client.port() {
        _ if nowhere => Some(Refusal::NoHost),
        0 => Some(Refusal::NoPort),
        PORT => Some(Refusal::Server),
        _ => (request.contents.starts_with(&answer())).then_some(Refusal::Answer),
    }
}

/// How each answer begins.
fn answer() -> [u8; LOOKED_AT] {
    let mut answer = [0; Counters::REPLY];
    let written = Counters::default().write_reply(&mut answer[..]);
    written.expect("room for all");
    *answer.first_chunk().expect("that much")
}

fn request(script: &mut Script<'_>) -> Option<Request> {
    let (kind, number, port) = (script.byte()?, script.byte()?, script.byte()?);
    let (a, b) = (u16::from(number >> 4), u16::from(number & 15));
    let address: IpAddr = match kind % 10 {
        0 | 1 => [192, 0, 2, number].into(),
        2 => Ipv4Addr::new(192, 0, 2, number).to_ipv6_mapped().into(),
        3 | 4 => [0x2001, 0xdb8, 0, a, 0, 0, 0, b].into(),
        5 => [0xfe80, 0, 0, 0, 0, 0, 0, b].into(),
        6 => [127, 0, 0, number].into(),
        7 => Ipv6Addr::LOCALHOST.into(),
        8 => [0xff02, 0, 0, 0, 0, 0, 0, b].into(),
        _ => [
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::BROADCAST,
            Ipv4Addr::new(233, 252, 0, number),
        ][usize::from(number) % 3]
            .into(),
    };
    let port = match port {
        0 => 0,
        1 => PORT,
        other => 5000 + u16::from(other),
    };
    let mut contents = match script.byte()? {
        0 => b"\n".to_vec(),
        1 => answer().to_vec(),
        2 => answer()[..LOOKED_AT - 1].to_vec(),
        length => script.bytes(length.into()).to_vec(),
    };
    // No more is looked at, and so much is received.
    contents.truncate(LOOKED_AT);
    Some(Request {
        client: SocketAddr::new(address, port),
        contents,
    })
}
