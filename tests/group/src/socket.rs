//! A daemon's netlink socket: what the kernel multicasts waits here, as far as there is room.

use std::collections::VecDeque;

use jool_simulated::module::Outgoing;

/// What a receive call brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// One message.
    Message(Outgoing),
    /// Some were lost (`ENOBUFS`).
    Overrun,
    /// Nothing is left.
    Nothing,
}

/// The socket.
#[derive(Clone, Debug, Default)]
pub struct Socket {
    waiting: VecDeque<Outgoing>,
    /// How many of the next messages find no room.
    full_for: u32,
    /// Whether messages are thrown away until all that wait were read.
    congested: bool,
    tells_overrun: bool,
    lost: u32,
}

impl Socket {
    /// The next messages find no room.
    pub fn overrun(&mut self, messages: u32) {
        self.full_for += messages;
    }

    /// The kernel sends something.
    pub fn push(&mut self, message: Outgoing) {
        let is_full = self.full_for > 0;
        self.full_for = self.full_for.saturating_sub(1);
        if self.congested || is_full {
            self.lost += 1;
            self.tells_overrun |= !self.congested;
            self.congested = true;
            return;
        }
        self.waiting.push_back(message);
    }

    /// The daemon receives.
    pub fn receive(&mut self) -> Receipt {
        if std::mem::take(&mut self.tells_overrun) {
            return Receipt::Overrun;
        }
        match self.waiting.pop_front() {
            Some(message) => Receipt::Message(message),
            None => {
                self.congested = false;
                Receipt::Nothing
            }
        }
    }

    /// Whether the daemon should look.
    pub fn is_ready(&self) -> bool {
        self.tells_overrun || !self.waiting.is_empty()
    }

    /// How many messages were lost since this was asked last.
    pub fn take_lost(&mut self) -> u32 {
        std::mem::take(&mut self.lost)
    }
}
