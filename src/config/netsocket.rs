//! The network file: which multicast group carries the sessions, and over which interfaces.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::document::{Entry, quote};
use super::extensions::{self, ExtensionsConfig};
use super::{Document, Link, Origin, allow, port};
use crate::engine::{AllowList, Prefix};
use crate::failure::Failure;

pub(super) const ADDRESS: &str = "multicast address";
pub(super) const PORT: &str = "multicast port";
pub(super) const IN: &str = "in interface";
pub(super) const OUT: &str = "out interface";
pub(super) const TTL: &str = "ttl";
const RECEIVE_BUFFER: &str = "receive buffer";
const ALLOW_FROM: &str = "allow from";
const STATS_ALLOW: &str = "stats allow";
const KEYS: [&str; 8] = [
    ADDRESS,
    PORT,
    IN,
    OUT,
    TTL,
    RECEIVE_BUFFER,
    ALLOW_FROM,
    STATS_ALLOW,
];

const DEFAULT_TTL: u8 = 1;

/// About 3,500 full datagrams: what a peer sends in some 15 ms at its best. The memory is only
/// taken while datagrams wait.
const DEFAULT_RECEIVE_BUFFER: u32 = 4 << 20;

/// The network file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetsocketConfig {
    /// `"multicast address"`: the group. IPv4 or IPv6; mandatory.
    #[serde(rename = "multicast address")]
    pub group: IpAddr,
    /// `"multicast port"`: the UDP port; mandatory.
    #[serde(rename = "multicast port")]
    pub port: u16,
    /// `"in interface"`: where the group is joined. Default: the kernel chooses, by its routes.
    #[serde(rename = "in interface")]
    pub incoming: Option<Link>,
    /// `"out interface"`: where datagrams leave. Default: the kernel chooses, by its routes.
    #[serde(rename = "out interface")]
    pub outgoing: Option<Link>,
    /// `"ttl"`: IPv4 time to live or IPv6 hop limit of what is sent. Default: 1.
    pub ttl: u8,
    /// `"receive buffer"`: bytes of received datagrams that the kernel keeps until they are read.
    /// Default: 4 MiB.
    #[serde(rename = "receive buffer")]
    pub receive_buffer: u32,
    /// `"allow from"`: whose datagrams are taken. Default: everybody's.
    #[serde(rename = "allow from", serialize_with = "allow::as_texts")]
    pub allowed: AllowList,
    /// `"stats allow"`: to whom, besides this host, the stats server tells all numbers. Default: nobody.
    #[serde(rename = "stats allow", serialize_with = "allow::prefixes_as_texts")]
    pub stats_allowed: Vec<Prefix>,
    /// What upstream's daemon does not do.
    #[serde(flatten)]
    pub extensions: ExtensionsConfig,
}

/// What the names in the file are resolved with. Those of interfaces are not: they come and go while
/// the daemon runs.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Finds the address of a host.
    pub host: fn(&str) -> Option<IpAddr>,
}

impl Surroundings {
    /// Those of this machine.
    pub fn here() -> Self {
        Self {
            host: |name| dns_lookup::lookup_host(name).ok()?.next(),
        }
    }
}

impl NetsocketConfig {
    /// Takes the keys out of `document`. Also returns warnings.
    ///
    /// # Errors
    /// When a mandatory key is missing, or a value is none that its key can have.
    pub fn from_document(
        mut document: Document,
        surroundings: &Surroundings,
    ) -> Result<(Self, Vec<String>), Failure> {
        let link = |entry: Entry| link(&entry);
        let (group, zone) = group(&document.require(ADDRESS, EXPECTED_GROUP)?, surroundings)?;
        let port = port_number(&document.require(PORT, port::EXPECTED)?)?;
        let incoming = document.take(IN).map(link).transpose()?;
        let outgoing = document.take(OUT).map(link).transpose()?;
        let (mut incoming, mut outgoing) = (incoming.or_else(|| zone.clone()), outgoing.or(zone));
        if needs_scope(group) {
            // Such a group lives on one link: whoever names it once has named it twice.
            incoming = incoming.or_else(|| outgoing.clone());
            outgoing = outgoing.or_else(|| incoming.clone());
        }
        let ttl = document
            .take(TTL)
            .map_or(Ok(DEFAULT_TTL), |entry| ttl(&entry))?;
        let receive_buffer = document
            .take(RECEIVE_BUFFER)
            .map_or(Ok(DEFAULT_RECEIVE_BUFFER), |entry| {
                entry.within(131_072..=1 << 30, EXPECTED_RECEIVE_BUFFER)
            })?;
        let (allowed, strange) = match document.take(ALLOW_FROM) {
            Some(entry) => allow::list(&entry, group)?,
            None => (AllowList::EVERYBODY, Vec::new()),
        };
        let stats_allowed = document
            .take(STATS_ALLOW)
            .map_or(Ok(Vec::new()), |entry| allow::askers(&entry))?;
        let extensions = ExtensionsConfig::from_document(&mut document)?;
        let config = Self {
            group,
            port,
            incoming,
            outgoing,
            ttl,
            receive_buffer,
            allowed,
            stats_allowed,
            extensions,
        };
        config.check_scope(document.origin())?;
        let mut warnings = document.finish(&[&KEYS[..], &extensions::KEYS].concat());
        warnings.extend(strange);
        Ok((config, warnings))
    }

    /// A link-local group lives on one link. Whether two names are one link's, only the interfaces
    /// tell.
    fn check_scope(&self, origin: &Origin) -> Result<(), Failure> {
        match self.incoming {
            None if self.needs_scope() => Err(self.wrong_link(origin, "must name its link")),
            _ => Ok(()),
        }
    }

    /// An error about the interfaces of a link-local group.
    pub fn wrong_link(&self, origin: &Origin, problem: &str) -> Failure {
        let (place, group) = (origin.place(ADDRESS), self.group);
        let [incoming, outgoing] = [IN, OUT].map(|key| origin.name(key));
        origin.failure(format!(
            "{place}: {group} is a link-local group; {incoming} and {outgoing} {problem}"
        ))
    }

    /// Whether the group is one of many of that address, each on a link of its own.
    pub fn needs_scope(&self) -> bool {
        needs_scope(self.group)
    }
}

/// Interface-local and link-local groups mean nothing without their link (RFC 4007).
fn needs_scope(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => matches!(ip.octets()[1] & 0xf, 1 | 2),
    }
}

impl fmt::Display for NetsocketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "multicast address {}, multicast port {}, ",
            self.group, self.port
        )?;
        for (key, link) in [(IN, &self.incoming), (OUT, &self.outgoing)] {
            match link {
                Some(link) => write!(f, "{key} {link}, ")?,
                None => write!(f, "{key} chosen by the kernel's routes, ")?,
            }
        }
        write!(
            f,
            "ttl {}, receive buffer {} bytes, {ALLOW_FROM} {}, {STATS_ALLOW} ",
            self.ttl, self.receive_buffer, self.allowed
        )?;
        match self.stats_allowed.is_empty() {
            true => f.write_str("nobody")?,
            // Nobody at all would be everybody there.
            false => write!(f, "{}", AllowList::new(self.stats_allowed.clone()))?,
        }
        write!(f, ", {}", self.extensions)
    }
}

const EXPECTED_GROUP: &str =
    "an IPv4 or IPv6 multicast address, such as \"ff08::db8:64:64\" or \"233.252.0.64\"";
const EXPECTED_LINK: &str = "the name of an interface or one of its addresses";
const EXPECTED_TTL: &str = "a whole number from 0 to 255";
const EXPECTED_RECEIVE_BUFFER: &str = "a whole number of bytes from 131072 to 1073741824";

fn group(entry: &Entry, surroundings: &Surroundings) -> Result<(IpAddr, Option<Link>), Failure> {
    let text = entry.string(EXPECTED_GROUP)?;
    // "ff02::db8:64:64%eth0": the zone stands for the interfaces that no key names.
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let wrong = |problem: String| entry.error(format_args!("{problem}; expected {EXPECTED_GROUP}"));
    let address = literal_or_name(address, surroundings.host).ok_or_else(|| {
        wrong(format!(
            "{} is neither an address nor a name that resolves to one",
            quote(text)
        ))
    })?;
    if !address.is_multicast() {
        return Err(wrong(format!("{address} is a unicast address")));
    }
    let zone = zone.map(|zone| {
        Link::of_zone(zone).ok_or_else(|| wrong(format!("{} is no zone", quote(zone))))
    });
    Ok((address, zone.transpose()?))
}

/// Upstream resolves names here, so old files may have one. What looks like an address is none.
fn literal_or_name(text: &str, host: fn(&str) -> Option<IpAddr>) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if text.is_empty() || text.contains(':') || !text.contains(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    host(text)
}

fn port_number(entry: &Entry) -> Result<u16, Failure> {
    let port = match &entry.value {
        Value::String(text) => port::port_of(text),
        _ => port::number(entry.whole(port::EXPECTED)?),
    };
    port.map_err(|problem| entry.error(format_args!("{problem}; expected {}", port::EXPECTED)))
}

fn ttl(entry: &Entry) -> Result<u8, Failure> {
    entry
        .within(0..=255, EXPECTED_TTL)
        .map(|ttl| u8::try_from(ttl).unwrap_or(u8::MAX))
}

fn link(entry: &Entry) -> Result<Link, Failure> {
    let text = entry.string(EXPECTED_LINK)?;
    Link::parse(text).map_err(|problem| {
        entry.error(format_args!(
            "{} {problem}; expected {EXPECTED_LINK}",
            quote(text)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn surroundings() -> Surroundings {
        Surroundings {
            host: |name| (name == "group.example").then(|| "ff08::7".parse().unwrap()),
        }
    }

    fn named(name: &str) -> Option<Link> {
        Some(Link::Name(name.to_owned()))
    }

    fn parse_with_warnings(text: &str) -> Result<(NetsocketConfig, Vec<String>), String> {
        Document::parse("netsocket.json".to_owned(), text.as_bytes())
            .and_then(|document| NetsocketConfig::from_document(document, &surroundings()))
            .map_err(|failure| failure.message)
    }

    fn parse(text: &str) -> Result<NetsocketConfig, String> {
        parse_with_warnings(text).map(|(config, _)| config)
    }

    /// The file with its mandatory keys and `more`.
    fn with(more: &str) -> Result<NetsocketConfig, String> {
        parse(&format!(
            r#"{{"multicast address": "ff08::db8:64:64", "multicast port": "6464"{more}}}"#
        ))
    }

    #[test]
    fn the_manuals_ipv6_example_is_understood() {
        let config =
            with(r#", "in interface": "eth0", "out interface": "eth0", "ttl": 3"#).unwrap();
        assert_eq!(config.group, "ff08::db8:64:64".parse::<IpAddr>().unwrap());
        assert_eq!((config.incoming, config.ttl), (named("eth0"), 3));
    }

    #[test]
    fn the_manuals_ipv4_example_is_understood() {
        let config = parse(
            r#"{"multicast address": "233.252.0.64", "multicast port": "6464",
                "in interface": "192.0.2.1", "out interface": "192.0.2.1", "ttl": 3}"#,
        )
        .unwrap();
        let link = config.outgoing.unwrap();
        assert_eq!(link.address(), Some("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn an_interface_goes_by_name_or_address_whatever_the_group() {
        for interface in ["eth0", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"] {
            let config = with(&format!(r#", "in interface": "{interface}""#)).unwrap();
            assert_eq!(config.incoming.unwrap().to_string(), interface);
        }
    }

    #[test]
    fn an_interface_that_is_not_there_is_no_error() {
        let config = with(r#", "in interface": "not-yet0""#).unwrap();
        assert_eq!(config.incoming, named("not-yet0"));
    }

    #[test]
    fn the_interfaces_are_the_kernels_choice_and_the_ttl_is_1_by_default() {
        let config = with("").unwrap();
        assert_eq!(
            (config.incoming, config.outgoing, config.ttl),
            (None, None, 1)
        );
    }

    #[test]
    fn the_port_is_a_string_or_a_number() {
        let config = parse(r#"{"multicast address": "ff08::1", "multicast port": 6464}"#);
        assert_eq!(config.unwrap().port, 6464);
    }

    #[test]
    fn the_group_may_go_by_a_name_that_resolves() {
        let file = |name| {
            parse(&format!(
                r#"{{"multicast address": "{name}", "multicast port": 1}}"#
            ))
        };
        assert_eq!(
            file("group.example").unwrap().group,
            "ff08::7".parse::<IpAddr>().unwrap()
        );
        assert!(
            file("other.example")
                .unwrap_err()
                .contains("neither an address nor a name")
        );
    }

    #[test]
    fn a_link_local_group_takes_its_link_from_either_interface() {
        for key in ["in interface", "out interface"] {
            let config = parse(&format!(
                r#"{{"multicast address": "ff02::db8:64:64", "multicast port": 6464,
                     "{key}": "eth1"}}"#,
            ))
            .unwrap();
            assert_eq!(config.incoming, named("eth1"));
            assert_eq!(config.outgoing, named("eth1"));
        }
    }

    #[test]
    fn a_groups_zone_stands_for_the_interfaces_that_no_key_names() {
        let config = parse(
            r#"{"multicast address": "ff02::1%eth1", "multicast port": 6464,
                "out interface": "eth0"}"#,
        )
        .unwrap();
        assert_eq!(config.incoming, named("eth1"));
        assert_eq!(config.outgoing, named("eth0"));
    }

    #[test]
    fn a_link_local_group_without_an_interface_is_refused() {
        let error = parse(r#"{"multicast address": "ff02::1", "multicast port": 1}"#).unwrap_err();
        assert_eq!(
            error,
            "netsocket.json: \"multicast address\": ff02::1 is a link-local group; \
             \"in interface\" and \"out interface\" must name its link"
        );
    }

    #[test]
    fn numbers_may_be_written_with_a_fraction_of_zero() {
        assert_eq!(with(r#", "ttl": 3.0"#).unwrap().ttl, 3);
        let error = with(r#", "ttl": 3.5"#).unwrap_err();
        assert!(error.contains("3.5 is not a whole number"), "{error}");
        assert!(
            with(r#", "ttl": 1e300"#)
                .unwrap_err()
                .contains("out of range")
        );
    }

    #[test]
    fn a_zone_may_be_an_index() {
        let config = parse(r#"{"multicast address": "ff02::1%3", "multicast port": 1}"#).unwrap();
        assert_eq!(config.outgoing, Some(Link::Index(3)));
    }

    #[test]
    fn each_error_names_file_key_value_and_expectation() {
        let cases = [
            (
                r#"{"multicast port": 1}"#,
                "netsocket.json: \"multicast address\" is missing; expected an IPv4 or IPv6 multicast address",
            ),
            (
                r#"{"multicast address": "ff08::1"}"#,
                "netsocket.json: \"multicast port\" is missing; expected a number from 1 to 65535",
            ),
            (
                r#"{"multicast address": "2001:db8::1", "multicast port": 1}"#,
                "netsocket.json: \"multicast address\": 2001:db8::1 is a unicast address; expected",
            ),
            (
                r#"{"multicast address": "ff08::g", "multicast port": 1}"#,
                "netsocket.json: \"multicast address\": \"ff08::g\" is neither an address nor a name",
            ),
            (
                r#"{"multicast address": 7, "multicast port": 1}"#,
                "netsocket.json: \"multicast address\": 7 is wrong; expected an IPv4",
            ),
            (
                r#"{"multicast address": "ff08::1", "multicast port": 65536}"#,
                "netsocket.json: \"multicast port\": 65536 is out of range; expected a number",
            ),
            (
                r#"{"multicast address": "ff08::1", "multicast port": true}"#,
                "netsocket.json: \"multicast port\": true is wrong; expected a number",
            ),
            (
                r#"{"multicast address": "ff08::1", "multicast port": "no-such-service"}"#,
                "netsocket.json: \"multicast port\": there is no UDP service \"no-such-service\"",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let cases = [
            (
                r#", "ttl": 256"#,
                "netsocket.json: \"ttl\": 256 is out of range; expected a whole number from 0 to 255",
            ),
            (
                r#", "ttl": -1"#,
                "netsocket.json: \"ttl\": -1 is out of range",
            ),
            (
                r#", "ttl": "3""#,
                "netsocket.json: \"ttl\": \"3\" is wrong; expected a whole number",
            ),
            (
                r#", "receive buffer": 1000"#,
                "netsocket.json: \"receive buffer\": 1000 is out of range; expected a whole number of bytes",
            ),
            (
                r#", "in interface": "eth/9""#,
                "netsocket.json: \"in interface\": \"eth/9\" is neither an address nor a name that an interface can have; expected the name",
            ),
            (
                r#", "out interface": "233.252.0.64""#,
                "netsocket.json: \"out interface\": \"233.252.0.64\" is a multicast address; expected",
            ),
            (
                r#", "out interface": []"#,
                "netsocket.json: \"out interface\": an array is wrong; expected the name",
            ),
        ];
        for (more, expected) in cases {
            let error = with(more).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn an_old_files_reuseaddr_is_ignored_with_a_warning() {
        let (_, warnings) = parse_with_warnings(
            r#"{"Multicast Address": "ff08::1", "MULTICAST PORT": "1", "reuseaddr": 1}"#,
        )
        .unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("\"reuseaddr\""), "{warnings:?}");
    }

    proptest! {
        #[test]
        fn any_values_are_a_configuration_or_an_error(
            address in "\"(ff0[0-9a-f]::[0-9]{1,3}|[0-9.]{1,15}|.{0,4}%.{0,4})\"|[0-9]{1,4}",
            port in "\"[ +-]?[0-9]{0,6}\"|-?[0-9]{1,6}(\\.[0-9])?|null",
            interface in "\"(eth[0-9]|[0-9a-f:.%]{0,9})\"|null",
            ttl in "-?[0-9]{1,4}(\\.[0-9])?|\"[0-9]\"",
        ) {
            let text = format!(
                "{{\"{ADDRESS}\": {address}, \"{PORT}\": {port}, \"{IN}\": {interface}, \"{TTL}\": {ttl}}}"
            );
            if let Ok(config) = parse(&text) {
                prop_assert!(config.group.is_multicast() && config.port != 0);
            }
        }
    }
}
