//! The counters of `jool stats display` that synchronization moves.

use std::ops::AddAssign;

use joold::wire::jool::Version;

/// The statistics of one instance that this model keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Masks in use.
    pub bib_entries: u64,
    /// Sessions in the table.
    pub sessions: u64,
    /// Looked at the queue: it was empty.
    pub empty: u64,
    /// Sent because the deadline had passed.
    pub timeout: u64,
    /// Kept because no acknowledgement had come.
    pub missing_ack: u64,
    /// Sent because of an advertisement.
    pub advertising: u64,
    /// Sent because a packet was full.
    pub packet_full: u64,
    /// Kept because a packet was not full.
    pub queuing: u64,
    /// Updates that packets made, those dropped at a full queue included.
    pub sessions_queued: u64,
    /// Sessions multicast.
    pub sessions_sent: u64,
    /// Sessions in `JOOLD_ADD` requests, added or not.
    pub sessions_received: u64,
    /// Updates dropped at a full queue.
    pub sessions_dropped: u64,
    /// Batches multicast.
    pub packets_sent: u64,
    /// `JOOLD_ADD` requests.
    pub packets_received: u64,
    /// Advertisements begun with at least one session.
    pub advertisements: u64,
    /// Acknowledgements.
    pub acks: u64,
}

/// Numbers of the statistics. Those of synchronization moved between 4.1.12 and 4.1.13, when the
/// one about `ss-flush-asap` (73) went.
pub mod id {
    use joold::wire::jool::Version;

    /// Masks in use.
    pub const BIB_ENTRIES: u16 = 4;
    /// Sessions in the table.
    pub const SESSIONS: u16 = 5;

    /// The first statistic of synchronization.
    pub(super) const FIRST_OF_SYNC: u16 = 69;
    /// In 4.1.12 only, between the advertisement's and the full packet's.
    pub(super) const FLUSH_ASAP: u16 = 73;

    /// "Sessions queued", the first of the eight that tell what passed. Nothing before 4.1.12.
    pub fn sessions_queued(version: Version) -> Option<u16> {
        if version >= Version::new(4, 1, 13) {
            Some(75)
        } else if version >= Version::new(4, 1, 12) {
            Some(76)
        } else {
            None
        }
    }
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.bib_entries += other.bib_entries;
        self.sessions += other.sessions;
        self.empty += other.empty;
        self.timeout += other.timeout;
        self.missing_ack += other.missing_ack;
        self.advertising += other.advertising;
        self.packet_full += other.packet_full;
        self.queuing += other.queuing;
        self.sessions_queued += other.sessions_queued;
        self.sessions_sent += other.sessions_sent;
        self.sessions_received += other.sessions_received;
        self.sessions_dropped += other.sessions_dropped;
        self.packets_sent += other.packets_sent;
        self.packets_received += other.packets_received;
        self.advertisements += other.advertisements;
        self.acks += other.acks;
    }
}

impl Statistics {
    /// All statistics of a module of that version as (number, value), in order, zeros included.
    pub fn list(&self, version: Version) -> Vec<(u16, u64)> {
        let mut list: Vec<_> = (1..id::FIRST_OF_SYNC).map(|id| (id, 0)).collect();
        list[usize::from(id::BIB_ENTRIES) - 1].1 = self.bib_entries;
        list[usize::from(id::SESSIONS) - 1].1 = self.sessions;
        if id::sessions_queued(version).is_some() {
            for value in self.of_synchronization() {
                let next = list.len() as u16 + 1;
                if next == id::FLUSH_ASAP && version < Version::new(4, 1, 13) {
                    list.push((next, 0));
                }
                list.push((list.len() as u16 + 1, value));
            }
        }
        // The last one counts what has no other counter.
        list.push((list.len() as u16 + 1, 0));
        list
    }

    fn of_synchronization(&self) -> [u64; 14] {
        [
            self.empty,
            self.timeout,
            self.missing_ack,
            self.advertising,
            self.packet_full,
            self.queuing,
            self.sessions_queued,
            self.sessions_sent,
            self.sessions_received,
            self.sessions_dropped,
            self.packets_sent,
            self.packets_received,
            self.advertisements,
            self.acks,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number_of(version: Version, statistics: Statistics) -> Option<u16> {
        let list = statistics.list(version);
        assert!(list.iter().map(|(id, _)| *id).eq(1..=list.len() as u16));
        list.iter()
            .find(|(_, value)| *value == 9)
            .map(|(id, _)| *id)
    }

    #[test]
    fn the_numbers_are_those_of_the_modules_sources() {
        let queued = Statistics {
            sessions_queued: 9,
            ..Statistics::default()
        };
        let acks = Statistics {
            acks: 9,
            ..Statistics::default()
        };
        let numbers = |version| (number_of(version, queued), number_of(version, acks));
        assert_eq!(numbers(Version::new(4, 1, 13)), (Some(75), Some(82)));
        assert_eq!(numbers(Version::new(4, 1, 12)), (Some(76), Some(83)));
        assert_eq!(numbers(Version::new(4, 1, 11)), (None, None));
    }
}
