//! The stats server: answers any datagram with the counters, as upstream's does, but nobody without
//! end: see [`crate::share`]. Whom the operator trusts may ask for all numbers.

use std::hash::RandomState;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::StatsConfig;
use crate::engine::Counters;
use crate::exposition::Format;
use crate::failure::Failure;
use crate::share::{self, Refusal, Shares};

/// The server's socket, and what went out of it.
pub struct StatSocket {
    /// For the reactor to register.
    pub socket: UdpSocket,
    shares: Shares,
}

/// Somebody asked for the counters.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    client: SocketAddr,
    /// How it begins.
    contents: [u8; share::LOOKED_AT],
    length: usize,
}

impl Request {
    /// Where it comes from, if that is not forged. IPv4 addresses are written as such.
    pub fn source(&self) -> SocketAddr {
        match self.client.ip().to_canonical() {
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, self.client.port()),
            IpAddr::V6(_) => self.client,
        }
    }
}

impl Request {
    /// In which format it asks for all numbers; nothing if it does not. The answer to a request for
    /// comma-separated values is the old one.
    pub fn format(&self) -> Option<Format> {
        let contents = self.contents.get(..self.length)?;
        let word = contents.strip_suffix(b"\n").unwrap_or(contents);
        let formats = [Format::Lines, Format::Json, Format::Prometheus];
        let mut formats = formats.into_iter();
        formats.find(|format| format.name().as_bytes() == word)
    }
}

/// How long an answer may be: what a datagram can carry, and some left for headers.
pub(crate) const LONGEST: usize = 65_000;

/// As many whole lines of `text` as fit into an answer.
fn whole_lines(text: &str) -> &str {
    let Some(start) = text.as_bytes().get(..LONGEST) else {
        return text;
    };
    let end = start.iter().rposition(|&byte| byte == b'\n');
    text.get(..end.map_or(0, |end| end + 1)).unwrap_or_default()
}

impl StatSocket {
    /// Listens where `config` says. On every address: in both families, or in IPv4 where IPv6 is off.
    ///
    /// # Errors
    /// When the port is taken, or the operating system refuses otherwise.
    pub fn open(config: StatsConfig) -> Result<Self, Failure> {
        let socket = listen(config).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "; choose another port, or end the program that has it",
                _ => "",
            };
            let port = config.port;
            let mut failure = Failure::system(
                match config.is_everywhere() {
                    true => format!("cannot open the stats server on UDP port {port}"),
                    false => format!("cannot open the stats server at {}", config.socket()),
                },
                &error,
            );
            failure.message += hint;
            failure
        })?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into()),
            shares: Shares::new(config.port, RandomState::new(), Instant::now()),
        })
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Receives one request. It may be empty.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    pub fn receive(&self) -> io::Result<Request> {
        let mut contents = [0; share::LOOKED_AT];
        let (length, client) = self.socket.recv_from(&mut contents)?;
        Ok(Request {
            client,
            contents,
            length,
        })
    }

    /// Whether the request is to be answered; if so, it counts for its client's share.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit(&mut self, now: Instant, request: &Request) -> Result<(), Refusal> {
        let contents = request.contents.get(..request.length).unwrap_or_default();
        self.shares.take(now, request.client, contents)
    }

    /// Whether an admitted request may have a long answer.
    ///
    /// # Errors
    /// Why it gets none.
    pub fn admit_long(&mut self, now: Instant, request: &Request) -> Result<(), Refusal> {
        self.shares.take_long(now, request.client)
    }

    /// Answers a request with `text`, which is cut at the end of a line if it is too long.
    ///
    /// # Errors
    /// Those of sendto(2).
    pub fn reply_with(&self, request: &Request, text: &str) -> io::Result<()> {
        let lines = whole_lines(text).as_bytes();
        self.socket.send_to(lines, request.client)?;
        Ok(())
    }

    /// Answers a request with upstream's counters.
    ///
    /// # Errors
    /// Those of sendto(2).
    pub fn reply(&self, request: &Request, counters: &Counters) -> io::Result<()> {
        let mut reply = [0; Counters::REPLY];
        let room = reply.len();
        let mut rest = &mut reply[..];
        counters.write_reply(&mut rest)?;
        let length = room - rest.len();
        self.socket.send_to(&reply[..length], request.client)?;
        Ok(())
    }
}

fn listen(config: StatsConfig) -> io::Result<Socket> {
    match bind(config.socket()) {
        Err(error) if config.is_everywhere() && ipv6_is_off(&error) => {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, config.port)))
        }
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
    // An address may come later, as that of a router which takes over does, or not be ready yet.
    match address.ip() {
        IpAddr::V4(ip) if !ip.is_unspecified() => socket.set_freebind_v4(true)?,
        IpAddr::V6(ip) if !ip.is_unspecified() => socket.set_freebind_v6(true)?,
        IpAddr::V4(_) => (),
        IpAddr::V6(_) => socket.set_only_v6(false)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn request(contents: &[u8]) -> Request {
        let mut room = [0; share::LOOKED_AT];
        room[..contents.len()].copy_from_slice(contents);
        Request {
            client: SocketAddr::from(([127, 0, 0, 1], 1)),
            contents: room,
            length: contents.len(),
        }
    }

    #[test]
    fn only_the_very_words_ask_for_all_numbers() {
        for (contents, format) in [
            (&b"json"[..], Some(Format::Json)),
            (b"json\n", Some(Format::Json)),
            (b"prometheus\n", Some(Format::Prometheus)),
            (b"all", Some(Format::Lines)),
            (b"", None),
            (b"\n", None),
            (b"csv", None),
            (b"JSON", None),
            (b"json\n\n", None),
            (b"json \n", None),
            (b"jsonjsonjsonjsonj", None),
        ] {
            assert_eq!(request(contents).format(), format, "{contents:?}");
        }
    }

    #[test]
    fn what_is_too_long_ends_with_a_whole_line() {
        let line = "x".repeat(99) + "\n";
        assert_eq!(whole_lines(&line.repeat(650)).len(), 65_000);
        assert_eq!(whole_lines(&line.repeat(651)).len(), 65_000);
        assert_eq!(
            whole_lines(&("x\n".to_owned() + &"x".repeat(LONGEST))),
            "x\n"
        );
        assert_eq!(whole_lines(&"x".repeat(LONGEST + 1)), "");
        // In the middle of a letter.
        assert_eq!(
            whole_lines(&("\n".to_owned() + &"\u{e9}".repeat(LONGEST))),
            "\n"
        );
    }
}
