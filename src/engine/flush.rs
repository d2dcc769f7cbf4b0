//! When to acknowledge once more, so that no session waits for the module's own timer.
//!
//! The module holds a session back that follows a batch within `ss-flush-deadline`, and looks at it
//! again when another session comes, when an acknowledgement comes, and every two seconds. So once
//! the deadline after a batch has passed, an acknowledgement makes it look. Whatever is queued
//! later leaves at once. An acknowledgement too many does no harm: the module keeps one at most.

use std::time::{Duration, Instant};

/// The module's own timer. A deadline that is no shorter gains nothing by acknowledgements.
const TIMER: u32 = 2000;

/// The module counts in jiffies, of 10 ms at most, and lets one more pass than the deadline has.
const SLACK: Duration = Duration::from_millis(11);

/// How often in a row without a batch: the last batch may have left the module some time before
/// it was received.
const TIMES: u32 = 2;

/// The acknowledgements that are still to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flush {
    due: Option<Instant>,
    left: u32,
}

impl Flush {
    /// A batch came, or the module may have queued something. `deadline` is its own in
    /// milliseconds, if that is known.
    pub fn begin(&mut self, now: Instant, deadline: Option<u32>) {
        self.left = TIMES;
        self.next(now, deadline);
    }

    /// When an acknowledgement is due.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It was sent.
    pub fn done(&mut self, now: Instant, deadline: Option<u32>) {
        self.left = self.left.saturating_sub(1);
        self.next(now, deadline);
    }

    /// There is nobody to flush.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    fn next(&mut self, now: Instant, deadline: Option<u32>) {
        self.due = deadline
            .filter(|&deadline| deadline < TIMER && self.left > 0)
            .map(|deadline| now + Duration::from_millis(deadline.into()) + SLACK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Option<u32> = Some(20);

    /// How long after a batch acknowledgements are due, if nothing else comes.
    fn delays(deadline: Option<u32>) -> Vec<Duration> {
        let start = Instant::now();
        let mut flush = Flush::default();
        flush.begin(start, deadline);
        let mut delays = Vec::new();
        while let Some(due) = flush.due() {
            delays.push(due - start);
            flush.done(due, deadline);
        }
        delays
    }

    #[test]
    fn a_few_acknowledgements_follow_a_batch_and_then_none() {
        assert_eq!(delays(DEADLINE), [31, 62].map(Duration::from_millis));
    }

    #[test]
    fn a_batch_begins_them_anew() {
        let start = Instant::now();
        let mut flush = Flush::default();
        flush.begin(start, DEADLINE);
        let later = start + Duration::from_millis(30);
        flush.begin(later, DEADLINE);
        assert_eq!(flush.due(), Some(later + Duration::from_millis(31)));
    }

    #[test]
    fn there_are_none_where_the_modules_timer_is_as_fast() {
        assert!(delays(Some(TIMER)).is_empty());
        assert!(delays(Some(u32::MAX)).is_empty());
        assert!(delays(None).is_empty());
        assert_eq!(delays(Some(TIMER - 1)).len(), TIMES as usize);
    }
}
