//! Whose datagrams are taken at all: `"allow from"` of the network file.
//!
//! Each datagram's source is compared with one prefix after the other, for there are few of them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Addresses that begin alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The first of them, as [`bits`] has it.
    network: u128,
    /// One bits where they are alike, and zeros behind.
    mask: u128,
    is_ipv4: bool,
}

/// An address as a number, IPv4's as IPv6 writes them (`::ffff:192.0.2.1`).
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Prefix {
    /// All addresses that have their first `length` bits in common with `address`.
    fn around(address: IpAddr, length: u8) -> Self {
        let ones = match address {
            IpAddr::V4(_) => 96 + u32::from(length),
            IpAddr::V6(_) => length.into(),
        };
        let mask = u128::MAX.checked_shl(128 - ones.min(128)).unwrap_or(0);
        let network = bits(address) & mask;
        let is_mapped = Ipv6Addr::from_bits(network).to_ipv4_mapped().is_some();
        Self {
            network,
            mask,
            is_ipv4: is_mapped && ones >= 96,
        }
    }

    /// Reads an address, or one with the number of the bits that matter behind a slash; any that there are,
    /// whereas [`FromStr`] takes only what routers send from.
    ///
    /// # Errors
    /// What is wrong, to follow the text in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        if address.contains('%') {
            return Err("has a zone, which is not compared; leave it out".to_owned());
        }
        let address: IpAddr = address
            .parse()
            .map_err(|_| "is neither an address nor a prefix".to_owned())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(digits) => number(digits).filter(|length| *length <= whole),
            None => Some(whole),
        };
        let length =
            length.ok_or_else(|| format!("has no number from 0 to {whole} behind its \"/\""))?;
        let prefix = Self::around(address, length);
        if bits(prefix.network()) != bits(address) {
            return Err(format!(
                "has bits set behind its first {length}; write \"{prefix}\" or \"{address}\""
            ));
        }
        Ok(prefix)
    }

    /// Whether the address is one of them. Its scope is not looked at.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        bits(address) & self.mask == self.network && address.is_ipv4() == self.is_ipv4
    }

    /// The first address.
    pub fn network(&self) -> IpAddr {
        let address = IpAddr::V6(Ipv6Addr::from_bits(self.network));
        if self.is_ipv4 {
            address.to_canonical()
        } else {
            address
        }
    }

    /// How many bits the addresses have in common; nothing if there is one address only.
    fn length(&self) -> Option<u32> {
        let length = self.mask.count_ones();
        (length < 128).then_some(if self.is_ipv4 { length - 96 } else { length })
    }
}

impl FromStr for Prefix {
    /// What is wrong, to follow the text in a sentence.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let prefix = Self::parse(text)?;
        let network = prefix.network();
        if network.is_multicast() || (network.is_unspecified() && prefix.length().is_none()) {
            return Err("is nothing that a router sends from".to_owned());
        }
        Ok(prefix)
    }
}

/// Digits and nothing else, unlike `u8::from_str`.
fn number(digits: &str) -> Option<u8> {
    let digits = Some(digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits?.parse().ok()
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length() {
            Some(length) => write!(f, "{}/{length}", self.network()),
            None => write!(f, "{}", self.network()),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The sources whose datagrams are taken: those with one of the prefixes, or, without any, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    prefixes: Vec<Prefix>,
}

impl AllowList {
    /// How many prefixes there may be: each costs a moment with every datagram.
    pub const MOST: usize = 256;

    /// Datagrams from everybody are taken.
    pub const EVERYBODY: Self = Self {
        prefixes: Vec::new(),
    };

    /// Those from these alone. From everybody, if there are none.
    pub fn new(prefixes: Vec<Prefix>) -> Self {
        Self { prefixes }
    }

    /// The prefixes, in the file's order. None: everybody.
    pub fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }

    /// Whether a datagram from there is taken. Its scope is not looked at.
    pub fn admits(&self, source: IpAddr) -> bool {
        if self.prefixes.is_empty() {
            return true;
        }
        self.prefixes.iter().any(|prefix| prefix.contains(source))
    }
}

/// As the log has it: not too long.
impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TOLD: usize = 10;
        if self.prefixes.is_empty() {
            return f.write_str("everybody");
        }
        for (n, prefix) in self.prefixes.iter().take(TOLD).enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{prefix}")?;
        }
        match self.prefixes.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn list(texts: &[&str]) -> AllowList {
        AllowList::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn problem(text: &str) -> String {
        text.parse::<Prefix>().unwrap_err()
    }

    fn admits(list: &AllowList, source: &str) -> bool {
        list.admits(source.parse().unwrap())
    }

    #[test]
    fn without_a_list_everybody_is_admitted() {
        for source in ["192.0.2.1", "2001:db8::1", "fe80::1"] {
            assert!(admits(&AllowList::EVERYBODY, source));
        }
    }

    #[test]
    fn an_address_admits_itself_alone() {
        let list = list(&["2001:db8::2", "192.0.2.7"]);
        assert!(admits(&list, "2001:db8::2") && admits(&list, "192.0.2.7"));
        for other in ["2001:db8::3", "2001:db8:1::2", "192.0.2.6", "::", "0.0.0.0"] {
            assert!(!admits(&list, other), "{other}");
        }
    }

    #[test]
    fn a_prefix_admits_its_first_and_its_last_address_and_not_their_neighbours() {
        let list = list(&["2001:db8::/33", "192.0.2.64/26"]);
        for (source, admitted) in [
            ("2001:db8::", true),
            ("2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", true),
            ("2001:db8:8000::", false),
            ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("192.0.2.64", true),
            ("192.0.2.127", true),
            ("192.0.2.63", false),
            ("192.0.2.128", false),
        ] {
            assert_eq!(admits(&list, source), admitted, "{source}");
        }
    }

    #[test]
    fn a_prefix_of_no_length_admits_its_family_alone() {
        assert!(admits(&list(&["::/0"]), "2001:db8::1"));
        assert!(!admits(&list(&["::/0"]), "192.0.2.1"));
        assert!(admits(&list(&["0.0.0.0/0"]), "192.0.2.1"));
        assert!(!admits(&list(&["0.0.0.0/0"]), "2001:db8::1"));
    }

    #[test]
    fn ipv4_written_as_ipv6_is_ipv4_on_both_sides() {
        assert!(admits(&list(&["192.0.2.0/24"]), "::ffff:192.0.2.1"));
        let mapped = list(&["::ffff:192.0.2.0/120", "::ffff:198.51.100.1"]);
        assert_eq!(mapped.to_string(), "192.0.2.0/24, 198.51.100.1");
        assert!(admits(&mapped, "192.0.2.255") && !admits(&mapped, "192.0.3.0"));
    }

    #[test]
    fn what_is_no_prefix_is_told_why() {
        let whole = "has no number from 0 to 128 behind its \"/\"";
        for (text, expected) in [
            ("", "is neither an address nor a prefix"),
            ("router.example", "is neither an address nor a prefix"),
            ("192.0.2", "is neither an address nor a prefix"),
            ("/24", "is neither an address nor a prefix"),
            (
                "fe80::1%eth0",
                "has a zone, which is not compared; leave it out",
            ),
            (
                "fe80::%eth0/64",
                "has a zone, which is not compared; leave it out",
            ),
            ("2001:db8::/129", whole),
            ("2001:db8::/", whole),
            ("2001:db8::/+4", whole),
            ("2001:db8::/32/32", whole),
            (
                "192.0.2.0/255.255.255.0",
                "has no number from 0 to 32 behind its \"/\"",
            ),
            (
                "192.0.2.0/33",
                "has no number from 0 to 32 behind its \"/\"",
            ),
            ("ff08::db8:64:64", "is nothing that a router sends from"),
            ("233.252.0.0/24", "is nothing that a router sends from"),
            ("::", "is nothing that a router sends from"),
            ("0.0.0.0", "is nothing that a router sends from"),
        ] {
            assert_eq!(problem(text), expected, "{text}");
        }
    }

    #[test]
    fn bits_behind_a_prefix_are_refused_with_what_may_be_meant() {
        for (text, expected) in [
            (
                "2001:db8::1/32",
                "has bits set behind its first 32; write \"2001:db8::/32\" or \"2001:db8::1\"",
            ),
            (
                "192.0.2.7/24",
                "has bits set behind its first 24; write \"192.0.2.0/24\" or \"192.0.2.7\"",
            ),
        ] {
            assert_eq!(problem(text), expected);
        }
    }

    #[test]
    fn a_long_list_is_short_in_the_log() {
        assert_eq!(AllowList::EVERYBODY.to_string(), "everybody");
        let long = list(&["192.0.2.1"; 12]);
        assert!(long.to_string().ends_with(", 192.0.2.1 and 2 more"));
    }

    /// Whether the first `length` bits are the same: bit by bit, as a person would compare.
    fn begin_alike(one: &[u8], other: &[u8], length: u8) -> bool {
        (0..usize::from(length)).all(|bit| {
            let of = |octets: &[u8]| octets[bit / 8] >> (7 - bit % 8) & 1;
            of(one) == of(other)
        })
    }

    proptest! {
        #[test]
        fn a_prefix_of_ipv6_admits_what_begins_alike(
            address in any::<u128>(), flip in 0u32..128, length in 0u8..=128,
        ) {
            let (address, other) = (address, address ^ (1 << flip));
            let [address, other] = [address, other].map(Ipv6Addr::from_bits);
            prop_assume!(address.to_ipv4_mapped().is_none() && other.to_ipv4_mapped().is_none());
            let list = AllowList::new(vec![Prefix::around(address.into(), length)]);
            prop_assert!(list.admits(address.into()));
            let alike = begin_alike(&address.octets(), &other.octets(), length);
            prop_assert_eq!(list.admits(other.into()), alike);
        }

        #[test]
        fn a_prefix_of_ipv4_admits_what_begins_alike(
            address in any::<u32>(), flip in 0u32..32, length in 0u8..=32,
        ) {
            let [address, other] = [address, address ^ (1 << flip)].map(Ipv4Addr::from_bits);
            let list = AllowList::new(vec![Prefix::around(address.into(), length)]);
            prop_assert!(list.admits(address.into()));
            prop_assert!(list.admits(address.to_ipv6_mapped().into()));
            let alike = begin_alike(&address.octets(), &other.octets(), length);
            prop_assert_eq!(list.admits(other.into()), alike);
        }

        #[test]
        fn a_prefix_reads_back_as_written(address in any::<u128>(), length in 0u8..=128) {
            let prefix = Prefix::around(Ipv6Addr::from_bits(address).into(), length);
            match prefix.to_string().parse::<Prefix>() {
                Ok(read) => prop_assert_eq!(read, prefix),
                Err(problem) => prop_assert!(problem.contains("nothing that a router sends from")),
            }
        }

        #[test]
        fn any_text_is_a_prefix_or_a_problem(text in "[0-9a-f:./%]{0,24}|.{0,9}") {
            let _ = text.parse::<Prefix>();
        }
    }
}
