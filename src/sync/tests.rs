//! What a node does that hears of others.

use super::*;
use crate::engine::Standing;
use crate::wire::extension::{Datagram, Hello, Report};
use crate::wire::page::Key;
use crate::wire::session::{Format, Protocol};
use crate::wire::update::Update;

const PEER: Node = 7;

/// A table without sessions.
struct Empty;

impl Table for Empty {
    fn page(
        &mut self,
        _: Protocol,
        _: Option<Key>,
        _: &mut dyn FnMut(Key, Update),
    ) -> Option<Option<Key>> {
        Some(None)
    }
}

/// A node that serves a kernel, and the time.
struct Scene {
    sync: Sync,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let now = Instant::now();
        let mut sync = Sync::new(Options::default(), 1, now);
        sync.serve(now, Some(1), 0);
        Self { sync, now }
    }

    /// All tables were read.
    fn has_read_all(&mut self) {
        for peer in &mut self.sync.peers {
            let number = peer.received.high();
            peer.has_read(number, 0);
        }
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
        let hello = Hello {
            standing: standing as u8,
            is_calling: false,
            period: 1000,
            oldest: 1,
            holes: 0,
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

#[test]
fn the_table_of_a_node_that_was_without_its_kernel_at_first_is_read_once_it_has_one() {
    let mut scene = Scene::new();
    scene.hello(PEER, 0, Standing::WithoutKernel);
    let said = scene.said(Duration::from_millis(500));
    assert!(!said.contains(&Kind::Pull), "it has no table: {said:?}");
    scene.hello(PEER, 0, Standing::Starting);
    let said = scene.said(Duration::from_millis(500));
    assert!(said.contains(&Kind::Pull), "{said:?}");
}

#[test]
fn a_repeat_that_was_cut_short_is_asked_for_again() {
    let mut scene = Scene::new();
    scene.hello(PEER, 0, Standing::InSync);
    scene.said(Duration::from_secs(1));
    scene.hello(PEER, 1, Standing::InSync);
    let kind = Kind::Repeat;
    let header = Header {
        kind,
        node: PEER,
        number: 1,
    };
    let mut repeat = header.to_bytes().to_vec();
    repeat.extend([0; Format::Flat.size() - 1]);
    let source = "[2001:db8::7]:6464".parse().unwrap();
    let heard = scene.sync.on_message(scene.now, source, header, &repeat);
    assert!(heard.is_err());
    let said = scene.said(Duration::from_millis(100));
    assert!(said.contains(&Kind::Ask), "{said:?}");
}

#[test]
fn others_read_the_table_of_an_instance_that_came_anew_for_it_may_have_told_nobody_of_its_sessions()
{
    let mut scene = Scene::new();
    let mut holes = || {
        let said = scene.messages(Duration::from_secs(2));
        let mut hellos = said.iter().filter_map(|message| Hello::read(message).ok());
        let last = hellos.next_back().map(|(hello, _)| hello.holes);
        scene.sync.serve(scene.now, Some(2), 0);
        last.unwrap()
    };
    let before = holes();
    assert_ne!(holes(), before);
}

#[test]
fn what_a_node_told_before_it_died_is_read_from_another_that_has_it() {
    const OTHER: Node = 8;
    let mut scene = Scene::new();
    for node in [PEER, OTHER] {
        scene.hello(node, 5, Standing::InSync);
    }
    scene.has_read_all();
    scene.said(Duration::from_secs(1));
    let mut said = Vec::new();
    for _ in 0..10 {
        scene.hello_with(OTHER, 5, Standing::InSync, &[(PEER, 6, 0)]);
        said.extend(scene.said(Duration::from_millis(500)));
    }
    assert!(
        said.contains(&Kind::Ask),
        "as long as it may live: {said:?}"
    );
    assert!(said.contains(&Kind::Pull), "{said:?}");
}

#[test]
fn what_nobody_has_wholly_of_a_node_that_died_is_read_from_all() {
    const OTHERS: [Node; 2] = [8, 9];
    let mut scene = Scene::new();
    for node in [PEER, OTHERS[0], OTHERS[1]] {
        scene.hello(node, 5, Standing::InSync);
    }
    scene.has_read_all();
    scene.hello(PEER, 6, Standing::InSync);
    let dies = scene.now + Duration::from_secs(3);
    while scene.now <= dies {
        for other in OTHERS {
            scene.hello_with(other, 5, Standing::InSync, &[(PEER, 4, 0)]);
        }
        scene.said(Duration::from_millis(500));
    }
    let needs = |peer: &Peer| peer.need.is_some();
    assert_eq!(
        scene.sync.peers.iter().filter(|peer| needs(peer)).count(),
        2
    );
}

#[test]
fn what_a_node_can_repeat_is_asked_for_even_if_its_table_is_read() {
    let mut scene = Scene::new();
    scene.hello(PEER, 5, Standing::InSync);
    scene.hello(PEER, 6, Standing::InSync);
    scene.sync.peers[0].miss(scene.now);
    let said = scene.said(Duration::from_millis(100));
    assert!(said.contains(&Kind::Ask), "{said:?}");
}

#[test]
fn a_table_is_read_though_somebody_has_all_that_was_told_but_not_what_is_in_the_table_alone() {
    const OTHER: Node = 8;
    let mut scene = Scene::new();
    scene.hello(PEER, 5, Standing::InSync);
    scene.hello(OTHER, 5, Standing::InSync);
    scene.has_read_all();
    // It loses something of its own: one more hole.
    scene.sync.peers[0].hello = scene.sync.peers[0]
        .hello
        .map(|hello| Hello { holes: 1, ..hello });
    scene.sync.peers[0].miss(scene.now);
    scene.sync.peers[0].has_read(5, 0);
    assert!(scene.sync.peers[0].need.is_some());
    scene.sync.peers[0].has_read(5, 1);
    assert!(scene.sync.peers[0].need.is_none());
}

#[test]
fn a_node_is_not_gone_that_was_not_listened_to() {
    let mut scene = Scene::new();
    scene.hello(PEER, 5, Standing::InSync);
    scene.now += Duration::from_secs(60);
    scene.sync.elapse(scene.now);
    assert_eq!(
        scene.sync.peers().len(),
        1,
        "what it said waits in the socket"
    );
    for _ in 0..8 {
        scene.said(Duration::from_millis(500));
    }
    assert!(scene.sync.peers().is_empty());
}
