//! Which sessions are printed, and how: the options of `jooldctl follow`.

use std::ffi::OsString;
use std::net::IpAddr;

use super::super::cli::mistaken;
use crate::ctlsocket::Directions;
use crate::engine::Prefix;
use crate::failure::Failure;
use crate::wire::session::{Protocol, Session};

/// What somebody wants to see. Of a kind that has nothing, whatever there is; otherwise what fits one of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Which ways.
    pub directions: Directions,
    /// Whether it is for programs.
    pub json: bool,
    /// Sessions with any address of these.
    pub addresses: Vec<Prefix>,
    /// Sessions with any of these ports.
    pub ports: Vec<u16>,
    /// Sessions of these protocols.
    pub protocols: Vec<Protocol>,
}

impl Wanted {
    /// Takes an option, the name of which is without dashes; `value` is asked for if it has one. Returns the
    /// option with them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in super::super) fn take(
        &mut self,
        name: &str,
        value: impl FnOnce() -> Result<OsString, Failure>,
    ) -> Result<&'static str, Failure> {
        match name {
            "direction" => {
                self.directions = directions_of(&value()?)?;
                Ok("--direction")
            }
            "address" => {
                self.addresses.push(prefix_of(&value()?)?);
                Ok("--address")
            }
            "port" => {
                self.ports.push(port_of(&value()?)?);
                Ok("--port")
            }
            "tcp" => {
                self.protocols.push(Protocol::Tcp);
                Ok("--tcp")
            }
            "udp" => {
                self.protocols.push(Protocol::Udp);
                Ok("--udp")
            }
            _ => {
                self.protocols.push(Protocol::Icmp);
                Ok("--icmp")
            }
        }
    }

    /// What the daemon is asked.
    pub(super) fn request(&self) -> String {
        format!("follow {}", self.directions.name())
    }

    /// Whether a session is wanted.
    pub(super) fn admits(&self, session: &Session) -> bool {
        let (source6, source4, destination4) =
            (session.source6, session.source4, session.destination4);
        let addresses: [IpAddr; 3] = [
            source6.0.into(),
            (*source4.ip()).into(),
            (*destination4.ip()).into(),
        ];
        let ports = [source6.1, source4.port(), destination4.port()];
        fits(&self.protocols, |one| *one == session.protocol)
            && fits(&self.ports, |one| ports.contains(one))
            && fits(&self.addresses, |one| {
                addresses.iter().any(|address| one.contains(*address))
            })
    }
}

/// Whether one of them fits, or there are none.
fn fits<T>(wanted: &[T], fits: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}

fn directions_of(value: &OsString) -> Result<Directions, Failure> {
    let directions = value.to_str().and_then(Directions::named);
    directions.ok_or_else(|| {
        mistaken(&format!(
            "--direction: {value:?} is wrong; expected out, in or both"
        ))
    })
}

fn prefix_of(value: &OsString) -> Result<Prefix, Failure> {
    let text = value.to_str().ok_or_else(|| "is no UTF-8".to_owned());
    text.and_then(Prefix::parse)
        .map_err(|problem| mistaken(&format!("--address: {value:?} {problem}")))
}

fn port_of(value: &OsString) -> Result<u16, Failure> {
    let port = value.to_str().and_then(|text| text.parse().ok());
    port.ok_or_else(|| {
        mistaken(&format!(
            "--port: {value:?} is wrong; expected a number from 0 to 65535"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session::State;

    fn session(protocol: Protocol) -> Session {
        super::super::tests::session(protocol, State::Established)
    }

    /// What options with values in one line want.
    fn wanted(line: &str) -> Wanted {
        let mut wanted = Wanted::default();
        let mut words = line.split_whitespace();
        while let Some(name) = words.next() {
            let value = || Ok(words.next().unwrap_or_default().into());
            let flag = wanted.take(name, value).unwrap();
            assert_eq!(flag, format!("--{name}"));
        }
        wanted
    }

    #[test]
    fn several_of_a_kind_are_alternatives_and_each_kind_has_to_fit() {
        for (line, fits) in [
            ("", true),
            ("tcp", true),
            ("udp", false),
            ("udp icmp tcp", true),
            ("address 2001:db8::8", true),
            ("address 2001:db8::/32", true),
            ("address 2001:db8::9", false),
            ("address 192.0.2.1", true),
            ("address 198.51.100.0/24", true),
            ("address 203.0.113.0/24", false),
            ("address ::/0", true),
            ("address 203.0.113.0/24 address 192.0.2.0/24", true),
            ("port 52974", true),
            ("port 63102", true),
            ("port 443", true),
            ("port 80", false),
            ("port 80 port 443", true),
            ("port 443 udp", false),
            ("port 443 address 203.0.113.1", false),
            ("port 443 address 192.0.2.1 tcp", true),
        ] {
            assert_eq!(wanted(line).admits(&session(Protocol::Tcp)), fits, "{line}");
        }
    }

    #[test]
    fn an_address_may_be_one_that_no_router_has() {
        // Jool has sessions with such destinations.
        let wanted = wanted("address 224.0.0.1");
        let destination4 = "224.0.0.1:5".parse().unwrap();
        assert!(wanted.admits(&Session {
            destination4,
            ..session(Protocol::Udp)
        }));
    }

    #[test]
    fn the_daemon_is_asked_for_a_direction_and_filters_nothing() {
        let wanted = wanted("direction both port 80");
        assert_eq!(wanted.request(), "follow both");
        assert_eq!(Wanted::default().request(), "follow out");
    }
}
