//! Sessions on their way into and out of the module: what it accepts, and what it writes.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::time::Duration;

use joold::wire::jool::Version;
use joold::wire::netlink::{Attribute, Attributes};
use joold::wire::session::{Format, Protocol, Session, Timer};

use crate::globals::{self, Globals};
use crate::table::{Address6, Entry};

/// Where the bits of protocol, state and timer stand in a flat session.
const BITS: usize = 34;
const FLAT: usize = 36;
/// The number of the state's attribute in a nested session.
const NESTED_STATE: u16 = 6;
const NESTED_SOURCE4: u16 = 3;
const NESTED_DESTINATION4: u16 = 4;

/// How modules of that version write the sessions of a batch.
///
/// By Jool's tags: `jnla_put_session_joold`, the flat writer, exists since 4.1.12.
pub fn format(version: Version) -> Format {
    if version < Version::new(4, 1, 12) {
        Format::Nested
    } else {
        Format::Flat
    }
}

/// A session as a peer sent it, with what the wire's own type cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The session; where the peer gave a state that does not exist, another one.
    pub session: Session,
    /// The state as the peer gave it: 0 to 7.
    pub state: u8,
    /// Given (nested), or made from the IPv6 pool and the IPv4 destination (flat).
    pub destination6: Address6,
    /// Whether the timer exists. The module notices only for TCP, and for new sessions.
    pub timer_exists: bool,
}

impl Incoming {
    /// Reads a session's attribute as leniently as the module does.
    ///
    /// # Errors
    /// What the module tells the client.
    pub fn parse(
        attribute: &Attribute<'_>,
        format: Format,
        pool6: Ipv6Addr,
    ) -> Result<Self, String> {
        match format {
            Format::Flat => Self::parse_flat(attribute.value, pool6),
            Format::Nested => Self::parse_nested(attribute.value),
        }
    }

    fn parse_flat(value: &[u8], pool6: Ipv6Addr) -> Result<Self, String> {
        // The module compares the attribute's length, its header included, with the session's.
        let length = Attribute::HEADER + value.len();
        if length < FLAT {
            return Err(format!("Invalid request: Session size ({length}) < {FLAT}"));
        }
        let mut flat = [0; FLAT];
        let there = value.len().min(FLAT);
        flat[..there].copy_from_slice(&value[..there]);
        let bits = u16::from_be_bytes([flat[BITS], flat[BITS + 1]]);
        let (protocol, state, timer) = ((bits >> 5) & 3, ((bits >> 2) & 7) as u8, bits & 3);
        if protocol == 3 {
            return Err("Unknown protocol: 3".to_owned());
        }
        if protocol == Protocol::Tcp as u16 && timer == 3 {
            return Err("Unknown session timer: 3".to_owned());
        }
        flat[BITS..]
            .copy_from_slice(&((protocol << 5) | if timer == 3 { 0 } else { timer }).to_be_bytes());
        let session = Session::parse(&flat, Format::Flat).map_err(|why| why.to_string())?;
        Ok(Self {
            session,
            state,
            destination6: embed(pool6, &session),
            timer_exists: timer != 3,
        })
    }

    fn parse_nested(value: &[u8]) -> Result<Self, String> {
        let session = Session::parse(value, Format::Nested).map_err(|why| why.to_string())?;
        Ok(Self {
            session,
            state: session.state as u8,
            destination6: session.destination6.unwrap_or((Ipv6Addr::UNSPECIFIED, 0)),
            timer_exists: true,
        })
    }

    /// The timeout that the lifetime is counted from, in milliseconds: the protocol's own, whatever the
    /// timer. The module takes that of an incoming SYN for milliseconds here and for seconds where it
    /// counts, so that a peer's lives for so much longer.
    pub fn timeout(&self, globals: &Globals) -> u32 {
        let timer = match (self.session.protocol, self.session.timer) {
            (Protocol::Tcp, Timer::IncomingSyn) => return globals::INCOMING_SYN / 1000,
            (Protocol::Tcp, timer) => timer,
            (Protocol::Udp | Protocol::Icmp, _) => Timer::Established,
        };
        globals.timeout(self.session.protocol, timer)
    }
}

/// The IPv6 destination that a session without one has (RFC 6052, prefixes of 96 bits).
pub fn embed(pool6: Ipv6Addr, session: &Session) -> Address6 {
    let low: Ipv4Addr = *session.destination4.ip();
    let address = Ipv6Addr::from(((u128::from(pool6) >> 32) << 32) | u128::from(u32::from(low)));
    let port = match session.protocol {
        Protocol::Icmp => session.source6.1,
        Protocol::Tcp | Protocol::Udp => session.destination4.port(),
    };
    (address, port)
}

/// Reads the IPv4 addresses from which a listing of sessions goes on: those of the last session of
/// the page before. An address that is missing counts as the lowest.
pub fn parse_offset(contents: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let address = |number| {
        let Some(outer) = Attributes::new(contents).find(number) else {
            return Some(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        };
        let octets: [u8; 4] = Attributes::new(outer.value)
            .find(1)?
            .value
            .try_into()
            .ok()?;
        let port = Attributes::new(outer.value).find(2)?.u16()?;
        Some(SocketAddrV4::new(octets.into(), port))
    };
    Some((address(NESTED_SOURCE4)?, address(NESTED_DESTINATION4)?))
}

/// Appends the attribute of `entry` to `out`, with the lifetime that is left at `now`.
pub fn emit(entry: &Entry, now: Duration, format: Format, out: &mut Vec<u8>) {
    let start = out.len();
    let session = entry.at(now);
    session.emit(format, out);
    if entry.state == session.state as u8 {
        return;
    }
    // The wire's type has no word for a state that does not exist: write the number over it.
    let body = start + Attribute::HEADER;
    match format {
        Format::Flat => out[body + BITS + 1] = (out[body + BITS + 1] & !0x1c) | (entry.state << 2),
        Format::Nested => {
            let state = Attributes::new(&out[body..]).find(NESTED_STATE);
            if let Some(at) = state.map(|state| state.offset) {
                out[body + at] = entry.state;
            }
        }
    }
}
