//! An instance's pool4 (`jool pool4 display`): the IPv4 transport addresses that its sessions can
//! have as their masks.
//!
//! `POOL4_FOREACH` answers for one protocol with an attribute for each entry, in pages. Numbers are
//! in host byte order, addresses in network order.

use std::net::Ipv4Addr;

use super::netlink::{Attribute, Attributes};
use super::session::Protocol;
use super::{Malformed, array};

/// Numbers of the attributes of an entry.
mod entry {
    pub const PROTOCOL: u16 = 4;
    pub const PREFIX: u16 = 5;
    pub const PORT_MIN: u16 = 6;
    pub const PORT_MAX: u16 = 7;
    /// Within a prefix.
    pub const ADDRESS: u16 = 1;
    /// Within a prefix.
    pub const LENGTH: u16 = 2;
}

/// Addresses and ports, each from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    addresses: (u32, u32),
    ports: (u16, u16),
}

/// More ranges than that are not looked through for each session.
const MOST: usize = 256;

/// What a pool4 has, by protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool4 {
    ranges: [Vec<Range>; 3],
    is_too_large: bool,
}

impl Pool4 {
    /// One that was not listed to its end.
    pub fn too_large() -> Self {
        Self {
            is_too_large: true,
            ..Self::default()
        }
    }

    /// Whether it has more than can be looked through for each session, or listed.
    pub fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    /// Takes one entry.
    ///
    /// # Errors
    /// When it lacks something.
    pub fn take(&mut self, attribute: &Attribute<'_>) -> Result<(), Malformed> {
        let find = |number| Attributes::new(attribute.value).find(number);
        let port = |number| find(number).and_then(|port| port.u16());
        let protocol = find(entry::PROTOCOL).and_then(|protocol| protocol.u8());
        let ranges = protocol.and_then(|protocol| self.ranges.get_mut(usize::from(protocol)));
        let addresses = find(entry::PREFIX).and_then(|prefix| addresses(prefix.value));
        let (Some(ranges), Some(addresses), Some(min), Some(max)) = (
            ranges,
            addresses,
            port(entry::PORT_MIN),
            port(entry::PORT_MAX),
        ) else {
            return Err(Malformed::Lacks("whole entry of pool4"));
        };
        let ports = (min, max);
        if !self.is_too_large {
            add(ranges, Range { addresses, ports });
            self.is_too_large = ranges.len() > MOST;
        }
        Ok(())
    }

    /// Whether this tells which masks sessions can have: an empty pool4 stands for the router's own
    /// addresses, and a very large one would take too long to look through.
    pub fn is_known(&self) -> bool {
        !self.is_too_large && self.ranges.iter().any(|ranges| !ranges.is_empty())
    }

    /// Whether a session of that protocol (by its number) can have that mask.
    pub fn contains(&self, protocol: usize, address: u32, port: u16) -> bool {
        let within = |range: &Range| {
            (range.addresses.0..=range.addresses.1).contains(&address)
                && (range.ports.0..=range.ports.1).contains(&port)
        };
        let ranges = self.ranges.get(protocol);
        ranges.is_some_and(|ranges| ranges.iter().any(within))
    }
}

/// What marks and iterations tell apart is one range here if it touches; so are the addresses of a
/// prefix, which the module lists one by one.
fn add(ranges: &mut Vec<Range>, new: Range) {
    let touch = |a: (u64, u64), b: (u64, u64)| a.0 <= b.1 + 1 && b.0 <= a.1 + 1;
    for range in ranges.iter_mut() {
        if range.addresses == new.addresses && touch(wide(range.ports), wide(new.ports)) {
            range.ports = union(range.ports, new.ports);
            return;
        }
        if range.ports == new.ports && touch(wide(range.addresses), wide(new.addresses)) {
            range.addresses = union(range.addresses, new.addresses);
            return;
        }
    }
    ranges.push(new);
}

fn wide<T: Into<u64>>((first, last): (T, T)) -> (u64, u64) {
    (first.into(), last.into())
}

fn union<T: Ord>(a: (T, T), b: (T, T)) -> (T, T) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// The first and the last address of a prefix.
fn addresses(prefix: &[u8]) -> Option<(u32, u32)> {
    let find = |number| Attributes::new(prefix).find(number);
    let address = find(entry::ADDRESS)?.value;
    let length = find(entry::LENGTH)?.u8()?;
    if address.len() != 4 || length > 32 {
        return None;
    }
    let address = u32::from(Ipv4Addr::from(array::<4>(address, 0)));
    let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
    Some((address & !host, address | host))
}

/// The number by which requests and entries know a protocol.
pub fn protocols() -> [u8; 3] {
    [Protocol::Tcp, Protocol::Udp, Protocol::Icmp].map(|protocol| protocol as u8)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::netlink::put_attribute;
    use super::*;
    use proptest::prelude::*;

    const TCP: usize = Protocol::Tcp as usize;
    const UDP: usize = Protocol::Udp as usize;

    pub fn attribute(value: &[u8]) -> Attribute<'_> {
        Attribute {
            number: 1,
            value,
            offset: 0,
        }
    }

    /// An entry's value.
    pub fn value(protocol: u8, prefix: &str, length: u8, ports: (u16, u16)) -> Vec<u8> {
        let address: Ipv4Addr = prefix.parse().unwrap();
        let mut prefix = Vec::new();
        put_attribute(&mut prefix, entry::ADDRESS, &address.octets());
        put_attribute(&mut prefix, entry::LENGTH, &[length]);
        let mut out = Vec::new();
        put_attribute(&mut out, 1, &7u32.to_ne_bytes());
        put_attribute(&mut out, entry::PROTOCOL, &[protocol]);
        put_attribute(&mut out, entry::PREFIX, &prefix);
        put_attribute(&mut out, entry::PORT_MIN, &ports.0.to_ne_bytes());
        put_attribute(&mut out, entry::PORT_MAX, &ports.1.to_ne_bytes());
        out
    }

    fn pool(entries: &[(u8, &str, u8, (u16, u16))]) -> Pool4 {
        let mut pool = Pool4::default();
        for &(protocol, prefix, length, ports) in entries {
            pool.take(&attribute(&value(protocol, prefix, length, ports)))
                .unwrap();
        }
        pool
    }

    fn has(pool: &Pool4, protocol: usize, address: &str, port: u16) -> bool {
        let address: Ipv4Addr = address.parse().unwrap();
        pool.contains(protocol, address.into(), port)
    }

    #[test]
    fn it_contains_what_is_within_a_prefix_and_a_range_of_ports() {
        let pool = pool(&[(0, "192.0.2.0", 30, (61001, 65535))]);
        for (address, port, expected) in [
            ("192.0.2.0", 61001, true),
            ("192.0.2.3", 65535, true),
            ("192.0.2.4", 61001, false),
            ("192.0.1.255", 61001, false),
            ("192.0.2.1", 61000, false),
        ] {
            assert_eq!(has(&pool, TCP, address, port), expected, "{address}#{port}");
        }
        assert!(!has(&pool, UDP, "192.0.2.1", 61001), "another protocol");
        assert!(pool.is_known());
    }

    #[test]
    fn the_shortest_and_the_longest_prefix_are_understood() {
        let pool = pool(&[
            (1, "198.51.100.7", 32, (0, 65535)),
            (0, "0.0.0.0", 0, (5, 5)),
        ]);
        assert!(has(&pool, UDP, "198.51.100.7", 0) && !has(&pool, UDP, "198.51.100.6", 0));
        assert!(has(&pool, TCP, "255.255.255.255", 5) && !has(&pool, TCP, "0.0.0.0", 6));
    }

    #[test]
    fn an_empty_pool_tells_nothing() {
        assert!(!Pool4::default().is_known());
    }

    #[test]
    fn entries_for_marks_that_touch_are_one_range() {
        let entries: Vec<_> = (0..1000)
            .map(|n| (0, "192.0.2.1", 32, (n * 10, n * 10 + 9)))
            .collect();
        let pool = pool(&entries);
        assert_eq!(pool.ranges[TCP].len(), 1);
        assert!(has(&pool, TCP, "192.0.2.1", 9999) && !has(&pool, TCP, "192.0.2.1", 10000));
    }

    #[test]
    fn more_ranges_than_can_be_looked_through_tell_nothing() {
        let entries: Vec<_> = (0..=MOST as u16)
            .map(|n| (0, "192.0.2.1", 32, (n * 10, n * 10 + 8)))
            .collect();
        assert!(!pool(&entries).is_known() && pool(&entries).is_too_large());
    }

    #[test]
    fn a_prefix_that_is_listed_address_by_address_is_one_range() {
        let entries: Vec<_> = (0..=255).map(|n| format!("192.0.2.{n}")).collect();
        let entries: Vec<_> = entries
            .iter()
            .map(|address| (0, address.as_str(), 32, (61001, 65535)))
            .collect();
        let pool = pool(&entries);
        assert_eq!(pool.ranges[TCP].len(), 1);
        assert!(has(&pool, TCP, "192.0.2.255", 61001) && !has(&pool, TCP, "192.0.3.0", 61001));
        assert!(pool.is_known());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_entry_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut pool = Pool4::default();
            let taken = pool.take(&attribute(&bytes));
            prop_assert_eq!(taken.is_ok(), pool.is_known());
        }
    }
}
