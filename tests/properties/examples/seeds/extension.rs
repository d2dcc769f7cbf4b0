//! What daemons tell each other beyond sessions, written by the code that writes it.

use joold::wire::extension::{Ask, Header, Hello, Kind, Node, Pull, Report, Stretch, TableHeader};
use joold::wire::page::Key;
use joold::wire::session::Protocol;

use super::samples;

const NODE: Node = 0x1234_5678;
const OTHER: Node = 0x9abc_def0;
const NUMBER: u32 = u32::MAX;

pub fn seeds() {
    let property = "what_is_read_of_an_extension_writes_back_the_same";
    for (name, bytes) in all() {
        super::write(property, name, bytes);
    }
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    let flat = &samples::BATCH[52..];
    let nested = &samples::NESTED_SESSION[..];
    let trailer = header(Kind::Sessions);
    let mut later = trailer;
    later[3] = 2;
    let mut strange = header(Kind::Hello);
    strange[2] = 7;
    let hello = hello(3);
    let ask = ask();
    let part = part();
    vec![
        ("plain", flat.to_vec()),
        ("flat", [flat, flat, &trailer].concat()),
        ("nested", [nested, &trailer].concat()),
        ("cut-trailer", [flat, &trailer[..11]].concat()),
        ("behind-a-cut-session", [&flat[..36], &trailer].concat()),
        ("trailer-of-a-later-version", [flat, &later].concat()),
        ("message-behind-sessions", [flat, &strange].concat()),
        ("unknown-kind", strange.to_vec()),
        ("trailer-alone", trailer.to_vec()),
        ("hello-without-reports", self::hello(0)),
        ("hello-cut", hello[..hello.len() - 1].to_vec()),
        ("hello-and-more", [&hello[..], &[0; 4]].concat()),
        ("hello", hello),
        ("ask-cut", ask[..ask.len() - 8].to_vec()),
        ("ask", ask),
        ("repeat", [&header(Kind::Repeat), flat, flat].concat()),
        ("repeat-nested", [&header(Kind::Repeat), nested].concat()),
        ("repeat-cut", [&header(Kind::Repeat), &flat[..39]].concat()),
        ("pull", pull(Some(key(7)))),
        ("pull-from-the-start", pull(None)),
        ("pull-of-no-protocol", with(pull(None), 17, 3)),
        ("part", [&part[..], flat].concat()),
        ("part-without-sessions", part.clone()),
        ("part-of-no-protocol", with(part, 12, 255)),
    ]
}

fn header(kind: Kind) -> [u8; Header::SIZE] {
    let header = Header {
        kind,
        node: NODE,
        number: NUMBER,
    };
    header.to_bytes()
}

fn with(mut bytes: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    bytes[at] = value;
    bytes
}

fn key(number: u8) -> Key {
    Key::from_bytes(&[192, 0, 2, 1, 0xee, number, 203, 0, 113, number, 0, 80])
}

/// What `write` writes.
fn written(write: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut room = vec![0; 400];
    let length = write(&mut room);
    room.truncate(length);
    room
}

fn hello(reports: u32) -> Vec<u8> {
    let hello = Hello {
        standing: 3,
        is_calling: true,
        instances: 1,
        period: 1000,
        oldest: NUMBER - 100,
        holes: 1,
        sessions: 16,
    };
    let reports = (0..reports).map(|number| Report {
        node: OTHER + number,
        number,
        holes: 2,
    });
    written(|room| hello.write(NODE, NUMBER, reports, room))
}

fn ask() -> Vec<u8> {
    // Numbers begin anew within the second one.
    let ranges = [(NUMBER - 3, NUMBER - 3), (NUMBER - 1, 1)];
    let ranges = ranges.into_iter().map(|(first, last)| first..=last);
    written(|room| Ask::write(NODE, NUMBER, OTHER, ranges, room))
}

fn pull(after: Option<Key>) -> Vec<u8> {
    let pull = Pull {
        of: OTHER,
        parts: 16,
        protocol: Protocol::Udp,
        after,
    };
    written(|room| pull.write(NODE, NUMBER, room))
}

fn part() -> Vec<u8> {
    let stretch = Stretch {
        protocol: Protocol::Tcp,
        after: None,
        last: Some(key(9)),
        holes: 0,
    };
    written(
        |room| match TableHeader::write(&stretch, NODE, NUMBER, room) {
            true => TableHeader::SIZE,
            false => 0,
        },
    )
}
