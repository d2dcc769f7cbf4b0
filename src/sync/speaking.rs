//! What is told to the others, and when.

use std::time::{Duration, Instant};

use super::merge::Table;
use super::reading::START;
use super::{News, Sync, giving};
use crate::engine::Standing;
use crate::wire::extension::{Ask, Hello, Node, Pull};
use crate::wire::session::Format;

/// What is added to each wait by chance, so that not all speak at once.
const JITTER: Duration = Duration::from_millis(10);

/// How often hello is said as long as it is not known who is there, or while somebody is silent.
const CALL: Duration = Duration::from_millis(300);

impl Sync {
    /// When [`Sync::elapse`] or [`Sync::write`] has something to do.
    pub fn due(&self) -> Instant {
        let peers = self.peers.iter();
        let others = peers.flat_map(|peer| {
            let fades = peer.fades_at(self.now, self.options.period);
            peer.asking.due.into_iter().chain([fades])
        });
        let own = [
            self.standing_due(),
            self.pulling.due,
            self.pacing_due(),
            self.repeats.due(),
            self.giving.due(),
            self.holes.due(),
            self.refused.due(),
        ];
        let all = others.chain(own.into_iter().flatten());
        all.fold(self.hellos.due(), Instant::min)
    }

    /// Time has passed.
    pub fn elapse(&mut self, now: Instant) {
        let pause = self.options.period / 2;
        // Hardly ever, so that nothing is computed in vain.
        if now.saturating_duration_since(self.now) > pause {
            let late = now.saturating_duration_since(self.due().max(self.now));
            if late > pause {
                // This daemon was not served: what the others said meanwhile waits in the socket.
                for peer in &mut self.peers {
                    peer.heard += late;
                }
            }
        }
        self.now = now;
        self.tell_hole(now);
        self.miss_refused(now);
        if self.tell_of_the_silent(now) {
            self.drop_the_gone(now);
        }
        self.note_standing();
    }

    /// Who is gone will not be told of any more, so the others hear before that what is known of it: one of them may
    /// not know all of that. Tells whether anybody is silent.
    fn tell_of_the_silent(&mut self, now: Instant) -> bool {
        let peers = self.peers.iter();
        let since = peers.map(|peer| peer.silent_at(self.options.period));
        let Some(latest) = since.filter(|&since| since <= now).max() else {
            return false;
        };
        if self.hellos.is_before(latest) {
            self.hellos.hasten(now);
        }
        true
    }

    fn drop_the_gone(&mut self, now: Instant) {
        while let Some(index) = self.first_gone(now) {
            if self.kernel.is_some() && self.peers[index].leaves_something() {
                let up_to = self.peers[index].received.high();
                self.seek_elsewhere(now, index, up_to);
            }
            let peer = self.peers.swap_remove(index);
            self.gone.leave(peer.node);
            self.gone.remember(now, peer.node, peer.last());
            self.news.push(News::PeerGone(peer.node, peer.source));
            self.pulling.end();
            self.plan(now);
        }
    }

    fn first_gone(&self, now: Instant) -> Option<usize> {
        let period = self.options.period;
        let mut peers = self.peers.iter();
        peers.position(|peer| peer.gone_at(period) <= now)
    }

    /// Writes the next message that is due to the start of `whole`, and returns its length: 0 when there
    /// is none. `payload` is how many bytes travel in one packet, `format` that of the module's sessions,
    /// `table` its kernel's.
    pub fn write(
        &mut self,
        now: Instant,
        whole: &mut [u8],
        payload: usize,
        format: Format,
        table: &mut impl Table,
    ) -> usize {
        let end = payload.min(whole.len());
        let room = &mut whole[..end];
        let mut length = self.write_hello(now, room);
        if length == 0 {
            length = self.write_ask(now, room);
        }
        if length == 0 {
            length = self.write_pull(now, room);
        }
        if length == 0 {
            // As long as it was the first time, whatever one packet carries.
            length = self
                .repeats
                .write(now, self.node, format, &mut self.ring, whole);
            self.tally.repeated += u64::from(length > 0);
        }
        if length == 0 {
            let sender = (self.node, self.number, self.holes.count());
            let room = &mut whole[..end];
            length = self.giving.write(now, sender, format, table, room);
            self.tally.parts_given += u64::from(length > 0);
        }
        self.tally.messages_sent += u64::from(length > 0);
        length
    }

    fn write_hello(&mut self, now: Instant, room: &mut [u8]) -> usize {
        if self.hellos.due() > now {
            return 0;
        }
        let standing = self.standing();
        let period = self.options.period;
        let hello = Hello {
            standing: standing as u8,
            is_calling: standing == Standing::Starting,
            instances: self.instances,
            period: u16::try_from(period.as_millis()).unwrap_or(u16::MAX),
            oldest: self.ring.oldest(),
            holes: self.holes.count(),
            sessions: self.sessions,
        };
        for peer in &mut self.peers {
            peer.reported = peer.received.whole();
        }
        let serves = self.kernel.is_some();
        let reports = self.peers.iter().filter(|_| serves);
        let is_silent = |peer: &super::Peer| peer.silent_at(period) <= now;
        let reports = reports.map(|peer| peer.report(is_silent(peer)));
        let length = hello.write(self.node, self.number, reports, room);
        let pause = match hello.is_calling || self.peers.iter().any(is_silent) {
            true => CALL.min(period),
            false => period,
        };
        let pause = pause.mul_f64(0.95) + self.random.up_to(pause / 20);
        self.hellos.said(now, pause);
        length
    }

    /// Asks one node for what is lacking of it.
    fn write_ask(&mut self, now: Instant, room: &mut [u8]) -> usize {
        let due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let mut peers = self.peers.iter_mut();
        let Some(peer) = peers.find(|peer| due(peer.asking.due)) else {
            return 0;
        };
        if peer.received.is_whole() {
            peer.settle();
            return 0;
        }
        let jitter = self.random.up_to(JITTER);
        peer.asking.asked(now, jitter);
        let gaps = peer.received.gaps();
        Ask::write(self.node, self.number, peer.node, gaps, room)
    }

    /// Asks one node for the next parts of its table.
    fn write_pull(&mut self, now: Instant, room: &mut [u8]) -> usize {
        if self.kernel.is_none() || self.pulling.due.is_none_or(|due| due > now) {
            return 0;
        }
        let jitter = self.random.up_to(JITTER);
        let Some(of) = self.whom_to_pull() else {
            // Those whose tables are needed have none, or have not said hello yet.
            self.pulling.due = Some(now + Duration::from_millis(50) + jitter);
            return 0;
        };
        self.pulling.asked(now, of, jitter);
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == of) else {
            return 0;
        };
        let (protocol, after) = peer.reading.as_mut().map_or(START, |reading| {
            reading.parts = 0;
            reading.place()
        });
        let pull = Pull {
            of,
            parts: giving::WINDOW,
            protocol,
            after,
        };
        pull.write(self.node, self.number, room)
    }

    /// The one whose table is being read, unless it does not answer; else one that has everything, if
    /// there is one.
    fn whom_to_pull(&mut self) -> Option<Node> {
        let candidates = || {
            let peers = self.peers.iter();
            peers.filter(|peer| peer.need.is_some() && peer.has_table())
        };
        let current = self.pulling.of;
        let goes_on = candidates().any(|peer| Some(peer.node) == current);
        if goes_on && !(self.pulling.is_in_vain() && candidates().count() > 1) {
            return current;
        }
        let others = || candidates().filter(|peer| Some(peer.node) != current);
        let is_complete =
            |peer: &&super::Peer| peer.standing().is_some_and(Standing::may_take_over);
        let choose = self.random.next() as usize;
        let complete = others().filter(is_complete).count();
        let (count, all) = match complete {
            0 => (others().count(), true),
            count => (count, false),
        };
        let mut chosen = others().filter(|peer| all || is_complete(peer));
        Some(chosen.nth(choose.checked_rem(count)?)?.node)
    }
}
