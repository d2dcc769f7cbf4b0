//! What is heard, asked for and said.

use super::*;

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
