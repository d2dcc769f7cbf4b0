//! Sessions, as they stand in a batch of the kernel and in a datagram between daemons.
//!
//! Both carry the contents of a `SESSION_ENTRIES` container: one attribute a session, in one of
//! two formats that the module's version decides. See [`Format`].

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use super::jool::Version;
use super::netlink::{Attribute, Attributes, FLAG_NESTED, aligned, put_attribute};
use super::{Malformed, array};

/// The number of a session's attribute in its container.
pub const ENTRY: u16 = 1;

/// How a session is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Since 4.1.12: one block of 36 bytes in network byte order, without the IPv6 destination
    /// (pool6 and the IPv4 destination imply it).
    Flat,
    /// Up to 4.1.11, and tables that the kernel lists: attributes within the attribute, in
    /// host byte order except for the addresses.
    Nested,
}

impl Format {
    /// The format of the batches of a module of that version.
    pub fn of(version: Version) -> Self {
        if version < Version::FLAT_SESSIONS {
            Self::Nested
        } else {
            Self::Flat
        }
    }
}

/// The transport protocol of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp = 0,
    Udp = 1,
    /// Identifiers take the place of ports.
    Icmp = 2,
}

/// Where a TCP session stands (RFC 6146, section 3.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum State {
    Established = 0,
    V6Init = 1,
    V4Init = 2,
    V4FinReceived = 3,
    V6FinReceived = 4,
    BothFinReceived = 5,
    Transitory = 6,
}

/// Which of the instance's timeouts ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Timer {
    Established = 0,
    Transitory = 1,
    IncomingSyn = 2,
}

impl Protocol {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
        }
    }

    fn new(value: u8) -> Result<Self, Malformed> {
        Self::ALL
            .get(usize::from(value))
            .copied()
            .ok_or(Malformed::Value {
                field: "protocol",
                value: value.into(),
            })
    }
}

impl State {
    /// As Jool's own client names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::V6Init => "V6_INIT",
            Self::V4Init => "V4_INIT",
            Self::V4FinReceived => "V4_FIN_RCV",
            Self::V6FinReceived => "V6_FIN_RCV",
            Self::BothFinReceived => "V4_FIN_V6_FIN_RCV",
            Self::Transitory => "TRANS",
        }
    }

    const ALL: [Self; 7] = [
        Self::Established,
        Self::V6Init,
        Self::V4Init,
        Self::V4FinReceived,
        Self::V6FinReceived,
        Self::BothFinReceived,
        Self::Transitory,
    ];

    fn new(value: u8) -> Result<Self, Malformed> {
        Self::ALL
            .get(usize::from(value))
            .copied()
            .ok_or(Malformed::Value {
                field: "TCP state",
                value: value.into(),
            })
    }
}

impl Timer {
    fn new(value: u8) -> Result<Self, Malformed> {
        [Self::Established, Self::Transitory, Self::IncomingSyn]
            .get(usize::from(value))
            .copied()
            .ok_or(Malformed::Value {
                field: "timer",
                value: value.into(),
            })
    }
}

/// A NAT64 session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The IPv6 node.
    pub source6: (Ipv6Addr, u16),
    /// The IPv4 node's address as the IPv6 node sees it; the flat format leaves it out.
    pub destination6: Option<(Ipv6Addr, u16)>,
    /// The mask: the address of pool4 that stands for the IPv6 node.
    pub source4: SocketAddrV4,
    /// The IPv4 node.
    pub destination4: SocketAddrV4,
    /// Decides what the ports mean.
    pub protocol: Protocol,
    /// [`State::Established`] unless the protocol is TCP.
    pub state: State,
    /// The timeout that the session waits for.
    pub timer: Timer,
    /// Milliseconds until the session expires.
    pub expiration: u32,
}

/// Offsets in the 36 bytes of the flat format.
pub(super) mod flat {
    pub const SOURCE6: usize = 0;
    pub const SOURCE4: usize = 16;
    pub const DESTINATION4: usize = 20;
    pub const EXPIRATION: usize = 24;
    pub const SOURCE6_PORT: usize = 28;
    pub const SOURCE4_PORT: usize = 30;
    pub const DESTINATION4_PORT: usize = 32;
    pub const BITS: usize = 34;
    pub const SIZE: usize = 36;
}

/// Numbers of the attributes of the nested format.
pub(super) mod nested {
    pub const SOURCE6: u16 = 1;
    pub const DESTINATION6: u16 = 2;
    pub const SOURCE4: u16 = 3;
    pub const DESTINATION4: u16 = 4;
    pub const PROTOCOL: u16 = 5;
    pub const STATE: u16 = 6;
    pub const TIMER: u16 = 7;
    pub const EXPIRATION: u16 = 8;
    /// Within an address.
    pub const ADDRESS: u16 = 1;
    /// Within an address.
    pub const PORT: u16 = 2;
    /// An IPv4 address with its port, header included.
    pub const ADDRESS4: usize = 20;
    /// Two IPv6 and two IPv4 addresses with their ports, three single bytes, one number.
    pub const SIZE: usize = 2 * 32 + 2 * ADDRESS4 + 3 * 8 + 8;
}

impl Session {
    /// Reads the value of a session's attribute.
    ///
    /// # Errors
    /// When the size is not the format's, something is missing, or a field has a value that no
    /// module writes.
    pub fn parse(value: &[u8], format: Format) -> Result<Self, Malformed> {
        match format {
            Format::Flat => Self::parse_flat(value),
            Format::Nested => Self::parse_nested(value),
        }
    }

    fn parse_flat(value: &[u8]) -> Result<Self, Malformed> {
        if value.len() != flat::SIZE {
            return Err(Malformed::SessionSize(value.len()));
        }
        let port = |at| u16::from_be_bytes(array(value, at));
        let address4 = |at| Ipv4Addr::from(array::<4>(value, at));
        let bits = port(flat::BITS);
        Ok(Self {
            source6: (
                Ipv6Addr::from(array::<16>(value, flat::SOURCE6)),
                port(flat::SOURCE6_PORT),
            ),
            destination6: None,
            source4: SocketAddrV4::new(address4(flat::SOURCE4), port(flat::SOURCE4_PORT)),
            destination4: SocketAddrV4::new(
                address4(flat::DESTINATION4),
                port(flat::DESTINATION4_PORT),
            ),
            protocol: Protocol::new(((bits >> 5) & 3) as u8)?,
            state: State::new(((bits >> 2) & 7) as u8)?,
            timer: Timer::new((bits & 3) as u8)?,
            expiration: u32::from_be_bytes(array(value, flat::EXPIRATION)),
        })
    }

    fn parse_nested(value: &[u8]) -> Result<Self, Malformed> {
        let find = |number| {
            Attributes::new(value)
                .find(number)
                .ok_or(Malformed::SessionLacks(number))
        };
        let byte = |number| find(number)?.u8().ok_or(Malformed::SessionLacks(number));
        let address4 = |number| {
            let (address, port) = parse_address::<4>(find(number)?)?;
            Ok(SocketAddrV4::new(address.into(), port))
        };
        let address6 = |number| {
            let (address, port) = parse_address::<16>(find(number)?)?;
            Ok((Ipv6Addr::from(address), port))
        };
        Ok(Self {
            source6: address6(nested::SOURCE6)?,
            destination6: Some(address6(nested::DESTINATION6)?),
            source4: address4(nested::SOURCE4)?,
            destination4: address4(nested::DESTINATION4)?,
            protocol: Protocol::new(byte(nested::PROTOCOL)?)?,
            state: State::new(byte(nested::STATE)?)?,
            timer: Timer::new(byte(nested::TIMER)?)?,
            expiration: find(nested::EXPIRATION)?
                .u32()
                .ok_or(Malformed::SessionLacks(nested::EXPIRATION))?,
        })
    }

    /// Appends the session's attribute to `out`.
    pub fn emit(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Flat => put_attribute(out, ENTRY, &self.to_flat()),
            Format::Nested => put_attribute(out, FLAG_NESTED | ENTRY, &self.to_nested()),
        }
    }

    /// The value of the session's attribute in the flat format.
    pub fn to_flat(self) -> [u8; flat::SIZE] {
        let mut value = [0; flat::SIZE];
        let mut put = |at: usize, field: &[u8]| {
            value[at..at + field.len()].copy_from_slice(field);
        };
        let bits = ((self.protocol as u16) << 5) | ((self.state as u16) << 2) | self.timer as u16;
        put(flat::SOURCE6, &self.source6.0.octets());
        put(flat::SOURCE4, &self.source4.ip().octets());
        put(flat::DESTINATION4, &self.destination4.ip().octets());
        put(flat::EXPIRATION, &self.expiration.to_be_bytes());
        put(flat::SOURCE6_PORT, &self.source6.1.to_be_bytes());
        put(flat::SOURCE4_PORT, &self.source4.port().to_be_bytes());
        put(
            flat::DESTINATION4_PORT,
            &self.destination4.port().to_be_bytes(),
        );
        put(flat::BITS, &bits.to_be_bytes());
        value
    }

    /// The value of the session's attribute in the nested format.
    pub fn to_nested(self) -> [u8; nested::SIZE] {
        let mut out = NestedWriter::new();
        let destination6 = self.destination6.unwrap_or((Ipv6Addr::UNSPECIFIED, 0));
        let (source4, destination4) = (self.source4, self.destination4);
        out.address(nested::SOURCE6, &self.source6.0.octets(), self.source6.1);
        out.address(
            nested::DESTINATION6,
            &destination6.0.octets(),
            destination6.1,
        );
        out.address(nested::SOURCE4, &source4.ip().octets(), source4.port());
        out.address(
            nested::DESTINATION4,
            &destination4.ip().octets(),
            destination4.port(),
        );
        out.attribute(nested::PROTOCOL, &[self.protocol as u8]);
        out.attribute(nested::STATE, &[self.state as u8]);
        out.attribute(nested::TIMER, &[self.timer as u8]);
        out.attribute(nested::EXPIRATION, &self.expiration.to_ne_bytes());
        out.bytes
    }
}

/// Writes attributes one behind the other. All of them together fill `bytes`.
pub(super) struct NestedWriter<const N: usize> {
    pub(super) bytes: [u8; N],
    at: usize,
}

impl<const N: usize> NestedWriter<N> {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; N],
            at: 0,
        }
    }

    fn header(&mut self, kind: u16, length: usize) {
        let header = &mut self.bytes[self.at..self.at + Attribute::HEADER];
        let length = (Attribute::HEADER + length) as u16;
        header[Attribute::LENGTH..][..2].copy_from_slice(&length.to_ne_bytes());
        header[Attribute::KIND..][..2].copy_from_slice(&kind.to_ne_bytes());
        self.at += Attribute::HEADER;
    }

    fn attribute(&mut self, number: u16, value: &[u8]) {
        self.header(number, value.len());
        self.bytes[self.at..self.at + value.len()].copy_from_slice(value);
        self.at += aligned(value.len());
    }

    pub(super) fn address(&mut self, number: u16, address: &[u8], port: u16) {
        let port = port.to_ne_bytes();
        let inside = 2 * Attribute::HEADER + address.len() + aligned(port.len());
        self.header(FLAG_NESTED | number, inside);
        self.attribute(nested::ADDRESS, address);
        self.attribute(nested::PORT, &port);
    }
}

pub(super) fn parse_address<const N: usize>(
    attribute: Attribute<'_>,
) -> Result<([u8; N], u16), Malformed> {
    let inside = Attributes::new(attribute.value);
    let address = inside
        .clone()
        .find(nested::ADDRESS)
        .and_then(|address| address.value.try_into().ok())
        .ok_or(Malformed::SessionLacks(attribute.number))?;
    let port = inside
        .find(nested::PORT)
        .and_then(|port| port.u16())
        .ok_or(Malformed::SessionLacks(attribute.number))?;
    Ok((address, port))
}

/// The sessions in the contents of a container, in order. Ends at the first bad attribute.
pub fn sessions(
    contents: &[u8],
    format: Format,
) -> impl Iterator<Item = Result<Session, Malformed>> {
    Attributes::new(contents)
        .map(move |attribute| attribute.and_then(|found| Session::parse(found.value, format)))
}

/// Keeps those pieces of `size` bytes that `is_kept` wants, moved together at the start of `contents`, in
/// their order. Returns their bytes.
pub fn retain(contents: &mut [u8], size: usize, mut is_kept: impl FnMut(&[u8]) -> bool) -> usize {
    let mut left = 0;
    let whole = contents.len() - contents.len() % size;
    for at in (0..whole).step_by(size) {
        if is_kept(&contents[at..at + size]) {
            if left != at {
                contents.copy_within(at..at + size, left);
            }
            left += size;
        }
    }
    left
}

/// One for tests.
#[cfg(test)]
pub fn example() -> Session {
    Session {
        source6: (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 40_000),
        destination6: None,
        source4: SocketAddrV4::new([192, 0, 2, 1].into(), 61_001),
        destination4: SocketAddrV4::new([198, 51, 100, 7].into(), 443),
        protocol: Protocol::Udp,
        state: State::Established,
        timer: Timer::Established,
        expiration: 300_000,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn session() -> impl Strategy<Value = Session> {
        let address4 =
            || any::<(u32, u16)>().prop_map(|(ip, port)| SocketAddrV4::new(ip.into(), port));
        let address6 = || any::<(u128, u16)>().prop_map(|(ip, port)| (Ipv6Addr::from(ip), port));
        (
            address6(),
            address6(),
            address4(),
            address4(),
            0u8..3,
            0u8..7,
            0u8..3,
            any::<u32>(),
        )
            .prop_map(
                |(source6, destination6, source4, destination4, p, s, t, expiration)| Session {
                    source6,
                    destination6: Some(destination6),
                    source4,
                    destination4,
                    protocol: Protocol::new(p).unwrap(),
                    state: State::new(s).unwrap(),
                    timer: Timer::new(t).unwrap(),
                    expiration,
                },
            )
    }

    #[test]
    fn the_format_is_the_modules() {
        assert_eq!(Format::of(Version::new(4, 1, 11)), Format::Nested);
        assert_eq!(Format::of(Version::new(4, 1, 12)), Format::Flat);
    }

    #[test]
    fn a_tcp_state_that_does_not_exist_is_named() {
        let mut value = [0; flat::SIZE];
        value[flat::BITS + 1] = 7 << 2;
        assert_eq!(
            Session::parse(&value, Format::Flat).unwrap_err(),
            Malformed::Value {
                field: "TCP state",
                value: 7
            }
        );
    }

    #[test]
    fn a_session_one_byte_short_is_refused() {
        assert_eq!(
            Session::parse(&[0; flat::SIZE - 1], Format::Flat).unwrap_err(),
            Malformed::SessionSize(35)
        );
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_nested_session_of_a_real_module_is_understood() {
        let sample = &crate::wire::samples::NESTED_SESSION;
        let read: Vec<_> = sessions(sample, Format::Nested).collect();
        let expected = Session {
            source6: ("2001:db8:6::8".parse().unwrap(), 52974),
            destination6: Some(("64:ff9b::192.0.2.8".parse().unwrap(), 7007)),
            source4: "192.0.2.1:63102".parse().unwrap(),
            destination4: "192.0.2.8:7007".parse().unwrap(),
            protocol: Protocol::Tcp,
            state: State::Established,
            timer: Timer::Established,
            expiration: 7_199_284,
        };
        assert_eq!(read, [Ok(expected)]);
        let mut written = Vec::new();
        expected.emit(Format::Nested, &mut written);
        assert_eq!(written, sample);
    }

    proptest! {
        #[test]
        fn a_flat_session_reads_back_without_its_ipv6_destination(session in session()) {
            let mut bytes = Vec::new();
            session.emit(Format::Flat, &mut bytes);
            prop_assert_eq!(bytes.len(), 40);
            let read: Vec<_> = sessions(&bytes, Format::Flat).collect();
            prop_assert_eq!(read, vec![Ok(Session { destination6: None, ..session })]);
        }

        #[test]
        fn a_nested_session_reads_back_whole(session in session()) {
            let mut bytes = Vec::new();
            session.emit(Format::Nested, &mut bytes);
            let read: Vec<_> = sessions(&bytes, Format::Nested).collect();
            prop_assert_eq!(read, vec![Ok(session)]);
        }

        #[test]
        fn any_bytes_are_sessions_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            flat in any::<bool>(),
        ) {
            let format = if flat { Format::Flat } else { Format::Nested };
            prop_assert!(sessions(&bytes, format).count() <= bytes.len() / 4 + 1);
        }

        #[test]
        fn a_session_cut_or_changed_anywhere_never_panics(
            session in session(),
            flat in any::<bool>(),
            cut in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            let format = if flat { Format::Flat } else { Format::Nested };
            let mut bytes = Vec::new();
            session.emit(format, &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] = value;
            bytes.truncate(cut.index(bytes.len()) + 1);
            sessions(&bytes, format).for_each(drop);
        }
    }
}
