//! The socket to the peers: a UDP socket in the multicast group.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr};

use mio::net::UdpSocket;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

use crate::config::NetsocketConfig;
use crate::failure::{Failure, words};
use crate::outbox::{self, Outbox};
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

/// What IPv6 guarantees to carry in one packet, less the headers of IPv6 and UDP.
const SURELY_CARRIED: usize = 1280 - 40 - 8;

/// The multicast socket, and the slots that it receives into.
pub struct NetSocket {
    /// For the reactor to register.
    pub socket: UdpSocket,
    destination: SockAddr,
    payload: usize,
    receive_buffer: u32,
    slots: Box<[u8]>,
    inbox: Inbox,
    /// How many datagrams the socket has dropped, as far as is known.
    dropped: u32,
    /// Whether datagrams filled all slots since the socket was empty.
    was_full: bool,
    sendings: Sendings,
    /// Whether the kernel may cut datagrams out of one stretch of bytes.
    segmentation: bool,
}

impl NetSocket {
    /// Opens the socket, joins the group and sets the multicast options, as upstream does.
    ///
    /// # Errors
    /// When the operating system refuses; the message says what and where.
    pub fn open(config: &NetsocketConfig) -> Result<Self, Failure> {
        let socket = bind(config)?;
        let receive_buffer =
            sys::set_receive_buffer(&socket, config.receive_buffer).map_err(|error| {
                let bytes = config.receive_buffer;
                Failure::system(
                    format_args!("cannot set the receive buffer to {bytes} bytes"),
                    &error,
                )
            })?;
        if let Err(error) = sys::count_overruns(&socket) {
            log::warn!("what the socket drops is counted late: {}", words(&error));
        }
        join(&socket, config)?;
        set_options(&socket, config)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into()),
            destination: config.address().into(),
            payload: payload(config),
            receive_buffer,
            slots: vec![0; SLOTS * SLOT].into_boxed_slice(),
            inbox: Inbox::new(SLOTS),
            dropped: 0,
            was_full: false,
            sendings: Sendings::with_capacity(outbox::MOST, outbox::MOST),
            segmentation: true,
        })
    }

    /// How many bytes of sessions one packet carries to the peers.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// The bytes that the receive buffer has in effect.
    pub fn receive_buffer(&self) -> u32 {
        self.receive_buffer
    }

    /// Receives datagrams into the slots, behind the headroom. Returns how many; fewer than
    /// [`SLOTS`] means that there are no more.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn receive(&mut self) -> io::Result<usize> {
        let places = self.slots.chunks_exact_mut(SLOT);
        let places = places.map(|slot| &mut slot[Add::HEADROOM..Add::HEADROOM + LONGEST]);
        self.inbox.receive(&self.socket, places)
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
        let dropped = if received == SLOTS {
            self.was_full = true;
            self.inbox.dropped(received - 1)
        } else if mem::take(&mut self.was_full) {
            // What was dropped last, no datagram tells; but a buffer that was full fills all slots
            // before it is empty. Before Linux 4.12 the next datagram has to do.
            sys::dropped(&self.socket).ok()
        } else {
            received.checked_sub(1).and_then(|n| self.inbox.dropped(n))
        };
        dropped.map_or(0, |dropped| self.newly(dropped))
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

    /// Sends what is in `outbox` to the group. Returns how many of its datagrams were sent, from
    /// the first.
    ///
    /// # Errors
    /// About the first datagram; [`io::ErrorKind::WouldBlock`] when the socket's buffer is full.
    pub fn send(&mut self, outbox: &Outbox) -> io::Result<usize> {
        if !self.segmentation {
            return self.send_runs(outbox, false);
        }
        match self.send_runs(outbox, true) {
            Err(error) if cannot_be_cut(&error) => {
                let sent = self.send_runs(outbox, false)?;
                self.segmentation = false;
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

    fn send_runs(&mut self, outbox: &Outbox, joined: bool) -> io::Result<usize> {
        let sendings = outbox.runs(joined).map(|run| Sending {
            pieces: run.pieces(),
            segment: u16::try_from(run.segment)
                .ok()
                .filter(|_| run.datagrams > 1),
        });
        let sent = self
            .sendings
            .send(&self.socket, &self.destination, sendings)?;
        let runs = outbox.runs(joined).take(sent);
        Ok(runs.map(|run| run.datagrams).sum())
    }
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

/// How many bytes of sessions one packet carries to the group.
fn payload(config: &NetsocketConfig) -> usize {
    let probe = || {
        let destination = config.address();
        let socket = Socket::new(
            Domain::for_address(destination),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        choose_interface(&socket, config)?;
        socket.connect(&destination.into())?;
        let headers = if destination.is_ipv6() { 40 } else { 20 } + 8;
        let mtu = sys::mtu(&socket, destination.is_ipv6())?;
        Ok(mtu.saturating_sub(headers))
    };
    probe()
        .unwrap_or_else(|error: io::Error| {
            log::warn!(
                "cannot find out how long a packet to {} may be; up to {SURELY_CARRIED} bytes of \
                 sessions travel together: {}",
                config.group,
                words(&error)
            );
            SURELY_CARRIED
        })
        .min(LONGEST)
}

fn bind(config: &NetsocketConfig) -> Result<Socket, Failure> {
    let local = config.address();
    let open = || {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Another joold of this host, for another instance, may use the same group and port.
        socket.set_reuse_address(true)?;
        // Bound to the group itself, so that nothing sent to other addresses arrives here.
        socket.bind(&local.into())?;
        Ok(socket)
    };
    open().map_err(|error: io::Error| {
        Failure::system(format_args!("cannot open a UDP socket on {local}"), &error)
    })
}

fn join(socket: &Socket, config: &NetsocketConfig) -> Result<(), Failure> {
    let index = config.membership().map_or(0, |link| link.index);
    let joined = match config.group {
        IpAddr::V4(group) => {
            let place = match index {
                0 => InterfaceIndexOrAddress::Address(Ipv4Addr::UNSPECIFIED),
                index => InterfaceIndexOrAddress::Index(index),
            };
            socket.join_multicast_v4_n(&group, &place)
        }
        IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
    };
    joined.map_err(|error| {
        let place = match config.membership() {
            Some(link) => format!("on {}", link.name),
            None => "on the interface that the routes lead to; name one with \"in interface\""
                .to_owned(),
        };
        Failure::system(
            format_args!("cannot join the group {} {place}", config.group),
            &error,
        )
    })
}

fn set_options(socket: &Socket, config: &NetsocketConfig) -> Result<(), Failure> {
    let ttl = u32::from(config.ttl);
    let (no_loop, hops, only_ours) = match config.group {
        IpAddr::V4(_) => (
            socket.set_multicast_loop_v4(false),
            socket.set_multicast_ttl_v4(ttl),
            socket.set_multicast_all_v4(false),
        ),
        IpAddr::V6(_) => (
            socket.set_multicast_loop_v6(false),
            socket.set_multicast_hops_v6(ttl),
            socket.set_multicast_all_v6(false),
        ),
    };
    no_loop.map_err(|error| Failure::system("cannot turn multicast loopback off", &error))?;
    hops.map_err(|error| Failure::system(format_args!("cannot set the ttl to {ttl}"), &error))?;
    if let Err(error) = only_ours {
        // Linux has IPV6_MULTICAST_ALL since 4.20, and nothing depends on it.
        log::warn!(
            "datagrams for memberships of other programs may arrive here: {}",
            words(&error)
        );
    }
    choose_interface(socket, config).map_err(|error| {
        let place = config.outgoing.as_ref().map(ToString::to_string);
        let place = place.unwrap_or_default();
        Failure::system(format_args!("cannot send over {place}"), &error)
    })
}

/// Sends multicast over the out interface, if the file names one.
fn choose_interface(socket: &Socket, config: &NetsocketConfig) -> io::Result<()> {
    let Some(link) = &config.outgoing else {
        return Ok(());
    };
    match (config.group, link.address) {
        (IpAddr::V4(_), Some(IpAddr::V4(address))) => socket.set_multicast_if_v4(&address),
        (IpAddr::V4(_), _) => sys::set_multicast_interface_v4(socket, link.index),
        (IpAddr::V6(_), _) => socket.set_multicast_if_v6(link.index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket as Plain;

    /// A socket that receives from `[::1]`, with room for few datagrams.
    fn socket() -> NetSocket {
        let socket = Plain::bind("[::1]:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        sys::set_receive_buffer(&socket, 131_072).unwrap();
        sys::count_overruns(&socket).unwrap();
        NetSocket {
            destination: socket.local_addr().unwrap().into(),
            socket: UdpSocket::from_std(socket),
            payload: 1452,
            receive_buffer: 0,
            slots: vec![0; SLOTS * SLOT].into_boxed_slice(),
            inbox: Inbox::new(SLOTS),
            dropped: 0,
            was_full: false,
            sendings: Sendings::with_capacity(1, 1),
            segmentation: true,
        }
    }

    #[test]
    fn what_is_dropped_while_datagrams_are_handled_is_counted_once() {
        const EACH_TIME: usize = 500;
        let mut socket = socket();
        let to = socket.socket.local_addr().unwrap();
        let sender = Plain::bind("[::1]:0").unwrap();
        let flood = |count| (0..count).for_each(|_| drop(sender.send_to(&[0; 1440], to)));
        let (mut sent, mut received, mut lost) = (0, 0, 0);
        // From the second time on, the datagrams tell of earlier losses.
        for _ in 0..3 {
            flood(SLOTS + 1);
            for during in [0, EACH_TIME, 0] {
                let count = socket.receive().unwrap_or(0);
                flood(during);
                lost += u64::from(socket.lost(count));
                received += count;
            }
            loop {
                let count = socket.receive().unwrap_or(0);
                lost += u64::from(socket.lost(count));
                received += count;
                if count == 0 {
                    break;
                }
            }
            sent += SLOTS + 1 + EACH_TIME;
        }
        assert!(lost > 0);
        assert_eq!(received as u64 + lost, sent as u64);
    }
}
