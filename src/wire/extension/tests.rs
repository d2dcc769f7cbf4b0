use proptest::prelude::*;

use super::*;
use crate::engine::Standing;
use crate::wire::page::Key;
use crate::wire::session::{Format, Protocol, example as session};

const NODE: Node = 0x1234_5678;

fn header(kind: Kind) -> Header {
    Header {
        kind,
        node: NODE,
        number: 7,
    }
}

#[test]
fn a_header_is_twelve_bytes_that_begin_with_an_attribute_of_length_0() {
    assert_eq!(
        header(Kind::Hello).to_bytes(),
        [0, 0, 2, 1, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 7]
    );
}

#[test]
fn sessions_are_told_from_sessions_with_a_trailer_in_both_formats() {
    for size in [40, 140] {
        for count in 1..=36 {
            let mut bytes = vec![1; size * count];
            assert_eq!(Datagram::of(&bytes), Datagram::Plain);
            bytes.extend(header(Kind::Sessions).to_bytes());
            let numbered = Datagram::Numbered(size * count, header(Kind::Sessions));
            assert_eq!(Datagram::of(&bytes), numbered);
        }
    }
}

#[test]
fn what_begins_with_a_header_is_a_message() {
    let bytes = header(Kind::Repeat).to_bytes();
    assert_eq!(
        Datagram::of(&bytes),
        Datagram::Message(header(Kind::Repeat))
    );
}

#[test]
fn other_kinds_and_versions_are_unknown_and_the_sessions_before_them_are_not() {
    let mut later = header(Kind::Hello).to_bytes();
    later[3] = 2;
    let mut strange = header(Kind::Hello).to_bytes();
    strange[2] = 99;
    for bytes in [later, strange, header(Kind::Sessions).to_bytes()] {
        assert_eq!(Datagram::of(&bytes), Datagram::Unknown(0));
    }
    for trailer in [later, strange, header(Kind::Hello).to_bytes()] {
        let bytes = [&[1; 80][..], &trailer].concat();
        assert_eq!(Datagram::of(&bytes), Datagram::Unknown(80));
    }
}

/// The bytes of an example in the documentation: of the indented lines behind that one.
fn example(title: &str) -> Vec<u8> {
    let page = include_str!("../../../docs/extensions.md");
    let lines = page.lines().skip_while(|line| *line != title).skip(2);
    let lines = lines.map_while(|line| line.split_once('|'));
    lines
        .flat_map(|(bytes, _)| bytes.split_whitespace())
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

#[test]
fn the_datagram_in_the_documentation_is_a_session_with_a_trailer() {
    let bytes = example("A datagram with one session, of a little-endian router:");
    let header = Header {
        kind: Kind::Sessions,
        node: 0x73a5_fabb,
        number: 7,
    };
    assert_eq!(Datagram::of(&bytes), Datagram::Numbered(40, header));
    let mut written = Vec::new();
    session().emit(Format::Flat, &mut written);
    written.extend(header.to_bytes());
    if cfg!(target_endian = "little") {
        assert_eq!(written, bytes);
    }
}

#[test]
fn the_hello_in_the_documentation_is_what_is_said() {
    let hello = Hello {
        standing: Standing::InSync as u8,
        is_calling: false,
        instances: 1,
        period: 1000,
        oldest: 1,
        holes: 1,
        sessions: 3,
    };
    let mut room = [0; 100];
    let reports = [report((0xb1ef_abfb, 2, 1))];
    let length = hello.write(0x73a5_fabb, 7, reports.into_iter(), &mut room);
    assert_eq!(room[..length], example("A hello of that node:"));
}

fn report((node, number, holes): (u32, u32, u32)) -> Report {
    Report {
        node,
        number,
        holes,
    }
}

fn protocols() -> impl Strategy<Value = Protocol> {
    prop::sample::select(Protocol::ALL.to_vec())
}

fn keys() -> impl Strategy<Value = Option<Key>> {
    prop::option::of(any::<[u8; 12]>().prop_map(|bytes| Key::from_bytes(&bytes)))
}

#[test]
fn half_a_message_is_never_written() {
    let pull = Pull {
        of: 1,
        parts: 2,
        protocol: Protocol::Udp,
        after: None,
    };
    let stretch = Stretch {
        protocol: Protocol::Udp,
        after: None,
        last: None,
        holes: 0,
    };
    for length in 0..TableHeader::SIZE {
        let mut room = vec![0; length];
        let hello = Hello::default().write(NODE, 7, std::iter::empty(), &mut room);
        assert_eq!(hello, if length < 30 { 0 } else { 30 });
        let ask = Ask::write(NODE, 7, 1, std::iter::empty(), &mut room);
        assert_eq!(ask, if length < 18 { 0 } else { 18 });
        assert_eq!(
            pull.write(NODE, 7, &mut room),
            if length < 31 { 0 } else { 31 }
        );
        assert!(!TableHeader::write(&stretch, NODE, 7, &mut room));
    }
}

proptest! {
    #[test]
    fn a_hello_reads_back(
        standing: u8, is_calling: bool, instances in 0..Hello::INSTANCES, period: u16, oldest: u32,
        holes: u32, sessions: u32,
        reports in prop::collection::vec(any::<(u32, u32, u32)>(), 0..40),
    ) {
        let reports: Vec<_> = reports.into_iter().map(report).collect();
        let hello = Hello { standing, is_calling, instances, period, oldest, holes, sessions };
        let mut room = [0x55; 600];
        let length = hello.write(NODE, 7, reports.iter().copied(), &mut room);
        let message = &room[..length];
        prop_assert_eq!(Datagram::of(message), Datagram::Message(header(Kind::Hello)));
        let (read, read_reports) = Hello::read(message).unwrap();
        prop_assert_eq!(read, hello);
        prop_assert_eq!(read_reports.iter().collect::<Vec<_>>(), reports);
        for cut in 0..length {
            prop_assert!(Hello::read(&message[..cut]).is_err());
        }
    }

    #[test]
    fn what_does_not_fit_into_a_hello_is_left_out(room in 30usize..400) {
        let mut room = vec![0; room];
        let reports = (0..100).map(|node| report((node, node, node)));
        let length = Hello::default().write(NODE, 7, reports, &mut room);
        let (_, read) = Hello::read(&room[..length]).unwrap();
        prop_assert_eq!(read.iter().count(), (room.len() - 30) / 12);
    }

    #[test]
    fn an_ask_reads_back(of: u32, ranges in prop::collection::vec(any::<(u32, u32)>(), 0..40)) {
        let mut room = [0x55; 400];
        let written = ranges.iter().map(|&(first, last)| first..=last);
        let length = Ask::write(NODE, 7, of, written.clone(), &mut room);
        let message = &room[..length];
        prop_assert_eq!(Datagram::of(message), Datagram::Message(header(Kind::Ask)));
        let read = Ask::read(message).unwrap();
        prop_assert_eq!(read.of, of);
        prop_assert!(read.ranges.iter().eq(written));
        for cut in 0..length {
            prop_assert!(Ask::read(&message[..cut]).is_err());
        }
    }

    #[test]
    fn a_pull_reads_back(of: u32, parts: u8, protocol in protocols(), after in keys()) {
        let pull = Pull { of, parts, protocol, after };
        let mut room = [0x55; 400];
        let length = pull.write(NODE, 7, &mut room);
        let message = &room[..length];
        prop_assert_eq!(Datagram::of(message), Datagram::Message(header(Kind::Pull)));
        prop_assert_eq!(Pull::read(message).unwrap(), pull);
        for cut in 0..length {
            prop_assert!(Pull::read(&message[..cut]).is_err());
        }
    }

    #[test]
    fn the_start_of_a_part_reads_back(
            protocol in protocols(), after in keys(), last in keys(), holes: u8,
        ) {
        let stretch = Stretch { protocol, after, last, holes };
        let mut room = [0x55; TableHeader::SIZE];
        prop_assert!(TableHeader::write(&stretch, NODE, 7, &mut room));
        prop_assert_eq!(Datagram::of(&room), Datagram::Message(header(Kind::Table)));
        prop_assert_eq!(TableHeader::read(&room).unwrap(), stretch);
        prop_assert!(!TableHeader::write(&stretch, NODE, 7, &mut room[..TableHeader::SIZE - 1]));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Datagram::of(&bytes);
        let _ = Hello::read(&bytes);
        let _ = Ask::read(&bytes);
        let _ = Pull::read(&bytes);
        let _ = TableHeader::read(&bytes);
    }
}
