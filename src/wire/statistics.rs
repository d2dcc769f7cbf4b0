//! An instance's statistics (`jool stats display --all`).
//!
//! `STATS_FOREACH` answers with them as attributes, in pages: the number is the statistic's, the
//! value a u64 in host byte order. Numbers differ between versions; what they have in common is
//! that all but two only grow, and that a new instance begins at 0.

use super::netlink::Attribute;

/// What there is now: BIB entries and sessions. Everything else counts events.
const GAUGES: [u16; 2] = [4, SESSIONS];

/// The first of those about synchronization that tell what passed, in Jool 4.1.13; other versions have
/// something else there, or nothing.
const QUEUED: usize = 75;

/// Sessions that there are now.
const SESSIONS: u16 = 5;

/// What an instance has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// By the statistic's number.
    counted: Vec<u64>,
    sessions: u64,
}

/// What an instance has counted of its synchronization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synchronization {
    /// Updates that packets made, for the queue.
    pub queued: u64,
    /// Sessions in batches.
    pub sent: u64,
    /// Sessions in `JOOLD_ADD` requests, added or not.
    pub received: u64,
    /// Updates that were dropped since the queue was full.
    pub queue_full: u64,
    /// Batches.
    pub batches: u64,
    /// `JOOLD_ADD` requests.
    pub requests: u64,
    /// Advertises that were begun.
    pub advertises: u64,
    /// Acknowledgements of batches.
    pub acknowledgements: u64,
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

    /// What passed of synchronization, if Jool 4.1.13 counted it.
    pub fn synchronization(&self) -> Synchronization {
        let at = |offset| {
            self.counted
                .get(QUEUED + offset)
                .copied()
                .unwrap_or_default()
        };
        Synchronization {
            queued: at(0),
            sent: at(1),
            received: at(2),
            queue_full: at(3),
            batches: at(4),
            requests: at(5),
            advertises: at(6),
            acknowledgements: at(7),
        }
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
    fn what_passed_has_the_numbers_of_4_1_13() {
        let numbered: Vec<_> = (70..=83)
            .map(|number| (number, u64::from(number)))
            .collect();
        assert_eq!(
            of(&numbered).synchronization(),
            Synchronization {
                queued: 75,
                sent: 76,
                received: 77,
                queue_full: 78,
                batches: 79,
                requests: 80,
                advertises: 81,
                acknowledgements: 82,
            }
        );
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
