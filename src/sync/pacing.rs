//! Whether the kernel should wait for a peer that does not follow.
//!
//! Each peer says how far it got. One that is behind by half of the ring would soon lack what the ring
//! has no more: then the kernel is not acknowledged, which makes it wait, for a time that its queue has
//! room for. One that has not moved by then is not waited for until it does.

use std::time::{Duration, Instant};

use super::Sync;
use super::peer::Peer;
use super::ring::Ring;

/// Since when the kernel waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pacing {
    since: Option<Instant>,
    bound: Option<Duration>,
    /// How far those have got together for whom it waits.
    progress: u32,
}

/// How long the kernel waits for a router that does not move, where its queue would have room for ever.
const STANDSTILL: Duration = Duration::from_secs(3);

fn is_behind(peer: &Peer, node: u32, ring: &Ring) -> bool {
    let has = peer.reports_of(node);
    has.is_some_and(|has| ring.bytes_after(has.number) > ring.size() / 2)
}

impl Sync {
    /// Whether the kernel should wait. It has room for so long, or as long as it takes.
    pub fn holds_back(&mut self, now: Instant, bound: Option<Duration>) -> bool {
        let (node, ring) = (self.node, &self.ring);
        let (mut waits, mut progress) = (false, 0u32);
        for peer in &mut self.peers {
            let is_behind = is_behind(peer, node, ring);
            peer.is_excused &= is_behind;
            if is_behind && !peer.is_excused {
                waits = true;
                let has = peer.reports_of(node).map_or(0, |has| has.number);
                progress = progress.wrapping_add(has);
            }
        }
        // There is no queue that has room.
        waits &= bound != Some(Duration::ZERO);
        if !waits {
            self.pacing = Pacing::default();
            return false;
        }
        let since = *self.pacing.since.get_or_insert_with(|| {
            self.tally.held_back += 1;
            now
        });
        let has_moved = std::mem::replace(&mut self.pacing.progress, progress) != progress;
        let since = match bound {
            None if has_moved => *self.pacing.since.insert(now),
            _ => since,
        };
        let bound = bound.unwrap_or(STANDSTILL);
        self.pacing.bound = Some(bound);
        if now < since + bound {
            return true;
        }
        for peer in &mut self.peers {
            peer.is_excused |= is_behind(peer, node, &self.ring);
        }
        self.pacing = Pacing::default();
        false
    }

    /// Until when it waits at the longest, if there is an end to that and it waits.
    pub(super) fn pacing_due(&self) -> Option<Instant> {
        Some(self.pacing.since? + self.pacing.bound?)
    }
}
