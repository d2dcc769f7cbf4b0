//! Netlink's own framing: messages and attributes (netlink(7), RFC 3549).
//!
//! Every field is in host byte order. Messages and attributes begin at multiples of four; a length
//! field counts its header but not the padding behind.

use std::ops::Range;

use super::{Malformed, array};

/// `NLMSG_ERROR`: the kernel's answer to a request that it could not deliver or that failed.
pub const ERROR: u16 = 2;

/// `NLMSG_DONE`: the end of a list.
pub const DONE: u16 = 3;

/// `NLMSG_MIN_TYPE`: lower kinds are netlink's own, whatever the protocol.
pub const FIRST_KIND: u16 = 0x10;

/// `NLM_F_REQUEST`: set in everything that goes to the kernel.
pub const FLAG_REQUEST: u16 = 1;

/// `NLM_F_DUMP`: the answer is a list of all that there is.
pub const FLAG_DUMP: u16 = 0x300;

/// `NLM_F_DUMP_INTR`: what is listed changed meanwhile, and the list may be wrong.
pub const FLAG_INTERRUPTED: u16 = 0x10;

/// `NLA_F_NESTED`: the attribute holds attributes. Kernels since 5.2 insist on it.
pub const FLAG_NESTED: u16 = 0x8000;

/// What of `nla_type` is the number: the two top bits are flags.
const ATTRIBUTE_NUMBER: u16 = 0x3fff;

/// `length`, rounded up to where the next message or attribute begins.
pub const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

/// A netlink message: `nlmsghdr` and whatever follows it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Size of `nlmsghdr`.
    pub const HEADER: usize = 16;

    pub(crate) const LENGTH: usize = 0;
    pub(crate) const KIND: usize = 4;
    pub(crate) const FLAGS: usize = 6;
    pub(crate) const SEQUENCE: usize = 8;
    pub(crate) const PORT: usize = 12;

    /// The message at the start of `buffer`; what follows it is left alone.
    ///
    /// # Errors
    /// When the header, or what it announces, is not all there.
    pub fn new_checked(buffer: &'a [u8]) -> Result<Self, Malformed> {
        if buffer.len() < Self::HEADER {
            return Err(Malformed::TooShort {
                have: buffer.len(),
                need: Self::HEADER,
            });
        }
        let length = u32::from_ne_bytes(array(buffer, Self::LENGTH)) as usize;
        if length < Self::HEADER {
            return Err(Malformed::LengthBelowHeader(length));
        }
        let bytes = buffer
            .get(..length)
            .ok_or(Malformed::LengthBeyondBuffer(length))?;
        Ok(Self { bytes })
    }

    /// The one message that `buffer` holds, besides its padding.
    ///
    /// # Errors
    /// As [`Message::new_checked`], and when something follows it.
    pub fn alone(buffer: &'a [u8]) -> Result<Self, Malformed> {
        let message = Self::new_checked(buffer)?;
        let length = message.bytes.len();
        if buffer.len() > aligned(length) {
            return Err(Malformed::Behind(buffer.len() - length));
        }
        Ok(message)
    }

    /// `nlmsg_type`: a family's id, or one of netlink's own numbers such as [`ERROR`].
    pub fn kind(&self) -> u16 {
        u16::from_ne_bytes(array(self.bytes, Self::KIND))
    }

    /// `nlmsg_flags`.
    pub fn flags(&self) -> u16 {
        u16::from_ne_bytes(array(self.bytes, Self::FLAGS))
    }

    /// `nlmsg_seq`: an answer carries its request's.
    pub fn sequence(&self) -> u32 {
        u32::from_ne_bytes(array(self.bytes, Self::SEQUENCE))
    }

    /// `nlmsg_pid`: the port id of the socket that asked.
    pub fn port(&self) -> u32 {
        u32::from_ne_bytes(array(self.bytes, Self::PORT))
    }

    /// The whole message, header included, without padding.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[Self::HEADER..]
    }

    /// What follows the header, taken apart: `size` bytes of what is the same for all messages of
    /// the protocol, and the attributes behind that. `size` is a multiple of four.
    ///
    /// # Errors
    /// When there are fewer bytes.
    pub fn split(&self, size: usize) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        self.payload()
            .split_at_checked(size)
            .ok_or(Malformed::TooShort {
                have: self.bytes.len(),
                need: Self::HEADER + size,
            })
    }

    /// In an [`ERROR`] message, the error as a positive errno; 0 is an acknowledgement.
    pub fn errno(&self) -> Option<i32> {
        if self.kind() != ERROR {
            return None;
        }
        self.code()
    }

    /// In a [`DONE`] message, the errno that ended the list before its time; 0 if nothing did.
    pub fn ending(&self) -> Option<i32> {
        (self.kind() == DONE).then(|| self.code().unwrap_or_default())
    }

    fn code(&self) -> Option<i32> {
        let code = self.payload().first_chunk()?;
        Some(i32::from_ne_bytes(*code).saturating_neg())
    }
}

/// The messages of one datagram of a netlink socket, in order. Ends at the first malformed one.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// All messages in `buffer`.
    pub fn new(buffer: &'a [u8]) -> Self {
        Self { rest: buffer }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = Message::new_checked(self.rest);
        let taken = message
            .as_ref()
            .map_or(usize::MAX, |message| aligned(message.bytes.len()));
        self.rest = self.rest.get(taken..).unwrap_or_default();
        Some(message)
    }
}

/// A netlink attribute: a number and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The number, without the flags.
    pub number: u16,
    /// The value, without header and padding.
    pub value: &'a [u8],
    /// Where in the bytes that were walked the value begins.
    pub offset: usize,
}

impl<'a> Attribute<'a> {
    /// Size of `nlattr`.
    pub const HEADER: usize = 4;

    pub(crate) const LENGTH: usize = 0;
    pub(crate) const KIND: usize = 2;

    /// Where in the bytes that were walked the value stands.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.value.len()
    }

    /// The value as a string, without the zero that ends it.
    pub fn string(&self) -> &'a [u8] {
        let end = self.value.iter().position(|&byte| byte == 0);
        &self.value[..end.unwrap_or(self.value.len())]
    }

    /// The value as an unsigned number, if it has that size.
    pub fn u8(&self) -> Option<u8> {
        self.value
            .first()
            .copied()
            .filter(|_| self.value.len() == 1)
    }

    /// The value as a number in host byte order, if it has that size.
    pub fn u16(&self) -> Option<u16> {
        self.value.try_into().ok().map(u16::from_ne_bytes)
    }

    /// The value as a number in host byte order, if it has that size.
    pub fn u32(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_ne_bytes)
    }

    /// The value as a number in host byte order, if it has that size.
    pub fn u64(&self) -> Option<u64> {
        self.value.try_into().ok().map(u64::from_ne_bytes)
    }
}

/// The attributes in a stretch of bytes, in order. Ends at the first malformed one.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    /// All attributes in `bytes`, which begin with one and hold nothing else.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The first well-formed attribute of that number.
    pub fn find(self, number: u16) -> Option<Attribute<'a>> {
        self.map_while(Result::ok)
            .find(|attribute| attribute.number == number)
    }

    fn parse(&self, rest: &'a [u8]) -> Result<Attribute<'a>, Malformed> {
        if rest.len() < Attribute::HEADER {
            return Err(Malformed::TooShort {
                have: rest.len(),
                need: Attribute::HEADER,
            });
        }
        let length = usize::from(u16::from_ne_bytes(array(rest, Attribute::LENGTH)));
        if length < Attribute::HEADER {
            return Err(Malformed::LengthBelowHeader(length));
        }
        let value = rest
            .get(Attribute::HEADER..length)
            .ok_or(Malformed::LengthBeyondBuffer(length))?;
        Ok(Attribute {
            number: u16::from_ne_bytes(array(rest, Attribute::KIND)) & ATTRIBUTE_NUMBER,
            value,
            offset: self.at + Attribute::HEADER,
        })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let attribute = self.parse(rest);
        self.at = match &attribute {
            Ok(attribute) => aligned(attribute.range().end),
            Err(_) => self.bytes.len(),
        };
        Some(attribute)
    }
}

/// Appends an attribute and its padding to `out`.
///
/// Meant for small things outside the forwarding path: `value` must be shorter than 64 KiB, and
/// what does not fit the length field is cut off.
pub fn put_attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX) - Attribute::HEADER)];
    let length = (Attribute::HEADER + value.len()) as u16;
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(aligned(out.len()), 0);
}

/// A request in the making. Like [`put_attribute`], meant for small things outside the forwarding
/// path.
#[derive(Clone, Debug)]
pub struct Question {
    bytes: Vec<u8>,
}

impl Question {
    /// A request of that kind, with those flags besides [`FLAG_REQUEST`]. `header` is what the kind
    /// wants in front of its attributes.
    pub fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = vec![0; Message::HEADER];
        bytes[Message::KIND..][..2].copy_from_slice(&kind.to_ne_bytes());
        bytes[Message::FLAGS..][..2].copy_from_slice(&(FLAG_REQUEST | flags).to_ne_bytes());
        bytes.extend_from_slice(header);
        bytes.resize(aligned(bytes.len()), 0);
        Self { bytes }
    }

    /// With one attribute more.
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        put_attribute(&mut self.bytes, kind, value);
        self
    }

    /// As it goes to the kernel, whose answers carry the same sequence number.
    pub fn numbered(&mut self, sequence: u32) -> &[u8] {
        let length = self.bytes.len() as u32;
        self.bytes[Message::LENGTH..][..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[Message::SEQUENCE..][..4].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_attribute(&mut out, kind, value);
        out
    }

    #[test]
    fn a_message_ends_where_its_length_says() {
        let mut bytes = vec![0; 24];
        bytes[..4].copy_from_slice(&20u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&7u16.to_ne_bytes());
        bytes[16] = 0xaa;
        let message = Message::new_checked(&bytes).unwrap();
        assert_eq!(
            (message.kind(), message.payload()),
            (7, &[0xaa, 0, 0, 0][..])
        );
    }

    #[test]
    fn a_length_beyond_the_buffer_is_refused() {
        let mut bytes = vec![0; 16];
        bytes[..4].copy_from_slice(&17u32.to_ne_bytes());
        assert_eq!(
            Message::new_checked(&bytes).unwrap_err(),
            Malformed::LengthBeyondBuffer(17)
        );
    }

    #[test]
    fn a_payload_is_taken_apart_only_if_its_header_is_there() {
        let mut question = Question::new(7, 0, &[1, 2, 3, 4]).with(5, &[6]);
        let message = Message::new_checked(question.numbered(1)).unwrap();
        let (header, attributes) = message.split(4).unwrap();
        assert_eq!(header, [1, 2, 3, 4]);
        assert_eq!(Attributes::new(attributes).find(5).unwrap().value, [6]);
        assert_eq!(
            message.split(16).unwrap_err(),
            Malformed::TooShort { have: 28, need: 32 }
        );
    }

    #[test]
    fn an_error_message_tells_its_errno_as_a_positive_number() {
        let mut bytes = vec![0; 36];
        bytes[..4].copy_from_slice(&36u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        bytes[16..20].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(Message::new_checked(&bytes).unwrap().errno(), Some(1));
    }

    #[test]
    fn an_error_message_without_its_number_tells_no_errno() {
        let mut bytes = vec![0; 18];
        bytes[..4].copy_from_slice(&18u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        assert_eq!(Message::new_checked(&bytes).unwrap().errno(), None);
    }

    #[test]
    fn the_end_of_a_list_tells_whether_it_came_too_soon() {
        let ending = |payload: &[u8]| {
            let mut question = Question::new(DONE, 0, payload);
            let bytes = question.numbered(1);
            Message::new_checked(bytes).unwrap().ending()
        };
        assert_eq!(ending(&[]), Some(0));
        assert_eq!(ending(&[0; 4]), Some(0));
        assert_eq!(ending(&(-12i32).to_ne_bytes()), Some(12));
        let mut other = Question::new(ERROR, 0, &[0; 4]);
        let other = Message::new_checked(other.numbered(1)).unwrap();
        assert_eq!((other.ending(), other.errno()), (None, Some(0)));
    }

    #[test]
    fn a_string_ends_at_its_zero_or_with_the_value() {
        for value in [&b"eth0\0"[..], b"eth0", b"eth0\0more"] {
            let bytes = attribute(3, value);
            let read = Attributes::new(&bytes).next().unwrap().unwrap();
            assert_eq!(read.string(), b"eth0");
        }
    }

    #[test]
    fn attributes_are_walked_over_their_padding() {
        let mut bytes = attribute(1, &[5]);
        bytes.extend(attribute(FLAG_NESTED | 2, &[6, 7]));
        let found: Vec<_> = Attributes::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(
            found[0],
            Attribute {
                number: 1,
                value: &[5],
                offset: 4
            }
        );
        assert_eq!(
            found[1],
            Attribute {
                number: 2,
                value: &[6, 7],
                offset: 12
            }
        );
    }

    #[test]
    fn the_last_attribute_may_lack_its_padding() {
        let bytes = &attribute(1, &[5])[..5];
        assert_eq!(Attributes::new(bytes).count(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let limit = bytes.len() / 4 + 1;
            prop_assert!(Messages::new(&bytes).take(limit + 1).count() <= limit);
            prop_assert!(Attributes::new(&bytes).take(limit + 1).count() <= limit);
            for attribute in Attributes::new(&bytes).map_while(Result::ok) {
                prop_assert_eq!(&bytes[attribute.range()], attribute.value);
            }
        }

        #[test]
        fn an_attribute_reads_back_as_written(
            number in 0u16..0x4000,
            value in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let bytes = attribute(FLAG_NESTED | number, &value);
            let read = Attributes::new(&bytes).next().unwrap().unwrap();
            prop_assert_eq!((read.number, read.value), (number, &value[..]));
            prop_assert_eq!(bytes.len() % 4, 0);
        }

        #[test]
        fn a_question_reads_back_as_written(
            kind in any::<u16>(),
            flags in any::<u16>(),
            sequence in any::<u32>(),
            value in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut question = Question::new(kind, flags, &[1; 4]).with(7, &value).with(8, &[9]);
            let bytes = question.numbered(sequence);
            let message = Message::new_checked(bytes).unwrap();
            prop_assert_eq!(message.bytes(), bytes);
            prop_assert_eq!((message.kind(), message.flags()), (kind, flags | FLAG_REQUEST));
            prop_assert_eq!((message.sequence(), message.port()), (sequence, 0));
            let found: Vec<_> = Attributes::new(&message.payload()[4..])
                .map(|attribute| attribute.unwrap().value)
                .collect();
            prop_assert_eq!(found, vec![&value[..], &[9]]);
        }
    }
}
