//! What passes on the wire of a namespace: UDP datagrams with the fields that a socket hides.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};

use crate::namespace::Namespace;

const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const IPV6_HEADER: usize = 40;

/// A socket that sees whatever enters or leaves a namespace, from its opening on.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
}

/// A UDP datagram as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// TTL (IPv4) or hop limit (IPv6).
    pub ttl: u8,
    /// Destination port.
    pub port: u16,
    /// What the sender sent.
    pub payload: Vec<u8>,
}

impl Tap {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the process may not open packet sockets in the namespace.
    pub fn open(namespace: &Namespace) -> io::Result<Self> {
        let open = || {
            socket(
                AddressFamily::Packet,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::EthAll,
            )
        };
        let socket = namespace.run(open)??;
        Ok(Self { socket })
    }

    /// The next datagram to `port`, if one has passed. Whatever else passed is skipped.
    pub fn next(&self, port: u16) -> Option<Datagram> {
        let mut buffer = [0; 65_536];
        // Ends when the socket has nothing left.
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    let found = parse(&buffer[..length]).filter(|found| found.port == port);
                    if found.is_some() {
                        return found;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }
}

fn parse(packet: &[u8]) -> Option<Datagram> {
    let (ttl, protocol, header) = match packet.first()? >> 4 {
        4 => {
            let words = usize::from(packet[0] & 0x0f);
            (*packet.get(8)?, *packet.get(9)?, words * 4)
        }
        6 => (*packet.get(7)?, *packet.get(6)?, IPV6_HEADER),
        _ => return None,
    };
    let datagram = packet.get(header..)?;
    if protocol != UDP || datagram.len() < UDP_HEADER {
        return None;
    }
    let field = |at: usize| u16::from_be_bytes([datagram[at], datagram[at + 1]]);
    Some(Datagram {
        ttl,
        port: field(2),
        // A short frame is padded: the datagram's own length counts.
        payload: datagram.get(UDP_HEADER..field(4).into())?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_told_from_its_padding() {
        let mut packet = vec![0x45, 0, 0, 30, 0, 0, 0, 0, 3, 17];
        packet.extend([0; 10]);
        packet.extend([0, 1, 0x19, 0x40, 0, 10, 0, 0, 0xaa, 0xbb, 0, 0]);
        assert_eq!(
            parse(&packet),
            Some(Datagram {
                ttl: 3,
                port: 6464,
                payload: vec![0xaa, 0xbb]
            })
        );
    }

    #[test]
    fn a_packet_cut_anywhere_is_none() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 10, 17, 64];
        packet.extend([0; 32]);
        packet.extend([0, 1, 0x19, 0x40, 0, 10, 0, 0, 0xaa, 0xbb]);
        assert!(parse(&packet).is_some());
        for length in 0..packet.len() {
            assert_eq!(parse(&packet[..length]), None);
        }
    }
}
