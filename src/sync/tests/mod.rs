//! What a node does that hears of others.

use super::*;
use crate::engine::Standing;
use crate::wire::extension::{Ask, Datagram, Hello, Pull, Report, Stretch, TableHeader};
use crate::wire::session::{Format, Protocol};

mod elsewhere;
mod hearing;
mod standing;
mod tables;

const PEER: Node = 7;

/// A node that serves a kernel, and the time.
struct Scene {
    sync: Sync,
    now: Instant,
    /// How many instances the others have served.
    instances: u8,
    /// From which number on they can repeat.
    oldest: u32,
}

impl Scene {
    fn new() -> Self {
        let now = Instant::now();
        let mut sync = Sync::new(Options::default(), 1, now);
        sync.serve(now, Some(1), 0);
        Self {
            sync,
            now,
            instances: 1,
            oldest: 1,
        }
    }

    /// One who has read the tables of those, each of which has sent five datagrams.
    fn among(nodes: &[Node]) -> Self {
        let mut scene = Self::new();
        for &node in nodes {
            scene.hello(node, 5, Standing::InSync);
        }
        scene.sync.read_all();
        scene
    }

    /// `node` says hello, having sent so many datagrams.
    fn hello(&mut self, node: Node, number: u32, standing: Standing) {
        self.hello_with(node, number, standing, &[]);
    }

    /// The same of one that has so much of others.
    fn hello_with(
        &mut self,
        node: Node,
        number: u32,
        standing: Standing,
        reports: &[(Node, u32, u32)],
    ) {
        self.say_hello(node, number, standing, 0, reports);
    }

    /// `node` says that it has had so many holes by now.
    fn holes(&mut self, node: Node, standing: Standing, holes: u32) {
        self.say_hello(node, 5, standing, holes, &[]);
    }

    fn say_hello(
        &mut self,
        node: Node,
        number: u32,
        standing: Standing,
        holes: u32,
        reports: &[(Node, u32, u32)],
    ) {
        let hello = Hello {
            standing: standing as u8,
            is_calling: false,
            instances: self.instances,
            period: 1000,
            oldest: self.oldest,
            holes,
            sessions: 0,
        };
        let mut room = [0; 1232];
        let reports = reports.iter().map(|&(node, number, holes)| Report {
            node,
            number,
            holes,
        });
        let length = hello.write(node, number, reports, &mut room);
        self.hear(&room[..length]);
    }

    /// `node` gives all of one protocol's sessions: none.
    fn part(&mut self, node: Node, protocol: Protocol, holes: u8) -> Contents {
        let mut room = [0; TableHeader::SIZE];
        let stretch = Stretch {
            protocol,
            after: None,
            last: None,
            holes,
        };
        assert!(TableHeader::write(&stretch, node, 5, &mut room));
        let contents = self.hear(&room);
        if let Contents::Sessions(_, Some(part)) = &contents {
            self.sync.took_part(self.now, part, 0);
        }
        contents
    }

    /// `node` gives all of its table.
    fn table(&mut self, node: Node) {
        for protocol in Protocol::ALL {
            self.part(node, protocol, 0);
        }
    }

    /// Whether the table of `node` is to be read.
    fn needs(&self, node: Node) -> bool {
        let mut peers = self.sync.peers.iter();
        let peer = peers.find(|peer| peer.node == node);
        peer.is_some_and(|peer| peer.need.is_some())
    }

    /// A datagram of sessions of `node` comes.
    fn numbered(&mut self, node: Node, number: u32) -> Delivery {
        let kind = Kind::Sessions;
        let header = Header { kind, node, number };
        let source = "[2001:db8::7]:6464".parse().unwrap();
        self.sync.on_sessions(self.now, source, header)
    }

    fn hear(&mut self, message: &[u8]) -> Contents {
        let Datagram::Message(header) = Datagram::of(message) else {
            panic!("no message");
        };
        let source = "[2001:db8::7]:6464".parse().unwrap();
        self.sync
            .on_message(self.now, source, header, message)
            .unwrap()
    }

    /// Which kinds of messages it says within that time.
    fn said(&mut self, time: Duration) -> Vec<Kind> {
        let messages = self.messages(time);
        let headers = messages
            .iter()
            .filter_map(|message| match Datagram::of(message) {
                Datagram::Message(header) => Some(header.kind),
                _ => None,
            });
        headers.collect()
    }

    /// What it says within that time.
    fn messages(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let end = self.now + time;
        let mut said = Vec::new();
        while self.sync.due() <= end {
            self.now = self.now.max(self.sync.due());
            self.sync.elapse(self.now);
            let mut room = [0; 1232];
            let length = self
                .sync
                .write(self.now, &mut room, 1232, Format::Flat, &mut Empty);
            if length > 0 {
                said.push(room[..length].to_vec());
            }
        }
        self.now = end;
        said
    }
}
