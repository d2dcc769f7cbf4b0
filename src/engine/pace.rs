//! How many batches to ask the kernel for at once.
//!
//! An acknowledgement releases one batch, inside the `send()` that carries it. Several in one
//! `send()` release several, as long as the kernel's queue has them; what it does not have, it does
//! not send later. So while all come that were asked for, more are asked for.

/// The most batches to ask for at once; they wait in the netlink socket together.
pub const MOST: usize = 32;

/// What was asked for, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    asked: usize,
    came: usize,
    /// How often in a row everything came.
    fulfilled: u32,
}

impl Pace {
    /// The kernel sends its first batch unasked.
    pub fn new() -> Self {
        Self {
            asked: 1,
            came: 0,
            fulfilled: 0,
        }
    }

    /// A batch came, or was lost.
    pub fn came(&mut self) {
        self.came += 1;
    }

    /// Whether nothing more is to be expected unless it is asked for.
    pub fn is_fulfilled(&self) -> bool {
        self.came >= self.asked
    }

    /// Whether a batch came since it was asked for.
    pub fn owes(&self) -> bool {
        self.came > 0
    }

    /// Nothing is left. What comes next is the start of something new.
    pub fn rest(&mut self) {
        *self = Self::new();
    }

    /// How many to ask for now.
    pub fn ask(&mut self) -> usize {
        if self.is_fulfilled() {
            self.fulfilled += 1;
            // Once may be a lone batch; what follows it at once is part of a burst.
            if self.fulfilled > 1 {
                self.asked = (2 * self.asked).min(MOST);
            }
        } else {
            (self.asked, self.fulfilled) = (1, 0);
        }
        self.came = 0;
        self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_with_pauses_between_them_are_acknowledged_once_each() {
        let mut pace = Pace::new();
        for _ in 0..3 {
            pace.came();
            assert_eq!(pace.ask(), 1);
            pace.rest();
        }
    }

    /// How many are asked for after each time that so many came.
    fn asks(came: &[usize]) -> Vec<usize> {
        let mut pace = Pace::new();
        let ask = |&came: &usize| {
            (0..came).for_each(|_| pace.came());
            pace.ask()
        };
        came.iter().map(ask).collect()
    }

    #[test]
    fn a_burst_is_asked_for_in_growing_portions() {
        assert_eq!(
            asks(&[1, 1, 2, 4, 8, 16, 32, 32]),
            [1, 2, 4, 8, 16, MOST, MOST, MOST]
        );
    }

    #[test]
    fn the_end_of_a_burst_ends_it() {
        assert_eq!(asks(&[1, 1, 2, 3, 1, 1]), [1, 2, 4, 1, 1, 2]);
    }
}
