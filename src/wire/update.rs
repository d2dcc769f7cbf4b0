//! A session update in few machine words, for what looks at each of them: the flat format's 36
//! bytes, taken apart into what tells sessions apart, what changes, and what runs down.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use super::netlink::{Attribute, FLAG_NESTED};
use super::session::{ENTRY, Format, Session, flat, nested};
use super::{Malformed, array};

/// Which session, in which stage of its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The flat format without its expiration, as four big-endian numbers: IPv6 source (two), both
    /// IPv4 addresses, the ports and the 16 bits.
    words: [u64; 4],
}

/// The IPv6 destination and its port, which the nested format has besides.
pub type Destination6 = [u8; 18];

/// What of the last word tells sessions apart: ports and protocol, not TCP state and timer.
const IDENTITY: u64 = !0b11111;

/// The protocol's place in the last word, and what of the 16 bits has no meaning.
const PROTOCOL: u64 = 0b110_0000;
const UNUSED: u64 = 0xff80;

impl Body {
    /// A placeholder.
    pub const ZERO: Self = Self { words: [0; 4] };

    /// Takes 36 bytes of the flat format apart; the number is the expiration, in ms. Nothing if a
    /// field has a value that no module writes.
    fn from_flat(value: &[u8; flat::SIZE]) -> Option<(Self, u32)> {
        let word = |at| u64::from_be_bytes(array(value, at));
        let words = [
            word(flat::SOURCE6),
            word(flat::SOURCE6 + 8),
            word(flat::SOURCE4),
            word(flat::SOURCE6_PORT),
        ];
        Self::is_known(words[3]).then(|| {
            let expiration = u32::from_be_bytes(array(value, flat::EXPIRATION));
            (Self { words }, expiration)
        })
    }

    /// Whether the last word tells which session it is. State and timer may be any: a module takes
    /// what its peers send, a TCP state 7 for instance, and hands it on.
    fn is_known(last: u64) -> bool {
        last & UNUSED == 0 && last & PROTOCOL != PROTOCOL
    }

    fn to_flat(self, expiration: u32) -> [u8; flat::SIZE] {
        let mut value = [0; flat::SIZE];
        let mut put = |at: usize, word: u64| value[at..at + 8].copy_from_slice(&word.to_be_bytes());
        put(flat::SOURCE6, self.words[0]);
        put(flat::SOURCE6 + 8, self.words[1]);
        put(flat::SOURCE4, self.words[2]);
        put(flat::SOURCE6_PORT, self.words[3]);
        value[flat::EXPIRATION..flat::EXPIRATION + 4].copy_from_slice(&expiration.to_be_bytes());
        value
    }

    /// Mask and IPv4 destination, each an address and its port.
    pub fn addresses4(&self) -> [SocketAddrV4; 2] {
        let [.., addresses, ports] = self.words;
        let address = |shift: u32| Ipv4Addr::from((addresses >> shift) as u32);
        let port = |shift: u32| (ports >> shift) as u16;
        [
            SocketAddrV4::new(address(32), port(32)),
            SocketAddrV4::new(address(0), port(16)),
        ]
    }

    /// The protocol, by its number.
    pub fn protocol(&self) -> u8 {
        ((self.words[3] & PROTOCOL) >> 5) as u8
    }

    /// TCP state and timer, by their numbers: up to 7 and 3, for a module takes any from its peers.
    pub fn stage(&self) -> (u8, u8) {
        let bits = self.words[3] as u8;
        ((bits >> 2) & 7, bits & 3)
    }

    /// Whether both are updates of one session.
    pub fn is_same_session(&self, other: &Self) -> bool {
        let [a, b, c, d] = self.words;
        let [e, f, g, h] = other.words;
        (a ^ e) | (b ^ f) | (c ^ g) | ((d ^ h) & IDENTITY) == 0
    }

    /// Whether TCP state and timer are the same.
    pub fn is_same_stage(&self, other: &Self) -> bool {
        (self.words[3] ^ other.words[3]) & !IDENTITY == 0
    }

    /// A hash of the session, the same in each stage. Whoever does not know `seed` cannot choose
    /// sessions that collide.
    pub fn hash(&self, seed: u64) -> u64 {
        let [a, b, c, d] = self.words;
        let left = mix(a ^ seed, b ^ MULTIPLIER);
        mix(left ^ c, (d & IDENTITY) ^ seed.rotate_left(32)) ^ left
    }
}

/// An odd number without a pattern: the golden ratio's fraction, in 64 bits.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The product of both in 128 bits, folded: each bit of the result hangs on all bits.
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// One update, as a container holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// Which session, in which stage.
    pub body: Body,
    /// In the nested format alone.
    pub destination6: Option<Destination6>,
    /// Milliseconds until the session expires.
    pub expiration: u32,
}

impl Format {
    /// Size of a session's attribute, header included, as the module writes it.
    pub const fn size(self) -> usize {
        Attribute::HEADER
            + match self {
                Self::Flat => flat::SIZE,
                Self::Nested => nested::SIZE,
            }
    }

    const fn kind(self) -> u16 {
        match self {
            Self::Flat => ENTRY,
            Self::Nested => FLAG_NESTED | ENTRY,
        }
    }
}

impl Update {
    /// Whether this is the attribute of a session in that format, as far as its header tells.
    pub fn is_framed(attribute: &[u8], format: Format) -> bool {
        let Some(header) = attribute.get(..Attribute::HEADER) else {
            return false;
        };
        let found = (
            u16::from_ne_bytes(array(header, Attribute::LENGTH)),
            u16::from_ne_bytes(array(header, Attribute::KIND)),
        );
        attribute.len() == format.size() && found == (format.size() as u16, format.kind())
    }

    /// Reads one attribute of [`Format::size`] bytes. Nothing unless it is to the letter what the
    /// module writes, so that [`Update::write`] makes the same bytes of it.
    pub fn read(attribute: &[u8], format: Format) -> Option<Self> {
        if !Self::is_framed(attribute, format) {
            return None;
        }
        let value = attribute.get(Attribute::HEADER..)?;
        match format {
            Format::Flat => {
                let (body, expiration) = Body::from_flat(value.try_into().ok()?)?;
                Some(Self {
                    body,
                    destination6: None,
                    expiration,
                })
            }
            Format::Nested => Self::read_nested(value).ok().flatten(),
        }
    }

    /// Reads the value of a session's attribute in the nested format: nothing unless it is to the
    /// letter what the module writes.
    ///
    /// # Errors
    /// As [`Session::parse`].
    pub(super) fn read_nested(value: &[u8]) -> Result<Option<Self>, Malformed> {
        let session = Session::parse(value, Format::Nested)?;
        if session.to_nested() != *value {
            return Ok(None);
        }
        let destination6 = session.destination6.map(|(ip, port)| {
            let mut bytes = [0; 18];
            bytes[..16].copy_from_slice(&ip.octets());
            bytes[16..].copy_from_slice(&port.to_be_bytes());
            bytes
        });
        Ok(
            Body::from_flat(&session.to_flat()).map(|(body, expiration)| Self {
                body,
                destination6,
                expiration,
            }),
        )
    }

    /// Writes the attribute to `out`, which has [`Format::size`] bytes.
    pub fn write(&self, format: Format, out: &mut [u8]) {
        let (header, value) = out.split_at_mut(Attribute::HEADER);
        let length = format.size() as u16;
        header[Attribute::LENGTH..][..2].copy_from_slice(&length.to_ne_bytes());
        header[Attribute::KIND..][..2].copy_from_slice(&format.kind().to_ne_bytes());
        let flat = self.body.to_flat(self.expiration);
        match format {
            Format::Flat => value.copy_from_slice(&flat),
            Format::Nested => value.copy_from_slice(&self.to_nested(&flat)),
        }
    }

    fn to_nested(self, flat: &[u8; flat::SIZE]) -> [u8; nested::SIZE] {
        // Always a session: a body is only made of what is one.
        let Ok(session) = Session::parse(flat, Format::Flat) else {
            return [0; nested::SIZE];
        };
        let destination6 = self.destination6.map(|bytes| {
            let ip = Ipv6Addr::from(array::<16>(&bytes, 0));
            (ip, u16::from_be_bytes(array(&bytes, 16)))
        });
        Session {
            destination6,
            ..session
        }
        .to_nested()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session::tests::session;
    use proptest::prelude::*;

    fn attribute(session: &Session, format: Format) -> Vec<u8> {
        let mut bytes = Vec::new();
        session.emit(format, &mut bytes);
        bytes
    }

    fn update(session: &Session) -> Update {
        Update::read(&attribute(session, Format::Flat), Format::Flat).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back_byte_by_byte(session in session(), flat in any::<bool>()) {
            let format = if flat { Format::Flat } else { Format::Nested };
            let bytes = attribute(&session, format);
            let update = Update::read(&bytes, format).unwrap();
            prop_assert_eq!(update.expiration, session.expiration);
            let mut written = vec![0x55; format.size()];
            update.write(format, &mut written);
            prop_assert_eq!(written, bytes);
        }

        #[test]
        fn bytes_are_read_only_if_they_would_be_written_like_that(
            session in session(),
            flat in any::<bool>(),
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            let format = if flat { Format::Flat } else { Format::Nested };
            let mut bytes = attribute(&session, format);
            let at = at.index(bytes.len());
            bytes[at] = value;
            if let Some(update) = Update::read(&bytes, format) {
                prop_assert!(Update::is_framed(&bytes, format));
                let mut written = vec![0x55; format.size()];
                update.write(format, &mut written);
                prop_assert_eq!(written, bytes);
            }
        }

        #[test]
        fn state_timer_and_lifetime_do_not_tell_sessions_apart_and_all_else_does(
            first in session(),
            second in session(),
            seed in any::<u64>(),
        ) {
            let later = Session {
                state: second.state,
                timer: second.timer,
                expiration: second.expiration,
                ..first
            };
            let (a, b) = (update(&first).body, update(&later).body);
            prop_assert!(a.is_same_session(&b));
            prop_assert_eq!(a.hash(seed), b.hash(seed));
            let same_stage = (first.state, first.timer) == (later.state, later.timer);
            prop_assert_eq!(a.is_same_stage(&b), same_stage);
            for other in [
                Session { source6: second.source6, ..first },
                Session { source4: second.source4, ..first },
                Session { destination4: second.destination4, ..first },
                Session { protocol: second.protocol, ..first },
            ] {
                let same = Session { expiration: 0, ..other } == Session { expiration: 0, ..first };
                prop_assert_eq!(a.is_same_session(&update(&other).body), same);
            }
        }
    }

    proptest! {
        #[test]
        fn what_an_update_tells_of_its_session_is_what_went_in(session in session()) {
            let body = update(&session).body;
            prop_assert_eq!(body.addresses4(), [session.source4, session.destination4]);
            prop_assert_eq!(body.protocol(), session.protocol as u8);
            prop_assert_eq!(body.stage(), (session.state as u8, session.timer as u8));
        }
    }

    #[test]
    fn sessions_that_count_up_spread_over_all_buckets() {
        let buckets = 1024;
        let mut filled = vec![0; buckets];
        let base: Session = Session::parse(&[0; 36], Format::Flat).unwrap();
        for port in 0..8 * buckets as u16 {
            let session = Session {
                source6: (base.source6.0, port),
                ..base
            };
            filled[(update(&session).body.hash(7) % buckets as u64) as usize] += 1;
        }
        // 8 on average; for a good hash, more than 30 in any is less likely than 1 in 10 million.
        assert!(filled.iter().all(|&count| count <= 30), "{filled:?}");
    }
}
