//! What a node does that hears of others.

use super::*;
use crate::engine::Standing;
use crate::wire::extension::{Ask, Datagram, Hello, Pull, Report, Stretch, TableHeader};
use crate::wire::session::{Format, Protocol};

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
    let mut scene = Scene::among(&[PEER, OTHER]);
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
    let mut scene = Scene::among(&[PEER, OTHERS[0], OTHERS[1]]);
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
    let mut scene = Scene::among(&[PEER, OTHER]);
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
fn who_lacks_something_of_a_node_tells_how_far_that_got() {
    let mut scene = Scene::new();
    scene.hello(PEER, 5, Standing::InSync);
    let said = scene.messages(Duration::from_secs(1));
    let mut hellos = said.iter().filter_map(|message| Hello::read(message).ok());
    let (_, reports) = hellos.next_back().unwrap();
    let expected = Report {
        node: PEER,
        number: 5,
        holes: Report::LACKING,
    };
    assert_eq!(reports.iter().collect::<Vec<_>>(), [expected]);
}

#[test]
fn what_a_node_told_before_it_died_is_known_to_be_lacking_if_all_who_heard_it_lack_something_else()
{
    const OTHER: Node = 8;
    let mut scene = Scene::among(&[PEER, OTHER]);
    scene.hello_with(OTHER, 5, Standing::InSync, &[(PEER, 6, Report::LACKING)]);
    let said = scene.said(Duration::from_millis(500));
    assert!(said.contains(&Kind::Ask), "{said:?}");
}

#[test]
fn a_table_stands_for_others_unless_one_of_them_has_more_of_a_node_that_is_gone() {
    const OTHER: Node = 8;
    const GONE: Node = 99;
    for (others, expected) in [(6, false), (7, true)] {
        let mut scene = Scene::new();
        let reports = [(OTHER, 5, 0), (GONE, 6, 0)];
        scene.hello_with(PEER, 5, Standing::InSync, &reports);
        let reports = [(GONE, others, Report::LACKING)];
        scene.hello_with(OTHER, 5, Standing::InSync, &reports);
        scene.table(PEER);
        assert!(!scene.needs(PEER));
        assert_eq!(scene.needs(OTHER), expected, "{others}");
    }
}

#[test]
fn what_others_heard_of_a_node_that_is_gone_only_their_own_tables_have() {
    const OTHERS: [Node; 2] = [8, 9];
    let mut scene = Scene::among(&[PEER, OTHERS[0], OTHERS[1]]);
    scene.hello(PEER, 6, Standing::InSync);
    scene.sync.seek_elsewhere(scene.now, 0, 6);
    scene.hello_with(OTHERS[0], 5, Standing::InSync, &[(OTHERS[1], 5, 0)]);
    scene.table(OTHERS[0]);
    assert_eq!(OTHERS.map(|other| scene.needs(other)), [false, true]);
    scene.table(OTHERS[1]);
    assert!(!scene.needs(OTHERS[1]));
}

#[test]
fn a_part_of_the_table_before_a_hole_that_was_told_is_not_taken() {
    let mut scene = Scene::new();
    scene.holes(PEER, Standing::InSync, 257);
    assert_eq!(scene.part(PEER, Protocol::Tcp, 0), Contents::Nothing);
    let newer = scene.part(PEER, Protocol::Tcp, 1);
    assert!(matches!(newer, Contents::Sessions(..)), "{newer:?}");
}

#[test]
fn what_comes_of_a_node_that_starts_is_compared() {
    let mut scene = Scene::new();
    let mut number = 0;
    let mut delivery = |scene: &mut Scene| {
        number += 1;
        scene.numbered(PEER, number)
    };
    assert_eq!(delivery(&mut scene), Delivery::Compare);
    scene.hello(PEER, 1, Standing::Starting);
    assert_eq!(delivery(&mut scene), Delivery::Compare);
    scene.hello(PEER, 2, Standing::Joining);
    assert_eq!(delivery(&mut scene), Delivery::Add);
}

#[test]
fn another_table_of_a_node_whose_first_was_read_is_lacking_at_once() {
    let mut scene = Scene::new();
    scene.holes(PEER, Standing::Joining, 0);
    scene.table(PEER);
    scene.sync.elapse(scene.now);
    assert_eq!(scene.sync.standing(), Standing::InSync);
    scene.holes(PEER, Standing::InSync, 1);
    scene.holes(PEER, Standing::WithoutKernel, 1);
    scene.holes(PEER, Standing::Joining, 2);
    assert_eq!(scene.sync.standing(), Standing::Lagging);
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

#[test]
fn who_was_alone_is_not_in_sync_for_long_with_one_who_does_not_say_how_it_stands() {
    let mut scene = Scene::new();
    scene.said(Duration::from_secs(4));
    scene.sync.elapse(scene.now);
    assert_eq!(scene.sync.standing(), Standing::Alone);
    let pull = Pull {
        of: 8,
        parts: 1,
        protocol: Protocol::Tcp,
        after: None,
    };
    let mut room = [0; 100];
    let length = pull.write(PEER, 5, &mut room);
    scene.hear(&room[..length]);
    assert_eq!(scene.sync.standing(), Standing::InSync);
    scene.said(Duration::from_millis(600));
    assert_eq!(scene.sync.standing(), Standing::Lagging);
    scene.hello(PEER, 5, Standing::Joining);
    assert_eq!(scene.sync.standing(), Standing::InSync);
}

#[test]
fn a_hello_that_another_one_overtook_tells_nothing() {
    const OTHER: Node = 8;
    let mut scene = Scene::new();
    scene.holes(PEER, Standing::InSync, 2);
    scene.holes(PEER, Standing::InSync, 1);
    scene.hello(OTHER, 5, Standing::InSync);
    let told = scene.sync.peers[0].hello.map(|hello| hello.holes);
    assert_eq!(told, Some(2));
}

#[test]
fn what_was_to_be_read_of_an_instance_that_is_gone_another_one_gives_who_has_it_or_else_all_do() {
    const OTHERS: [Node; 2] = [8, 9];
    for (instances, has, expected) in [(1, 5, [false; 2]), (2, 5, [true, false]), (2, 4, [true; 2])]
    {
        let mut scene = Scene::new();
        scene.hello(PEER, 5, Standing::InSync);
        for other in OTHERS {
            scene.hello(other, 5, Standing::InSync);
            scene.table(other);
        }
        scene.hello_with(OTHERS[0], 5, Standing::InSync, &[(PEER, has, 0)]);
        // That it can repeat.
        scene.numbered(PEER, 6);
        scene.instances = instances;
        scene.holes(PEER, Standing::InSync, 1);
        assert_eq!(OTHERS.map(|other| scene.needs(other)), expected);
    }
}

#[test]
fn what_a_node_had_of_others_before_a_hole_its_table_does_not_stand_for() {
    const OTHER: Node = 8;
    let mut scene = Scene::new();
    scene.hello(OTHER, 5, Standing::InSync);
    scene.hello_with(PEER, 5, Standing::InSync, &[(OTHER, 5, 0)]);
    for protocol in Protocol::ALL {
        scene.part(PEER, protocol, 1);
    }
    assert!(!scene.needs(PEER) && scene.needs(OTHER));
}

#[test]
fn who_heard_more_of_a_node_that_is_gone_is_read() {
    const OTHER: Node = 8;
    let mut scene = Scene::among(&[PEER, OTHER]);
    for _ in 0..8 {
        scene.hello(OTHER, 5, Standing::InSync);
        scene.said(Duration::from_millis(500));
    }
    assert_eq!(scene.sync.peers.len(), 1);
    for (number, expected) in [(5, false), (6, true)] {
        scene.hello_with(OTHER, 5, Standing::InSync, &[(PEER, number, 0)]);
        assert_eq!(scene.needs(OTHER), expected);
    }
}

#[test]
fn a_table_stands_for_none_that_has_not_said_hello() {
    const OTHER: Node = 8;
    let mut scene = Scene::new();
    scene.hello_with(PEER, 5, Standing::InSync, &[(OTHER, 5, 0)]);
    let pull = Pull {
        of: PEER,
        parts: 1,
        protocol: Protocol::Tcp,
        after: None,
    };
    let mut room = [0; 100];
    let length = pull.write(OTHER, 5, &mut room);
    scene.hear(&room[..length]);
    scene.table(PEER);
    assert!(!scene.needs(PEER) && scene.needs(OTHER));
}

#[test]
fn what_only_others_hear_of_a_node_is_read_from_each_of_them_once() {
    const OTHER: Node = 8;
    let mut scene = Scene::among(&[PEER, OTHER]);
    let mut needed = Vec::new();
    for second in 0..10 {
        scene.hello_with(OTHER, 5, Standing::InSync, &[(PEER, 5 + second, 0)]);
        if scene.needs(OTHER) {
            needed.push(second);
            scene.table(OTHER);
        }
        assert!(!scene.needs(OTHER));
        scene.said(Duration::from_secs(1));
    }
    assert_eq!(needed.len(), 1, "{needed:?}");
    assert_eq!(scene.sync.standing(), Standing::Lagging, "it tells more");
    scene.hello_with(OTHER, 5, Standing::InSync, &[]);
    scene.table(OTHER);
    scene.sync.elapse(scene.now);
    assert_eq!(scene.sync.standing(), Standing::InSync);
}

#[test]
fn a_table_that_changes_all_the_time_is_read_to_its_end_and_then_once_more() {
    let mut scene = Scene::new();
    let mut holes = 0;
    scene.holes(PEER, Standing::InSync, holes);
    let mut read = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
        let contents = scene.part(PEER, protocol, holes as u8);
        read.push(matches!(contents, Contents::Sessions(..)));
        holes += 1;
        scene.holes(PEER, Standing::InSync, holes);
    }
    assert_eq!(read, [true; 4], "the first TCP part twice");
    assert!(scene.needs(PEER), "it changed");
    for protocol in Protocol::ALL {
        scene.part(PEER, protocol, holes as u8);
    }
    assert!(!scene.needs(PEER));
}

#[test]
fn of_those_who_have_all_that_a_node_told_one_gives_its_table_that_has_what_a_hole_hid() {
    const OTHERS: [Node; 2] = [8, 9];
    for most in 0..2 {
        let mut scene = Scene::among(&[PEER, OTHERS[0], OTHERS[1]]);
        for (n, &other) in OTHERS.iter().enumerate() {
            let holes = u32::from(n == most);
            scene.hello_with(other, 5, Standing::InSync, &[(PEER, 5, holes)]);
        }
        scene.holes(PEER, Standing::WithoutKernel, 1);
        let needed = OTHERS.map(|other| scene.needs(other));
        assert_eq!(needed, [most == 0, most == 1]);
    }
}

#[test]
fn who_lags_behind_a_node_lags_on_when_that_has_died() {
    const OTHER: Node = 8;
    let mut scene = Scene::among(&[PEER, OTHER]);
    scene.sync.elapse(scene.now);
    scene.hello(PEER, 6, Standing::InSync);
    let mut standings = Vec::new();
    for _ in 0..10 {
        scene.hello_with(OTHER, 5, Standing::InSync, &[(PEER, 6, 0)]);
        scene.said(Duration::from_millis(400));
        standings.push(scene.sync.standing());
    }
    assert_eq!(scene.sync.peers.len(), 1, "it is gone");
    standings.dedup();
    assert_eq!(standings, [Standing::InSync, Standing::Lagging]);
}

#[test]
fn a_node_that_says_again_and_again_that_it_has_fewer_holes_is_believed() {
    let mut scene = Scene::new();
    scene.holes(PEER, Standing::InSync, 1 << 20);
    let mut told = Vec::new();
    for _ in 0..4 {
        scene.holes(PEER, Standing::InSync, 1);
        told.extend(scene.sync.peers[0].hello.map(|hello| hello.holes));
    }
    assert_eq!(told, [1 << 20, 1 << 20, 1 << 20, 1]);
    for protocol in Protocol::ALL {
        scene.part(PEER, protocol, 1);
    }
    assert!(!scene.needs(PEER));
}

#[test]
fn what_a_node_told_while_it_was_not_heard_is_lacking_at_once_even_if_it_lacks_something_itself() {
    let mut scene = Scene::new();
    scene.hello(PEER, 5, Standing::Joining);
    scene.table(PEER);
    scene.said(Duration::from_secs(4));
    assert_eq!(scene.sync.standing(), Standing::Alone);
    scene.hello(PEER, 9, Standing::Joining);
    scene.sync.elapse(scene.now);
    assert_eq!(scene.sync.standing(), Standing::Lagging);
}

#[test]
fn what_was_to_be_read_of_an_instance_that_is_gone_is_read_of_others_if_a_part_told_of_the_next_first()
 {
    const OTHER: Node = 8;
    for (has, instances, expected) in [(0, 2, true), (1, 2, true), (0, 1, false)] {
        let mut scene = Scene::new();
        scene.hello(OTHER, 5, Standing::InSync);
        scene.table(OTHER);
        scene.hello(PEER, 5, Standing::InSync);
        scene.hello_with(OTHER, 5, Standing::InSync, &[(PEER, 5, has)]);
        for protocol in Protocol::ALL {
            scene.part(PEER, protocol, 1);
        }
        assert!(!scene.needs(PEER) && !scene.needs(OTHER));
        scene.instances = instances;
        scene.holes(PEER, Standing::InSync, 1);
        assert_eq!(scene.needs(OTHER), expected, "{has} {instances}");
    }
}

#[test]
fn what_others_heard_of_a_node_that_lived_and_died_out_of_hearing_is_read() {
    let mut scene = Scene::among(&[PEER]);
    let mut needed = Vec::new();
    for _ in 0..5 {
        scene.hello_with(PEER, 5, Standing::InSync, &[(99, 4, 0)]);
        needed.push(scene.needs(PEER));
        scene.table(PEER);
        scene.said(Duration::from_millis(500));
    }
    assert_eq!(needed, [false, false, true, false, false]);
}

#[test]
fn what_others_heard_of_those_who_died_before_a_node_came_it_reads_with_the_rest() {
    let mut scene = Scene::new();
    for _ in 0..5 {
        scene.hello_with(PEER, 5, Standing::InSync, &[(99, 4, 0)]);
        scene.table(PEER);
        scene.said(Duration::from_millis(500));
        assert_eq!(scene.sync.standing(), Standing::InSync);
    }
}

#[test]
fn what_is_behind_a_gap_of_a_node_that_falls_silent_is_told_to_the_others() {
    const OTHER: Node = 8;
    let mut scene = Scene::among(&[PEER, OTHER]);
    for number in [7, 8] {
        scene.numbered(PEER, number);
    }
    let mut told = Vec::new();
    for _ in 0..5 {
        scene.hello(OTHER, 5, Standing::InSync);
        let said = scene.messages(Duration::from_millis(500));
        let hellos = said.iter().filter_map(|message| Hello::read(message).ok());
        for (_, reports) in hellos {
            let of_peer = reports.iter().filter(|report| report.node == PEER);
            told.extend(of_peer.map(|report| (report.number, report.is_whole())));
        }
    }
    told.dedup();
    assert_eq!(told, [(5, true), (8, false)]);
}

#[test]
fn what_a_node_told_before_its_instance_was_created_anew_out_of_hearing_is_asked_for() {
    for (holes, standing, expected) in [
        (0, Standing::InSync, false),
        (1, Standing::InSync, true),
        (0, Standing::WithoutKernel, true),
    ] {
        let mut scene = Scene::among(&[PEER]);
        scene.said(Duration::from_secs(4));
        assert!(scene.sync.peers.is_empty());
        scene.say_hello(PEER, 9, standing, holes, &[]);
        let said = scene.messages(Duration::from_millis(100));
        let is_ask = |message: &&Vec<u8>| matches!(Datagram::of(message), Datagram::Message(header) if header.kind == Kind::Ask);
        let asks = said.iter().filter(is_ask);
        let mut asks = asks.filter_map(|message| Ask::read(message).ok());
        let ranges = asks.next().map(|ask| ask.ranges.iter().collect::<Vec<_>>());
        assert_eq!(ranges, expected.then(|| vec![6..=9]));
    }
}

#[test]
fn what_others_ask_for_that_another_instance_told_is_read_from_their_tables() {
    for (told, expected) in [(1, false), (2, true)] {
        let mut scene = Scene::among(&[PEER]);
        for _ in 0..2 {
            let header = scene.sync.stamp();
            scene.sync.record(scene.now, header.number, [].into_iter());
            if header.number == told {
                scene.sync.serve(scene.now, Some(2), 0);
                scene.sync.read_all();
            }
        }
        let node = scene.sync.node();
        let mut room = [0; 100];
        let length = Ask::write(PEER, 5, node, [2..=2].into_iter(), &mut room);
        scene.hear(&room[..length]);
        assert!(!scene.needs(PEER), "it does not have it yet");
        scene.hello_with(PEER, 5, Standing::InSync, &[(node, 2, 1)]);
        assert_eq!(scene.needs(PEER), expected);
        let before = scene.sync.holes.count();
        scene.table(PEER);
        let has_more = scene.sync.holes.count() > before;
        assert_eq!(has_more, expected, "its own table has more by now");
    }
}

#[test]
fn what_cannot_be_repeated_of_an_instance_that_is_gone_is_read_of_who_has_it() {
    const OTHERS: [Node; 2] = [8, 9];
    for (instances, expected) in [(1, [false; 2]), (2, [true, false])] {
        let mut scene = Scene::among(&[PEER, OTHERS[0], OTHERS[1]]);
        scene.numbered(PEER, 9);
        scene.hello_with(OTHERS[0], 5, Standing::InSync, &[(PEER, 9, 0)]);
        scene.instances = instances;
        scene.say_hello(PEER, 9, Standing::InSync, 1, &[]);
        assert_eq!(
            OTHERS.map(|other| scene.needs(other)),
            [false; 2],
            "it can repeat it"
        );
        scene.oldest = 9;
        scene.say_hello(PEER, 9, Standing::InSync, 1, &[]);
        assert_eq!(OTHERS.map(|other| scene.needs(other)), expected);
    }
}

#[test]
fn a_kernel_that_refuses_all_has_tables_read_a_few_times() {
    let mut scene = Scene::among(&[PEER]);
    scene.sync.elapse(scene.now);
    let mut pulls = 0;
    for _ in 0..100 {
        scene.hello(PEER, 5, Standing::InSync);
        scene.sync.miss_all(scene.now);
        let said = scene.said(Duration::from_millis(100));
        pulls += said.iter().filter(|&&kind| kind == Kind::Pull).count();
        scene.table(PEER);
    }
    assert!((1..20).contains(&pulls), "{pulls}");
    assert_eq!(scene.sync.standing(), Standing::Lagging);
}

#[test]
fn what_others_say_of_a_number_that_was_the_own_one_is_nothing() {
    let mut scene = Scene::among(&[PEER]);
    let former = scene.sync.node();
    scene.hello(former, 5, Standing::InSync);
    assert_ne!(scene.sync.node(), former);
    for _ in 0..4 {
        scene.hello_with(PEER, 5, Standing::InSync, &[(former, 5, 1)]);
        assert!(!scene.needs(PEER));
        scene.said(Duration::from_millis(500));
    }
}

#[test]
fn one_too_many_that_is_heard_makes_nobodys_table_needed() {
    let mut scene = Scene::new();
    for node in 0..MOST_PEERS as Node {
        scene.hello(100 + node, 5, Standing::InSync);
    }
    scene.sync.read_all();
    for _ in 0..4 {
        scene.hello(PEER, 5, Standing::InSync);
        for node in 0..MOST_PEERS as Node {
            scene.hello_with(100 + node, 5, Standing::InSync, &[(PEER, 5, 1)]);
            assert!(!scene.needs(100 + node));
        }
        scene.said(Duration::from_millis(1900));
    }
}

#[test]
fn of_a_node_that_has_just_lost_its_table_nothing_is_needed() {
    const OTHER: Node = 8;
    let mut scene = Scene::among(&[PEER, OTHER]);
    for second in 0..6 {
        scene.hello_with(OTHER, 5, Standing::InSync, &[(PEER, 5 + second, 0)]);
        scene.table(OTHER);
        scene.said(Duration::from_secs(1));
    }
    scene.hello(OTHER, 5, Standing::WithoutKernel);
    assert!(!scene.needs(OTHER));
}
