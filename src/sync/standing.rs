//! Where this node stands among the others.

use std::time::{Duration, Instant};

use super::Sync;
use super::peer::SILENT_PERIODS;
use crate::engine::Standing;

/// For how long something may be lacking before a node that had everything counts as lagging: a
/// repeat takes a few milliseconds.
pub(super) const GRACE: Duration = Duration::from_millis(500);

impl Sync {
    /// Where it stands, as of the time that was told last.
    pub fn standing(&self) -> Standing {
        let now = self.now;
        if self.kernel.is_none() {
            return Standing::WithoutKernel;
        }
        if self.peers.is_empty() {
            return match now < self.listens_until && !self.was_complete {
                true => Standing::Starting,
                false => Standing::Alone,
            };
        }
        match (self.outstanding_since(), self.was_complete) {
            (None, _) => Standing::InSync,
            (Some(since), true) if now < since + GRACE => Standing::InSync,
            (Some(_), true) => Standing::Lagging,
            (Some(_), false) => Standing::Joining,
        }
    }

    /// Since when something is lacking.
    fn outstanding_since(&self) -> Option<Instant> {
        let peers = self.peers.iter();
        let of = |peer: &super::Peer| peer.outstanding_since(self.was_complete);
        let unheard = self.gone.grown_since().filter(|_| !self.peers.is_empty());
        // Who has fallen silent is noticed by one sooner, and by another later.
        let unheard = unheard.map(|since| since + self.options.period * SILENT_PERIODS);
        let refused = self.refused.since();
        peers.filter_map(of).chain(unheard).chain(refused).min()
    }

    /// When that changes by time alone.
    pub(super) fn standing_due(&self) -> Option<Instant> {
        self.kernel?;
        let due = match self.peers.is_empty() {
            true => Some(self.listens_until),
            false => self.outstanding_since().map(|since| since + GRACE),
        };
        due.filter(|&due| due > self.now)
    }

    /// Remembers that nothing was lacking.
    pub(super) fn note_standing(&mut self) {
        self.was_complete |= self.standing().may_take_over();
    }
}
