//! Writes the seeds of `fuzz/corpus`: what a real Jool and a real kernel said, the example files of
//! `etc/`, and a few orders of events. Run it after a change, and commit what it wrote:
//!
//! ```sh
//! cargo run -p joold-properties --example seeds
//! ```
#![allow(clippy::unwrap_used)]
#![cfg(target_endian = "little")]

use std::fs;
use std::path::Path;

use joold::wire::netlink::put_attribute;

#[allow(dead_code, missing_docs)]
#[path = "../../../src/wire/samples.rs"]
mod samples;

#[path = "seeds/extension.rs"]
mod extension;

#[path = "seeds/nodes.rs"]
mod nodes;

mod script {
    //! Orders of events, as the property reads them.

    pub const MERGING: [u8; 3] = [0xe8, 0x03, 15];
    pub const NOT_MERGING: [u8; 3] = [0, 0, 0];
    pub const NO_MODULE: [u8; 2] = [10, 0];
    pub const MODULE: [u8; 2] = [10, 1];
    pub const OTHER_MODULE: [u8; 2] = [10, 2];
    pub const ACK: [u8; 2] = [11, 2];
    pub const ACK_AND_REST: [u8; 2] = [11, 1];
    pub const ACK_FAILS: [u8; 2] = [11, 0];
    pub const TRUNCATED: [u8; 2] = [12, 0];
    pub const OVERRUN: [u8; 2] = [12, 1];
    pub const LOST: [u8; 2] = [12, 6];
    pub const SENT: [u8; 2] = [13, 0];
    pub const NO_ROOM: [u8; 2] = [13, 1];
    pub const ROOM: [u8; 2] = [13, 2];
    pub const NOT_SENT: [u8; 2] = [13, 3];
    pub const DUE: [u8; 1] = [15];
    pub const NEXT: [u8; 4] = [5, 5, 0, 0];
    pub const MODULE_4_1_9: [u8; 2] = [10, 3 + (3 << 2)];
    pub const FOREIGN_MODULE: [u8; 2] = [10, 1 + (4 << 2)];
    pub const MODULE_4_1_13: [u8; 2] = [10, 1 + (1 << 2)];
    pub const REMOVED: [u8; 3] = [16, 0, 0];
    pub const LOOK_REFUSED: [u8; 3] = [16, 0, 2];
    pub const LOOK_HAS_NO_ROOM: [u8; 3] = [16, 1, 0];
    pub const LOOK_NOT_PERMITTED: [u8; 3] = [16, 0, 1];
    pub const LOOK_FAILS: [u8; 3] = [16, 1, 1];
    pub const BACK: [u8; 3] = [16, 2, 0];
    pub const CREATED_ANEW: [u8; 3] = [16, 3, 0];
    pub const TURNED_OFF: [u8; 3] = [16, 4, 0];
    pub const SHORT_DEADLINE: [u8; 3] = [16, 4, 1];
    pub const LACKS_CAPACITY: [u8; 3] = [16, 4, 2 + (3 << 2)];
    pub const SHORT_TIMEOUTS: [u8; 3] = [16, 5, 1];
    pub const HALF_A_POOL4: [u8; 3] = [16, 6, 1];
    pub const POOL4_OF_TCP: [u8; 3] = [16, 6, 2];
    pub const CHANGES_REFUSED: [u8; 3] = [16, 7, 1];
    pub const CHANGES_FAIL: [u8; 3] = [16, 7, 2];
    pub const CHANGES_TAKEN: [u8; 3] = [16, 7, 0];
    /// All globals, turned on, with a deadline of 20 ms.
    pub const WANTS: [u8; 3] = [17, 0xf0, 0b01_01_00_01];
    /// As that, with another deadline.
    pub const WANTS_A_DEADLINE: [u8; 3] = [17, 0xf0, 0b01_01_10_01];
    pub const OTHER_INSTANCE: [u8; 3] = [17, 0x12, 1];
    pub const REMERGE: [u8; 4] = [18, 0x10, 0, 3];
    pub const MERGE_NO_MORE: [u8; 4] = [18, 0, 0, 0];
    pub const ALLOW_FIRST: [u8; 2] = [19, 1];
    pub const ALLOW_SECOND: [u8; 2] = [19, 2];
    pub const ALLOW_NOBODY_THERE: [u8; 2] = [19, 3];
    pub const ALLOW_EVERYBODY: [u8; 2] = [19, 0];

    /// Versions in `kind`: 0: 4.1.13, 2: 4.1.9, 3: 5.0.0. Plus 4: in another case.
    pub fn batch(kind: u8, sessions: &[[u8; 2]]) -> Vec<u8> {
        [&[0, kind, sessions.len() as u8], sessions.as_flattened()].concat()
    }

    /// Bits in `kind`: 1: nested, 2: in the other byte order.
    pub fn datagram(kind: u8, sessions: &[[u8; 2]]) -> Vec<u8> {
        [
            &[7, kind, sessions.len() as u8],
            sessions.as_flattened(),
            &[0],
        ]
        .concat()
    }

    pub fn wait(ms: u16) -> Vec<u8> {
        let [low, high] = ms.to_le_bytes();
        vec![5, 0, low, high]
    }

    pub fn hear(message: &[u8]) -> Vec<u8> {
        let [low, high] = (message.len() as u16).to_le_bytes();
        [&[4, 0, low, high], message].concat()
    }

    pub fn receive(datagram: &[u8]) -> Vec<u8> {
        let [low, high] = (datagram.len() as u16).to_le_bytes();
        [&[9, 1, low, high], datagram].concat()
    }

    pub fn fail(reason: u8) -> Vec<u8> {
        vec![14, reason, 1]
    }
}

fn main() {
    answers();
    files();
    requests();
    control_requests();
    messages();
    datagrams();
    extension::seeds();
    events();
    nodes::seeds();
}

fn write(property: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let folder = root.join(property);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

/// What a real module answered, and what it was asked: see the file.
fn captured(what: &str) -> Vec<Vec<u8>> {
    let text = include_str!("../../simulated/tests/captured-4.1.13.txt");
    let (mut messages, mut wanted) = (Vec::<Vec<u8>>::new(), false);
    for line in text.lines().skip(3) {
        match line.strip_prefix("    ") {
            Some(bytes) if wanted => {
                let bytes = bytes.split_whitespace();
                let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap());
                messages.last_mut().unwrap().extend(bytes);
            }
            Some(_) => (),
            None => {
                wanted = line == format!("{what}:");
                messages.extend(wanted.then(Vec::new));
            }
        }
    }
    messages.sort();
    messages.dedup();
    // Not all was answered, and what is longer than that says nothing new.
    messages.retain(|message| (1..1100).contains(&message.len()));
    messages
}

fn answers() {
    let property = "any_answer_of_the_kernel_is_taken_or_an_error";
    let single: [(&str, &[u8]); 6] = [
        ("controller", &samples::CONTROLLER),
        ("lacks-family", &samples::LACKS_FAMILY),
        ("link", &samples::LINK),
        ("address4", &samples::ADDRESS4),
        ("address6", &samples::ADDRESS6),
        ("end", &samples::END),
    ];
    for (name, bytes) in single {
        write(property, name, bytes);
    }
    let link_and_addresses = [
        &samples::LINK[..],
        &samples::ADDRESS4,
        &samples::ADDRESS6,
        &samples::END,
    ]
    .concat();
    write(property, "list", link_and_addresses);
    let mut interrupted = [&samples::LINK[..], &samples::END].concat();
    interrupted[6] |= 0x10;
    write(property, "interrupted-list", interrupted);
    // NLMSG_NOOP, and what follows it.
    let mut noop = [&samples::END[..], &samples::LINK, &samples::END].concat();
    noop[4] = 1;
    write(property, "noop", noop);
    // The first answer is the controller's, about Jool.
    let family = captured("answer")
        .into_iter()
        .find(|answer| answer[4] == 0x10);
    let mut family = family.unwrap();
    family[8..12].copy_from_slice(&samples::SEQUENCE.to_ne_bytes());
    write(property, "jool", family);
    // Of the family itself: globals, statistics, refusals. None is from a list of pool4.
    for (number, mut answer) in captured("answer").into_iter().enumerate() {
        if answer[4] == 0x23 && answer.len() > 48 {
            answer[8..12].copy_from_slice(&samples::SEQUENCE.to_ne_bytes());
            write(property, &format!("captured-{number:02}"), answer);
        }
    }
    write(property, "pool4", pool4());
    write(property, "sessions", sessions());
}

/// A page of a table, with more behind it: a real session twice, and once with a TCP state 7.
fn sessions() -> Vec<u8> {
    /// Where a nested session has its TCP state, and a message the flags of its Jool header.
    const STATE: usize = 120;
    const FLAGS: usize = 29;
    let mut answer = samples::BATCH[..48].to_vec();
    answer[8..12].copy_from_slice(&samples::SEQUENCE.to_ne_bytes());
    answer[FLAGS] = 8;
    let mut odd = samples::NESTED_SESSION;
    odd[STATE] = 7;
    for session in [samples::NESTED_SESSION, odd, samples::NESTED_SESSION] {
        answer.extend_from_slice(&session);
    }
    let length = answer.len() as u32;
    answer[..4].copy_from_slice(&length.to_ne_bytes());
    answer
}

/// Two entries that touch, one that nearly does, and one of another protocol, as a module lists them.
fn pool4() -> Vec<u8> {
    let mut answer = samples::BATCH[..48].to_vec();
    answer[8..12].copy_from_slice(&samples::SEQUENCE.to_ne_bytes());
    for (protocol, length, ports) in [
        (0u8, 32u8, (65_002u16, 65_535u16)),
        (0, 32, (61_001, 61_031)),
        (0, 32, (61_032, 65_000)),
        (2, 24, (0, 65_535)),
    ] {
        let (mut prefix, mut entry) = (Vec::new(), Vec::new());
        put_attribute(&mut prefix, 1, &[192, 0, 2, 0]);
        put_attribute(&mut prefix, 2, &[length]);
        put_attribute(&mut entry, 4, &[protocol]);
        put_attribute(&mut entry, 0x8005, &prefix);
        put_attribute(&mut entry, 6, &ports.0.to_ne_bytes());
        put_attribute(&mut entry, 7, &ports.1.to_ne_bytes());
        put_attribute(&mut answer, 0x8001, &entry);
    }
    let length = answer.len() as u32;
    answer[..4].copy_from_slice(&length.to_ne_bytes());
    answer
}

fn files() {
    let property = "any_module_file_is_a_configuration_or_an_error";
    write(
        property,
        "example",
        include_str!("../../../etc/modsocket.json"),
    );
    for (name, text) in [
        ("empty", ""),
        ("defaults", "{}"),
        ("no-object", "[\"instance\", 1.5e300, null]"),
        (
            "all",
            r#"{"instance": "a b", "netlink buffer": 1048576, "refresh window": 0, "refresh sessions": 65536}"#,
        ),
        (
            "twice-and-unknown",
            r#"{"INSTANCE": "\u00e9\ud83d\ude00", "instance": "b", "reuseaddr": 1}"#,
        ),
        ("out-of-range", r#"{"refresh window": -1.0}"#),
        ("too-long", r#"{"instance": "a name that is too long"}"#),
        (
            "globals",
            r#"{"ss-enabled": true, "ss-flush-deadline": 20, "ss-capacity": 512, "ss-max-sessions-per-packet": 41}"#,
        ),
        (
            "globals-without-effect",
            r#"{"ss-enabled": false, "ss-capacity": 1.0}"#,
        ),
        ("user", r#"{"user": "root", "refresh window": 1}"#),
        ("user-by-number", r#"{"User": 0}"#),
        (
            "control",
            r#"{"control socket": "/run/joold/a.sock", "control group": "root"}"#,
        ),
        (
            "control-nowhere",
            r#"{"control socket": false, "control group": 0}"#,
        ),
        ("control-default", r#"{"instance": "/\u007f"}"#),
        ("nobody-there", r#"{"user": "4294967295"}"#),
    ] {
        write(property, name, text);
    }
    let property = "any_network_file_is_a_configuration_or_an_error";
    write(
        property,
        "example4",
        include_str!("../../../etc/netsocket-ipv4.json"),
    );
    write(
        property,
        "example6",
        include_str!("../../../etc/netsocket-ipv6.json"),
    );
    for (name, text) in [
        ("group-missing", "{}"),
        (
            "zone",
            r#"{"multicast address": "ff02::db8:64:64%eth0", "multicast port": 6464}"#,
        ),
        (
            "zone-by-index",
            r#"{"multicast address": "ff02::1%3", "multicast port": 6464, "receive buffer": 131072}"#,
        ),
        (
            "shared-address",
            r#"{"multicast address": "ff08::1", "multicast port": 6464.0, "in interface": "fe80::1%eth1"}"#,
        ),
        (
            "alternative-name",
            r#"{"multicast address": "ff08::1", "multicast port": "ntp", "out interface": "eth1-also"}"#,
        ),
        (
            "host",
            r#"{"multicast address": "group.example", "multicast port": "6464", "ttl": 255, "reuseaddr": 1}"#,
        ),
        (
            "unicast",
            r#"{"multicast address": "192.0.2.7", "multicast port": "0"}"#,
        ),
        (
            "allow-from",
            r#"{"multicast address": "ff08::1", "multicast port": 6464, "allow from": ["2001:db8::/32", "fe80::1", "192.0.2.0/24"]}"#,
        ),
        (
            "allow-from-one",
            r#"{"multicast address": "233.252.0.64", "multicast port": 6464, "allow from": "::ffff:192.0.2.7"}"#,
        ),
        (
            "allow-from-wrong",
            r#"{"multicast address": "ff08::1", "multicast port": 6464, "allow from": ["2001:db8::1/32", 7]}"#,
        ),
        (
            "stats-allow",
            r#"{"multicast address": "ff08::1", "multicast port": 6464, "stats allow": ["2001:db8::/32", "192.0.2.7"]}"#,
        ),
        (
            "stats-allow-nobody",
            r#"{"multicast address": "ff08::1", "multicast port": 6464, "stats allow": []}"#,
        ),
        (
            "missing-link",
            r#"{"multicast address": "ff08::1", "multicast port": 6464, "in interface": "eth9", "out interface": "2001:db8::9"}"#,
        ),
        (
            "two-links",
            r#"{"multicast address": "ff02::1", "multicast port": "1", "in interface": "eth0", "out interface": "eth1"}"#,
        ),
    ] {
        write(property, name, text);
    }
}

/// A time unit, times, kind and number of an address, a port, contents, and how often.
fn requests() {
    let property = "whoever_asks_nobody_gets_more_than_a_share";
    let runs: [(&str, &[[u8; 7]]); 6] = [
        ("one", &[[0, 0, 0, 2, 2, 0, 0]]),
        (
            "one-asks-too-often",
            &[
                [0, 0, 0, 2, 2, 0, 12],
                [1, 99, 2, 2, 3, 0, 2],
                [1, 1, 0, 2, 2, 0, 2],
                [0, 0, 3, 7, 2, 0, 2],
                [0, 0, 4, 7, 2, 0, 12],
            ],
        ),
        (
            "others-ask-too-often",
            &[
                [0, 0, 0, 1, 2, 0, 255],
                [0, 0, 3, 0x10, 2, 0, 255],
                [0, 0, 3, 0x20, 2, 0, 255],
                [0, 0, 3, 0x30, 2, 0, 255],
                [0, 0, 5, 1, 2, 0, 255],
                [0, 0, 5, 2, 2, 0, 255],
                [0, 0, 1, 2, 2, 0, 255],
                [0, 0, 1, 3, 2, 0, 255],
                [0, 0, 1, 4, 2, 0, 255],
                [0, 0, 1, 5, 2, 0, 255],
                [0, 0, 1, 6, 2, 0, 255],
                [2, 10, 1, 7, 2, 0, 0],
            ],
        ),
        (
            "this-host",
            &[
                [0, 0, 6, 1, 2, 0, 255],
                [0, 0, 7, 1, 2, 0, 255],
                [0, 0, 6, 2, 2, 0, 255],
                [0, 0, 7, 1, 2, 0, 255],
                [1, 3, 6, 1, 2, 0, 9],
                [2, 11, 6, 1, 2, 0, 255],
                [0, 0, 7, 1, 2, 0, 255],
                [0, 0, 6, 2, 2, 0, 255],
                [0, 0, 7, 1, 2, 0, 255],
            ],
        ),
        (
            "odd",
            &[
                [0, 0, 0, 2, 0, 0, 20],
                [0, 0, 6, 1, 1, 0, 20],
                [0, 0, 3, 2, 2, 1, 20],
                [0, 0, 8, 1, 2, 0, 20],
                [0, 0, 9, 0, 2, 0, 20],
                [0, 0, 9, 1, 2, 0, 20],
                [0, 0, 9, 2, 2, 2, 20],
            ],
        ),
        ("hardly-an-answer", &[[0, 0, 0, 2, 2, 2, 20]]),
    ];
    for (name, run) in runs {
        write(property, name, run.as_flattened());
    }
}

/// How many turns the socket has, those, and what is sent.
fn control_requests() {
    let property = "whoever_asks_gets_an_answer_or_a_line_of_error";
    const BROKEN: u8 = 0;
    const INTERRUPTED: u8 = 1;
    const WAIT: u8 = 2;
    const ONE: u8 = 3;
    let turns = |turns: &[u8], request: &[u8]| {
        let count = turns.len() as u8;
        [&[count][..], turns, request].concat()
    };
    let interrupted = [
        ONE,
        WAIT,
        ONE + 3,
        INTERRUPTED,
        WAIT,
        ONE,
        ONE,
        ONE + 10,
        WAIT,
    ];
    let runs: [(&str, Vec<u8>); 16] = [
        ("state", turns(&[], b"state\n")),
        ("stats", turns(&[], b"stats prometheus\n")),
        ("order", turns(&[], b"log-level debug\n")),
        ("follow", turns(&[], b"follow both\n")),
        ("no-level", turns(&[], b"log-level loud\n")),
        ("status", turns(&[], b" status\r\n")),
        ("in-pieces", turns(&interrupted, b"status\n")),
        ("without-newline", turns(&[ONE; 9], b"state")),
        ("more-behind", turns(&[], b"state\nstatus\n")),
        ("unknown", turns(&[], b"stat\n")),
        ("unknown-bytes", turns(&[WAIT], b"\xff\x1b[2J\0\x80\n")),
        ("empty", turns(&[], b"\n")),
        ("gone", turns(&[WAIT], b"")),
        ("broken", turns(&[ONE, BROKEN], b"state\n")),
        ("too-long", turns(&[], &[b'a'; 70])),
        (
            "nearly-too-long",
            turns(&[], &[&[0xff; 63][..], b"\n"].concat()),
        ),
    ];
    for (name, run) in runs {
        write(property, name, run);
    }
}

/// A batch of a module of 4.1.9, which wrote sessions in the nested format.
fn nested_batch() -> Vec<u8> {
    let mut batch = samples::BATCH[..52].to_vec();
    batch.extend(samples::NESTED_SESSION);
    batch[..4].copy_from_slice(&192u32.to_ne_bytes());
    batch[24..28].copy_from_slice(&[4, 1, 9, 0]);
    batch[48..50].copy_from_slice(&144u16.to_ne_bytes());
    batch
}

/// The session of the real batch three times: two of them are held.
fn batch_of_three() -> Vec<u8> {
    let mut batch = samples::BATCH[..52].to_vec();
    for _ in 0..3 {
        batch.extend(&samples::BATCH[52..]);
    }
    batch[..4].copy_from_slice(&172u32.to_ne_bytes());
    batch[48..50].copy_from_slice(&124u16.to_ne_bytes());
    batch
}

fn messages() {
    let property = "no_kernel_message_is_forwarded_out_of_bounds";
    let all: [(&str, &[u8]); 8] = [
        ("batch", &samples::BATCH),
        ("batch-of-three", &batch_of_three()),
        ("nested-batch", &nested_batch()),
        ("lacks-instance", &samples::LACKS_INSTANCE),
        ("other-version", &samples::OTHER_VERSION),
        ("lacks-capability", &samples::LACKS_CAPABILITY),
        ("too-short-session", &samples::TOO_SHORT_SESSION),
        ("stray-bytes", &samples::STRAY_BYTES),
    ];
    for (name, bytes) in all {
        write(property, name, bytes);
    }
    for (number, answer) in captured("answer").into_iter().enumerate() {
        write(property, &format!("captured-{number:02}"), answer);
    }
}

fn datagrams() {
    let flat = &samples::BATCH[52..];
    let nested = &samples::NESTED_SESSION[..];
    let rows: [(&str, Vec<u8>); 6] = [
        ("flat", flat.to_vec()),
        ("two-flat", [flat, flat].concat()),
        ("nested", nested.to_vec()),
        ("two-nested", [nested, nested].concat()),
        ("flat-and-nested", [flat, nested].concat()),
        ("cut", flat[..39].to_vec()),
    ];
    for property in [
        "what_is_admitted_of_a_datagram_is_whole_sessions",
        "what_parses_as_a_session_writes_back_the_same",
    ] {
        for (name, row) in &rows {
            write(property, name, row);
        }
        // What was sent to a real module to be added.
        for (number, request) in captured("request").into_iter().enumerate() {
            if request.len() > 52 {
                write(property, &format!("captured-{number:02}"), &request[52..]);
            }
        }
    }
    let property = "what_is_admitted_of_a_datagram_is_whole_sessions";
    let mut foreign = flat.to_vec();
    foreign[..4].copy_from_slice(&[0, 40, 0, 1]);
    write(property, "foreign-flat", &foreign);
    write(property, "foreign-nested", foreign_nested());
    // By the second one's mask, the others may have to be moved.
    let (mut second, mut third) = (flat.to_vec(), flat.to_vec());
    (second[35], third[35]) = (2, 3);
    write(property, "three-flat", [flat, &second, &third].concat());
    write(
        property,
        "more-behind",
        [flat, &[0, 0, 1, 1, 9, 9, 9, 9]].concat(),
    );
}

/// The real nested session as a big-endian router would send it.
fn foreign_nested() -> Vec<u8> {
    // Where attributes begin, and where numbers of 2 and 4 bytes stand.
    const HEADERS: [usize; 17] = [
        0, 4, 8, 28, 36, 40, 60, 68, 72, 80, 88, 92, 100, 108, 116, 124, 132,
    ];
    let mut bytes = samples::NESTED_SESSION.to_vec();
    for at in HEADERS {
        bytes[at..at + 2].reverse();
        bytes[at + 2..at + 4].reverse();
    }
    for port in [32, 64, 84, 104] {
        bytes[port..port + 2].reverse();
    }
    bytes[136..140].reverse();
    bytes
}

fn events() {
    use script::*;
    let property = "whatever_happens_each_session_is_accounted_for";
    let refresh = batch(0, &[[0, 0], [3, 0]]);
    let runs: [(&str, Vec<Vec<u8>>); 24] = [
        (
            "refreshes-are-merged",
            vec![
                MERGING.into(),
                MODULE.into(),
                refresh.clone(),
                ACK.into(),
                wait(100),
                refresh.clone(),
                ACK.into(),
                refresh.clone(),
                wait(900),
                DUE.into(),
                batch(0, &[[0, 8]]),
                SENT.into(),
                ACK_AND_REST.into(),
            ],
        ),
        (
            "each-update-passes",
            vec![
                NOT_MERGING.into(),
                MODULE.into(),
                refresh.clone(),
                refresh.clone(),
                ACK.into(),
            ],
        ),
        (
            "real-messages",
            vec![
                MERGING.into(),
                MODULE.into(),
                hear(&samples::BATCH),
                hear(&samples::BATCH),
                hear(&samples::LACKS_INSTANCE),
                hear(&samples::OTHER_VERSION),
                hear(&samples::STRAY_BYTES),
                hear(&samples::BATCH),
                wait(1000),
            ],
        ),
        (
            "datagrams",
            vec![
                MERGING.into(),
                receive(&samples::BATCH[52..]),
                MODULE.into(),
                datagram(0, &[[1, 0], [2, 0]]),
                datagram(2, &[[1, 0]]),
                datagram(1, &[[3, 9]]),
                datagram(3, &[[4, 0]]),
                batch(0, &[[5, 0]]),
                datagram(1, &[[3, 9]]),
                receive(&samples::BATCH[52..90]),
                receive(&[]),
            ],
        ),
        (
            "another-module",
            vec![
                MERGING.into(),
                NO_MODULE.into(),
                MODULE.into(),
                refresh.clone(),
                refresh.clone(),
                NO_MODULE.into(),
                refresh.clone(),
                OTHER_MODULE.into(),
                batch(2, &[[0, 0], [6, 0]]),
                wait(10),
                batch(6, &[[0, 0]]),
                batch(3, &[[0, 0]]),
                wait(2000),
                refresh.clone(),
            ],
        ),
        (
            "no-room",
            vec![
                MERGING.into(),
                MODULE.into(),
                refresh.clone(),
                NO_ROOM.into(),
                refresh.clone(),
                wait(5000),
                refresh.clone(),
                ROOM.into(),
                wait(1),
                refresh.clone(),
                NO_ROOM.into(),
            ],
        ),
        (
            "overrun",
            vec![
                MERGING.into(),
                MODULE.into(),
                refresh.clone(),
                OVERRUN.into(),
                LOST.into(),
                refresh.clone(),
                ACK_FAILS.into(),
                ACK_AND_REST.into(),
                TRUNCATED.into(),
                ACK.into(),
                refresh.clone(),
                ACK.into(),
                refresh.clone(),
                ACK.into(),
            ],
        ),
        (
            "trouble-goes-on-and-ends",
            vec![
                MERGING.into(),
                MODULE.into(),
                NOT_SENT.into(),
                NOT_SENT.into(),
                NOT_SENT.into(),
                NOT_SENT.into(),
                fail(11),
                wait(10_000),
                NOT_SENT.into(),
                SENT.into(),
                wait(10_000),
                SENT.into(),
                wait(20_000),
            ],
        ),
        (
            "works-and-fails-by-turns",
            vec![
                MERGING.into(),
                MODULE.into(),
                [NOT_SENT, SENT].concat().repeat(8),
            ],
        ),
        (
            "sessions-that-end-soon",
            vec![
                MERGING.into(),
                MODULE.into(),
                batch(0, &[[0, 0x40], [3, 0x60], [6, 0xc0]]),
                wait(100),
                batch(0, &[[0, 0x40], [3, 0x60], [6, 0xc0]]),
                wait(1000),
                batch(0, &[[0, 0x60], [3, 0x40], [6, 0x40]]),
                batch(0, &[[3, 0x60], [6, 0x40]]),
            ],
        ),
        (
            "more-sessions-than-places",
            vec![
                [1, 0, 1].into(),
                MODULE.into(),
                batch(0, &[[0, 0], [1, 0], [2, 0], [1, 0], [2, 0]]),
                batch(0, &[[3, 0], [0, 0], [3, 32], [2, 0], [1, 0]]),
                wait(1),
                batch(0, &[[3, 64], [0, 0], [3, 0], [2, 1], [1, 0]]),
                wait(1),
                DUE.into(),
            ],
        ),
        (
            "an-instance-comes-and-goes",
            vec![
                MERGING.into(),
                WANTS.into(),
                REMOVED.into(),
                MODULE.into(),
                NEXT.into(),
                BACK.into(),
                NEXT.into(),
                NEXT.into(),
                CREATED_ANEW.into(),
                LACKS_CAPACITY.into(),
                NEXT.into(),
                REMOVED.into(),
                NEXT.into(),
                refresh.clone(),
                NEXT.into(),
                NEXT.into(),
                BACK.into(),
                NEXT.into(),
                TURNED_OFF.into(),
                NEXT.into(),
                NO_MODULE.into(),
                NEXT.into(),
            ],
        ),
        (
            "an-instance-refuses",
            vec![
                MERGING.into(),
                WANTS.into(),
                CHANGES_REFUSED.into(),
                MODULE.into(),
                NEXT.into(),
                CHANGES_FAIL.into(),
                NEXT.into(),
                LOOK_NOT_PERMITTED.into(),
                NEXT.into(),
                NEXT.into(),
                LOOK_FAILS.into(),
                NEXT.into(),
                MODULE.into(),
                BACK.into(),
                CHANGES_TAKEN.into(),
                NEXT.into(),
                NEXT.into(),
            ],
        ),
        (
            "flushes",
            vec![
                NOT_MERGING.into(),
                SHORT_DEADLINE.into(),
                MODULE.into(),
                DUE.into(),
                NEXT.into(),
                refresh.clone(),
                ACK.into(),
                NEXT.into(),
                NO_ROOM.into(),
                wait(100),
                ROOM.into(),
                NEXT.into(),
                refresh.clone(),
                MODULE_4_1_9.into(),
                NEXT.into(),
            ],
        ),
        (
            "limits-of-the-instance",
            vec![
                NOT_MERGING.into(),
                WANTS.into(),
                SHORT_TIMEOUTS.into(),
                HALF_A_POOL4.into(),
                MODULE.into(),
                DUE.into(),
                datagram(0, &[[1, 0], [40, 0], [2, 0xe0], [41, 0xe0]]),
                datagram(1, &[[40, 0]]),
                POOL4_OF_TCP.into(),
                wait(1000),
                datagram(3, &[[0, 0], [3, 0xff], [1, 0], [2, 0]]),
                batch(2, &[[5, 0]]),
                datagram(3, &[[0, 0], [3, 0xff], [1, 0], [2, 0]]),
                REMOVED.into(),
                NEXT.into(),
                datagram(1, &[[40, 0]]),
            ],
        ),
        (
            "another-instances-pool4",
            vec![
                NOT_MERGING.into(),
                WANTS.into(),
                HALF_A_POOL4.into(),
                MODULE.into(),
                DUE.into(),
                wait(100),
                CREATED_ANEW.into(),
                CHANGES_REFUSED.into(),
                wait(4000),
                datagram(0, &[[40, 0], [1, 0]]),
            ],
        ),
        (
            "strangers",
            vec![
                NOT_MERGING.into(),
                MODULE.into(),
                ALLOW_FIRST.into(),
                datagram(0, &[[1, 0]]),
                receive(&samples::BATCH[52..]),
                ALLOW_SECOND.into(),
                datagram(0, &[[1, 0]]),
                receive(&samples::BATCH[52..]),
                ALLOW_NOBODY_THERE.into(),
                receive(&samples::BATCH[52..]),
                receive(&[0; 2049]),
                ALLOW_EVERYBODY.into(),
                receive(&samples::BATCH[52..]),
                receive(&[0; 2049]),
            ],
        ),
        (
            "other-limits",
            vec![
                MERGING.into(),
                MODULE.into(),
                refresh.clone(),
                refresh.clone(),
                refresh.clone(),
                REMERGE.into(),
                refresh.clone(),
                refresh.clone(),
                NO_ROOM.into(),
                MERGE_NO_MORE.into(),
                refresh.clone(),
                refresh.clone(),
                REMERGE.into(),
                refresh.clone(),
                ROOM.into(),
                wait(16),
                refresh.clone(),
                refresh.clone(),
                NO_ROOM.into(),
            ],
        ),
        (
            "another-instance",
            vec![
                MERGING.into(),
                WANTS.into(),
                MODULE.into(),
                DUE.into(),
                refresh.clone(),
                refresh.clone(),
                OTHER_INSTANCE.into(),
                refresh.clone(),
                NEXT.into(),
                batch(8, &[[0, 0], [3, 0]]),
                WANTS.into(),
                batch(4, &[[0, 0], [3, 0]]),
                refresh.clone(),
                NEXT.into(),
            ],
        ),
        (
            "a-foreign-module",
            vec![
                NOT_MERGING.into(),
                FOREIGN_MODULE.into(),
                datagram(0, &[[1, 0]]),
                OTHER_INSTANCE.into(),
                WANTS.into(),
                batch(0, &[[0, 0]]),
                DUE.into(),
                FOREIGN_MODULE.into(),
                MODULE_4_1_13.into(),
                DUE.into(),
                FOREIGN_MODULE.into(),
                MODULE_4_1_13.into(),
                DUE.into(),
                datagram(0, &[[1, 0]]),
            ],
        ),
        (
            "what-somebody-changed-stays",
            vec![
                NOT_MERGING.into(),
                WANTS.into(),
                MODULE.into(),
                DUE.into(),
                TURNED_OFF.into(),
                NEXT.into(),
                WANTS_A_DEADLINE.into(),
                DUE.into(),
                NEXT.into(),
                datagram(0, &[[1, 0]]),
            ],
        ),
        (
            "refused-later-and-later",
            vec![
                NOT_MERGING.into(),
                MODULE.into(),
                DUE.into(),
                CHANGES_REFUSED.into(),
                WANTS.into(),
                [NEXT; 40].as_flattened().into(),
                LOOK_REFUSED.into(),
                [NEXT; 10].as_flattened().into(),
                batch(0, &[[0, 0]]),
                LOOK_NOT_PERMITTED.into(),
                [NEXT; 10].as_flattened().into(),
                datagram(0, &[[1, 0]]),
                BACK.into(),
                CHANGES_TAKEN.into(),
                NEXT.into(),
                datagram(0, &[[1, 0]]),
            ],
        ),
        (
            "missing-in-another-case",
            vec![
                NOT_MERGING.into(),
                MODULE.into(),
                REMOVED.into(),
                DUE.into(),
                batch(4, &[[0, 0]]),
                [NEXT; 3].as_flattened().into(),
                LOOK_REFUSED.into(),
                NEXT.into(),
                REMOVED.into(),
                NEXT.into(),
                LOOK_REFUSED.into(),
                NEXT.into(),
                BACK.into(),
                NEXT.into(),
            ],
        ),
        (
            "an-old-pool4",
            vec![
                NOT_MERGING.into(),
                WANTS.into(),
                HALF_A_POOL4.into(),
                SHORT_TIMEOUTS.into(),
                MODULE.into(),
                DUE.into(),
                datagram(0, &[[40, 0], [1, 0]]),
                wait(1000),
                datagram(2, &[[40, 0], [1, 0]]),
                LOOK_HAS_NO_ROOM.into(),
                wait(1000),
                datagram(0, &[[40, 0], [1, 0]]),
                datagram(0, &[[40, 0], [1, 0]]),
                wait(1000),
                REMOVED.into(),
                datagram(0, &[[40, 0], [1, 0]]),
            ],
        ),
    ];
    for (name, run) in runs {
        write(property, name, run.concat());
    }
}
