//! The routers, the network between them, and the clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use jool_simulated::module::Outgoing;
use joold::wire::extension::Kind;

use crate::daemon::{Around, Daemon, Datagram, Joold, UPSTREAM_DEADLINE, Upstream};
use crate::faults::Restore;
use crate::kernel::Kernel;
use crate::random::Random;
use crate::report::{Check, Report};
use crate::sessions::{Id, Uses};
use crate::setting::{LATE, QUIET, STILL_LOSSY, Setting};
use crate::told::{Archive, Heard, header_of, words};
use crate::users::User;

/// How often the checks are made that hold at any time.
const CHECKING: Duration = Duration::from_millis(250);

/// How often a daemon is served at one time before something is wrong.
const TURNS: usize = 16;

/// A router.
#[derive(Debug, Default)]
pub struct Node {
    /// Its Jool, while it has power.
    pub kernel: Option<Kernel>,
    /// Its daemon, while it runs.
    pub daemon: Option<Daemon>,
    /// Until then, its daemon is not run by its system.
    pub paused_until: Duration,
    /// When the daemon is served next.
    wake: Option<Duration>,
    /// When it had no daemon last: what it translated then was told after that, if at all.
    pub without_daemon: (Duration, Duration),
    /// The same of when somebody did not hear it.
    pub unheard: (Duration, Duration),
    /// What its daemon heard of others, by their numbers.
    pub heard: BTreeMap<u32, Heard>,
    /// How many instances its kernels had.
    generation: u32,
    /// Messages in the second that the number tells: control, and bulk.
    talk: (u64, u32, u32),
}

impl Node {
    /// What it said in the second that the first number tells.
    pub fn talk(&self) -> (u64, u32, u32) {
        self.talk
    }
}

/// What happens at some time.
#[derive(Debug)]
pub enum Event {
    /// A kernel's timer.
    Tick(usize),
    /// A datagram comes.
    Arrive(usize, Datagram),
    /// A packet is to be translated.
    Packet,
    /// Something goes wrong.
    Fault,
    /// It is good again.
    Restore(Restore),
    /// What holds at any time is looked at.
    Check,
    /// Everything is good again, and no packet comes any more.
    Quiet,
}

#[derive(Debug)]
struct Due {
    when: Duration,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.when, self.order) == (other.when, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.when, self.order).cmp(&(other.when, other.order))
    }
}

/// What comes next.
enum Next {
    /// A daemon may have something to do, then.
    Serve(usize, Duration),
    /// Something else.
    Event(Due),
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// What does not change.
    pub setting: Setting,
    /// Time since the start.
    pub now: Duration,
    /// What its clock counts from.
    pub base: Instant,
    traces: bool,
    queue: BinaryHeap<Reverse<Due>>,
    order: u64,
    /// The routers.
    pub nodes: Vec<Node>,
    /// Whether what the first sends does not reach the second.
    pub blocked: Vec<Vec<bool>>,
    /// Chance, for each purpose another sequence.
    pub network: Random,
    /// See [`World::network`].
    pub traffic: Random,
    /// See [`World::network`].
    pub fate: Random,
    /// Which router each session goes through.
    pub owners: Vec<usize>,
    /// Sessions of which joold's daemons may lack something by no fault of theirs: an upstream daemon
    /// told of it, or the kernel's queue was full.
    pub untold: Vec<bool>,
    /// Sessions that began anew with an incoming SYN at a router while others had another copy, and those
    /// whose router lost its table right after it had used them.
    pub uncertain: Vec<bool>,
    /// Which router used each session last and when, and when another one had before, in milliseconds.
    pub users: Vec<Option<User>>,
    /// When each session was really used.
    pub uses: Uses,
    /// What was told.
    pub archive: Archive,
    /// What was seen so far.
    pub report: Report,
}

impl World {
    /// One that begins.
    pub fn new(setting: Setting, traces: bool) -> Self {
        let random = Random::new(setting.seed);
        let nodes = setting.nodes();
        let mut world = Self {
            now: Duration::ZERO,
            base: Instant::now(),
            traces,
            queue: BinaryHeap::new(),
            order: 0,
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            blocked: vec![vec![false; nodes]; nodes],
            network: random.fork(2),
            traffic: random.fork(3),
            fate: random.fork(4),
            owners: vec![0; setting.sessions],
            untold: vec![false; setting.sessions],
            uncertain: vec![false; setting.sessions],
            users: vec![None; setting.sessions],
            uses: Uses::default(),
            archive: Archive::default(),
            report: Report::default(),
            setting,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.say(|world| world.setting.to_string());
        for node in 0..self.nodes.len() {
            let start = self.fate.time(Duration::ZERO, Duration::from_secs(2));
            self.at(start, Event::Restore(Restore::Power(node)));
        }
        for id in 0..self.owners.len() {
            self.owners[id] = self.traffic.below(self.nodes.len());
        }
        self.at(Duration::from_secs(1), Event::Packet);
        self.at(Duration::from_secs(3), Event::Fault);
        self.at(CHECKING, Event::Check);
        self.at(self.setting.active, Event::Quiet);
    }

    /// Tells whoever reads the trace.
    pub fn say(&self, words: impl FnOnce(&Self) -> String) {
        if self.traces {
            println!("{:>10.6} {}", self.now.as_secs_f64(), words(self));
        }
    }

    /// Something shall happen then.
    pub fn at(&mut self, when: Duration, event: Event) {
        self.order += 1;
        let order = self.order;
        self.queue.push(Reverse(Due { when, order, event }));
    }

    /// Whether packets come and things go wrong.
    pub fn is_active(&self) -> bool {
        self.now < self.setting.active
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        while let Some(next) = self.next() {
            let event = match next {
                Next::Serve(node, when) => {
                    self.now = when;
                    self.on_serve(node);
                    continue;
                }
                Next::Event(due) => {
                    self.now = due.when;
                    due.event
                }
            };
            match event {
                Event::Tick(node) => self.on_tick(node),
                Event::Arrive(node, datagram) => self.on_arrival(node, datagram),
                Event::Packet => self.on_packet(),
                Event::Fault => self.on_fault(),
                Event::Restore(restore) => self.on_restore(restore),
                Event::Check => {
                    self.check();
                    self.at(self.now + CHECKING, Event::Check);
                }
                Event::Quiet => self.heal(),
            }
        }
        self.now = self.setting.end();
        self.check_end();
    }

    /// What comes next before the end.
    fn next(&mut self) -> Option<Next> {
        let end = self.setting.end();
        let wakes = self.nodes.iter().enumerate();
        let wakes = wakes.filter_map(|(node, state)| Some((state.wake?, node)));
        let wake = wakes.min().filter(|(when, _)| *when <= end);
        let event = self.queue.peek().map(|Reverse(due)| due.when);
        match (wake, event.filter(|when| *when <= end)) {
            (Some((when, node)), event) if event.is_none_or(|event| when < event) => {
                Some(Next::Serve(node, when))
            }
            (_, event) => {
                event?;
                self.queue.pop().map(|Reverse(due)| Next::Event(due))
            }
        }
    }

    /// A router has power from now on.
    pub fn power_on(&mut self, node: usize) {
        if self.nodes[node].kernel.is_some() {
            return;
        }
        let generation = self.nodes[node].generation;
        let kernel = Kernel::new(generation, self.setting.timeouts, self.now);
        self.nodes[node].generation = kernel.generation;
        let tick = kernel.next_tick();
        self.nodes[node].kernel = Some(kernel);
        self.at(tick, Event::Tick(node));
        self.prepare(node);
        self.start(node);
    }

    /// The router's instance is made anew.
    pub fn create_instance(&mut self, node: usize) {
        let now = self.now;
        if let Some(kernel) = &mut self.nodes[node].kernel {
            kernel.create(now);
            self.nodes[node].generation = kernel.generation;
            self.say(|_| format!("{node} has an instance"));
        }
        self.prepare(node);
    }

    /// Does what upstream's user does by hand.
    fn prepare(&mut self, node: usize) {
        if !self.setting.upstream[node] {
            return;
        }
        if let Some(kernel) = &mut self.nodes[node].kernel {
            kernel.turn_on(UPSTREAM_DEADLINE);
        }
    }

    /// The router's daemon starts, unless it runs.
    pub fn start(&mut self, node: usize) {
        let seed = self.fate.number();
        let now = self.base + self.now;
        let Node { kernel, daemon, .. } = &mut self.nodes[node];
        let (Some(kernel), None) = (kernel, &daemon) else {
            return;
        };
        let new = match self.setting.upstream[node] {
            true => Daemon::Upstream(Upstream::default()),
            false => Daemon::Joold(Box::new(Joold::new(&self.setting, seed, kernel, now))),
        };
        let number = new
            .joold()
            .and_then(|joold| Some(joold.engine.sync()?.node()));
        *daemon = Some(new);
        self.nodes[node].heard.clear();
        self.nodes[node].without_daemon.1 = self.now;
        self.say(|_| {
            format!(
                "{node} starts its daemon, {:08x}",
                number.unwrap_or_default()
            )
        });
        self.wake(node, self.now);
    }

    /// The router's daemon stops: with a farewell, or at once.
    pub fn stop(&mut self, node: usize, says_farewell: bool) {
        self.say(|_| format!("{node} stops its daemon, with a farewell: {says_farewell}"));
        if says_farewell {
            let out = self.with_daemon(node, |daemon, around| {
                if let Daemon::Joold(joold) = daemon {
                    joold.finish(around);
                }
            });
            self.send_all(node, out);
        }
        self.nodes[node].daemon = None;
        self.nodes[node].without_daemon.0 = self.now;
    }

    fn with_daemon(
        &mut self,
        node: usize,
        serve: impl FnOnce(&mut Daemon, &mut Around<'_>),
    ) -> Vec<Vec<u8>> {
        let Node { kernel, daemon, .. } = &mut self.nodes[node];
        let (Some(kernel), Some(daemon)) = (kernel, daemon) else {
            return Vec::new();
        };
        let mut around = Around {
            now: self.now,
            base: self.base,
            kernel,
            uses: &self.uses,
            out: Vec::new(),
            replaced: Vec::new(),
        };
        serve(daemon, &mut around);
        let Around { out, replaced, .. } = around;
        self.check_replaced(node, &replaced);
        out
    }

    /// The daemon is to be served then, and some time later for it has to wake up.
    fn wake(&mut self, node: usize, when: Duration) {
        let latency = self.network.time(Duration::ZERO, self.setting.latency);
        let when = when.max(self.nodes[node].paused_until) + latency;
        let wake = &mut self.nodes[node].wake;
        *wake = Some(wake.map_or(when, |wake| wake.min(when)));
    }

    fn on_serve(&mut self, node: usize) {
        self.nodes[node].wake = None;
        if self.nodes[node].daemon.is_none() {
            return;
        }
        if self.nodes[node].paused_until > self.now {
            return self.wake(node, self.now);
        }
        self.note_heard(node);
        for turn in 0.. {
            let mut due = None;
            let out = self.with_daemon(node, |daemon, around| match daemon {
                Daemon::Joold(joold) => {
                    joold.serve(around);
                    due = joold.deadline();
                }
                Daemon::Upstream(upstream) => upstream.serve(around),
            });
            self.send_all(node, out);
            let Some(due) = due else {
                return;
            };
            let due = due.saturating_duration_since(self.base);
            if due > self.now {
                return self.wake(node, due);
            }
            if turn == TURNS {
                let text = || format!("{node} has something due since {due:?}");
                self.report.fail(Check::NothingStaysDue, self.now, text);
                return self.wake(node, self.now + Duration::from_millis(1));
            }
        }
    }

    /// Remembers what the datagrams announce that are about to be received.
    fn note_heard(&mut self, node: usize) {
        let now = self.now;
        let Node {
            kernel,
            daemon,
            heard,
            ..
        } = &mut self.nodes[node];
        let (Some(kernel), Some(Daemon::Joold(joold))) = (kernel, daemon) else {
            return;
        };
        let Some(sync) = joold.engine.sync() else {
            return;
        };
        let is_known = |node| sync.peers().iter().any(|peer| peer.node == node);
        let headers: Vec<_> = joold
            .inbox
            .iter()
            .filter_map(|datagram| header_of(&datagram.bytes))
            .collect();
        heard.retain(|&peer, _| is_known(peer));
        for header in headers {
            if header.kind == Kind::Repeat && !heard.contains_key(&header.node) {
                continue;
            }
            heard
                .entry(header.node)
                .or_insert_with(|| Heard::first(header, kernel.generation))
                .heard(now, header);
        }
    }

    fn on_tick(&mut self, node: usize) {
        let Some(kernel) = &mut self.nodes[node].kernel else {
            return;
        };
        if kernel.next_tick() != self.now {
            return;
        }
        let (out, ended) = kernel.tick(self.now, &mut self.uses);
        for (id, reflected) in ended {
            // It had missed all packets for as long as a connection lives, and nobody can tell that from a reset.
            let used = self.users[id].map(|user| user.at);
            self.uncertain[id] |= reflected < used;
        }
        let next = kernel.next_tick();
        self.at(next, Event::Tick(node));
        self.hand_to_daemon(node, out);
    }

    /// The kernel multicasts to its router's daemon.
    pub fn hand_to_daemon(&mut self, node: usize, messages: impl IntoIterator<Item = Outgoing>) {
        let Some(daemon) = &mut self.nodes[node].daemon else {
            return;
        };
        for message in messages {
            daemon.socket().push(message);
        }
        if daemon.is_ready() {
            self.wake(node, self.now);
        }
    }

    fn on_arrival(&mut self, node: usize, datagram: Datagram) {
        let Some(daemon) = &mut self.nodes[node].daemon else {
            return;
        };
        daemon.inbox().push_back(datagram);
        self.wake(node, self.now);
    }

    fn send_all(&mut self, from: usize, datagrams: Vec<Vec<u8>>) {
        for datagram in datagrams {
            self.send(from, &datagram);
        }
    }

    fn send(&mut self, from: usize, bytes: &[u8]) {
        self.say(|_| format!("{from} sends {}", words(bytes)));
        self.archive.add(self.now, bytes);
        self.count(from, bytes);
        let bytes: Rc<[u8]> = bytes.into();
        for to in 0..self.nodes.len() {
            if to == from || self.blocked[from][to] {
                continue;
            }
            self.carry(from, to, &bytes);
        }
    }

    fn carry(&mut self, from: usize, to: usize, bytes: &Rc<[u8]>) {
        let is_lossy = self.now < self.setting.end() - QUIET + STILL_LOSSY;
        let (loss, twice) = match is_lossy {
            true => (self.setting.loss, self.setting.twice),
            false => (0.0, 0.0),
        };
        if self.network.chance(loss) {
            self.say(|_| format!("  lost on its way to {to}"));
            return;
        }
        let mut bytes = bytes.clone();
        if is_lossy && self.network.chance(self.setting.truncated) {
            // Not between two sessions: whoever could do that could as well leave them out.
            let length = self.network.below(bytes.len()) | 1;
            bytes = bytes[..length.min(bytes.len())].into();
        }
        let times = 1 + usize::from(self.network.chance(twice));
        for _ in 0..times {
            let (least, most) = self.setting.delay;
            let mut delay = self.network.time(least, most);
            if self.network.chance(0.002) {
                delay *= LATE;
            }
            let bytes = bytes.clone();
            let datagram = Datagram { from, bytes };
            self.at(self.now + delay, Event::Arrive(to, datagram));
        }
    }

    fn count(&mut self, from: usize, bytes: &[u8]) {
        self.report.datagrams += 1;
        let Some(header) = header_of(bytes) else {
            return;
        };
        let (second, control, bulk) = &mut self.nodes[from].talk;
        if *second != self.now.as_secs() {
            (*second, *control, *bulk) = (self.now.as_secs(), 0, 0);
        }
        match header.kind {
            Kind::Sessions => (),
            Kind::Hello | Kind::Ask | Kind::Pull => *control += 1,
            Kind::Repeat | Kind::Table => *bulk += 1,
        }
        self.report.control = self.report.control.max(*control);
        self.report.bulk = self.report.bulk.max(*bulk);
    }

    /// Whether a joold of that number runs somewhere, and on which router.
    pub fn router_of(&self, number: u32) -> Option<usize> {
        self.nodes.iter().position(|node| {
            let joold = node.daemon.as_ref().and_then(Daemon::joold);
            joold
                .and_then(|joold| joold.engine.sync())
                .map(|sync| sync.node())
                == Some(number)
        })
    }

    /// When a session of a router's kernel dies; nothing if it is not there.
    pub fn dies(&self, node: usize, id: Id) -> Option<i64> {
        let kernel = self.nodes[node].kernel.as_ref()?;
        kernel.find(id).map(|entry| entry.dies)
    }
}
