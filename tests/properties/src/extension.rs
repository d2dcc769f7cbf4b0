//! What daemons tell each other beyond sessions.

use joold::wire::extension::{Ask, Datagram, Header, Hello, Kind, Pull, Report, TableHeader};

use crate::is_one_line;

/// Where a header has what it is, and in which version.
const KIND: usize = 2;
const VERSION: usize = 3;

/// The longest message that is written anew, in bytes.
const LONGEST: usize = 2048;

/// A datagram from anybody: what is read of its trailer or message reads back the same once written,
/// into however little room; a message that was cut short is none; and of another version or kind
/// nothing counts but the sessions before it.
pub fn what_is_read_of_an_extension_writes_back_the_same(datagram: &[u8]) {
    match Datagram::of(datagram) {
        Datagram::Plain => assert!(!datagram.starts_with(&[0, 0])),
        Datagram::Unknown(at) => {
            assert!(datagram[at..].starts_with(&[0, 0]));
            assert!(at == 0 || datagram.len() == at + Header::SIZE);
        }
        Datagram::Numbered(sessions, header) => {
            assert!(sessions > 0 && header.kind == Kind::Sessions);
            assert_eq!(datagram[sessions..], header.to_bytes());
            check_others(datagram, sessions);
        }
        Datagram::Message(header) => {
            assert_eq!(datagram[..Header::SIZE], header.to_bytes());
            check_others(datagram, 0);
        }
    }
    // Whatever its header says, each reader may be given it.
    check_hello(datagram);
    check_ask(datagram);
    check_pull(datagram);
    check_part(datagram);
}

/// With the header at `at` of another version or kind.
fn check_others(datagram: &[u8], at: usize) {
    let mut changed = datagram.to_vec();
    for (place, values) in [(VERSION, [0, 2, 255]), (KIND, [0, 7, 255])] {
        let before = changed[at + place];
        for value in values {
            changed[at + place] = value;
            assert_eq!(Datagram::of(&changed), Datagram::Unknown(at));
        }
        changed[at + place] = before;
    }
    // Only sessions stand before a trailer, and nothing else is one.
    let is_trailer = changed[at + KIND] == Kind::Sessions as u8;
    changed[at + KIND] = match is_trailer {
        true => Kind::Hello as u8,
        false => Kind::Sessions as u8,
    };
    assert_eq!(Datagram::of(&changed), Datagram::Unknown(at));
}

/// Has a message written into however little room. As far as it comes out, it is whole: `check` is given
/// it, and whether there was room for all of it, which takes `longest` bytes.
fn in_any_room(longest: usize, write: impl Fn(&mut [u8]) -> usize, check: impl Fn(&[u8], bool)) {
    let longest = longest.min(LONGEST);
    let mut room = vec![0x55; longest + 1];
    let few = 0..longest.min(TableHeader::SIZE + Header::SIZE);
    let nearly_all = longest.saturating_sub(Header::SIZE)..longest + 1;
    for length in few.chain(nearly_all) {
        room.fill(0x55);
        let written = write(&mut room[..length]);
        assert!(written <= length);
        assert!(room[length..].iter().all(|&byte| byte == 0x55));
        if written > 0 {
            let message = &room[..written];
            assert!(matches!(Datagram::of(message), Datagram::Message(_)));
            check(message, length >= longest);
        } else {
            assert!(length < longest, "there was room for all");
        }
    }
}

fn check_hello(message: &[u8]) {
    let (hello, reports) = match Hello::read(message) {
        Ok(read) => read,
        Err(problem) => return assert!(is_one_line(&problem.to_string())),
    };
    let reports: Vec<Report> = reports.iter().take(LONGEST / 16).collect();
    in_any_room(
        30 + 12 * reports.len(),
        |room| hello.write(1, 2, reports.iter().copied(), room),
        |message, is_all| {
            let (read, some) = Hello::read(message).expect("a whole hello");
            let some: Vec<_> = some.iter().collect();
            assert_eq!(read, hello);
            assert_eq!(some, reports[..some.len()]);
            assert!(!is_all || some.len() == reports.len());
            assert!(Hello::read(&message[..message.len() - 1]).is_err());
        },
    );
}

fn check_ask(message: &[u8]) {
    let ask = match Ask::read(message) {
        Ok(read) => read,
        Err(problem) => return assert!(is_one_line(&problem.to_string())),
    };
    let ranges: Vec<_> = ask.ranges.iter().take(LONGEST / 16).collect();
    in_any_room(
        18 + 8 * ranges.len(),
        |room| Ask::write(1, 2, ask.of, ranges.iter().cloned(), room),
        |message, is_all| {
            let read = Ask::read(message).expect("a whole request");
            let some: Vec<_> = read.ranges.iter().collect();
            assert_eq!(read.of, ask.of);
            assert_eq!(some, ranges[..some.len()]);
            assert!(!is_all || some.len() == ranges.len());
            assert!(Ask::read(&message[..message.len() - 1]).is_err());
        },
    );
}

fn check_pull(message: &[u8]) {
    let pull = match Pull::read(message) {
        Ok(read) => read,
        Err(problem) => return assert!(is_one_line(&problem.to_string())),
    };
    in_any_room(
        31,
        |room| pull.write(1, 2, room),
        |message, _| {
            assert_eq!(Pull::read(message), Ok(pull));
            assert!(Pull::read(&message[..message.len() - 1]).is_err());
        },
    );
}

fn check_part(message: &[u8]) {
    let stretch = match TableHeader::read(message) {
        Ok(read) => read,
        Err(problem) => return assert!(is_one_line(&problem.to_string())),
    };
    let write = |room: &mut [u8]| match TableHeader::write(&stretch, 1, 2, room) {
        true => TableHeader::SIZE,
        false => 0,
    };
    in_any_room(TableHeader::SIZE, write, |message, _| {
        assert_eq!(TableHeader::read(message), Ok(stretch));
        assert!(TableHeader::read(&message[..message.len() - 1]).is_err());
    });
}
