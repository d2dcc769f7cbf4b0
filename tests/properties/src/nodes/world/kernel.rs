//! The kernel: its module, its instance, and what it has to tell.

use std::io;

use joold::engine::{Counters, Engine, FromKernel, Kind, Piece, Reason};
use joold::wire::jool::Message;

use super::World;
use crate::FAMILY;
use crate::events::material::VERSIONS;
use crate::kernel::check_acknowledgements;

/// How often the instance is looked at in a turn.
const LOOKS: usize = 4;

/// Bytes of sessions that were held are sent so many at a time.
const PAYLOAD: usize = 1232;

impl World {
    /// A batch comes, and is acknowledged unless another node should follow first.
    pub(super) fn hear(&mut self, message: &[u8]) {
        let now = self.time();
        if self.outbox.room().is_none() {
            self.send();
        }
        let Some(room) = self.outbox.room() else {
            return;
        };
        room[..message.len()].copy_from_slice(message);
        let room = &mut room[..message.len()];
        if let FromKernel::Forward(piece) = self.engine.on_kernel(now, 0, room) {
            assert!(piece.range.end <= message.len() && message.len() >= Message::HEADER);
            self.keep(&piece);
        }
        self.send();
        if self.engine.owes_acknowledgement() {
            self.hold_back();
            if !self.held_back {
                self.acknowledge();
            }
        }
    }

    fn keep(&mut self, piece: &Piece) {
        let (engine, others) = (&mut self.engine, &mut self.others);
        let joined = self.outbox.keep(piece, || {
            let header = engine.stamp();
            if let Some(header) = header {
                others.own = (header.node, header.number);
            }
            header
        });
        if joined {
            self.engine.shared();
        }
    }

    /// What was held until now goes out.
    pub(super) fn send_held(&mut self, now: std::time::Instant) {
        let payload = self.engine.sessions_of(PAYLOAD);
        let Some(room) = self.outbox.room() else {
            return self.send();
        };
        let length = Engine::write_due(&mut self.engine, now, room, payload);
        assert!(length > 0 && length <= payload);
        self.keep(&Piece {
            range: 0..length,
            joinable: true,
        });
    }

    /// What is in the outbox leaves it, if the network has room.
    pub(super) fn send(&mut self) {
        let now = self.time();
        while !self.blocked && !self.outbox.is_empty() {
            self.engine.record(now, &self.outbox);
            if let Some(taken) = self.outbox.take() {
                self.engine.sent(taken);
            }
        }
    }

    /// The network has no room, has some again, or takes no datagram.
    pub(super) fn net(&mut self, kind: u8) {
        let now = self.time();
        match kind % 4 {
            0 => self.blocked = true,
            1 => self.blocked = false,
            kind => {
                self.engine.record(now, &self.outbox);
                if let Some(taken) = self.outbox.take() {
                    match kind {
                        2 => self.engine.nowhere_to_send(taken),
                        _ => self.engine.not_sent(now, taken, || "a test".to_owned()),
                    }
                }
            }
        }
        self.serve_due();
    }

    /// Something is lost, or works again.
    pub(super) fn lose(&mut self, kind: u8) {
        let reasons = [
            Reason::KernelOverrun,
            Reason::TruncatedMessage,
            Reason::AddNotSent,
            Reason::TableUnread,
            Reason::MessageNotSent,
            Reason::NotSent,
        ];
        let reason = reasons[usize::from(kind) % reasons.len()];
        match kind & 0x80 {
            0 => self
                .engine
                .failed(self.time(), reason, &io::Error::other("a test")),
            _ => self.engine.succeeded(reason),
        }
    }

    /// Looks whether the kernel should wait, and has it go on if not.
    pub(super) fn hold_back(&mut self) {
        let now = self.time();
        if !self.engine.holds_back(now) {
            if std::mem::take(&mut self.held_back) && self.engine.owes_acknowledgement() {
                self.acknowledge();
            }
            return;
        }
        if !std::mem::replace(&mut self.held_back, true) {
            self.engine.look_soon(now);
            self.look();
        }
    }

    fn acknowledge(&mut self) {
        if !self.engine.has_module() {
            return self.engine.rest();
        }
        check_acknowledgements(self.engine.acknowledgements(), self.family);
        self.engine.acknowledged();
        self.instance.acknowledged();
    }

    pub(super) fn flush(&mut self) {
        let now = self.time();
        let is_due = self.engine.flush_due().is_some_and(|due| due <= now);
        if is_due && !self.blocked && !self.held_back {
            check_acknowledgements(self.engine.flush(), self.family);
            self.engine.flushed(now);
            self.instance.acknowledged();
        }
    }

    pub(super) fn look(&mut self) {
        let now = self.time();
        for _ in 0..LOOKS {
            if self.engine.look_due().is_none_or(|due| due > now) {
                return;
            }
            self.look_once();
        }
    }

    pub(super) fn look_once(&mut self) {
        let now = self.time();
        if self.engine.looks_for_instance() {
            match self.instance.is_there() {
                Ok(Ok(is_there)) => self.engine.instance_looked_for(now, is_there),
                Ok(Err(refusal)) => self.engine.look_refused(now, &refusal),
                Err(error) => self.engine.look_failed(now, &error),
            }
            return;
        }
        match self.instance.look(self.engine.wants_pool4(now)) {
            Ok(Ok(state)) => {
                let changes = self.engine.instance_seen(now, state);
                if !changes.is_empty() {
                    self.engine.instance_changed(&changes);
                }
                if self.engine.owes_first_acknowledgement(now) {
                    self.acknowledge();
                }
            }
            Ok(Err(refusal)) => self.engine.look_refused(now, &refusal),
            Err(error) => self.engine.look_failed(now, &error),
        }
    }

    pub(super) fn find_module(&mut self, kind: u8) {
        let (which, version) = (kind % 4, usize::from(kind >> 2) % 5);
        if which == 0 {
            return self.engine.module_missing();
        }
        self.family = FAMILY + u16::from(which / 2);
        let version = VERSIONS.get(version.wrapping_sub(1)).copied();
        self.engine.module_found(self.time(), self.family, version);
    }
}

/// What only grows, besides the losses.
pub fn passed(counters: &Counters) -> Vec<u64> {
    let growing = counters.counts().into_iter();
    let growing = growing.filter(|count| count.kind == Kind::Total);
    growing.map(|count| count.value).collect()
}
