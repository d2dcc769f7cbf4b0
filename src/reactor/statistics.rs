//! Those who ask for the counters.

use std::io;
use std::time::Instant;

use super::{PATIENCE, Reactor, Served};
use crate::engine::Reason;

/// How many stats requests are read before the others get their turn.
const BUDGET: usize = 32;

impl Reactor {
    /// Answers requests, but none that is more than its sender's share.
    pub(super) fn serve_stats(&mut self, now: Instant) -> Served {
        let Some(statsocket) = &mut self.statsocket else {
            return Served::Dry;
        };
        let mut failures = 0;
        for _ in 0..BUDGET {
            let request = match statsocket.receive() {
                Ok(request) => request,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Served::Dry,
                Err(error) => {
                    self.engine.failed(now, Reason::StatsFailed, &error);
                    failures += 1;
                    if failures >= PATIENCE {
                        return Served::Dry;
                    }
                    continue;
                }
            };
            if let Err(refusal) = statsocket.admit(now, &request) {
                self.engine.lose(now, refusal.reason(), || {
                    format!("{refusal}; from {}", request.source())
                });
                continue;
            }
            match statsocket.reply(&request, self.engine.counters()) {
                Ok(()) => self.engine.succeeded(Reason::StatsFailed),
                // The client asks again if it wants to know.
                Err(error) => self.engine.failed(now, Reason::StatsFailed, &error),
            }
        }
        Served::Remaining
    }
}
