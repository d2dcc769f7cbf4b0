//! What the operator is told, at a bounded rate.
//!
//! Trouble that repeats is told a few times in full; after that one line per period says how often
//! it happened. Nothing is due while nothing happens, so an idle daemon has no timer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Reason;
use crate::wire::jool::Version;

/// How many lines in full a reason gets at once.
const BURST: u32 = 3;

/// How long the rest is only counted.
const PERIOD: Duration = Duration::from_secs(10);

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel's first batch told the module's version, or a later one told another.
    ModuleVersion(Version),
    /// The first datagram arrived, from there.
    FirstDatagram(SocketAddr),
    /// Something went wrong.
    Trouble {
        /// What and why.
        reason: Reason,
        /// The particulars.
        detail: String,
    },
    /// It went on going wrong.
    Repeated {
        /// What and why.
        reason: Reason,
        /// How often since the last line about it.
        times: u64,
    },
}

/// The events that wait to be told, and how much was told already.
#[derive(Debug)]
pub struct Journal {
    events: VecDeque<Event>,
    limits: [Limit; Reason::ALL.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Limit {
    /// When the current period ends; nothing was told within one without it.
    until: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Journal {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            events: VecDeque::new(),
            limits: [Limit::default(); Reason::ALL.len()],
        }
    }

    /// Adds an event that is no trouble.
    pub fn note(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Adds trouble, or counts it when enough was told. `detail` is only made in the first case.
    pub fn trouble(&mut self, now: Instant, reason: Reason, detail: impl FnOnce() -> String) {
        self.summarize(now, reason);
        if self.limits[reason as usize].admit(now) {
            self.events.push_back(Event::Trouble {
                reason,
                detail: detail(),
            });
        }
    }

    /// The next event to tell.
    pub fn pop(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Journal::elapse`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.limits
            .iter()
            .filter(|limit| limit.untold > 0)
            .filter_map(|limit| limit.until)
            .min()
    }

    /// Adds the summaries that are due.
    pub fn elapse(&mut self, now: Instant) {
        for &reason in Reason::ALL {
            self.summarize(now, reason);
        }
    }

    fn summarize(&mut self, now: Instant, reason: Reason) {
        if let Some(times) = self.limits[reason as usize].summary(now) {
            self.events.push_back(Event::Repeated { reason, times });
        }
    }
}

impl Limit {
    fn admit(&mut self, now: Instant) -> bool {
        if self.until.is_none() {
            *self = Self {
                until: Some(now + PERIOD),
                told: 0,
                untold: 0,
            };
        }
        if self.told < BURST {
            self.told += 1;
            return true;
        }
        self.untold += 1;
        false
    }

    /// Ends a period that is over. What goes on gets a summary and another period; what stopped
    /// for a whole one may speak in full again.
    fn summary(&mut self, now: Instant) -> Option<u64> {
        if now < self.until? {
            return None;
        }
        if self.untold == 0 {
            self.until = None;
            return None;
        }
        let times = self.untold;
        *self = Self {
            until: Some(now + PERIOD),
            told: BURST,
            untold: 0,
        };
        Some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: Reason = Reason::NotSent;

    /// Trouble once each 100 ms, served as the reactor would; returns what was told and when.
    fn tell(journal: &mut Journal, start: Instant, times: u32) -> Vec<(Duration, Event)> {
        let mut told = Vec::new();
        for step in 0..times {
            let now = start + Duration::from_millis(100) * step;
            journal.trouble(now, REASON, || step.to_string());
            while let Some(event) = journal.pop() {
                told.push((now - start, event));
            }
        }
        told
    }

    #[test]
    fn trouble_that_goes_on_is_told_three_times_then_summed_up_each_ten_seconds() {
        let mut journal = Journal::new();
        let told = tell(&mut journal, Instant::now(), 300);
        let summaries: Vec<_> = told[3..].to_vec();
        assert_eq!(told.len(), 5);
        assert_eq!(
            summaries[0],
            (
                PERIOD,
                Event::Repeated {
                    reason: REASON,
                    times: 97
                }
            )
        );
        assert_eq!(
            summaries[1],
            (
                2 * PERIOD,
                Event::Repeated {
                    reason: REASON,
                    times: 100
                }
            )
        );
    }

    #[test]
    fn every_occurrence_is_told_or_counted() {
        let mut journal = Journal::new();
        let start = Instant::now();
        let mut told = tell(&mut journal, start, 250);
        let end = journal.deadline().unwrap();
        journal.elapse(end);
        told.extend(journal.pop().map(|event| (end - start, event)));
        let sum: u64 = told
            .iter()
            .map(|(_, event)| match event {
                Event::Repeated { times, .. } => *times,
                _ => 1,
            })
            .sum();
        assert_eq!(sum, 250);
        assert_eq!(journal.deadline(), None);
    }

    #[test]
    fn after_a_quiet_period_trouble_is_told_in_full_again() {
        let mut journal = Journal::new();
        let start = Instant::now();
        tell(&mut journal, start, 3);
        assert_eq!(tell(&mut journal, start + 2 * PERIOD, 3).len(), 3);
    }

    #[test]
    fn one_reason_does_not_silence_another() {
        let mut journal = Journal::new();
        let now = Instant::now();
        tell(&mut journal, now, 10);
        journal.trouble(now, Reason::AckRefused, String::new);
        assert!(matches!(
            journal.pop(),
            Some(Event::Trouble {
                reason: Reason::AckRefused,
                ..
            })
        ));
    }

    #[test]
    fn nothing_is_due_while_nothing_was_left_out() {
        let mut journal = Journal::new();
        tell(&mut journal, Instant::now(), 3);
        assert_eq!(journal.deadline(), None);
    }
}
