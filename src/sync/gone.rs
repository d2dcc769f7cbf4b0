//! The nodes that are not heard, or not any more.
//!
//! When a part of the group comes back that was cut off, it may have heard more of a node that has died
//! meanwhile, or of one that lived and died there.

use std::time::{Duration, Instant};

use super::peer::SILENT_PERIODS;
use super::serial::ahead;
use crate::wire::extension::Node;

/// How many of each kind are remembered: the latest.
const MOST: usize = 32;

/// What a node told last before it was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The latest number that it is known to have sent.
    pub number: u32,
    /// How many holes it had, if it said so.
    pub holes: Option<u32>,
}

/// One who is not heard.
#[derive(Debug)]
struct Unheard {
    node: Node,
    /// What it told last; nothing if it never was heard here.
    last: Option<Last>,
    /// Since when it is not heard, or was heard of.
    since: Instant,
    /// When it was heard last, if it is one too many to be remembered.
    heard: Option<Instant>,
    /// Who was found to have had more of it.
    told: Vec<Told>,
}

/// What another one has of it.
#[derive(Clone, Copy, Debug)]
struct Told {
    other: Node,
    /// Up to which number, when its table was needed for that.
    read: u32,
    /// Up to which by now.
    has: u32,
    /// Since when that has been more.
    grown: Option<Instant>,
}

/// Those who are not heard.
#[derive(Debug, Default)]
pub struct Gone {
    gone: Vec<Unheard>,
    never_heard: Vec<Unheard>,
}

fn remember(list: &mut Vec<Unheard>, now: Instant, node: Node, last: Option<Last>) {
    if list.len() >= MOST {
        list.remove(0);
    }
    list.push(Unheard {
        node,
        last,
        since: now,
        heard: None,
        told: Vec::new(),
    });
}

impl Gone {
    /// A node is gone.
    pub fn remember(&mut self, now: Instant, node: Node, last: Last) {
        remember(&mut self.gone, now, node, Some(last));
    }

    /// A node is there; tells what was known of it, if it was gone.
    pub fn forget(&mut self, node: Node) -> Option<Last> {
        self.never_heard.retain(|one| one.node != node);
        let index = self.gone.iter().position(|gone| gone.node == node)?;
        self.gone.remove(index).last
    }

    /// A node is heard that is one too many to be remembered: its sessions come all the same.
    pub fn overhear(&mut self, now: Instant, node: Node) {
        self.find(now, node).heard = Some(now);
    }

    /// Since when somebody has gone on hearing one that is not heard here.
    pub fn grown_since(&self) -> Option<Instant> {
        let all = self.gone.iter().chain(&self.never_heard);
        let told = all.flat_map(|one| &one.told);
        told.filter_map(|told| told.grown).min()
    }

    /// What `other` says is nothing any more.
    pub fn leave(&mut self, other: Node) {
        for one in self.gone.iter_mut().chain(&mut self.never_heard) {
            one.told.retain(|told| told.other != other);
        }
    }

    /// `other` has that number of a node that is not heard. If that is more than what was known of it, tells
    /// since when it is lacking, once of each other: where the other still hears it, the number grows all the
    /// time. Of one that never was heard, it is told after `patience`, for it may have just begun.
    pub fn had_more(
        &mut self,
        now: Instant,
        patience: Duration,
        node: Node,
        (other, number): (Node, u32),
    ) -> Option<Instant> {
        let one = self.find(now, node);
        if one
            .heard
            .is_some_and(|heard| now < heard + patience * SILENT_PERIODS)
        {
            return None;
        }
        let (is_more, since) = match one.last {
            Some(last) => (ahead(last.number, number) > 0, now),
            None => (number != 0 && now >= one.since + patience, one.since),
        };
        (is_more && one.tell(now, other, number)).then_some(since)
    }

    /// The table of `other` is read anyway, and has what it has of a node.
    pub fn reads(&mut self, now: Instant, node: Node, (other, number): (Node, u32)) {
        let one = self.find(now, node);
        if one.last.is_none() {
            one.tell(now, other, number);
        }
    }

    /// `other` hears those by now. Tells, once, whether it heard more of another one after its table was
    /// needed for that.
    pub fn had_more_meanwhile(&mut self, other: Node, hears: impl Fn(Node) -> bool) -> bool {
        let mut had_more = false;
        let all = self.gone.iter_mut().chain(&mut self.never_heard);
        for one in all.filter(|one| !hears(one.node)) {
            for told in one.told.iter_mut().filter(|told| told.other == other) {
                had_more |= ahead(told.read, told.has) > 0;
                (told.read, told.grown) = (told.has, None);
            }
        }
        had_more
    }

    /// What is known of one that is not heard.
    fn find(&mut self, now: Instant, node: Node) -> &mut Unheard {
        let of = |list: &[Unheard]| list.iter().position(|one| one.node == node);
        if let Some(index) = of(&self.gone) {
            return &mut self.gone[index];
        }
        let index = of(&self.never_heard).unwrap_or_else(|| {
            remember(&mut self.never_heard, now, node, None);
            self.never_heard.len() - 1
        });
        &mut self.never_heard[index]
    }
}

impl Unheard {
    /// `other` has it up to that number; tells whether it had nothing of it before.
    fn tell(&mut self, now: Instant, other: Node, number: u32) -> bool {
        if let Some(told) = self.told.iter_mut().find(|told| told.other == other) {
            told.has = number;
            if ahead(told.read, number) > 0 {
                told.grown.get_or_insert(now);
            }
            return false;
        }
        if self.told.len() >= MOST {
            self.told.remove(0);
        }
        self.told.push(Told {
            other,
            read: number,
            has: number,
            grown: None,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: [Node; 2] = [20, 21];
    const SECOND: Duration = Duration::from_secs(1);

    fn last(number: u32) -> Last {
        Last {
            number,
            holes: Some(1),
        }
    }

    #[test]
    fn what_others_have_of_a_node_that_is_gone_is_more_once_of_each() {
        let (mut gone, now) = (Gone::default(), Instant::now());
        gone.remember(now, 7, last(5));
        let mut had_more = |other, number| gone.had_more(now, SECOND, 7, (other, number));
        assert_eq!(had_more(OTHERS[0], 5), None);
        for other in OTHERS {
            assert_eq!(had_more(other, 6), Some(now), "{other}");
            assert_eq!(had_more(other, 7), None, "{other}");
        }
        let forgotten = [gone.forget(7), gone.forget(7)];
        assert_eq!(forgotten, [Some(last(5)), None]);
    }

    #[test]
    fn what_others_have_of_a_node_that_never_was_heard_is_more_after_a_while() {
        let (mut gone, start) = (Gone::default(), Instant::now());
        let mut had_more = |milliseconds, other, number| {
            let now = start + Duration::from_millis(milliseconds);
            gone.had_more(now, SECOND, 7, (other, number))
        };
        assert_eq!(had_more(0, OTHERS[0], 3), None);
        assert_eq!(had_more(999, OTHERS[0], 3), None, "it may have just begun");
        assert_eq!(had_more(1000, OTHERS[0], 3), Some(start));
        assert_eq!(had_more(2000, OTHERS[0], 4), None, "that was told");
        assert_eq!(had_more(2000, OTHERS[1], 0), None, "it has told nothing");
        assert_eq!(had_more(2000, OTHERS[1], 1), Some(start));
        assert_eq!(gone.forget(7), None, "it never was there");
    }

    #[test]
    fn what_others_have_of_a_node_is_no_more_if_their_tables_are_read_anyway() {
        let (mut gone, start) = (Gone::default(), Instant::now());
        gone.reads(start, 7, (OTHERS[0], 3));
        let later = start + SECOND;
        let had_more = OTHERS.map(|other| gone.had_more(later, SECOND, 7, (other, 3)));
        assert_eq!(had_more, [None, Some(start)]);
    }

    #[test]
    fn when_another_one_does_not_hear_it_any_more_it_had_more_if_the_number_has_grown() {
        let (mut gone, now) = (Gone::default(), Instant::now());
        gone.remember(now, 7, last(5));
        for (number, expected) in [(6, false), (8, true)] {
            gone.had_more(now, SECOND, 7, (OTHERS[0], number));
            assert!(!gone.had_more_meanwhile(OTHERS[0], |node| node == 7));
            assert!(!gone.had_more_meanwhile(OTHERS[1], |_| false));
            let had_more = gone.had_more_meanwhile(OTHERS[0], |_| false);
            assert_eq!(had_more, expected, "{number}");
        }
    }

    #[test]
    fn what_another_one_goes_on_hearing_is_lacking_until_it_does_not_or_is_gone_itself() {
        let (mut gone, start) = (Gone::default(), Instant::now());
        let now = |seconds| start + SECOND * seconds;
        gone.remember(start, 7, last(5));
        for (seconds, grown) in [(1, None), (2, Some(now(2))), (3, Some(now(2)))] {
            gone.had_more(now(seconds), SECOND, 7, (OTHERS[0], 5 + seconds));
            assert_eq!(gone.grown_since(), grown);
        }
        gone.had_more_meanwhile(OTHERS[0], |_| false);
        assert_eq!(gone.grown_since(), None);
        gone.had_more(now(4), SECOND, 7, (OTHERS[0], 20));
        assert_eq!(gone.grown_since(), Some(now(4)));
        gone.leave(OTHERS[0]);
        assert_eq!(gone.grown_since(), None);
    }

    #[test]
    fn one_too_many_that_is_heard_itself_is_not_lacking() {
        let (mut gone, start) = (Gone::default(), Instant::now());
        gone.overhear(start, 7);
        let mut had_more = |seconds| {
            let now = start + SECOND * seconds;
            gone.had_more(now, SECOND, 7, (OTHERS[0], 3)).is_some()
        };
        assert_eq!([2, 3].map(&mut had_more), [false, true]);
    }

    #[test]
    fn of_many_the_latest_are_remembered_and_those_who_never_were_there_displace_none() {
        let (mut gone, now) = (Gone::default(), Instant::now());
        let most = MOST as Node;
        for node in 0..=most {
            gone.remember(now, node, last(1));
            gone.had_more(now, SECOND, 1000 + node, (99, 1));
        }
        assert_eq!([gone.gone.len(), gone.never_heard.len()], [MOST; 2]);
        assert_eq!(gone.had_more(now, SECOND, most, (99, 2)), Some(now));
        assert_eq!(gone.had_more(now, SECOND, 0, (99, 2)), None);
    }
}
