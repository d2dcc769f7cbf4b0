//! The end: what is under way still leaves, as far as there is room for it soon.

use std::time::{Duration, Instant};

use mio::Events;

use super::{Heard, KERNEL_MESSAGES, Reactor};
use crate::engine::Engine;

/// How long a daemon that is to stop waits for room in the network. Whoever stops it waits as well.
const FAREWELL: Duration = Duration::from_millis(60);

impl Reactor {
    /// Sends what the kernel gave already, what is held and what waits, as far as the network has
    /// room for it soon. The rest is counted.
    pub(super) fn finish(&mut self, events: &mut Events) {
        let now = Instant::now();
        let end = now + FAREWELL;
        self.blocked = false;
        // No more than what was asked for, and what the kernel had to say besides.
        for _ in 0..KERNEL_MESSAGES {
            match self.receive_from_kernel(now) {
                Heard::Nothing => break,
                Heard::NoRoom => {
                    self.make_room(events, end);
                }
                Heard::Batch | Heard::Other | Heard::Trouble => (),
            }
        }
        self.count_lost(now);
        loop {
            self.collect(now, Engine::write_held);
            self.send(now);
            if !(self.blocked && self.make_room(events, end)) {
                break;
            }
        }
        self.engine.give_up_held(now);
        self.tell_followers(now);
        self.tell();
    }

    /// Waits until the network has room, until `end` at most, and gives up the outbox if it has
    /// none; tells whether it has.
    fn make_room(&mut self, events: &mut Events, end: Instant) -> bool {
        loop {
            let now = Instant::now();
            let left = end.saturating_duration_since(now);
            let polled = self.poll(events, Some(left));
            if std::mem::take(&mut self.writable) {
                self.blocked = false;
                return true;
            }
            if polled.is_err() || left.is_zero() {
                self.give_up_outbox(now);
                return false;
            }
        }
    }

    fn give_up_outbox(&mut self, now: Instant) {
        self.blocked = false;
        while let Some(taken) = self.take(now) {
            self.engine.not_sent(now, taken, || {
                "joold was stopped while the network had no room".to_owned()
            });
        }
    }
}
