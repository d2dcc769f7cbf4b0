//! What comes from those who tell more than sessions.

use super::*;
use crate::sync::{Empty, Options};
use crate::wire::extension::{Hello, Pull, Stretch, TableHeader};
use crate::wire::page::Key;

const PEER: u32 = 7;

/// One who serves an instance, and has heard of [`PEER`].
fn extended(now: Instant) -> Engine {
    let mut engine = Engine::new(InstanceName::DEFAULT, now).extending(Options::default(), 1, now);
    engine.module_found(now, FAMILY, Some(Version::SUPPORTED));
    engine.instance_seen(now, instance_with(20));
    let hello = Hello {
        standing: Standing::InSync as u8,
        is_calling: false,
        instances: 1,
        period: 1000,
        oldest: 1,
        holes: 0,
        sessions: 2,
    };
    let mut message = [0; 100];
    let length = hello.write(PEER, 5, [].into_iter(), &mut message);
    hear(&mut engine, now, &message[..length]);
    engine
}

/// A message comes.
fn hear(engine: &mut Engine, now: Instant, message: &[u8]) -> (FromNetwork, Vec<u8>) {
    let mut buffer = vec![0; Add::HEADROOM + 2048];
    engine.prepare(&mut buffer);
    buffer[Add::HEADROOM..][..message.len()].copy_from_slice(message);
    let source = "[2001:db8::2]:6464".parse().unwrap();
    let verdict = engine.on_datagram(now, source, &mut buffer, message.len());
    (verdict, buffer)
}

#[test]
fn a_session_that_none_can_be_keeps_no_other_of_its_table_out() {
    let now = Instant::now();
    let mut engine = extended(now);
    let impossible = Session {
        protocol: Protocol::Udp,
        timer: Timer::IncomingSyn,
        ..session()
    };
    let stretch = Stretch {
        protocol: Protocol::Tcp,
        after: None,
        last: None,
        holes: 0,
    };
    let mut part = vec![0; TableHeader::SIZE];
    assert!(TableHeader::write(&stretch, PEER, 5, &mut part));
    for one in [impossible, session()] {
        one.emit(Format::Flat, &mut part);
    }
    let (verdict, mut buffer) = hear(&mut engine, now, &part);
    let FromNetwork::Compare(late) = verdict else {
        panic!("{verdict:?}");
    };
    let verdict = engine.compare(now, &mut buffer, late, &mut Empty);
    let expected = Add::HEADROOM + Format::Flat.size();
    assert_eq!(verdict, FromNetwork::Add(expected));
    assert_eq!(engine.counters().lost(Reason::BadRow), 1);
}

#[test]
fn when_the_beginning_or_the_end_of_the_table_is_asked_for_the_instance_is_looked_at() {
    let now = Instant::now();
    let middle = Some(Key::from_bytes(&[1; 12]));
    let own = extended(now).sync().unwrap().node();
    for (of, protocol, after, expected) in [
        (PEER, Protocol::Tcp, None, false),
        (own, Protocol::Tcp, None, true),
        (own, Protocol::Tcp, middle, false),
        (own, Protocol::Udp, None, false),
        (own, Protocol::Icmp, middle, true),
    ] {
        let pull = Pull {
            of,
            parts: 1,
            protocol,
            after,
        };
        let mut message = [0; 100];
        let length = pull.write(PEER, 5, &mut message);
        let mut engine = extended(now);
        let is_due = |engine: &Engine| engine.look_due().is_some_and(|due| due <= now);
        assert!(!is_due(&engine));
        hear(&mut engine, now, &message[..length]);
        assert_eq!(is_due(&engine), expected, "{pull:?}");
    }
}

#[test]
fn who_asks_for_the_end_of_the_table_all_the_time_gets_it_only_so_often() {
    let now = Instant::now();
    let mut engine = extended(now);
    let pull = Pull {
        of: engine.sync().unwrap().node(),
        parts: 1,
        protocol: Protocol::Icmp,
        after: None,
    };
    let mut message = [0; 100];
    let length = pull.write(PEER, 5, &mut message);
    let mut looks = 0;
    for _ in 0..100 {
        hear(&mut engine, now, &message[..length]);
        if engine.look_due().is_some_and(|due| due <= now) {
            engine.instance_seen(now, instance_with(20));
            looks += 1;
        }
    }
    assert_eq!(looks, 8);
}

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
    let verdict = engine.on_kernel(now, 0, &mut nested_batch(1).bytes);
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

#[test]
fn what_the_kernel_had_no_memory_for_is_read_again_and_what_it_refuses_is_not() {
    let now = Instant::now();
    for (code, expected) in [(libc::EINVAL, false), (libc::ENOMEM, true)] {
        let mut engine = extended(now);
        let sync = engine.sync.as_mut().unwrap();
        sync.read_all();
        let mut refusal = FromModule::refusal(Command::JooldAdd, code as u16, "no").bytes;
        engine.on_kernel(now, 0, &mut refusal);
        let needs = engine.sync().unwrap().peers()[0].need.is_some();
        assert_eq!(needs, expected, "{code}");
    }
}
