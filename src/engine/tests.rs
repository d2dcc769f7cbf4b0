//! What the engine decides, message by message.

use super::*;
use crate::wire::jool::{error, root};
use crate::wire::netlink::put_attribute;
use crate::wire::request::Plain;
use crate::wire::session::{Format, Protocol, Session, State, Timer, sessions};
use proptest::prelude::*;

const FAMILY: u16 = 0x1d;

fn engine() -> Engine {
    serving(InstanceName::DEFAULT, FAMILY)
}

/// An engine whose module is there.
fn serving(instance: InstanceName, family: u16) -> Engine {
    let mut engine = Engine::new(instance, Instant::now());
    engine.module_found(Instant::now(), family, None);
    assert_eq!(engine.next_event(), Some(Event::ModuleLoaded(None)));
    engine
}

fn session() -> Session {
    Session {
        source6: ("2001:db8::5".parse().unwrap(), 1000),
        destination6: None,
        source4: "192.0.2.1:61001".parse().unwrap(),
        destination4: "203.0.113.24:80".parse().unwrap(),
        protocol: Protocol::Tcp,
        state: State::Established,
        timer: Timer::Established,
        expiration: 7_200_000,
    }
}

/// A message as the kernel sends it: the headers of an acknowledgement, changed, and `attributes`.
struct FromModule {
    bytes: Vec<u8>,
}

impl FromModule {
    fn new(instance: &str, attributes: &[u8]) -> Self {
        let address = Address {
            family: FAMILY,
            version: Version::new(4, 1, 9),
            instance: InstanceName::new(instance).unwrap(),
        };
        let mut bytes = Plain::new(&address, Command::JooldAck).bytes().to_vec();
        bytes[8..12].fill(0);
        bytes[16] = 0;
        bytes.extend_from_slice(attributes);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        Self { bytes }
    }

    fn batch(instance: &str) -> Self {
        let mut contents = Vec::new();
        session().emit(Format::Flat, &mut contents);
        let mut attributes = Vec::new();
        put_attribute(
            &mut attributes,
            root::SESSION_ENTRIES | netlink::FLAG_NESTED,
            &contents,
        );
        Self::new(instance, &attributes)
    }

    fn refusal(command: Command, code: u16, text: &str) -> Self {
        let mut attributes = Vec::new();
        put_attribute(&mut attributes, error::CODE, &code.to_ne_bytes());
        put_attribute(
            &mut attributes,
            error::MESSAGE,
            format!("{text}\0").as_bytes(),
        );
        let mut message = Self::new("default", &attributes);
        message.bytes[8] = command as u8;
        message.bytes[29] = 1;
        message
    }

    fn version(mut self, version: Version) -> Self {
        self.bytes[24..28].copy_from_slice(&version.to_bytes());
        self
    }
}

fn troubles(engine: &mut Engine) -> Vec<(Reason, String)> {
    std::iter::from_fn(|| engine.next_event())
        .filter_map(|event| match event {
            Event::Trouble { reason, detail } => Some((reason, detail)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_batch_of_our_instance_is_forwarded_without_its_container() {
    let mut engine = engine();
    let mut message = FromModule::batch("default").bytes;
    let FromKernel::Forward(piece) = engine.on_kernel(Instant::now(), 0, &mut message) else {
        panic!("not forwarded");
    };
    let sent: Vec<_> = sessions(&message[piece.range], Format::Flat).collect();
    assert_eq!(sent, [Ok(session())]);
    assert_eq!(
        engine.counters().kernel_sent,
        Traffic {
            packets: 1,
            bytes: 40
        }
    );
}

#[test]
fn instance_names_compare_without_case() {
    let verdict = engine().on_kernel(Instant::now(), 0, &mut FromModule::batch("DeFaUlT").bytes);
    assert!(matches!(verdict, FromKernel::Forward(_)));
}

#[test]
fn requests_spell_the_instance_and_the_version_as_the_kernel_does() {
    let mut engine = serving(InstanceName::new("DeFault").unwrap(), FAMILY);
    let mut buffer = vec![0; Add::HEADROOM + 40];
    engine.prepare(&mut buffer);
    assert!(!engine.needs_preparation());
    engine.on_kernel(Instant::now(), 0, &mut FromModule::batch("default").bytes);
    assert!(engine.needs_preparation());
    engine.prepare(&mut buffer);
    Add::finish(&mut buffer, 40);
    let acknowledgement = engine.acknowledgements().to_vec();
    for request in [&acknowledgement, &buffer] {
        let request = netlink::Message::new_checked(request).unwrap();
        let request = Message::new_checked(request).unwrap();
        assert_eq!(&request.instance()[..8], b"default\0");
        assert_eq!(request.version(), Version::new(4, 1, 9));
    }
    engine.on_kernel(Instant::now(), 0, &mut FromModule::batch("default").bytes);
    assert!(
        !engine.needs_preparation(),
        "the same batch changes nothing"
    );
}

/// Whether batches of these instances are forwarded, one after the other, by a daemon for "a".
fn forwarded(names: &[&str]) -> Vec<bool> {
    let mut engine = serving(InstanceName::new("a").unwrap(), FAMILY);
    let mut forward = |name: &&str| {
        let mut message = FromModule::batch(name).bytes;
        engine.on_kernel(Instant::now(), 0, &mut message) != FromKernel::Ignore
    };
    names.iter().map(&mut forward).collect()
}

#[test]
fn of_two_names_that_differ_in_case_the_files_own_wins() {
    assert_eq!(forwarded(&["a", "A", "a"]), [true, false, true]);
    assert_eq!(forwarded(&["A", "A", "a", "A"]), [true, true, true, false]);
}

#[test]
fn a_batch_of_another_instance_is_ignored_and_no_trouble() {
    let mut engine = engine();
    for other in ["defaul", "default2", "other"] {
        let mut message = FromModule::batch(other).bytes;
        assert_eq!(
            engine.on_kernel(Instant::now(), 0, &mut message),
            FromKernel::Ignore
        );
    }
    assert_eq!(engine.counters().lost(Reason::OtherInstance), 3);
    assert_eq!(engine.counters().kernel_sent, Traffic::default());
    assert_eq!(engine.next_event(), None);
}

#[test]
fn a_message_from_another_process_is_ignored() {
    let mut engine = engine();
    let mut message = FromModule::batch("default").bytes;
    assert_eq!(
        engine.on_kernel(Instant::now(), 4711, &mut message),
        FromKernel::Ignore
    );
    assert_eq!(
        troubles(&mut engine),
        [(Reason::NotFromKernel, "netlink port id 4711".to_owned())]
    );
}

#[test]
fn the_modules_version_is_told_once_and_when_it_changes() {
    let mut engine = engine();
    for revision in [9, 9, 13] {
        let version = Version::new(4, 1, revision);
        engine.on_kernel(
            Instant::now(),
            0,
            &mut FromModule::batch("default").version(version).bytes,
        );
    }
    let told: Vec<_> = std::iter::from_fn(|| engine.next_event()).collect();
    assert_eq!(
        told,
        [
            Event::ModuleVersion(Version::new(4, 1, 9)),
            Event::ModuleVersion(Version::new(4, 1, 13))
        ]
    );
}

#[test]
fn a_module_of_another_minor_version_is_an_error_that_names_both() {
    let mut engine = engine();
    let mut message = FromModule::batch("default")
        .version(Version::new(4, 2, 0))
        .bytes;
    assert_eq!(
        engine.on_kernel(Instant::now(), 0, &mut message),
        FromKernel::Ignore
    );
    assert_eq!(
        troubles(&mut engine),
        [(
            Reason::ForeignVersion,
            "the module is Jool 4.2.0, this joold speaks 4.1".to_owned()
        )]
    );
}

/// What the engine makes of a message of a kernel's, and the troubles that it tells.
fn told(message: &mut [u8]) -> (FromKernel, Vec<(Reason, String)>) {
    let mut engine = engine();
    let verdict = engine.on_kernel(Instant::now(), 0, message);
    (verdict, troubles(&mut engine))
}

#[test]
fn a_module_of_another_version_may_write_batches_in_another_way() {
    let mut message = FromModule::new("default", &[]).version(Version::new(5, 0, 0));
    let (_, troubles) = told(&mut message.bytes);
    assert_eq!(troubles[0].0, Reason::ForeignVersion);
}

#[test]
fn a_datagram_of_the_netlink_socket_is_one_message_to_the_letter() {
    let batch = FromModule::batch("default").bytes;
    for (more, problem) in [
        (&[0; 4][..], "4 bytes behind its end"),
        (&[0; 1], "1 bytes behind its end"),
        (&batch, "92 bytes behind its end"),
    ] {
        let mut message = [&batch, more].concat();
        let malformed = (Reason::MalformedMessage, problem.to_owned());
        assert_eq!(told(&mut message), (FromKernel::Ignore, vec![malformed]));
    }
}

#[test]
fn a_message_may_have_its_padding_behind_it() {
    let mut message = vec![0; 20];
    message[..4].copy_from_slice(&17u32.to_ne_bytes());
    message[4..6].copy_from_slice(&netlink::FIRST_KIND.to_ne_bytes());
    let (_, troubles) = told(&mut message);
    assert_eq!(troubles[0].0, Reason::ForeignMessage);
}

#[test]
fn a_batch_is_one_container_in_a_row_of_attributes() {
    let mut contents = Vec::new();
    session().emit(Format::Flat, &mut contents);
    let mut container = Vec::new();
    let kind = root::SESSION_ENTRIES | netlink::FLAG_NESTED;
    put_attribute(&mut container, kind, &contents);
    let mut other = Vec::new();
    put_attribute(&mut other, 77, &[1; 6]);
    let with = |attributes: &[&[u8]]| {
        let mut message = FromModule::new("default", &attributes.concat()).bytes;
        told(&mut message)
    };
    // A later module may have more to say.
    for attributes in [&[&container, &other], &[&other, &container]] {
        let attributes = attributes.map(Vec::as_slice);
        let (verdict, troubles) = with(&attributes);
        assert!(matches!(verdict, FromKernel::Forward(piece) if piece.range.len() == 40));
        assert_eq!(troubles, []);
    }
    let long = "a length field of 65535, more than there is";
    for (attributes, problem) in [
        (
            [&container[..], &container],
            "more than one container of sessions",
        ),
        (
            [&container, &[0; 4]],
            "a length field of 0, less than its own header",
        ),
        ([&container, &[8, 0]], "2 bytes where the headers take 4"),
        ([&[0xff; 4], &container], long),
    ] {
        let malformed = (Reason::MalformedMessage, problem.to_owned());
        assert_eq!(with(&attributes), (FromKernel::Ignore, vec![malformed]));
    }
}

#[test]
fn sessions_that_nobody_understands_travel_as_the_kernel_wrote_them() {
    for contents in [&[0xff; 40][..], &[0; 7], b"from a module of the future"] {
        let mut attributes = Vec::new();
        let kind = root::SESSION_ENTRIES | netlink::FLAG_NESTED;
        put_attribute(&mut attributes, kind, contents);
        let mut message = FromModule::new("default", &attributes).bytes;
        let limits = Limits {
            window: 1000,
            sessions: 16,
        };
        let mut engine = engine().merging_refreshes(limits, 0);
        let verdict = engine.on_kernel(Instant::now(), 0, &mut message);
        let FromKernel::Forward(piece) = verdict else {
            panic!("not forwarded");
        };
        assert_eq!(&message[piece.range], contents);
        assert!(!piece.joinable);
    }
}

#[test]
fn an_error_response_is_told_with_code_and_text_and_forwards_nothing() {
    let mut engine = engine();
    let text = "This namespace lacks an instance named 'default'.";
    let cases = [
        (Command::JooldAck, 22, Reason::AckRefused),
        (Command::JooldAdd, 22, Reason::AddRefused),
        (Command::GlobalForeach, 22, Reason::OtherRefused),
        (Command::JooldAdd, 1, Reason::NotPermitted),
    ];
    for (command, code, reason) in cases {
        let mut message = FromModule::refusal(command, code, text).bytes;
        assert_eq!(
            engine.on_kernel(Instant::now(), 0, &mut message),
            FromKernel::Ignore
        );
        let detail = format!("\"{text}\" (error {code})");
        assert_eq!(troubles(&mut engine), [(reason, detail)]);
    }
}

#[test]
fn an_error_response_of_several_lines_is_one_line_in_the_log() {
    let mut engine = engine();
    let mut message = FromModule::refusal(Command::JooldAck, 22, "first,\nsecond\n").bytes;
    engine.on_kernel(Instant::now(), 0, &mut message);
    assert_eq!(troubles(&mut engine)[0].1, "\"first, second\" (error 22)");
}

#[test]
fn a_thousand_error_responses_are_three_lines_and_a_sum() {
    let mut engine = engine();
    let now = Instant::now();
    let mut message = FromModule::refusal(Command::JooldAdd, 22, "no").bytes;
    for _ in 0..1000 {
        engine.on_kernel(now, 0, &mut message);
    }
    assert_eq!(troubles(&mut engine).len(), 3);
    engine.elapse(engine.deadline().unwrap());
    assert_eq!(
        engine.next_event(),
        Some(Event::Repeated {
            reason: Reason::AddRefused,
            times: 997
        })
    );
    assert_eq!(engine.counters().lost(Reason::AddRefused), 1000);
}

#[test]
fn a_refusal_that_hints_at_the_instance_has_it_looked_at_soon_and_is_counted() {
    let mut engine = engine();
    let now = Instant::now() + Duration::from_secs(1);
    engine.instance_seen(now, Snapshot::default());
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

/// An instance that synchronizes, with that deadline in ms.
fn instance_with(deadline: u32) -> Snapshot {
    let mut state = Snapshot::default();
    let values = &mut state.globals.values;
    values.set(Global::SsEnabled, Some(1));
    values.set(Global::SsFlushDeadline, Some(deadline));
    state.globals.longest_timeout = Some(60_000);
    state
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
fn netlinks_own_errors_are_told_in_words() {
    let mut engine = engine();
    engine.on_kernel(Instant::now(), 0, &mut ack_failed(libc::ENOMEM));
    assert_eq!(
        troubles(&mut engine),
        [(
            Reason::AckRefused,
            "Cannot allocate memory (error 12)".to_owned()
        )]
    );
}

/// What netlink says when it cannot deliver an acknowledgement.
fn ack_failed(errno: i32) -> Vec<u8> {
    let mut message = vec![0; 36];
    message[..4].copy_from_slice(&36u32.to_ne_bytes());
    message[4..6].copy_from_slice(&netlink::ERROR.to_ne_bytes());
    message[8] = Command::JooldAck as u8;
    message[16..20].copy_from_slice(&(-errno).to_ne_bytes());
    message
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

#[cfg(target_endian = "little")]
mod as_a_real_module_says_it {
    use super::*;
    use crate::wire::samples;

    /// What the engine tells after one message of a real module.
    fn told(mut message: Vec<u8>, command: Command) -> Vec<(Reason, String)> {
        message[8..12].copy_from_slice(&u32::from(command as u8).to_ne_bytes());
        let mut engine = serving(InstanceName::DEFAULT, samples::FAMILY);
        assert_eq!(
            engine.on_kernel(Instant::now(), 0, &mut message),
            FromKernel::Ignore
        );
        troubles(&mut engine)
    }

    #[test]
    fn a_batch_is_forwarded() {
        let mut engine = serving(InstanceName::DEFAULT, samples::FAMILY);
        let verdict = engine.on_kernel(Instant::now(), 0, &mut samples::BATCH.clone());
        let piece = Piece {
            range: 52..92,
            joinable: false,
        };
        assert_eq!(verdict, FromKernel::Forward(piece));
        let sent: Vec<_> = sessions(&samples::BATCH[52..92], Format::Flat).collect();
        assert_eq!(
            sent,
            [Ok(Session {
                source6: ("2001:db8:6::8".parse().unwrap(), 46874),
                destination6: None,
                source4: "192.0.2.1:61800".parse().unwrap(),
                destination4: "192.0.2.8:7007".parse().unwrap(),
                protocol: Protocol::Tcp,
                state: State::V6Init,
                timer: Timer::Transitory,
                expiration: 240_000,
            })]
        );
        assert_eq!(
            engine.next_event(),
            Some(Event::ModuleVersion(Version::new(4, 1, 13)))
        );
    }

    #[test]
    fn a_missing_instance_is_counted_and_looked_for() {
        let mut engine = serving(InstanceName::DEFAULT, samples::FAMILY);
        let mut message = samples::LACKS_INSTANCE.to_vec();
        engine.on_kernel(Instant::now(), 0, &mut message);
        assert_eq!(engine.counters().lost(Reason::InstanceMissing), 1);
    }

    #[test]
    fn a_version_mismatch_is_one_line_that_names_both() {
        let text = "\"Version mismatch. The userspace client's version is 5.0.0.0, but the kernel \
                    module is 4.1.13.0. Please update the kernel module.\" (error 22)";
        assert_eq!(
            told(samples::OTHER_VERSION.to_vec(), Command::JooldAdd),
            [(Reason::AddRefused, text.to_owned())]
        );
    }

    #[test]
    fn a_missing_capability_is_a_reason_of_its_own() {
        let text = "\"CAP_NET_ADMIN capability required. (Maybe try su or sudo?)\" (error 1)";
        assert_eq!(
            told(samples::LACKS_CAPABILITY.to_vec(), Command::JooldAck),
            [(Reason::NotPermitted, text.to_owned())]
        );
    }

    #[test]
    fn refused_sessions_are_told_in_the_modules_or_in_netlinks_words() {
        assert_eq!(
            told(samples::TOO_SHORT_SESSION.to_vec(), Command::JooldAdd),
            [(
                Reason::AddRefused,
                "\"Invalid request: Session size (4) < 36\" (error 22)".to_owned()
            )]
        );
        assert_eq!(
            told(samples::STRAY_BYTES.to_vec(), Command::JooldAdd),
            [(
                Reason::AddRefused,
                "Numerical result out of range (error 34)".to_owned()
            )]
        );
    }
}

proptest! {
    #[test]
    fn whatever_the_netlink_socket_brings_is_forwarded_in_bounds_or_counted(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut message = FromModule::batch("default").bytes;
        for (at, value) in at {
            let at = at.index(message.len());
            message[at] = value;
        }
        message.truncate(cut.index(message.len()) + 1);
        let mut engine = engine();
        match engine.on_kernel(Instant::now(), 0, &mut message) {
            FromKernel::Forward(piece) => prop_assert!(piece.range.end <= message.len()),
            FromKernel::Ignore => {
                let lost: u64 = Reason::ALL.iter().map(|&reason| engine.counters().lost(reason)).sum();
                let harmless = netlink::Message::new_checked(&message)
                    .is_ok_and(|message| message.errno() == Some(0));
                prop_assert!(lost == 1 || harmless);
            }
        }
    }
}
