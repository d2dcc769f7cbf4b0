//! What comes late is compared with what the kernel has.
//!
//! A repeat, a datagram that another one overtook, a part of a table: by the time that it comes, the
//! kernel may have had later news of its sessions, from its own packets or from others. The kernel's own
//! table is the one memory of that which is always there, and right.

use crate::wire::lifetime::{Timeouts, idle, is_further, is_later};
use crate::wire::page::Key;
use crate::wire::session::{Format, Protocol};
use crate::wire::update::Update;

/// How often the kernel looks for sessions whose time is up, in milliseconds.
const CLEANING: u32 = 2_000;

/// The kernel's table, as it can be read.
pub trait Table {
    /// Gives up to a page of sessions of that protocol to `take`, in the order of their keys, from the
    /// first one behind `after` on, or from the very first. Returns behind which place there are more, if
    /// there are; the outer nothing if the table cannot be read, which was told.
    fn page(
        &mut self,
        protocol: Protocol,
        after: Option<Key>,
        take: &mut dyn FnMut(Key, Update),
    ) -> Option<Option<Key>>;
}

/// Of the sessions in `contents`, leaves those that should take the place of the kernel's, or that it
/// does not have, and moves them together at the start, in order of their keys. Returns their bytes;
/// nothing if the table cannot be read, and then `contents` is as it was.
pub fn keep_later(
    contents: &mut [u8],
    format: Format,
    timeouts: &Timeouts,
    table: &mut impl Table,
) -> Option<usize> {
    let size = format.size();
    let mut theirs: Vec<_> = contents
        .chunks_exact(size)
        .filter_map(|attribute| Update::read(attribute, format))
        .filter_map(|update| {
            let protocol = Protocol::ALL.get(usize::from(update.body.protocol()))?;
            Some((*protocol, Key::from(&update.body), update))
        })
        .collect();
    // Of two of one session, the second came later, and is to be added later.
    theirs.sort_by_key(|&(protocol, key, _)| (protocol, key));
    let mut window = Window::default();
    let mut kept = Vec::with_capacity(theirs.len());
    for (protocol, key, update) in theirs {
        let own = window.find(protocol, key, table)?;
        let is_kept = |own| follows(&update, &own, timeouts) || is_later(&update, &own, timeouts);
        if own.is_none_or(is_kept) {
            kept.push(update);
        }
    }
    for (update, place) in kept.iter().zip(contents.chunks_exact_mut(size)) {
        update.write(format, place);
    }
    Some(kept.len() * size)
}

/// Whether `theirs` should stay when `own` goes, whose time is up: an incoming SYN that came after it, too, which
/// counts for less than all else.
fn follows(theirs: &Update, own: &Update, timeouts: &Timeouts) -> bool {
    // For how long the time has been up, it does not tell. A connection that went on is not given up for that,
    // though a SYN that came up to two seconds after it, and that nobody answered, gives way to it, too.
    let unseen = match is_further(theirs, own) {
        true => CLEANING,
        false => 0,
    };
    own.expiration == 0 && idle(theirs, timeouts) < idle(own, timeouts).saturating_add(unseen)
}

/// The page that was read last.
#[derive(Default)]
struct Window {
    /// Which stretch of the table it is: of that protocol, behind that place, up to the other. No other
    /// place if it is the last page.
    stretch: Option<(Protocol, Option<Key>, Option<Key>)>,
    sessions: Vec<(Key, Update)>,
}

impl Window {
    /// What the kernel has at that key; the outer nothing if that cannot be read.
    fn find(
        &mut self,
        protocol: Protocol,
        key: Key,
        table: &mut impl Table,
    ) -> Option<Option<Update>> {
        if !self.covers(protocol, key) {
            self.read(protocol, key.before(), table)?;
        }
        let found = self.sessions.binary_search_by_key(&key, |&(own, _)| own);
        Some(found.ok().map(|at| self.sessions[at].1))
    }

    fn covers(&self, protocol: Protocol, key: Key) -> bool {
        self.stretch.is_some_and(|(own, after, last)| {
            own == protocol && after < Some(key) && last.is_none_or(|last| key <= last)
        })
    }

    fn read(
        &mut self,
        protocol: Protocol,
        after: Option<Key>,
        table: &mut impl Table,
    ) -> Option<()> {
        self.stretch = None;
        self.sessions.clear();
        let sessions = &mut self.sessions;
        let last = table.page(protocol, after, &mut |key, update| {
            sessions.push((key, update));
        })?;
        self.stretch = Some((protocol, after, last));
        Some(())
    }
}

/// A table without sessions.
#[cfg(test)]
pub struct Empty;

#[cfg(test)]
impl Table for Empty {
    fn page(
        &mut self,
        _: Protocol,
        _: Option<Key>,
        _: &mut dyn FnMut(Key, Update),
    ) -> Option<Option<Key>> {
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session::{Session, State, Timer, example};

    const TIMEOUTS: Timeouts = Timeouts {
        tcp_established: 30_000,
        tcp_transitory: 8_000,
        udp: 12_000,
        icmp: 6_000,
    };

    /// A table with one session.
    struct One(Update);

    impl Table for One {
        fn page(
            &mut self,
            protocol: Protocol,
            _: Option<Key>,
            take: &mut dyn FnMut(Key, Update),
        ) -> Option<Option<Key>> {
            if self.0.body.protocol() == protocol as u8 {
                take(Key::from(&self.0.body), self.0);
            }
            Some(None)
        }
    }

    fn tcp(state: State, timer: Timer, expiration: u32) -> Vec<u8> {
        let session = Session {
            protocol: Protocol::Tcp,
            state,
            timer,
            expiration,
            ..example()
        };
        let mut bytes = Vec::new();
        session.emit(Format::Flat, &mut bytes);
        bytes
    }

    /// Whether `theirs` is kept where the kernel has `own`.
    fn is_kept(mut theirs: Vec<u8>, own: &[u8]) -> bool {
        let mut table = One(Update::read(own, Format::Flat).unwrap());
        keep_later(&mut theirs, Format::Flat, &TIMEOUTS, &mut table) == Some(theirs.len())
    }

    #[test]
    fn one_whose_time_is_up_takes_nothing_with_it_that_came_after() {
        let ended = tcp(State::V6Init, Timer::Transitory, 0);
        let went_on = |idle: u32| tcp(State::Established, Timer::Established, 30_000 - idle);
        assert!(is_kept(went_on(7_000), &ended));
        // Its time may have been up for as long as the kernel has not looked.
        assert!(is_kept(went_on(8_500), &ended));
        assert!(!is_kept(went_on(10_500), &ended));
        let syn = tcp(State::V4Init, Timer::IncomingSyn, 3_000);
        assert!(is_kept(syn, &ended));
    }

    #[test]
    fn a_connection_that_was_closed_and_whose_time_is_up_does_not_come_back() {
        let closed = tcp(State::BothFinReceived, Timer::Transitory, 0);
        let before = tcp(State::Established, Timer::Established, 30_000 - 8_500);
        assert!(!is_kept(before, &closed));
    }
}
