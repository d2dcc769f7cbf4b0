//! Where the stats server listens.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::Serializer;

use super::document::quote;
use super::port::{self, port_of};
use crate::failure::Failure;

/// Upstream's, where only the address is given.
const DEFAULT_PORT: u16 = 6401;

const EXPECTED: &str = "an address of this router, or :: for all of them";

/// The stats server's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsConfig {
    /// `::` is every address of both families, `0.0.0.0` every IPv4 address.
    pub address: IpAddr,
    /// The UDP port.
    pub port: u16,
}

/// The same on the command line. Without either, there is no server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsOptions {
    /// `--stats.address`
    pub address: Option<String>,
    /// Number or service name.
    pub port: Option<String>,
    /// What the port's place on the command line is called: `PORT` or `--stats.port`.
    pub port_name: &'static str,
}

impl StatsConfig {
    /// As a socket has it.
    pub fn socket(self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Every address of both families.
    pub fn is_everywhere(self) -> bool {
        self.address == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }
}

impl StatsOptions {
    /// What they say.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn config(&self) -> Result<Option<StatsConfig>, Failure> {
        if self.address.is_none() && self.port.is_none() {
            return Ok(None);
        }
        let port = self.port.as_deref().map_or(Ok(DEFAULT_PORT), port_of);
        let port = port.map_err(|problem| {
            let (name, expected) = (self.port_name, port::EXPECTED);
            Failure::usage(format!("{name}: {problem}; expected {expected}"))
        })?;
        let address = self.address.as_deref().unwrap_or("::");
        let address = address_of(address).map_err(|problem| {
            let shown = quote(address);
            Failure::usage(format!(
                "--stats.address: {shown} {problem}; expected {EXPECTED}"
            ))
        })?;
        Ok(Some(StatsConfig { address, port }))
    }
}

/// One socket has one address, so a name, which may have several, would answer at some of them only.
fn address_of(text: &str) -> Result<IpAddr, &'static str> {
    let address: IpAddr = text.parse().map_err(|_| "is no address")?;
    match address.to_canonical() {
        address if address.is_multicast() => Err("is a multicast address"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Err("means nothing without its link"),
        address => Ok(address),
    }
}

impl fmt::Display for StatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stats port {}", self.port)?;
        match self.is_everywhere() {
            true => Ok(()),
            false => write!(f, ", stats address {}", self.address),
        }
    }
}

/// As two keys, with nulls where there is no server.
pub(super) fn as_keys<S: Serializer>(
    stats: &Option<StatsConfig>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("stats address", &stats.map(|stats| stats.address))?;
    map.serialize_entry("stats port", &stats.map(|stats| stats.port))?;
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: Option<&str>, port: Option<&str>) -> Result<Option<StatsConfig>, String> {
        let options = StatsOptions {
            address: address.map(str::to_owned),
            port: port.map(str::to_owned),
            port_name: "PORT",
        };
        options.config().map_err(|failure| failure.message)
    }

    fn place(address: Option<&str>, port: Option<&str>) -> String {
        config(address, port).unwrap().unwrap().socket().to_string()
    }

    #[test]
    fn without_address_and_port_there_is_no_server() {
        assert_eq!(config(None, None), Ok(None));
    }

    #[test]
    fn either_has_upstreams_default_for_the_other() {
        assert_eq!(place(None, Some("45678")), "[::]:45678");
        assert_eq!(place(Some("192.0.2.1"), None), "192.0.2.1:6401");
        assert_eq!(place(Some("::ffff:127.0.0.1"), Some("1")), "127.0.0.1:1");
        let everywhere = config(Some("::"), None).unwrap().unwrap();
        assert!(everywhere.is_everywhere());
        assert!(
            !config(Some("0.0.0.0"), None)
                .unwrap()
                .unwrap()
                .is_everywhere()
        );
    }

    #[test]
    fn what_no_server_can_have_is_refused_with_what_it_can() {
        for (address, problem) in [
            ("localhost", "is no address"),
            ("", "is no address"),
            ("192.0.2.256", "is no address"),
            ("fe80::1%eth0", "is no address"),
            ("fe80::1", "means nothing without its link"),
            ("233.252.0.64", "is a multicast address"),
        ] {
            assert_eq!(
                config(Some(address), None).unwrap_err(),
                format!("--stats.address: \"{address}\" {problem}; expected {EXPECTED}")
            );
        }
        assert!(
            config(None, Some("0"))
                .unwrap_err()
                .starts_with("PORT: 0 is out of range")
        );
    }
}
