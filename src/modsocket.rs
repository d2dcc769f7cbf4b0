//! The socket to the kernel module: session batches come in, requests go out.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use neli::consts::socket::NlFamily;
use neli::socket::NlSocket;
use neli::utils::Groups;
use socket2::Socket;

use crate::sys::{self, Receipt};

/// A netlink socket in Jool's multicast group, while there is one.
pub struct ModSocket {
    socket: Socket,
    group: Option<u32>,
    receive_buffer: u32,
    dropped: u32,
}

impl ModSocket {
    /// Opens the socket and asks for a receive buffer of that many bytes.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and setsockopt(2).
    pub fn open(receive_buffer: u32) -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Generic, None, Groups::empty())?;
        socket.nonblock()?;
        let socket = sys::into_socket(socket);
        let receive_buffer = sys::set_receive_buffer(&socket, receive_buffer)?;
        Ok(Self {
            socket,
            group: None,
            receive_buffer,
            dropped: 0,
        })
    }

    /// Hears `group` from here on, and no other; none, if there is no module.
    ///
    /// # Errors
    /// When there is no such group (any more).
    pub fn hear(&mut self, group: Option<u32>) -> io::Result<()> {
        if let Some(old) = self.group.take().filter(|old| Some(*old) != group) {
            // The kernel has ended the membership already where the module is gone.
            let _ = sys::leave_netlink_group(&self.socket, old);
        }
        if let Some(group) = group {
            // Even if it is the same one: the module may have gone and come between two looks.
            sys::join_netlink_group(&self.socket, group)?;
        }
        self.group = group;
        Ok(())
    }

    /// The bytes that the receive buffer has in effect.
    pub fn receive_buffer(&self) -> u32 {
        self.receive_buffer
    }

    /// Asks for a receive buffer of that many bytes; returns what it has.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn resize(&mut self, receive_buffer: u32) -> io::Result<u32> {
        self.receive_buffer = sys::set_receive_buffer(&self.socket, receive_buffer)?;
        Ok(self.receive_buffer)
    }

    /// Receives one message.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none; `ENOBUFS` when some were lost.
    pub fn receive(&self, room: &mut [u8]) -> io::Result<Receipt> {
        sys::receive_netlink(&self.socket, room)
    }

    /// How many messages were lost since this was asked last. Nothing where the kernel does not tell:
    /// before Linux 4.12.
    pub fn lost(&mut self) -> Option<u32> {
        let dropped = sys::dropped(&self.socket).ok()?;
        let lost = dropped.wrapping_sub(self.dropped);
        self.dropped = dropped;
        Some(lost)
    }

    /// Sends a request to the kernel, which carries it out before this returns.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn send(&self, request: &[u8]) -> io::Result<()> {
        self.socket.send(request).map(drop)
    }

    /// Sends requests to the kernel with one system call; it carries them out before this returns,
    /// each for itself. Every request is padded as netlink wants it. `done` is told of each.
    pub fn send_all(&self, requests: &[IoSlice<'_>], mut done: impl FnMut(io::Result<()>)) {
        if requests.is_empty() {
            return;
        }
        match self.socket.send_vectored(requests) {
            Ok(_) => requests.iter().for_each(|_| done(Ok(()))),
            Err(error) if requests.len() == 1 => done(Err(error)),
            // All of them want much memory in one piece: they may fit one by one.
            Err(_) => requests.iter().for_each(|request| done(self.send(request))),
        }
    }
}

impl AsFd for ModSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for ModSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
