//! The one loop: waits for the sockets, moves bytes between them and the engine.
//!
//! mio reports readiness once, when it changes. So each source is served until it has nothing
//! left, or until its budget is spent; then it is remembered as ready, and the others come first.

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use crate::engine::{Engine, FromKernel, FromNetwork, Reason};
use crate::failure::Failure;
use crate::modsocket::ModSocket;
use crate::netsocket::NetSocket;
use crate::report;
use crate::statsocket::StatSocket;

/// How many messages a source may bring before the others get their turn.
const BUDGET: usize = 64;

/// What the reactor polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
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

/// The sockets, the engine, and the loop around them.
pub struct Reactor {
    poll: Poll,
    sources: Slab<Polled>,
    engine: Engine,
    modsocket: ModSocket,
    netsocket: NetSocket,
    statsocket: Option<StatSocket>,
    signals: Signals,
    /// The bytes of the modsocket's buffer that wait for room in the netsocket. While they wait,
    /// nothing is received from the kernel, nor acknowledged: its queue is the buffer.
    waiting: Option<Range<usize>>,
    stopped_by: Option<&'static str>,
}

impl Reactor {
    /// Registers everything.
    ///
    /// # Errors
    /// Those of epoll(7) and sigaction(2).
    pub fn new(
        engine: Engine,
        modsocket: ModSocket,
        netsocket: NetSocket,
        statsocket: Option<StatSocket>,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::system("cannot set up the event loop", &error);
        let mut reactor = Self {
            poll: Poll::new().map_err(failed)?,
            sources: Slab::with_capacity(4),
            engine,
            modsocket,
            netsocket,
            statsocket,
            signals: Signals::new([SIGTERM, SIGINT, SIGUSR1]).map_err(failed)?,
            waiting: None,
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
        // Whoever served this instance before may have died without acknowledging its last batch.
        self.acknowledge(Instant::now());
        let mut events = Events::with_capacity(self.sources.len());
        while self.stopped_by.is_none() {
            self.wait(&mut events)?;
            let now = Instant::now();
            self.engine.elapse(now);
            for key in 0..self.sources.capacity() {
                self.serve(key, now);
            }
            while let Some(event) = self.engine.next_event() {
                report::log(&event);
            }
        }
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
                .engine
                .deadline()
                .map(|deadline| deadline.saturating_duration_since(Instant::now())),
        };
        match self.poll.poll(events, timeout) {
            Ok(()) => (),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(Failure::system("cannot wait for events", &error)),
        }
        for event in events.iter() {
            if let Some(polled) = self.sources.get_mut(event.token().0) {
                polled.ready = true;
            }
        }
        Ok(())
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
            Source::Kernel => self.serve_kernel(now),
            Source::Network => self.serve_network(now),
            Source::Stats => self.serve_stats(now),
            Source::Signals => self.serve_signals(),
        };
        self.sources[key].ready = served == Served::Remaining;
    }

    fn serve_kernel(&mut self, now: Instant) -> Served {
        for _ in 0..BUDGET {
            if self.waiting.is_some() {
                return Served::Dry;
            }
            match self.modsocket.receive() {
                Ok(receipt) if receipt.truncated => {
                    let detail = || format!("more than {} bytes", receipt.length);
                    self.engine.lose(now, Reason::TruncatedMessage, detail);
                    self.acknowledge(now);
                }
                Ok(receipt) => {
                    let message = &self.modsocket.buffer()[..receipt.length];
                    match self.engine.on_kernel(now, receipt.port, message) {
                        FromKernel::Forward(datagram) => self.forward(now, datagram),
                        FromKernel::Ignore => (),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Served::Dry,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.engine.failed(now, Reason::KernelOverrun, &error);
                    // The lost batch may be the one that the kernel wants acknowledged.
                    self.acknowledge(now);
                }
                Err(error) => self.engine.failed(now, Reason::KernelReceive, &error),
            }
        }
        Served::Remaining
    }

    /// Sends `datagram`, of the modsocket's buffer, to the peers, and then acknowledges it.
    fn forward(&mut self, now: Instant, datagram: Range<usize>) {
        match self
            .netsocket
            .send(&self.modsocket.buffer()[datagram.clone()])
        {
            Ok(length) => {
                log::debug!("sent a batch of {length} bytes to the network");
                self.engine.sent(length);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wait_for_room(now, datagram);
                return;
            }
            Err(error) => self.engine.failed(now, Reason::NotSent, &error),
        }
        self.acknowledge(now);
    }

    fn wait_for_room(&mut self, now: Instant, datagram: Range<usize>) {
        match self.watch_network(Interest::READABLE | Interest::WRITABLE) {
            Ok(()) => {
                self.engine.waits();
                self.waiting = Some(datagram);
            }
            Err(error) => {
                self.engine.failed(now, Reason::NotSent, &error);
                self.acknowledge(now);
            }
        }
    }

    /// The network can take what waits: go on with it, and with the kernel's next batches.
    fn resume(&mut self, now: Instant) {
        let Some(datagram) = self.waiting.take() else {
            return;
        };
        self.forward(now, datagram);
        if self.waiting.is_some() {
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

    fn acknowledge(&mut self, now: Instant) {
        match self.modsocket.send(self.engine.acknowledgement()) {
            Ok(()) => self.engine.succeeded(Reason::AckNotSent),
            Err(error) => self.engine.failed(now, Reason::AckNotSent, &error),
        }
    }

    fn serve_network(&mut self, now: Instant) -> Served {
        self.resume(now);
        if self.engine.needs_preparation() {
            self.engine.prepare(self.netsocket.buffer());
        }
        for _ in 0..BUDGET {
            match self.netsocket.receive() {
                Ok((length, source)) => {
                    log::debug!("received {length} bytes of sessions from {source}");
                    let buffer = self.netsocket.buffer();
                    let verdict = self.engine.on_datagram(now, source, buffer, length);
                    if let FromNetwork::Add(total) = verdict {
                        match self.modsocket.send(&buffer[..total]) {
                            Ok(()) => self.engine.succeeded(Reason::AddNotSent),
                            Err(error) => self.engine.failed(now, Reason::AddNotSent, &error),
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Served::Dry,
                Err(error) => self.engine.failed(now, Reason::NetworkReceive, &error),
            }
        }
        Served::Remaining
    }

    fn serve_stats(&mut self, now: Instant) -> Served {
        let Some(statsocket) = &self.statsocket else {
            return Served::Dry;
        };
        for _ in 0..BUDGET {
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
                SIGUSR1 => log::info!("counters: {}", self.engine.counters()),
                SIGINT => self.stopped_by = Some("SIGINT"),
                _ => self.stopped_by = Some("SIGTERM"),
            }
        }
        Served::Dry
    }
}
