//! The middle of the daemon: decides what becomes of each message, and does nothing itself.
//!
//! It owns no socket and asks for no clock. Messages, in the buffers where they were received, and
//! the time go in; a verdict comes out, which the reactor carries out and reports back. What an
//! operator should know comes out as [`Event`]s, at a bounded rate.

mod allow;
mod counters;
mod flush;
mod journal;
mod pace;
mod reason;
mod refresh;
mod thin;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

pub use allow::{AllowList, Prefix};
pub use counters::{Counters, Traffic};
pub use journal::Event;
pub use reason::Reason;
pub use refresh::Limits;

use crate::failure::words;
use crate::sys::KERNEL;
use crate::wire::datagram::{self, Terms};
use crate::wire::globals::{Global, Values};
use crate::wire::instance::{Refusal, Snapshot};
use crate::wire::jool::{Command, InstanceName, Message, Translator, Version};
use crate::wire::request::{Add, Address, Repeated};
use crate::wire::session::Format;
use crate::wire::update::Update;
use crate::wire::{Malformed, netlink};
use flush::Flush;
use journal::Journal;
use pace::Pace;
use refresh::Refreshes;
use watch::Watch;

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
    /// Whose datagrams are taken.
    allowed: AllowList,
    /// What the refreshes' milliseconds count from.
    start: Instant,
    counters: Counters,
    journal: Journal,
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
            allowed: AllowList::EVERYBODY,
            start: now,
            counters: Counters::default(),
            journal: Journal::new(),
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
        if self.has_module() {
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
        let merged = self.counters.merged;
        self.refreshes = limits.map(|limits| Refreshes::new(limits, seed).having_merged(merged));
        self.counters.held = 0;
    }

    /// The module is there; `family` is the type of its messages, `version` its own if the system
    /// tells. If that is news, whatever was known of an earlier one is forgotten.
    pub fn module_found(&mut self, now: Instant, family: u16, version: Option<Version>) {
        self.doubts_module = false;
        if self.module == Module::Loaded && self.address.family == family {
            return;
        }
        self.module = Module::Loaded;
        self.version = None;
        self.heard = false;
        self.spelling = Spelling::Unknown;
        self.address.family = family;
        self.address.instance = self.configured;
        self.pace.rest();
        self.flush.end();
        self.watch.begin(now);
        self.journal.note(Event::ModuleLoaded(version));
        if let Some(version) = version.filter(|version| version.speaks_with(Version::SUPPORTED)) {
            self.adopt(now, version);
        }
        self.readdress();
    }

    /// The module is not loaded (any more).
    pub fn module_missing(&mut self) {
        self.doubts_module = false;
        match self.module {
            Module::Missing => return,
            Module::Unknown => self.journal.note(Event::ModuleMissing),
            Module::Loaded => self.journal.note(Event::ModuleUnloaded),
        }
        self.module = Module::Missing;
        self.pace.rest();
        self.flush.end();
        self.watch.end();
    }

    /// Whether there is a module to talk to.
    pub fn has_module(&self) -> bool {
        self.module == Module::Loaded
    }

    /// Whether the kernel answered as if the module were gone, or another one.
    pub fn doubts_module(&self) -> bool {
        self.doubts_module
    }

    /// Whom requests are for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// When the instance should be looked at.
    pub fn look_due(&self) -> Option<Instant> {
        self.watch.due()
    }

    /// Whether the instance should be asked for its pool4 as well.
    pub fn wants_pool4(&self) -> bool {
        self.watch.wants_pool4()
    }

    /// The instance was looked at. Returns which globals it should have instead, nothing if they
    /// are as they should be.
    pub fn instance_seen(&mut self, now: Instant, state: Snapshot) -> Vec<(Global, u32)> {
        self.journal.success(Reason::LookFailed);
        self.journal.success(Reason::NotPermitted);
        self.watch.seen(now, state, &mut self.journal)
    }

    /// It has those globals now.
    pub fn instance_changed(&mut self, changes: &[(Global, u32)]) {
        self.journal.success(Reason::SettingRefused);
        self.watch.changed(changes, &mut self.journal);
    }

    /// Whether the instance was found or configured since this was asked last, so that it is owed
    /// an acknowledgement: whoever served it before may have died without one.
    pub fn owes_first_acknowledgement(&mut self, now: Instant) -> bool {
        if !self.watch.take_fresh() {
            return false;
        }
        self.flush
            .begin(now, self.watch.get(Global::SsFlushDeadline));
        // A new instance is known by counting less than before: this one is seen to have counted
        // the acknowledgement.
        self.watch.look_again(now);
        self.watch.is_on()
    }

    /// The kernel refused to tell what the instance is like.
    pub fn look_refused(&mut self, now: Instant, refusal: &Refusal) {
        let words = || quoted(refusal.code, &refusal.text);
        self.flush.end();
        match refusal.code {
            libc::ESRCH => self.watch.missing(now, words, &mut self.journal),
            _ if !self.watch.refused(now, refusal.code) => (),
            libc::EPERM => self.lose(now, Reason::NotPermitted, words),
            _ => self.lose(now, Reason::LookFailed, words),
        }
    }

    /// The kernel refused to change the instance's globals.
    pub fn change_refused(&mut self, now: Instant, refusal: &Refusal) {
        self.lose(now, Reason::SettingRefused, || {
            quoted(refusal.code, &refusal.text)
        });
    }

    /// The instance could not be looked at, or not be changed.
    pub fn look_failed(&mut self, now: Instant, error: &io::Error) {
        self.watch.postpone(now);
        match error.raw_os_error() {
            Some(libc::ENOENT) => self.doubts_module = true,
            _ => self.failed(now, Reason::LookFailed, error),
        }
    }

    /// When one more acknowledgement should make the kernel look at its queue.
    pub fn flush_due(&self) -> Option<Instant> {
        self.flush.due()
    }

    /// The request that does.
    pub fn flush(&self) -> &[u8] {
        self.acknowledgements.bytes(1)
    }

    /// It was sent, or could not be.
    pub fn flushed(&mut self, now: Instant) {
        self.flush
            .done(now, self.watch.get(Global::SsFlushDeadline));
    }

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
        Piece {
            range: range.start..range.start + left.length,
            joinable: left.understood,
        }
    }

    /// Writes updates that were held until now to the start of `room`, and returns their length: 0
    /// when none is due any more. As many as fit into `payload` bytes, and one at least.
    pub fn write_due(&mut self, now: Instant, room: &mut [u8], payload: usize) -> usize {
        self.write(now, room, payload, Refreshes::next_due)
    }

    /// As [`Engine::write_due`], of updates that are held, due or not: there will be no later.
    pub fn write_held(&mut self, now: Instant, room: &mut [u8], payload: usize) -> usize {
        self.write(now, room, payload, Refreshes::next_held)
    }

    fn write(
        &mut self,
        now: Instant,
        room: &mut [u8],
        payload: usize,
        next: fn(&mut Refreshes, u64) -> Option<Update>,
    ) -> usize {
        let (time, format) = (self.time(now), self.format());
        let Some(refreshes) = &mut self.refreshes else {
            return 0;
        };
        let size = format.size();
        let places = (payload / size).max(1);
        let mut written = 0;
        for place in room.chunks_exact_mut(size).take(places) {
            let Some(update) = next(refreshes, time) else {
                break;
            };
            update.write(format, place);
            written += size;
        }
        self.counters.follow(refreshes);
        written
    }

    /// What is held cannot be sent any more.
    pub fn give_up_held(&mut self, now: Instant) {
        let held = self.counters.held;
        if held > 0 {
            self.lose_several(now, Reason::HeldNotSent, held, || {
                "the network has no room".to_owned()
            });
        }
    }

    /// When [`Engine::write_due`] has something to write.
    pub fn due(&self) -> Option<Instant> {
        let time = self.refreshes.as_ref()?.deadline()?;
        self.start.checked_add(Duration::from_millis(time))
    }

    fn time(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }

    /// How the module writes sessions.
    fn format(&self) -> Format {
        Format::of(self.address.version)
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
            let (theirs, ours) = (message.version(), self.address.version);
            self.lose(now, Reason::ForeignVersion, || {
                format!(
                    "the module is Jool {theirs}, this joold speaks {}.{}",
                    ours.major, ours.minor
                )
            });
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
        let range = container.range();
        Some(Message::HEADER + range.start..Message::HEADER + range.end)
    }

    /// Names compare without case, as upstream's daemon has it. The kernel's own comparison knows
    /// case, so there may be two instances that differ in nothing else: the one that is spelt as
    /// the file has it wins, and of others the first that spoke.
    fn is_ours(&self, field: &[u8]) -> bool {
        match self.spelling {
            Spelling::Unknown => self.configured.matches(field),
            Spelling::Adopted => {
                field.starts_with(self.address.instance.field())
                    || field.starts_with(self.configured.field())
            }
            Spelling::Exact => field.starts_with(self.configured.field()),
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

    /// The module has that version.
    fn adopt(&mut self, now: Instant, version: Version) {
        self.version = Some(version);
        if self.address.version == version {
            return;
        }
        let format = self.format();
        self.address.version = version;
        self.readdress();
        if self.format() != format {
            self.forget_refreshes(now);
        }
    }

    /// Another module writes sessions in another way, and has none of the old one's.
    fn forget_refreshes(&mut self, now: Instant) {
        let held = self.refreshes.as_mut().map_or(0, Refreshes::clear);
        if held > 0 {
            self.lose_several(now, Reason::OtherFormat, held as u64, || {
                format!("{held} of them")
            });
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

    fn readdress(&mut self) {
        self.acknowledgements = Repeated::new(&self.address, Command::JooldAck);
        self.prepared = false;
    }

    fn malformed(&mut self, now: Instant, error: Malformed) -> Option<Range<usize>> {
        self.lose(now, Reason::MalformedMessage, || error.to_string());
        None
    }

    /// The sequence number of a request is its command: see [`crate::wire::request`].
    fn refused(&mut self, now: Instant, sequence: u32, errno: i32, words: impl FnOnce() -> String) {
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
        if self.is_stranger(now, source) {
            return FromNetwork::Ignore;
        }
        if self.counters.net_received.packets == 0 {
            self.journal.note(Event::FirstDatagram(source));
        }
        self.counters.net_received.add(length);
        if !self.has_module() {
            // That the module is missing was told when that was news.
            self.counters.lose(Reason::ModuleMissing, 1);
            return FromNetwork::Ignore;
        }
        if length == 0 {
            self.lose(now, Reason::EmptyDatagram, || format!("from {source}"));
            return FromNetwork::Ignore;
        }
        let sessions = buffer
            .get_mut(Add::HEADROOM..Add::HEADROOM + length)
            .filter(|_| length <= Add::LONGEST)
            .map(|contents| {
                let terms = Terms {
                    format: self.version.map(Format::of),
                    longest: self.watch.longest_timeout(),
                    pool4: self.watch.pool4(),
                };
                datagram::admit(contents, &terms)
            });
        let admitted = match sessions {
            Some(Ok(admitted)) => admitted,
            Some(Err(refusal)) => return self.refuse(now, source, refusal),
            None => {
                self.too_long(now, source);
                return FromNetwork::Ignore;
            }
        };
        self.counters.converted += u64::from(admitted.converted);
        self.counters.shortened += admitted.shortened as u64;
        if admitted.outside > 0 {
            self.watch.doubt_pool4(now);
            self.lose_several(now, Reason::OutsidePool4, admitted.outside as u64, || {
                format!("{} of a datagram from {source}", admitted.outside)
            });
        }
        if admitted.length == 0 {
            return FromNetwork::Ignore;
        }
        match Add::finish(buffer, admitted.length) {
            Some(total) => FromNetwork::Add(total),
            None => {
                self.too_long(now, source);
                FromNetwork::Ignore
            }
        }
    }

    fn refuse(
        &mut self,
        now: Instant,
        source: SocketAddr,
        refusal: datagram::Refusal,
    ) -> FromNetwork {
        use datagram::Refusal;
        match refusal {
            Refusal::Framing(problem) => self.lose(now, Reason::MalformedDatagram, || {
                format!("it has {problem}; from {source}")
            }),
            Refusal::OtherFormat(_) => {
                self.lose(now, Reason::ForeignDatagram, || format!("from {source}"));
            }
            Refusal::Session { number, problem } => self.lose(now, Reason::BadSession, || {
                format!("session {}: {problem}; from {source}", number + 1)
            }),
            // A joold that says more than upstream's does.
            Refusal::NoSessions => self.counters.lose(Reason::NoSessions, 1),
        }
        FromNetwork::Ignore
    }

    /// Whether nothing of a datagram is looked at, for nobody allowed its source to send. It is not
    /// counted as received: that is for what comes from the other routers.
    fn is_stranger(&mut self, now: Instant, source: SocketAddr) -> bool {
        if self.allowed.admits(source.ip()) {
            return false;
        }
        self.lose(now, Reason::NotAllowed, || format!("from {source}"));
        true
    }

    /// A datagram came that was longer than its buffer.
    pub fn oversized(&mut self, now: Instant, source: SocketAddr) {
        if !self.is_stranger(now, source) {
            self.too_long(now, source);
        }
    }

    fn too_long(&mut self, now: Instant, source: SocketAddr) {
        self.lose(now, Reason::OversizedDatagram, || format!("from {source}"));
    }

    /// A message from the kernel was longer than there was room; it may have been a batch.
    pub fn truncated(&mut self, now: Instant, length: usize) {
        self.pace.came();
        self.lose(now, Reason::TruncatedMessage, || {
            format!("more than {length} bytes")
        });
    }

    /// A datagram of `length` bytes went out.
    pub fn sent(&mut self, length: usize) {
        self.counters.net_sent.add(length);
        self.journal.success(Reason::NotSent);
    }

    /// The network had no room for a datagram, which waits until it has.
    pub fn waits(&mut self) {
        self.counters.waits += 1;
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

    /// Counts, and says nothing: what that means was told when it began.
    pub fn count(&mut self, reason: Reason, times: u64) {
        self.counters.lose(reason, times);
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

/// The kernel's words and number for an error.
fn quoted(code: i32, text: &[u8]) -> String {
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
