//! Datagrams from the network, and who may send them.

use std::net::{IpAddr, SocketAddr};

use joold::engine::{AllowList, Counters, FromNetwork, Reason};
use joold::wire::datagram::{Admitted, Refusal, Terms, admit};
use joold::wire::jool::{Command, Message, root};
use joold::wire::netlink;
use joold::wire::request::Add;
use joold::wire::session::Format;

use super::World;
use crate::datagram::in_the_other_byte_order;
use crate::events::material;
use crate::kernel::lost;
use crate::script::Script;

/// The longest datagram that is received whole.
pub const LONGEST: usize = 2048;

/// Where datagrams come from.
const SOURCES: [&str; 2] = ["192.0.2.2:6464", "[2001:db8::2]:6464"];

/// Who may send: in each list, a prefix of the source of that number or of nobody's.
const LISTS: [&[(&str, Option<usize>)]; 4] = [
    &[],
    &[("192.0.2.2", Some(0))],
    &[("203.0.113.0/24", None), ("2001:db8::/48", Some(1))],
    &[("192.0.2.4/30", None)],
];

/// What should become of a datagram.
#[derive(Debug, Default)]
struct Expected {
    /// As far as it was converted, and cut to the instance's limits.
    contents: Vec<u8>,
    /// Whether the instance is looked at first.
    asks: bool,
    /// Whether it is dropped since the instance takes none, as a number.
    not_taken: u64,
    converted: u64,
    shortened: u64,
    admitted: Option<Admitted>,
}

impl Expected {
    fn count(&mut self, converted: bool, shortened: usize) {
        self.converted += u64::from(converted);
        self.shortened += shortened as u64;
    }
}

impl World {
    /// Sessions as another router sends them.
    pub(super) fn datagram(script: &mut Script<'_>) -> Option<Vec<u8>> {
        let kind = script.byte()?;
        let format = match kind & 1 {
            0 => Format::Flat,
            _ => Format::Nested,
        };
        let row = material::row(script, format)?;
        Some(match kind & 2 {
            0 => row,
            _ => in_the_other_byte_order(&row, format),
        })
    }

    /// A datagram from the network.
    pub(super) fn receive(&mut self, source: u8, datagram: &[u8]) {
        let source: SocketAddr = SOURCES[usize::from(source) % 2]
            .parse()
            .expect("an address");
        let (now, length) = (self.time(), datagram.len());
        let is_stranger = !self.is_allowed(source.ip());
        let lost_before = lost(&self.engine);
        if length > LONGEST {
            self.engine.oversized(now, source);
            assert_eq!(lost(&self.engine), lost_before + 1);
            self.check_strangers(is_stranger);
            return;
        }
        if self.engine.needs_preparation() {
            self.engine.prepare(&mut self.slot);
        }
        self.slot[Add::HEADROOM..][..length].copy_from_slice(datagram);
        let end = netlink::aligned(Add::HEADROOM + length);
        self.slot[end..].fill(0x55);
        let mut expected = self.expect(is_stranger, datagram);
        let mut verdict = self.engine.on_datagram(now, source, &mut self.slot, length);
        assert_eq!(verdict == FromNetwork::Ask, expected.asks);
        let mut lost_before = lost_before;
        if expected.asks {
            assert_eq!(lost(&self.engine), lost_before);
            self.known.doubt_pool4(now);
            assert!(self.engine.look_due() == Some(now) && self.engine.wants_pool4(now));
            self.look_once();
            lost_before = lost(&self.engine);
            expected = self.expect_again(expected);
            verdict = self.engine.again(now, source, &mut self.slot, length);
        }
        assert!(self.slot[end..].iter().all(|&byte| byte == 0x55));
        self.check_strangers(is_stranger);
        let counters = self.engine.counters();
        let received = counters.net_received.packets - self.before.net_received.packets;
        assert_eq!(received, u64::from(!is_stranger));
        self.check_verdict(verdict, lost(&self.engine) - lost_before, &expected);
    }

    /// What should become of a datagram at first.
    fn expect(&self, is_stranger: bool, datagram: &[u8]) -> Expected {
        let mut expected = Expected {
            contents: datagram.to_vec(),
            ..Expected::default()
        };
        if is_stranger || !self.takes_sessions(&mut expected) {
            return expected;
        }
        let terms = self.known.terms(self.time(), self.version.map(Format::of));
        match admit(&mut expected.contents, &terms) {
            Ok(admitted) => {
                expected.count(admitted.converted, admitted.shortened);
                expected.admitted = Some(admitted);
            }
            Err(Refusal::OldPool4 {
                converted,
                shortened,
            }) => {
                expected.count(converted, shortened);
                expected.asks = true;
            }
            Err(_) => (),
        }
        expected
    }

    /// Whether there is a module, and an instance of it, to take sessions.
    fn takes_sessions(&self, expected: &mut Expected) -> bool {
        if !self.engine.has_module() {
            return false;
        }
        let takes = !self.is_foreign() && self.known.takes_sessions();
        expected.not_taken = u64::from(!takes);
        takes
    }

    /// And now that the instance was looked at.
    fn expect_again(&self, mut expected: Expected) -> Expected {
        if !self.takes_sessions(&mut expected) {
            return expected;
        }
        let terms = Terms {
            is_pool4_old: false,
            ..self.known.terms(self.time(), self.version.map(Format::of))
        };
        let admitted =
            admit(&mut expected.contents, &terms).expect("what was admitted but for pool4");
        expected.count(admitted.converted, admitted.shortened);
        expected.admitted = Some(admitted);
        expected
    }

    /// What was admitted of a datagram is what the instance's limits leave of it; the rest was
    /// counted.
    fn check_verdict(&self, verdict: FromNetwork, counted: u64, expected: &Expected) {
        let (before, after) = (&self.before, self.engine.counters());
        let not_taken = |counters: &Counters| counters.lost(Reason::NotTaken);
        assert_eq!(not_taken(after) - not_taken(before), expected.not_taken);
        assert_eq!(after.shortened - before.shortened, expected.shortened);
        assert_eq!(after.converted - before.converted, expected.converted);
        let Some(admitted) = expected.admitted else {
            assert_eq!((verdict, counted), (FromNetwork::Ignore, 1));
            return;
        };
        assert_eq!(counted, admitted.outside as u64);
        match verdict {
            FromNetwork::Add(total) => {
                assert!(admitted.length > 0 && total <= self.slot.len());
                self.check_request(total, &expected.contents[..admitted.length]);
            }
            FromNetwork::Ignore => assert_eq!(admitted.length, 0),
            FromNetwork::Ask => panic!("asked twice"),
            FromNetwork::Compare(_) => panic!("late without extensions"),
        }
    }

    fn is_allowed(&self, source: IpAddr) -> bool {
        let is = |one: usize| SOURCES[one].parse().map(|one: SocketAddr| one.ip()) == Ok(source);
        let list = LISTS[self.list];
        list.is_empty() || list.iter().any(|(_, one)| one.is_some_and(is))
    }

    /// Whether the last datagram was counted as a stranger's.
    fn check_strangers(&self, was_one: bool) {
        let lost = |counters: &Counters| counters.lost(Reason::NotAllowed);
        let counted = lost(self.engine.counters()) - lost(&self.before);
        assert_eq!(counted, u64::from(was_one));
    }

    /// The slot holds a request of that length: to add these sessions, and nothing else.
    fn check_request(&self, total: usize, sessions: &[u8]) {
        let request = netlink::Message::new_checked(&self.slot[..total]).expect("a whole message");
        assert_eq!(netlink::aligned(request.bytes().len()), total);
        let request = Message::new_checked(request).expect("a whole request");
        assert_eq!(request.netlink().kind(), self.family);
        assert_eq!(request.command(), Command::JooldAdd as u8);
        let attributes: Vec<_> = request.attributes().collect();
        let [Ok(container)] = &attributes[..] else {
            panic!("not one container: {attributes:?}");
        };
        assert_eq!(container.number, root::SESSION_ENTRIES);
        assert_eq!(container.value, sessions);
    }

    /// The network file lets others send.
    pub(super) fn allow(&mut self, kind: u8) {
        self.list = usize::from(kind) % LISTS.len();
        let prefixes = LISTS[self.list].iter().map(|(prefix, _)| prefix.parse());
        let prefixes: Result<_, _> = prefixes.collect();
        self.engine
            .allow(AllowList::new(prefixes.expect("prefixes")));
    }
}
