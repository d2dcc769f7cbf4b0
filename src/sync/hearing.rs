//! What is heard of the others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::peer::Peer;
use super::reading::{Progress, Reading, START};
use super::received::Arrival;
use super::serial::ahead;
use super::{MOST_PEERS, News, Sync, giving};
use crate::engine::Standing;
use crate::wire::Malformed;
use crate::wire::extension::{Ask, Header, Hello, Kind, Node, Pull, Report, Stretch, TableHeader};
use crate::wire::session::Format;

/// How long a gap may be a datagram that another one overtook, and how much longer by chance, so that
/// not all ask at once.
const REORDER: Duration = Duration::from_millis(8);
const JITTER: Duration = Duration::from_millis(8);

/// How long to wait when somebody else has just asked for the same.
const ASKED: Duration = Duration::from_millis(30);

/// How soon those who call are answered, at the latest.
const ANSWER: Duration = Duration::from_millis(60);

/// After how many datagrams of a node it is told that they came: an eighth of what it can repeat, within
/// these bounds.
const REPORT: (i32, i32) = (8, 128);

/// What becomes of sessions from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The kernel adds them.
    Add,
    /// The kernel's own are compared with them first: they are late.
    Compare,
    /// They have come already.
    Nothing,
}

/// A part of a table that goes on where the reading of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    node: Node,
    stretch: Stretch,
}

/// What is in a message for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nothing.
    Nothing,
    /// Sessions behind so many bytes, which are compared with the kernel's; and whether they are a
    /// part of a table.
    Sessions(usize, Option<Part>),
}

impl Sync {
    /// Sessions with that trailer came.
    pub fn on_sessions(&mut self, now: Instant, source: SocketAddr, header: Header) -> Delivery {
        let Some(index) = self.meet(now, source, header) else {
            return self.of_stranger(header);
        };
        let serves = self.kernel.is_some();
        let peer = &mut self.peers[index];
        let arrival = peer.received.came(header.number);
        let delivery = match arrival {
            // What waited in the kernel for the daemon to start may be older than what others told since.
            Arrival::Next | Arrival::Ahead(_) | Arrival::Jump(_) if peer.is_starting() => {
                Delivery::Compare
            }
            Arrival::Next | Arrival::Ahead(_) | Arrival::Jump(_) => Delivery::Add,
            Arrival::Late => Delivery::Compare,
            Arrival::Known => Delivery::Nothing,
        };
        match arrival {
            Arrival::Next => (),
            Arrival::Known => self.tally.doubled += 1,
            Arrival::Late => {
                peer.repair(now);
                self.tally.repaired += 1;
            }
            Arrival::Ahead(_) | Arrival::Jump(_) => self.lack(now, index, arrival),
        }
        let peer = &mut self.peers[index];
        if !serves {
            peer.want_nothing();
        }
        let oldest = peer.hello.map_or(header.number, |hello| hello.oldest);
        let often = (ahead(oldest, header.number) / 8).clamp(REPORT.0, REPORT.1);
        if ahead(peer.reported, peer.received.whole()) >= often {
            peer.reported = peer.received.whole();
            self.hellos.hasten(now);
        }
        delivery
    }

    /// One of those who are not remembered: nothing is known of what it sent before.
    fn of_stranger(&self, header: Header) -> Delivery {
        match header.node == self.node {
            true => Delivery::Nothing,
            false => Delivery::Add,
        }
    }

    /// Something before what was just heard of has not come.
    fn lack(&mut self, now: Instant, index: usize, arrival: Arrival) {
        let is_served = self.kernel.is_some();
        let peer = &mut self.peers[index];
        match arrival {
            _ if !is_served => peer.received.give_up(),
            Arrival::Ahead(lost) => {
                let jitter = self.random.up_to(JITTER);
                peer.lack(now, lost, now + REORDER + jitter);
                self.tally.lost += u64::from(lost);
            }
            Arrival::Jump(lost) => {
                self.tally.lost += u64::from(lost);
                self.tally.given_up += u64::from(lost);
                peer.lost += u64::from(lost);
                peer.miss(now);
                self.plan(now);
            }
            Arrival::Next | Arrival::Late | Arrival::Known => (),
        }
    }

    /// Whom that header is of. Nothing if it has our number, or is one too many.
    fn meet(&mut self, now: Instant, source: SocketAddr, header: Header) -> Option<usize> {
        if header.node == self.node {
            self.rename(now, source);
            return None;
        }
        if let Some(index) = self.find(header.node) {
            let peer = &mut self.peers[index];
            (peer.heard, peer.source) = (now, source);
            return Some(index);
        }
        // What is told now comes in order; all before it is in the table.
        let before = match header.kind {
            Kind::Sessions => header.number.wrapping_sub(1),
            Kind::Repeat => return None,
            Kind::Hello | Kind::Ask | Kind::Pull | Kind::Table => header.number,
        };
        let last = self.gone.forget(header.node);
        if self.peers.len() >= MOST_PEERS {
            return None;
        }
        let mut peer = Peer::new(header.node, source, now, before);
        // While it was not heard, it may have told much to others.
        (peer.is_newcomer, peer.before) = (last.is_none(), last);
        if self.kernel.is_some() {
            peer.miss(now);
        }
        self.peers.push(peer);
        self.news.push(News::PeerCame(header.node, source));
        let wait = self.random.up_to(ANSWER);
        self.hellos.hasten(now + wait);
        self.plan(now);
        Some(self.peers.len() - 1)
    }

    /// A message came.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn on_message(
        &mut self,
        now: Instant,
        source: SocketAddr,
        header: Header,
        message: &[u8],
    ) -> Result<Contents, Malformed> {
        self.tally.messages_received += 1;
        // Else one that was cut short would count as come.
        match header.kind {
            Kind::Repeat => check_rows(message, Header::SIZE)?,
            Kind::Table => check_rows(message, TableHeader::SIZE)?,
            Kind::Sessions | Kind::Hello | Kind::Ask | Kind::Pull => (),
        }
        let Some(index) = self.meet(now, source, header) else {
            return Ok(Contents::Nothing);
        };
        if header.kind == Kind::Repeat {
            return Ok(self.on_repeat(now, index, header.number));
        }
        let arrival = self.peers[index].received.announced(header.number);
        self.lack(now, index, arrival);
        match header.kind {
            Kind::Hello => self.on_hello(now, index, header.number, message)?,
            Kind::Ask => self.on_ask(now, index, &Ask::read(message)?),
            Kind::Pull => self.on_pull(now, header.node, &Pull::read(message)?),
            Kind::Table => {
                let stretch = TableHeader::read(message)?;
                return Ok(self.on_part(now, index, header.number, stretch));
            }
            Kind::Sessions | Kind::Repeat => (),
        }
        Ok(Contents::Nothing)
    }

    fn on_repeat(&mut self, now: Instant, index: usize, number: u32) -> Contents {
        let peer = &mut self.peers[index];
        match peer.received.came(number) {
            Arrival::Known => return Contents::Nothing,
            // Nobody missed it yet.
            Arrival::Next => (),
            Arrival::Late => {
                peer.repair(now);
                self.tally.repaired += 1;
            }
            arrival @ (Arrival::Ahead(_) | Arrival::Jump(_)) => {
                self.lack(now, index, arrival);
            }
        }
        match self.kernel {
            Some(_) => Contents::Sessions(Header::SIZE, None),
            None => Contents::Nothing,
        }
    }

    fn on_hello(
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
        let serves = self.kernel.is_some();
        let peer = &mut self.peers[index];
        let had_holes = peer.hello.map_or(hello.holes, |before| before.holes);
        if !peer.may_have(hello.holes) {
            // What it tells is not so any more.
            return Ok(());
        }
        let has_more_holes = ahead(had_holes, hello.holes) > 0;
        let before = peer.hello.filter(|_| peer.has_table());
        let is_other_instance = before.is_some_and(|told| told.instances != hello.instances);
        // What it has told since then, it can repeat.
        let was_needed = peer.need.map(|need| need.up_to);
        let was_needed = peer.unconfirmed.take().or(was_needed);
        if peer.hello.replace(hello).is_none() {
            peer.is_newcomer &= !peer.standing().is_some_and(Standing::may_take_over);
        }
        peer.take_reports(reports.iter());
        let has = peer.reports_of(self.node);
        if has.is_some_and(|has| ahead(self.told_of_another, has.number) >= 0)
            && std::mem::take(&mut peer.asked_of_another)
            && serves
        {
            // By now it has what this node's own instance does not.
            peer.miss(now);
            peer.has_of_another = true;
        }
        let given_up = peer.received.give_up_before(hello.oldest);
        self.tally.given_up += u64::from(given_up);
        let is_needed = given_up > 0 || has_more_holes || peer.hides_something();
        if is_needed && serves {
            peer.miss(now);
        }
        peer.settle();
        let lost_table = peer.need.is_some() && !peer.has_table();
        if hello.is_calling {
            let wait = self.random.up_to(ANSWER);
            self.hellos.hasten(now + wait);
        }
        let up_to = was_needed.unwrap_or_else(|| peer.received.high());
        if lost_table {
            self.seek_elsewhere(now, index, up_to);
        } else if is_other_instance && was_needed.is_some() && serves {
            // What was to be read is gone with the one before.
            self.seek(now, index, up_to, Some(hello.holes));
        }
        self.follow_reports(now, index);
        self.plan(now);
        Ok(())
    }

    /// What that node has of others they have sent. One that died may have told it to nobody else here.
    fn follow_reports(&mut self, now: Instant, index: usize) {
        let peer = &mut self.peers[index];
        let hears = |node| peer.reports.iter().any(|report| report.node == node);
        if self.kernel.is_some() && self.gone.had_more_meanwhile(peer.node, hears) {
            peer.miss_of_the_gone(now);
        }
        for at in 0..self.peers[index].reports.len() {
            let report = self.peers[index].reports[at];
            let Report { node, number, .. } = report;
            let Some(other) = self.find(node) else {
                if node != self.node && self.kernel.is_some() {
                    self.follow_unheard(now, index, report);
                }
                continue;
            };
            self.peers[other].was_read_elsewhere |= report.is_whole();
            let arrival = self.peers[other].received.announced(number);
            self.lack(now, other, arrival);
        }
    }

    /// A node has something of one that is not heard: only its table has it.
    fn follow_unheard(&mut self, now: Instant, index: usize, report: Report) {
        let patience = self.options.period;
        let peer = &mut self.peers[index];
        let has = (peer.node, report.number);
        let lacking = self.gone.had_more(now, patience, report.node, has);
        if let Some(since) = lacking {
            peer.miss_of_the_gone(since);
        } else if peer.need.is_some() && peer.reading.is_none() {
            self.gone.reads(now, report.node, has);
        }
    }

    /// What is lacking of a node up to that number cannot be had of it any more: one that has all that gives its
    /// table. If none says so, each may have something: who has gaps as well does not tell what it has
    /// behind them.
    pub(super) fn seek_elsewhere(&mut self, now: Instant, index: usize, up_to: u32) {
        self.seek(now, index, up_to, None);
        self.peers[index].want_no_table();
    }

    fn seek(&mut self, now: Instant, index: usize, up_to: u32, before: Option<u32>) {
        let is_found = self.seek_from_one(now, index, up_to, before);
        let since = self.peers[index].missing_since().unwrap_or(now);
        let node = self.peers[index].node;
        let others = self.peers.iter_mut().filter(|_| !is_found);
        for other in others.filter(|other| other.node != node && other.has_table()) {
            other.miss_of_the_gone(since);
        }
    }

    /// One who says that it has everything of a node up to that number, and up to a hole before that one, gives its
    /// table for it; tells whether there is one.
    fn seek_from_one(
        &mut self,
        now: Instant,
        index: usize,
        up_to: u32,
        before: Option<u32>,
    ) -> bool {
        let node = self.peers[index].node;
        let has_everything = |other: &&mut Peer| {
            let has = other.reports_of(node).filter(|_| other.has_table());
            // What is read of another instance says nothing.
            let has = has.filter(|has| before.is_none_or(|hole| ahead(has.holes, hole) > 0));
            other.node != node && has.is_some_and(|has| ahead(up_to, has.number) >= 0)
        };
        let since = self.peers[index].missing_since().unwrap_or(now);
        let candidates = self.peers.iter_mut().filter(has_everything);
        // What a hole hid, not all may have.
        let holes = |other: &&mut Peer| other.reports_of(node).map_or(0, |has| has.holes);
        let Some(one) = candidates.max_by(|a, b| ahead(holes(b), holes(a)).cmp(&0)) else {
            return false;
        };
        one.miss_of_the_gone(since);
        true
    }

    fn on_ask(&mut self, now: Instant, index: usize, ask: &Ask<'_>) {
        if ask.of == self.node {
            for range in ask.ranges.iter() {
                let is_of_another = ahead(*range.start(), self.told_of_another) >= 0;
                self.peers[index].asked_of_another |= is_of_another;
                self.repeats.want(range, &self.ring);
            }
            return;
        }
        let jitter = self.random.up_to(JITTER);
        let Some(index) = self.find(ask.of) else {
            return;
        };
        let peer = &mut self.peers[index];
        let first = peer.received.whole().wrapping_add(1);
        let asks_for = |range: std::ops::RangeInclusive<u32>| {
            ahead(*range.start(), first) >= 0 && ahead(first, *range.end()) >= 0
        };
        if ask.ranges.iter().any(asks_for) {
            peer.asking.postpone(now + ASKED + jitter);
        }
    }

    fn on_pull(&mut self, now: Instant, from: Node, pull: &Pull) {
        if pull.of == self.node {
            if self.kernel.is_some() {
                self.giving.ask(now, from, pull);
            }
            return;
        }
        if self.pulling.of.is_some_and(|of| of != pull.of) {
            return;
        }
        let jitter = self.random.up_to(JITTER);
        let Some(index) = self.find(pull.of) else {
            return;
        };
        let reading = self.peers[index].reading.as_ref();
        let own = reading.map_or(START, Reading::place);
        if own == (pull.protocol, pull.after) {
            self.pulling.postpone(now, jitter);
        }
    }

    /// A part of a node's table came, which serves whoever asked for it.
    fn on_part(&mut self, now: Instant, index: usize, number: u32, stretch: Stretch) -> Contents {
        if self.peers[index].need.is_none() || self.kernel.is_none() {
            return Contents::Nothing;
        }
        let Some(holes) = self.holes_of_part(now, index, stretch.holes) else {
            return Contents::Nothing;
        };
        let peer = &mut self.peers[index];
        if peer.reading.as_ref().is_some_and(|r| r.holes != holes) {
            peer.outdate_reading();
            if let Some(reading) = &mut peer.reading {
                reading.holes = holes;
            }
        }
        if peer.reading.is_none() && Reading::begins_with(&stretch) {
            peer.reading = Some(Reading::new(number, holes, peer.reports.clone()));
        }
        let is_wanted = peer.reading.as_ref().is_some_and(|r| r.wants(&stretch));
        let node = peer.node;
        match is_wanted {
            true => Contents::Sessions(TableHeader::SIZE, Some(Part { node, stretch })),
            false => Contents::Nothing,
        }
    }

    /// How many holes a node had when it gave a part of its table, of whose number this is the last byte.
    /// Nothing if a hello that overtook it told of something that is not in it.
    fn holes_of_part(&mut self, now: Instant, index: usize, last_byte: u8) -> Option<u32> {
        let peer = &mut self.peers[index];
        let told = &mut peer.hello.as_mut()?.holes;
        let more = last_byte.wrapping_sub(*told as u8) as i8;
        if more > 0 {
            // No hello has said so yet.
            *told = told.wrapping_add(more.unsigned_abs().into());
            // What it had of others before, it may have no more.
            peer.reports.clear();
            peer.unconfirmed = peer.need.map(|need| need.up_to);
            peer.miss(now);
        }
        let told = self.peers[index].hello?.holes;
        (more >= 0).then_some(told)
    }

    /// That part, of so many sessions, has been compared with the kernel's table and will be added.
    pub fn took_part(&mut self, now: Instant, part: &Part, sessions: usize) {
        let jitter = self.random.up_to(JITTER);
        let Some(index) = self.find(part.node) else {
            return;
        };
        let peer = &mut self.peers[index];
        let Some(reading) = peer.reading.as_mut() else {
            return;
        };
        self.tally.parts_taken += 1;
        let progress = reading.took(&part.stretch, sessions);
        let all = reading.parts >= u32::from(giving::WINDOW) || reading.is_at_the_last();
        self.pulling.came(now, part.node, all, jitter);
        if progress == Progress::Done {
            self.finish(index);
            self.pulling.end();
            self.plan(now);
        }
    }

    /// A table was read to its end: it had all that its node had sent when that began, and all that the
    /// node had of others.
    fn finish(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let Some(reading) = peer.end_reading().filter(|reading| !reading.is_outdated) else {
            return;
        };
        let news = News::TableRead(peer.node, peer.source, reading.sessions);
        peer.has_read(reading.number, reading.holes);
        if self.has_all_of_the_gone(&reading.reports) {
            for report in reading.reports.into_iter().filter(Report::is_whole) {
                // One that has not said hello may have more of those who are gone.
                let mut others = self.peers.iter_mut().filter(|peer| peer.hello.is_some());
                if let Some(other) = others.find(|peer| peer.node == report.node) {
                    other.has_heard(report.number, report.holes);
                }
            }
        }
        self.news.push(news);
    }

    /// Whether somebody who has these has everything that anybody is known to have of nodes that are gone.
    /// Otherwise only the others' own tables have the rest.
    fn has_all_of_the_gone(&self, reports: &[Report]) -> bool {
        let told = self
            .peers
            .iter()
            .flat_map(|peer| &peer.reports)
            .chain(reports);
        let mut of_the_gone =
            told.filter(|told| told.node != self.node && self.find(told.node).is_none());
        of_the_gone.all(|told| {
            let mut whole = reports.iter().filter(|report| report.is_whole());
            whole.any(|has| has.node == told.node && ahead(told.number, has.number) >= 0)
        })
    }
}

/// Whether what stands behind so many bytes of a message is as long as sessions are in either format.
fn check_rows(message: &[u8], from: usize) -> Result<(), Malformed> {
    let (have, need) = (message.len(), from);
    let length = have
        .checked_sub(from)
        .ok_or(Malformed::TooShort { have, need })?;
    let fits = [Format::Flat, Format::Nested].map(|format| length % format.size() == 0);
    match fits.contains(&true) {
        true => Ok(()),
        false => Err(Malformed::Behind(length % Format::Flat.size())),
    }
}
