//! Numbers that peers do not choose as well. They need not be hard to guess.

use std::time::Duration;

/// A generator: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// One seed, one sequence.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From nothing to `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let share = (self.next() >> 32) as u32;
        most.mul_f64(f64::from(share) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_differ_and_have_a_bound() {
        let most = Duration::from_millis(100);
        let mut random = Random::new(1);
        let waits: Vec<_> = (0..100).map(|_| random.up_to(most)).collect();
        assert!(waits.iter().all(|&wait| wait <= most));
        assert!(waits.iter().any(|&wait| wait > most / 2));
        assert!(waits.iter().any(|&wait| wait < most / 2));
    }
}
