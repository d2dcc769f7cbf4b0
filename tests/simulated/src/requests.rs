//! Requests as `jool` and `joold` send them, for tests that speak to the model themselves.

use joold::wire::jool::{Command, InstanceName, root};
use joold::wire::netlink::{FLAG_NESTED, aligned, put_attribute};
use joold::wire::request::{Add, Address, Plain};
use joold::wire::session::{Format, Session};

use crate::module::Module;

/// Whom a test's requests are for: the instance `name` of `module`, in the module's own version.
pub fn address(module: &Module, name: &str) -> Address {
    Address {
        family: module.family().unwrap_or_default(),
        version: module.version(),
        instance: self::name(name),
    }
}

/// An instance's name; a bad one is `default`.
pub fn name(name: &str) -> InstanceName {
    InstanceName::new(name).unwrap_or_else(|_| self::name("default"))
}

/// A request with attributes, which stand in `attributes` as bytes.
pub fn request(address: &Address, command: Command, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = Plain::new(address, command).bytes().to_vec();
    bytes.extend_from_slice(attributes);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

/// `JOOLD_ADD` of a datagram.
pub fn add(address: &Address, datagram: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; Add::HEADROOM];
    bytes.extend_from_slice(datagram);
    bytes.resize(aligned(bytes.len()), 0);
    Add::prepare(&mut bytes, address);
    let length = Add::finish(&mut bytes, datagram.len()).unwrap_or_default();
    bytes.truncate(length);
    bytes
}

/// `GLOBAL_UPDATE` of one value.
pub fn update(address: &Address, global: u16, value: &[u8]) -> Vec<u8> {
    let mut container = Vec::new();
    put_attribute(&mut container, global, value);
    let mut attributes = Vec::new();
    put_attribute(&mut attributes, FLAG_NESTED | root::GLOBALS, &container);
    request(address, Command::GlobalUpdate, &attributes)
}

/// A datagram, or a container's contents: `sessions` one after the other.
pub fn datagram(sessions: &[Session], format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    for session in sessions {
        session.emit(format, &mut out);
    }
    out
}

/// The same from a machine of the other byte order: what is not in network order is turned round.
pub fn from_the_other_byte_order(sessions: &[Session], format: Format) -> Vec<u8> {
    /// Where 16-bit numbers stand in a nested session, headers included, and the expiration.
    fn nested(session: &mut [u8]) {
        let mut numbers = vec![0, 2];
        for (address, size) in [(4, 16), (36, 16), (68, 4), (88, 4)] {
            let port = address + 8 + size;
            numbers.extend([address, address + 2, address + 4, address + 6]);
            numbers.extend([port, port + 2, port + 4]);
        }
        numbers.extend([108, 116, 124, 132].iter().flat_map(|at| [*at, at + 2]));
        for at in numbers {
            session[at..at + 2].reverse();
        }
        session[136..140].reverse();
    }
    let mut out = datagram(sessions, format);
    for session in out.chunks_exact_mut(format.size()) {
        match format {
            Format::Flat => {
                session[..2].reverse();
                session[2..4].reverse();
            }
            Format::Nested => nested(session),
        }
    }
    out
}
