//! Many UDP datagrams per system call: `recvmmsg` and `sendmmsg`.
//!
//! The arrays that the calls want are kept from call to call, so that nothing is allocated. The
//! pointers in them are written anew each time, and mean nothing between two calls.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use socket2::SockAddr;

use super::{checked, size};

/// A received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its bytes that are in the buffer.
    pub length: usize,
    /// Who sent it.
    pub source: SocketAddr,
    /// Whether it was longer than its place in the buffer.
    pub truncated: bool,
}

/// `sockaddr_in6`, in which `sockaddr_in` has room, byte by byte.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
struct Name([u8; NAME]);

const NAME: usize = mem::size_of::<libc::sockaddr_in6>();

/// Room for the one control message that is asked for, `SO_RXQ_OVFL`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// What `recvmmsg` needs to know and has to say.
pub struct Inbox {
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
}

impl Inbox {
    /// For up to `most` datagrams at once.
    pub fn new(most: usize) -> Self {
        Self {
            headers: vec![empty_header(); most].into_boxed_slice(),
            vectors: vec![empty_vector(); most].into_boxed_slice(),
            names: vec![Name([0; NAME]); most].into_boxed_slice(),
            controls: vec![Control([0; 64]); most].into_boxed_slice(),
        }
    }

    /// Receives what there is, without waiting: one datagram into each of `places`. Returns how
    /// many came; fewer than places means that nothing was left.
    ///
    /// # Errors
    /// Those of recvmmsg(2); [`io::ErrorKind::WouldBlock`] when there is nothing.
    pub fn receive<'a>(
        &mut self,
        socket: &impl AsFd,
        places: impl Iterator<Item = &'a mut [u8]>,
    ) -> io::Result<usize> {
        let mut count = 0;
        for (n, place) in places.take(self.headers.len()).enumerate() {
            self.vectors[n] = libc::iovec {
                iov_base: place.as_mut_ptr().cast(),
                iov_len: place.len(),
            };
            let header = &mut self.headers[n].msg_hdr;
            header.msg_name = (&raw mut self.names[n]).cast();
            header.msg_namelen = size::<Name>();
            header.msg_iov = &raw mut self.vectors[n];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut self.controls[n]).cast();
            header.msg_controllen = size::<Control>() as _;
            header.msg_flags = 0;
            count = n + 1;
        }
        // SAFETY: the first `count` headers were just given pointers to distinct elements of our
        // own boxes and to distinct places, each with its true size; we hold all of them
        // mutably until the call returns.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        checked(result).map(|received| received as usize)
    }

    /// The `n`th of the datagrams that were received last. Nothing if its source is no address of
    /// the Internet.
    pub fn arrival(&self, n: usize) -> Option<Arrival> {
        let header = self.headers.get(n)?;
        Some(Arrival {
            length: header.msg_len as usize,
            source: self.names[n].address()?,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        })
    }

    /// How many datagrams the socket had dropped when the `n`th of those that were received last
    /// came; nothing if that one does not tell. The number wraps.
    pub fn dropped(&self, n: usize) -> Option<u32> {
        let header = &self.headers.get(n)?.msg_hdr;
        // SAFETY: the control pointer and length are those of `controls[n]`, which recvmmsg(2)
        // filled and which is aligned for a cmsghdr; CMSG_FIRSTHDR looks at the length first.
        let message = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() }?;
        if (message.cmsg_level, message.cmsg_type) != (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) {
            return None;
        }
        // SAFETY: a control message of that type carries one u32, right behind its header;
        // `message` points into `controls[n]`, which has room for it.
        Some(unsafe { ptr::read_unaligned(libc::CMSG_DATA(message).cast()) })
    }
}

impl Name {
    /// ip(7), ipv6(7): the family is in host byte order, the rest in network byte order, except
    /// for the scope.
    fn address(&self) -> Option<SocketAddr> {
        fn take<const N: usize>(bytes: &[u8; NAME], at: usize) -> [u8; N] {
            let mut taken = [0; N];
            taken.copy_from_slice(&bytes[at..at + N]);
            taken
        }
        let bytes = &self.0;
        let port = u16::from_be_bytes(take(bytes, 2));
        match libc::c_int::from(u16::from_ne_bytes(take(bytes, 0))) {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(take::<4>(bytes, 4));
                Some(SocketAddrV4::new(ip, port).into())
            }
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(take::<16>(bytes, 8));
                let scope = u32::from_ne_bytes(take(bytes, 24));
                Some(SocketAddrV6::new(ip, port, 0, scope).into())
            }
            _ => None,
        }
    }
}

/// What `sendmmsg` needs to know.
pub struct Sendings {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
}

impl Sendings {
    /// For up to that many datagrams at once, of up to that many pieces together.
    pub fn with_capacity(datagrams: usize, pieces: usize) -> Self {
        Self {
            headers: Vec::with_capacity(datagrams),
            vectors: Vec::with_capacity(pieces),
        }
    }

    /// Sends datagrams, each made of pieces, to `destination`, without waiting. Returns how many
    /// were sent: at least one, and if not all, the rest is for another try.
    ///
    /// # Errors
    /// Those of sendmmsg(2), about the first datagram; [`io::ErrorKind::WouldBlock`] when the
    /// socket's buffer is full.
    pub fn send<'a, Pieces: Iterator<Item = &'a [u8]>>(
        &mut self,
        socket: &impl AsFd,
        destination: &SockAddr,
        datagrams: impl Iterator<Item = Pieces>,
    ) -> io::Result<usize> {
        self.headers.clear();
        self.vectors.clear();
        for pieces in datagrams {
            let before = self.vectors.len();
            self.vectors.extend(pieces.map(|piece| libc::iovec {
                iov_base: piece.as_ptr().cast_mut().cast(),
                iov_len: piece.len(),
            }));
            let mut header = empty_header();
            header.msg_hdr.msg_name = destination.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = destination.len();
            header.msg_hdr.msg_iovlen = (self.vectors.len() - before) as _;
            self.headers.push(header);
        }
        // Only now do the vectors stay where they are.
        let mut rest = &mut self.vectors[..];
        for header in &mut self.headers {
            #[allow(clippy::unnecessary_cast)] // usize with glibc, int with musl.
            let (own, others) = rest.split_at_mut(header.msg_hdr.msg_iovlen as usize);
            header.msg_hdr.msg_iov = own.as_mut_ptr();
            rest = others;
        }
        // SAFETY: the headers point to `destination`, to our own vectors and through them to the
        // pieces, all with their true sizes and borrowed until the call returns; sendmmsg(2)
        // writes to nothing but msg_len in the headers.
        let result = unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        checked(result).map(|sent| sent as usize)
    }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is a plain C structure, for which all zeros is a valid value.
    unsafe { mem::zeroed() }
}

fn empty_vector() -> libc::iovec {
    libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn pair(address: &str) -> (UdpSocket, UdpSocket, SockAddr) {
        let receiver = UdpSocket::bind(address).unwrap();
        let sender = UdpSocket::bind(address).unwrap();
        let destination = receiver.local_addr().unwrap().into();
        (sender, receiver, destination)
    }

    fn receive(inbox: &mut Inbox, socket: &UdpSocket, buffer: &mut [u8], size: usize) -> usize {
        inbox.receive(socket, buffer.chunks_mut(size)).unwrap()
    }

    #[test]
    fn datagrams_made_of_pieces_arrive_whole_in_order_with_their_source() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (sender, receiver, destination) = pair(address);
            let datagrams: [&[&[u8]]; 3] = [&[b"a"], &[b"bc", b"", b"d"], &[b"e"]];
            let mut sendings = Sendings::with_capacity(1, 1);
            let pieces = datagrams.iter().map(|pieces| pieces.iter().copied());
            assert_eq!(sendings.send(&sender, &destination, pieces).unwrap(), 3);

            let (mut inbox, mut buffer) = (Inbox::new(4), [0; 16]);
            assert_eq!(receive(&mut inbox, &receiver, &mut buffer, 4), 3);
            for (n, expected) in [&b"a"[..], b"bcd", b"e"].iter().enumerate() {
                let arrival = inbox.arrival(n).unwrap();
                assert_eq!(&buffer[4 * n..4 * n + arrival.length], *expected);
                assert_eq!(arrival.source, sender.local_addr().unwrap());
                assert!(!arrival.truncated);
            }
        }
    }

    #[test]
    fn a_datagram_longer_than_its_place_says_so() {
        let (sender, receiver, destination) = pair("[::1]:0");
        sender
            .send_to(b"12345", destination.as_socket().unwrap())
            .unwrap();
        let (mut inbox, mut buffer) = (Inbox::new(1), [0; 4]);
        assert_eq!(receive(&mut inbox, &receiver, &mut buffer, 4), 1);
        assert!(inbox.arrival(0).unwrap().truncated);
    }

    #[test]
    fn nothing_to_receive_would_block() {
        let (_, receiver, _) = pair("[::1]:0");
        let error = Inbox::new(1)
            .receive(&receiver, [&mut [0; 4][..]].into_iter())
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_a_full_buffer_dropped_is_counted_on_request_and_with_the_next_datagram() {
        let (sender, receiver, destination) = pair("[::1]:0");
        crate::sys::count_overruns(&receiver).unwrap();
        crate::sys::set_receive_buffer(&receiver, 4096).unwrap();
        let to = destination.as_socket().unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], to).unwrap();
        }
        let (mut inbox, mut buffer) = (Inbox::new(100), vec![0; 100_000]);
        let kept = receive(&mut inbox, &receiver, &mut buffer, 1000);
        let lost = crate::sys::dropped(&receiver).unwrap();
        assert!(lost > 0);
        assert_eq!(kept + lost as usize, 100);

        sender.send_to(b"more", to).unwrap();
        assert_eq!(receive(&mut inbox, &receiver, &mut buffer, 1000), 1);
        assert_eq!(inbox.dropped(0), Some(lost));
    }
}
