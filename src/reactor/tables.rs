//! What is said to the other daemons, and the kernel's table that some of it is about.

use std::time::Instant;

use super::Reactor;
use crate::engine::{FromNetwork, Late, Reason, quoted};
use crate::failure::words;
use crate::instance::Instance;
use crate::sync::Table;
use crate::wire::page::Key;
use crate::wire::request::Address;
use crate::wire::session::{Format, Protocol};
use crate::wire::update::Update;

/// How many messages leave before the others get their turn.
const BUDGET: usize = 64;

/// The kernel's table of the served instance.
struct KernelTable<'a> {
    instance: &'a mut Instance,
    address: Address,
    /// Why it could not be read, if so.
    trouble: Option<(i32, String)>,
}

impl<'a> KernelTable<'a> {
    fn of(instance: &'a mut Instance, address: Address) -> Self {
        Self {
            instance,
            address,
            trouble: None,
        }
    }
}

impl Table for KernelTable<'_> {
    fn page(
        &mut self,
        protocol: Protocol,
        after: Option<Key>,
        take: &mut dyn FnMut(Key, Update),
    ) -> Option<Option<Key>> {
        let format = Format::of(self.address.version);
        let read = self
            .instance
            .sessions(&self.address, protocol, after, format, take);
        match read {
            Ok(Ok(page)) => return Some(page.next),
            Ok(Err(refusal)) => {
                self.trouble = Some((refusal.code, quoted(refusal.code, &refusal.text)));
            }
            Err(error) => {
                self.trouble = Some((error.raw_os_error().unwrap_or_default(), words(&error)));
            }
        }
        None
    }
}

impl Reactor {
    /// Puts the messages that are due into the outbox, unless the network has no room.
    pub(super) fn collect_messages(&mut self, now: Instant) {
        for _ in 0..BUDGET {
            if self.blocked || self.engine.message_due().is_none_or(|due| due > now) {
                return;
            }
            if self.outbox.room().is_none() {
                self.send(now);
            }
            let payload = self.outbox.payload();
            let Some(room) = self.outbox.room() else {
                return;
            };
            let mut table = KernelTable::of(&mut self.instance, *self.engine.address());
            let length = self.engine.write_message(now, room, payload, &mut table);
            let trouble = table.trouble;
            self.judge_table(now, trouble);
            if length == 0 {
                return;
            }
            self.outbox.keep_message(length);
        }
    }

    /// Compares the late sessions in the `n`th slot with the kernel's.
    pub(super) fn compare(&mut self, now: Instant, n: usize, late: Late) -> FromNetwork {
        let Some((slot, _)) = self.netsocket.slot(n) else {
            return FromNetwork::Ignore;
        };
        let mut table = KernelTable::of(&mut self.instance, *self.engine.address());
        let verdict = self.engine.compare(now, slot, late, &mut table);
        let trouble = table.trouble;
        self.judge_table(now, trouble);
        verdict
    }

    fn judge_table(&mut self, now: Instant, trouble: Option<(i32, String)>) {
        match trouble {
            Some((errno, words)) => self.engine.table_unread(now, errno, words),
            None => self.engine.succeeded(Reason::TableUnread),
        }
    }
}
