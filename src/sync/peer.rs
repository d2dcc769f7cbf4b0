//! One other node of the group, and what of it has not come yet.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::gone::Last;
use super::reading::Reading;
use super::received::Received;
use super::serial::{ahead, later};
use super::standing::GRACE;
use crate::engine::Standing;
use crate::wire::extension::{Hello, Node, Report};

/// How many periods a node may be silent before it counts as gone.
pub(super) const SILENT_PERIODS: u32 = 3;

/// How many other nodes' numbers are remembered of what one reports.
const MOST_REPORTS: usize = 32;

/// How far ahead of what is known of a node no number is that it has told.
pub(super) const FAR: i32 = 1 << 16;

/// The longest time between two requests for what is lacking, and the shortest.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(40);

/// Something that only a node's table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The table has it once the node had sent that number.
    pub up_to: u32,
    /// Since when it is known to be lacking.
    pub since: Instant,
    /// Whether it is what the node heard of one that is gone: of that, nobody can say that they have it all.
    pub is_of_the_gone: bool,
}

/// When what is lacking is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking {
    pub due: Option<Instant>,
    /// How often it was in vain.
    pub times: u32,
}

impl Asking {
    /// It was asked for: again after a while, which is longer each time.
    pub fn asked(&mut self, now: Instant, jitter: Duration) {
        let pause = (PAUSE * (1 << self.times.min(8))).min(LONGEST_PAUSE);
        self.due = Some(now + pause + jitter);
        self.times = self.times.saturating_add(1);
    }

    /// Not before then.
    pub fn postpone(&mut self, until: Instant) {
        self.due = self.due.map(|due| due.max(until));
    }
}

/// Another joold.
#[derive(Debug)]
pub struct Peer {
    /// The number that it chose when it started.
    pub node: Node,
    /// Where its last datagram came from.
    pub source: SocketAddr,
    /// When that was.
    pub heard: Instant,
    /// What it said of itself last; nothing before it said hello.
    pub hello: Option<Hello>,
    /// Which of its datagrams have come.
    pub received: Received,
    /// How many hellos in a row one with more holes has overtaken.
    pub overtaken: u8,
    /// What it has of others, as it said last; of those that it has wholly.
    pub reports: Vec<Report>,
    /// What only its table has, if that is known to be lacking.
    pub need: Option<Need>,
    /// Up to which number its table was needed when a part of that told of a hole before any hello did: it may
    /// be the table of another instance.
    pub unconfirmed: Option<u32>,
    /// How many holes it had when nothing was lacking of it; nothing while it is not known to.
    pub covered: Option<u32>,
    /// How far that was read.
    pub reading: Option<Reading>,
    /// When it was read to its end last, and what the node had sent when that began.
    pub read: Option<(Instant, u32)>,
    /// Whether that was begun anew: it will not be another time, or it would never come to its end.
    began_anew: bool,
    /// Since when something is lacking that it can repeat.
    pub lacking_since: Option<Instant>,
    /// When that is asked for.
    pub asking: Asking,
    /// How many of its datagrams did not come when they should have.
    pub lost: u64,
    /// How many of those came later.
    pub repaired: u64,
    /// Its numbers up to there were reported to it.
    pub reported: u32,
    /// Whether it was only about to get everything itself when it said hello first, or has not yet.
    pub is_newcomer: bool,
    /// Whether somebody said to have its table.
    pub was_read_elsewhere: bool,
    /// Whether the kernel does not wait for it any more until it follows again.
    pub is_excused: bool,
    /// Up to which number an instance told that it does not serve any more, if something of that is lacking.
    pub told_of_another: Option<u32>,
    /// Whether it asked for something that this node's instance does not have, for the one before told it.
    pub asked_of_another: bool,
    /// Whether it has that by now, so that its table is needed.
    pub has_of_another: bool,
    /// What it had told before it was gone, until its table was read.
    pub before: Option<Last>,
}

impl Peer {
    /// One that was just heard of, when it had sent `number`.
    pub fn new(node: Node, source: SocketAddr, now: Instant, number: u32) -> Self {
        Self {
            node,
            source,
            heard: now,
            hello: None,
            overtaken: 0,
            received: Received::up_to(number),
            reports: Vec::new(),
            need: None,
            unconfirmed: None,
            covered: None,
            reading: None,
            read: None,
            began_anew: false,
            lacking_since: None,
            asking: Asking::default(),
            lost: 0,
            repaired: 0,
            reported: number,
            is_newcomer: true,
            was_read_elsewhere: false,
            is_excused: false,
            told_of_another: None,
            asked_of_another: false,
            has_of_another: false,
            before: None,
        }
    }

    /// When it counts as gone, if nothing comes from it; `period` is for one that did not tell its own.
    pub fn gone_at(&self, period: Duration) -> Instant {
        self.heard + self.period(period) * SILENT_PERIODS
    }

    /// When its next hello is overdue.
    pub fn silent_at(&self, period: Duration) -> Instant {
        let period = self.period(period);
        self.heard + period + period / 2
    }

    /// When it is silent or, from then on, gone.
    pub fn fades_at(&self, now: Instant, period: Duration) -> Instant {
        let silent = self.silent_at(period);
        match silent > now {
            true => silent,
            false => self.gone_at(period),
        }
    }

    fn period(&self, default: Duration) -> Duration {
        let told = self.hello.map(|hello| hello.period.into());
        let period = told.map_or(default, Duration::from_millis);
        period.clamp(Duration::from_millis(50), Duration::from_secs(60))
    }

    /// What it told last.
    pub fn last(&self) -> Last {
        Last {
            number: self.received.high(),
            holes: self.hello.map(|hello| hello.holes),
        }
    }

    /// How it says that it is.
    pub fn standing(&self) -> Option<Standing> {
        Standing::from_number(self.hello?.standing)
    }

    /// Whether its daemon has hardly started.
    pub fn is_starting(&self) -> bool {
        self.standing()
            .is_none_or(|standing| standing == Standing::Starting)
    }

    /// Whether its kernel has a table.
    pub fn has_table(&self) -> bool {
        self.standing()
            .is_some_and(|standing| standing != Standing::WithoutKernel)
    }

    /// Something is lacking that only its table has: whatever it has told by now. It goes on repeating
    /// what it has told, for its table may be that of another instance by now.
    pub fn miss(&mut self, since: Instant) {
        // What was read of the table so far may be older than that.
        self.outdate_reading();
        let up_to = self.received.high();
        let need = self.need.get_or_insert(Need {
            up_to,
            since,
            is_of_the_gone: false,
        });
        need.since = need.since.min(since);
        // One number that was far beyond all others was none of this node's.
        need.up_to = match ahead(up_to, need.up_to) > FAR {
            true => up_to,
            false => later(need.up_to, up_to),
        };
    }

    /// Something is in the table by now that was not when the reading of it began, or it is another one.
    pub fn outdate_reading(&mut self) {
        match &mut self.reading {
            Some(reading) if self.began_anew => reading.is_outdated = true,
            Some(_) => (self.reading, self.began_anew) = (None, true),
            None => (),
        }
    }

    /// The reading came to its end.
    pub fn end_reading(&mut self) -> Option<Reading> {
        self.began_anew = false;
        self.reading.take()
    }

    /// What it heard of one that is gone is lacking, and has been since then.
    pub fn miss_of_the_gone(&mut self, since: Instant) {
        self.miss(since);
        if let Some(need) = &mut self.need {
            need.is_of_the_gone = true;
        }
    }

    /// It has no table any more. It may still repeat what it has told.
    pub fn want_no_table(&mut self) {
        self.need = None;
        self.covered = None;
        self.has_of_another = false;
        self.end_reading();
    }

    /// There is no kernel to take anything.
    pub fn want_nothing(&mut self) {
        self.want_no_table();
        self.received.give_up();
        self.settle();
    }

    /// The table of somebody was read who had everything that it had told when it had sent `number` and had
    /// so many holes.
    pub fn has_heard(&mut self, number: u32, holes: u32) {
        if self.need.is_none_or(|need| !need.is_of_the_gone) {
            self.has_read(number, holes);
        }
    }

    /// Its table was read as it was when it had sent `number` and had so many holes.
    pub fn has_read(&mut self, number: u32, holes: u32) {
        let is_all = self.need.is_some_and(|need| ahead(need.up_to, number) >= 0);
        let told = self.hello.map_or(holes, |hello| hello.holes);
        if is_all && ahead(told, holes) >= 0 {
            self.need = None;
            self.covered = Some(holes);
            self.before = None;
            self.end_reading();
            self.is_newcomer = false;
        }
    }

    /// Whether its table has something that was not told, and is not known to be needed.
    pub fn hides_something(&self) -> bool {
        let holes = self.hello.map(|hello| hello.holes);
        self.need.is_none() && self.has_table() && self.covered != holes
    }

    /// Something is lacking since now, and will be asked for at `ask`.
    pub fn lack(&mut self, now: Instant, lost: u32, ask: Instant) {
        self.lost += u64::from(lost);
        self.lacking_since.get_or_insert(now);
        if self.asking.due.is_none() {
            self.asking.due = Some(ask);
        }
    }

    /// Looks whether anything is still lacking.
    pub fn settle(&mut self) {
        if self.received.is_whole() {
            self.lacking_since = None;
            self.asking = Asking::default();
        }
    }

    /// Something that was lacking has come.
    pub fn repair(&mut self, now: Instant) {
        self.repaired += 1;
        self.asking.times = 0;
        // More of it is on its way.
        self.asking.postpone(now + PAUSE);
        self.settle();
    }

    /// Whether others may have something of it that is lacking here. A newcomer whose table was not read
    /// yet leaves nothing, unless somebody else has.
    pub fn leaves_something(&self) -> bool {
        let is_known = self.covered.is_some() || !self.is_newcomer || self.was_read_elsewhere;
        let is_needed = self.need.is_some() || self.unconfirmed.is_some();
        self.lacking_since.is_some() || is_needed && is_known
    }

    /// Since when anything of it is lacking.
    pub fn missing_since(&self) -> Option<Instant> {
        let need = self.need.map(|need| need.since);
        need.into_iter().chain(self.lacking_since).min()
    }

    /// Since when something of it is lacking.
    /// For one that had everything, `was_complete`, what a newcomer's own table may have is not: it would
    /// not be fit to take over each time that another router's daemon is started again.
    pub fn outstanding_since(&self, was_complete: bool) -> Option<Instant> {
        let is_first = self.covered.is_none();
        let need = self.need.map(|need| need.since);
        let need = match need {
            Some(_) if was_complete && is_first && self.is_newcomer && self.hello.is_some() => None,
            // Whoever had everything elsewhere, or was gone, surely has something.
            Some(since) if is_first && (self.hello.is_some() || !self.is_newcomer) => {
                Some(since.checked_sub(GRACE).unwrap_or(since))
            }
            need => need,
        };
        need.into_iter().chain(self.lacking_since).min()
    }

    /// The number up to which everything of it has come. If that cannot come any more, or it `is_silent`, up
    /// to which it is known to have sent: whoever believes to have everything should know of what came to others
    /// alone.
    pub fn report(&self, is_silent: bool) -> Report {
        let is_lost = is_silent && !self.received.is_whole();
        let covered = self.covered.filter(|_| self.need.is_none() && !is_lost);
        Report {
            node: self.node,
            number: match covered {
                Some(_) => self.received.whole(),
                None => self.received.high(),
            },
            holes: covered.unwrap_or(Report::LACKING),
        }
    }

    /// Takes what it says that it has of others.
    pub fn take_reports(&mut self, reports: impl Iterator<Item = Report>) {
        self.reports.clear();
        self.reports.extend(reports.take(MOST_REPORTS));
    }

    /// Up to which number, and to how many holes, it says that it has everything of that node.
    pub fn reports_of(&self, node: Node) -> Option<Report> {
        let mut reports = self.reports.iter().filter(|report| report.is_whole());
        reports.find(|report| report.node == node).copied()
    }
}
