//! What has to hold.

use joold::engine::Reason;
use joold::wire::datagram::{Admitted, Terms, admit};
use joold::wire::extension::{Ask, Datagram, Hello, Kind, Pull, TableHeader};
use joold::wire::jool::{Command, Message, root};
use joold::wire::netlink;
use joold::wire::page::Key;
use joold::wire::session::Format;
use joold::wire::update::Update;

use super::World;
use super::kernel::passed;
use crate::is_one_line;
use crate::kernel::check_events;

/// The most nodes that are known, gaps of each, nodes that each reports, ranges that wait to be repeated,
/// nodes that wait for the table, and others that send without numbers.
const PEERS: usize = 32;
const GAPS: usize = 64;
const REPORTS: usize = 32;
const RANGES: usize = 256;
const READERS: usize = 16;
const STRANGERS: usize = 16;

impl World {
    /// After each step.
    pub fn check(&mut self) {
        self.check_memory();
        let (before, after) = (&self.before, self.engine.counters());
        for reason in Reason::ALL {
            assert!(before.lost(*reason) <= after.lost(*reason), "{reason}");
        }
        for (before, after) in passed(before).into_iter().zip(passed(after)) {
            assert!(before <= after);
        }
        assert!(is_one_line(&after.to_string()));
        self.before = after.clone();
        check_events(&mut self.engine);
    }

    /// What is known of others has bounds.
    fn check_memory(&self) {
        let Some(sync) = self.engine.sync() else {
            assert_eq!(self.engine.message_due(), None);
            return;
        };
        assert!(sync.peers().len() <= PEERS && sync.strangers().len() <= STRANGERS);
        let [ranges, readers] = sync.waiting();
        assert!(ranges <= RANGES && readers <= READERS);
        for (at, peer) in sync.peers().iter().enumerate() {
            let gaps = peer.received.gaps().count();
            assert!(gaps <= GAPS && peer.reports.len() <= REPORTS);
            assert_eq!(peer.received.is_whole(), peer.received.lacking() == 0);
            let behind = &sync.peers()[at + 1..];
            assert!(
                behind.iter().all(|other| other.node != peer.node),
                "known twice"
            );
        }
    }

    /// A message is what its header says, of this node, and can be read.
    pub(super) fn check_message(&self, message: &[u8]) {
        let Datagram::Message(header) = Datagram::of(message) else {
            panic!("no message: {message:?}");
        };
        let own = self.engine.sync().expect("one who speaks").node();
        assert_eq!(header.node, own);
        match header.kind {
            Kind::Hello => {
                let (_, reports) = Hello::read(message).expect("a hello");
                assert!(reports.iter().count() <= PEERS);
            }
            Kind::Ask => {
                let ask = Ask::read(message).expect("a request");
                assert!(ask.of != own && ask.ranges.iter().count() <= GAPS);
            }
            Kind::Pull => {
                let pull = Pull::read(message).expect("a request");
                assert!(pull.of != own && pull.parts > 0);
            }
            Kind::Table => self.check_part(message),
            Kind::Repeat | Kind::Sessions => assert_eq!(header.kind, Kind::Repeat),
        }
    }

    /// Sessions of its stretch, in their order.
    fn check_part(&self, message: &[u8]) {
        let stretch = TableHeader::read(message).expect("a part");
        let format = Format::of(self.engine.address().version);
        let rows = message[TableHeader::SIZE..].chunks(format.size());
        let updates = rows.map(|row| Update::read(row, format).expect("a session"));
        let mut last = stretch.after;
        for update in updates {
            let key = Some(Key::from(&update.body));
            assert!(key > last && (stretch.last.is_none() || key <= stretch.last));
            assert_eq!(update.body.protocol(), stretch.protocol as u8);
            last = key;
        }
    }

    /// The slot holds a request of that length: to add sessions that may be there, and nothing else.
    pub(super) fn check_request(&self, total: usize) {
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
        let terms = Terms {
            format: self.engine.module_version().map(Format::of),
            ..Terms::default()
        };
        let all = Admitted {
            length: container.value.len(),
            converted: false,
            shortened: 0,
            outside: 0,
            impossible: 0,
            first_impossible: None,
        };
        assert!(!container.value.is_empty());
        assert_eq!(admit(&mut container.value.to_vec(), &terms), Ok(all));
    }
}
