//! The socket to the kernel module: session batches come in, requests go out.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;

use crate::sys::{self, Receipt};
use crate::wire::jool::Message;

/// The longest message: its headers and a container, whose length has 16 bits.
const BUFFER: usize = Message::HEADER + (1 << 16);

/// A netlink socket in Jool's multicast group, and the buffer that it receives into.
pub struct ModSocket {
    socket: NlSocket,
    buffer: Box<[u8]>,
}

impl ModSocket {
    /// Opens the socket and joins `group`.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and setsockopt(2).
    pub fn open(group: u32) -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Generic, None, Groups::empty())?;
        socket.add_mcast_membership(Groups::new_groups(&[group]))?;
        socket.nonblock()?;
        Ok(Self {
            socket,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        })
    }

    /// Receives one message into the buffer.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none; `ENOBUFS` when some were lost.
    pub fn receive(&mut self) -> io::Result<Receipt> {
        sys::receive_netlink(&self.socket, &mut self.buffer)
    }

    /// What was received last.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Sends a request to the kernel, which carries it out before this returns.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn send(&self, request: &[u8]) -> io::Result<()> {
        self.socket.send(request, Msg::empty()).map(drop)
    }
}

impl AsRawFd for ModSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
