//! What comes late is compared with what the kernel has.
//!
//! A repeat, a datagram that another one overtook, a part of a table: by the time that it comes, the
//! kernel may have had later news of its sessions, from its own packets or from others. The kernel's own
//! table is the one memory of that which is always there, and right.

use crate::wire::lifetime::{Timeouts, idle, is_later};
use crate::wire::page::Key;
use crate::wire::session::{Format, Protocol};
use crate::wire::update::Update;

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
        // One whose time is up goes when the kernel looks next, and what came after it should stay: an
        // incoming SYN, which counts for less than all else.
        let follows =
            |own: &Update| own.expiration == 0 && idle(&update, timeouts) < idle(own, timeouts);
        if own.is_none_or(|own| follows(&own) || is_later(&update, &own, timeouts)) {
            kept.push(update);
        }
    }
    for (update, place) in kept.iter().zip(contents.chunks_exact_mut(size)) {
        update.write(format, place);
    }
    Some(kept.len() * size)
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
