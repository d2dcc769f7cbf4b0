//! What of a node only others have: for it is gone, was never heard, or has lost its table.

use std::time::Instant;

use super::Sync;
use super::peer::Peer;
use super::serial::ahead;
use crate::wire::extension::{Node, Report};

impl Sync {
    /// What that node has of others they have sent. One that died may have told it to nobody else here.
    pub(super) fn follow_reports(&mut self, now: Instant, index: usize) {
        let peer = &mut self.peers[index];
        let hears = |node| peer.reports.iter().any(|report| report.node == node);
        let takes = self.kernel.is_some() && peer.has_table();
        if takes && self.gone.had_more_meanwhile(peer.node, hears) {
            peer.miss_of_the_gone(now);
        }
        for at in 0..self.peers[index].reports.len() {
            let report = self.peers[index].reports[at];
            let Report { node, number, .. } = report;
            let Some(other) = self.find(node) else {
                if !self.was_self(node) && self.kernel.is_some() {
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

    pub(super) fn seek(&mut self, now: Instant, index: usize, up_to: u32, before: Option<u32>) {
        let since = self.peers[index].missing_since().unwrap_or(now);
        let node = self.peers[index].node;
        if let Some(one) = self.who_has_all(node, up_to, before) {
            return one.miss_of_the_gone(since);
        }
        let others = self.peers.iter_mut();
        for other in others.filter(|other| other.node != node && other.has_table()) {
            other.miss_of_the_gone(since);
        }
    }

    /// One who says that it has everything of a node up to that number, and up to a hole before that one.
    fn who_has_all(&mut self, node: Node, up_to: u32, before: Option<u32>) -> Option<&mut Peer> {
        let has_everything = |other: &&mut Peer| {
            let has = other.reports_of(node).filter(|_| other.has_table());
            // What is read of another instance says nothing.
            let has = has.filter(|has| before.is_none_or(|hole| ahead(has.holes, hole) > 0));
            other.node != node && has.is_some_and(|has| ahead(up_to, has.number) >= 0)
        };
        let candidates = self.peers.iter_mut().filter(has_everything);
        // What a hole hid, not all may have.
        let holes = |other: &&mut Peer| other.reports_of(node).map_or(0, |has| has.holes);
        candidates.max_by(|a, b| ahead(holes(b), holes(a)).cmp(&0))
    }

    /// Whether somebody who has these has everything that anybody is known to have of nodes that are gone.
    /// Otherwise only the others' own tables have the rest.
    pub(super) fn has_all_of_the_gone(&self, reports: &[Report]) -> bool {
        let told = self
            .peers
            .iter()
            .flat_map(|peer| &peer.reports)
            .chain(reports);
        let mut of_the_gone =
            told.filter(|told| !self.was_self(told.node) && self.find(told.node).is_none());
        of_the_gone.all(|told| {
            let mut whole = reports.iter().filter(|report| report.is_whole());
            whole.any(|has| has.node == told.node && ahead(told.number, has.number) >= 0)
        })
    }
}
