//! Where the daemon stands.

use super::*;

/// What was told of the standing since the last call.
fn told(engine: &mut Engine) -> Vec<Standing> {
    std::iter::from_fn(|| engine.next_event())
        .filter_map(|event| match event {
            Event::Standing(standing) => Some(standing),
            _ => None,
        })
        .collect()
}

#[test]
fn a_standing_is_told_when_it_changes_and_behind_what_changed_it() {
    let mut engine = engine();
    assert_eq!(engine.next_event(), None, "nobody expects more of it yet");
    let now = engine.look_due().unwrap();
    engine.instance_seen(now, instance_with(20));
    let events: Vec<_> = std::iter::from_fn(|| engine.next_event()).collect();
    assert_eq!(events.last(), Some(&Event::Standing(Standing::Alone)));
    engine.instance_seen(now, instance_with(20));
    assert_eq!(told(&mut engine), []);
    engine.module_missing();
    assert_eq!(told(&mut engine), [Standing::WithoutKernel]);
}

#[test]
fn without_a_module_an_instance_or_synchronization_nobody_may_take_over() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    assert_eq!(engine.standing(), Standing::WithoutKernel);
    engine.module_found(Instant::now(), FAMILY, None);
    assert_eq!(engine.standing(), Standing::WithoutKernel, "no instance");
    let now = engine.look_due().unwrap();
    let mut off = instance_with(20);
    off.globals.values.set(Global::SsEnabled, Some(0));
    engine.instance_seen(now, off);
    assert_eq!(engine.standing(), Standing::WithoutKernel, "it is off");
    engine.instance_seen(now, instance_with(20));
    assert_eq!(engine.standing(), Standing::Alone);
    let gone = Refusal {
        code: libc::ESRCH,
        text: Vec::new(),
    };
    engine.look_refused(now, &gone);
    assert_eq!(engine.standing(), Standing::WithoutKernel, "it is gone");
}

#[test]
fn a_standing_that_changes_all_the_time_fills_no_log() {
    let now = Instant::now();
    let mut engine = engine().extending(crate::sync::Options::default(), 1, now);
    let look = engine.look_due().unwrap();
    let mut lines = 0;
    for second in 0..60 {
        let now = look + Duration::from_secs(second);
        engine.instance_seen(now, instance_with(20));
        engine.elapse(now);
        lines += told(&mut engine).len();
        engine.module_missing();
        engine.elapse(now);
        lines += told(&mut engine).len();
        engine.module_found(now, FAMILY, None);
    }
    assert!((20..=30).contains(&lines), "{lines} lines in a minute");
}
