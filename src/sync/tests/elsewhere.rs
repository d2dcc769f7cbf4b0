//! What only others have of a node.

use std::ops::RangeInclusive;

use super::*;

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
        assert_eq!(asked(&mut scene), expected.then(|| vec![6..=9]));
    }
}

/// What is asked for first.
fn asked(scene: &mut Scene) -> Option<Vec<RangeInclusive<u32>>> {
    let said = scene.messages(Duration::from_millis(100));
    let is_ask = |message: &&Vec<u8>| matches!(Datagram::of(message), Datagram::Message(header) if header.kind == Kind::Ask);
    let asks = said.iter().filter(is_ask);
    let mut asks = asks.filter_map(|message| Ask::read(message).ok());
    asks.next().map(|ask| ask.ranges.iter().collect())
}

#[test]
fn who_has_no_table_when_it_is_heard_first_is_asked_for_all_that_it_can_repeat() {
    for (standing, oldest, number, expected) in [
        (Standing::WithoutKernel, 1, 9, Some(1..=9)),
        (Standing::WithoutKernel, 4, 9, Some(4..=9)),
        (Standing::WithoutKernel, 10, 9, None),
        (Standing::WithoutKernel, 1, 0, None),
        (Standing::WithoutKernel, 9, 1 << 30, None),
        (Standing::InSync, 1, 9, None),
    ] {
        let mut scene = Scene::new();
        scene.oldest = oldest;
        scene.hello(PEER, number, standing);
        let expected = expected.map(|range| vec![range]);
        assert_eq!(asked(&mut scene), expected, "{standing} {oldest} {number}");
    }
}

#[test]
fn who_starts_before_its_instance_is_there_leaves_nothing_that_others_have() {
    for (number, holes, expected) in [(0, 0, false), (0, 1, true), (9, 0, true), (9, 1, true)] {
        let mut scene = Scene::among(&[PEER]);
        scene.say_hello(8, number, Standing::WithoutKernel, holes, &[]);
        assert_eq!(scene.needs(PEER), expected, "{number} {holes}");
        assert!(!scene.needs(8));
        scene.say_hello(8, number, Standing::Starting, holes + 1, &[]);
        assert!(scene.needs(8));
    }
}

#[test]
fn who_loses_its_table_before_that_was_read_is_asked_for_all_that_it_can_repeat() {
    for (was_read, standing, expected) in [
        (false, Standing::WithoutKernel, Some(1..=5)),
        (false, Standing::InSync, Some(1..=5)),
        (true, Standing::WithoutKernel, None),
        (true, Standing::InSync, None),
    ] {
        let mut scene = Scene::new();
        scene.hello(PEER, 5, Standing::InSync);
        if was_read {
            scene.table(PEER);
        }
        scene.said(Duration::from_millis(100));
        scene.instances += u8::from(standing == Standing::InSync);
        scene.hello(PEER, 5, standing);
        let expected = expected.map(|range| vec![range]);
        assert_eq!(asked(&mut scene), expected, "{was_read} {standing}");
    }
}

#[test]
fn what_is_known_of_a_node_that_falls_silent_is_told_several_times_before_it_is_gone() {
    const OTHER: Node = 8;
    let mut scene = Scene::among(&[PEER, OTHER]);
    scene.numbered(PEER, 7);
    let gone = scene.now + Duration::from_secs(3);
    let mut told = 0;
    while scene.now < gone {
        scene.hello(OTHER, 5, Standing::InSync);
        for message in scene.messages(Duration::from_millis(50)) {
            let hello = Hello::read(&message).ok();
            let reports = hello.map(|(_, reports)| reports.iter().collect::<Vec<_>>());
            let tells = |report: &Report| (report.node, report.number) == (PEER, 7);
            told += usize::from(reports.is_some_and(|reports| reports.iter().any(tells)));
        }
    }
    assert!((4..=8).contains(&told), "{told}");
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
fn what_others_ask_for_while_there_is_no_instance_is_read_from_their_tables() {
    let mut scene = Scene::among(&[PEER]);
    let header = scene.sync.stamp();
    scene.sync.record(scene.now, header.number, [].into_iter());
    scene.sync.serve(scene.now, None, 0);
    let node = scene.sync.node();
    let mut room = [0; 100];
    let length = Ask::write(PEER, 5, node, [1..=1].into_iter(), &mut room);
    scene.hear(&room[..length]);
    scene.sync.serve(scene.now, Some(2), 0);
    scene.sync.read_all();
    scene.hello_with(PEER, 5, Standing::InSync, &[(node, 1, 2)]);
    assert!(scene.needs(PEER));
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

#[test]
fn a_table_that_may_have_been_another_instances_when_it_was_read_is_read_elsewhere() {
    const OTHER: Node = 8;
    let is_read_elsewhere = |pause: u64, is_other: bool, standing| {
        let mut scene = Scene::new();
        scene.hello(PEER, 5, Standing::InSync);
        scene.table(PEER);
        scene.hello_with(OTHER, 5, Standing::InSync, &[(PEER, 5, 0)]);
        scene.table(OTHER);
        assert!(!scene.needs(PEER) && !scene.needs(OTHER));
        scene.said(Duration::from_secs(pause));
        scene.instances += u8::from(is_other);
        scene.holes(PEER, standing, u32::from(is_other));
        scene.needs(OTHER)
    };
    assert!(is_read_elsewhere(2, false, Standing::WithoutKernel));
    assert!(is_read_elsewhere(2, true, Standing::Joining));
    assert!(!is_read_elsewhere(2, false, Standing::InSync));
    // It would have noticed by then.
    assert!(!is_read_elsewhere(5, false, Standing::WithoutKernel));
}
