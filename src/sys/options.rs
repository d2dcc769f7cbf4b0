//! Socket options.

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};

use super::{checked, size};

/// Linux's `SK_MEMINFO_DROPS`: where `SO_MEMINFO` has the number of dropped messages.
const DROPS: usize = 8;

/// Linux's `SO_MEMINFO`, since 4.12; libc does not name it everywhere.
const SO_MEMINFO: libc::c_int = 55;

/// Sets an option that the kernel only reads.
fn set<T>(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer is to a live value of the size given, and the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            size::<T>(),
        )
    };
    checked(result).map(drop)
}

/// Reads an option, which is an array of at most `N` numbers; what the kernel leaves out is 0.
fn get<const N: usize>(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<[u32; N]> {
    let mut value = [0; N];
    let mut length = size::<[u32; N]>();
    // SAFETY: both pointers are to live locals, and `length` is the true size of `value`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    checked(result).map(|_| value)
}

/// Sends IPv4 multicast out of the interface with that index and from that address; from one that
/// the kernel chooses, if it is unspecified. socket2 offers the same by address only, whose interface
/// the kernel looks up just once.
///
/// # Errors
/// Those of setsockopt(2), `IP_MULTICAST_IF`.
pub fn set_multicast_interface_v4(
    socket: &impl AsFd,
    index: u32,
    address: Ipv4Addr,
) -> io::Result<()> {
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: 0 },
        imr_address: libc::in_addr {
            s_addr: u32::from_ne_bytes(address.octets()),
        },
        imr_ifindex: index as libc::c_int,
    };
    set(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}

/// Sizes the receive buffer, beyond the system's limit where that is allowed. Returns the size in
/// effect, which is less than `bytes` where it is not.
///
/// Linux doubles the value, for its own bookkeeping (socket(7)); neither `bytes` nor the result
/// is doubled.
///
/// # Errors
/// Those of setsockopt(2) and getsockopt(2), `SO_RCVBUF`.
pub fn set_receive_buffer(socket: &impl AsFd, bytes: u32) -> io::Result<u32> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    if set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &value).is_err() {
        set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &value)?;
    }
    let [doubled] = get(socket, libc::SOL_SOCKET, libc::SO_RCVBUF)?;
    Ok(doubled / 2)
}

/// Has each received datagram tell how many the socket had to drop so far.
///
/// # Errors
/// Those of setsockopt(2), `SO_RXQ_OVFL`.
pub fn count_overruns(socket: &impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &on)
}

/// Has a netlink socket hear a multicast group of its protocol.
///
/// # Errors
/// Those of setsockopt(2), `NETLINK_ADD_MEMBERSHIP`; `ENOENT` or `EINVAL` when there is no such
/// group.
pub fn join_netlink_group(socket: &impl AsFd, group: u32) -> io::Result<()> {
    set(
        socket,
        libc::SOL_NETLINK,
        libc::NETLINK_ADD_MEMBERSHIP,
        &group,
    )
}

/// The opposite of [`join_netlink_group`].
///
/// # Errors
/// Those of setsockopt(2), `NETLINK_DROP_MEMBERSHIP`.
pub fn leave_netlink_group(socket: &impl AsFd, group: u32) -> io::Result<()> {
    set(
        socket,
        libc::SOL_NETLINK,
        libc::NETLINK_DROP_MEMBERSHIP,
        &group,
    )
}

/// How many messages the socket had to drop since it was opened; the number wraps.
///
/// # Errors
/// Those of getsockopt(2), `SO_MEMINFO`, which Linux has since 4.12.
pub fn dropped(socket: &impl AsFd) -> io::Result<u32> {
    let information: [u32; DROPS + 1] = get(socket, libc::SOL_SOCKET, SO_MEMINFO)?;
    Ok(information[DROPS])
}

/// The longest packet, IP header included, that fits the way of a connected UDP socket.
///
/// # Errors
/// Those of getsockopt(2), `IP_MTU` and `IPV6_MTU`; `ENOTCONN` when there is no way.
pub fn mtu(socket: &impl AsFd, ipv6: bool) -> io::Result<usize> {
    let (level, name) = match ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
        false => (libc::IPPROTO_IP, libc::IP_MTU),
    };
    let [bytes] = get(socket, level, name)?;
    Ok(bytes as usize)
}

const _: () = assert!(mem::size_of::<libc::c_int>() == mem::size_of::<u32>());
