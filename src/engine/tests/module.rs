//! The module and the instance.

use super::*;
use crate::wire::netlink::Attribute;

#[test]
fn a_refusal_that_hints_at_the_instance_has_it_looked_at_soon_and_is_counted() {
    let mut engine = engine();
    let now = Instant::now() + Duration::from_secs(1);
    engine.instance_seen(now, instance_with(20));
    troubles(&mut engine);
    let usual = engine.look_due().unwrap();
    let mut refusal = FromModule::refusal(Command::JooldAdd, 3, "no such instance").bytes;
    engine.on_kernel(now, 0, &mut refusal);
    assert!(engine.look_due().unwrap() < usual);
    assert_eq!(engine.counters().lost(Reason::InstanceMissing), 1);
    assert_eq!(engine.next_event(), None, "the look tells what there is");
}

#[test]
fn a_missing_instance_is_told_once_in_the_kernels_words() {
    let mut engine = engine();
    let refusal = Refusal {
        code: libc::ESRCH,
        text: b"no such\ninstance".to_vec(),
    };
    for _ in 0..3 {
        engine.look_refused(engine.look_due().unwrap(), &refusal);
    }
    let words = "\"no such instance\" (error 3)".to_owned();
    assert_eq!(engine.next_event(), Some(Event::InstanceMissing(words)));
    assert_eq!(engine.next_event(), None);
}

#[test]
fn a_missing_permission_is_told_once_until_it_is_there() {
    let mut engine = engine();
    let refusal = Refusal {
        code: libc::EPERM,
        text: b"CAP_NET_ADMIN required".to_vec(),
    };
    for _ in 0..3 {
        engine.look_refused(engine.look_due().unwrap(), &refusal);
    }
    assert_eq!(troubles(&mut engine).len(), 1);
    assert_eq!(engine.counters().lost(Reason::NotPermitted), 1);
}

#[test]
fn an_instance_that_appears_is_owed_an_acknowledgement_once() {
    let mut engine = engine();
    let now = engine.look_due().unwrap();
    assert!(!engine.owes_first_acknowledgement(now));
    assert_eq!(engine.instance_seen(now, instance_with(20)), []);
    assert!(engine.owes_first_acknowledgement(now));
    assert!(!engine.owes_first_acknowledgement(now));
}

#[test]
fn after_a_batch_the_kernels_queue_is_flushed_a_few_times_and_then_nothing_is_due() {
    let mut engine = engine();
    let now = engine.look_due().unwrap();
    engine.instance_seen(now, instance_with(20));
    assert_eq!(engine.flush_due(), None);
    engine.on_kernel(now, 0, &mut FromModule::batch("default").bytes);
    let mut times = 0;
    while let Some(due) = engine.flush_due() {
        assert_eq!(engine.flush().len(), Message::HEADER);
        engine.flushed(due);
        times += 1;
    }
    assert!((1..=3).contains(&times), "{times}");
}

#[test]
fn a_request_that_finds_no_family_is_counted_and_has_the_module_looked_for() {
    let mut engine = engine();
    assert!(!engine.doubts_module());
    engine.on_kernel(Instant::now(), 0, &mut ack_failed(libc::ENOENT));
    assert_eq!(engine.counters().lost(Reason::ModuleMissing), 1);
    assert!(engine.doubts_module());
    engine.module_found(Instant::now(), FAMILY, None);
    assert!(!engine.doubts_module());
    assert_eq!(engine.next_event(), None);
}

#[test]
fn each_change_of_the_module_is_told_once() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    for (change, told) in [
        (None, Some(Event::ModuleMissing)),
        (None, None),
        (Some(FAMILY), Some(Event::ModuleLoaded(None))),
        (Some(FAMILY), None),
        (None, Some(Event::ModuleUnloaded)),
        (None, None),
        (Some(FAMILY + 1), Some(Event::ModuleLoaded(None))),
        (Some(FAMILY + 2), Some(Event::ModuleLoaded(None))),
    ] {
        match change {
            Some(family) => engine.module_found(Instant::now(), family, None),
            None => engine.module_missing(),
        }
        assert_eq!(engine.next_event(), told);
        assert_eq!(engine.has_module(), change.is_some());
    }
}

#[test]
fn a_new_modules_batches_are_served_and_an_old_ones_are_not() {
    let mut engine = serving(InstanceName::DEFAULT, FAMILY + 1);
    let mut batch = FromModule::batch("default");
    let verdict = engine.on_kernel(Instant::now(), 0, &mut batch.bytes);
    assert_eq!(verdict, FromKernel::Ignore);
    engine.module_missing();
    engine.module_found(Instant::now(), FAMILY, None);
    let verdict = engine.on_kernel(Instant::now(), 0, &mut batch.bytes);
    assert!(matches!(verdict, FromKernel::Forward(_)));
    let request = netlink::Message::new_checked(engine.acknowledgements()).unwrap();
    assert_eq!(request.kind(), FAMILY);
}

#[test]
fn what_an_earlier_modules_format_leaves_behind_is_counted_once_and_held_no_more() {
    let limits = Limits {
        window: 1000,
        sessions: 16,
    };
    let now = Instant::now();
    let mut engine = Engine::new(InstanceName::DEFAULT, now).merging_refreshes(limits, 0);
    engine.module_found(now, FAMILY, None);
    for _ in 0..2 {
        let mut batch = FromModule::batch("default").version(Version::SUPPORTED);
        engine.on_kernel(now, 0, &mut batch.bytes);
    }
    assert_eq!(engine.counters().held, 1);
    engine.module_found(now, FAMILY + 1, Some(Version::new(4, 1, 9)));
    assert_eq!((engine.counters().held, engine.due()), (0, None));
    engine.give_up_held(now);
    let lost = [Reason::OtherFormat, Reason::HeldNotSent].map(|r| engine.counters().lost(r));
    assert_eq!(lost, [1, 0]);
}

#[test]
fn a_module_of_a_foreign_version_is_told_at_once_and_asked_for_nothing() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    engine.module_found(Instant::now(), FAMILY, Some(Version::new(4, 2, 0)));
    let told = troubles(&mut engine);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, Reason::ForeignVersion);
    assert_eq!(engine.look_due(), None);
}

#[test]
fn a_module_of_a_foreign_version_is_passed_nothing_whatever_instance_is_served() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    let now = Instant::now();
    engine.module_found(now, FAMILY, Some(Version::new(4, 2, 0)));
    let other = InstanceName::new("other").unwrap();
    engine.reconfigure(now, other, Values::default());
    assert_eq!(engine.look_due(), None);
    let (mut buffer, length) = network::datagram(&[session()]);
    let source = "192.0.2.2:6464".parse().unwrap();
    let verdict = engine.on_datagram(now, source, &mut buffer, length);
    assert_eq!(verdict, FromNetwork::Ignore);
    assert_eq!(engine.counters().lost(Reason::NotTaken), 1);
}

#[test]
fn what_takes_the_place_of_a_foreign_version_behind_the_same_number_is_looked_at() {
    for heard in [false, true] {
        let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
        let now = Instant::now();
        engine.module_found(now, FAMILY, Some(Version::new(4, 2, 0)));
        if heard {
            let mut batch = FromModule::batch("default").version(Version::SUPPORTED);
            engine.on_kernel(now, 0, &mut batch.bytes);
            assert_eq!(engine.look_due(), Some(now));
        }
        engine.module_found(now, FAMILY, Some(Version::SUPPORTED));
        assert_eq!(engine.look_due(), Some(now));
    }
}

#[test]
fn another_version_behind_the_same_number_is_another_module() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    let loaded = |version| Some(Event::ModuleLoaded(Some(version)));
    for version in [Version::new(4, 1, 9), Version::SUPPORTED] {
        engine.module_found(Instant::now(), FAMILY, Some(version));
        assert_eq!(engine.next_event(), loaded(version));
    }
    engine.module_found(Instant::now(), FAMILY, Some(Version::SUPPORTED));
    assert_eq!(engine.next_event(), None);
}

#[test]
fn an_adopted_spelling_goes_with_its_instance() {
    let mut engine = serving(InstanceName::new("default").unwrap(), FAMILY);
    let now = engine.look_due().unwrap();
    engine.on_kernel(now, 0, &mut FromModule::batch("Default").bytes);
    assert_eq!(engine.address().instance.as_str(), "Default");
    let refusal = Refusal {
        code: libc::ESRCH,
        text: b"no such instance".to_vec(),
    };
    engine.look_refused(now, &refusal);
    assert_eq!(engine.address().instance.as_str(), "default");
}

#[test]
fn a_spelling_that_was_adopted_of_an_instance_that_was_gone_by_then_is_forgotten_too() {
    let mut engine = engine();
    let now = engine.look_due().unwrap();
    let refusal = Refusal {
        code: libc::ESRCH,
        text: b"no such instance".to_vec(),
    };
    engine.look_refused(now, &refusal);
    engine.on_kernel(now, 0, &mut FromModule::batch("Default").bytes);
    assert_eq!(engine.address().instance.as_str(), "Default");
    assert!(engine.looks_for_instance());
    engine.instance_looked_for(now, false);
    assert_eq!(engine.address().instance.as_str(), "default");
    assert!(engine.needs_preparation());
}

#[test]
fn what_stands_behind_an_instances_name_means_nothing() {
    let mut engine = engine();
    for _ in 0..3 {
        let mut batch = FromModule::batch("default").bytes;
        batch[32 + 8..48].fill(0x5a);
        let verdict = engine.on_kernel(Instant::now(), 0, &mut batch);
        assert!(matches!(verdict, FromKernel::Forward(_)));
    }
}

/// An instance whose queue was full for so many updates so far.
fn instance_that_dropped(updates: u64) -> Snapshot {
    let mut state = instance_with(20);
    state.statistics.take(&Attribute {
        number: 78,
        value: &updates.to_ne_bytes(),
        offset: 0,
    });
    state
}

#[test]
fn what_the_kernels_queue_had_no_room_for_is_counted_from_the_first_look_on() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    engine.module_found(Instant::now(), FAMILY, Some(Version::new(4, 1, 13)));
    let now = engine.look_due().unwrap();
    for (dropped, counted) in [(1000, 0), (1007, 7), (1007, 7)] {
        engine.instance_seen(now, instance_that_dropped(dropped));
        assert_eq!(engine.counters().lost(Reason::QueueFull), counted);
    }
}

#[test]
fn a_version_whose_statistics_are_not_known_tells_of_no_full_queue() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    engine.module_found(Instant::now(), FAMILY, Some(Version::new(4, 1, 12)));
    let now = engine.look_due().unwrap();
    for dropped in [0, 7] {
        engine.instance_seen(now, instance_that_dropped(dropped));
    }
    assert_eq!(engine.counters().lost(Reason::QueueFull), 0);
}

/// For how long a kernel of that version may go without an acknowledgement, which says that its queue has
/// room for 512 updates.
fn waits(version: Version) -> Option<Duration> {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    engine.module_found(Instant::now(), FAMILY, Some(version));
    let mut state = instance_with(20);
    state.globals.values.set(Global::SsCapacity, Some(512));
    let now = engine.look_due().unwrap();
    engine.instance_seen(now, state);
    engine.longest_wait()
}

#[test]
fn a_kernel_whose_queue_keeps_no_more_than_a_packet_is_not_made_to_wait() {
    assert_eq!(waits(Version::new(4, 1, 9)), Some(Duration::ZERO));
    assert_eq!(waits(Version::new(4, 1, 10)), Some(Duration::ZERO));
    assert_eq!(waits(Version::new(4, 1, 11)), Some(Duration::from_secs(1)));
    assert_eq!(waits(Version::SUPPORTED), Some(Duration::from_secs(1)));
}

#[test]
fn behind_a_full_batch_of_a_module_without_a_queue_something_is_missing_which_is_told_once() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    engine.module_found(Instant::now(), FAMILY, Some(Version::new(4, 1, 9)));
    let mut now = engine.look_due().unwrap();
    engine.instance_seen(now, instance_with(20));
    for (updates, lost, lines) in [(9, 0, 0), (11, 1, 1), (11, 2, 0), (2, 2, 0)] {
        troubles(&mut engine);
        engine.on_kernel(now, 0, &mut nested_batch(updates).bytes);
        now += Duration::from_secs(60);
        engine.instance_seen(now, instance_with(20));
        assert_eq!(engine.counters().lost(Reason::PacketFull), lost);
        assert_eq!(troubles(&mut engine).len(), lines);
    }
}
