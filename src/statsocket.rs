//! The stats server: answers any datagram with the counters, as upstream's does.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

use crate::engine::Counters;
use crate::failure::Failure;

/// The server's socket.
pub struct StatSocket {
    /// For the reactor to register.
    pub socket: UdpSocket,
}

impl StatSocket {
    /// Listens on `port` of every address: in both families, or in IPv4 where IPv6 is off.
    ///
    /// # Errors
    /// When the port is taken, or the operating system refuses otherwise.
    pub fn open(port: u16) -> Result<Self, Failure> {
        let socket = listen(port).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "; give PORT another value, or end the program that has it"
                }
                _ => "",
            };
            let mut failure = Failure::system(
                format_args!("cannot open the stats server on UDP port {port}"),
                &error,
            );
            failure.message += hint;
            failure
        })?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into()),
        })
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers one request.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn answer(&self, counters: &Counters) -> io::Result<()> {
        // A request has no contents yet; its first byte is enough to take it off the queue.
        let mut request = [0; 1];
        let (_, client) = self.socket.recv_from(&mut request)?;
        let mut reply = [0; Counters::REPLY];
        let room = reply.len();
        let mut rest = &mut reply[..];
        counters.write_reply(&mut rest)?;
        let length = room - rest.len();
        match self.socket.send_to(&reply[..length], client) {
            // A client that is gone, or a full buffer: the client asks again if it wants to know.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result.map(drop),
        }
    }
}

fn listen(port: u16) -> io::Result<Socket> {
    let everywhere = [
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    ];
    match bind(everywhere[0]) {
        Err(error) if ipv6_is_off(&error) => bind(everywhere[1]),
        result => result,
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Without the protocol there is no such socket; with it disabled there is no such address.
fn ipv6_is_off(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}
