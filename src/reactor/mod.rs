//! The one loop: waits for the sockets, moves bytes between them and the engine.
//!
//! mio reports readiness once, when it changes. So each source is served until it has nothing
//! left, or until its budget is spent; then it is remembered as ready, and the others come first.

mod advertise;
mod control;
mod followers;
mod herald;
mod kernel;
mod links;
mod network;
mod reload;
mod statistics;
mod stop;
mod tables;

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use crate::controller::Controller;
use crate::ctlsocket::CtlSocket;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::logging;
use crate::manager::Manager;
use crate::modsocket::ModSocket;
use crate::netsocket::{NetSocket, SLOTS, SURELY_CARRIED};
use crate::outbox::Outbox;
use crate::report;
use crate::statsocket::StatSocket;
use crate::watcher::Watcher;
use control::{CLIENTS, Control};
use followers::{FOLLOWERS, Followers};
use herald::Herald;
use links::Links;
pub use reload::{Running, seed};

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

/// How many sources there are besides the clients and the followers of the control socket.
const FIXED: usize = 7;

/// What the reactor polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Controller,
    Kernel,
    Network,
    Interfaces,
    Stats,
    Control,
    /// One who is connected to the control socket, by its number there.
    Client(usize),
    /// One who follows there, likewise.
    Follower(usize),
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

/// What the daemon hears and asks the kernel by, and is asked by.
pub struct Sockets {
    /// Jool's family.
    pub controller: Controller,
    /// The instance's configuration.
    pub instance: Instance,
    /// The instance's batches.
    pub modsocket: ModSocket,
    /// Changes of the interfaces.
    pub watcher: Watcher,
    /// Requests for the counters, if they are wanted.
    pub statsocket: Option<StatSocket>,
    /// Those who ask how it stands, if there is a place for it.
    pub ctlsocket: Option<CtlSocket>,
    /// Who is told how it stands without asking, if anybody wants to know.
    pub manager: Option<Manager>,
}

/// The sockets, the engine, and the loop around them.
pub struct Reactor {
    poll: Poll,
    sources: Slab<Polled>,
    running: Running,
    engine: Engine,
    controller: Controller,
    instance: Instance,
    modsocket: ModSocket,
    netsocket: NetSocket,
    links: Links,
    statsocket: Option<StatSocket>,
    control: Control,
    followers: Followers,
    herald: Herald,
    signals: Signals,
    outbox: Outbox,
    /// Whether the outbox waits for room in the network. Until then nothing is received from the
    /// kernel, nor acknowledged: its queue is the buffer.
    blocked: bool,
    /// Whether the kernel waits for another router to follow.
    held_back: bool,
    /// Whether the network was reported to have room since it had none.
    writable: bool,
    /// When the module is looked for again, if it is missing.
    search: Option<Instant>,
    stopped_by: Option<&'static str>,
}

impl Reactor {
    /// Registers everything but the socket to the peers: see [`Reactor::open_network`].
    ///
    /// # Errors
    /// Those of epoll(7) and sigaction(2).
    pub fn new(running: Running, engine: Engine, sockets: Sockets) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::system("cannot set up the event loop", &error);
        let mut reactor = Self {
            poll: Poll::new().map_err(failed)?,
            sources: Slab::with_capacity(FIXED + CLIENTS + FOLLOWERS),
            running,
            engine,
            controller: sockets.controller,
            instance: sockets.instance,
            modsocket: sockets.modsocket,
            netsocket: NetSocket::new(),
            links: Links::new(sockets.watcher),
            statsocket: sockets.statsocket,
            control: Control::new(sockets.ctlsocket),
            followers: Followers::new(),
            herald: Herald::new(sockets.manager),
            signals: Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP]).map_err(failed)?,
            outbox: Outbox::new(SURELY_CARRIED),
            blocked: false,
            held_back: false,
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
        // Registered when there is a socket.
        token(Source::Network);
        let links = self.links.watcher.as_raw_fd();
        registry.register(&mut SourceFd(&links), token(Source::Interfaces), read)?;
        if let Some(statsocket) = &mut self.statsocket {
            registry.register(&mut statsocket.socket, token(Source::Stats), read)?;
        }
        let control = token(Source::Control);
        if let Some(ctlsocket) = &mut self.control.socket {
            registry.register(&mut ctlsocket.socket, control, read)?;
        }
        registry.register(&mut self.signals, token(Source::Signals), read)
    }

    /// Runs until a signal ends it.
    ///
    /// # Errors
    /// When the poll itself fails.
    pub fn run(&mut self) -> Result<(), Failure> {
        if self.netsocket.member().is_some() {
            log::info!("all sockets are open");
        }
        let start = Instant::now();
        self.look_for_module(start);
        self.tell();
        // Whatever is missing yet may stay so for long: nobody else has to wait for it.
        self.proclaim(start);
        let mut events = Events::with_capacity(self.sources.capacity());
        while self.stopped_by.is_none() {
            self.wait(&mut events)?;
            let now = Instant::now();
            self.engine.elapse(now);
            logging::elapse(now);
            self.collect_due(now);
            self.follow_interfaces(now);
            if self.engine.doubts_module() || self.search.is_some_and(|due| due <= now) {
                self.look_for_module(now);
            }
            self.look_at_instance(now);
            // With what the look found: a table that is given should not be a new instance's.
            self.collect_messages(now);
            self.go_on(now);
            self.flush_kernel(now);
            self.dismiss_due(now);
            for key in 0..self.sources.capacity() {
                self.serve(key, now);
            }
            self.send(now);
            self.tell_followers(now);
            self.tell();
            self.keep_told(now);
        }
        self.take_leave();
        self.finish(&mut events);
        log::info!(
            "stopping on {}: {}{}",
            self.stopped_by.unwrap_or_default(),
            self.engine.counters(),
            logging::lost()
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
        let flush = self.engine.flush_due();
        let flush = flush.filter(|_| !self.blocked && !self.held_back);
        let message = self.engine.message_due().filter(|_| !self.blocked);
        let deadlines = [
            self.engine.deadline(),
            self.engine.look_due(),
            self.links.due,
            self.search,
            self.control.due(),
            self.herald.due(),
            logging::deadline(),
            due,
            flush,
            message,
        ];
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
            Source::Interfaces => self.serve_watcher(now),
            Source::Stats => self.serve_stats(now),
            Source::Control => self.serve_control(now),
            Source::Client(number) => self.serve_client(now, number),
            Source::Follower(number) => self.serve_follower(number),
            Source::Signals => self.serve_signals(now),
        };
        // A client that was served may have gone.
        if let Some(polled) = self.sources.get_mut(key) {
            polled.ready = served == Served::Remaining;
        }
    }

    /// Logs what happened.
    fn tell(&mut self) {
        while let Some(event) = self.engine.next_event() {
            report::log(&event);
        }
    }

    /// Counts what both sockets dropped and what is not counted yet: the counters are to be exact now.
    fn count_lost(&mut self, now: Instant) {
        self.count_lost_from_kernel(now);
        self.count_lost_from_network(now);
    }

    fn serve_signals(&mut self, now: Instant) -> Served {
        // Several of a kind at once are one.
        let signals: Vec<_> = self.signals.pending().collect();
        for signal in signals {
            match signal {
                // It is in the log.
                SIGHUP => drop(self.reload(now)),
                SIGUSR1 => {
                    self.count_lost(now);
                    let (counters, lost) = (self.engine.counters(), logging::lost());
                    log::info!(target: logging::ANSWER, "counters: {counters}{lost}");
                }
                SIGINT => self.stopped_by = Some("SIGINT"),
                _ => self.stopped_by = Some("SIGTERM"),
            }
        }
        Served::Dry
    }
}
