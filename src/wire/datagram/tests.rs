use super::super::pool4;
use super::super::session::{Protocol, State, Timer, tests::session};
use super::*;
use proptest::prelude::*;

const BOTH: [Format; 2] = [Format::Flat, Format::Nested];

fn sample() -> Session {
    Session {
        source6: ("2001:db8::5".parse().unwrap(), 1000),
        destination6: Some(("64:ff9b::203.0.113.24".parse().unwrap(), 80)),
        source4: "192.0.2.1:61001".parse().unwrap(),
        destination4: "203.0.113.24:80".parse().unwrap(),
        protocol: Protocol::Tcp,
        state: State::Established,
        timer: Timer::Established,
        expiration: 7_200_000,
    }
}

fn datagram(sessions: &[Session], format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    sessions
        .iter()
        .for_each(|session| session.emit(format, &mut out));
    out
}

fn terms(format: Option<Format>, longest: Option<u32>) -> Terms<'static> {
    Terms {
        format,
        longest,
        ..Terms::default()
    }
}

/// What a machine of the other byte order would have sent.
fn from_afar(mut bytes: Vec<u8>, format: Format) -> Vec<u8> {
    for session in bytes.chunks_exact_mut(format.size()) {
        swap(session, format).unwrap();
    }
    bytes
}

fn is_admitted(sessions: &[Session], format: Format) -> bool {
    let mut bytes = datagram(sessions, format);
    let before = bytes.clone();
    let admitted = admit(&mut bytes, &terms(Some(format), None));
    assert_eq!(bytes, before);
    admitted.is_ok_and(|admitted| admitted.length == bytes.len() && !admitted.converted)
}

#[test]
fn sessions_of_both_formats_are_admitted_as_they_are() {
    for format in BOTH {
        assert!(is_admitted(&[sample(); 1], format));
        assert!(is_admitted(&[sample(); 10], format));
    }
}

#[test]
fn what_comes_from_a_machine_of_the_other_byte_order_is_converted() {
    for format in BOTH {
        let native = datagram(&[sample(); 3], format);
        let mut bytes = from_afar(native.clone(), format);
        assert_ne!(bytes, native);
        let admitted = admit(&mut bytes, &terms(Some(format), None)).unwrap();
        assert!(admitted.converted);
        assert_eq!((admitted.length, bytes), (native.len(), native));
    }
}

/// The first bytes of a session on a big-endian machine, as RFC 791 would draw them: 40, 1.
#[cfg(target_endian = "little")]
#[test]
fn a_big_endian_routers_header_is_known_by_its_first_bytes() {
    let mut bytes = datagram(&[sample()], Format::Flat);
    bytes[..4].copy_from_slice(&[0, 40, 0, 1]);
    assert!(admit(&mut bytes, &Terms::default()).unwrap().converted);
    assert_eq!(bytes[..4], [40, 0, 1, 0]);
}

#[test]
fn the_other_format_is_refused_unless_any_is_welcome() {
    for (format, other) in [BOTH, [BOTH[1], BOTH[0]]].map(|[a, b]| (a, b)) {
        let mut bytes = datagram(&[sample()], format);
        assert_eq!(
            admit(&mut bytes, &terms(Some(other), None)),
            Err(Refusal::OtherFormat(format))
        );
        assert!(admit(&mut bytes, &Terms::default()).is_ok());
    }
}

#[test]
fn each_cut_and_each_byte_too_many_is_refused() {
    for format in BOTH {
        let whole = datagram(&[sample(); 2], format);
        for length in (1..whole.len()).filter(|length| length % format.size() != 0) {
            let cut = admit(&mut whole[..length].to_vec(), &Terms::default());
            assert!(matches!(cut, Err(Refusal::Framing(_))), "{length}: {cut:?}");
        }
        for more in 1..4 {
            let mut longer = whole.clone();
            longer.resize(whole.len() + more, 0);
            let refused = admit(&mut longer, &Terms::default());
            assert!(matches!(refused, Err(Refusal::Framing(_))), "{refused:?}");
        }
    }
}

#[test]
fn what_follows_a_header_of_length_0_is_not_for_the_kernel() {
    let mut bytes = datagram(&[sample(); 2], Format::Flat);
    let sessions = bytes.len();
    bytes.extend([0, 0, 7, 1, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    assert_eq!(
        admit(&mut bytes, &Terms::default()).unwrap().length,
        sessions
    );
    let mut control = bytes.split_off(sessions);
    assert_eq!(
        admit(&mut control, &Terms::default()),
        Err(Refusal::NoSessions)
    );
}

/// The bits of protocol, state and timer that are admitted, of all 65,536.
#[test]
fn only_the_values_of_protocol_state_and_timer_that_exist_are_admitted() {
    let mut value = sample().to_flat();
    let mut admitted = Vec::new();
    for bits in 0..=u16::MAX {
        value[flat::BITS..].copy_from_slice(&bits.to_be_bytes());
        match check_flat(&value) {
            Ok(_) => admitted.push(bits),
            Err(problem) => assert!(matches!(problem, Malformed::Value { .. })),
        }
    }
    let exists = |bits: &u16| {
        let (protocol, state, timer) = (bits >> 5, (bits >> 2) & 7, bits & 3);
        state < 7 && ((protocol == 0 && timer < 3) || (protocol < 3 && timer == 0))
    };
    let all: Vec<_> = (0..=u16::MAX).filter(exists).collect();
    assert_eq!(admitted, all);
    assert_eq!(all.len(), 7 * 3 + 7 + 7);
}

#[test]
fn the_bad_session_is_named_by_its_number() {
    let mut bytes = datagram(&[sample(); 3], Format::Flat);
    bytes[2 * 40 + 4 + flat::BITS + 1] = 7 << 2;
    let problem = Malformed::Value {
        field: "TCP state",
        value: 7,
    };
    let number = 2;
    assert_eq!(
        admit(&mut bytes, &Terms::default()),
        Err(Refusal::Session { number, problem })
    );
}

#[test]
fn lifetimes_beyond_the_longest_are_cut_down_to_it_and_no_others() {
    let with = |expiration| Session {
        expiration,
        ..sample()
    };
    let (longest, days) = (7_200_000, 49 * 86_400_000);
    for format in BOTH {
        let before = [with(longest), with(days), with(1), with(longest + 1)];
        let after = [with(longest), with(longest), with(1), with(longest)];
        let native = datagram(&before, format);
        for mut bytes in [native.clone(), from_afar(native.clone(), format)] {
            let admitted = admit(&mut bytes, &terms(None, Some(longest))).unwrap();
            assert_eq!(admitted.shortened, 2);
            assert_eq!(bytes, datagram(&after, format));
        }
        let mut untouched = native.clone();
        assert_eq!(
            admit(&mut untouched, &Terms::default()).unwrap().shortened,
            0
        );
        assert_eq!(untouched, native);
    }
}

#[test]
fn sessions_whose_mask_is_not_in_pool4_are_left_out_and_the_others_stay_in_order() {
    let mut pool4 = Pool4::default();
    let entry = pool4::tests::value(0, "192.0.2.1", 32, (61001, 61009));
    pool4.take(&pool4::tests::attribute(&entry)).unwrap();
    let terms = Terms {
        pool4: Some(&pool4),
        ..Terms::default()
    };
    let with = |port| {
        let mut session = sample();
        session.source4.set_port(port);
        session
    };
    for format in BOTH {
        let mut bytes = datagram(&[with(61001), with(1), with(61002), with(61010)], format);
        let admitted = admit(&mut bytes, &terms).unwrap();
        let expected = datagram(&[with(61001), with(61002)], format);
        assert_eq!(bytes[..admitted.length], expected);
        assert_eq!(admitted.outside, 2);
        let mut bytes = datagram(&[with(1)], format);
        assert_eq!(admit(&mut bytes, &terms).unwrap().length, 0);
        let old = Terms {
            is_pool4_old: true,
            ..terms
        };
        let before = datagram(&[with(61001), with(1)], format);
        let mut bytes = from_afar(before.clone(), format);
        let refusal = Refusal::OldPool4 {
            converted: true,
            shortened: 0,
        };
        assert_eq!(admit(&mut bytes, &old), Err(refusal));
        assert_eq!(bytes, before, "nothing is left out yet");
        assert_eq!(admit(&mut bytes, &terms).unwrap().outside, 1);
    }
}

#[test]
fn odd_sessions_that_a_real_module_makes_are_admitted() {
    let port_0 = ("2001:db8::5".parse().unwrap(), 0);
    let nowhere = ("::".parse().unwrap(), 1);
    for format in BOTH {
        for source6 in [port_0, nowhere] {
            let session = Session {
                source6,
                ..sample()
            };
            assert!(is_admitted(&[session], format));
        }
        for destination in [
            "127.0.0.1:1",
            "224.0.0.1:1",
            "0.0.0.0:0",
            "255.255.255.255:1",
        ] {
            let destination4 = destination.parse().unwrap();
            let session = Session {
                destination4,
                ..sample()
            };
            assert!(is_admitted(&[session], format));
        }
    }
}

#[test]
fn sources_that_no_host_and_no_pool4_has_are_refused() {
    for format in BOTH {
        for source6 in ["ff02::1", "::1"] {
            let source6 = (source6.parse().unwrap(), 1);
            let session = Session {
                source6,
                ..sample()
            };
            assert!(!is_admitted(&[session], format));
        }
        for source4 in ["0.0.0.0:1", "127.0.0.1:1", "224.0.0.1:1", "239.1.1.1:1"] {
            let source4 = source4.parse().unwrap();
            let session = Session {
                source4,
                ..sample()
            };
            assert!(!is_admitted(&[session], format));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_sessions_to_the_letter_or_refused(
        sessions in prop::collection::vec(session(), 0..4),
        nested in any::<bool>(),
        afar in any::<bool>(),
        patch in any::<(prop::sample::Index, u8)>(),
        noise in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let format = BOTH[usize::from(nested)];
        let mut bytes = datagram(&sessions, format);
        if afar {
            bytes = from_afar(bytes, format);
        }
        bytes.extend(noise);
        if !bytes.is_empty() {
            let at = patch.0.index(bytes.len());
            bytes[at] = patch.1;
        }
        if let Ok(Admitted { length, .. }) = admit(&mut bytes, &Terms::default()) {
            let format = form(&bytes).map_or(format, |(format, _)| format);
            prop_assert!(length % format.size() == 0);
            for session in super::super::session::sessions(&bytes[..length], format) {
                prop_assert!(session.is_ok());
            }
        }
    }
}

#[test]
fn a_session_that_none_can_be_is_left_out_of_a_table_and_keeps_no_other_out() {
    let impossible = Session {
        protocol: Protocol::Udp,
        timer: Timer::IncomingSyn,
        ..sample()
    };
    for format in BOTH {
        let all = datagram(&[sample(), impossible, sample(), impossible], format);
        let table = Terms {
            is_table: true,
            ..terms(Some(format), None)
        };
        for mut bytes in [all.clone(), from_afar(all.clone(), format)] {
            let admitted = admit(&mut bytes, &table).unwrap();
            let expected = datagram(&[sample(), sample()], format);
            assert_eq!(bytes[..admitted.length], expected);
            assert_eq!(admitted.impossible, 2);
            assert!(matches!(admitted.first_impossible, Some((1, _))));
        }
        let refusal = admit(&mut all.clone(), &terms(Some(format), None));
        assert!(matches!(refusal, Err(Refusal::Session { number: 1, .. })));
    }
}
