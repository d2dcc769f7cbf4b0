//! What comes from the network.

use super::*;

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
