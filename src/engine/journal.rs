//! What the operator is told, at a bounded rate.
//!
//! Trouble that repeats is told a few times in full; after that one line per period says how often
//! it happened, or that it is over. Nothing is due while nothing happens, so an idle daemon has no
//! timer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Reason, Standing};
use crate::sync::News;
use crate::wire::globals::Global;
use crate::wire::jool::{InstanceName, Version};

/// How many lines in full a reason gets at once.
const BURST: u32 = 3;

/// How long the rest is only counted.
const PERIOD: Duration = Duration::from_secs(10);

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Jool's kernel module was found, at the start or later; its version, if the system tells.
    ModuleLoaded(Option<Version>),
    /// It is not loaded when the daemon starts.
    ModuleMissing,
    /// It was unloaded.
    ModuleUnloaded,
    /// The instance was found, at the start or later.
    InstanceFound,
    /// It is not there when the daemon, or the module, starts; the kernel's words.
    InstanceMissing(String),
    /// It was removed; the kernel's words.
    InstanceRemoved(String),
    /// It was removed, and created anew.
    InstanceRecreated,
    /// The daemon changed one of its globals.
    Changed {
        /// Which one.
        global: Global,
        /// What it was.
        from: u32,
        /// What it is.
        to: u32,
    },
    /// The instance's pool4 has more than can be compared with each session.
    Pool4TooLarge,
    /// The module file wants a global that the module does not have.
    LacksGlobal(Global),
    /// The instance is as it should be, and synchronizes; `ss-flush-deadline` in ms, if it is known.
    Serving {
        /// `ss-flush-deadline`.
        deadline: Option<u32>,
    },
    /// The instance does not synchronize, and the module file leaves it so.
    SynchronizationIsOff,
    /// Somebody turned synchronization off.
    SynchronizationTurnedOff,
    /// Somebody turned synchronization on.
    SynchronizationTurnedOn,
    /// The daemon's standing changed, to this one.
    Standing(Standing),
    /// The kernel's first batch told the module's version, or a later one told another.
    ModuleVersion(Version),
    /// The kernel spells the instance's name in another case than the file, like this.
    OtherSpelling(InstanceName),
    /// The first datagram arrived, from there.
    FirstDatagram(SocketAddr),
    /// Something about the other nodes.
    Group(News),
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
    /// What went wrong has worked since.
    Recovered {
        /// What had gone wrong.
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
    /// Before that, no period ends; nothing while there is none.
    first_end: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Limit {
    /// When the current period ends; nothing was told within one without it.
    until: Option<Instant>,
    told: u32,
    untold: u64,
    health: Health,
}

/// What is known of the thing that a reason stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Health {
    /// No trouble that was not told to be over.
    #[default]
    Sound,
    /// Nothing has shown since the last trouble that it works again.
    Failing,
    /// It succeeded after it had failed last, which is told at the end of the period.
    Healed,
}

impl Journal {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            events: VecDeque::new(),
            limits: [Limit::default(); Reason::ALL.len()],
            first_end: None,
        }
    }

    /// Adds an event that is no trouble.
    pub fn note(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Adds trouble that happened `times` at once, or counts it when enough was told. `detail` is
    /// only made in the first case, and tells the number if it matters.
    pub fn trouble(
        &mut self,
        now: Instant,
        reason: Reason,
        times: u64,
        detail: impl FnOnce() -> String,
    ) {
        self.summarize(now, reason);
        if self.limits[reason as usize].admit(now, times) {
            self.events.push_back(Event::Trouble {
                reason,
                detail: detail(),
            });
        }
        let end = self.limits[reason as usize].until;
        self.first_end = [self.first_end, end].into_iter().flatten().min();
    }

    /// What `reason` stands for has worked. Told at the end of the period if there is one, so that
    /// what fails and works by turns fills no log.
    pub fn success(&mut self, reason: Reason) {
        let limit = &mut self.limits[reason as usize];
        match limit.health {
            Health::Failing if limit.until.is_some() => limit.health = Health::Healed,
            Health::Failing => {
                *limit = Limit::default();
                self.events.push_back(Event::Recovered { reason, times: 0 });
            }
            Health::Sound | Health::Healed => (),
        }
    }

    /// The next event to tell.
    pub fn pop(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Journal::elapse`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.first_end?;
        self.limits
            .iter()
            .filter(|limit| limit.untold > 0 || limit.health == Health::Healed)
            .filter_map(|limit| limit.until)
            .min()
    }

    /// Adds the summaries that are due.
    pub fn elapse(&mut self, now: Instant) {
        // Hardly ever: this is asked each time that anything comes.
        if self.first_end.is_none_or(|end| now < end) {
            return;
        }
        for &reason in Reason::ALL {
            self.summarize(now, reason);
        }
        self.first_end = self.limits.iter().filter_map(|limit| limit.until).min();
    }

    fn summarize(&mut self, now: Instant, reason: Reason) {
        self.events
            .extend(self.limits[reason as usize].summary(now, reason));
    }
}

impl Limit {
    fn admit(&mut self, now: Instant, times: u64) -> bool {
        if self.until.is_none() {
            *self = Self {
                until: Some(now + PERIOD),
                ..Self::default()
            };
        }
        self.health = Health::Failing;
        if self.told < BURST {
            self.told += 1;
            return true;
        }
        self.untold += times;
        false
    }

    /// Ends a period that is over. What goes on gets a summary and another period, with one line in
    /// full, for its particulars may be others by now; what stopped may begin anew.
    fn summary(&mut self, now: Instant, reason: Reason) -> Option<Event> {
        if now < self.until? {
            return None;
        }
        let Self {
            untold: times,
            health,
            ..
        } = *self;
        *self = Self::default();
        if health == Health::Healed {
            return Some(Event::Recovered { reason, times });
        }
        self.health = health;
        if times == 0 {
            return None;
        }
        (self.until, self.told) = (Some(now + PERIOD), BURST - 1);
        Some(Event::Repeated { reason, times })
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
            journal.trouble(now, REASON, 1, || step.to_string());
            while let Some(event) = journal.pop() {
                told.push((now - start, event));
            }
        }
        told
    }

    fn drain(journal: &mut Journal) -> Vec<Event> {
        std::iter::from_fn(|| journal.pop()).collect()
    }

    fn over(times: u64) -> Event {
        Event::Recovered {
            reason: REASON,
            times,
        }
    }

    #[test]
    fn trouble_that_goes_on_is_told_three_times_then_summed_up_each_ten_seconds() {
        let mut journal = Journal::new();
        let told = tell(&mut journal, Instant::now(), 300);
        let repeated = |times| Event::Repeated {
            reason: REASON,
            times,
        };
        let in_full = |step: u32| Event::Trouble {
            reason: REASON,
            detail: step.to_string(),
        };
        let events: Vec<_> = told.into_iter().map(|(_, event)| event).collect();
        let expected = [
            in_full(0),
            in_full(1),
            in_full(2),
            repeated(97),
            in_full(100),
            repeated(99),
            in_full(200),
        ];
        assert_eq!(events, expected);
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
    fn what_works_again_is_told_once_at_the_end_of_the_period() {
        let mut journal = Journal::new();
        let start = Instant::now();
        tell(&mut journal, start, 5);
        journal.success(REASON);
        journal.success(REASON);
        assert_eq!(journal.deadline(), Some(start + PERIOD));
        journal.elapse(start + PERIOD);
        assert_eq!(drain(&mut journal), [over(2)]);
        assert_eq!(journal.deadline(), None);
    }

    #[test]
    fn what_works_again_after_a_quiet_time_is_told_at_once_and_once() {
        let mut journal = Journal::new();
        let start = Instant::now();
        tell(&mut journal, start, 5);
        for periods in 1..5 {
            journal.elapse(start + periods * PERIOD);
        }
        drain(&mut journal);
        journal.success(REASON);
        journal.success(REASON);
        assert_eq!(drain(&mut journal), [over(0)]);
        assert_eq!(journal.deadline(), None);
    }

    #[test]
    fn what_fails_again_after_it_worked_is_not_told_to_be_over() {
        let mut journal = Journal::new();
        let start = Instant::now();
        tell(&mut journal, start, 1);
        journal.success(REASON);
        journal.trouble(start, REASON, 1, String::new);
        drain(&mut journal);
        journal.elapse(start + PERIOD);
        assert_eq!(journal.pop(), None);
    }

    #[test]
    fn what_fails_and_works_by_turns_fills_no_log() {
        let mut journal = Journal::new();
        let start = Instant::now();
        let mut lines = 0;
        for step in 0..1000 {
            let now = start + Duration::from_millis(step * 100);
            journal.elapse(now);
            journal.trouble(now, REASON, 1, String::new);
            journal.success(REASON);
            lines += drain(&mut journal).len();
        }
        assert!(lines <= 10 * (BURST as usize + 1), "{lines} lines in 100 s");
    }

    #[test]
    fn success_without_trouble_is_nothing_to_tell() {
        let mut journal = Journal::new();
        journal.success(REASON);
        assert_eq!((journal.pop(), journal.deadline()), (None, None));
    }

    #[test]
    fn one_reason_does_not_silence_another() {
        let mut journal = Journal::new();
        let now = Instant::now();
        tell(&mut journal, now, 10);
        journal.trouble(now, Reason::AckRefused, 1, String::new);
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
