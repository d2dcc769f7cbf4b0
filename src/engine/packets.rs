//! What is lost in a module without a queue, which drops what the packet that leaves next has no room for.
//!
//! Before 4.1.11 a module does so while the packet waits for an acknowledgement, and counts it nowhere.
//! So behind a full packet something is probably missing.

use std::mem;
use std::time::{Duration, Instant};

/// How many bytes of sessions a packet has room for by default: `ss-max-payload`.
const PAYLOAD: u32 = 1452;

/// When the others have read the table, they do so again after that time at the earliest, and after
/// the same for so many sessions: some ten times as long as reading them takes. Meanwhile they lack something,
/// and say so.
const PAUSE: Duration = Duration::from_secs(10);
const SESSIONS_A_SECOND: u32 = 2500;

/// The full packets of one module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packets {
    /// How many sessions there is room for at the least.
    least: usize,
    /// How many the largest one had since then. The kernel rounds its memory up, so there may be room for more.
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

impl Packets {
    /// One came with so many sessions of that size in bytes, where `ss-max-payload` is such.
    pub fn came(&mut self, sessions: usize, size: usize, payload: Option<u32>) {
        let payload = payload.unwrap_or(PAYLOAD) as usize;
        let least = (payload / size.max(1)).max(1);
        if least != self.least {
            (self.least, self.largest) = (least, least);
        }
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

    const SIZE: usize = 140;

    /// How many of those packets are full, by `ss-max-payload`.
    fn full(packets: &mut Packets, sessions: &[usize], payload: Option<u32>) -> u64 {
        for &sessions in sessions {
            packets.came(sessions, SIZE, payload);
        }
        mem::take(&mut packets.full)
    }

    #[test]
    fn the_largest_packet_so_far_is_full() {
        let mut packets = Packets::default();
        for (sessions, expected) in [(1, 0), (9, 0), (11, 1), (10, 0), (11, 1), (12, 1), (11, 0)] {
            assert_eq!(
                full(&mut packets, &[sessions], None),
                expected,
                "{sessions}"
            );
        }
    }

    #[test]
    fn what_is_full_depends_on_the_payload_that_the_instance_has_at_the_moment() {
        let mut packets = Packets::default();
        assert_eq!(full(&mut packets, &[1, 2, 2], Some(300)), 2);
        assert_eq!(full(&mut packets, &[2, 11, 10], Some(1452)), 1);
        assert_eq!(full(&mut packets, &[1, 2], Some(300)), 1, "lowered again");
        assert_eq!(full(&mut packets, &[1], Some(100)), 1);
    }

    /// When they are told of, if full ones come all the time; in seconds.
    fn told(sessions: u32) -> Vec<u64> {
        let (mut packets, start) = (Packets::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..60 {
            packets.came(11, SIZE, None);
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
        assert_eq!(told(100_000), [0, 50]);
    }
}
