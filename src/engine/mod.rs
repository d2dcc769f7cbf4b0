//! The middle of the daemon: decides what becomes of each message, and does nothing itself.
//!
//! It owns no socket and asks for no clock. Messages, in the buffers where they were received, and
//! the time go in; a verdict comes out, which the reactor carries out and reports back. What an
//! operator should know comes out as [`Event`]s, at a bounded rate.

mod allow;
mod count;
mod counters;
mod extensions;
mod flush;
mod journal;
mod kernel;
mod module;
mod network;
mod pace;
mod packets;
mod reason;
mod refresh;
mod room;
mod standing;
mod thin;
mod watch;

use std::io;
use std::ops::Range;
use std::time::Instant;

pub use allow::{AllowList, Prefix};
pub use count::{Count, Kind};
pub use counters::{Counters, Traffic};
pub use extensions::Late;
pub use journal::Event;
pub use reason::Reason;
pub use refresh::Limits;
pub use standing::{Lack, Standing};

use crate::failure::words;
use crate::wire::globals::Values;
use crate::wire::jool::{Command, InstanceName, Version};
use crate::wire::netlink;
use crate::wire::request::{Address, Repeated};
use crate::wire::session::Format;
use flush::Flush;
use journal::Journal;
use pace::Pace;
use packets::Packets;
use refresh::Refreshes;
use room::Room;
use watch::Watch;

use crate::sync::{Budget, Sync};

/// What becomes of a message from the netlink socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromKernel {
    /// A batch, of which this is for the peers.
    Forward(Piece),
    /// Nothing.
    Ignore,
}

/// Bytes of a buffer that go to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where they stand. Nothing is left to send if it is empty.
    pub range: Range<usize>,
    /// Whether they are nothing but well-formed sessions, so that others may stand before and
    /// behind them in a datagram.
    pub joinable: bool,
}

/// What becomes of a datagram from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromNetwork {
    /// The buffer, up to here, is a request for the kernel; another may follow it.
    Add(usize),
    /// Its sessions came late: see [`Engine::compare`].
    Compare(Late),
    /// The instance should be looked at first: see [`Engine::again`].
    Ask,
    /// Nothing.
    Ignore,
}

/// How the kernel spells the instance's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// No batch has told yet.
    Unknown,
    /// In another case than the file.
    Adopted,
    /// As the file does.
    Exact,
}

type Acknowledgements = Repeated<{ pace::MOST }>;

/// What is known of Jool's kernel module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    /// Nothing yet.
    Unknown,
    /// It is not loaded.
    Missing,
    /// It is, and the address has its family.
    Loaded,
}

/// The state of one synchronized instance.
#[derive(Debug)]
pub struct Engine {
    /// The instance as the file spells it.
    configured: InstanceName,
    spelling: Spelling,
    address: Address,
    acknowledgements: Acknowledgements,
    pace: Pace,
    /// Whether the receive buffer holds the headers that `address` makes.
    prepared: bool,
    module: Module,
    /// Whether the kernel hinted that the module is not what it was.
    doubts_module: bool,
    /// The module's version, as the system or its last batch told it.
    version: Option<Version>,
    /// Whether a batch of this module came.
    heard: bool,
    watch: Watch,
    flush: Flush,
    refreshes: Option<Refreshes>,
    room: Room,
    packets: Packets,
    /// Whether what is held is due at once.
    releases_all: bool,
    /// The other nodes, if anything is asked of them.
    sync: Option<Sync>,
    /// Whose datagrams are taken.
    allowed: AllowList,
    /// What the refreshes' milliseconds count from.
    start: Instant,
    counters: Counters,
    journal: Journal,
    /// What the operator knows of the standing.
    told_standing: Standing,
    standings: Budget,
    /// The same of lines about other nodes.
    group_lines: Budget,
}

impl Engine {
    /// Serves `instance`, once its module is found, and hands on every update. `now` is the start
    /// of its time.
    pub fn new(instance: InstanceName, now: Instant) -> Self {
        let address = Address {
            family: netlink::ERROR,
            version: Version::SUPPORTED,
            instance,
        };
        Self {
            configured: instance,
            spelling: Spelling::Unknown,
            address,
            acknowledgements: Repeated::new(&address, Command::JooldAck),
            pace: Pace::new(),
            prepared: false,
            module: Module::Unknown,
            doubts_module: false,
            version: None,
            heard: false,
            watch: Watch::new(Values::default()),
            flush: Flush::default(),
            refreshes: None,
            room: Room::default(),
            packets: Packets::default(),
            releases_all: false,
            sync: None,
            allowed: AllowList::EVERYBODY,
            start: now,
            counters: Counters::default(),
            journal: Journal::new(),
            told_standing: Standing::WithoutKernel,
            standings: standing::budget(now),
            group_lines: standing::budget(now),
        }
    }

    /// Merges mere refreshes. `seed` should be hard to guess, or clients of the NAT64 could choose
    /// sessions that make this slow.
    #[must_use]
    pub fn merging_refreshes(mut self, limits: Limits, seed: u64) -> Self {
        self.refreshes = Some(Refreshes::new(limits, seed));
        self
    }

    /// Takes datagrams from these sources alone from here on. At first they come from everybody.
    pub fn allow(&mut self, sources: AllowList) {
        self.allowed = sources;
    }

    /// Gives the instance these globals whenever it appears.
    #[must_use]
    pub fn configuring(mut self, wanted: Values) -> Self {
        self.watch = Watch::new(wanted);
        self
    }

    /// Serves `instance` from here on, and gives it these globals; whatever is as it was goes on.
    pub fn reconfigure(&mut self, now: Instant, instance: InstanceName, wanted: Values) {
        if self.configured == instance {
            self.watch.want(now, wanted);
            return;
        }
        self.configured = instance;
        self.spelling = Spelling::Unknown;
        self.address.instance = instance;
        self.heard = false;
        self.pace.rest();
        self.flush.end();
        self.watch = Watch::new(wanted);
        if self.has_module() && !self.is_foreign() {
            self.watch.begin(now);
        }
        self.readdress();
    }

    /// Merges refreshes within other limits from here on, or not at all. What is held by now should
    /// have been written: see [`Engine::write_held`].
    pub fn remerge(&mut self, now: Instant, limits: Option<Limits>, seed: u64) {
        if self.refreshes.as_ref().map(Refreshes::limits) == limits {
            return;
        }
        self.give_up_held(now);
        let (merged, restated) = (self.counters.merged, self.counters.restated);
        self.refreshes =
            limits.map(|limits| Refreshes::new(limits, seed).having_merged(merged, restated));
        self.counters.held = 0;
    }

    /// What passed and what did not.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn time(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }

    /// Whether the module keeps what the packet that leaves next has no room for.
    fn has_queue(&self) -> bool {
        self.address.version >= Version::QUEUE
    }

    /// How the module writes sessions.
    pub fn format(&self) -> Format {
        Format::of(self.address.version)
    }

    /// What would have failed for `reason` has worked.
    pub fn succeeded(&mut self, reason: Reason) {
        self.journal.success(reason);
    }

    /// A system call failed, and `reason` is what that means.
    pub fn failed(&mut self, now: Instant, reason: Reason, error: &io::Error) {
        self.lose(now, reason, || words(error));
    }

    /// Counts, and tells unless it was told often enough.
    pub fn lose(&mut self, now: Instant, reason: Reason, detail: impl FnOnce() -> String) {
        self.lose_several(now, reason, 1, detail);
    }

    /// Counts that many at once, as one trouble to tell.
    pub fn lose_several(
        &mut self,
        now: Instant,
        reason: Reason,
        times: u64,
        detail: impl FnOnce() -> String,
    ) {
        self.counters.lose(reason, times);
        self.journal.trouble(now, reason, times, detail);
        self.owe_table(now, reason);
    }

    /// The next thing that an operator should know.
    pub fn next_event(&mut self) -> Option<Event> {
        self.journal.pop().or_else(|| self.standing_event())
    }

    /// When [`Engine::elapse`] should be called, whatever else happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.journal.deadline()
    }

    /// Time has passed.
    pub fn elapse(&mut self, now: Instant) {
        self.journal.elapse(now);
        self.follow_sync(now);
    }
}

/// The kernel's words and number for an error.
pub(crate) fn quoted(code: i32, text: &[u8]) -> String {
    format!("\"{}\" (error {code})", printable(text))
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
