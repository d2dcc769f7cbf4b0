//! Those who follow sessions as they pass. Nothing waits for them.

use std::mem;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mio::net::UnixStream;
use slab::Slab;

use super::{Reactor, Served};
use crate::ctlsocket::{Direction, Directions, Follower};
use crate::engine::Reason;
use crate::failure::Failure;
use crate::wire::session::Format;

/// How many may follow at once.
pub(super) const FOLLOWERS: usize = 4;

/// Who follows.
pub(super) struct Followers {
    /// Each with its key among the polled sources.
    all: Slab<(usize, Follower<UnixStream>)>,
    /// How many updates they had no room for since that was counted.
    dropped: u64,
}

impl Followers {
    pub(super) fn new() -> Self {
        Self {
            all: Slab::with_capacity(FOLLOWERS),
            dropped: 0,
        }
    }

    /// Whether nobody follows.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn have_room(&self) -> bool {
        self.all.len() < FOLLOWERS
    }

    /// Takes one more; returns its number.
    pub(super) fn admit(&mut self, key: usize, stream: UnixStream, wanted: Directions) -> usize {
        self.all.insert((key, Follower::new(stream, wanted)))
    }

    /// Copies sessions for those who want them. They leave at the end of the turn.
    pub(super) fn tell(&mut self, direction: Direction, format: Format, sessions: &[u8]) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = since.map_or(0, |since| since.as_millis() as u64);
        for (_, (_, follower)) in &mut self.all {
            self.dropped += follower.tell(direction, format, time, sessions);
        }
    }
}

/// What one more is told.
pub(super) fn too_many_follow() -> Failure {
    Failure::unavailable(format!(
        "{FOLLOWERS} others follow the sessions of this joold already: end one of them"
    ))
}

impl Reactor {
    /// Notices that a follower has gone, or has room again.
    pub(super) fn serve_follower(&mut self, number: usize) -> Served {
        let Some((key, follower)) = self.followers.all.get_mut(number) else {
            return Served::Dry;
        };
        match follower.stir() {
            Ok(true) => Served::Remaining,
            Ok(false) => Served::Dry,
            Err(_) => {
                self.sources.try_remove(*key);
                self.followers.all.remove(number);
                Served::Dry
            }
        }
    }

    /// Sends followers what has passed, as far as they read it, and counts what they missed.
    pub(super) fn tell_followers(&mut self, now: Instant) {
        if self.followers.is_empty() {
            return;
        }
        let sources = &mut self.sources;
        self.followers.all.retain(|_, (key, follower)| {
            let is_there = follower.send().is_ok();
            if !is_there {
                sources.try_remove(*key);
            }
            is_there
        });
        let dropped = mem::take(&mut self.followers.dropped);
        if dropped > 0 {
            let detail = || format!("{dropped} of them");
            self.engine
                .lose_several(now, Reason::FollowerSlow, dropped, detail);
        }
    }
}
