//! Where a node stands among the others.

use super::*;

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
fn who_hears_one_again_that_was_gone_lacks_something_at_once() {
    let mut scene = Scene::among(&[PEER]);
    scene.said(Duration::from_secs(4));
    assert_eq!(scene.sync.standing(), Standing::Alone);
    scene.numbered(PEER, 9);
    scene.sync.elapse(scene.now);
    assert_eq!(scene.sync.standing(), Standing::Lagging, "before a hello");
    scene.hello(PEER, 9, Standing::InSync);
    assert_eq!(scene.sync.standing(), Standing::Lagging, "after it");
}
