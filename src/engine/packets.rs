//! What is lost in a module without a queue, which drops what the packet that leaves next has no room for.
//!
//! Before 4.1.11 a module does so while the packet waits for an acknowledgement, and counts it nowhere.
//! So behind a full packet something is probably missing.

use std::mem;
use std::time::{Duration, Instant};

/// How many sessions a full packet has at the least, with the default `ss-max-payload`. The kernel rounds its
/// memory up, so it may be more.
const LEAST: usize = 10;

/// When the others have read the table, they do so again after that time at the earliest, and after
/// the same for so many sessions: some five times as long as reading them takes.
const PAUSE: Duration = Duration::from_secs(10);
const SESSIONS_A_SECOND: u32 = 5000;

/// The full packets of one module.
#[derive(Clone, Copy, Debug)]
pub struct Packets {
    /// How many sessions the largest one had.
    largest: usize,
    /// How many were full, and are not told of yet.
    full: u64,
    told: Option<Instant>,
}

/// Full packets that nobody has been told of yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// How many.
    pub count: u64,
    /// Whether there were none before.
    pub are_first: bool,
}

impl Default for Packets {
    fn default() -> Self {
        Self {
            largest: LEAST,
            full: 0,
            told: None,
        }
    }
}

impl Packets {
    /// One with so many sessions came.
    pub fn came(&mut self, sessions: usize) {
        if sessions >= self.largest {
            self.largest = sessions;
            self.full += 1;
        }
    }

    /// The full ones, if the others should know of them now; the table has so many sessions.
    pub fn take(&mut self, now: Instant, sessions: u32) -> Option<Full> {
        let pause = PAUSE + Duration::from_secs((sessions / SESSIONS_A_SECOND).into());
        if self.full == 0 || self.told.is_some_and(|told| now < told + pause) {
            return None;
        }
        Some(Full {
            count: mem::take(&mut self.full),
            are_first: self.told.replace(now).is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_packet_so_far_is_full() {
        let mut packets = Packets::default();
        let now = Instant::now();
        for (sessions, full) in [(1, 0), (9, 0), (11, 1), (10, 0), (11, 1), (12, 1), (11, 0)] {
            packets.came(sessions);
            packets.told = None;
            let count = packets.take(now, 0).map_or(0, |full| full.count);
            assert_eq!(count, full, "{sessions}");
        }
    }

    /// When they are told of, if full ones come all the time; in seconds.
    fn told(sessions: u32) -> Vec<u64> {
        let (mut packets, start) = (Packets::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..60 {
            packets.came(11);
            if let Some(full) = packets.take(start + Duration::from_secs(second), sessions) {
                assert_eq!(full.are_first, told.is_empty());
                told.push(second);
            }
        }
        told
    }

    #[test]
    fn the_others_are_left_time_to_read_the_table() {
        assert_eq!(told(100), [0, 10, 20, 30, 40, 50]);
        assert_eq!(told(100_000), [0, 30]);
    }
}
