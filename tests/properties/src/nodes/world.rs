//! What the reactor does with an engine that knows other nodes, without sockets; and what has to hold
//! after each step.

mod check;
mod kernel;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use joold::engine::{Counters, Engine, FromNetwork, Limits};
use joold::netsocket::SURELY_CARRIED;
use joold::outbox::Outbox;
use joold::sync::Options;
use joold::wire::jool::InstanceName;
use joold::wire::netlink;
use joold::wire::request::Add;

use super::others::Others;
use super::pages::Pages;
use crate::events::instance::Instance;
use crate::events::material;
use crate::script::Script;

/// The longest datagram that is received whole, and the longest message that is written.
const LONGEST: usize = 2048;

/// How many messages the reactor writes in a turn.
const BUDGET: usize = 64;

/// How many turns it may take until nothing is due any more, each of them for one message at least: one
/// to each node, and a burst of repeats and of parts.
const TURNS: usize = 120;

/// Bytes of the ring, and milliseconds between those who read the table.
const RINGS: [usize; 4] = [1000, 0, 100, 4000];
const INTERVALS: [u64; 4] = [1000, 0, 100, 3_600_000];

/// Where datagrams come from: one who restarted may have another port.
const SOURCES: [&str; 4] = [
    "192.0.2.2:6464",
    "[2001:db8::2]:6464",
    "[2001:db8::2]:6465",
    "[fe80::2%2]:6464",
];

/// The engine, and what is around it.
pub struct World {
    engine: Engine,
    start: Instant,
    /// Microseconds since the start.
    now: u64,
    /// Where datagrams are received.
    slot: Vec<u8>,
    /// What goes to the network.
    outbox: Outbox,
    /// Where messages are written, and how much of that there is.
    room: Vec<u8>,
    room_left: usize,
    /// The last message that was written.
    said: Vec<u8>,
    others: Others,
    pages: Pages,
    instance: Instance,
    family: u16,
    /// Whether the network has no room.
    blocked: bool,
    /// Whether the kernel waits for another node.
    held_back: bool,
    before: Counters,
}

impl World {
    /// As the script has it.
    pub fn new(script: &mut Script<'_>) -> Option<Self> {
        let kind = script.byte()?;
        let start = Instant::now();
        let mut engine = Engine::new(InstanceName::DEFAULT, start);
        if kind & 1 != 0 {
            let limits = Limits {
                window: 1000,
                sessions: 8,
            };
            engine = engine.merging_refreshes(limits, 0);
        }
        let engine = engine.extending(options(kind), 1, start);
        Some(Self {
            before: engine.counters().clone(),
            engine,
            start,
            now: 0,
            slot: vec![0; netlink::aligned(Add::HEADROOM + LONGEST)],
            outbox: Outbox::new(SURELY_CARRIED),
            room: vec![0; LONGEST],
            room_left: LONGEST,
            said: Vec::new(),
            others: Others::new(),
            pages: Pages::new(),
            instance: Instance::new(),
            family: 0,
            blocked: false,
            held_back: false,
        })
    }

    fn time(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    /// The reactor wakes up for one thing. Nothing at the script's end.
    pub fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        self.engine.elapse(self.time());
        self.see_own_number();
        match script.byte()? % 20 {
            0..=4 => {
                let datagram = self.others.datagram(script)?;
                self.receive(script.byte()?, &datagram);
            }
            5 => {
                let datagram = self.others.datagram(script)?;
                let datagram = material::spoilt(script, datagram)?;
                self.receive(script.byte()?, &datagram);
            }
            6 => {
                let (source, length) = (script.byte()?, script.byte()?);
                self.receive(source, script.bytes(length.into()));
            }
            7 => {
                let which = script.byte()?;
                self.echo(which);
            }
            8..=9 => {
                let message = material::batch(script, self.family)?;
                self.hear(&message);
            }
            10..=12 => self.pass_time(script)?,
            13 => self.find_module(script.byte()?),
            14 => self.instance.step(script)?,
            15 => self.pages.step(script)?,
            16 => self.room_left = usize::from(script.number()?) % (LONGEST + 1),
            17 => self.net(script.byte()?),
            18 => self.lose(script.byte()?),
            _ => self.extend(script.byte()?),
        }
        Some(())
    }

    /// As what was sent last shows it.
    fn see_own_number(&mut self) {
        if let Some(sync) = self.engine.sync() {
            self.others.own.0 = sync.node();
        }
    }

    /// A datagram from the network.
    fn receive(&mut self, source: u8, datagram: &[u8]) {
        let source: SocketAddr = SOURCES[usize::from(source) % 4]
            .parse()
            .expect("an address");
        let (now, length) = (self.time(), datagram.len());
        if length > LONGEST {
            return self.engine.oversized(now, source);
        }
        if self.engine.needs_preparation() {
            self.engine.prepare(&mut self.slot);
        }
        self.slot[Add::HEADROOM..][..length].copy_from_slice(datagram);
        let end = netlink::aligned(Add::HEADROOM + length);
        self.slot[end..].fill(0x55);
        let mut verdict = self.engine.on_datagram(now, source, &mut self.slot, length);
        if verdict == FromNetwork::Ask {
            self.look_once();
            verdict = self.engine.again(now, source, &mut self.slot, length);
        }
        if let FromNetwork::Compare(late) = verdict {
            verdict = self
                .engine
                .compare(now, &mut self.slot, late, &mut self.pages);
        }
        assert!(self.slot[end..].iter().all(|&byte| byte == 0x55));
        match verdict {
            FromNetwork::Add(total) => self.check_request(total),
            FromNetwork::Ignore => (),
            FromNetwork::Ask | FromNetwork::Compare(_) => panic!("asked twice"),
        }
    }

    /// What was said last comes back, from another one or by a loop in the network.
    fn echo(&mut self, which: u8) {
        /// Where a header has its node.
        const NODE: usize = 4;
        let mut message = self.said.clone();
        let (node, _) = self.others.node(which % 40);
        if let Some(place) = message.get_mut(NODE..NODE + 4) {
            place.copy_from_slice(&node.to_be_bytes());
        }
        self.receive(which, &message);
    }

    fn pass_time(&mut self, script: &mut Script<'_>) -> Option<()> {
        // Up to a day, or a hundred years.
        let kind = usize::from(script.byte()? % 8);
        let number = u64::from(script.number()?);
        match [1, 100, 1000, 1_000_000, 50_000_000_000].get(kind) {
            Some(unit) => self.now += unit * number,
            // As the reactor, which sleeps no longer.
            None => {
                let next = self.deadlines().into_iter().flatten().min();
                let next = next.map(|next| next.saturating_duration_since(self.start));
                let next = next.map(|next| next.as_nanos().div_ceil(1000) as u64);
                self.now = next.map_or(self.now, |next| self.now.max(next));
            }
        }
        self.serve_due();
        Some(())
    }

    /// When the reactor wakes up, whatever else happens.
    fn deadlines(&self) -> [Option<Instant>; 5] {
        let engine = &self.engine;
        let sends = |due: Option<Instant>| due.filter(|_| !self.blocked);
        [
            engine.deadline(),
            engine.look_due(),
            sends(engine.due()),
            sends(engine.message_due()),
            sends(engine.flush_due()).filter(|_| !self.held_back),
        ]
    }

    /// As the reactor does whenever it wakes up, until it may sleep.
    fn serve_due(&mut self) {
        let now = self.time();
        for _ in 0..TURNS {
            self.turn(now);
            if self.deadlines().iter().flatten().all(|next| *next > now) {
                return;
            }
        }
        let next = self.deadlines();
        panic!("at {now:?} what is over is still due: {next:?}");
    }

    fn turn(&mut self, now: Instant) {
        self.engine.elapse(now);
        while !self.blocked && self.engine.due().is_some_and(|due| due <= now) {
            self.send_held(now);
        }
        for _ in 0..BUDGET {
            let is_due = self.engine.message_due().is_some_and(|due| due <= now);
            if self.blocked || !is_due || self.write_message(now) == 0 {
                break;
            }
        }
        self.look();
        if self.held_back {
            self.hold_back();
        }
        self.flush();
        self.send();
    }

    fn write_message(&mut self, now: Instant) -> usize {
        self.room.fill(0x55);
        let room = &mut self.room[..self.room_left];
        let length = self
            .engine
            .write_message(now, room, usize::MAX, &mut self.pages);
        assert!(length <= self.room_left);
        assert!(self.room[self.room_left..].iter().all(|&byte| byte == 0x55));
        if length > 0 {
            self.said = self.room[..length].to_vec();
            self.check_message(&self.said);
        }
        length
    }

    /// Other options, or none.
    fn extend(&mut self, kind: u8) {
        let options = (kind & 2 != 0).then(|| options(kind));
        self.engine.extend(self.time(), options, kind.into());
        self.engine.elapse(self.time());
        assert_eq!(self.engine.sync().is_some(), options.is_some());
    }

    /// The script ends: with room and time, everything that waits is said.
    pub fn stop(&mut self) {
        (self.blocked, self.room_left) = (false, LONGEST);
        for _ in 0..4 {
            self.now += 1_000_000;
            self.serve_due();
            self.check();
        }
        let waiting = self.engine.sync().map(joold::sync::Sync::waiting);
        assert!(waiting.is_none_or(|waiting| waiting[1] == 0), "{waiting:?}");
    }
}

/// As the network file can have them, but for the ring, which is small here.
fn options(kind: u8) -> Options {
    let choice = |at: u8| usize::from(kind >> at) % 4;
    Options {
        period: Duration::from_millis([1000, 100][usize::from(kind >> 2) % 2]),
        ring: RINGS[choice(3)],
        table_interval: Duration::from_millis(INTERVALS[choice(5)]),
    }
}
