//! The system calls that neither std nor a crate here offers. All of the program's unsafe code.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use neli::socket::NlSocket;
use socket2::SockRef;

/// The port id of the kernel (netlink(7)).
pub const KERNEL: u32 = 0;

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

/// Receives one datagram from a netlink socket, with its sender.
///
/// # Errors
/// Those of recvmsg(2). `ENOBUFS` means that the kernel had to drop messages for this socket.
pub fn receive_netlink(socket: &NlSocket, buffer: &mut [u8]) -> io::Result<Receipt> {
    // SAFETY: sockaddr_nl and msghdr are plain C structures, for which all zeros is a valid value.
    let mut sender: libc::sockaddr_nl = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    header.msg_name = (&raw mut sender).cast();
    header.msg_namelen = mem::size_of_val(&sender) as libc::socklen_t;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    // SAFETY: every pointer in `header` is to a live local, or to `buffer`, with its true size,
    // and all of them outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
    Ok(Receipt {
        length: usize::try_from(length).map_err(|_| io::Error::last_os_error())?,
        port: sender.nl_pid,
        truncated: header.msg_flags & libc::MSG_TRUNC != 0,
    })
}

/// Sends IPv4 multicast out of the interface with that index, whatever addresses it has; socket2
/// offers the same by address only.
///
/// # Errors
/// Those of setsockopt(2), `IP_MULTICAST_IF`.
pub fn set_multicast_interface_v4(socket: &impl AsFd, index: u32) -> io::Result<()> {
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: 0 },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: index as libc::c_int,
    };
    // SAFETY: the pointer is to a live local of the size given, and the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MULTICAST_IF,
            (&raw const request).cast(),
            mem::size_of_val(&request) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Bounds how long a blocking receive waits.
///
/// # Errors
/// Those of setsockopt(2), `SO_RCVTIMEO`.
pub fn set_receive_timeout(socket: &NlSocket, limit: Duration) -> io::Result<()> {
    // SAFETY: `socket` owns its descriptor and is borrowed for as long as `descriptor` lives.
    let descriptor = unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) };
    SockRef::from(&descriptor).set_read_timeout(Some(limit))
}
