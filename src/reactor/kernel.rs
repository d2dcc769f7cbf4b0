//! What the kernel says, and which module says it.

use std::time::{Duration, Instant};
use std::{io, mem};

use super::{Heard, KERNEL_BUDGET, KERNEL_MESSAGES, PATIENCE, Reactor, Served, Source};
use crate::controller::{Found, module_version};
use crate::engine::{FromKernel, Reason};
use crate::sys::KERNEL;
use crate::wire::globals::Global;
use crate::wire::request::Address;

/// How often the module is looked for while it is not there. Its coming is heard of; this is for the
/// day when that gets lost.
const SEARCH: Duration = Duration::from_secs(5);

/// How many turns may pass until all is read that a module has said before it went: far more than a
/// receive buffer holds, and no more comes.
const HEAR_OUT: usize = 1024;

impl Reactor {
    pub(super) fn serve_controller(&mut self, now: Instant) -> Served {
        if self.controller.has_news() {
            self.look_for_module(now);
        }
        Served::Dry
    }

    /// Finds out which module there is, if any, and hears that one.
    pub(super) fn look_for_module(&mut self, now: Instant) {
        self.search = None;
        let found = self.controller.find().inspect(|found| {
            if self.engine.has_module() && found.id() != Some(self.engine.address().family) {
                self.hear_out_module(now);
            }
        });
        let heard = found.and_then(|found| match found {
            Found::Family(family) => self.modsocket.hear(Some(family.group)).map(|()| found),
            Found::Nothing | Found::Stranger => self.modsocket.hear(None).map(|()| found),
        });
        match heard {
            Ok(Found::Family(family)) => {
                self.engine.succeeded(Reason::ControllerFailed);
                self.engine.succeeded(Reason::StrangeModule);
                self.engine.module_found(now, family.id, module_version());
                return;
            }
            Ok(Found::Nothing) => {
                self.engine.succeeded(Reason::ControllerFailed);
                self.engine.module_missing();
            }
            Ok(Found::Stranger) => {
                let detail = || "nothing is synchronized".to_owned();
                self.engine.lose(now, Reason::StrangeModule, detail);
                self.engine.module_missing();
            }
            Err(error) => self.engine.failed(now, Reason::ControllerFailed, &error),
        }
        self.search = Some(now + SEARCH);
    }

    /// Receives what a module that has gone said last: nobody would understand it once there is another.
    fn hear_out_module(&mut self, now: Instant) {
        for _ in 0..HEAR_OUT {
            if self.serve_kernel(now) == Served::Dry {
                break;
            }
        }
        // An overrun that goes on is forgotten with the module.
        self.count_lost_from_kernel(now);
    }

    /// Looks at the instance if that is due, and gives it what the module file wants.
    pub(super) fn look_at_instance(&mut self, now: Instant) {
        if self.engine.look_due().is_none_or(|due| due > now) {
            return;
        }
        let address = *self.engine.address();
        if self.engine.looks_for_instance() {
            match self.instance.is_there(&address) {
                Ok(Ok(is_there)) => self.engine.instance_looked_for(now, is_there),
                Ok(Err(refusal)) => self.engine.look_refused(now, &refusal),
                Err(error) => self.engine.look_failed(now, &error),
            }
            return;
        }
        match self.instance.look(&address, self.engine.wants_pool4(now)) {
            Ok(Ok(state)) => {
                let changes = self.engine.instance_seen(now, state);
                if !changes.is_empty() {
                    self.change_instance(now, &address, &changes);
                }
                if self.engine.owes_first_acknowledgement(now) {
                    self.acknowledge(now);
                }
            }
            Ok(Err(refusal)) => self.engine.look_refused(now, &refusal),
            Err(error) => self.engine.look_failed(now, &error),
        }
    }

    fn change_instance(&mut self, now: Instant, address: &Address, changes: &[(Global, u32)]) {
        match self.instance.set(address, changes) {
            Ok(Ok(())) => self.engine.instance_changed(changes),
            Ok(Err(refusal)) => self.engine.change_refused(now, &refusal),
            Err(error) => self.engine.look_failed(now, &error),
        }
    }

    /// Makes the kernel look at its queue if that is due.
    pub(super) fn flush_kernel(&mut self, now: Instant) {
        if self.blocked || self.held_back || self.engine.flush_due().is_none_or(|due| due > now) {
            return;
        }
        let sent = self.modsocket.send(self.engine.flush());
        self.engine.flushed(now);
        match sent {
            Ok(()) => self.engine.succeeded(Reason::AckNotSent),
            Err(error) => self.engine.failed(now, Reason::AckNotSent, &error),
        }
    }

    /// Receives and acknowledges what the kernel has, and sends it all together. The kernel's
    /// next batch, if there is one, is in the socket when the acknowledgement returns.
    pub(super) fn serve_kernel(&mut self, now: Instant) -> Served {
        let (mut batches, mut failures) = (0, 0);
        for _ in 0..KERNEL_MESSAGES {
            match self.receive_from_kernel(now) {
                Heard::Batch => batches += 1,
                Heard::Other => (),
                Heard::Trouble => failures += 1,
                Heard::NoRoom => return Served::Dry,
                Heard::Nothing if self.engine.owes_acknowledgement() => {
                    self.count_overrun(now);
                    if self.hold_back(now) {
                        self.send(now);
                        return Served::Dry;
                    }
                    failures += usize::from(!self.acknowledge(now));
                }
                Heard::Nothing => {
                    self.engine.rest();
                    self.send(now);
                    return Served::Dry;
                }
            }
            if self.engine.is_fulfilled() && !self.hold_back(now) {
                failures += usize::from(!self.acknowledge(now));
            }
            if failures >= PATIENCE {
                self.send(now);
                return Served::Dry;
            }
            if batches >= KERNEL_BUDGET {
                break;
            }
        }
        self.send(now);
        Served::Remaining
    }

    /// Whether another router should follow first; until then the kernel waits for its acknowledgement.
    fn hold_back(&mut self, now: Instant) -> bool {
        if !self.engine.holds_back(now) {
            self.held_back = false;
            return false;
        }
        if !mem::replace(&mut self.held_back, true) {
            // Whether it waits for as long as it takes hangs on what the kernel is about.
            self.engine.look_soon(now);
            self.look_at_instance(now);
        }
        true
    }

    /// The kernel goes on if it does not have to wait any more.
    pub(super) fn go_on(&mut self, now: Instant) {
        if self.held_back && !self.hold_back(now) {
            for (_, polled) in &mut self.sources {
                polled.ready |= polled.source == Source::Kernel;
            }
        }
    }

    /// Receives one message into the outbox, which is sent first if it is full.
    pub(super) fn receive_from_kernel(&mut self, now: Instant) -> Heard {
        if self.outbox.room().is_none() {
            self.send(now);
        }
        let Some(room) = self.outbox.room().filter(|_| !self.blocked) else {
            return Heard::NoRoom;
        };
        match self.modsocket.receive(room) {
            Ok(receipt) if receipt.truncated && receipt.port == KERNEL => {
                self.engine.truncated(now, receipt.length);
                Heard::Batch
            }
            Ok(receipt) => {
                self.engine.succeeded(Reason::KernelReceive);
                let message = &mut room[..receipt.length];
                match self.engine.on_kernel(now, receipt.port, message) {
                    FromKernel::Forward(piece) => {
                        self.keep(&piece);
                        Heard::Batch
                    }
                    FromKernel::Ignore => Heard::Other,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.engine.overrun();
                // As many as it tells, of which some, or all, may be counted already.
                let lost = self.modsocket.lost().unwrap_or(1);
                self.lose_from_kernel(now, lost);
                Heard::Other
            }
            Err(error) => {
                self.engine.failed(now, Reason::KernelReceive, &error);
                Heard::Trouble
            }
        }
    }

    /// After an overrun: counts what was lost until the socket was empty again.
    fn count_overrun(&mut self, now: Instant) {
        if self.engine.is_overrun() {
            self.count_lost_from_kernel(now);
        }
    }

    /// Counts what was lost and is not counted yet, overrun or not.
    pub(super) fn count_lost_from_kernel(&mut self, now: Instant) {
        let lost = self.modsocket.lost().unwrap_or_default();
        self.lose_from_kernel(now, lost);
    }

    fn lose_from_kernel(&mut self, now: Instant, lost: u32) {
        if lost > 0 {
            let detail = || format!("{lost} of them");
            self.engine
                .lose_several(now, Reason::KernelOverrun, lost.into(), detail);
        }
    }

    /// Releases the kernel's next batches; tells whether that went well. If not, they are still
    /// owed.
    fn acknowledge(&mut self, now: Instant) -> bool {
        if !self.engine.has_module() {
            self.engine.rest();
            return true;
        }
        match self.modsocket.send(self.engine.acknowledgements()) {
            Ok(()) => {
                self.engine.acknowledged();
                self.engine.succeeded(Reason::AckNotSent);
                true
            }
            Err(error) => {
                self.engine.failed(now, Reason::AckNotSent, &error);
                false
            }
        }
    }
}
