use super::*;
use crate::wire::netlink::Attribute;

const VERSION: Option<Version> = Some(Version::SUPPORTED);

/// An instance with synchronization on or off that has counted so many acknowledgements.
fn state(on: bool, acks: u64) -> Snapshot {
    let mut state = Snapshot::default();
    let values = &mut state.globals.values;
    values.set(Global::SsEnabled, Some(u32::from(on)));
    values.set(Global::SsFlushDeadline, Some(2000));
    state.statistics.take(&Attribute {
        number: 82,
        value: &acks.to_ne_bytes(),
        offset: 0,
    });
    state
}

fn on() -> Values {
    let mut wanted = Values::default();
    wanted.set(Global::SsEnabled, Some(1));
    wanted
}

struct Watched {
    watch: Watch,
    journal: Journal,
    now: Instant,
}

impl Watched {
    fn new(wanted: Values) -> Self {
        let now = Instant::now();
        let mut watch = Watch::new(wanted);
        watch.begin(now);
        let journal = Journal::new();
        Self {
            watch,
            journal,
            now,
        }
    }

    /// Looks when a look is due; what is to change is changed.
    fn look(&mut self, state: Option<Snapshot>) -> Vec<(Global, u32)> {
        self.now = self.watch.due().unwrap();
        let Some(state) = state else {
            let words = || "no such instance".to_owned();
            self.watch.missing(self.now, words, &mut self.journal);
            return Vec::new();
        };
        let changes = self.watch.seen(self.now, state, VERSION, &mut self.journal);
        if !changes.is_empty() {
            self.watch.changed(&changes, &mut self.journal);
        }
        changes
    }

    fn told(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.journal.pop()).collect()
    }
}

const TURNED_ON: Event = Event::Changed {
    global: Global::SsEnabled,
    from: 0,
    to: 1,
};

const SERVING: Event = Event::Serving {
    deadline: Some(2000),
};

#[test]
fn an_instance_that_is_there_at_the_start_is_configured_once() {
    let mut watched = Watched::new(on());
    assert_eq!(
        watched.look(Some(state(false, 0))),
        [(Global::SsEnabled, 1)]
    );
    assert_eq!(watched.told(), [Event::InstanceFound, TURNED_ON, SERVING]);
    assert_eq!(watched.look(Some(state(true, 1))), []);
    assert_eq!(watched.told(), []);
}

#[test]
fn an_instance_that_is_as_it_should_be_is_not_touched() {
    let mut watched = Watched::new(on());
    assert_eq!(watched.look(Some(state(true, 0))), []);
    assert_eq!(watched.told(), [Event::InstanceFound, SERVING]);
}

#[test]
fn what_somebody_changes_by_hand_is_told_once_and_stays() {
    let mut watched = Watched::new(on());
    watched.look(Some(state(true, 0)));
    watched.told();
    for _ in 0..3 {
        assert_eq!(watched.look(Some(state(false, 0))), []);
    }
    assert_eq!(watched.told(), [Event::SynchronizationTurnedOff]);
    watched.look(Some(state(true, 0)));
    assert_eq!(watched.told(), [Event::SynchronizationTurnedOn]);
}

#[test]
fn an_instance_that_counts_anew_is_configured_anew() {
    let mut watched = Watched::new(on());
    watched.look(Some(state(true, 5)));
    watched.told();
    assert_eq!(
        watched.look(Some(state(false, 0))),
        [(Global::SsEnabled, 1)]
    );
    assert_eq!(
        watched.told(),
        [Event::InstanceRecreated, TURNED_ON, SERVING]
    );
}

#[test]
fn an_instance_that_is_replaced_while_it_is_looked_at_is_configured_at_the_next_look() {
    let mut watched = Watched::new(on());
    watched.look(Some(state(true, 5)));
    // The old one's statistics, which are asked for first, and the new one's globals.
    assert_eq!(watched.look(Some(state(false, 5))), []);
    assert_eq!(
        watched.look(Some(state(false, 0))),
        [(Global::SsEnabled, 1)]
    );
}

#[test]
fn an_instance_that_goes_and_comes_is_told_once_each_and_configured_again() {
    let mut watched = Watched::new(on());
    watched.look(Some(state(true, 5)));
    watched.told();
    for _ in 0..3 {
        watched.look(None);
    }
    let removed = Event::InstanceRemoved("no such instance".to_owned());
    assert_eq!(watched.told(), [removed]);
    assert!(watched.watch.is_missing() && !watched.watch.is_on());
    assert_eq!(
        watched.look(Some(state(false, 9))),
        [(Global::SsEnabled, 1)]
    );
    assert_eq!(watched.told(), [Event::InstanceFound, TURNED_ON, SERVING]);
}

#[test]
fn a_file_that_says_false_leaves_the_instance_alone() {
    let mut watched = Watched::new(Values::default());
    assert_eq!(watched.look(Some(state(false, 0))), []);
    let told = [Event::InstanceFound, Event::SynchronizationIsOff];
    assert_eq!(watched.told(), told);
}

#[test]
fn a_global_that_the_module_does_not_have_is_told_and_not_set() {
    let mut wanted = on();
    wanted.set(Global::SsMaxSessionsPerPacket, Some(10));
    let mut watched = Watched::new(wanted);
    assert_eq!(watched.look(Some(state(true, 0))), []);
    let lacks = Event::LacksGlobal(Global::SsMaxSessionsPerPacket);
    assert_eq!(watched.told(), [Event::InstanceFound, lacks, SERVING]);
}

#[test]
fn changes_that_fail_are_tried_again_at_the_next_look() {
    let mut watched = Watched::new(on());
    let now = watched.now;
    for _ in 0..2 {
        let changes = watched
            .watch
            .seen(now, state(false, 0), VERSION, &mut watched.journal);
        assert_eq!(changes, [(Global::SsEnabled, 1)]);
    }
}

#[test]
fn a_hint_brings_the_next_look_forward_but_not_without_end() {
    let mut watched = Watched::new(on());
    watched.look(Some(state(true, 0)));
    let looked = watched.now;
    assert_eq!(watched.watch.due(), Some(looked + PERIOD));
    watched.watch.hint(looked);
    assert_eq!(watched.watch.due(), Some(looked + PAUSE));
    watched.watch.hint(looked + PAUSE * 2);
    assert_eq!(watched.watch.due(), Some(looked + PAUSE));
}

#[test]
fn a_look_that_is_refused_is_taken_again_later_and_later_and_no_hint_hurries_it() {
    let mut watched = Watched::new(on());
    let mut now = watched.now;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        watched.watch.refused(now, libc::EINVAL);
        watched.watch.hint(now);
        let due = watched.watch.due().unwrap();
        pauses.push((due - now).as_secs());
        now = due;
    }
    assert_eq!(pauses, [0, 3, 6, 12, 24, 48, 60, 60]);
}

#[test]
fn a_refusal_in_passing_is_no_new_instance() {
    let mut watched = Watched::new(on());
    watched.look(Some(state(true, 5)));
    watched.told();
    watched.watch.refused(watched.now, libc::EAGAIN);
    assert!(watched.watch.is_on());
    assert_eq!(watched.look(Some(state(false, 6))), []);
    assert_eq!(watched.told(), [Event::SynchronizationTurnedOff]);
}

#[test]
fn changes_that_are_refused_are_tried_later_and_later() {
    let mut watched = Watched::new(on());
    let mut tries = 0;
    let start = watched.now;
    while watched.now < start + Duration::from_secs(600) {
        watched.now = watched.watch.due().unwrap();
        let seen = state(false, 0);
        if !watched
            .watch
            .seen(watched.now, seen, VERSION, &mut watched.journal)
            .is_empty()
        {
            tries += 1;
            watched.watch.change_refused(watched.now);
        }
    }
    assert!((10..=16).contains(&tries), "{tries}");
}

/// With a pool4 of one address.
fn with_pool4(mut state: Snapshot) -> Snapshot {
    let mut pool4 = Pool4::default();
    pool4
        .take(&Attribute {
            number: 1,
            value: &crate::wire::pool4::tests::value(0, "192.0.2.1", 32, (1, 2)),
            offset: 0,
        })
        .unwrap();
    state.pool4 = Some(pool4);
    state
}

#[test]
fn the_pool4_of_an_instance_that_was_just_created_tells_nothing_for_a_while() {
    let mut watched = Watched::new(on());
    watched.look(Some(with_pool4(state(true, 5))));
    assert!(
        watched.watch.pool4(watched.now).is_some(),
        "it was there before"
    );
    watched.look(Some(with_pool4(state(false, 0))));
    assert!(watched.watch.pool4(watched.now).is_none(), "created anew");
    assert!(watched.watch.pool4(watched.now + POOL4_GRACE).is_some());
    watched.look(None);
    watched.watch.looked_for(watched.now, true);
    watched.look(Some(with_pool4(state(false, 0))));
    assert!(
        watched.watch.pool4(watched.now).is_none(),
        "removed and created"
    );
}

#[test]
fn only_what_is_wanted_anew_is_set() {
    let mut watched = Watched::new(on());
    watched.look(Some(state(true, 0)));
    watched.look(Some(state(false, 0)));
    let mut wanted = on();
    wanted.set(Global::SsFlushDeadline, Some(20));
    watched.watch.want(watched.now, wanted);
    let changes = watched.look(Some(state(false, 0)));
    assert_eq!(changes, [(Global::SsFlushDeadline, 20)]);
}

#[test]
fn what_is_missing_is_looked_for_and_then_looked_at() {
    let mut watched = Watched::new(on());
    watched.look(None);
    assert!(!watched.watch.takes_sessions());
    let now = watched.watch.due().unwrap();
    watched.watch.looked_for(now, false);
    assert!(watched.watch.is_missing());
    let now = watched.watch.due().unwrap();
    watched.watch.looked_for(now, true);
    assert_eq!(watched.watch.due(), Some(now));
    assert!(watched.watch.takes_sessions());
    watched.look(Some(state(true, 0)));
    assert!(watched.watch.takes_sessions());
    watched.look(Some(state(false, 0)));
    assert!(!watched.watch.takes_sessions());
}

#[test]
fn refusals_with_an_answer_between_them_are_in_passing_each() {
    let mut watched = Watched::new(on());
    watched.look(None);
    for _ in 0..3 {
        assert!(!watched.watch.refused(watched.now, libc::EINVAL));
        watched.watch.looked_for(watched.now, false);
    }
}

#[test]
fn without_a_module_no_look_is_due_whatever_hints_there_are() {
    let mut watched = Watched::new(on());
    watched.watch.end();
    watched.watch.hint(watched.now);
    assert_eq!(watched.watch.due(), None);
}

#[test]
fn a_refusal_is_news_once() {
    let mut watched = Watched::new(on());
    let now = watched.now;
    assert!(watched.watch.refused(now, 1));
    assert!(!watched.watch.takes_sessions());
    assert!(!watched.watch.refused(now, 1));
    assert!(!watched.watch.refused(now, 22), "it may be in passing");
    assert!(watched.watch.refused(now, 22));
    assert!(!watched.watch.refused(now, 22));
}
