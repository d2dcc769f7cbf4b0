//! Conversations with the kernel outside the forwarding path: a question, and its answers.
//!
//! They have a netlink socket of their own, so that an answer never stands in a queue behind
//! session batches. The kernel answers within the `send()`; the time limit is for the day when
//! that does not hold.

use std::io::{self, Cursor};
use std::time::Duration;

use neli::consts::nl::{NlType, Nlmsg};
use neli::consts::socket::NlFamily;
use neli::nl::Nlmsghdr;
use neli::socket::NlSocket;
use neli::utils::Groups;
use neli::{FromBytes, FromBytesWithInput, Size, ToBytes};
use socket2::Socket;

use crate::sys;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Larger than what the kernel puts into one datagram of a dump.
const BUFFER: usize = 64 * 1024;

/// A netlink socket for questions.
pub struct Control {
    socket: Socket,
}

impl Control {
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn open(protocol: NlFamily) -> io::Result<Self> {
        let socket = sys::into_socket(NlSocket::connect(protocol, None, Groups::empty())?);
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket })
    }

    /// Asks a question with one answer.
    ///
    /// # Errors
    /// The kernel's error, or the socket's; [`io::ErrorKind::TimedOut`] when nothing comes.
    pub fn ask<T, P>(&self, request: Nlmsghdr<T, P>) -> io::Result<Option<Nlmsghdr<T, P>>>
    where
        T: NlType,
        P: Size + ToBytes + FromBytesWithInput<Input = usize>,
    {
        self.send(request)?;
        Ok(self.receive()?.into_iter().next())
    }

    /// Asks a question with a list for an answer.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub fn dump<T, P>(&self, request: Nlmsghdr<T, P>) -> io::Result<Vec<Nlmsghdr<T, P>>>
    where
        T: NlType,
        P: Size + ToBytes + FromBytesWithInput<Input = usize>,
    {
        self.send(request)?;
        let mut all = Vec::new();
        loop {
            for answer in self.receive::<T, P>()? {
                if number(*answer.nl_type()) == number(Nlmsg::Done) {
                    return Ok(all);
                }
                all.push(answer);
            }
        }
    }

    fn send<T, P>(&self, request: Nlmsghdr<T, P>) -> io::Result<()>
    where
        T: NlType,
        P: Size + ToBytes,
    {
        let mut bytes = Cursor::new(Vec::new());
        request.to_bytes(&mut bytes).map_err(io::Error::other)?;
        self.socket.send(&bytes.into_inner()).map(drop)
    }

    /// Other processes may write to this socket, but they cannot answer for the kernel.
    fn receive_from_kernel(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let receipt = sys::receive_netlink(&self.socket, buffer)?;
            if receipt.port == sys::KERNEL {
                return Ok(receipt.length);
            }
        }
    }

    /// The messages of one datagram.
    fn receive<T, P>(&self) -> io::Result<Vec<Nlmsghdr<T, P>>>
    where
        T: NlType,
        P: Size + FromBytesWithInput<Input = usize>,
    {
        let mut buffer = vec![0; BUFFER];
        let length = match self.receive_from_kernel(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let problem = format!("the kernel did not answer within {} s", PATIENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
            result => result?,
        };
        let mut cursor = Cursor::new(&buffer[..length]);
        let mut messages = Vec::new();
        while cursor.position() < length as u64 {
            let mut message =
                Nlmsghdr::<T, P>::from_bytes(&mut cursor).map_err(io::Error::other)?;
            if let Some(error) = message.get_err() {
                return Err(io::Error::from_raw_os_error(-error.error()));
            }
            messages.push(message);
        }
        Ok(messages)
    }
}

fn number(kind: impl Into<u16>) -> u16 {
    kind.into()
}
