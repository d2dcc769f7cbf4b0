//! The daemons: joold's engine with a small reactor around it, and upstream's.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use jool_simulated::module::{Outgoing, sessions_of};
use jool_simulated::requests;
use joold::engine::{Engine, FromKernel, FromNetwork, Limits, Piece, Reason};
use joold::netsocket::{SLOTS, SURELY_CARRIED};
use joold::outbox::{Outbox, Run};
use joold::sync::Options;
use joold::wire::globals::{Global, Values};
use joold::wire::jool::{Command, InstanceName, Version};
use joold::wire::netlink::aligned;
use joold::wire::request::Add;

use crate::kernel::{Kernel, PORT, Replaced};
use crate::sessions::Uses;
use crate::setting::Setting;
use crate::socket::{Receipt, Socket};

/// How many messages leave before the others get their turn.
const BUDGET: usize = 64;

/// The kernel's port id.
const KERNEL: u32 = 0;

/// What an upstream user gives the instance, in milliseconds.
pub const UPSTREAM_DEADLINE: u32 = 20;

/// Where a router's datagrams come from.
pub fn address_of(node: usize) -> SocketAddr {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1 + node as u16);
    SocketAddr::new(IpAddr::V6(ip), 6464)
}

/// A datagram that has come.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// The router that sent it.
    pub from: usize,
    /// What is in it.
    pub bytes: std::rc::Rc<[u8]>,
}

/// What a daemon works with while it is served.
pub struct Around<'a> {
    /// The time.
    pub now: Duration,
    /// What instants count from.
    pub base: Instant,
    /// The router's kernel.
    pub kernel: &'a mut Kernel,
    /// What really happened.
    pub uses: &'a Uses,
    /// What goes to the network.
    pub out: Vec<Vec<u8>>,
    /// What the kernel had, and what it has instead.
    pub replaced: Vec<Replaced>,
}

/// A daemon that runs.
#[derive(Debug)]
pub enum Daemon {
    /// joold.
    Joold(Box<Joold>),
    /// Upstream's.
    Upstream(Upstream),
}

impl Daemon {
    /// Its netlink socket.
    pub fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Joold(joold) => &mut joold.socket,
            Self::Upstream(upstream) => &mut upstream.socket,
        }
    }

    /// What has come from the network and was not received yet.
    pub fn inbox(&mut self) -> &mut VecDeque<Datagram> {
        match self {
            Self::Joold(joold) => &mut joold.inbox,
            Self::Upstream(upstream) => &mut upstream.inbox,
        }
    }

    /// joold, if it is that.
    pub fn joold(&self) -> Option<&Joold> {
        match self {
            Self::Joold(joold) => Some(joold),
            Self::Upstream(_) => None,
        }
    }

    /// Whether something waits for it.
    pub fn is_ready(&mut self) -> bool {
        self.socket().is_ready() || !self.inbox().is_empty()
    }
}

/// Upstream's daemon: hands on what comes, and knows nothing.
#[derive(Debug, Default)]
pub struct Upstream {
    socket: Socket,
    inbox: VecDeque<Datagram>,
}

impl Upstream {
    /// Does all that there is to do.
    pub fn serve(&mut self, around: &mut Around<'_>) {
        let address = around.kernel.address();
        while let Some(datagram) = self.inbox.pop_front() {
            let request = requests::add(&address, &datagram.bytes);
            let (answers, replaced) = around.kernel.receive(&request, around.now, around.uses);
            around.replaced.extend(replaced);
            answers
                .into_iter()
                .for_each(|answer| self.socket.push(answer));
        }
        loop {
            match self.socket.receive() {
                Receipt::Message(message) => match sessions_of(&message) {
                    Some(sessions) => around.out.push(sessions),
                    // The kernel's complaint.
                    None => continue,
                },
                Receipt::Overrun => (),
                Receipt::Nothing => return,
            }
            let acknowledge = requests::request(&address, Command::JooldAck, &[]);
            let (answers, _) = around.kernel.receive(&acknowledge, around.now, around.uses);
            answers
                .into_iter()
                .for_each(|answer| self.socket.push(answer));
        }
    }
}

/// joold.
#[derive(Debug)]
pub struct Joold {
    /// What decides.
    pub engine: Engine,
    outbox: Outbox,
    socket: Socket,
    /// What has come from the network and was not received yet.
    pub inbox: VecDeque<Datagram>,
    slots: Vec<Vec<u8>>,
    /// Whether the kernel waits for another router to follow.
    held_back: bool,
    /// When it found messages of the kernel lost last.
    pub lost: Option<Instant>,
    /// Which of the kernel's instances it knows of.
    pub knows: u32,
}

impl Joold {
    /// One that starts now.
    pub fn new(setting: &Setting, seed: u64, kernel: &Kernel, now: Instant) -> Self {
        let mut wanted = Values::default();
        wanted.set(Global::SsEnabled, Some(1));
        wanted.set(Global::SsFlushDeadline, Some(20));
        let options = Options {
            ring: setting.ring,
            ..Options::default()
        };
        let mut engine = Engine::new(InstanceName::DEFAULT, now).configuring(wanted);
        if setting.window > 0 {
            let limits = Limits {
                window: setting.window,
                sessions: 4096,
            };
            engine = engine.merging_refreshes(limits, seed);
        }
        engine = engine.extending(options, seed, now);
        engine.module_found(now, kernel.family(), Some(Version::SUPPORTED));
        Self {
            engine,
            outbox: Outbox::new(SURELY_CARRIED),
            socket: Socket::default(),
            inbox: VecDeque::new(),
            slots: Vec::new(),
            held_back: false,
            lost: None,
            knows: 0,
        }
    }

    /// One turn of the reactor's loop.
    pub fn serve(&mut self, around: &mut Around<'_>) {
        let now = around.base + around.now;
        self.engine.elapse(now);
        self.collect_due(now, around);
        self.look_at_instance(now, around);
        self.collect_messages(now, around);
        if self.held_back {
            self.hold_back(now, around);
        }
        self.flush_kernel(now, around);
        self.serve_kernel(now, around);
        self.serve_network(now, around);
        self.send(now, around);
        while self.engine.next_event().is_some() {}
    }

    /// When it has something to do, whether or not anything comes.
    pub fn deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.engine.deadline(),
            self.engine.look_due(),
            self.engine.due(),
            self.engine.flush_due().filter(|_| !self.held_back),
            self.engine.message_due(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// It is told to stop.
    pub fn finish(&mut self, around: &mut Around<'_>) {
        let now = around.base + around.now;
        while let Receipt::Message(message) = self.socket.receive() {
            self.on_message(now, message, around);
        }
        self.collect(now, around, Engine::write_held);
        self.send(now, around);
        self.engine.give_up_held(now);
    }

    fn collect_due(&mut self, now: Instant, around: &mut Around<'_>) {
        if self.engine.due().is_some_and(|due| due <= now) {
            self.collect(now, around, Engine::write_due);
        }
    }

    fn collect(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        write: fn(&mut Engine, Instant, &mut [u8], usize) -> usize,
    ) {
        loop {
            let payload = self.engine.sessions_of(self.outbox.payload());
            let Some(room) = self.outbox.room() else {
                self.send(now, around);
                continue;
            };
            let length = write(&mut self.engine, now, room, payload);
            if length == 0 {
                return;
            }
            self.keep(&Piece {
                range: 0..length,
                joinable: true,
            });
        }
    }

    fn keep(&mut self, piece: &Piece) {
        let engine = &mut self.engine;
        if self.outbox.keep(piece, || engine.stamp()) {
            self.engine.shared();
        }
    }

    fn collect_messages(&mut self, now: Instant, around: &mut Around<'_>) {
        for _ in 0..BUDGET {
            if self.engine.message_due().is_none_or(|due| due > now) {
                return;
            }
            if self.outbox.room().is_none() {
                self.send(now, around);
            }
            let payload = self.outbox.payload();
            let Some(room) = self.outbox.room() else {
                return;
            };
            let mut table = around.kernel.table(around.now);
            let length = self.engine.write_message(now, room, payload, &mut table);
            if length == 0 {
                return;
            }
            self.outbox.keep_message(length);
        }
    }

    fn look_at_instance(&mut self, now: Instant, around: &mut Around<'_>) {
        if self.engine.look_due().is_none_or(|due| due > now) {
            return;
        }
        self.knows = around.kernel.generation;
        if self.engine.looks_for_instance() {
            let is_there = around.kernel.instance().is_some();
            return self.engine.instance_looked_for(now, is_there);
        }
        match around.kernel.look() {
            Ok(snapshot) => {
                let changes = self.engine.instance_seen(now, snapshot);
                if !changes.is_empty() {
                    around.kernel.change(&changes);
                    self.engine.instance_changed(&changes);
                }
                if self.engine.owes_first_acknowledgement(now) {
                    self.acknowledge(around);
                }
            }
            Err(refusal) => self.engine.look_refused(now, &refusal),
        }
    }

    fn request(&mut self, request: &[u8], around: &mut Around<'_>) {
        let (answers, replaced) = around.kernel.receive(request, around.now, around.uses);
        around.replaced.extend(replaced);
        for answer in answers {
            self.socket.push(answer);
        }
    }

    fn flush_kernel(&mut self, now: Instant, around: &mut Around<'_>) {
        if self.held_back || self.engine.flush_due().is_none_or(|due| due > now) {
            return;
        }
        let flush = self.engine.flush().to_vec();
        self.request(&flush, around);
        self.engine.flushed(now);
        self.engine.succeeded(Reason::AckNotSent);
    }

    fn acknowledge(&mut self, around: &mut Around<'_>) {
        let requests = self.engine.acknowledgements().to_vec();
        self.request(&requests, around);
        self.engine.acknowledged();
        self.engine.succeeded(Reason::AckNotSent);
    }

    fn serve_kernel(&mut self, now: Instant, around: &mut Around<'_>) {
        loop {
            if self.outbox.room().is_none() {
                self.send(now, around);
            }
            match self.socket.receive() {
                Receipt::Message(message) => self.on_message(now, message, around),
                Receipt::Overrun => {
                    self.engine.overrun();
                    self.count_lost(now);
                }
                Receipt::Nothing if self.engine.owes_acknowledgement() => {
                    self.count_lost(now);
                    if self.hold_back(now, around) {
                        return self.send(now, around);
                    }
                    self.acknowledge(around);
                }
                Receipt::Nothing => {
                    self.engine.rest();
                    return self.send(now, around);
                }
            }
            if self.engine.is_fulfilled() && !self.hold_back(now, around) {
                self.acknowledge(around);
            }
        }
    }

    /// Whether another router should follow first.
    fn hold_back(&mut self, now: Instant, around: &mut Around<'_>) -> bool {
        if !self.engine.holds_back(now) {
            self.held_back = false;
            return false;
        }
        if !std::mem::replace(&mut self.held_back, true) {
            self.engine.look_soon(now);
            self.look_at_instance(now, around);
        }
        true
    }

    fn on_message(&mut self, now: Instant, message: Outgoing, around: &mut Around<'_>) {
        let (Outgoing::Group { bytes, .. } | Outgoing::Port { bytes, port: PORT }) = message else {
            return;
        };
        if self.outbox.room().is_none() {
            self.send(now, around);
        }
        let Some(room) = self.outbox.room() else {
            return;
        };
        let room = &mut room[..bytes.len()];
        room.copy_from_slice(&bytes);
        if let FromKernel::Forward(piece) = self.engine.on_kernel(now, KERNEL, room) {
            self.keep(&piece);
        }
    }

    fn count_lost(&mut self, now: Instant) {
        let lost = self.socket.take_lost();
        if lost > 0 {
            self.lost = Some(now);
            let detail = || format!("{lost} of them");
            self.engine
                .lose_several(now, Reason::KernelOverrun, lost.into(), detail);
        }
    }

    /// All that came together is looked at before the kernel has any of it, as by the reactor, but for
    /// what is compared with what it has.
    fn serve_network(&mut self, now: Instant, around: &mut Around<'_>) {
        if self.engine.needs_preparation() {
            self.slots.clear();
        }
        while !self.inbox.is_empty() {
            let count = self.inbox.len().min(SLOTS);
            let datagrams: Vec<_> = self.inbox.drain(..count).collect();
            let mut requests = Vec::new();
            for datagram in &datagrams {
                let mut slot = self.fill(&datagram.bytes);
                let length = datagram.bytes.len();
                let source = address_of(datagram.from);
                let mut verdict = self.engine.on_datagram(now, source, &mut slot, length);
                if verdict == FromNetwork::Ask {
                    self.look_at_instance(now, around);
                    verdict = self.engine.again(now, source, &mut slot, length);
                }
                if let FromNetwork::Compare(late) = verdict {
                    self.request(&std::mem::take(&mut requests), around);
                    let mut table = around.kernel.table(around.now);
                    verdict = self.engine.compare(now, &mut slot, late, &mut table);
                }
                if let FromNetwork::Add(total) = verdict {
                    requests.extend_from_slice(&slot[..total]);
                }
                self.slots.push(slot);
            }
            self.request(&requests, around);
        }
    }

    /// A prepared buffer with that datagram.
    fn fill(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut slot = self.slots.pop().unwrap_or_else(|| {
            let mut slot = vec![0; 4096];
            self.engine.prepare(&mut slot);
            slot
        });
        slot.truncate(Add::HEADROOM);
        slot.extend_from_slice(datagram);
        slot.resize(aligned(slot.len()) + 64, 0);
        slot
    }

    fn send(&mut self, now: Instant, around: &mut Around<'_>) {
        while !self.outbox.is_empty() {
            let datagram = self
                .outbox
                .runs(false)
                .next()
                .map(|run| Run::pieces(run).collect::<Vec<_>>().concat());
            self.engine.record(now, &self.outbox);
            if let Some(taken) = self.outbox.take() {
                self.engine.sent(taken);
            }
            around.out.extend(datagram);
        }
    }
}
