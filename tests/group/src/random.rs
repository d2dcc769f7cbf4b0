//! Chance: one seed, one sequence.

use std::time::Duration;

/// A generator: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another sequence, which does not depend on how much of this one is used.
    pub fn fork(&self, stream: u64) -> Self {
        let mut fork = Self(self.0 ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        fork.number();
        fork
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True so often.
    pub fn chance(&mut self, share: f64) -> bool {
        self.share() < share
    }

    /// Less than `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % (end.max(1) as u64)) as usize
    }

    /// From one number to another, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.number() % (last - first + 1)
    }

    /// Between both.
    pub fn time(&mut self, least: Duration, most: Duration) -> Duration {
        let range = (most - least).as_nanos() as f64;
        least + Duration::from_nanos((range * self.share()) as u64)
    }

    /// One of `all`, of which there is at least one.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
