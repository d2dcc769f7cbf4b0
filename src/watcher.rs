//! News of the interfaces, as rtnetlink(7) multicasts them.
//!
//! What they say matters little: whoever hears them asks for the list ([`crate::interfaces`]), which
//! is right even if news were lost. Only that a link was deleted may not show there, if another one
//! has its index by then.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use neli::consts::socket::NlFamily;
use neli::socket::NlSocket;
use neli::utils::Groups;
use socket2::Socket;

use crate::sys;
use crate::wire::link::Link;
use crate::wire::netlink::{Message, Messages};
use crate::wire::{address, link};

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR`.
const GROUPS: [u32; 3] = [1, 5, 9];

/// More than the kernel says of most links; what does not fit is taken for the worst.
const LONGEST: usize = 4096;

/// How many news are read at a time.
const BUDGET: usize = 64;

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Whether there is any.
    pub any: bool,
    /// Whether it is about a link in use, or may be.
    pub near: bool,
    /// Whether a link in use was deleted, or may have been.
    pub deleted: bool,
    /// Whether there may be more to read.
    pub more: bool,
}

impl News {
    /// What cannot be known for certain.
    fn lost(&mut self) {
        (self.any, self.near, self.deleted) = (true, true, true);
    }

    fn add(&mut self, datagram: &[u8], used: &impl Fn(u32) -> bool) {
        for message in Messages::new(datagram).map_while(Result::ok) {
            let Some(index) = index(message) else {
                continue;
            };
            let is_near = index.is_none_or(used);
            self.any = true;
            self.near |= is_near;
            self.deleted |= message.kind() == link::DELETED
                && is_near
                && Link::new_checked(message).map_or(true, |link| link.is_whole());
        }
    }
}

/// Where links and addresses are heard of that come, change and go.
pub struct Watcher {
    socket: Socket,
}

impl Watcher {
    /// From here on, news wait until they are read.
    ///
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn open() -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Route, None, Groups::empty())?;
        socket.nonblock()?;
        let socket = sys::into_socket(socket);
        for group in GROUPS {
            sys::join_netlink_group(&socket, group)?;
        }
        Ok(Self { socket })
    }

    /// Reads news. `used` tells whether the link of an index is in use.
    pub fn read(&self, used: impl Fn(u32) -> bool) -> News {
        let mut room = [0; LONGEST];
        let mut news = News::default();
        for _ in 0..BUDGET {
            match sys::receive_netlink(&self.socket, &mut room) {
                Ok(receipt) if receipt.port != sys::KERNEL => {}
                Ok(receipt) if receipt.truncated => news.lost(),
                Ok(receipt) => news.add(&room[..receipt.length], &used),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return news,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The buffer was full; what fitted is still there.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => news.lost(),
                Err(_) => {
                    news.lost();
                    return news;
                }
            }
        }
        News { more: true, ..news }
    }
}

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The index of the link that news is about: nothing if this is no news, and no index if there is none
/// to be read.
fn index(message: Message<'_>) -> Option<Option<u32>> {
    match message.kind() {
        link::NEW | link::DELETED => Some(Link::new_checked(message).ok().map(|link| link.index())),
        address::NEW | address::DELETED => {
            let address = address::Address::new_checked(message);
            Some(address.ok().map(|address| address.index()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn links_and_addresses_are_news_and_only_a_deleted_link_in_use_is_bad_news() {
        use crate::wire::samples::{ADDRESS4, ADDRESS6, END, LINK};
        let mut deleted = LINK;
        deleted[4..6].copy_from_slice(&link::DELETED.to_ne_bytes());
        let mut of_a_bridge = deleted;
        of_a_bridge[16] = libc::AF_BRIDGE as u8;
        for (datagram, any, bad) in [
            (&LINK[..], true, false),
            (&ADDRESS4, true, false),
            (&ADDRESS6, true, false),
            (&END, false, false),
            (&[&END[..], &deleted].concat(), true, true),
            (&of_a_bridge, true, false),
            // A message that is not all there tells nothing.
            (&LINK[..20], false, false),
        ] {
            let mut news = News::default();
            news.add(datagram, &|index| index == 3);
            assert_eq!((news.any, news.deleted), (any, bad), "{datagram:?}");
        }
        let mut news = News::default();
        news.add(&deleted, &|_| false);
        assert_eq!((news.any, news.deleted), (true, false));
    }

    #[test]
    fn a_real_kernel_has_nothing_new_at_first() {
        let news = Watcher::open().unwrap().read(|_| true);
        assert_eq!(news, News::default());
    }
}
