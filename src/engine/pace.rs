//! How many batches to ask the kernel for at once.
//!
//! An acknowledgement releases one batch, inside the `send()` that carries it. Several in one
//! `send()` release several, as long as the kernel's queue has them; what it does not have, it does
//! not send later. So while all come that were asked for, more are asked for.

/// The most batches to ask for at once; they wait in the netlink socket together.
pub const MOST: usize = 32;

/// What was asked for, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    asked: usize,
    came: usize,
    /// How often in a row everything came.
    fulfilled: u32,
    /// Whether the socket's buffer was full, and the socket not empty since.
    overrun: bool,
}

impl Pace {
    /// The kernel sends its first batch unasked.
    pub fn new() -> Self {
        Self {
            asked: 1,
            came: 0,
            fulfilled: 0,
            overrun: false,
        }
    }

    /// A batch came, or was lost.
    pub fn came(&mut self) {
        self.came += 1;
    }

    /// The socket's buffer was full. The kernel throws away what it has for such a socket until
    /// that has been read empty (netlink(7) knows it as congested), and tells so only once. Until
    /// then nothing may be asked for.
    pub fn overrun(&mut self) {
        self.overrun = true;
    }

    /// Whether the socket has to be read empty first.
    pub fn is_overrun(&self) -> bool {
        self.overrun
    }

    /// Whether nothing more is to be expected unless it is asked for.
    pub fn is_fulfilled(&self) -> bool {
        !self.overrun && self.came >= self.asked
    }

    /// Whether a batch came since it was asked for, or was lost.
    pub fn owes(&self) -> bool {
        self.overrun || self.came > 0
    }

    /// Nothing is left. What comes next is the start of something new.
    pub fn rest(&mut self) {
        *self = Self::new();
    }

    /// How many to ask for now.
    pub fn next(&self) -> usize {
        self.following().asked
    }

    /// As many were asked for.
    pub fn asked(&mut self) {
        *self = self.following();
    }

    fn following(&self) -> Self {
        if !self.is_fulfilled() {
            return Self::new();
        }
        // Once may be a lone batch; what follows it at once is part of a burst.
        let asked = match self.fulfilled {
            0 => self.asked,
            _ => (2 * self.asked).min(MOST),
        };
        Self {
            asked,
            came: 0,
            fulfilled: self.fulfilled.saturating_add(1),
            overrun: false,
        }
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
            assert_eq!(pace.next(), 1);
            pace.asked();
            pace.rest();
        }
    }

    /// How many are asked for after each time that so many came.
    fn asks(came: &[usize]) -> Vec<usize> {
        let mut pace = Pace::new();
        let ask = |&came: &usize| {
            (0..came).for_each(|_| pace.came());
            let asked = pace.next();
            pace.asked();
            asked
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

    #[test]
    fn what_could_not_be_asked_for_is_still_owed() {
        let mut pace = Pace::new();
        pace.came();
        assert_eq!((pace.next(), pace.owes()), (1, true));
        assert_eq!((pace.next(), pace.owes()), (1, true));
        pace.asked();
        assert!(!pace.owes());
    }

    #[test]
    fn after_an_overrun_nothing_is_asked_for_until_nothing_is_left_and_then_one() {
        let mut pace = Pace::new();
        for came in [1, 1, 2, 4] {
            (0..came).for_each(|_| pace.came());
            pace.asked();
        }
        pace.overrun();
        for _ in 0..100 {
            pace.came();
            assert!(!pace.is_fulfilled());
        }
        assert_eq!((pace.owes(), pace.next()), (true, 1));
        pace.asked();
        assert_eq!(pace, Pace::new());
    }
}
