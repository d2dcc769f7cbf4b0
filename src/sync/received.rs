//! Which of a node's datagrams have come.

use std::ops::RangeInclusive;

use super::serial::{ahead, later};

/// The most gaps that are remembered one by one.
const MOST: usize = 64;

/// The longest gap that is worth asking for: no ring has more.
const LONGEST: i32 = 1 << 16;

/// What the number of a datagram tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one.
    Next,
    /// Others before it have not come yet, so many of them.
    Ahead(u32),
    /// So many before it have not come that they are given up.
    Jump(u32),
    /// It was lacking; later ones have come before it.
    Late,
    /// It has come already.
    Known,
}

/// What has come of one node.
#[derive(Clone, Debug)]
pub struct Received {
    /// The latest number that is known of.
    high: u32,
    /// What is lacking up to there, in order: the first and the last number of each gap.
    gaps: Vec<(u32, u32)>,
}

impl Received {
    /// Everything up to `number` counts as received.
    pub fn up_to(number: u32) -> Self {
        Self {
            high: number,
            gaps: Vec::new(),
        }
    }

    /// The latest number that is known of, whether or not it came.
    pub fn high(&self) -> u32 {
        self.high
    }

    /// The number up to which nothing is lacking.
    pub fn whole(&self) -> u32 {
        match self.gaps.first() {
            Some(&(first, _)) => first.wrapping_sub(1),
            None => self.high,
        }
    }

    /// Whether nothing is lacking.
    pub fn is_whole(&self) -> bool {
        self.gaps.is_empty()
    }

    /// What is lacking, in order.
    pub fn gaps(&self) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        self.gaps.iter().map(|&(first, last)| first..=last)
    }

    /// How many datagrams are lacking.
    pub fn lacking(&self) -> u32 {
        let lengths = self.gaps.iter();
        lengths
            .map(|&(first, last)| last.wrapping_sub(first) + 1)
            .sum()
    }

    /// A datagram of that number has come.
    pub fn came(&mut self, number: u32) -> Arrival {
        let distance = ahead(self.high, number);
        if distance == 1 {
            self.high = number;
            return Arrival::Next;
        }
        if distance < -LONGEST {
            // Nothing that is that old is under way: whatever was heard before was not this node's.
            self.high = number;
            self.gaps.clear();
            return Arrival::Jump(0);
        }
        if distance <= 0 {
            return self.fill(number);
        }
        let before = number.wrapping_sub(1);
        let lacking = distance as u32 - 1;
        let is_kept = self.lack(before);
        self.high = number;
        match is_kept {
            true => Arrival::Ahead(lacking),
            false => Arrival::Jump(lacking),
        }
    }

    /// The node has sent everything up to that number.
    pub fn announced(&mut self, number: u32) -> Arrival {
        let distance = ahead(self.high, number);
        if distance <= 0 {
            return Arrival::Known;
        }
        let lacking = distance as u32;
        match self.lack(number) {
            true => Arrival::Ahead(lacking),
            false => Arrival::Jump(lacking),
        }
    }

    /// Everything after the latest number, up to `last`, is lacking; tells whether it is remembered.
    fn lack(&mut self, last: u32) -> bool {
        let first = self.high.wrapping_add(1);
        let length = ahead(self.high, last);
        self.high = last;
        if length >= LONGEST || self.gaps.len() == MOST {
            self.gaps.clear();
            return false;
        }
        let begin = match self.gaps.last_mut() {
            Some(gap) if gap.1.wrapping_add(1) == first => {
                gap.1 = last;
                gap.0
            }
            _ => {
                self.gaps.push((first, last));
                first
            }
        };
        if ahead(begin, last) >= LONGEST {
            self.gaps.clear();
            return false;
        }
        true
    }

    fn fill(&mut self, number: u32) -> Arrival {
        let inside =
            |&(first, last): &(u32, u32)| ahead(first, number) >= 0 && ahead(number, last) >= 0;
        let Some(at) = self.gaps.iter().position(inside) else {
            return Arrival::Known;
        };
        let (first, last) = self.gaps[at];
        match (first == number, last == number) {
            (true, true) => {
                self.gaps.remove(at);
            }
            (true, false) => self.gaps[at].0 = number.wrapping_add(1),
            (false, true) => self.gaps[at].1 = number.wrapping_sub(1),
            (false, false) if self.gaps.len() == MOST => {
                // It would be two gaps. That one will be repeated without need does no harm.
                return Arrival::Late;
            }
            (false, false) => {
                self.gaps[at].1 = number.wrapping_sub(1);
                self.gaps.insert(at + 1, (number.wrapping_add(1), last));
            }
        }
        Arrival::Late
    }

    /// What was sent before `oldest` will not come any more; returns how many of those are lacking.
    pub fn give_up_before(&mut self, oldest: u32) -> u32 {
        let before = self.lacking();
        self.gaps.retain(|&(_, last)| ahead(oldest, last) >= 0);
        if let Some(gap) = self.gaps.first_mut() {
            gap.0 = later(gap.0, oldest);
        }
        before - self.lacking()
    }

    /// Nothing that is lacking now is wanted any more.
    pub fn give_up(&mut self) {
        self.gaps.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(numbers: &[u32]) -> Received {
        let mut received = Received::up_to(0);
        for &number in numbers {
            received.came(number);
        }
        received
    }

    fn gaps(received: &Received) -> Vec<(u32, u32)> {
        let gaps = received.gaps();
        gaps.map(|gap| (*gap.start(), *gap.end())).collect()
    }

    #[test]
    fn numbers_in_order_leave_no_gap() {
        let received = after(&[1, 2, 3]);
        assert!(received.is_whole());
        assert_eq!((received.high(), received.whole()), (3, 3));
    }

    #[test]
    fn what_is_skipped_is_lacking_until_it_comes() {
        let mut received = after(&[1]);
        assert_eq!(received.came(5), Arrival::Ahead(3));
        assert_eq!((received.whole(), received.lacking()), (1, 3));
        assert_eq!(received.came(3), Arrival::Late);
        assert_eq!(gaps(&received), [(2, 2), (4, 4)]);
        assert_eq!(received.came(3), Arrival::Known);
        assert_eq!(received.came(2), Arrival::Late);
        assert_eq!(received.came(4), Arrival::Late);
        assert_eq!(received.whole(), 5);
    }

    #[test]
    fn what_was_announced_and_has_not_come_is_lacking() {
        let mut received = after(&[1, 2]);
        assert_eq!(received.announced(2), Arrival::Known);
        assert_eq!(received.announced(4), Arrival::Ahead(2));
        assert_eq!(received.announced(6), Arrival::Ahead(2));
        assert_eq!(gaps(&received), [(3, 6)]);
        assert_eq!(received.came(6), Arrival::Late);
        assert_eq!(received.came(7), Arrival::Next);
    }

    #[test]
    fn what_is_too_old_to_be_repeated_is_given_up_and_counted() {
        let mut received = after(&[3, 10]);
        assert_eq!(received.give_up_before(6), 2 + 2);
        assert_eq!(gaps(&received), [(6, 9)]);
        assert_eq!(received.give_up_before(6), 0);
    }

    #[test]
    fn more_gaps_than_are_remembered_and_longer_ones_than_any_ring_are_given_up() {
        let mut received = Received::up_to(0);
        for n in 0..MOST as u32 {
            assert_eq!(received.came(2 * n + 2), Arrival::Ahead(1));
        }
        assert_eq!(
            received.came(1000),
            Arrival::Jump(1000 - 2 * MOST as u32 - 1)
        );
        assert!(received.is_whole());
        assert!(matches!(received.came(1_000_000), Arrival::Jump(_)));
    }

    #[test]
    fn a_gap_that_grows_is_given_up_when_no_ring_has_all_of_it() {
        let mut received = Received::up_to(0);
        let step = LONGEST as u32 / 2;
        assert_eq!(received.announced(step), Arrival::Ahead(step));
        assert_eq!(received.announced(2 * step), Arrival::Ahead(step));
        assert_eq!(received.announced(3 * step), Arrival::Jump(step));
        assert!(received.is_whole());
    }

    #[test]
    fn a_number_that_is_far_behind_is_where_the_node_is_now() {
        let mut received = Received::up_to(1_000_000);
        assert_eq!(received.came(7), Arrival::Jump(0));
        assert_eq!(received.came(8), Arrival::Next);
    }

    #[test]
    fn numbers_go_on_after_the_largest() {
        let mut received = Received::up_to(u32::MAX - 1);
        assert_eq!(received.came(2), Arrival::Ahead(3));
        assert_eq!(received.came(0), Arrival::Late);
        assert_eq!(received.came(u32::MAX), Arrival::Late);
        assert_eq!(gaps(&received), [(1, 1)]);
    }

    proptest! {
        #[test]
        fn in_whatever_order_they_come_exactly_the_others_are_lacking(
            start in prop_oneof![Just(0), Just(u32::MAX - 50)],
            offsets in prop::collection::vec(1u32..100, 1..80),
        ) {
            let mut received = Received::up_to(start);
            let mut seen = std::collections::BTreeSet::new();
            for &offset in &offsets {
                let arrival = received.came(start.wrapping_add(offset));
                prop_assert_eq!(arrival == Arrival::Known, !seen.insert(offset));
            }
            let high = *seen.last().unwrap();
            let lacking: Vec<_> = (1..high).filter(|offset| !seen.contains(offset)).collect();
            let told: Vec<_> = received
                .gaps
                .iter()
                .flat_map(|&(first, last)| first.wrapping_sub(start)..=last.wrapping_sub(start))
                .collect();
            prop_assert_eq!(told, lacking);
        }
    }
}
