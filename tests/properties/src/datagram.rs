//! Datagrams from the network.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use joold::wire::datagram::{Admitted, Refusal, Terms, admit};
use joold::wire::netlink::{Attribute, aligned};
use joold::wire::session::{Format, Session, sessions};

use crate::pool4::{self, Entry};

/// A datagram from anybody: what is admitted is sessions to the letter, in this machine's byte
/// order, and stays what it is when it is admitted again or comes from the other byte order. With a
/// longest lifetime and a pool4 it is the same sessions, but for what these forbid.
pub fn what_is_admitted_of_a_datagram_is_whole_sessions(datagram: &[u8]) {
    let [any, flat, nested] = [None, Some(Format::Flat), Some(Format::Nested)].map(|expected| {
        let mut bytes = datagram.to_vec();
        let outcome = admit(&mut bytes, &in_format(expected));
        if let Ok(admitted) = outcome {
            check(datagram, &bytes, admitted, expected);
        }
        (outcome, bytes)
    });
    match any.0 {
        Err(refusal) => {
            for (outcome, _) in [flat, nested] {
                assert!(matches!(outcome, Err(Refusal::OtherFormat(_))) || outcome == Err(refusal));
            }
        }
        Ok(_) => {
            let (same, other, format) = match flat.0 {
                Ok(_) => (flat, nested, Format::Flat),
                Err(_) => (nested, flat, Format::Nested),
            };
            assert_eq!(same, any);
            assert_eq!(other.0, Err(Refusal::OtherFormat(format)));
        }
    }
}

fn in_format(format: Option<Format>) -> Terms<'static> {
    Terms {
        format,
        ..Terms::default()
    }
}

/// What is admitted where nothing is forbidden.
fn all_of(length: usize, converted: bool) -> Admitted {
    Admitted {
        length,
        converted,
        shortened: 0,
        outside: 0,
        impossible: 0,
        first_impossible: None,
    }
}

/// `bytes` is what became of `datagram`.
fn check(datagram: &[u8], bytes: &[u8], admitted: Admitted, expected: Option<Format>) {
    let Admitted {
        length, converted, ..
    } = admitted;
    assert_eq!(admitted, all_of(length, converted));
    assert!(length > 0 && length <= bytes.len());
    assert_eq!(
        bytes[length..],
        datagram[length..],
        "nothing beyond is touched"
    );
    assert!(converted || bytes == datagram);
    let row = &bytes[..length];
    let format = expected.unwrap_or_else(|| format_of(row));
    let read = read(row, format);

    let mut again = row.to_vec();
    let outcome = admit(&mut again, &in_format(Some(format)));
    assert_eq!(outcome, Ok(all_of(length, false)));
    assert_eq!(again, row);

    let mut native = Vec::new();
    for session in &read {
        session.emit(format, &mut native);
    }
    let mut foreign = in_the_other_byte_order(&native, format);
    let outcome = admit(&mut foreign, &Terms::default());
    assert_eq!(outcome, Ok(all_of(length, true)));
    assert_eq!(foreign, native);

    check_limits(datagram, row, &read, format, converted);
}

/// `row` is what is admitted of `datagram` without limits, and `all` the sessions in it.
fn check_limits(datagram: &[u8], row: &[u8], all: &[Session], format: Format, converted: bool) {
    let mut lifetimes: Vec<_> = all.iter().map(|session| session.expiration).collect();
    lifetimes.sort_unstable();
    let middle = lifetimes[lifetimes.len() / 2];
    // Whatever mask every second session has.
    let masks: HashSet<_> = all.iter().step_by(2).map(mask).collect();
    let pool4 = pool4::of(masks.iter().map(|&(protocol, address, port)| Entry {
        protocol,
        prefix: (address, 32),
        ports: (port, port),
    }));
    for longest in [None, Some(0), Some(middle)] {
        for pool4 in [None, Some(&pool4)] {
            let terms = Terms {
                format: Some(format),
                longest,
                pool4,
                is_pool4_old: false,
                is_table: false,
            };
            let mut bytes = datagram.to_vec();
            let outcome = admit(&mut bytes, &terms);
            let most = longest.unwrap_or(u32::MAX);
            let kept = (row.chunks_exact(format.size()).zip(all))
                .filter(|(_, session)| pool4.is_none() || masks.contains(&mask(session)));
            let kept: Vec<_> = kept.collect();
            let admitted = Admitted {
                length: kept.len() * format.size(),
                converted,
                shortened: lifetimes
                    .iter()
                    .filter(|&&lifetime| lifetime > most)
                    .count(),
                outside: all.len() - kept.len(),
                impossible: 0,
                first_impossible: None,
            };
            assert_eq!(outcome, Ok(admitted));
            assert_eq!(bytes[row.len()..], datagram[row.len()..]);
            check_kept(&bytes[..admitted.length], &kept, format, most);
            check_old_pool4(datagram, &terms, admitted, &bytes);
        }
    }
}

/// `bytes` is what became of `datagram` on these terms. If pool4 may be old, it becomes the same in
/// two steps, or in one if nothing is left out.
fn check_old_pool4(datagram: &[u8], terms: &Terms<'_>, admitted: Admitted, bytes: &[u8]) {
    let old = Terms {
        is_pool4_old: true,
        ..*terms
    };
    let mut again = datagram.to_vec();
    let outcome = admit(&mut again, &old);
    if admitted.outside == 0 {
        assert_eq!(outcome, Ok(admitted));
    } else {
        let refusal = Refusal::OldPool4 {
            converted: admitted.converted,
            shortened: admitted.shortened,
        };
        assert_eq!(outcome, Err(refusal));
        let rest = Admitted {
            converted: false,
            shortened: 0,
            ..admitted
        };
        assert_eq!(admit(&mut again, terms), Ok(rest));
    }
    assert_eq!(again[..admitted.length], bytes[..admitted.length]);
}

/// They stand in `row` in the order that they had, and as they were but for their lifetimes.
fn check_kept(row: &[u8], kept: &[(&[u8], &Session)], format: Format, longest: u32) {
    let written = row.chunks_exact(format.size()).zip(read(row, format));
    for ((bytes, session), (as_it_was, before)) in written.zip(kept) {
        let expected = Session {
            expiration: before.expiration.min(longest),
            ..**before
        };
        assert_eq!(session, expected);
        assert!(bytes == *as_it_was || session.expiration < before.expiration);
    }
}

/// Protocol, address and port of what stands for the IPv6 node.
fn mask(session: &Session) -> (u8, Ipv4Addr, u16) {
    let (address, port) = (*session.source4.ip(), session.source4.port());
    (session.protocol as u8, address, port)
}

fn format_of(row: &[u8]) -> Format {
    let length = usize::from(u16::from_ne_bytes([row[0], row[1]]));
    let both = [Format::Flat, Format::Nested];
    let format = both.into_iter().find(|format| format.size() == length);
    format.expect("the first session has a known size")
}

/// The sessions of a row that holds nothing else.
fn read(row: &[u8], format: Format) -> Vec<Session> {
    assert_eq!(row.len() % format.size(), 0);
    let read: Vec<_> = sessions(row, format)
        .map(|session| session.expect("a session that reads back"))
        .collect();
    assert_eq!(read.len(), row.len() / format.size());
    read
}

/// A row of sessions as a machine of the other byte order would have written it.
pub fn in_the_other_byte_order(row: &[u8], format: Format) -> Vec<u8> {
    let mut out = row.to_vec();
    for session in out.chunks_exact_mut(format.size()) {
        swap_header(session);
        if format == Format::Nested {
            swap_attributes(&mut session[Attribute::HEADER..], &[]);
        }
    }
    out
}

fn swap_header(attribute: &mut [u8]) {
    attribute[..2].reverse();
    attribute[2..4].reverse();
}

/// Attributes of the nested format, and those within them; `path` leads to where they stand.
/// Numbers of 2 and 4 bytes are in host byte order, but for addresses.
fn swap_attributes(bytes: &mut [u8], path: &[u16]) {
    let mut at = 0;
    while at < bytes.len() {
        let length = usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        let number = u16::from_ne_bytes([bytes[at + 2], bytes[at + 3]]) & 0x3fff;
        let value = &mut bytes[at + Attribute::HEADER..at + length];
        match (path, number) {
            ([], 1..=4) => swap_attributes(value, &[number]),
            ([_], 2) | ([], 8) => value.reverse(),
            _ => (),
        }
        swap_header(&mut bytes[at..]);
        at += aligned(length);
    }
}
