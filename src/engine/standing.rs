//! Where the daemon stands in its group: whether its router could take over without losing sessions.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::{Engine, Event};
use crate::sync::Budget;
use crate::wire::globals::Global;

/// What a router's table is worth at the moment, compared with those of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The daemon has not listened for long enough to know who is there.
    Starting,
    /// Nobody answered. A first node must not wait for ever.
    Alone,
    /// Tables of peers are still being read.
    Joining,
    /// Nothing is missing that a peer announced.
    InSync,
    /// Something is missing, or the kernel does not take sessions as fast as they come.
    Lagging,
    /// The module or the instance is missing, or synchronization is off.
    WithoutKernel,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Starting,
        Self::Alone,
        Self::Joining,
        Self::InSync,
        Self::Lagging,
        Self::WithoutKernel,
    ];

    /// The standing of that number, which is its place in [`Standing::ALL`].
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// In words, as the control socket, the log and the peers' operators read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Alone => "alone",
            Self::Joining => "joining",
            Self::InSync => "in sync",
            Self::Lagging => "lagging",
            Self::WithoutKernel => "without kernel",
        }
    }

    /// The standing of those words.
    pub fn of(words: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.words() == words)
    }

    /// Whether the router may become master: no other one is known to have more.
    pub fn may_take_over(self) -> bool {
        matches!(self, Self::Alone | Self::InSync)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// As the words.
impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.words())
    }
}

/// What of the kernel keeps a daemon from its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The module is not loaded.
    Module,
    /// The instance is not there.
    Instance,
    /// Whether it is there is not known (yet), or nobody may ask.
    Answer,
    /// Synchronization is off at the instance.
    Synchronization,
}

/// How many lines there are at once, and one more each [`PAUSE`] after that.
const BURST: u32 = 20;
const PAUSE: Duration = Duration::from_secs(60);

/// How many lines about the group, or about a standing, there may be.
pub(super) fn budget(now: Instant) -> Budget {
    Budget::new(now, PAUSE, BURST)
}

impl Engine {
    /// Where this daemon stands.
    pub fn standing(&self) -> Standing {
        if let Some(sync) = &self.sync {
            return sync.standing();
        }
        match self.has_module() && self.watch.is_on() {
            true => Standing::Alone,
            false => Standing::WithoutKernel,
        }
    }

    /// What of the kernel is missing, if anything is.
    pub fn lack(&self) -> Option<Lack> {
        match self.global(Global::SsEnabled) {
            _ if !self.has_module() => Some(Lack::Module),
            _ if self.watch.is_on() => None,
            _ if self.watch.is_missing() => Some(Lack::Instance),
            None => Some(Lack::Answer),
            Some(_) => Some(Lack::Synchronization),
        }
    }

    /// The event of a standing that was not told yet.
    pub(super) fn standing_event(&mut self) -> Option<Event> {
        let standing = self.standing();
        if standing == self.told_standing {
            return None;
        }
        // Where much is lost it changes all the time, which fills no log.
        if let Some(sync) = &self.sync {
            if !self.standings.spend(sync.now()) {
                return None;
            }
        }
        self.told_standing = standing;
        Some(Event::Standing(standing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_misses_nothing_that_anybody_has_may_take_over() {
        let may = Standing::ALL.map(Standing::may_take_over);
        assert_eq!(may, [false, true, false, true, false, false]);
    }

    #[test]
    fn the_words_read_back() {
        for standing in Standing::ALL {
            assert_eq!(Standing::of(standing.words()), Some(standing));
            assert_eq!(
                serde_json::to_value(standing).unwrap(),
                standing.to_string()
            );
        }
        assert_eq!(Standing::of("insync"), None);
    }
}
