//! Messages in the kernel's hand: what `joold::wire` reads, written.

use joold::wire::netlink::{FLAG_NESTED, put_attribute};
use joold::wire::{jool, netlink};

/// `NLMSG_NOOP`: the preloaded library's "tell me when you have come this far".
pub const NOOP: u16 = 1;

/// `NLM_F_CAPPED`: of the request only the header is repeated.
const FLAG_CAPPED: u16 = 0x100;

/// Where a Jool header keeps its flags.
const JOOL_FLAGS: usize = 9;

/// A Jool header, as bytes.
pub type JoolHeader = [u8; 28];

/// A netlink message that is being written.
#[derive(Clone, Debug)]
pub struct Draft {
    bytes: Vec<u8>,
}

impl Draft {
    /// `nlmsghdr`, its length still open.
    pub fn netlink(kind: u16, flags: u16, sequence: u32, port: u32) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&port.to_ne_bytes());
        Self { bytes }
    }

    /// And `genlmsghdr`.
    pub fn generic(family: u16, command: u8, version: u8, (sequence, port): (u32, u32)) -> Self {
        let mut draft = Self::netlink(family, 0, sequence, port);
        draft.bytes.extend_from_slice(&[command, version, 0, 0]);
        draft
    }

    /// And a Jool header. In an answer it is the request's.
    pub fn jool(family: u16, to: (u32, u32), header: &JoolHeader) -> Self {
        // The kernel names the family's version here, which is 2.
        let mut draft = Self::generic(family, 0, 2, to);
        draft.bytes.extend_from_slice(header);
        draft
    }

    /// Sets flags of the Jool header.
    pub fn flag(&mut self, flag: u8) {
        self.bytes[netlink::Message::HEADER + 4 + JOOL_FLAGS] |= flag;
    }

    /// Appends what is no attribute.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends an attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) {
        put_attribute(&mut self.bytes, kind, value);
    }

    /// Appends an attribute that holds attributes.
    pub fn nest(&mut self, kind: u16, contents: &[u8]) {
        put_attribute(&mut self.bytes, FLAG_NESTED | kind, contents);
    }

    /// Appends a string and the zero at its end.
    pub fn text(&mut self, kind: u16, text: &str) {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.put(kind, &value);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The message, its length written.
    pub fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }
}

/// What netlink itself says of a request: that it failed, and with it the whole request; or, with
/// 0, that it worked.
pub fn verdict(request: &netlink::Message<'_>, errno: i32, port: u32) -> Vec<u8> {
    let (flags, echoed) = if errno == 0 {
        (FLAG_CAPPED, netlink::Message::HEADER)
    } else {
        (0, request.bytes().len())
    };
    let mut draft = Draft::netlink(netlink::ERROR, flags, request.sequence(), port);
    draft.raw(&(-errno).to_ne_bytes());
    draft.raw(&request.bytes()[..echoed]);
    draft.finish()
}

/// A Jool header in the module's own words.
pub fn own_header(version: jool::Version, instance: &jool::InstanceName) -> JoolHeader {
    let mut header = JoolHeader::default();
    header[..4].copy_from_slice(b"jool");
    header[4..8].copy_from_slice(&version.to_bytes());
    header[8] = jool::Translator::Nat64 as u8;
    header[12..].copy_from_slice(instance.field());
    // The module has the name in memory that it took as it was.
    let end = 12 + instance.as_str().len() + 1;
    header[end..].fill(0x5a);
    header
}

/// A batch: what the kernel multicasts to the daemons.
pub fn batch(family: u16, header: &JoolHeader, sessions: &[u8]) -> Vec<u8> {
    let mut draft = Draft::jool(family, (0, 0), header);
    draft.nest(jool::root::SESSION_ENTRIES, sessions);
    draft.finish()
}
