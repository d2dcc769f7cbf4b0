//! What the reactor does with the engine, without sockets; and what has to hold after each step.

mod network;

use std::io;
use std::time::{Duration, Instant};

use joold::engine::{Counters, Engine, Event, FromKernel, Limits, Piece, Reason};
use joold::wire::globals::{Global, Values};
use joold::wire::jool::{InstanceName, Version};
use joold::wire::netlink;
use joold::wire::request::Add;
use joold::wire::session::Format;
use joold::wire::update::Update;

use super::instance::{Instance, Known, setting};
use super::material::{self, INSTANCES, VERSIONS};
use super::peers::Peers;
use crate::kernel::{check_acknowledgements, check_event, container, is_harmless, lost};
use crate::script::Script;
use crate::{FAMILY, is_one_line};

/// How many bytes of sessions the reactor sends at a time.
const PAYLOAD: usize = 1452;

/// How many lines a reason may get in a period of the journal, and how long that is.
const LINES: u64 = 5;
const PERIOD: u64 = 10_000;

/// How many lines two looks at an instance may have: it was found, some globals were changed, others
/// are not there, and it is served.
const LINES_OF_A_LOOK: usize = 16;

/// How often the kernel's queue is flushed after a batch, and the instance looked at because of one
/// event.
const FLUSHES: u32 = 2;
const LOOKS: u32 = 2;

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
    wanted: Values,
    instance: Instance,
    known: Known,
    /// How many flushes are still due.
    flushes: u32,
    family: u16,
    /// How the module writes sessions: as its last batch did.
    format: Format,
    /// Whether the module has sent a batch.
    introduced: bool,
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
            wanted: Values::default(),
            instance: Instance::new(),
            known: Known::default(),
            flushes: 0,
            family: 0,
            format: Format::of(Version::SUPPORTED),
            introduced: false,
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
        let (container, format) = container(message).expect("only batches are forwarded");
        self.introduce(format);
        self.flushes = FLUSHES;
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

    /// The module writes sessions like that.
    fn introduce(&mut self, format: Format) {
        self.introduced = true;
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

    /// The instance is looked at if that is due, and changed if it is not as it should be.
    fn look(&mut self) {
        let (now, mut looks) = (self.time(), 0);
        while self.engine.look_due().is_some_and(|due| due <= now) {
            looks += 1;
            assert!(looks <= LOOKS && self.engine.has_module());
            match self.instance.look(self.engine.wants_pool4()) {
                Ok(Ok(state)) => {
                    self.known.learn(&state);
                    let changes = self.engine.instance_seen(now, state);
                    if !changes.is_empty() {
                        self.change(&changes);
                    }
                    self.flushes = FLUSHES;
                    if self.engine.owes_first_acknowledgement(now) {
                        assert!(self.instance.is_as(&self.wanted));
                        self.acknowledge(2);
                        // A new one is known by counting less than is seen now.
                        assert_eq!(self.engine.look_due(), Some(now));
                    }
                }
                Ok(Err(refusal)) => {
                    self.known = Known::default();
                    self.flushes = 0;
                    self.engine.look_refused(now, &refusal);
                }
                Err(error) => self.engine.look_failed(now, &error),
            }
        }
    }

    fn change(&mut self, changes: &[(Global, u32)]) {
        let now = self.time();
        for (global, value) in changes {
            assert_eq!(self.wanted.get(*global), Some(*value));
        }
        match self.instance.change(changes) {
            Ok(Ok(())) => {
                assert!(self.instance.is_as(&self.wanted));
                self.engine.instance_changed(changes);
            }
            Ok(Err(refusal)) => self.engine.change_refused(now, &refusal),
            Err(error) => self.engine.look_failed(now, &error),
        }
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

    fn find_module(&mut self, kind: u8) {
        let (which, version) = (kind % 4, usize::from(kind >> 2) % 5);
        let family = FAMILY + u16::from(which / 2);
        if which == 0 {
            self.engine.module_missing();
            self.forget_instance();
            assert!(!self.engine.has_module() && self.engine.look_due().is_none());
        } else {
            let is_news = !self.engine.has_module() || self.family != family;
            let version = VERSIONS.get(version.wrapping_sub(1)).copied();
            self.engine.module_found(self.time(), family, version);
            self.family = family;
            if is_news {
                self.introduced = false;
                self.forget_instance();
                let known = version.filter(|version| version.speaks_with(Version::SUPPORTED));
                if let Some(version) = known {
                    self.introduce(Format::of(version));
                }
                assert!(self.engine.needs_preparation());
                assert_eq!(self.engine.look_due(), Some(self.time()));
            }
            assert!(self.engine.has_module());
        }
        assert!(!self.engine.doubts_module());
    }

    /// There is another one, or none.
    fn forget_instance(&mut self) {
        self.known = Known::default();
        self.flushes = 0;
        assert_eq!(self.engine.flush_due(), None);
    }

    /// The module file names another instance, or other globals.
    fn reconfigure(&mut self, kind: u8, settings: u8) {
        let now = self.time();
        let name = INSTANCES[usize::from(kind) % 3];
        let name = InstanceName::new(name).expect("a name");
        let mut wanted = Values::default();
        for (bit, global) in Global::ALL.into_iter().enumerate() {
            if kind >> 4 & 1 << bit != 0 {
                wanted.set(global, setting(global, settings >> (2 * bit)));
            }
        }
        let is_other = name != self.name;
        if is_other {
            self.write_held();
        }
        self.engine.reconfigure(now, name, wanted);
        (self.name, self.wanted) = (name, wanted);
        if is_other {
            self.forget_instance();
            assert_eq!(self.engine.address().instance, name);
            assert!(self.engine.needs_preparation());
        }
        let due = self.engine.has_module().then_some(now);
        assert_eq!(self.engine.look_due(), due);
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
            0 => self.engine.sent(kind.into()),
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
        assert_eq!(self.engine.look_due().is_some(), self.engine.has_module());
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
