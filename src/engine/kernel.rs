//! What the netlink socket brings.

use std::io;
use std::ops::Range;
use std::time::Instant;

use super::{Engine, Event, FromKernel, Piece, Reason, Spelling, quoted, thin};
use crate::failure::words;
use crate::sys::KERNEL;
use crate::wire::globals::Global;
use crate::wire::jool::{Command, InstanceName, Message, Translator};
use crate::wire::{Malformed, netlink};

impl Engine {
    /// Requests that release the kernel's next batches, for one `send()`.
    pub fn acknowledgements(&self) -> &[u8] {
        self.acknowledgements.bytes(self.pace.next())
    }

    /// They were sent.
    pub fn acknowledged(&mut self) {
        self.pace.asked();
    }

    /// Whether the netlink socket's buffer was full, and the socket has not been read empty since.
    pub fn is_overrun(&self) -> bool {
        self.pace.is_overrun()
    }

    /// The netlink socket's buffer was full: at least one batch was lost.
    pub fn overrun(&mut self) {
        self.pace.overrun();
    }

    /// Whether the kernel has more only if it is acknowledged.
    pub fn is_fulfilled(&self) -> bool {
        self.pace.is_fulfilled()
    }

    /// Whether something was received that is not acknowledged yet.
    pub fn owes_acknowledgement(&self) -> bool {
        self.pace.owes()
    }

    /// The kernel has nothing more at the moment.
    pub fn rest(&mut self) {
        self.pace.rest();
        self.watch.advertised();
    }

    /// A message came from the netlink socket; `port` is its sender. What is sent of it may have
    /// moved within it.
    pub fn on_kernel(&mut self, now: Instant, port: u32, message: &mut [u8]) -> FromKernel {
        if port != KERNEL {
            self.lose(now, Reason::NotFromKernel, || {
                format!("netlink port id {port}")
            });
            return FromKernel::Ignore;
        }
        let batch = match netlink::Message::alone(message) {
            Ok(message) => self.on_message(now, message),
            Err(error) => self.malformed(now, error),
        };
        match batch {
            Some(range) => {
                self.pace.came();
                self.flush
                    .begin(now, self.watch.get(Global::SsFlushDeadline));
                if self.watch.is_missing() {
                    self.watch.hint(now);
                }
                FromKernel::Forward(self.piece(now, message, range))
            }
            None => FromKernel::Ignore,
        }
    }

    /// What of the sessions in `range` of a message is for the peers now.
    fn piece(&mut self, now: Instant, message: &mut [u8], range: Range<usize>) -> Piece {
        let (time, format) = (self.time(now), self.format());
        let Some(refreshes) = &mut self.refreshes else {
            return Piece {
                range,
                joinable: false,
            };
        };
        let left = thin::thin(refreshes, time, &mut message[range.clone()], format);
        self.counters.follow(refreshes);
        self.counters.withheld += u64::from(left.length == 0);
        Piece {
            range: range.start..range.start + left.length,
            joinable: left.understood,
        }
    }

    fn on_message(&mut self, now: Instant, message: netlink::Message<'_>) -> Option<Range<usize>> {
        if let Some(errno) = message.errno() {
            // 0 is netlink's own acknowledgement, which nobody asked for.
            if errno != 0 {
                let error = io::Error::from_raw_os_error(errno);
                let words = || format!("{} (error {errno})", words(&error));
                self.refused(now, message.sequence(), errno, words);
            }
            return None;
        }
        if !self.has_module() || message.kind() != self.address.family {
            self.lose(now, Reason::ForeignMessage, || {
                format!("message type {}", message.kind())
            });
            return None;
        }
        match Message::new_checked(message) {
            Ok(message) => self.on_jool(now, &message),
            Err(error) => self.malformed(now, error),
        }
    }

    fn on_jool(&mut self, now: Instant, message: &Message<'_>) -> Option<Range<usize>> {
        if let Some((code, text)) = message.error() {
            let code = i32::from(code);
            let words = || quoted(code, text);
            self.refused(now, message.netlink().sequence(), code, words);
            return None;
        }
        if !message.version().speaks_with(self.address.version) {
            self.foreign_version(now, message.version());
            return None;
        }
        let container = match message.sessions() {
            Ok(Some(container)) => container,
            Ok(None) => {
                self.lose(now, Reason::ForeignMessage, || {
                    "it has no container of sessions".to_owned()
                });
                return None;
            }
            Err(error) => return self.malformed(now, error),
        };
        if message.translator() != Translator::Nat64 as u8 || !self.is_ours(message.instance()) {
            // Instances of one namespace share the group: no trouble, and nothing for the log.
            self.counters.lose(Reason::OtherInstance, 1);
            return None;
        }
        self.learn(now, message);
        // It does not show that requests are taken again: the kernel multicasts batches to whoever
        // listens.
        self.journal.success(Reason::ForeignVersion);
        self.counters.kernel_sent.add(container.value.len());
        let updates = container.value.len() / self.format().size();
        self.counters.updates += updates as u64;
        self.room.came(now, updates);
        if !self.has_queue() {
            let payload = self.watch.max_payload();
            self.packets.came(updates, self.format().size(), payload);
        }
        let range = container.range();
        Some(Message::HEADER + range.start..Message::HEADER + range.end)
    }

    /// Names compare without case, as upstream's daemon has it. The kernel's own comparison knows
    /// case, so there may be two instances that differ in nothing else: the one that is spelt as
    /// the file has it wins, and of others the first that spoke.
    fn is_ours(&self, field: &[u8]) -> bool {
        match self.spelling {
            Spelling::Unknown => self.configured.matches(field),
            Spelling::Adopted => self.address.instance.is(field) || self.configured.is(field),
            Spelling::Exact => self.configured.is(field),
        }
    }

    /// Speaks as the module does from here on: every request in another spelling than its own
    /// would be refused.
    fn learn(&mut self, now: Instant, message: &Message<'_>) {
        let version = message.version();
        if !self.heard || self.version != Some(version) {
            self.heard = true;
            self.journal.note(Event::ModuleVersion(version));
        }
        if self.spelling != Spelling::Exact {
            self.learn_spelling(now, message.instance());
        }
        if self.version != Some(version) {
            self.adopt(now, version);
        }
    }

    fn learn_spelling(&mut self, now: Instant, field: &[u8]) {
        let name = InstanceName::from_field(field).unwrap_or(self.configured);
        if name == self.configured {
            self.spelling = Spelling::Exact;
        } else {
            self.spelling = Spelling::Adopted;
        }
        if self.address.instance != name {
            self.address.instance = name;
            self.watch.hint(now);
            self.journal.note(Event::OtherSpelling(name));
            self.readdress();
        }
    }

    fn malformed(&mut self, now: Instant, error: Malformed) -> Option<Range<usize>> {
        self.lose(now, Reason::MalformedMessage, || error.to_string());
        None
    }

    /// The sequence number of a request is its command: see [`crate::wire::request`].
    pub(super) fn refused(
        &mut self,
        now: Instant,
        sequence: u32,
        errno: i32,
        words: impl FnOnce() -> String,
    ) {
        // Whatever it is, a look at the instance tells more.
        self.watch.hint(now);
        let reason = match errno {
            libc::ENOENT => {
                // A request that was on its way when the module went; the controller knows more.
                self.doubts_module = true;
                return self.counters.lose(Reason::ModuleMissing, 1);
            }
            libc::ESRCH => return self.counters.lose(Reason::InstanceMissing, 1),
            libc::EPERM => Reason::NotPermitted,
            _ if sequence == Command::JooldAck as u32 => Reason::AckRefused,
            _ if sequence == Command::JooldAdd as u32 => Reason::AddRefused,
            _ => Reason::OtherRefused,
        };
        self.lose(now, reason, words);
        if reason == Reason::AddRefused && errno == libc::ENOMEM {
            // It had no memory at the moment. What it refuses for another reason, it refuses again.
            self.owe_table(now, Reason::AddNotSent);
        }
    }

    /// A message from the kernel was longer than there was room; it may have been a batch.
    pub fn truncated(&mut self, now: Instant, length: usize) {
        self.pace.came();
        self.lose(now, Reason::TruncatedMessage, || {
            format!("more than {length} bytes")
        });
    }
}
