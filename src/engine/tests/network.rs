//! What comes from the network.

use super::*;
use crate::wire::netlink::Attribute;
use crate::wire::pool4::{self, Pool4};

#[test]
fn lifetimes_from_the_network_are_cut_to_the_instances_longest() {
    let mut engine = engine();
    let now = engine.look_due().unwrap();
    engine.instance_seen(now, instance_with(20));
    let mut contents = Vec::new();
    session().emit(Format::Flat, &mut contents);
    let mut buffer = vec![0; Add::HEADROOM + 2000];
    buffer[Add::HEADROOM..][..contents.len()].copy_from_slice(&contents);
    let source = "[2001:db8::2]:6464".parse().unwrap();
    engine.on_datagram(now, source, &mut buffer, contents.len());
    let added = &buffer[Add::HEADROOM..][..contents.len()];
    let added: Vec<_> = sessions(added, Format::Flat).collect();
    assert_eq!(added[0].unwrap().expiration, 60_000);
    assert_eq!(engine.counters().shortened, 1);
}

#[test]
fn a_version_that_the_system_tells_decides_the_format_before_the_first_batch() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    engine.module_found(Instant::now(), FAMILY, Some(Version::new(4, 1, 9)));
    let mut contents = Vec::new();
    session().emit(Format::Flat, &mut contents);
    let mut buffer = vec![0; Add::HEADROOM + 2000];
    buffer[Add::HEADROOM..][..contents.len()].copy_from_slice(&contents);
    let source = "[2001:db8::2]:6464".parse().unwrap();
    let verdict = engine.on_datagram(Instant::now(), source, &mut buffer, contents.len());
    assert_eq!(verdict, FromNetwork::Ignore);
    assert_eq!(engine.counters().lost(Reason::ForeignDatagram), 1);
}

#[test]
fn without_a_module_what_comes_is_counted_and_nothing_is_told_of_each() {
    let mut engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    engine.module_missing();
    engine.next_event();
    let source = "[2001:db8::2]:6464".parse().unwrap();
    for _ in 0..3 {
        let verdict = engine.on_datagram(Instant::now(), source, &mut [0; 2000], 40);
        assert_eq!(verdict, FromNetwork::Ignore);
    }
    assert_eq!(engine.counters().lost(Reason::ModuleMissing), 3);
    assert_eq!(engine.next_event(), Some(Event::FirstDatagram(source)));
    assert_eq!(engine.next_event(), None);
}

#[test]
fn a_datagram_becomes_a_request_without_moving() {
    let mut engine = engine();
    let mut contents = Vec::new();
    session().emit(Format::Flat, &mut contents);
    let mut buffer = vec![0; Add::HEADROOM + 2000];
    engine.prepare(&mut buffer);
    buffer[Add::HEADROOM..][..contents.len()].copy_from_slice(&contents);
    let source = "[2001:db8::2]:6464".parse().unwrap();
    let verdict = engine.on_datagram(Instant::now(), source, &mut buffer, contents.len());
    assert_eq!(verdict, FromNetwork::Add(Add::HEADROOM + 40));
    let request = netlink::Message::new_checked(&buffer).unwrap();
    let request = Message::new_checked(request).unwrap();
    assert_eq!(request.command(), Command::JooldAdd as u8);
    let container = request.attributes().find(root::SESSION_ENTRIES).unwrap();
    assert_eq!(container.value, contents);
    assert_eq!(
        engine.counters().net_received,
        Traffic {
            packets: 1,
            bytes: 40
        }
    );
}

#[test]
fn a_datagram_that_the_kernel_should_not_see_is_counted_by_its_reason() {
    let mut engine = engine();
    let mut flat = Vec::new();
    session().emit(Format::Flat, &mut flat);
    let mut nested = Vec::new();
    session().emit(Format::Nested, &mut nested);
    let mut impossible = flat.clone();
    impossible[39] = 7 << 2;
    let whole_and_impossible = [&flat[..], &impossible].concat();
    // Flat sessions are this module's.
    let mut batch = FromModule::batch("default");
    batch.bytes[24..28].copy_from_slice(&Version::SUPPORTED.to_bytes());
    engine.on_kernel(Instant::now(), 0, &mut batch.bytes);
    let source = "192.0.2.2:6464".parse().unwrap();
    let mut buffer = vec![0; Add::HEADROOM + 2000];
    for (contents, reason, detail) in [
        (
            &flat[..39],
            Reason::MalformedDatagram,
            "it has a length field of 40, more than there is; from 192.0.2.2:6464",
        ),
        (&nested, Reason::ForeignDatagram, "from 192.0.2.2:6464"),
        (
            &whole_and_impossible,
            Reason::BadSession,
            "session 2: a session whose TCP state is 7; from 192.0.2.2:6464",
        ),
    ] {
        buffer[Add::HEADROOM..][..contents.len()].copy_from_slice(contents);
        let verdict = engine.on_datagram(Instant::now(), source, &mut buffer, contents.len());
        assert_eq!(verdict, FromNetwork::Ignore);
        assert_eq!(engine.counters().lost(reason), 1);
        assert_eq!(troubles(&mut engine), [(reason, detail.to_owned())]);
    }
}

#[test]
fn what_another_joold_adds_behind_the_sessions_does_not_reach_the_kernel() {
    let mut engine = engine();
    let mut contents = Vec::new();
    session().emit(Format::Flat, &mut contents);
    contents.extend([0, 0, 1, 1, 9, 9, 9, 9]);
    let mut buffer = vec![0; Add::HEADROOM + 2000];
    engine.prepare(&mut buffer);
    buffer[Add::HEADROOM..][..contents.len()].copy_from_slice(&contents);
    let source = "192.0.2.2:6464".parse().unwrap();
    let verdict = engine.on_datagram(Instant::now(), source, &mut buffer, contents.len());
    assert_eq!(verdict, FromNetwork::Add(Add::HEADROOM + 40));
    let request = netlink::Message::new_checked(&buffer).unwrap();
    assert_eq!(request.bytes().len(), Add::HEADROOM + 40);
}

#[test]
fn empty_and_oversized_datagrams_are_dropped_and_counted() {
    let mut engine = engine();
    let mut buffer = vec![0; Add::HEADROOM + 65535];
    let source = "192.0.2.2:6464".parse().unwrap();
    let mut drop = |length| engine.on_datagram(Instant::now(), source, &mut buffer, length);
    assert_eq!(drop(0), FromNetwork::Ignore);
    assert_eq!(drop(Add::LONGEST + 1), FromNetwork::Ignore);
    assert_eq!(engine.counters().lost(Reason::EmptyDatagram), 1);
    assert_eq!(engine.counters().lost(Reason::OversizedDatagram), 1);
    assert_eq!(engine.counters().net_received.packets, 2);
}

#[test]
fn what_comes_from_outside_the_list_is_dropped_unseen_and_told_with_its_source() {
    let mut engine = engine();
    engine.allow(AllowList::new(vec!["192.0.2.0/24".parse().unwrap()]));
    let mut contents = Vec::new();
    session().emit(Format::Flat, &mut contents);
    let mut buffer = vec![0; Add::HEADROOM + 2000];
    buffer[Add::HEADROOM..][..contents.len()].copy_from_slice(&contents);
    let stranger = "198.51.100.9:6464".parse().unwrap();
    for length in [contents.len(), 0, 39] {
        let verdict = engine.on_datagram(Instant::now(), stranger, &mut buffer, length);
        assert_eq!(verdict, FromNetwork::Ignore);
        let detail = "from 198.51.100.9:6464".to_owned();
        assert_eq!(
            engine.next_event(),
            Some(Event::Trouble {
                reason: Reason::NotAllowed,
                detail
            })
        );
    }
    engine.oversized(Instant::now(), stranger);
    assert_eq!(engine.counters().lost(Reason::NotAllowed), 4);
    let others = [
        Reason::OversizedDatagram,
        Reason::EmptyDatagram,
        Reason::MalformedDatagram,
    ];
    assert!(
        others
            .iter()
            .all(|&reason| engine.counters().lost(reason) == 0)
    );
    assert_eq!(engine.counters().net_received, Traffic::default());

    let router = "192.0.2.9:6464".parse().unwrap();
    let verdict = engine.on_datagram(Instant::now(), router, &mut buffer, contents.len());
    assert_eq!(verdict, FromNetwork::Add(Add::HEADROOM + 40));
    assert_eq!(engine.next_event(), Some(Event::FirstDatagram(router)));

    engine.allow(AllowList::EVERYBODY);
    let verdict = engine.on_datagram(Instant::now(), stranger, &mut buffer, contents.len());
    assert_eq!(verdict, FromNetwork::Add(Add::HEADROOM + 40));
}

/// A receive buffer with a datagram of these, and its length.
pub(super) fn datagram(all: &[Session]) -> (Vec<u8>, usize) {
    let mut contents = Vec::new();
    for session in all {
        session.emit(Format::Flat, &mut contents);
    }
    let mut buffer = vec![0; Add::HEADROOM + 2000];
    buffer[Add::HEADROOM..][..contents.len()].copy_from_slice(&contents);
    (buffer, contents.len())
}

/// An engine whose instance has a pool4 without the mask of [`session`].
fn with_other_pool4(now: Instant) -> Engine {
    let mut engine = engine();
    let mut state = instance_with(20);
    let mut pool4 = Pool4::default();
    let entry = Attribute {
        number: 1,
        value: &pool4::tests::value(0, "192.0.2.1", 32, (1, 2)),
        offset: 0,
    };
    pool4.take(&entry).unwrap();
    state.pool4 = Some(pool4);
    engine.instance_seen(now, state);
    engine
}

#[test]
fn while_the_instance_cannot_be_looked_at_it_is_not_for_each_datagram() {
    let start = Instant::now();
    let mut engine = with_other_pool4(start);
    let source = "192.0.2.2:6464".parse().unwrap();
    let mut asked = 0;
    for ms in (0..2500).step_by(10) {
        let now = start + Duration::from_millis(ms);
        let (mut buffer, length) = datagram(&[session()]);
        if engine.on_datagram(now, source, &mut buffer, length) == FromNetwork::Ask {
            asked += 1;
            assert_eq!(engine.look_due(), Some(now));
            engine.look_failed(now, &io::Error::from_raw_os_error(libc::ENOBUFS));
            engine.again(now, source, &mut buffer, length);
        }
    }
    assert_eq!(asked, 2);
    assert_eq!(engine.counters().lost(Reason::OutsidePool4), 250);
}

#[test]
fn lifetimes_that_are_cut_before_pool4_is_asked_for_are_counted_once() {
    let now = Instant::now();
    let mut engine = with_other_pool4(now);
    let later = now + Duration::from_secs(2);
    let source = "192.0.2.2:6464".parse().unwrap();
    let (mut buffer, length) = datagram(&[session(), session()]);
    let verdict = engine.on_datagram(later, source, &mut buffer, length);
    assert_eq!(verdict, FromNetwork::Ask);
    engine.again(later, source, &mut buffer, length);
    assert_eq!(engine.counters().shortened, 2);
}
