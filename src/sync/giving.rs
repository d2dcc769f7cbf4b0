//! The own table, given to those who ask for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::merge::Table;
use super::reading::{START, following};
use crate::wire::extension::{Node, Pull, Stretch, TableHeader};
use crate::wire::page::Key;
use crate::wire::session::{Format, Protocol};
use crate::wire::update::Update;

/// How many others may be served at a time.
const MOST: usize = 16;

/// The most parts for one request.
pub const WINDOW: u8 = 16;

/// At most so many parts at once, and after that one each [`PAUSE`]: a part is a page of the kernel's,
/// some 26 sessions.
const BURST: u32 = 32;
const PAUSE: Duration = Duration::from_millis(1);

/// The instance is looked at when somebody asks for the beginning of its table, or of the last protocol's: so often
/// at once, and after that once each [`LOOK`]. One who asks when that is spent asks again.
const LOOKS: u32 = 8;
const LOOK: Duration = Duration::from_millis(50);

/// How long it is believed to be the same while more of the last protocol is asked for.
const BELIEVED: Duration = Duration::from_millis(250);

/// What one other node wants.
#[derive(Clone, Copy, Debug)]
struct Give {
    to: Node,
    protocol: Protocol,
    after: Option<Key>,
    left: u8,
}

/// Whom parts are due to.
#[derive(Debug)]
pub struct Giving {
    gives: VecDeque<Give>,
    /// When somebody began to read, and who.
    begun: Option<(Instant, Node)>,
    /// The least time between two who do.
    interval: Duration,
    budget: Budget,
    /// Whether it is to be looked at before anything is given.
    was_asked: bool,
    /// When that was found last.
    looked: Option<Instant>,
    looks: Budget,
}

impl Giving {
    pub fn new(now: Instant, interval: Duration) -> Self {
        Self {
            gives: VecDeque::with_capacity(MOST),
            begun: None,
            interval,
            budget: Budget::new(now, PAUSE, BURST),
            was_asked: false,
            looked: None,
            looks: Budget::new(now, LOOK, LOOKS),
        }
    }

    /// From here on, another one may begin that long after one.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// `to` asks for parts. One who comes too early, or is one too many, asks again.
    pub fn ask(&mut self, now: Instant, to: Node, pull: &Pull) {
        let begins = (pull.protocol, pull.after) == START;
        let begun = self.begun.filter(|&(_, by)| begins && by != to);
        if begun.is_some_and(|(when, _)| now < when + self.interval) {
            return;
        }
        let is_last = following(pull.protocol).is_none();
        let is_old = self.looked.is_none_or(|when| now >= when + BELIEVED);
        if begins || is_last && (pull.after.is_none() || is_old) {
            if !self.looks.spend(now) {
                return;
            }
            (self.was_asked, self.looked) = (true, Some(now));
        }
        if begins {
            self.begun = Some((now, to));
        }
        self.gives.retain(|give| give.to != to);
        if self.gives.len() < MOST {
            self.gives.push_back(Give {
                to,
                protocol: pull.protocol,
                after: pull.after,
                left: pull.parts.min(WINDOW),
            });
        }
    }

    /// Whether the instance is to be looked at before anything is given; it is now.
    pub fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.was_asked)
    }

    /// There is no table to give.
    pub fn end(&mut self) {
        self.gives.clear();
    }

    /// How many wait for parts.
    pub fn waiting(&self) -> usize {
        self.gives.len()
    }

    /// When the next part may go.
    pub fn due(&self) -> Option<Instant> {
        (!self.gives.is_empty()).then(|| self.budget.next())
    }

    /// Writes the next part, if one is due, and returns its length. The own node is told with the number of
    /// its last datagram of sessions, and its holes.
    pub fn write(
        &mut self,
        now: Instant,
        (node, number, holes): (Node, u32, u32),
        format: Format,
        table: &mut impl Table,
        room: &mut [u8],
    ) -> usize {
        let Some(give) = self.gives.front_mut() else {
            return 0;
        };
        if !self.budget.spend(now) {
            return 0;
        }
        let Some((stretch, length)) = part(give, holes as u8, format, table, room) else {
            // The table cannot be read, which was told, or there is no room for a single session.
            self.gives.clear();
            return 0;
        };
        TableHeader::write(&stretch, node, number, room);
        give.left = give.left.saturating_sub(1);
        give.after = stretch.last;
        if stretch.last.is_none() {
            match following(give.protocol) {
                Some(protocol) if following(protocol).is_some() => give.protocol = protocol,
                // Before the last one, the instance is looked at: so it has to be asked for.
                _ => give.left = 0,
            }
        }
        if give.left == 0 {
            self.gives.pop_front();
        }
        length
    }
}

/// Writes as many sessions as a page has and fit behind a header; returns which they are, and the length
/// of it all. Nothing if the table cannot be read, or there is room for none of those that there are.
fn part(
    give: &Give,
    holes: u8,
    format: Format,
    table: &mut impl Table,
    room: &mut [u8],
) -> Option<(Stretch, usize)> {
    let Give {
        protocol, after, ..
    } = *give;
    let size = format.size();
    let sessions = room.get_mut(TableHeader::SIZE..)?;
    let mut places = sessions.chunks_exact_mut(size);
    let (mut written, mut last, mut left_out) = (0, None, false);
    let next = table.page(protocol, after, &mut |key: Key, update: Update| {
        if update.expiration == 0 {
            // Its time is up; the kernel only has not looked yet.
            return;
        }
        left_out = left_out || places.len() == 0;
        if let Some(place) = places.next() {
            update.write(format, place);
            (written, last) = (written + size, Some(key));
        }
    })?;
    if left_out && last.is_none() {
        return None;
    }
    let stretch = Stretch {
        protocol,
        after,
        last: if left_out { last } else { next },
        holes,
    };
    Some((stretch, TableHeader::SIZE + written))
}
