//! What `jool global` configures: the values that sessions and their synchronization depend on.

use joold::wire::jool::Version;
use joold::wire::netlink::{Attribute, Attributes, put_attribute};
use joold::wire::session::{Protocol, Timer};

/// Numbers of the globals that this model knows, as children of a `GLOBALS` container.
#[allow(missing_docs)]
pub mod id {
    pub const POOL6: u16 = 2;
    pub const PLATEAUS: u16 = 8;
    pub const TCP_ESTABLISHED: u16 = 20;
    pub const TCP_TRANSITORY: u16 = 21;
    pub const UDP: u16 = 22;
    pub const ICMP: u16 = 23;
    pub const SS_ENABLED: u16 = 27;
    pub const SS_FLUSH_ASAP: u16 = 28;
    pub const SS_FLUSH_DEADLINE: u16 = 29;
    pub const SS_CAPACITY: u16 = 30;
    pub const SS_MAX_PAYLOAD: u16 = 31;
    pub const SS_MAX_SESSIONS_PER_PACKET: u16 = 32;
}

/// A TCP connection that IPv4 opened is forgotten after this time unless IPv6 answers; milliseconds.
pub const INCOMING_SYN: u32 = 6_000;

/// Globals that a NAT64 has and this model does not look at, with their defaults as bytes.
const OTHERS: &[(u16, &[u8])] = &[
    (1, &[1]),
    (4, &[0]),
    (5, &[0]),
    (6, &[0]),
    (7, &[0]),
    (14, &[0]),
    (15, &[0]),
    (16, &[0]),
    (17, &[1]),
    (18, &[0b1011]),
    (19, &[0]),
    (24, &[0]),
    (25, &[0]),
];

/// The default MTU plateaus, as their global's contents (RFC 1191, table 7-1).
pub fn plateaus() -> Vec<u8> {
    const MTUS: [u16; 11] = [
        65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68,
    ];
    let mut out = Vec::new();
    for mtu in MTUS {
        put_attribute(&mut out, 1, &mtu.to_ne_bytes());
    }
    out
}

/// One instance's globals. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Globals {
    pub tcp_established: u32,
    pub tcp_transitory: u32,
    pub udp: u32,
    pub icmp: u32,
    pub ss_enabled: bool,
    /// Send each update at once. Modules since 4.1.13 keep the value and ignore it.
    pub ss_flush_asap: bool,
    pub ss_flush_deadline: u32,
    pub ss_capacity: u32,
    pub ss_max_payload: u32,
    pub ss_max_sessions_per_packet: u32,
}

/// Why a value is refused: what the module tells the client.
pub type Refusal = String;

impl Globals {
    /// The defaults of a module of that version.
    pub fn of(version: Version) -> Self {
        let obsolete = version >= Version::new(4, 1, 13);
        Self {
            tcp_established: 2 * 60 * 60 * 1000,
            tcp_transitory: 4 * 60 * 1000,
            udp: 5 * 60 * 1000,
            icmp: 60 * 1000,
            ss_enabled: false,
            ss_flush_asap: !obsolete,
            ss_flush_deadline: 2000,
            ss_capacity: 512,
            ss_max_payload: 1452,
            // What fits into IPv6 over Ethernet: 1,448 bytes over 40, or over 140.
            ss_max_sessions_per_packet: if obsolete { 36 } else { 10 },
        }
    }

    /// How long a session lives after its last update; milliseconds.
    ///
    /// A table other than TCP's has but one timer: the others end a session at the next cleaning.
    pub fn timeout(&self, protocol: Protocol, timer: Timer) -> u32 {
        match (protocol, timer) {
            (Protocol::Tcp, Timer::Established) => self.tcp_established,
            (Protocol::Tcp, Timer::Transitory) => self.tcp_transitory,
            (Protocol::Tcp, Timer::IncomingSyn) => INCOMING_SYN,
            (Protocol::Udp, Timer::Established) => self.udp,
            (Protocol::Icmp, Timer::Established) => self.icmp,
            (Protocol::Udp | Protocol::Icmp, _) => 0,
        }
    }

    /// Every global as (number, value), in the module's order. The IPv6 pool is not among them.
    pub fn list(&self, version: Version) -> Vec<(u16, Vec<u8>)> {
        let number = |id: u16, value: u32| (id, value.to_ne_bytes().to_vec());
        let truth = |id: u16, value: bool| (id, vec![u8::from(value)]);
        let mut list: Vec<_> = OTHERS
            .iter()
            .map(|(id, value)| (*id, value.to_vec()))
            .collect();
        list.extend([
            number(3, 1280),
            number(id::TCP_ESTABLISHED, self.tcp_established),
            number(id::TCP_TRANSITORY, self.tcp_transitory),
            number(id::UDP, self.udp),
            number(id::ICMP, self.icmp),
            number(26, 10),
            truth(id::SS_ENABLED, self.ss_enabled),
            truth(id::SS_FLUSH_ASAP, self.ss_flush_asap),
            number(id::SS_FLUSH_DEADLINE, self.ss_flush_deadline),
            number(id::SS_CAPACITY, self.ss_capacity),
            number(id::SS_MAX_PAYLOAD, self.ss_max_payload),
        ]);
        if version >= Version::new(4, 1, 11) {
            let sessions = self.ss_max_sessions_per_packet;
            list.push(number(id::SS_MAX_SESSIONS_PER_PACKET, sessions));
        }
        list.sort_by_key(|(id, _)| *id);
        list
    }

    /// Applies a `GLOBALS` container. All of it, or nothing.
    ///
    /// # Errors
    /// What the module tells the client.
    pub fn update(&mut self, container: &[u8]) -> Result<(), Refusal> {
        let mut changed = self.clone();
        for attribute in Attributes::new(container) {
            let attribute = attribute.map_err(|why| malformed(&why.to_string()))?;
            changed.set(&attribute)?;
        }
        *self = changed;
        Ok(())
    }

    fn set(&mut self, attribute: &Attribute<'_>) -> Result<(), Refusal> {
        let number = || attribute.u32().ok_or_else(|| malformed("invalid length"));
        let truth = || {
            let byte = attribute.u8().ok_or_else(|| malformed("invalid length"))?;
            Ok::<_, Refusal>(byte != 0)
        };
        match attribute.number {
            id::TCP_ESTABLISHED => {
                self.tcp_established = at_least("tcp-est", number()?, 2 * 60 * 60 * 1000)?;
            }
            id::TCP_TRANSITORY => {
                self.tcp_transitory = at_least("tcp-trans", number()?, 4 * 60 * 1000)?;
            }
            id::UDP => self.udp = at_least("udp", number()?, 2 * 60 * 1000)?,
            id::ICMP => self.icmp = number()?,
            id::SS_ENABLED => self.ss_enabled = truth()?,
            id::SS_FLUSH_ASAP => self.ss_flush_asap = truth()?,
            id::SS_FLUSH_DEADLINE => self.ss_flush_deadline = number()?,
            id::SS_CAPACITY => self.ss_capacity = number()?,
            id::SS_MAX_PAYLOAD => self.ss_max_payload = number()?,
            id::SS_MAX_SESSIONS_PER_PACKET => self.ss_max_sessions_per_packet = number()?,
            1..=26 => {}
            _ => return Err(malformed("Unknown attribute type")),
        }
        Ok(())
    }
}

fn malformed(why: &str) -> Refusal {
    format!("The 'Globals Container' attribute is malformed: {why}")
}

fn at_least(name: &str, value: u32, least: u32) -> Result<u32, Refusal> {
    if value < least {
        return Err(format!(
            "The '{name}' timeout ({value}) is too small. (min: {least})"
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: u16, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_attribute(&mut out, id, value);
        out
    }

    #[test]
    fn a_packet_of_4_1_13_carries_36_sessions_and_synchronization_is_off() {
        let globals = Globals::of(Version::new(4, 1, 13));
        assert_eq!(
            (
                globals.ss_max_sessions_per_packet,
                globals.ss_enabled,
                globals.ss_flush_asap
            ),
            (36, false, false)
        );
    }

    #[test]
    fn a_timeout_below_the_minimum_is_refused_by_name() {
        let mut globals = Globals::of(Version::SUPPORTED);
        let before = globals.clone();
        let refusal = globals
            .update(&container(id::UDP, &1000u32.to_ne_bytes()))
            .unwrap_err();
        assert_eq!(
            refusal,
            "The 'udp' timeout (1000) is too small. (min: 120000)"
        );
        assert_eq!(globals, before);
    }

    #[test]
    fn a_container_with_one_bad_value_changes_nothing() {
        let mut globals = Globals::of(Version::SUPPORTED);
        let mut both = container(id::SS_ENABLED, &[1]);
        both.extend(container(id::SS_CAPACITY, &[1]));
        assert!(globals.update(&both).is_err());
        assert!(!globals.ss_enabled);
    }

    #[test]
    fn the_list_reads_back_through_an_update() {
        let mut globals = Globals::of(Version::SUPPORTED);
        globals.ss_enabled = true;
        globals.ss_capacity = 7;
        let mut copy = Globals::of(Version::SUPPORTED);
        for (id, value) in globals.list(Version::SUPPORTED) {
            copy.update(&container(id, &value)).unwrap();
        }
        assert_eq!(copy, globals);
    }

    #[test]
    fn an_old_module_does_not_list_the_sessions_of_a_packet() {
        let has = |version| {
            Globals::of(version)
                .list(version)
                .iter()
                .any(|(id, _)| *id == id::SS_MAX_SESSIONS_PER_PACKET)
        };
        assert!(!has(Version::new(4, 1, 10)));
        assert!(has(Version::new(4, 1, 11)));
    }
}
