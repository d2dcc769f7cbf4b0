//! What comes from the netlink socket.

use super::*;

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
