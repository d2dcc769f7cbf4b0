//! What the daemon asks of Jool's kernel side, ready to be sent.
//!
//! A request's headers never change but for their lengths, so they are written once: in front of
//! the room where a datagram will be received, and into the one acknowledgement.

use super::generic;
use super::jool::{Command, INTERFACE, InstanceName, Message, Translator, Version, header, root};
use super::netlink::{self, Attribute, FLAG_NESTED, FLAG_REQUEST, aligned};

/// Whom a request is for, and in which version's words.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The family's id, from the controller.
    pub family: u16,
    /// The version that the request claims; major and minor must be the module's.
    pub version: Version,
    /// The instance.
    pub instance: InstanceName,
}

/// Writes the headers of a request, as long as `out` is, to its start.
///
/// The sequence number is the command's, so that an error response tells which request failed.
fn write_headers(out: &mut [u8], address: &Address, command: Command) {
    let length = out.len();
    let mut put = |at: usize, field: &[u8]| out[at..at + field.len()].copy_from_slice(field);
    put(netlink::Message::LENGTH, &(length as u32).to_ne_bytes());
    put(netlink::Message::KIND, &address.family.to_ne_bytes());
    put(netlink::Message::FLAGS, &FLAG_REQUEST.to_ne_bytes());
    put(
        netlink::Message::SEQUENCE,
        &u32::from(command as u8).to_ne_bytes(),
    );
    put(netlink::Message::PORT, &[0; 4]);
    put(generic::Message::COMMAND, &[command as u8]);
    put(generic::Message::VERSION, &[INTERFACE, 0, 0]);
    let jool = generic::Message::HEADER;
    put(jool + header::MAGIC, header::MAGIC_VALUE);
    put(jool + header::VERSION, &address.version.to_bytes());
    put(jool + header::TRANSLATOR, &[Translator::Nat64 as u8]);
    put(jool + header::FLAGS, &[0; 3]);
    put(jool + header::INSTANCE, address.instance.field());
}

/// A request without attributes, such as [`Command::JooldAck`].
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    bytes: [u8; Message::HEADER],
}

impl Plain {
    /// The request.
    pub fn new(address: &Address, command: Command) -> Self {
        let mut bytes = [0; Message::HEADER];
        write_headers(&mut bytes, address, command);
        Self { bytes }
    }

    /// As it goes to the kernel.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A request that is answered, to which attributes can be added.
pub fn question(address: &Address, command: Command) -> netlink::Question {
    let plain = Plain::new(address, command);
    let payload = &plain.bytes[netlink::Message::HEADER..];
    netlink::Question::new(address.family, 0, payload)
}

/// A [`Plain`] request up to `N` times in a row, for one `send()`.
#[derive(Clone, Copy, Debug)]
pub struct Repeated<const N: usize> {
    requests: [[u8; Message::HEADER]; N],
}

impl<const N: usize> Repeated<N> {
    /// The request.
    pub fn new(address: &Address, command: Command) -> Self {
        Self {
            requests: [Plain::new(address, command).bytes; N],
        }
    }

    /// As it goes to the kernel `times` times, or `N` times if that is less.
    pub fn bytes(&self, times: usize) -> &[u8] {
        self.requests[..times.min(N)].as_flattened()
    }
}

const _: () = assert!(
    Message::HEADER == aligned(Message::HEADER),
    "requests follow each other without padding"
);

/// The request that adds a datagram's sessions, built around the datagram where it was received.
pub struct Add;

impl Add {
    /// Bytes that must be free in front of the datagram.
    pub const HEADROOM: usize = Message::HEADER + Attribute::HEADER;

    /// The longest datagram that the container's 16-bit length can hold.
    pub const LONGEST: usize = u16::MAX as usize - Attribute::HEADER;

    /// Writes everything but the lengths to the start of `buffer`, once.
    ///
    /// `buffer` has at least [`Add::HEADROOM`] bytes.
    pub fn prepare(buffer: &mut [u8], address: &Address) {
        write_headers(&mut buffer[..Message::HEADER], address, Command::JooldAdd);
        let kind = Message::HEADER + Attribute::KIND;
        buffer[kind..kind + 2]
            .copy_from_slice(&(FLAG_NESTED | root::SESSION_ENTRIES).to_ne_bytes());
    }

    /// Patches the lengths for a datagram of `length` bytes behind the headroom, and returns the
    /// length of the whole request, padded so that another may follow. Nothing if that is more than
    /// the buffer or a container holds.
    pub fn finish(buffer: &mut [u8], length: usize) -> Option<usize> {
        let container = u16::try_from(Attribute::HEADER + length).ok()?;
        let total = Self::HEADROOM + length;
        buffer.get_mut(total..aligned(total))?.fill(0);
        let at = Message::HEADER + Attribute::LENGTH;
        buffer[at..at + 2].copy_from_slice(&container.to_ne_bytes());
        let at = netlink::Message::LENGTH;
        buffer[at..at + 4].copy_from_slice(&(total as u32).to_ne_bytes());
        Some(aligned(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address() -> Address {
        Address {
            family: 0x1d,
            version: Version::new(4, 1, 13),
            instance: InstanceName::new("default").unwrap(),
        }
    }

    #[test]
    fn an_acknowledgement_is_three_headers_and_nothing_else() {
        let ack = Plain::new(&address(), Command::JooldAck);
        let message =
            Message::new_checked(netlink::Message::new_checked(ack.bytes()).unwrap()).unwrap();
        assert_eq!(ack.bytes().len(), 48);
        assert_eq!(message.command(), 29);
        assert_eq!(message.netlink().kind(), 0x1d);
        assert_eq!(message.netlink().flags(), FLAG_REQUEST);
        assert_eq!(message.version(), Version::new(4, 1, 13));
        assert_eq!(message.translator(), 2);
        assert!(message.attributes().next().is_none());
        assert_eq!(&ack.bytes()[20..32], b"jool\x04\x01\x0d\0\x02\0\0\0");
        assert_eq!(&ack.bytes()[32..], b"default\0\0\0\0\0\0\0\0\0");
    }

    proptest! {
        #[test]
        fn a_datagram_of_any_length_becomes_one_container(length in 0usize..=Add::LONGEST) {
            let mut buffer = vec![0x55; aligned(Add::HEADROOM + length)];
            Add::prepare(&mut buffer, &address());
            prop_assert_eq!(Add::finish(&mut buffer, length), Some(buffer.len()));
            prop_assert!(buffer[Add::HEADROOM + length..].iter().all(|&byte| byte == 0));
            let message = Message::new_checked(
                netlink::Message::new_checked(&buffer).unwrap(),
            ).unwrap();
            let container = message.attributes().next().unwrap().unwrap();
            prop_assert_eq!(container.number, root::SESSION_ENTRIES);
            prop_assert_eq!(container.value.len(), length);
            prop_assert!(container.value.iter().all(|&byte| byte == 0x55));
        }
    }

    #[test]
    fn a_datagram_too_long_for_the_container_is_refused() {
        let mut buffer = vec![0; Add::HEADROOM];
        assert_eq!(Add::finish(&mut buffer, Add::LONGEST + 1), None);
    }
}
