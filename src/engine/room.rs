//! For how long the kernel may go without an acknowledgement: until its queue might be full.

use std::time::{Duration, Instant};

/// The longest time, however few updates come.
const LONGEST: Duration = Duration::from_secs(1);

/// Over what time updates are counted.
const WINDOW: Duration = Duration::from_millis(100);

/// How many updates come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    since: Option<Instant>,
    count: u32,
    /// Updates in a second, in the last whole window.
    rate: u32,
}

impl Room {
    /// So many updates came from the kernel.
    pub fn came(&mut self, now: Instant, updates: usize) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            self.rate = (f64::from(self.count) / elapsed.as_secs_f64()) as u32;
            (self.since, self.count) = (Some(now), 0);
        }
        self.count = self
            .count
            .saturating_add(u32::try_from(updates).unwrap_or(u32::MAX));
    }

    /// How long half of `capacity`, the kernel's queue in updates, takes to fill. At once, if that is not
    /// known.
    pub fn bound(&self, capacity: Option<u32>) -> Duration {
        let half = capacity.unwrap_or_default() / 2;
        let seconds = f64::from(half) / f64::from(self.rate.max(1));
        Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a second in which that many came, each 10 ms some.
    fn after(rate: usize) -> Room {
        let start = Instant::now();
        let mut room = Room::default();
        for step in 0..100 {
            room.came(start + Duration::from_millis(step * 10), rate / 100);
        }
        room
    }

    #[test]
    fn the_kernel_may_wait_until_half_of_its_queue_is_full() {
        let bound = after(10_000).bound(Some(512));
        assert!((20..30).contains(&bound.as_millis()), "{bound:?}");
    }

    #[test]
    fn where_little_comes_it_waits_for_no_longer_than_a_second() {
        assert_eq!(after(100).bound(Some(512)), LONGEST);
        assert_eq!(Room::default().bound(Some(512)), LONGEST);
    }

    #[test]
    fn a_queue_of_unknown_size_has_no_room() {
        assert_eq!(after(100).bound(None), Duration::ZERO);
    }
}
