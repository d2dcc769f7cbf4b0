//! Netlink: a message together with its sender.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use neli::socket::NlSocket;
use socket2::Socket;

use super::size;

/// The port id of the kernel (netlink(7)).
pub const KERNEL: u32 = 0;

/// No socket has it as its port id.
const NOBODY: u32 = u32::MAX;

/// What one `recvmsg` on a netlink socket brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Bytes that are now in the buffer.
    pub length: usize,
    /// The sender's port id; [`KERNEL`] is the kernel.
    pub port: u32,
    /// Whether the message was longer than the buffer.
    pub truncated: bool,
}

/// Takes the socket out of neli's hands, for what neli does not offer.
pub fn into_socket(socket: NlSocket) -> Socket {
    // SAFETY: into_raw_fd gives up the descriptor, which is open and has no other owner.
    Socket::from(unsafe { OwnedFd::from_raw_fd(socket.into_raw_fd()) })
}

/// Receives one datagram from a netlink socket, with its sender.
///
/// # Errors
/// Those of recvmsg(2). `ENOBUFS` means that the kernel had to drop messages for this socket.
pub fn receive_netlink(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<Receipt> {
    // SAFETY: sockaddr_nl and msghdr are plain C structures, for which all zeros is a valid value.
    let mut sender: libc::sockaddr_nl = unsafe { mem::zeroed() };
    // The kernel is who says so, not who says nothing.
    sender.nl_pid = NOBODY;
    // SAFETY: as above.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    header.msg_name = (&raw mut sender).cast();
    header.msg_namelen = size::<libc::sockaddr_nl>();
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    // SAFETY: every pointer in `header` is to a live local, or to `buffer`, with its true size,
    // and all of them outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, 0) };
    Ok(Receipt {
        length: usize::try_from(length).map_err(|_| io::Error::last_os_error())?,
        port: sender.nl_pid,
        truncated: header.msg_flags & libc::MSG_TRUNC != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_sender_that_nobody_names_is_not_the_kernel() {
        let (here, there) = UnixDatagram::pair().unwrap();
        there.send(b"1234").unwrap();
        let receipt = receive_netlink(&here, &mut [0; 8]).unwrap();
        assert_eq!(receipt.length, 4);
        assert_ne!(receipt.port, KERNEL);
    }
}
