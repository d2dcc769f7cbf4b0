//! What comes from those who tell more than sessions.

use super::*;
use crate::sync::Options;

/// Merging and extended, with a session that the kernel of a module of 4.1.9 told.
fn engine_of_nested_sessions() -> Engine {
    let now = Instant::now();
    let limits = Limits {
        window: 1000,
        sessions: 16,
    };
    let mut engine = Engine::new(InstanceName::DEFAULT, now)
        .merging_refreshes(limits, 0)
        .extending(Options::default(), 1, now);
    engine.module_found(now, FAMILY, Some(Version::new(4, 1, 9)));
    let (mut contents, mut attributes) = (Vec::new(), Vec::new());
    let told = Session {
        destination6: Some(("64:ff9b::1".parse().unwrap(), 80)),
        ..session()
    };
    told.emit(Format::Nested, &mut contents);
    let number = root::SESSION_ENTRIES | netlink::FLAG_NESTED;
    put_attribute(&mut attributes, number, &contents);
    let mut batch = FromModule::new("default", &attributes);
    let verdict = engine.on_kernel(now, 0, &mut batch.bytes);
    assert!(matches!(verdict, FromKernel::Forward(_)));
    engine
}

#[test]
fn sessions_are_read_in_their_own_format_until_another_module_tells_its() {
    let mut engine = engine_of_nested_sessions();
    engine.module_found(Instant::now(), FAMILY + 1, None);
    let now = engine.look_due().unwrap();
    engine.instance_seen(now, instance_with(20));
    // Four of them are longer than one nested one.
    let all = [1, 2, 3, 4].map(|port| {
        let mut session = session();
        session.source4.set_port(port);
        session
    });
    let (mut buffer, length) = super::network::datagram(&all);
    engine.prepare(&mut buffer);
    let source = "[2001:db8::2]:6464".parse().unwrap();
    let verdict = engine.on_datagram(now, source, &mut buffer, length);
    assert_eq!(verdict, FromNetwork::Add(Add::HEADROOM + length));
}
