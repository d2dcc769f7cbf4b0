//! What peers send: checked before the kernel sees it, and brought into this machine's byte order
//! where it stands.
//!
//! The kernel checks hardly anything itself: it takes TCP states that do not exist, and reads a
//! session that was cut short beyond its end. So what comes from the network has to be sessions to
//! the letter, all of it.
//!
//! What clients of a NAT64 choose is not checked, however odd: a real module makes sessions of
//! packets to port 0, to 64:ff9b::127.0.0.1 or 64:ff9b::224.0.0.1, and from the address `::` (seen on
//! 4.1.13). Were they refused here, one such packet would keep all sessions of its datagram from the
//! peers.

use std::net::Ipv6Addr;

use super::netlink::{Attribute, Attributes, FLAG_NESTED, aligned};
use super::pool4::Pool4;
use super::session::{ENTRY, Format, Session, flat, nested};
use super::{Malformed, array};

/// What of a datagram is for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// So many bytes, from the start: sessions in this machine's byte order, and nothing else.
    pub length: usize,
    /// Whether they came in the other byte order.
    pub converted: bool,
    /// How many had a longer lifetime than any that is allowed, which they have now.
    pub shortened: usize,
    /// How many were left out since their mask is not in pool4.
    pub outside: usize,
    /// How many were left out of a table since no NAT64 can have them, and which was the first, from 0, and
    /// what is wrong with it.
    pub impossible: usize,
    /// See there.
    pub first_impossible: Option<(usize, Malformed)>,
}

/// Why a datagram is not for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no row of sessions.
    Framing(Malformed),
    /// Its sessions are written as another version of Jool does.
    OtherFormat(Format),
    /// A session in it is none that a NAT64 can have.
    Session {
        /// Which one, from 0.
        number: usize,
        /// What is wrong with it.
        problem: Malformed,
    },
    /// Some of its sessions have masks that are not in a pool4 which may be another one by now. All
    /// of it is in this machine's byte order now.
    OldPool4 {
        /// Whether it came in the other one.
        converted: bool,
        /// How many had a longer lifetime than any that is allowed, which they have now.
        shortened: usize,
    },
    /// Nothing in it is for the kernel: it begins with an attribute header of length 0, at which
    /// Jool stops reading without a word.
    NoSessions,
}

/// What is known of the instance that a datagram is for. What is not known is not asked of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// How the module writes sessions; it would not understand others.
    pub format: Option<Format>,
    /// The longest lifetime of any session, in milliseconds.
    pub longest: Option<u32>,
    /// Which masks sessions can have.
    pub pool4: Option<&'a Pool4>,
    /// Whether pool4 may be another one by now, so that nothing should be left out before it was
    /// asked for again.
    pub is_pool4_old: bool,
    /// Whether it is a stretch of a table, which would be the same if it came again: a session that none
    /// can be keeps none of the others out.
    pub is_table: bool,
}

/// Checks a datagram, and converts it in place if it comes from a machine of the other byte order.
/// A lifetime that is too long is cut down. Sessions whose mask is not in pool4 are left out, and
/// the others moved together: one would be enough to make `jool global update` fail from then on
/// (seen on 4.1.13), but routers whose pool4 differ are no reason to lose all the rest.
///
/// # Errors
/// When it is not for the kernel; its bytes may have been changed then.
pub fn admit(bytes: &mut [u8], terms: &Terms<'_>) -> Result<Admitted, Refusal> {
    if is_plain(bytes, terms) {
        return Ok(Admitted {
            length: bytes.len(),
            converted: false,
            shortened: 0,
            outside: 0,
            impossible: 0,
            first_impossible: None,
        });
    }
    let (format, converted) = form(bytes)?;
    if terms.format.is_some_and(|expected| expected != format) {
        return Err(Refusal::OtherFormat(format));
    }
    let longest = terms.longest.unwrap_or(u32::MAX);
    let mut admitted = Admitted {
        length: 0,
        converted,
        shortened: 0,
        outside: 0,
        impossible: 0,
        first_impossible: None,
    };
    let mut at = 0;
    while next_header(&bytes[at..])?.is_some() {
        let rest = &mut bytes[at..];
        if converted {
            swap(rest, format)?;
        }
        check_frame(rest, format).map_err(Refusal::Framing)?;
        let value = &mut rest[Attribute::HEADER..format.size()];
        let number = at / format.size();
        let mask = match check(value, format) {
            Ok(mask) => mask,
            Err(problem) if terms.is_table => {
                admitted.impossible += 1;
                admitted.first_impossible.get_or_insert((number, problem));
                at += format.size();
                continue;
            }
            Err(problem) => return Err(Refusal::Session { number, problem }),
        };
        admitted.shortened += usize::from(shorten(value, format, longest));
        let session = at..at + format.size();
        at = session.end;
        if terms.pool4.is_some_and(|pool4| !mask.is_in(pool4)) {
            admitted.outside += 1;
            if !terms.is_pool4_old {
                continue;
            }
        }
        if session.start != admitted.length {
            bytes.copy_within(session, admitted.length);
        }
        admitted.length += format.size();
    }
    match admitted.outside > 0 && terms.is_pool4_old {
        true => Err(Refusal::OldPool4 {
            converted,
            shortened: admitted.shortened,
        }),
        false => Ok(admitted),
    }
}

/// Whether this is what nearly all datagrams are: sessions in the flat format and this machine's byte
/// order, of which nothing has to be changed. All of them are looked at before anything is decided,
/// which costs less than to decide for each.
fn is_plain(bytes: &[u8], terms: &Terms<'_>) -> bool {
    const SIZE: usize = Format::Flat.size();
    let longest = terms.longest.unwrap_or(u32::MAX);
    if terms.format == Some(Format::Nested) || bytes.is_empty() || bytes.len() % SIZE != 0 {
        return false;
    }
    let mut plain = true;
    for session in bytes.chunks_exact(SIZE) {
        let value = &session[Attribute::HEADER..];
        let header = (
            u16::from_ne_bytes(array(session, Attribute::LENGTH)),
            u16::from_ne_bytes(array(session, Attribute::KIND)),
        );
        plain &= header == (SIZE as u16, ENTRY);
        plain &= u32::from_be_bytes(array(value, flat::EXPIRATION)) <= longest;
        let mask = check_flat(value);
        plain &= mask.is_ok_and(|mask| terms.pool4.is_none_or(|pool4| mask.is_in(pool4)));
    }
    plain
}

/// Cuts the lifetime of a session that was found to be one; tells whether it had to be.
fn shorten(value: &mut [u8], format: Format, longest: u32) -> bool {
    let (at, lifetime, allowed) = match format {
        Format::Flat => {
            let at = flat::EXPIRATION;
            let lifetime = u32::from_be_bytes(array(value, at));
            (at, lifetime, longest.to_be_bytes())
        }
        Format::Nested => {
            let found = Attributes::new(value).find(nested::EXPIRATION);
            let Some((at, lifetime)) = found.and_then(|found| Some((found.offset, found.u32()?)))
            else {
                return false;
            };
            (at, lifetime, longest.to_ne_bytes())
        }
    };
    if lifetime > longest {
        value[at..at + allowed.len()].copy_from_slice(&allowed);
    }
    lifetime > longest
}

/// The format of a datagram's first session, and whether it is in the other byte order.
fn form(bytes: &[u8]) -> Result<(Format, bool), Refusal> {
    const FLAT: u16 = Format::Flat.size() as u16;
    const NESTED: u16 = Format::Nested.size() as u16;
    let length = next_header(bytes)?.ok_or(Refusal::NoSessions)?;
    match (length, length.swap_bytes()) {
        (FLAT, _) => Ok((Format::Flat, false)),
        (NESTED, _) => Ok((Format::Nested, false)),
        (_, FLAT) => Ok((Format::Flat, true)),
        (_, NESTED) => Ok((Format::Nested, true)),
        _ => Err(Refusal::Framing(Malformed::SessionSize(length.into()))),
    }
}

/// The length field of the attribute at the start of `rest`. Nothing where the sessions end.
fn next_header(rest: &[u8]) -> Result<Option<u16>, Refusal> {
    if rest.is_empty() {
        return Ok(None);
    }
    if rest.len() < Attribute::HEADER {
        return Err(Refusal::Framing(Malformed::TooShort {
            have: rest.len(),
            need: Attribute::HEADER,
        }));
    }
    let length = u16::from_ne_bytes(array(rest, Attribute::LENGTH));
    Ok((length != 0).then_some(length))
}

fn check_frame(rest: &[u8], format: Format) -> Result<(), Malformed> {
    let length = usize::from(u16::from_ne_bytes(array(rest, Attribute::LENGTH)));
    let kind = u16::from_ne_bytes(array(rest, Attribute::KIND));
    if length != format.size() {
        return Err(Malformed::SessionSize(length));
    }
    if rest.len() < length {
        return Err(Malformed::LengthBeyondBuffer(length));
    }
    if kind & !FLAG_NESTED != ENTRY {
        return Err(Malformed::Lacks("session where one should be"));
    }
    Ok(())
}

/// What stands for the IPv6 node on the IPv4 side.
#[derive(Clone, Copy, Debug)]
struct Mask {
    protocol: usize,
    address: u32,
    port: u16,
}

impl Mask {
    fn is_in(self, pool4: &Pool4) -> bool {
        pool4.contains(self.protocol, self.address, self.port)
    }
}

/// Whether that can be a NAT64's session; if so, its mask.
fn check(value: &[u8], format: Format) -> Result<Mask, Malformed> {
    match format {
        Format::Flat => check_flat(value),
        Format::Nested => {
            let session = Session::parse(value, Format::Nested)?;
            // Together they fill all of it, so there is none twice and nothing else.
            for attribute in Attributes::new(value) {
                attribute?;
            }
            check_flat(&session.to_flat())
        }
    }
}

/// Which of the values that protocol, state and timer have together exist: sessions of UDP and ICMP
/// have one timer.
const KNOWN: [bool; 128] = {
    let mut known = [false; 128];
    let mut bits = 0;
    while bits < known.len() {
        let (protocol, state, timer) = (bits >> 5, (bits >> 2) & 7, bits & 3);
        known[bits] = state <= 6 && (protocol == 0 && timer <= 2 || protocol <= 2 && timer == 0);
        bits += 1;
    }
    known
};

fn check_flat(value: &[u8]) -> Result<Mask, Malformed> {
    let bits = u16::from_be_bytes(array(value, flat::BITS));
    if !KNOWN.get(usize::from(bits)).is_some_and(|known| *known) {
        return Err(unknown(bits));
    }
    let source6 = u128::from_be_bytes(array(value, flat::SOURCE6));
    // The kernel drops packets from there before Jool sees them.
    if source6 >> 120 == 0xff || source6 == LOOPBACK {
        return Err(Malformed::Lacks("address of a host as its IPv6 source"));
    }
    // Of pool4: no "this network", loopback or multicast.
    if matches!(value[flat::SOURCE4], 0 | 127 | 224..=239) {
        return Err(Malformed::Lacks(
            "address that pool4 can have as its IPv4 source",
        ));
    }
    Ok(Mask {
        protocol: usize::from(bits >> 5),
        address: u32::from_be_bytes(array(value, flat::SOURCE4)),
        port: u16::from_be_bytes(array(value, flat::SOURCE4_PORT)),
    })
}

const LOOPBACK: u128 = Ipv6Addr::LOCALHOST.to_bits();

/// Which of the values in the 16 bits it is.
fn unknown(bits: u16) -> Malformed {
    let of = |field, value: u16| Malformed::Value {
        field,
        value: value.into(),
    };
    match (bits >> 5, (bits >> 2) & 7, bits & 3) {
        (protocol @ 3.., ..) => of("protocol", protocol),
        (_, state @ 7.., _) => of("TCP state", state),
        (.., timer) => of("timer", timer),
    }
}

/// Turns the session at the start of `rest` into this machine's byte order.
fn swap(rest: &mut [u8], format: Format) -> Result<(), Refusal> {
    let Some(session) = rest.get_mut(..format.size()) else {
        let length = format.size();
        return Err(Refusal::Framing(Malformed::LengthBeyondBuffer(length)));
    };
    swap_header(session);
    if format == Format::Nested {
        swap_nested(&mut session[Attribute::HEADER..]);
    }
    Ok(())
}

fn swap_header(attribute: &mut [u8]) {
    attribute[Attribute::LENGTH..][..2].reverse();
    attribute[Attribute::KIND..][..2].reverse();
}

/// The places are those of [`Session::to_nested`]; whether they hold what belongs there is checked
/// afterwards. Addresses are in network order whatever the machine.
fn swap_nested(value: &mut [u8]) {
    let mut at = 0;
    let mut next = |length: usize| {
        let start = at;
        at += aligned(Attribute::HEADER + length);
        start
    };
    for address in [16, 16, 4, 4] {
        let outer = next(0);
        swap_header(&mut value[outer..]);
        let inner = next(address);
        swap_header(&mut value[inner..]);
        let port = next(2);
        swap_header(&mut value[port..]);
        value[port + Attribute::HEADER..][..2].reverse();
    }
    for _ in [nested::PROTOCOL, nested::STATE, nested::TIMER] {
        swap_header(&mut value[next(1)..]);
    }
    let expiration = next(4);
    swap_header(&mut value[expiration..]);
    value[expiration + Attribute::HEADER..][..4].reverse();
}

#[cfg(test)]
mod tests;
