//! Those who ask for the counters.

use std::io;
use std::time::Instant;

use super::{PATIENCE, Reactor, Running, Served};
use crate::engine::Reason;
use crate::exposition::Format;
use crate::statsocket::Request;

/// How many stats requests are read before the others get their turn.
const BUDGET: usize = 32;

impl Reactor {
    /// Answers requests, but none that is more than its sender's share.
    pub(super) fn serve_stats(&mut self, now: Instant) -> Served {
        let mut failures = 0;
        for _ in 0..BUDGET {
            let Some(statsocket) = &mut self.statsocket else {
                return Served::Dry;
            };
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
            let format = request.format();
            let format = format.filter(|_| is_trusted(&self.running, &request));
            let mut admitted = statsocket.admit(now, &request);
            if format.is_some() {
                admitted = admitted.and_then(|()| statsocket.admit_long(now, &request));
            }
            if let Err(refusal) = admitted {
                self.engine.lose(now, refusal.reason(), || {
                    format!("{refusal}; from {}", request.source())
                });
                continue;
            }
            match self.reply(now, &request, format) {
                Ok(()) => self.engine.succeeded(Reason::StatsFailed),
                // The client asks again if it wants to know.
                Err(error) => self.engine.failed(now, Reason::StatsFailed, &error),
            }
        }
        Served::Remaining
    }

    fn reply(&mut self, now: Instant, request: &Request, format: Option<Format>) -> io::Result<()> {
        let text = format.map(|format| format.write(&self.status(now)));
        match (&self.statsocket, text) {
            (Some(statsocket), Some(text)) => statsocket.reply_with(request, &text),
            (Some(statsocket), None) => statsocket.reply(request, self.engine.counters()),
            (None, _) => Ok(()),
        }
    }
}

/// Whether it comes from this host, or from whom the network file names.
fn is_trusted(running: &Running, request: &Request) -> bool {
    let source = request.source().ip();
    let named = &running.config.netsocket.stats_allowed;
    source.is_loopback() || named.iter().any(|prefix| prefix.contains(source))
}
