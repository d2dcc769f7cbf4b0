//! An instance's globals (`jool global display`), as far as synchronization depends on them.
//!
//! `GLOBAL_FOREACH` answers with them as attributes, in pages; `GLOBAL_UPDATE` takes a container of
//! those that are to change, all or none. Numbers are in host byte order.

use super::netlink::{Attribute, put_attribute};

/// A global that configures synchronization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Global {
    /// Whether the instance synchronizes at all; off in a new one.
    SsEnabled = 27,
    /// For how many milliseconds the module waits for a packet to fill up.
    SsFlushDeadline = 29,
    /// How many updates may wait in the module.
    SsCapacity = 30,
    /// How many sessions make a packet full; since 4.1.11.
    SsMaxSessionsPerPacket = 32,
}

impl Global {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SsEnabled,
        Self::SsFlushDeadline,
        Self::SsCapacity,
        Self::SsMaxSessionsPerPacket,
    ];

    /// As `jool global update` and the module file call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SsEnabled => "ss-enabled",
            Self::SsFlushDeadline => "ss-flush-deadline",
            Self::SsCapacity => "ss-capacity",
            Self::SsMaxSessionsPerPacket => "ss-max-sessions-per-packet",
        }
    }

    /// A value as people write it.
    pub fn text(self, value: u32) -> String {
        match (self, value) {
            (Self::SsEnabled, 0) => "false".to_owned(),
            (Self::SsEnabled, _) => "true".to_owned(),
            _ => value.to_string(),
        }
    }

    fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|&global| global == self)
            .unwrap_or_default()
    }

    fn read(self, attribute: &Attribute<'_>) -> Option<u32> {
        match self {
            Self::SsEnabled => attribute.u8().map(|value| u32::from(value != 0)),
            _ => attribute.u32(),
        }
    }

    /// Appends it to a container of `GLOBAL_UPDATE`.
    pub fn put(self, value: u32, container: &mut Vec<u8>) {
        match self {
            Self::SsEnabled => put_attribute(container, self as u16, &[u8::from(value != 0)]),
            _ => put_attribute(container, self as u16, &value.to_ne_bytes()),
        }
    }
}

/// A value for each [`Global`], or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values([Option<u32>; Global::ALL.len()]);

impl Values {
    /// The value of one; a truth is 0 or 1.
    pub fn get(&self, global: Global) -> Option<u32> {
        self.0[global.index()]
    }

    /// Sets one.
    pub fn set(&mut self, global: Global, value: Option<u32>) {
        self.0[global.index()] = value;
    }

    /// What both have, and differently: the global, its value here and its value there.
    pub fn differing(&self, other: &Self) -> impl Iterator<Item = (Global, u32, u32)> {
        let (here, there) = (*self, *other);
        Global::ALL.into_iter().filter_map(move |global| {
            let (here, there) = (here.get(global)?, there.get(global)?);
            (here != there).then_some((global, here, there))
        })
    }
}

/// The number of `ss-max-payload`, before 4.1.11.
const MAX_PAYLOAD: u16 = 31;

/// The number of the first of the timeouts, `tcp-est`.
const FIRST_TIMEOUT: u16 = 20;

/// What an instance's globals are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Globals {
    /// Those of synchronization that the module has.
    pub values: Values,
    /// How long sessions live without a packet, in milliseconds: `tcp-est`, `tcp-trans`,
    /// `udp-timeout` and `icmp-timeout`, as far as they are known.
    pub timeouts: [Option<u32>; 4],
    /// How many bytes of sessions make a packet full, before 4.1.11: `ss-max-payload`.
    pub max_payload: Option<u32>,
}

impl Globals {
    /// Takes one attribute of `GLOBAL_FOREACH`'s answer. Others than those known here pass by.
    pub fn take(&mut self, attribute: &Attribute<'_>) {
        let timeout = attribute.number.checked_sub(FIRST_TIMEOUT).map(usize::from);
        if let Some(timeout) = timeout.and_then(|index| self.timeouts.get_mut(index)) {
            *timeout = attribute.u32();
            return;
        }
        if attribute.number == MAX_PAYLOAD {
            self.max_payload = attribute.u32();
            return;
        }
        let known = Global::ALL
            .into_iter()
            .find(|global| *global as u16 == attribute.number);
        if let Some(global) = known {
            self.values.set(global, global.read(attribute));
        }
    }

    /// The longest time that any session lives without a packet, in milliseconds.
    pub fn longest_timeout(&self) -> Option<u32> {
        self.timeouts.into_iter().flatten().max()
    }
}

#[cfg(test)]
mod tests {
    use super::super::netlink::Attributes;
    use super::*;

    fn read(container: &[u8]) -> Globals {
        let mut globals = Globals::default();
        for attribute in Attributes::new(container) {
            globals.take(&attribute.unwrap());
        }
        globals
    }

    #[test]
    fn what_is_written_for_an_update_reads_back_as_a_list() {
        let mut container = Vec::new();
        for (global, value) in Global::ALL.into_iter().zip([1, 20, 512, 36]) {
            global.put(value, &mut container);
        }
        let globals = read(&container);
        let values = Global::ALL.map(|global| globals.values.get(global));
        assert_eq!(values, [Some(1), Some(20), Some(512), Some(36)]);
        assert_eq!(globals.longest_timeout(), None);
    }

    #[test]
    fn the_longest_timeout_is_the_longest_of_all_protocols() {
        let mut container = Vec::new();
        for (number, timeout) in [
            (20, 7_200_000u32),
            (21, 240_000),
            (22, 300_000),
            (24, u32::MAX),
        ] {
            put_attribute(&mut container, number, &timeout.to_ne_bytes());
        }
        let globals = read(&container);
        assert_eq!(globals.longest_timeout(), Some(7_200_000));
        let known = [Some(7_200_000), Some(240_000), Some(300_000), None];
        assert_eq!(globals.timeouts, known);
    }

    #[test]
    fn what_makes_a_packet_full_is_bytes_before_4_1_11() {
        let mut container = Vec::new();
        put_attribute(&mut container, 31, &1452u32.to_ne_bytes());
        assert_eq!(read(&container).max_payload, Some(1452));
    }

    #[test]
    fn a_value_of_another_size_is_none() {
        let mut container = Vec::new();
        put_attribute(&mut container, Global::SsEnabled as u16, &[1, 0, 0, 0]);
        put_attribute(&mut container, Global::SsCapacity as u16, &[1]);
        assert_eq!(read(&container), Globals::default());
    }

    #[test]
    fn only_what_both_have_differs() {
        let (mut wanted, mut have) = (Values::default(), Values::default());
        wanted.set(Global::SsEnabled, Some(1));
        wanted.set(Global::SsCapacity, Some(512));
        wanted.set(Global::SsMaxSessionsPerPacket, Some(10));
        have.set(Global::SsEnabled, Some(0));
        have.set(Global::SsCapacity, Some(512));
        let differing: Vec<_> = wanted.differing(&have).collect();
        assert_eq!(differing, [(Global::SsEnabled, 1, 0)]);
    }
}
