//! How a file names an interface. Which one that is, if any, is for [`crate::place`] to find out.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

/// Linux's `ALTIFNAMSIZ` less the zero at the end: the longest name of an interface.
const LONGEST: usize = 127;

/// An interface as a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// By its name, or by an alternative one (`ip link property add ... altname`).
    Name(String),
    /// By its index, which only a zone can be.
    Index(u32),
    /// By one of its addresses; the interface has that name or index besides if there is a zone.
    Address {
        /// The address.
        address: IpAddr,
        /// What stands behind the `%`.
        zone: Option<String>,
    },
}

impl Link {
    /// Reads "eth0", "192.0.2.1", "2001:db8::1" or "fe80::1%eth0".
    ///
    /// # Errors
    /// What of it no interface can have.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, zone) = match text.split_once('%') {
            Some((address, zone)) => (address, Some(zone)),
            None => (text, None),
        };
        match (address.parse::<IpAddr>(), zone) {
            (Ok(address), _) if address.is_multicast() => Err("is a multicast address"),
            (Ok(address), _) if address.is_unspecified() => Err("is no address of an interface"),
            (Ok(address), Some(zone)) if is_name(zone) => Ok(Self::Address {
                address,
                zone: Some(zone.to_owned()),
            }),
            (Ok(address), None) => Ok(Self::Address {
                address,
                zone: None,
            }),
            (Err(_), None) if is_name(text) => Ok(Self::Name(text.to_owned())),
            _ => Err("is neither an address nor a name that an interface can have"),
        }
    }

    /// Reads a zone: "eth0", or an index.
    pub fn of_zone(zone: &str) -> Option<Self> {
        match zone.parse() {
            Ok(index) => Some(Self::Index(index)),
            Err(_) => is_name(zone).then(|| Self::Name(zone.to_owned())),
        }
    }

    /// The address that the file names it by, if it does; IPv4 datagrams are sent from it.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address { address, .. } => Some(*address),
            Self::Name(_) | Self::Index(_) => None,
        }
    }
}

/// The kernel takes no other names. What consists of digits and dots like an address is a mistyped
/// one, for which nobody should wait.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| !(c.is_whitespace() || c.is_control() || "/:%".contains(c));
    let like_address =
        text.split('.').count() == 4 && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    (1..=LONGEST).contains(&text.len())
        && text.chars().all(allowed)
        && !matches!(text, "." | "..")
        && !like_address
}

/// As the file has it.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "{index}"),
            Self::Address {
                address,
                zone: None,
            } => write!(f, "{address}"),
            Self::Address {
                address,
                zone: Some(zone),
            } => write!(f, "{address}%{zone}"),
        }
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_names_an_interface_reads_back_as_written() {
        for text in [
            "eth0",
            "eth0.100",
            "1.100",
            "an-alternative-name-longer-than-15-bytes",
            "192.0.2.1",
            "2001:db8::1",
            "fe80::1%eth0",
            "fe80::1%3",
        ] {
            assert_eq!(Link::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Link::of_zone("3"), Some(Link::Index(3)));
        assert_eq!(Link::of_zone("eth1").unwrap().to_string(), "eth1");
    }

    #[test]
    fn what_no_interface_can_have_is_an_error() {
        let long = "x".repeat(LONGEST + 1);
        for text in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "eth0%eth1",
            "192.0.2.256",
            "192.0.2.1%",
            "2001:db8::g",
            "ff08::1",
            "233.252.0.64",
            "::",
            "0.0.0.0",
            &long,
        ] {
            assert!(Link::parse(text).is_err(), "{text}");
        }
        assert_eq!(Link::of_zone(""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_link_that_reads_back_or_an_error(text in "\\PC{0,20}|[0-9a-f:.%]{0,20}") {
            if let Ok(link) = Link::parse(&text) {
                prop_assert_eq!(Link::parse(&link.to_string()), Ok(link));
            }
        }
    }
}
