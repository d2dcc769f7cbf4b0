//! Datagrams from the network, and who may send them.

use std::net::{IpAddr, SocketAddr};

use joold::engine::{AllowList, Counters, FromNetwork, Reason};
use joold::wire::datagram::{Admitted, admit};
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
        let mut verdict = self.engine.on_datagram(now, source, &mut self.slot, length);
        if verdict == FromNetwork::Ask {
            self.look();
            verdict = self.engine.again(now, source, &mut self.slot, length);
        }
        assert!(self.slot[end..].iter().all(|&byte| byte == 0x55));
        self.check_strangers(is_stranger);
        let counters = self.engine.counters();
        let received = counters.net_received.packets - self.before.net_received.packets;
        assert_eq!(received, u64::from(!is_stranger));
        let counted = lost(&self.engine) - lost_before;
        self.check_verdict(verdict, counted, datagram, is_stranger);
    }

    /// What was admitted of a datagram is what the instance's limits leave of it; the rest was
    /// counted.
    fn check_verdict(
        &self,
        verdict: FromNetwork,
        counted: u64,
        datagram: &[u8],
        is_stranger: bool,
    ) {
        let counters = self.engine.counters();
        let mut contents = datagram.to_vec();
        let terms = self.known.terms(self.introduced.then_some(self.format));
        let not_taken = |counters: &Counters| counters.lost(Reason::NotTaken);
        let closed = not_taken(counters) > not_taken(&self.before);
        let admitted = match is_stranger || closed || !self.engine.has_module() {
            true => None,
            false => admit(&mut contents, &terms).ok(),
        };
        let Some(admitted) = admitted else {
            assert_eq!((verdict, counted), (FromNetwork::Ignore, 1));
            return;
        };
        let Admitted {
            length,
            converted,
            shortened,
            outside,
        } = admitted;
        assert_eq!(counted, outside as u64);
        let before = &self.before;
        assert_eq!(counters.shortened - before.shortened, shortened as u64);
        assert_eq!(counters.converted - before.converted, u64::from(converted));
        match verdict {
            FromNetwork::Add(total) => {
                assert!(length > 0 && total <= self.slot.len());
                self.check_request(total, &contents[..length]);
            }
            FromNetwork::Ignore => assert_eq!(length, 0),
            FromNetwork::Ask => panic!("asked twice"),
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
