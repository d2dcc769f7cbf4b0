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

/// A stretch of bytes to send.
pub struct Sending<Pieces> {
    /// What it is made of.
    pub pieces: Pieces,
    /// Into datagrams of how many bytes the kernel cuts it (udp(7), `UDP_SEGMENT`; Linux 4.18). If
    /// nothing, it is one datagram.
    pub segment: Option<u16>,
}

/// Room for the one control message that is sent, `UDP_SEGMENT`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Segment([u8; 32]);

/// What `sendmmsg` needs to know.
pub struct Sendings {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    segments: Vec<Segment>,
}

impl Sendings {
    /// For up to that many stretches at once, of up to that many pieces together.
    pub fn with_capacity(stretches: usize, pieces: usize) -> Self {
        Self {
            headers: Vec::with_capacity(stretches),
            vectors: Vec::with_capacity(pieces),
            segments: Vec::with_capacity(stretches),
        }
    }

    /// Sends everything to `destination`, without waiting. Returns how many of the stretches were
    /// sent: at least one, and if not all, the rest is for another try.
    ///
    /// # Errors
    /// Those of sendmmsg(2), about the first; [`io::ErrorKind::WouldBlock`] when the socket's
    /// buffer is full.
    pub fn send<'a, Pieces: Iterator<Item = &'a [u8]>>(
        &mut self,
        socket: &impl AsFd,
        destination: &SockAddr,
        sendings: impl Iterator<Item = Sending<Pieces>>,
    ) -> io::Result<usize> {
        self.headers.clear();
        self.vectors.clear();
        self.segments.clear();
        for sending in sendings {
            let before = self.vectors.len();
            self.vectors.extend(sending.pieces.map(|piece| libc::iovec {
                iov_base: piece.as_ptr().cast_mut().cast(),
                iov_len: piece.len(),
            }));
            let mut header = empty_header();
            header.msg_hdr.msg_name = destination.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = destination.len();
            header.msg_hdr.msg_iovlen = (self.vectors.len() - before) as _;
            if let Some(segment) = sending.segment {
                self.segments.push(Segment::new(segment));
                header.msg_hdr.msg_controllen = SEGMENT_SPACE as _;
            }
            self.headers.push(header);
        }
        self.point();
        // SAFETY: the headers point to `destination`, to our own vectors and segments, and through
        // the vectors to the pieces, all with their true sizes and borrowed until the call
        // returns; sendmmsg(2) writes to nothing but msg_len in the headers.
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

    /// Sets the pointers of the headers, now that what they point to stays where it is.
    fn point(&mut self) {
        let mut vectors = &mut self.vectors[..];
        let mut segments = self.segments.iter_mut();
        for header in &mut self.headers {
            let header = &mut header.msg_hdr;
            #[allow(clippy::unnecessary_cast)] // usize with glibc, int with musl.
            let (own, others) = vectors.split_at_mut(header.msg_iovlen as usize);
            header.msg_iov = own.as_mut_ptr();
            vectors = others;
            if header.msg_controllen > 0 {
                header.msg_control = segments
                    .next()
                    .map_or(ptr::null_mut(), |segment| (&raw mut *segment).cast());
            }
        }
    }
}

/// What a control message of two bytes takes, `CMSG_SPACE(2)`.
// SAFETY: CMSG_SPACE only counts.
const SEGMENT_SPACE: usize = unsafe { libc::CMSG_SPACE(2) } as usize;

impl Segment {
    fn new(bytes: u16) -> Self {
        // SAFETY: cmsghdr is a plain C structure, for which all zeros is a valid value.
        let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
        // SAFETY: CMSG_LEN only counts.
        header.cmsg_len = unsafe { libc::CMSG_LEN(2) } as _;
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = libc::UDP_SEGMENT;
        let mut segment = Self([0; 32]);
        let start = (&raw mut segment.0).cast::<libc::cmsghdr>();
        // SAFETY: `segment` is aligned for a cmsghdr and has room for one and, where CMSG_DATA
        // points, for two bytes: see the assertion below.
        unsafe {
            start.write(header);
            libc::CMSG_DATA(start).cast::<u16>().write_unaligned(bytes);
        }
        segment
    }
}

const _: () = assert!(SEGMENT_SPACE <= mem::size_of::<Segment>());

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
            let datagrams = datagrams.iter().map(|pieces| Sending {
                pieces: pieces.iter().copied(),
                segment: None,
            });
            assert_eq!(sendings.send(&sender, &destination, datagrams).unwrap(), 3);

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
    fn a_stretch_is_cut_into_datagrams_the_last_of_which_may_be_shorter() {
        let (sender, receiver, destination) = pair("[::1]:0");
        let mut sendings = Sendings::with_capacity(2, 4);
        let stretches = [(&[&b"ab"[..], b"cd", b"e"][..], Some(2)), (&[b"fgh"], None)];
        let stretches = stretches.iter().map(|&(pieces, segment)| Sending {
            pieces: pieces.iter().copied(),
            segment,
        });
        assert_eq!(sendings.send(&sender, &destination, stretches).unwrap(), 2);
        let (mut inbox, mut buffer) = (Inbox::new(8), [0; 64]);
        assert_eq!(receive(&mut inbox, &receiver, &mut buffer, 8), 4);
        let length = |n| inbox.arrival(n).unwrap().length;
        let received: Vec<_> = (0..4).map(|n| &buffer[8 * n..8 * n + length(n)]).collect();
        assert_eq!(received, [&b"ab"[..], b"cd", b"e", b"fgh"]);
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
