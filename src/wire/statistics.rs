//! An instance's statistics (`jool stats display --all`).
//!
//! `STATS_FOREACH` answers with them as attributes, in pages: the number is the statistic's, the
//! value a u64 in host byte order. Numbers differ between versions; what they have in common is
//! that all but two only grow, and that a new instance begins at 0.

use super::netlink::Attribute;

/// What there is now: BIB entries and sessions. Everything else counts events.
const GAUGES: [u16; 2] = [4, SESSIONS];

/// Updates that were dropped since the queue was full, and advertises, in Jool 4.1.13; other versions
/// have something else there, or nothing.
const QUEUE_FULL: usize = 78;
const ADVERTISES: usize = 81;

/// Sessions that there are now.
const SESSIONS: u16 = 5;

/// What an instance has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// By the statistic's number.
    counted: Vec<u64>,
    sessions: u64,
}

/// Where the counters of a 32-bit machine may begin anew by themselves before the next look.
const WRAPPING: std::ops::RangeInclusive<u64> = 1 << 31..=u32::MAX as u64;

/// Far more than any version has.
const MOST: u16 = 1024;

impl Statistics {
    /// Takes one attribute of `STATS_FOREACH`'s answer.
    pub fn take(&mut self, attribute: &Attribute<'_>) {
        let Some(value) = attribute.u64() else {
            return;
        };
        if attribute.number == SESSIONS {
            self.sessions = value;
        }
        if attribute.number >= MOST || GAUGES.contains(&attribute.number) {
            return;
        }
        let at = usize::from(attribute.number);
        if self.counted.len() <= at {
            self.counted.resize(at + 1, 0);
        }
        self.counted[at] = value;
    }

    /// How many sessions the instance has.
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// How many updates were dropped since the queue was full, in Jool 4.1.13.
    pub fn queue_full(&self) -> u64 {
        self.counted.get(QUEUE_FULL).copied().unwrap_or_default()
    }

    /// How many advertises were begun, in Jool 4.1.13.
    pub fn advertises(&self) -> u64 {
        self.counted.get(ADVERTISES).copied().unwrap_or_default()
    }

    /// Whether some other instance must have counted these, for something is less than `before`.
    pub fn is_anew(&self, before: &Self) -> bool {
        let now = self.counted.iter().chain(std::iter::repeat(&0));
        before
            .counted
            .iter()
            .zip(now)
            .any(|(old, new)| new < old && !WRAPPING.contains(old))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(u16, u64)]) -> Statistics {
        let mut statistics = Statistics::default();
        for (number, value) in values {
            statistics.take(&Attribute {
                number: *number,
                value: &value.to_ne_bytes(),
                offset: 0,
            });
        }
        statistics
    }

    #[test]
    fn an_instance_that_counted_less_is_another_one() {
        let before = of(&[(1, 10), (82, 3)]);
        assert!(of(&[(1, 11), (82, 2)]).is_anew(&before));
        assert!(of(&[(1, 11)]).is_anew(&before));
        assert!(of(&[]).is_anew(&before));
    }

    #[test]
    fn an_instance_that_counted_on_is_the_same() {
        let before = of(&[(1, 10), (82, 3)]);
        assert!(!before.is_anew(&before));
        assert!(!of(&[(1, 10), (2, 0), (82, 4)]).is_anew(&before));
        assert!(!before.is_anew(&Statistics::default()));
    }

    #[test]
    fn a_32_bit_counter_that_wraps_is_no_new_instance() {
        let before = of(&[(1, u64::from(u32::MAX) - 5), (82, 3)]);
        assert!(!of(&[(1, 5), (82, 3)]).is_anew(&before));
        assert!(of(&[(1, 5), (82, 2)]).is_anew(&before));
    }

    #[test]
    fn sessions_may_become_fewer() {
        let before = of(&[(1, 10), (4, 7), (5, 7)]);
        assert!(!of(&[(1, 10), (4, 0), (5, 1)]).is_anew(&before));
    }

    #[test]
    fn no_attribute_makes_it_large() {
        assert_eq!(of(&[(u16::MAX, 1), (MOST, 1)]), Statistics::default());
    }
}
