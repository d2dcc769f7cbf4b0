//! A pool4, as a module tells it.

use std::net::Ipv4Addr;

use joold::wire::netlink::{Attribute, FLAG_NESTED, put_attribute};
use joold::wire::pool4::Pool4;

/// Numbers of the attributes of an entry, and of those within its prefix.
pub const PREFIX: u16 = 5;
pub const PORT_MIN: u16 = 6;
pub const PORT_MAX: u16 = 7;
pub const ADDRESS: u16 = 1;
pub const LENGTH: u16 = 2;
const PROTOCOL: u16 = 4;

/// Addresses that begin alike, and a range of ports.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// By its number.
    pub protocol: u8,
    /// The first address, and how many bits all of them have in common.
    pub prefix: (Ipv4Addr, u8),
    /// The first and the last.
    pub ports: (u16, u16),
}

impl Entry {
    /// The value of its attribute.
    fn value(&self) -> Vec<u8> {
        let mut prefix = Vec::new();
        put_attribute(&mut prefix, ADDRESS, &self.prefix.0.octets());
        put_attribute(&mut prefix, LENGTH, &[self.prefix.1]);
        let mut value = Vec::new();
        put_attribute(&mut value, PROTOCOL, &[self.protocol]);
        put_attribute(&mut value, FLAG_NESTED | PREFIX, &prefix);
        put_attribute(&mut value, PORT_MIN, &self.ports.0.to_ne_bytes());
        put_attribute(&mut value, PORT_MAX, &self.ports.1.to_ne_bytes());
        value
    }
}

/// What is known of a pool4 with these entries.
pub fn of(entries: impl IntoIterator<Item = Entry>) -> Pool4 {
    let mut pool4 = Pool4::default();
    for entry in entries {
        let attribute = Attribute {
            number: 1,
            value: &entry.value(),
            offset: 0,
        };
        pool4.take(&attribute).expect("a whole entry");
    }
    pool4
}
