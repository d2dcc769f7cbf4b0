//! What is heard of the others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::peer::Peer;
use super::reading::{Reading, START};
use super::received::Arrival;
use super::serial::ahead;
use super::taking::Part;
use super::{MOST_PEERS, News, Sync};
use crate::wire::Malformed;
use crate::wire::extension::{Ask, Header, Kind, Node, Pull, TableHeader};
use crate::wire::session::Format;

/// How long a gap may be a datagram that another one overtook, and how much longer by chance, so that
/// not all ask at once.
const REORDER: Duration = Duration::from_millis(8);
pub(super) const JITTER: Duration = Duration::from_millis(8);

/// How long to wait when somebody else has just asked for the same.
const ASKED: Duration = Duration::from_millis(30);

/// How soon those who call are answered, at the latest.
pub(super) const ANSWER: Duration = Duration::from_millis(60);

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
    pub(super) fn lack(&mut self, now: Instant, index: usize, arrival: Arrival) {
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
                if let (Some(up_to), Some(hello)) = (peer.told_of_another, peer.hello) {
                    self.seek(now, index, up_to, Some(hello.holes));
                }
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
        if self.peers.len() >= MOST_PEERS {
            self.gone.overhear(now, header.node);
            return None;
        }
        let last = self.gone.forget(header.node);
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

    fn on_ask(&mut self, now: Instant, index: usize, ask: &Ask<'_>) {
        if ask.of == self.node {
            for range in ask.ranges.iter() {
                let told = self.told_of_another;
                let is_of_another = told.is_some_and(|told| ahead(*range.start(), told) >= 0);
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
