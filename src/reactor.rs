//! The one loop: waits for the sockets, moves bytes between them and the engine.
//!
//! mio reports readiness once, when it changes. So each source is served until it has nothing
//! left, or until its budget is spent; then it is remembered as ready, and the others come first.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use crate::controller::{Controller, Found};
use crate::engine::{Engine, FromKernel, FromNetwork, Piece, Reason};
use crate::failure::Failure;
use crate::logging;
use crate::modsocket::ModSocket;
use crate::netsocket::{NetSocket, SLOTS};
use crate::outbox::Outbox;
use crate::report;
use crate::statsocket::StatSocket;

/// How many batches the kernel may bring before the others get their turn.
const KERNEL_BUDGET: usize = 32;

/// How many messages of any kind the kernel may bring before the others get their turn: its errors
/// share the socket with its batches, and all datagrams of a turn may end in one.
const KERNEL_MESSAGES: usize = KERNEL_BUDGET + 2 * NETWORK_BUDGET * SLOTS;

/// How many times all slots may be filled by the network before the others get their turn. That
/// is more than the kernel's budget: what the kernel has can wait in its queue, what the network
/// has is lost if it waits for too long.
const NETWORK_BUDGET: usize = 4;

/// After how many errors in a turn a source is left alone until it has something new.
const PATIENCE: usize = 4;

/// How many stats requests are answered before the others get their turn.
const STATS_BUDGET: usize = 32;

/// How often the module is looked for while it is not there. Its coming is heard of; this is for the
/// day when that gets lost.
const SEARCH: Duration = Duration::from_secs(5);

/// How long a daemon that is to stop waits for room in the network. Whoever stops it waits as well.
const FAREWELL: Duration = Duration::from_millis(60);

/// What the reactor polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Controller,
    Kernel,
    Network,
    Stats,
    Signals,
}

/// A polled source, and whether something may be left in it.
#[derive(Clone, Copy, Debug)]
struct Polled {
    source: Source,
    ready: bool,
}

/// How serving a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// It has nothing left; the poll will tell when that changes.
    Dry,
    /// Its budget is spent.
    Remaining,
}

/// What came from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// A batch.
    Batch,
    /// Something that is for the engine alone.
    Other,
    /// The socket failed.
    Trouble,
    /// Nothing is left.
    Nothing,
    /// The network has no room, so that nothing was received.
    NoRoom,
}

/// The sockets, the engine, and the loop around them.
pub struct Reactor {
    poll: Poll,
    sources: Slab<Polled>,
    engine: Engine,
    controller: Controller,
    modsocket: ModSocket,
    netsocket: NetSocket,
    statsocket: Option<StatSocket>,
    signals: Signals,
    outbox: Outbox,
    /// Whether the outbox waits for room in the network. Until then nothing is received from the
    /// kernel, nor acknowledged: its queue is the buffer.
    blocked: bool,
    /// Whether the network was reported to have room since it had none.
    writable: bool,
    /// When the module is looked for again, if it is missing.
    search: Option<Instant>,
    stopped_by: Option<&'static str>,
}

impl Reactor {
    /// Registers everything.
    ///
    /// # Errors
    /// Those of epoll(7) and sigaction(2).
    pub fn new(
        engine: Engine,
        controller: Controller,
        modsocket: ModSocket,
        netsocket: NetSocket,
        statsocket: Option<StatSocket>,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::system("cannot set up the event loop", &error);
        let outbox = Outbox::new(netsocket.payload());
        let mut reactor = Self {
            poll: Poll::new().map_err(failed)?,
            sources: Slab::with_capacity(5),
            engine,
            controller,
            modsocket,
            netsocket,
            statsocket,
            signals: Signals::new([SIGTERM, SIGINT, SIGUSR1]).map_err(failed)?,
            outbox,
            blocked: false,
            writable: false,
            search: None,
            stopped_by: None,
        };
        reactor.register().map_err(failed)?;
        Ok(reactor)
    }

    fn register(&mut self) -> io::Result<()> {
        // What arrived before the registration is not reported: everything starts as ready.
        let registry = self.poll.registry();
        let sources = &mut self.sources;
        let mut token = |source| {
            Token(sources.insert(Polled {
                source,
                ready: true,
            }))
        };
        let read = Interest::READABLE;
        // First, so that a batch of a module that has just come finds the engine prepared.
        let news = self.controller.as_raw_fd();
        registry.register(&mut SourceFd(&news), token(Source::Controller), read)?;
        let kernel = self.modsocket.as_raw_fd();
        registry.register(&mut SourceFd(&kernel), token(Source::Kernel), read)?;
        registry.register(&mut self.netsocket.socket, token(Source::Network), read)?;
        if let Some(statsocket) = &mut self.statsocket {
            registry.register(&mut statsocket.socket, token(Source::Stats), read)?;
        }
        registry.register(&mut self.signals, token(Source::Signals), read)
    }

    /// Runs until a signal ends it.
    ///
    /// # Errors
    /// When the poll itself fails.
    pub fn run(&mut self) -> Result<(), Failure> {
        log::info!("all sockets are open");
        self.look_for_module(Instant::now());
        self.tell();
        let mut events = Events::with_capacity(self.sources.len());
        while self.stopped_by.is_none() {
            self.wait(&mut events)?;
            let now = Instant::now();
            self.engine.elapse(now);
            self.collect_due(now);
            if self.engine.doubts_module() || self.search.is_some_and(|due| due <= now) {
                self.look_for_module(now);
            }
            for key in 0..self.sources.capacity() {
                self.serve(key, now);
            }
            self.send(now);
            self.tell();
        }
        self.finish(&mut events);
        log::info!(
            "stopping on {}: {}",
            self.stopped_by.unwrap_or_default(),
            self.engine.counters()
        );
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> Result<(), Failure> {
        let remaining = self.sources.iter().any(|(_, polled)| polled.ready);
        let timeout = match remaining {
            true => Some(Duration::ZERO),
            false => self
                .deadline()
                .map(|deadline| deadline.saturating_duration_since(Instant::now())),
        };
        self.poll(events, timeout)
            .map_err(|error| Failure::system("cannot wait for events", &error))
    }

    /// Waits, and remembers what is ready.
    fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Ok(()) => (),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in events.iter() {
            if let Some(polled) = self.sources.get_mut(event.token().0) {
                polled.ready = true;
                self.writable |= polled.source == Source::Network && event.is_writable();
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        // What is due cannot go before there is room for it.
        let due = self.engine.due().filter(|_| !self.blocked);
        let deadlines = [self.engine.deadline(), due, self.search];
        deadlines.into_iter().flatten().min()
    }

    fn serve(&mut self, key: usize, now: Instant) {
        let Some(&Polled {
            source,
            ready: true,
        }) = self.sources.get(key)
        else {
            return;
        };
        let served = match source {
            Source::Controller => self.serve_controller(now),
            Source::Kernel => self.serve_kernel(now),
            Source::Network => self.serve_network(now),
            Source::Stats => self.serve_stats(now),
            Source::Signals => self.serve_signals(),
        };
        self.sources[key].ready = served == Served::Remaining;
    }

    fn serve_controller(&mut self, now: Instant) -> Served {
        if self.controller.has_news() {
            // What an old module said last would be none of a new one's words.
            self.serve_kernel(now);
            self.look_for_module(now);
        }
        Served::Dry
    }

    /// Finds out which module there is, if any, and hears that one.
    fn look_for_module(&mut self, now: Instant) {
        self.search = None;
        let heard = self.controller.find().and_then(|found| match found {
            Found::Family(family) => self.modsocket.hear(Some(family.group)).map(|()| found),
            Found::Nothing | Found::Stranger => self.modsocket.hear(None).map(|()| found),
        });
        match heard {
            Ok(Found::Family(family)) => {
                self.engine.succeeded(Reason::ControllerFailed);
                self.engine.succeeded(Reason::StrangeModule);
                if self.engine.module_found(family.id) {
                    // Whoever served this instance before may have died without acknowledging its
                    // last batch.
                    self.acknowledge(now);
                }
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

    /// Receives and acknowledges what the kernel has, and sends it all together. The kernel's
    /// next batch, if there is one, is in the socket when the acknowledgement returns.
    fn serve_kernel(&mut self, now: Instant) -> Served {
        let (mut batches, mut failures) = (0, 0);
        for _ in 0..KERNEL_MESSAGES {
            match self.receive_from_kernel(now) {
                Heard::Batch => batches += 1,
                Heard::Other => (),
                Heard::Trouble => failures += 1,
                Heard::NoRoom => return Served::Dry,
                Heard::Nothing if self.engine.owes_acknowledgement() => {
                    self.count_overrun(now);
                    failures += usize::from(!self.acknowledge(now));
                }
                Heard::Nothing => {
                    self.engine.rest();
                    self.send(now);
                    return Served::Dry;
                }
            }
            if self.engine.is_fulfilled() {
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

    /// Receives one message into the outbox, which is sent first if it is full.
    fn receive_from_kernel(&mut self, now: Instant) -> Heard {
        if self.outbox.room().is_none() {
            self.send(now);
        }
        let Some(room) = self.outbox.room().filter(|_| !self.blocked) else {
            return Heard::NoRoom;
        };
        match self.modsocket.receive(room) {
            Ok(receipt) if receipt.truncated => {
                self.engine.truncated(now, receipt.length);
                Heard::Batch
            }
            Ok(receipt) => {
                self.engine.succeeded(Reason::KernelReceive);
                let message = &mut room[..receipt.length];
                match self.engine.on_kernel(now, receipt.port, message) {
                    FromKernel::Forward(piece) => {
                        self.outbox.keep(&piece);
                        Heard::Batch
                    }
                    FromKernel::Ignore => Heard::Other,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.engine.overrun();
                let lost = self.modsocket.lost().max(1);
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
            let lost = self.modsocket.lost();
            self.lose_from_kernel(now, lost);
        }
    }

    fn lose_from_kernel(&mut self, now: Instant, lost: u32) {
        if lost > 0 {
            let detail = || format!("{lost} of them");
            self.engine
                .lose_several(now, Reason::KernelOverrun, lost.into(), detail);
        }
    }

    /// Puts updates that were held until now into the outbox.
    fn collect_due(&mut self, now: Instant) {
        if self.engine.due().is_some_and(|due| due <= now) {
            self.collect(now, Engine::write_due);
        }
    }

    /// Puts all that `write` has into the outbox, unless the network has no room.
    fn collect(
        &mut self,
        now: Instant,
        write: fn(&mut Engine, Instant, &mut [u8], usize) -> usize,
    ) {
        while !self.blocked {
            let payload = self.outbox.payload();
            let Some(room) = self.outbox.room() else {
                self.send(now);
                continue;
            };
            let length = write(&mut self.engine, now, room, payload);
            if length == 0 {
                return;
            }
            self.outbox.keep(&Piece {
                range: 0..length,
                joinable: true,
            });
        }
    }

    /// Sends what the kernel gave already, what is held and what waits, as far as the network has
    /// room for it soon. The rest is counted.
    fn finish(&mut self, events: &mut Events) {
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
        self.count_overrun(now);
        loop {
            self.collect(now, Engine::write_held);
            self.send(now);
            if !(self.blocked && self.make_room(events, end)) {
                break;
            }
        }
        self.engine.give_up_held(now);
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
        while self.outbox.take().is_some() {
            self.engine.lose(now, Reason::NotSent, || {
                "joold was stopped while the network had no room".to_owned()
            });
        }
    }

    /// Logs what happened.
    fn tell(&mut self) {
        while let Some(event) = self.engine.next_event() {
            report::log(&event);
        }
    }

    /// Sends what is in the outbox, as far as the network has room for it.
    fn send(&mut self, now: Instant) {
        while !self.blocked && !self.outbox.is_empty() {
            match self.netsocket.send(&self.outbox) {
                Ok(count) => {
                    for _ in 0..count {
                        let length = self.outbox.take().unwrap_or_default();
                        log::debug!("sent {length} bytes of sessions to the network");
                        self.engine.sent(length);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.block(now),
                Err(error) => self.give_up_one(now, &error),
            }
        }
    }

    fn give_up_one(&mut self, now: Instant, error: &io::Error) {
        self.outbox.take();
        self.engine.failed(now, Reason::NotSent, error);
    }

    fn block(&mut self, now: Instant) {
        match self.watch_network(Interest::READABLE | Interest::WRITABLE) {
            Ok(()) => {
                self.engine.waits();
                (self.blocked, self.writable) = (true, false);
            }
            Err(error) => self.give_up_one(now, &error),
        }
    }

    /// The network may have room again: go on with what waits, and with the kernel's batches.
    fn resume(&mut self, now: Instant) {
        if !(self.blocked && self.writable) {
            return;
        }
        (self.blocked, self.writable) = (false, false);
        self.send(now);
        if self.blocked {
            return;
        }
        // Room is of no interest from here on, and each report of it would cost a wake-up. Should
        // this fail, it does no more harm than that.
        let _ = self.watch_network(Interest::READABLE);
        for (_, polled) in &mut self.sources {
            polled.ready |= polled.source == Source::Kernel;
        }
    }

    fn watch_network(&mut self, interest: Interest) -> io::Result<()> {
        let found = self
            .sources
            .iter()
            .find(|(_, polled)| polled.source == Source::Network);
        let Some((key, _)) = found else {
            return Ok(());
        };
        self.poll
            .registry()
            .reregister(&mut self.netsocket.socket, Token(key), interest)
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

    fn serve_network(&mut self, now: Instant) -> Served {
        self.resume(now);
        if self.engine.needs_preparation() {
            for slot in self.netsocket.slots() {
                self.engine.prepare(slot);
            }
        }
        let mut failures = 0;
        for _ in 0..NETWORK_BUDGET {
            let count = match self.netsocket.receive() {
                Ok(count) => {
                    self.engine.succeeded(Reason::NetworkReceive);
                    count
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => {
                    self.engine.failed(now, Reason::NetworkReceive, &error);
                    failures += 1;
                    if failures >= PATIENCE {
                        return Served::Dry;
                    }
                    continue;
                }
            };
            self.add(now, count);
            self.count_lost(now, count);
            if count < SLOTS {
                return Served::Dry;
            }
        }
        Served::Remaining
    }

    /// Has the kernel add the sessions of the first `count` datagrams.
    fn add(&mut self, now: Instant, count: usize) {
        let mut lengths = [0; SLOTS];
        for (n, length) in lengths.iter_mut().enumerate().take(count) {
            let Some((slot, arrival)) = self.netsocket.slot(n) else {
                continue;
            };
            if arrival.truncated {
                self.engine.oversized(now, arrival.source);
            } else if let FromNetwork::Add(total) =
                self.engine
                    .on_datagram(now, arrival.source, slot, arrival.length)
            {
                *length = total;
            }
        }
        let requests = lengths
            .iter()
            .enumerate()
            .filter(|(_, length)| **length > 0);
        let requests = requests.map(|(n, &length)| &self.netsocket.contents(n)[..length]);
        let mut vectors = [IoSlice::new(&[]); SLOTS];
        let mut used = 0;
        for (vector, request) in vectors.iter_mut().zip(requests) {
            *vector = IoSlice::new(request);
            used += 1;
        }
        self.modsocket
            .send_all(&vectors[..used], |result| match result {
                Ok(()) => self.engine.succeeded(Reason::AddNotSent),
                Err(error) => self.engine.failed(now, Reason::AddNotSent, &error),
            });
    }

    /// Counts what the network socket had to drop.
    fn count_lost(&mut self, now: Instant, received: usize) {
        let lost = u64::from(self.netsocket.lost(received));
        if lost > 0 {
            let detail = || format!("{lost} of them");
            self.engine
                .lose_several(now, Reason::NetworkOverrun, lost, detail);
        }
    }

    fn serve_stats(&mut self, now: Instant) -> Served {
        let Some(statsocket) = &self.statsocket else {
            return Served::Dry;
        };
        for _ in 0..STATS_BUDGET {
            match statsocket.answer(self.engine.counters()) {
                Ok(()) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Served::Dry,
                Err(error) => self.engine.failed(now, Reason::StatsFailed, &error),
            }
        }
        Served::Remaining
    }

    fn serve_signals(&mut self) -> Served {
        for signal in self.signals.pending() {
            match signal {
                SIGUSR1 => {
                    log::info!(target: logging::ANSWER, "counters: {}", self.engine.counters());
                }
                SIGINT => self.stopped_by = Some("SIGINT"),
                _ => self.stopped_by = Some("SIGTERM"),
            }
        }
        Served::Dry
    }
}
