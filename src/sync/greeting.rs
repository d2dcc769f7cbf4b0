//! What a node says of itself.

use std::time::{Duration, Instant};

use super::Sync;
use super::gone::Last;
use super::hearing::ANSWER;
use super::peer::{FAR, Peer};
use super::received::Received;
use super::serial::ahead;
use crate::engine::Standing;
use crate::wire::Malformed;
use crate::wire::extension::{Hello, Reports};

/// So many hellos in a row are not overtaken by one.
const MOST_OVERTAKEN: u8 = 4;

/// For how long a daemon may not notice that its instance is another one, and give that one's table.
const UNNOTICED: Duration = Duration::from_secs(4);

/// What has become of a node's table since it said hello before.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// Whether there is something in it that was not told.
    has_more: bool,
    /// Whether it is another instance's.
    is_other: bool,
    /// Up to which number it was needed; what was told since then can be repeated.
    needed: Option<u32>,
    /// How many datagrams cannot be repeated any more.
    given_up: u32,
    /// Up to which number another instance told what cannot be, if it did.
    lost: Option<u32>,
    /// Whether it is gone before it was read for the first time.
    is_unread: bool,
    /// Up to which number it was read a moment ago, if it may have been another instance's by then.
    doubtful: Option<u32>,
}

impl Sync {
    pub(super) fn on_hello(
        &mut self,
        now: Instant,
        index: usize,
        number: u32,
        message: &[u8],
    ) -> Result<(), Malformed> {
        let (hello, reports) = Hello::read(message)?;
        self.peers[index].remember(&hello);
        let arrival = self.peers[index].received.announced(number);
        self.lack(now, index, arrival);
        let Some(change) = self.peers[index].take_hello(now, hello, &reports) else {
            // What it tells is not so any more.
            return Ok(());
        };
        self.tally.given_up += u64::from(change.given_up);
        if self.kernel.is_some() {
            self.follow_own(now, index);
            let peer = &mut self.peers[index];
            if change.given_up > 0 || change.has_more || peer.hides_something() {
                peer.miss(now);
            }
        }
        self.peers[index].settle();
        if hello.is_calling {
            let wait = self.random.up_to(ANSWER);
            self.hellos.hasten(now + wait);
        }
        self.follow_change(now, index, change, hello.holes);
        self.follow_reports(now, index);
        self.plan(now);
        Ok(())
    }

    /// If it has by now what this node's own instance does not, its table is needed.
    fn follow_own(&mut self, now: Instant, index: usize) {
        let told = self.told_of_another;
        let peer = &mut self.peers[index];
        let Some(has) = peer.reports_of(self.node) else {
            return;
        };
        let has_all = told.is_none_or(|told| ahead(told, has.number) >= 0);
        if has_all && std::mem::take(&mut peer.asked_of_another) {
            peer.miss(now);
            peer.has_of_another = true;
        }
    }

    /// Its table was not read, and is gone: it may still repeat what it told before.
    fn ask_instead(&mut self, now: Instant, index: usize) {
        let peer = &mut self.peers[index];
        let high = peer.received.high();
        if let Some(hello) = peer.hello {
            peer.lack_all_since(hello.oldest);
        }
        let arrival = peer.received.announced(high);
        self.lack(now, index, arrival);
    }

    /// What was to be read of its table, or repeated, and is gone, others may have.
    fn follow_change(&mut self, now: Instant, index: usize, change: Change, holes: u32) {
        if self.kernel.is_none() {
            return;
        }
        if change.is_unread {
            self.ask_instead(now, index);
        }
        let peer = &mut self.peers[index];
        if peer.never_had_a_table() {
            peer.want_no_table();
        }
        let up_to = change.needed.unwrap_or_else(|| peer.received.high());
        if peer.need.is_some() && !peer.has_table() {
            self.seek_elsewhere(now, index, up_to);
        } else if change.is_other && change.needed.is_some() {
            self.seek(now, index, up_to, Some(holes));
        }
        if let Some(up_to) = change.lost {
            self.seek(now, index, up_to, Some(holes));
        }
        if let Some(up_to) = change.doubtful {
            let before = self.peers[index].has_table().then_some(holes);
            self.seek(now, index, up_to, before);
        }
    }
}

fn is_without_kernel(hello: &Hello) -> bool {
    Standing::from_number(hello.standing) == Some(Standing::WithoutKernel)
}

impl Peer {
    /// It says hello. Nothing if a later one has overtaken that.
    fn take_hello(&mut self, now: Instant, hello: Hello, reports: &Reports<'_>) -> Option<Change> {
        if !self.may_have(hello.holes) {
            return None;
        }
        let before = self.hello;
        let had_table = self.has_table();
        let is_other = before.is_some_and(|told| told.instances != hello.instances);
        let is_replaced = is_other || is_without_kernel(&hello);
        if is_replaced {
            // Its table lacks what it told until now.
            self.told_of_another = Some(self.received.high());
        }
        let read = self.read.filter(|&(when, _)| now < when + UNNOTICED);
        self.read = read.filter(|_| !is_replaced);
        let was_read = self.need.is_none() || self.covered.is_some();
        let needed = self.need.map(|need| need.up_to);
        let needed = self.unconfirmed.take().or(needed);
        self.hello = Some(hello);
        if before.is_none() {
            self.is_newcomer &= !self.standing().is_some_and(Standing::may_take_over);
        }
        self.take_reports(reports.iter());
        let lacks_of_another = self.lacks_of_another();
        let given_up = self.received.give_up_before(hello.oldest);
        Some(Change {
            has_more: before.is_some_and(|before| ahead(before.holes, hello.holes) > 0),
            is_other: had_table && is_other,
            needed,
            given_up,
            lost: (self.told_of_another).filter(|_| lacks_of_another && given_up > 0),
            is_unread: had_table && !was_read && is_replaced,
            doubtful: read.filter(|_| is_replaced).map(|(_, up_to)| up_to),
        })
    }

    /// It says hello for the first time, or has come back. If it has no table, or not the one any more that it
    /// had, it may still repeat what it told before.
    fn remember(&mut self, hello: &Hello) {
        if self.hello.is_none() && self.before.is_none() && is_without_kernel(hello) {
            self.lack_all_since(hello.oldest);
        }
        let is_other = |before: &Last| {
            is_without_kernel(hello) || before.holes.is_some_and(|holes| holes != hello.holes)
        };
        if let Some(before) = self.before.filter(is_other) {
            self.told_of_another = Some(self.received.high());
            self.received = Received::up_to(before.number);
            self.before = None;
        }
    }

    /// Whether it has not served any instance yet, so that nobody has anything of it: as each does that starts.
    fn never_had_a_table(&self) -> bool {
        let holes = self.hello.map(|hello| hello.holes);
        !self.has_table() && holes == Some(0) && self.received.high() == 0
    }

    /// Nothing has come of what it told from that number on. (One that is far from those that were heard was none
    /// of this node's.)
    fn lack_all_since(&mut self, oldest: u32) {
        let before = oldest.wrapping_sub(1);
        if (1..FAR).contains(&ahead(before, self.received.high())) {
            self.received = Received::up_to(before);
        }
    }

    /// Whether something is lacking that such an instance told.
    fn lacks_of_another(&mut self) -> bool {
        let whole = self.received.whole();
        self.told_of_another = self.told_of_another.filter(|&told| ahead(whole, told) > 0);
        self.told_of_another.is_some()
    }

    /// Whether it may say that it has had so many holes. One that has fewer than before was overtaken by a
    /// later hello; but if several say so, that one was none of this node's.
    fn may_have(&mut self, holes: u32) -> bool {
        let is_overtaken = self.hello.is_some_and(|told| ahead(told.holes, holes) < 0);
        self.overtaken = match is_overtaken {
            true => (self.overtaken + 1) % MOST_OVERTAKEN,
            false => 0,
        };
        !is_overtaken || self.overtaken == 0
    }
}
