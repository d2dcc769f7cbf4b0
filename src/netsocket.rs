//! The socket to the peers: a UDP socket in the multicast group.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::config::NetsocketConfig;
use crate::failure::{Failure, words};
use crate::sys;
use crate::wire::request::Add;

/// The longest payload of a UDP datagram, in either family.
const LONGEST: usize = u16::MAX as usize;

/// The multicast socket, and the buffer that it receives into, with room in front of it for the
/// headers of the request that a datagram becomes.
pub struct NetSocket {
    /// For the reactor to register.
    pub socket: UdpSocket,
    destination: SocketAddr,
    buffer: Box<[u8]>,
}

impl NetSocket {
    /// Opens the socket, joins the group and sets the multicast options, as upstream does.
    ///
    /// # Errors
    /// When the operating system refuses; the message says what and where.
    pub fn open(config: &NetsocketConfig) -> Result<Self, Failure> {
        let socket = bind(config)?;
        join(&socket, config)?;
        set_options(&socket, config)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into()),
            destination: config.address(),
            buffer: vec![0; Add::HEADROOM + LONGEST].into_boxed_slice(),
        })
    }

    /// Receives one datagram behind the headroom; returns its length and source.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn receive(&mut self) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(&mut self.buffer[Add::HEADROOM..])
    }

    /// The buffer, headroom included.
    pub fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Sends one datagram to the group.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the socket's buffer is full.
    pub fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.socket.send_to(datagram, self.destination)
    }
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
    let Some(link) = &config.outgoing else {
        return Ok(());
    };
    let chosen = match (config.group, link.address) {
        (IpAddr::V4(_), Some(IpAddr::V4(address))) => socket.set_multicast_if_v4(&address),
        (IpAddr::V4(_), _) => sys::set_multicast_interface_v4(socket, link.index),
        (IpAddr::V6(_), _) => socket.set_multicast_if_v6(link.index),
    };
    chosen.map_err(|error| Failure::system(format_args!("cannot send over {link}"), &error))
}
