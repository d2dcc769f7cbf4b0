//! The system calls that neither std nor a crate here offers. All of the program's unsafe code.
#![allow(unsafe_code)]

mod accounts;
mod clock;
mod datagrams;
mod netlink;
mod options;
mod privileges;
mod start;
mod terminal;

pub use accounts::{Account, account_named, account_numbered, group_named, group_numbered};
pub use clock::monotonic_microseconds;
pub use datagrams::{Arrival, Inbox, Sending, Sendings};
pub use netlink::{KERNEL, Receipt, into_socket, receive_netlink};
pub use options::{
    count_overruns, dropped, join_netlink_group, leave_netlink_group, mtu,
    set_multicast_interface_v4, set_receive_buffer,
};
pub use privileges::{
    Capabilities, ambient_set, bounding_set, capabilities, change_user, count_groups,
    has_renounced_new_privileges, is_user, limit_bounding_set, renounce_new_privileges,
    set_capabilities,
};
pub use start::{arguments, prepare, takes_a_line};
pub use terminal::terminal_size;

use std::io;
use std::mem;

/// What a system call that answers -1 on failure has to say.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// The size of a structure as the socket calls want it.
fn size<T>() -> libc::socklen_t {
    mem::size_of::<T>() as libc::socklen_t
}
