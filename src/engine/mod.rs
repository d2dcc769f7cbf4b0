//! The middle of the daemon: decides what becomes of each message, and does nothing itself.
//!
//! It owns no socket and asks for no clock. Messages, in the buffers where they were received, and
//! the time go in; a verdict comes out, which the reactor carries out and reports back. What an
//! operator should know comes out as [`Event`]s, at a bounded rate.

mod counters;
mod journal;
mod reason;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

pub use counters::{Counters, Traffic};
pub use journal::Event;
pub use reason::Reason;

use crate::failure::words;
use crate::wire::jool::{Command, InstanceName, Message, Translator, Version, root};
use crate::wire::request::{Add, Address, Plain};
use crate::wire::{Malformed, netlink};
use journal::Journal;

/// The port id of the kernel (netlink(7)).
const KERNEL: u32 = 0;

/// What becomes of a message from the netlink socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromKernel {
    /// These bytes of the message are a datagram for the peers. Once it is sent, or cannot be,
    /// [`Engine::acknowledgement`] goes to the kernel.
    Forward(Range<usize>),
    /// Nothing.
    Ignore,
}

/// What becomes of a datagram from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromNetwork {
    /// The buffer, up to here, is a request for the kernel.
    Add(usize),
    /// Nothing.
    Ignore,
}

/// The state of one synchronized instance.
#[derive(Debug)]
pub struct Engine {
    address: Address,
    acknowledgement: Plain,
    /// Whether the receive buffer holds the headers that `address` makes.
    prepared: bool,
    module: Option<Version>,
    counters: Counters,
    journal: Journal,
}

impl Engine {
    /// Serves `instance`, whose kernel side is reached through the netlink family `family`.
    pub fn new(instance: InstanceName, family: u16) -> Self {
        let address = Address {
            family,
            version: Version::SUPPORTED,
            instance,
        };
        Self {
            address,
            acknowledgement: Plain::new(&address, Command::JooldAck),
            prepared: false,
            module: None,
            counters: Counters::default(),
            journal: Journal::new(),
        }
    }

    /// The request that releases the kernel's next batch.
    pub fn acknowledgement(&self) -> &[u8] {
        self.acknowledgement.bytes()
    }

    /// Writes to the start of a receive buffer what seldom changes of [`FromNetwork::Add`].
    pub fn prepare(&mut self, buffer: &mut [u8]) {
        Add::prepare(buffer, &self.address);
        self.prepared = true;
    }

    /// Whether that changed, so that [`Engine::prepare`] is due.
    pub fn needs_preparation(&self) -> bool {
        !self.prepared
    }

    /// What passed and what did not.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A message came from the netlink socket; `port` is its sender.
    pub fn on_kernel(&mut self, now: Instant, port: u32, message: &[u8]) -> FromKernel {
        if port != KERNEL {
            self.lose(now, Reason::NotFromKernel, || {
                format!("netlink port id {port}")
            });
            return FromKernel::Ignore;
        }
        match netlink::Message::new_checked(message) {
            Ok(message) => self.on_message(now, message),
            Err(error) => self.malformed(now, error),
        }
    }

    fn on_message(&mut self, now: Instant, message: netlink::Message<'_>) -> FromKernel {
        if let Some(errno) = message.errno() {
            // 0 is netlink's own acknowledgement, which nobody asked for.
            if errno != 0 {
                let error = io::Error::from_raw_os_error(errno);
                self.refused(now, message.sequence(), errno, || words(&error));
            }
            return FromKernel::Ignore;
        }
        if message.kind() != self.address.family {
            self.lose(now, Reason::ForeignMessage, || {
                format!("message type {}", message.kind())
            });
            return FromKernel::Ignore;
        }
        match Message::new_checked(message) {
            Ok(message) => self.on_jool(now, &message),
            Err(error) => self.malformed(now, error),
        }
    }

    fn on_jool(&mut self, now: Instant, message: &Message<'_>) -> FromKernel {
        if let Some((code, text)) = message.error() {
            let text = || format!("\"{}\"", printable(text));
            self.refused(now, message.netlink().sequence(), i32::from(code), text);
            return FromKernel::Ignore;
        }
        let Some(container) = message.attributes().find(root::SESSION_ENTRIES) else {
            self.lose(now, Reason::ForeignMessage, || {
                "it has no container of sessions".to_owned()
            });
            return FromKernel::Ignore;
        };
        if !message.version().speaks_with(self.address.version) {
            let (theirs, ours) = (message.version(), self.address.version);
            self.lose(now, Reason::ForeignVersion, || {
                format!(
                    "the module is Jool {theirs}, this joold speaks {}.{}",
                    ours.major, ours.minor
                )
            });
            return FromKernel::Ignore;
        }
        if message.translator() != Translator::Nat64 as u8
            || !self.address.instance.matches(message.instance())
        {
            // Instances of one namespace share the group: no trouble, and nothing for the log.
            self.counters.lose(Reason::OtherInstance);
            return FromKernel::Ignore;
        }
        self.learn(message);
        self.counters.kernel_sent.add(container.value.len());
        let range = container.range();
        FromKernel::Forward(Message::HEADER + range.start..Message::HEADER + range.end)
    }

    /// Speaks as the module does from here on: the kernel compares names *with* case, so that
    /// "Default" in the file would have every request for "default" refused.
    fn learn(&mut self, message: &Message<'_>) {
        let version = message.version();
        if self.module != Some(version) {
            self.module = Some(version);
            self.journal.note(Event::ModuleVersion(version));
        }
        let instance = self.address.instance;
        if self.address.version == version && message.instance().starts_with(instance.field()) {
            return;
        }
        self.address.version = version;
        self.address.instance = InstanceName::from_field(message.instance()).unwrap_or(instance);
        self.acknowledgement = Plain::new(&self.address, Command::JooldAck);
        self.prepared = false;
    }

    fn malformed(&mut self, now: Instant, error: Malformed) -> FromKernel {
        self.lose(now, Reason::MalformedMessage, || error.to_string());
        FromKernel::Ignore
    }

    /// The sequence number of a request is its command: see [`crate::wire::request`].
    fn refused(&mut self, now: Instant, sequence: u32, errno: i32, text: impl FnOnce() -> String) {
        let reason = if errno == libc::EPERM {
            Reason::NotPermitted
        } else if sequence == Command::JooldAck as u32 {
            Reason::AckRefused
        } else if sequence == Command::JooldAdd as u32 {
            Reason::AddRefused
        } else {
            Reason::OtherRefused
        };
        self.lose(now, reason, || format!("{} (error {errno})", text()));
    }

    /// A datagram of `length` bytes came from `source`, into `buffer` behind the headroom that
    /// [`Engine::prepare`] filled.
    pub fn on_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        buffer: &mut [u8],
        length: usize,
    ) -> FromNetwork {
        if self.counters.net_received.packets == 0 {
            self.journal.note(Event::FirstDatagram(source));
        }
        self.counters.net_received.add(length);
        if length == 0 {
            self.lose(now, Reason::EmptyDatagram, || format!("from {source}"));
            return FromNetwork::Ignore;
        }
        match Add::finish(buffer, length) {
            Some(total) => FromNetwork::Add(total),
            None => {
                self.lose(now, Reason::OversizedDatagram, || {
                    format!("{length} bytes from {source}")
                });
                FromNetwork::Ignore
            }
        }
    }

    /// A datagram of `length` bytes went out.
    pub fn sent(&mut self, length: usize) {
        self.counters.net_sent.add(length);
    }

    /// A system call failed, and `reason` is what that means.
    pub fn failed(&mut self, now: Instant, reason: Reason, error: &io::Error) {
        self.lose(now, reason, || words(error));
    }

    /// Counts, and tells unless it was told often enough.
    pub fn lose(&mut self, now: Instant, reason: Reason, detail: impl FnOnce() -> String) {
        self.counters.lose(reason);
        self.journal.trouble(now, reason, detail);
    }

    /// The next thing that an operator should know.
    pub fn next_event(&mut self) -> Option<Event> {
        self.journal.pop()
    }

    /// When [`Engine::elapse`] should be called, whatever else happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.journal.deadline()
    }

    /// Time has passed.
    pub fn elapse(&mut self, now: Instant) {
        self.journal.elapse(now);
    }
}

/// The kernel's words, on one line.
fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .split(char::is_control)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
