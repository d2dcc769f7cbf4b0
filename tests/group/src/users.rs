//! Who uses sessions, and which of them nobody can judge by that.

use std::ops::Range;

use joold::wire::lifetime::{TOLERANCE, WAIT};

use crate::faults::PAUSE;

/// Who used a session last.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// The router that it went through.
    pub router: usize,
    /// When, in milliseconds since the start.
    pub at: i64,
    /// When another router had used it before.
    other: Option<i64>,
    /// When the session ends, if nobody uses it again.
    dies: Option<i64>,
    /// Whether that packet reset the connection.
    resets: bool,
    /// When it was used last before it was reset, or established again.
    turned: Option<i64>,
    /// Whether that was right before its last packet: no timer tells which came first.
    is_blurred: bool,
}

impl User {
    /// The next one uses it. A copy is on its way for up to `way` milliseconds, and waits until `awake`, for a pause at
    /// the longest, where a daemon is not run.
    pub fn next(
        user: Option<Self>,
        router: usize,
        at: i64,
        dies: Option<i64>,
        resets: bool,
        (way, awake): (i64, i64),
    ) -> Self {
        let other = match user {
            Some(user) if user.router == router => user.other,
            user => user.map(|user| user.at),
        };
        let pause = PAUSE.as_millis() as i64;
        // What the daemons count as the same time, and by how much a copy seems to be younger than it is.
        let same = i64::from(TOLERANCE) + way;
        let turned = match user {
            Some(user) if user.resets != resets => Some(user.at),
            user => user.and_then(|user| user.turned),
        };
        let is_blurred = |turned: i64| {
            let has_waited = turned >= awake - pause - way && at - awake <= same;
            at - turned <= same || has_waited
        };
        Self {
            router,
            at,
            other,
            dies,
            resets,
            turned,
            is_blurred: turned.is_some_and(is_blurred),
        }
    }

    /// Whether that router told everybody of it within the last seconds: when it was used, or after a time when
    /// nobody was told.
    pub fn is_recent(&self, router: usize, now: i64, silences: &[Range<i64>]) -> bool {
        const RECENT: i64 = 3000;
        let ends = silences.iter().filter(|silence| self.was_used_in(silence));
        let told = ends.fold(self.at, |told, silence| told.max(silence.end));
        self.router == router && now - told < RECENT
    }

    /// Whether its last packet passed while nobody was told.
    pub fn was_used_in(&self, silence: &Range<i64>) -> bool {
        // The last daemon may not have come to tell it.
        const HELD: i64 = 1000;
        (silence.start - HELD..silence.end).contains(&self.at)
    }

    /// Whether it has ended. Nobody tells of that, so who had not heard of its last packets by then may
    /// have a copy that lives on.
    pub fn has_ended(&self, now: i64) -> bool {
        self.dies.is_some_and(|dies| dies < now)
    }

    /// Whether two used it so close together that, of what they say, chance decides which seems to be the
    /// later: the first may hold what it has to say for a window, and copies wait on busy routers. See the
    /// tolerances in [`joold::wire::lifetime`].
    pub fn is_contested(&self) -> bool {
        const CLOSE: i64 = 1000 + WAIT as i64 + 50;
        self.is_blurred || self.other.is_some_and(|other| self.at - other < CLOSE)
    }
}
