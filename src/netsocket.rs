//! The socket to the peers: a UDP socket in the multicast group.
//!
//! It belongs to the place where it was opened. When that changes, a new one is opened in the new
//! place, and takes the old one's: [`NetSocket`] has the buffers, which stay.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockRef, Socket, Type};

use crate::config::{NetsocketConfig, Source};
use crate::failure::{Failure, words};
use crate::interfaces::Interfaces;
use crate::outbox::{self, Outbox};
use crate::place::{End, News, Place};
use crate::sys::{self, Arrival, Inbox, Sending, Sendings};
use crate::wire::netlink::aligned;
use crate::wire::request::Add;

/// The longest payload of a datagram: upstream's daemon receives no more, and the module packs no
/// more.
pub const LONGEST: usize = 2048;

/// How many datagrams are received at once.
pub const SLOTS: usize = 16;

/// A slot: the headers of the request that a datagram becomes, and the datagram.
const SLOT: usize = aligned(Add::HEADROOM + LONGEST);

/// What IPv6 guarantees to carry in one packet, less the headers of IPv6 and UDP: the payload where
/// the kernel does not tell how long a packet may be.
pub const SURELY_CARRIED: usize = 1280 - 40 - 8;

/// A socket in the group, where [`Place`] says.
pub struct Member {
    /// For the reactor to register.
    pub socket: UdpSocket,
    /// Nothing while there is no interface to send over.
    destination: Option<SockAddr>,
    /// The group, and the index of the interface where it was joined.
    joined: Option<(IpAddr, u32)>,
    receive_buffer: u32,
    /// How many datagrams the socket has dropped, as far as is known.
    dropped: u32,
    /// Whether datagrams filled all slots since the socket was empty.
    was_full: bool,
    /// Whether the kernel may cut datagrams out of one stretch of bytes.
    segmentation: bool,
}

/// How datagrams to the group leave this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where they come from, as those who receive them see it.
    pub source: SocketAddr,
    /// How many bytes of sessions one packet carries.
    pub payload: usize,
}

/// Why there is no socket.
#[derive(Debug)]
pub struct Unopened {
    /// In the user's words.
    pub failure: Failure,
    /// Whether it is about the interfaces, which may soon be others.
    pub passing: bool,
}

impl Member {
    /// Opens the socket, sets the multicast options as upstream does, and joins the group.
    ///
    /// # Errors
    /// When the operating system refuses; the message says what and where.
    pub fn open(config: &NetsocketConfig, place: &Place) -> Result<Self, Unopened> {
        let lasting = |failure| Unopened {
            failure,
            passing: false,
        };
        let passing = |failure| Unopened {
            failure,
            passing: true,
        };
        let group = place.group(config);
        let socket = bind(group)?;
        let receive_buffer =
            sys::set_receive_buffer(&socket, config.receive_buffer).map_err(|error| {
                let bytes = config.receive_buffer;
                lasting(Failure::system(
                    format_args!("cannot set the receive buffer to {bytes} bytes"),
                    &error,
                ))
            })?;
        if let Err(error) = sys::count_overruns(&socket) {
            log::warn!("what the socket drops is counted late: {}", words(&error));
        }
        set_options(&socket, config).map_err(lasting)?;
        let sends = place.outgoing.index().is_some();
        if sends {
            choose_interface(&socket, config, &place.outgoing).map_err(|error| {
                passing(Failure::system(
                    format_args!("cannot send over {place}"),
                    &error,
                ))
            })?;
        }
        // Last, so that what arrives finds the socket complete.
        let joined = place.incoming.index().map(|index| (config.group, index));
        if let Some((group, index)) = joined {
            join(&socket, group, index).map_err(|error| {
                passing(Failure::system(
                    format_args!("cannot join the group {} on {place}", config.group),
                    &error,
                ))
            })?;
        }
        Ok(Self {
            socket: UdpSocket::from_std(socket.into()),
            destination: sends.then(|| group.into()),
            joined,
            receive_buffer,
            dropped: 0,
            was_full: false,
            segmentation: true,
        })
    }

    /// Sends with the hop limit of `config` from here on.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_ttl(&self, config: &NetsocketConfig) -> io::Result<()> {
        set_ttl(&SockRef::from(&self.socket), config)
    }

    /// Asks for a receive buffer of that many bytes; returns what it has.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn resize(&mut self, receive_buffer: u32) -> io::Result<u32> {
        self.receive_buffer = sys::set_receive_buffer(&self.socket, receive_buffer)?;
        Ok(self.receive_buffer)
    }

    /// Leaves the group. What came already can still be received.
    pub fn leave(&mut self) {
        let socket = SockRef::from(&self.socket);
        // The interface may have gone, and the membership with it.
        let _ = match self.joined.take() {
            Some((IpAddr::V4(group), index)) => {
                socket.leave_multicast_v4_n(&group, &interface_v4(index))
            }
            Some((IpAddr::V6(group), index)) => socket.leave_multicast_v6(&group, index),
            None => Ok(()),
        };
    }

    /// The bytes that the receive buffer has in effect.
    pub fn receive_buffer(&self) -> u32 {
        self.receive_buffer
    }

    /// How many datagrams the socket had to drop, less those that this told before. To be asked
    /// whenever `received` datagrams came, 0 included; `told` is the number that the `n`th of them
    /// brought.
    fn lost(&mut self, received: usize, told: impl Fn(usize) -> Option<u32>) -> u32 {
        if received == SLOTS {
            self.was_full = true;
        } else if mem::take(&mut self.was_full) {
            // What was dropped last, no datagram tells; but a buffer that was full fills all slots
            // before it is empty.
            return self.lost_by_now();
        }
        let dropped = received.checked_sub(1).and_then(told);
        dropped.map_or(0, |dropped| self.newly(dropped))
    }

    /// The same, whether or not a datagram has told of it. Before Linux 4.12 only datagrams tell.
    fn lost_by_now(&mut self) -> u32 {
        sys::dropped(&self.socket).map_or(0, |dropped| self.newly(dropped))
    }

    /// How many of `dropped` are news. A datagram tells the number of the time when it came, which
    /// the socket itself may have surpassed already.
    fn newly(&mut self, dropped: u32) -> u32 {
        let lost = dropped.wrapping_sub(self.dropped);
        // The number wraps: the half ahead is later, the other half earlier.
        if lost > u32::MAX / 2 {
            return 0;
        }
        self.dropped = dropped;
        lost
    }
}

/// The socket, while there is a place for one, and the slots that it receives into.
pub struct NetSocket {
    member: Option<Member>,
    slots: Box<[u8]>,
    inbox: Inbox,
    sendings: Sendings,
    /// Where our own datagrams come from, if that is known.
    own: Option<SocketAddr>,
}

impl Default for NetSocket {
    fn default() -> Self {
        Self::new()
    }
}

impl NetSocket {
    /// Without a socket, but with all that one needs.
    pub fn new() -> Self {
        Self {
            member: None,
            slots: vec![0; SLOTS * SLOT].into_boxed_slice(),
            inbox: Inbox::new(SLOTS),
            sendings: Sendings::with_capacity(outbox::MOST, outbox::MOST),
            own: None,
        }
    }

    /// The socket that is in use.
    pub fn member(&mut self) -> Option<&mut Member> {
        self.member.as_mut()
    }

    /// Uses `member` from here on, and gives the socket that was used before.
    pub fn replace(&mut self, member: Option<Member>) -> Option<Member> {
        mem::replace(&mut self.member, member)
    }

    /// Our own datagrams come from there, from here on.
    pub fn set_own(&mut self, own: Option<SocketAddr>) {
        self.own = own;
    }

    /// Where our own datagrams come from, if that is known.
    pub fn own(&self) -> Option<SocketAddr> {
        self.own
    }

    /// Whether there is an interface to send over.
    pub fn sends(&self) -> bool {
        let member = self.member.as_ref();
        member.is_some_and(|member| member.destination.is_some())
    }

    /// Receives datagrams into the slots, behind the headroom. Returns how many; fewer than
    /// [`SLOTS`] means that there are no more.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn receive(&mut self) -> io::Result<usize> {
        let Some(member) = &self.member else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let places = self.slots.chunks_exact_mut(SLOT);
        let places = places.map(|slot| &mut slot[Add::HEADROOM..Add::HEADROOM + LONGEST]);
        self.inbox.receive(&member.socket, places)
    }

    /// All slots, headroom included, in the order of the datagrams in them.
    pub fn slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.slots.chunks_exact_mut(SLOT)
    }

    /// The `n`th slot, and the datagram that was received into it.
    pub fn slot(&mut self, n: usize) -> Option<(&mut [u8], Arrival)> {
        let slot = self.slots.chunks_exact_mut(SLOT).nth(n)?;
        Some((slot, self.inbox.arrival(n)?))
    }

    /// The `n`th slot.
    pub fn contents(&self, n: usize) -> &[u8] {
        self.slots.get(n * SLOT..(n + 1) * SLOT).unwrap_or_default()
    }

    /// How many datagrams the socket had to drop, less those that this told before. To be asked
    /// whenever `received` datagrams came, 0 included.
    pub fn lost(&mut self, received: usize) -> u32 {
        let Some(member) = &mut self.member else {
            return 0;
        };
        member.lost(received, |n| self.inbox.dropped(n))
    }

    /// As [`NetSocket::lost`], with what no datagram has told of yet, or ever will if the socket is given
    /// up.
    pub fn lost_by_now(&mut self) -> u32 {
        self.member.as_mut().map_or(0, Member::lost_by_now)
    }

    /// Sends what is in `outbox` to the group. Returns how many of its datagrams were sent, from
    /// the first.
    ///
    /// # Errors
    /// About the first datagram; [`io::ErrorKind::WouldBlock`] when the socket's buffer is full.
    pub fn send(&mut self, outbox: &Outbox) -> io::Result<usize> {
        let Some(member) = &mut self.member else {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        };
        let sendings = &mut self.sendings;
        if !member.segmentation {
            return member.send_runs(sendings, outbox, false);
        }
        match member.send_runs(sendings, outbox, true) {
            Err(error) if cannot_be_cut(&error) => {
                let sent = member.send_runs(sendings, outbox, false)?;
                member.segmentation = false;
                log::info!(
                    "datagrams are sent one by one from here on, which costs more CPU: the \
                     interface or the kernel cannot cut them out of one another ({})",
                    words(&error)
                );
                Ok(sent)
            }
            result => result,
        }
    }
}

impl Member {
    fn send_runs(
        &self,
        sendings: &mut Sendings,
        outbox: &Outbox,
        joined: bool,
    ) -> io::Result<usize> {
        let Some(destination) = &self.destination else {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        };
        let runs = outbox.runs(joined).map(|run| Sending {
            pieces: run.pieces(),
            segment: u16::try_from(run.segment)
                .ok()
                .filter(|_| run.datagrams > 1),
        });
        let sent = sendings.send(&self.socket, destination, runs)?;
        let runs = outbox.runs(joined).take(sent);
        Ok(runs.map(|run| run.datagrams).sum())
    }
}

impl Way {
    /// Asks the kernel how datagrams leave that are sent where `place` says.
    ///
    /// # Errors
    /// When they would not leave at all.
    pub fn find(config: &NetsocketConfig, place: &Place) -> io::Result<Self> {
        probe(config, Some(&place.outgoing), place.group(config))
    }
}

/// Where the group is now. `used` is what was found last.
///
/// # Errors
/// When the kernel does not tell its interfaces.
pub fn locate(config: &NetsocketConfig, used: Option<&Place>) -> io::Result<(Place, Interfaces)> {
    let interfaces = Interfaces::list()?;
    let place = Place::find(config, &interfaces, used, || {
        let group = SocketAddr::new(config.group, config.port);
        let way = probe(config, None, group).ok()?;
        Some(way.source.ip())
    });
    Ok((place, interfaces))
}

/// What of the interfaces is not there, or does not work, at the moment: a line each.
///
/// # Errors
/// When `source`, where `config` stands, contradicts itself with those that are there.
pub fn check(config: &NetsocketConfig, source: &Source) -> Result<Vec<String>, Failure> {
    let (place, interfaces) = locate(config, None)
        .map_err(|error| Failure::system("cannot list the network interfaces", &error))?;
    if let Some(problem) = place.contradiction() {
        return Err(config.wrong_link(&source.origin(), &problem));
    }
    let news = place.news(None, &interfaces).into_iter();
    let lines = news.map(|news| match news {
        News::Bad(line) | News::Good(line) => line,
    });
    Ok(lines.collect())
}

/// Sends nothing: a connected socket knows its way.
fn probe(config: &NetsocketConfig, end: Option<&End>, group: SocketAddr) -> io::Result<Way> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(end) = end {
        choose_interface(&socket, config, end)?;
    }
    socket.connect(&group.into())?;
    let headers = if group.is_ipv6() { 40 } else { 20 } + 8;
    let mtu = sys::mtu(&socket, group.is_ipv6())?;
    let source = socket.local_addr()?.as_socket();
    let mut source = source.ok_or(io::ErrorKind::AddrNotAvailable)?;
    source.set_port(config.port);
    Ok(Way {
        source,
        payload: mtu.saturating_sub(headers).min(LONGEST),
    })
}

/// Whether the kernel says that it cannot cut datagrams out of one stretch (udp(7)), be it for good
/// or because the interface's MTU has shrunk.
fn cannot_be_cut(error: &io::Error) -> bool {
    let errors = [
        libc::EIO,
        libc::EINVAL,
        libc::EMSGSIZE,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
    ];
    error
        .raw_os_error()
        .is_some_and(|error| errors.contains(&error))
}

/// What to do about an error of sending. None of these datagrams is tried again: what fails for an
/// interface, a route or a firewall fails at once again, and the kernel's batches would have to wait.
/// `ENOBUFS` is no exception: a full queue of the interface, which drops datagrams, is no error to
/// UDP (udp(7) tells only with `IP_RECVERR`), so that this is a kernel without memory.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => {
            "check that the out interface is up and has an address, and the route to the multicast \
             address"
        }
        Some(libc::ENETDOWN) => "the out interface is down: run \"ip link set ... up\"",
        Some(libc::EADDRNOTAVAIL) => {
            "the out interface has no address to send from: run \"ip address add\""
        }
        Some(libc::EPERM | libc::EACCES) => {
            "a firewall or a route of this router forbids it: let UDP to the multicast address and \
             port leave"
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "the kernel has no memory for it: give this router more, or less to do"
        }
        Some(libc::EMSGSIZE) => "the MTU of the out interface is too small: raise it",
        Some(libc::EINVAL) => {
            "check that the out interface has the address that the network file names"
        }
        _ => "check the out interface and the route to the multicast address",
    }
}

fn bind(local: SocketAddr) -> Result<Socket, Unopened> {
    let open = || {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Another joold of this host, for another instance, may use the same group and port; and so
        // do this one's old and new socket for a moment.
        socket.set_reuse_address(true)?;
        // Bound to the group itself, so that nothing sent to other addresses arrives here.
        socket.bind(&local.into())?;
        Ok(socket)
    };
    open().map_err(|error: io::Error| Unopened {
        // The scope of a link-local group went away between two system calls.
        passing: error.raw_os_error() == Some(libc::ENODEV),
        failure: Failure::system(format_args!("cannot open a UDP socket on {local}"), &error),
    })
}

/// Joins the group on the interface with that index, or on the one that the routes lead to.
fn join(socket: &Socket, group: IpAddr, index: u32) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &interface_v4(index)),
        IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
    }
}

fn interface_v4(index: u32) -> InterfaceIndexOrAddress {
    match index {
        0 => InterfaceIndexOrAddress::Address(Ipv4Addr::UNSPECIFIED),
        index => InterfaceIndexOrAddress::Index(index),
    }
}

fn set_ttl(socket: &Socket, config: &NetsocketConfig) -> io::Result<()> {
    match config.group {
        IpAddr::V4(_) => socket.set_multicast_ttl_v4(config.ttl.into()),
        IpAddr::V6(_) => socket.set_multicast_hops_v6(config.ttl.into()),
    }
}

fn set_options(socket: &Socket, config: &NetsocketConfig) -> Result<(), Failure> {
    let (no_loop, only_ours) = match config.group {
        IpAddr::V4(_) => (
            socket.set_multicast_loop_v4(false),
            socket.set_multicast_all_v4(false),
        ),
        IpAddr::V6(_) => (
            socket.set_multicast_loop_v6(false),
            socket.set_multicast_all_v6(false),
        ),
    };
    no_loop.map_err(|error| Failure::system("cannot turn multicast loopback off", &error))?;
    set_ttl(socket, config).map_err(|error| {
        Failure::system(format_args!("cannot set the ttl to {}", config.ttl), &error)
    })?;
    if let Err(error) = only_ours {
        // Linux has IPV6_MULTICAST_ALL since 4.20, and nothing depends on it.
        log::warn!(
            "datagrams for memberships of other programs may arrive here: {}",
            words(&error)
        );
    }
    Ok(())
}

/// Sends multicast over the out interface, unless the kernel may choose it.
fn choose_interface(socket: &Socket, config: &NetsocketConfig, out: &End) -> io::Result<()> {
    let index = match out.index() {
        Some(0) => return Ok(()),
        Some(index) => index,
        None => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
    };
    match (config.group, out.address()) {
        (IpAddr::V4(_), Some(IpAddr::V4(address))) => {
            sys::set_multicast_interface_v4(socket, index, address)
        }
        (IpAddr::V4(_), _) => sys::set_multicast_interface_v4(socket, index, Ipv4Addr::UNSPECIFIED),
        (IpAddr::V6(_), _) => socket.set_multicast_if_v6(index),
    }
}

#[cfg(test)]
mod tests;
