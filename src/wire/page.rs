//! A page of an instance's session table (`jool session display`).
//!
//! `SESSION_FOREACH` answers for one protocol with sessions in the nested format, whatever the
//! version, that stand directly in the message; some 26 fill a page. A flag says that there are more,
//! which are asked for with the place of the last one. That one may be gone by then: the next page
//! begins behind its place all the same.
//!
//! The module walks its masks, and each mask's sessions, from the lowest address and port to the
//! highest, compared as numbers (`taddr4_compare` in Jool's sources, 4.1.9 and 4.1.13 alike).

use std::net::{Ipv4Addr, SocketAddrV4};

use super::jool::{Message, flag};
use super::netlink::{Attribute, Attributes};
use super::session::{ENTRY, Format, NestedWriter, nested, parse_address};
use super::update::{Body, Update};
use super::{Malformed, array};

/// The place of a session in the table of its protocol, ordered as the module lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The mask.
    pub source4: SocketAddrV4,
    /// The IPv4 node.
    pub destination4: SocketAddrV4,
}

impl Key {
    /// Size of [`Key::to_bytes`].
    pub const SIZE: usize = 12;

    /// Size of [`Key::to_offset`].
    pub const OFFSET: usize = 2 * nested::ADDRESS4;

    /// Both addresses, each with its port behind it, in network byte order: bytes compare as keys do.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let halves = bytes.chunks_exact_mut(Self::SIZE / 2);
        for (half, address) in halves.zip([self.source4, self.destination4]) {
            half[..4].copy_from_slice(&address.ip().octets());
            half[4..].copy_from_slice(&address.port().to_be_bytes());
        }
        bytes
    }

    /// What [`Key::to_bytes`] wrote. Any bytes are a key.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let address = |at| {
            let ip = Ipv4Addr::from(array::<4>(bytes, at));
            SocketAddrV4::new(ip, u16::from_be_bytes(array(bytes, at + 4)))
        };
        Self {
            source4: address(0),
            destination4: address(Self::SIZE / 2),
        }
    }

    /// The place before this one; nothing if this is the very first.
    pub fn before(self) -> Option<Self> {
        let mut bytes = self.to_bytes();
        for byte in bytes.iter_mut().rev() {
            let (less, borrows) = byte.overflowing_sub(1);
            *byte = less;
            if !borrows {
                return Some(Self::from_bytes(&bytes));
            }
        }
        None
    }

    /// The contents of the attribute [`OFFSET`](super::jool::root::OFFSET), which is nested.
    pub fn to_offset(self) -> [u8; Self::OFFSET] {
        let mut out = NestedWriter::new();
        for (number, address) in [
            (nested::SOURCE4, self.source4),
            (nested::DESTINATION4, self.destination4),
        ] {
            out.address(number, &address.ip().octets(), address.port());
        }
        out.bytes
    }

    /// The place of a session in the nested format, whose other values may be any.
    fn of_nested(value: &[u8]) -> Result<Self, Malformed> {
        let address = |number| {
            let found = Attributes::new(value).find(number);
            let (ip, port) = parse_address::<4>(found.ok_or(Malformed::SessionLacks(number))?)?;
            Ok(SocketAddrV4::new(ip.into(), port))
        };
        Ok(Self {
            source4: address(nested::SOURCE4)?,
            destination4: address(nested::DESTINATION4)?,
        })
    }
}

impl From<&Body> for Key {
    fn from(body: &Body) -> Self {
        let [source4, destination4] = body.addresses4();
        Self {
            source4,
            destination4,
        }
    }
}

/// What is known of a page once it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Behind which session the next page begins; nothing if this was the last one.
    pub next: Option<Key>,
    /// Sessions with a value that no module gives to its own, such as a TCP state 7: it had them from
    /// a peer, and no other peer would take them.
    pub left_out: usize,
}

impl Page {
    /// Reads an answer to `SESSION_FOREACH` and hands its sessions to `take`, in order, as they are in
    /// batches of that format: the flat one has no IPv6 destination. Allocates nothing.
    ///
    /// # Errors
    /// When an attribute is malformed, a session has no place in the table, or there shall be more
    /// behind a page without sessions. Those before it were handed over.
    pub fn read(
        message: &Message<'_>,
        format: Format,
        mut take: impl FnMut(Key, Update),
    ) -> Result<Self, Malformed> {
        let mut page = Self::default();
        let mut last = None;
        for attribute in message.attributes() {
            let attribute = attribute?;
            // What is not known may stand besides.
            if attribute.number != ENTRY {
                continue;
            }
            let key = Key::of_nested(attribute.value)?;
            last = Some(key);
            match read(&attribute, format) {
                Some(update) => take(key, update),
                None => page.left_out += 1,
            }
        }
        if message.flags() & flag::MORE != 0 {
            page.next = Some(last.ok_or(Malformed::Lacks("session"))?);
        }
        Ok(page)
    }
}

fn read(attribute: &Attribute<'_>, format: Format) -> Option<Update> {
    let update = Update::read_nested(attribute.value).ok().flatten()?;
    Some(match format {
        Format::Nested => update,
        Format::Flat => Update {
            destination6: None,
            ..update
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::jool::{Command, InstanceName, Version, root};
    use super::super::netlink::{self, FLAG_NESTED, put_attribute};
    use super::super::request::{Address, question};
    use super::super::session::Session;
    use super::super::session::tests::session;
    use super::*;
    use proptest::prelude::*;

    /// Where a Jool header keeps its flags, from the start of the message.
    const FLAGS: usize = 29;

    /// Bytes of a nested session up to its TCP state, header included.
    const TO_STATE: usize = 4 + 2 * 32 + 2 * 20 + 8 + 4;

    /// A page with these attributes.
    fn answer(attributes: &[u8], more: bool) -> Vec<u8> {
        let address = Address {
            family: 0x23,
            version: Version::SUPPORTED,
            instance: InstanceName::DEFAULT,
        };
        let mut bytes = question(&address, Command::SessionForeach)
            .numbered(7)
            .to_vec();
        bytes[FLAGS] = if more { flag::MORE } else { 0 };
        bytes.extend_from_slice(attributes);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    fn read(bytes: &[u8], format: Format) -> (Result<Page, Malformed>, Vec<(Key, Update)>) {
        let message = Message::new_checked(netlink::Message::new_checked(bytes).unwrap()).unwrap();
        let mut taken = Vec::new();
        let page = Page::read(&message, format, |key, update| taken.push((key, update)));
        (page, taken)
    }

    fn rows(sessions: &[Session]) -> Vec<u8> {
        let mut rows = Vec::new();
        for session in sessions {
            session.emit(Format::Nested, &mut rows);
        }
        rows
    }

    fn key(session: &Session) -> Key {
        Key {
            source4: session.source4,
            destination4: session.destination4,
        }
    }

    fn any_key() -> impl Strategy<Value = Key> {
        session().prop_map(|session| key(&session))
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_session_of_a_real_module_is_read_for_either_format() {
        let row = &crate::wire::samples::NESTED_SESSION;
        for (format, more) in [(Format::Nested, false), (Format::Flat, true)] {
            let (page, taken) = read(&answer(row, more), format);
            let [(key, update)] = taken[..] else {
                panic!("one session, not {taken:?}");
            };
            assert_eq!(key.source4, "192.0.2.1:63102".parse().unwrap());
            assert_eq!(key.destination4, "192.0.2.8:7007".parse().unwrap());
            assert_eq!(update.expiration, 7_199_284);
            assert_eq!(update.destination6.is_some(), format == Format::Nested);
            let next = more.then_some(key);
            assert_eq!(page, Ok(Page { next, left_out: 0 }));
            let mut written = vec![0; format.size()];
            update.write(format, &mut written);
            assert_eq!(Update::read(&written, format), Some(update));
        }
    }

    #[test]
    fn an_empty_table_is_a_page_without_sessions() {
        let (page, taken) = read(&answer(&[], false), Format::Flat);
        assert_eq!((page, taken), (Ok(Page::default()), Vec::new()));
    }

    #[test]
    fn an_empty_page_with_more_behind_it_is_refused() {
        let (page, _) = read(&answer(&[], true), Format::Flat);
        assert_eq!(page, Err(Malformed::Lacks("session")));
    }

    #[test]
    fn a_session_without_a_mask_is_refused() {
        let mut row = Vec::new();
        put_attribute(&mut row, FLAG_NESTED | ENTRY, &[]);
        let (page, _) = read(&answer(&row, false), Format::Flat);
        assert_eq!(page, Err(Malformed::SessionLacks(nested::SOURCE4)));
    }

    #[test]
    fn before_the_first_key_there_is_none_and_ports_carry_into_addresses() {
        assert_eq!(Key::from_bytes(&[0; Key::SIZE]).before(), None);
        let key = |source4: &str, destination4: &str| Key {
            source4: source4.parse().unwrap(),
            destination4: destination4.parse().unwrap(),
        };
        let first_of_a_mask = key("192.0.2.1:7", "0.0.0.0:0");
        let before = key("192.0.2.1:6", "255.255.255.255:65535");
        assert_eq!(first_of_a_mask.before(), Some(before));
    }

    #[test]
    fn the_offset_is_what_a_session_has_for_mask_and_destination() {
        let key = Key {
            source4: "192.0.2.1:61001".parse().unwrap(),
            destination4: "198.51.100.7:53".parse().unwrap(),
        };
        let offset = key.to_offset();
        assert_eq!(Key::of_nested(&offset), Ok(key));
        assert_eq!(Attributes::new(&offset).count(), 2);
    }

    proptest! {
        #[test]
        fn a_key_reads_back_and_its_bytes_are_in_the_same_order(a in any_key(), b in any_key()) {
            // Chance alone would hardly make two with the same mask.
            for b in [b, Key { source4: a.source4, ..b }] {
                prop_assert_eq!(Key::from_bytes(&a.to_bytes()), a);
                prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            }
        }

        #[test]
        fn nothing_stands_between_a_key_and_the_one_before_it(key in any_key(), other in any_key()) {
            let before = key.before().unwrap();
            prop_assert!(before < key);
            prop_assert!(other <= before || other >= key);
        }

        #[test]
        fn a_page_hands_over_each_session_with_its_place(
            sessions in prop::collection::vec(session(), 0..27),
            flat in any::<bool>(),
            more in any::<bool>(),
        ) {
            let format = if flat { Format::Flat } else { Format::Nested };
            let (page, taken) = read(&answer(&rows(&sessions), more), format);
            prop_assert_eq!(taken.len(), sessions.len());
            for ((place, update), session) in taken.iter().zip(&sessions) {
                let mut expected = Vec::new();
                session.emit(format, &mut expected);
                prop_assert_eq!(Some(*update), Update::read(&expected, format));
                prop_assert_eq!(*place, key(session));
                prop_assert_eq!(*place, Key::from(&update.body));
            }
            match sessions.last() {
                Some(last) => {
                    let next = more.then_some(key(last));
                    prop_assert_eq!(page, Ok(Page { next, left_out: 0 }));
                }
                None => prop_assert_eq!(page.is_err(), more),
            }
        }

        #[test]
        fn a_session_that_no_module_makes_is_left_out_and_the_list_goes_on_behind_it(
            first in session(),
            forged in session(),
        ) {
            let mut rows = rows(&[first, forged]);
            rows[Format::Nested.size() + TO_STATE] = 7;
            let (page, taken) = read(&answer(&rows, true), Format::Flat);
            prop_assert_eq!(taken.len(), 1);
            let next = Some(key(&forged));
            prop_assert_eq!(page, Ok(Page { next, left_out: 1 }));
        }

        #[test]
        fn any_bytes_are_a_page_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            session in session(),
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            let mut row = rows(&[session]);
            let at = at.index(row.len());
            row[at] = value;
            for attributes in [&bytes, &row] {
                for more in [false, true] {
                    let _ = read(&answer(attributes, more), Format::Nested);
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_session_passes_by() {
        let mut rows = Vec::new();
        put_attribute(&mut rows, root::PROTOCOL, &[1]);
        let (page, taken) = read(&answer(&rows, false), Format::Flat);
        assert_eq!((page, taken), (Ok(Page::default()), Vec::new()));
    }
}
