//! What the reactor does with the engine, without sockets; and what has to hold after each step.

mod looks;
mod network;

use std::io;
use std::time::{Duration, Instant};

use joold::engine::{Counters, Engine, Event, FromKernel, Limits, Piece, Reason};
use joold::outbox::{Kind, Taken};
use joold::wire::globals::Values;
use joold::wire::jool::{InstanceName, Version};
use joold::wire::netlink;
use joold::wire::request::Add;
use joold::wire::session::Format;
use joold::wire::update::Update;

use super::instance::Instance;
use super::known::Known;
use super::material;
use super::peers::Peers;
use crate::is_one_line;
use crate::kernel::{check_acknowledgements, check_event, container, is_harmless, lost};
use crate::script::Script;

/// How many bytes of sessions the reactor sends at a time.
const PAYLOAD: usize = 1452;

/// How many lines a reason may get in a period of the journal, and how long that is.
const LINES: u64 = 5;
const PERIOD: u64 = 10_000;

/// How many lines the looks at an instance may have: it was found, some globals were changed, others
/// are not there, and it is served.
const LINES_OF_A_LOOK: usize = 16;

/// How often the kernel's queue is flushed after a batch.
const FLUSHES: u32 = 2;

/// The engine, and what is known about it from outside.
pub struct World {
    engine: Engine,
    start: Instant,
    /// Milliseconds since the start.
    now: u64,
    /// Where datagrams are received.
    slot: Vec<u8>,
    /// Where held updates are written.
    room: Vec<u8>,
    peers: Peers,
    merging: Option<Limits>,
    /// Whom the network file lets send: the number of a list.
    list: usize,
    name: InstanceName,
    instance: Instance,
    known: Known,
    /// How many flushes are still due.
    flushes: u32,
    family: u16,
    /// How the module writes sessions: as its last batch did.
    format: Format,
    /// The module's version, as the system or its last batch told.
    version: Option<Version>,
    /// Whether the network has no room.
    blocked: bool,
    /// How many updates did not pass with their batch, and how many of them were written later.
    withheld: u64,
    written: u64,
    /// How many of the others were given up when the limits changed.
    given_up: u64,
    before: Counters,
    lines: [u64; Reason::ALL.len()],
}

impl World {
    /// As the script has it.
    pub fn new(script: &mut Script<'_>) -> Option<Self> {
        let limits = limits(script)?;
        let start = Instant::now();
        let mut engine = Engine::new(InstanceName::DEFAULT, start);
        if let Some(limits) = limits {
            engine = engine.merging_refreshes(limits, 0);
        }
        Some(Self {
            before: engine.counters().clone(),
            engine,
            start,
            now: 0,
            slot: vec![0; netlink::aligned(Add::HEADROOM + network::LONGEST)],
            room: vec![0; 8 * 1024],
            peers: Peers::new(limits),
            merging: limits,
            list: 0,
            name: InstanceName::DEFAULT,
            instance: Instance::new(),
            known: Known::new(Values::default()),
            flushes: 0,
            family: 0,
            format: Format::of(Version::SUPPORTED),
            version: None,
            blocked: false,
            withheld: 0,
            written: 0,
            given_up: 0,
            lines: [0; Reason::ALL.len()],
        })
    }

    fn time(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    /// One thing happens. Nothing at the script's end.
    pub fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        match script.byte()? % 20 {
            0..=2 => {
                let message = material::batch(script, self.family)?;
                self.hear(0, &message);
            }
            3 => {
                let message = material::batch(script, self.family)?;
                let message = material::spoilt(script, message)?;
                self.hear(0, &message);
            }
            4 => {
                let (port, length) = (script.byte()? % 2, script.number()?);
                self.hear(port.into(), script.bytes(length.into()));
            }
            5..=6 => self.pass_time(script)?,
            7 => {
                let datagram = Self::datagram(script)?;
                self.receive(script.byte()?, &datagram);
            }
            8 => {
                let datagram = Self::datagram(script)?;
                let datagram = material::spoilt(script, datagram)?;
                self.receive(script.byte()?, &datagram);
            }
            9 => {
                let (source, length) = (script.byte()?, script.number()?);
                self.receive(source, script.bytes(length.into()));
            }
            10 => self.find_module(script.byte()?),
            11 => self.acknowledge(script.byte()?),
            12 => self.overrun(script.byte()?),
            13 => self.net(script.byte()?),
            14 => self.fail(script)?,
            15 => self.serve_due(),
            16 => self.instance.step(script)?,
            17 => self.reconfigure(script.byte()?, script.byte()?),
            18 => {
                let limits = limits(script)?;
                self.remerge(limits);
            }
            _ => self.allow(script.byte()?),
        }
        Some(())
    }

    /// A message from the netlink socket.
    fn hear(&mut self, port: u32, message: &[u8]) {
        let (now, lost_before) = (self.time(), lost(&self.engine));
        let mut bytes = message.to_vec();
        match self.engine.on_kernel(now, port, &mut bytes) {
            FromKernel::Forward(piece) => {
                assert_eq!(port, 0);
                self.forwarded(message, &bytes, &piece);
            }
            FromKernel::Ignore => {
                assert_eq!(bytes, message);
                let counted = lost(&self.engine) - lost_before;
                assert!(counted == 1 || is_harmless(message));
            }
        }
    }

    fn forwarded(&mut self, message: &[u8], bytes: &[u8], piece: &Piece) {
        let (container, version) = container(message).expect("only batches are forwarded");
        self.introduce(version);
        self.flushes = FLUSHES;
        let is_due = self.engine.flush_due().is_some();
        assert_eq!(is_due, self.known.wants_flushes());
        let format = self.format;
        let size = format.size();
        let all = &message[container.clone()];
        let passed = &bytes[piece.range.clone()];
        assert_eq!(piece.range.start, container.start);
        let framed =
            all.len() % size == 0 && all.chunks(size).all(|one| Update::is_framed(one, format));
        if self.merging.is_none() || !framed {
            assert_eq!((passed, piece.joinable), (all, false));
            return;
        }
        let understood = |one| Update::read(one, format).is_some();
        assert_eq!(piece.joinable, all.chunks(size).all(understood));
        self.withheld += self.peers.batch(self.now, format, all, passed);
    }

    /// The module has that version.
    fn introduce(&mut self, version: Version) {
        if self.is_foreign() {
            // It was the one before that could not be asked.
            self.known.begin(self.time());
        }
        self.version = Some(version);
        let format = Format::of(version);
        if format == self.format {
            return;
        }
        self.format = format;
        let dropped = self.before.held;
        self.peers.forget();
        let lost = |counters: &Counters| counters.lost(Reason::OtherFormat);
        assert_eq!(lost(self.engine.counters()), lost(&self.before) + dropped);
    }

    fn pass_time(&mut self, script: &mut Script<'_>) -> Option<()> {
        // Up to a minute, or a hundred years.
        let kind = usize::from(script.byte()? % 6);
        let number = u64::from(script.number()?);
        match [1, 1, 16, 1000, 50_000_000].get(kind) {
            Some(unit) => self.now += unit * number,
            // As the reactor, which sleeps no longer.
            None => {
                let next = self.deadlines().into_iter().flatten().min();
                let next = next.map(|next| next.duration_since(self.start));
                self.now = next.map_or(self.now, |next| self.now.max(next.as_millis() as u64));
            }
        }
        self.serve_due();
        Some(())
    }

    /// When the reactor wakes up, whatever else happens.
    fn deadlines(&self) -> [Option<Instant>; 4] {
        let engine = &self.engine;
        [
            engine.deadline(),
            engine.look_due(),
            engine.due().filter(|_| !self.blocked),
            engine.flush_due().filter(|_| !self.blocked),
        ]
    }

    /// As the reactor does whenever it wakes up.
    fn serve_due(&mut self) {
        let now = self.time();
        self.engine.elapse(now);
        if !self.blocked {
            while self.engine.due().is_some_and(|due| due <= now) {
                assert_ne!(
                    self.write(Engine::write_due),
                    0,
                    "due, and nothing to write"
                );
            }
            self.peers.check_due(self.now);
        }
        self.look();
        if !self.blocked && self.engine.flush_due().is_some_and(|due| due <= now) {
            assert!(self.flushes > 0, "there is nothing to flush");
            self.flushes -= 1;
            check_acknowledgements(self.engine.flush(), self.family);
            self.engine.flushed(now);
            self.instance.acknowledged();
        }
        let next = self.deadlines();
        assert!(
            next.iter().flatten().all(|next| *next > now),
            "what is over is still due: {next:?}"
        );
    }

    fn write(&mut self, write: fn(&mut Engine, Instant, &mut [u8], usize) -> usize) -> usize {
        let now = self.time();
        let length = write(&mut self.engine, now, &mut self.room, PAYLOAD);
        assert!(length <= PAYLOAD && length % self.format.size() == 0);
        self.written += (length / self.format.size()) as u64;
        self.peers
            .written(self.now, self.format, &self.room[..length]);
        length
    }

    /// The module file has other limits.
    fn remerge(&mut self, limits: Option<Limits>) {
        self.write_held();
        let held = self.engine.counters().held;
        self.engine.remerge(self.time(), limits, 0);
        if limits != self.merging {
            self.merging = limits;
            self.peers = Peers::new(limits);
            self.given_up += held;
        }
    }

    /// What is held goes out, if there is room.
    fn write_held(&mut self) {
        while !self.blocked && self.write(Engine::write_held) > 0 {}
    }

    /// The kernel is asked for more, which it takes or not.
    fn acknowledge(&mut self, kind: u8) {
        if !self.engine.has_module() {
            self.engine.rest();
        } else {
            check_acknowledgements(self.engine.acknowledgements(), self.family);
            if kind % 4 == 0 {
                let error = io::Error::from_raw_os_error(105);
                self.engine.failed(self.time(), Reason::AckNotSent, &error);
                return;
            }
            self.engine.acknowledged();
            self.instance.acknowledged();
            self.engine.succeeded(Reason::AckNotSent);
        }
        assert!(!self.engine.owes_acknowledgement() && !self.engine.is_fulfilled());
        if kind % 4 == 1 {
            self.engine.rest();
        }
    }

    fn overrun(&mut self, kind: u8) {
        let now = self.time();
        match kind % 4 {
            0 => self.engine.truncated(now, 9000),
            1 => {
                self.engine.overrun();
                assert!(self.engine.is_overrun() && self.engine.owes_acknowledgement());
                assert!(!self.engine.is_fulfilled());
            }
            2 => {
                let lost = u64::from(kind);
                let detail = || format!("{lost} of them");
                self.engine
                    .lose_several(now, Reason::KernelOverrun, lost, detail);
            }
            _ => self
                .engine
                .failed(now, Reason::KernelReceive, &io::Error::other("a test")),
        }
    }

    /// What became of datagrams that were to be sent.
    fn net(&mut self, kind: u8) {
        match kind % 4 {
            0 => self.engine.sent(Taken {
                kind: Kind::Sessions(None),
                length: kind.into(),
            }),
            1 => {
                self.engine.waits();
                self.blocked = true;
            }
            2 => {
                self.blocked = false;
                self.serve_due();
            }
            _ => self
                .engine
                .failed(self.time(), Reason::NotSent, &io::Error::other("a test")),
        }
    }

    /// Anything fails, or what had failed works again.
    fn fail(&mut self, script: &mut Script<'_>) -> Option<()> {
        let (which, kind) = (usize::from(script.byte()?), script.byte()?);
        let reason = Reason::ALL[which % Reason::ALL.len()];
        match (reason, kind % 2) {
            // What is held is accounted for below.
            (Reason::OtherFormat | Reason::HeldNotSent, _) => (),
            (_, 0) => self.engine.succeeded(reason),
            _ => self.engine.failed(
                self.time(),
                reason,
                &io::Error::from_raw_os_error(kind.into()),
            ),
        }
        Some(())
    }

    /// The daemon ends: what is held goes out, or is counted if there is no room.
    pub fn stop(&mut self) {
        let held = self.engine.counters().held;
        if self.blocked {
            self.engine.give_up_held(self.time());
            let lost = self.engine.counters().lost(Reason::HeldNotSent);
            assert_eq!(lost, self.given_up + held);
            // Nobody asks the engine for anything any more.
            return self.check_events();
        }
        self.write_held();
        let lost = self.engine.counters().lost(Reason::HeldNotSent);
        assert_eq!(lost, self.given_up);
        assert_eq!((self.engine.counters().held, self.engine.due()), (0, None));
        assert_eq!(self.peers.behind(), 0);
        let counters = self.engine.counters();
        let mut reply = [0; Counters::REPLY];
        assert!(counters.write_reply(&mut reply[..]).is_ok() && is_one_line(&counters.to_string()));
        self.check();
    }

    /// After each step.
    pub fn check(&mut self) {
        self.check_counters();
        self.check_events();
        self.before = self.engine.counters().clone();
    }

    fn check_counters(&self) {
        let (before, after) = (&self.before, self.engine.counters());
        for reason in Reason::ALL {
            assert!(before.lost(*reason) <= after.lost(*reason), "{reason}");
        }
        for (before, after) in passed(before).into_iter().zip(passed(after)) {
            assert!(before <= after);
        }
        let accounted = after.merged + after.held + after.lost(Reason::OtherFormat) + self.given_up;
        assert_eq!(self.withheld, self.written + accounted);
        assert_eq!(after.held, self.peers.behind());
        assert_eq!(after.held > 0, self.engine.due().is_some());
        assert!(self.engine.flush_due().is_none() || self.engine.has_module());
        assert!(self.engine.flush_due().is_none() || self.flushes > 0);
        let is_asked = self.engine.has_module() && !self.is_foreign();
        assert_eq!(self.engine.look_due().is_some(), is_asked);
        self.known.check(self.time(), &self.engine);
    }

    /// The operator is told in lines, and of the same not too often.
    fn check_events(&mut self) {
        let mut told = 0;
        while let Some(event) = self.engine.next_event() {
            check_event(&event);
            told += 1;
            if let Event::Trouble { reason, .. }
            | Event::Repeated { reason, .. }
            | Event::Recovered { reason, .. } = event
            {
                self.lines[reason as usize] += 1;
            }
        }
        assert!(told <= 2 * Reason::ALL.len() + LINES_OF_A_LOOK);
        let most = LINES * (1 + self.now / PERIOD);
        assert!(
            self.lines.iter().all(|&lines| lines <= most),
            "{:?}",
            self.lines
        );
    }
}

/// As the script has it: a window, or none, and few enough sessions that places are fought for.
fn limits(script: &mut Script<'_>) -> Option<Option<Limits>> {
    let (window, sessions) = (script.number()? % 10_001, script.byte()? % 40 + 1);
    Some((window > 0).then_some(Limits {
        window: window.into(),
        sessions: sessions.into(),
    }))
}

/// What only grows, besides the losses.
fn passed(counters: &Counters) -> [u64; 10] {
    let [kernel, received, sent] = [
        counters.kernel_sent,
        counters.net_received,
        counters.net_sent,
    ];
    [
        kernel.packets,
        kernel.bytes,
        received.packets,
        received.bytes,
        sent.packets,
        sent.bytes,
        counters.waits,
        counters.merged,
        counters.converted,
        counters.shortened,
    ]
}
