//! Tables of others, and what becomes of a reading.

use super::*;

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
fn a_part_of_the_table_before_a_hole_that_was_told_is_not_taken() {
    let mut scene = Scene::new();
    scene.holes(PEER, Standing::InSync, 257);
    assert_eq!(scene.part(PEER, Protocol::Tcp, 0), Contents::Nothing);
    let newer = scene.part(PEER, Protocol::Tcp, 1);
    assert!(matches!(newer, Contents::Sessions(..)), "{newer:?}");
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
