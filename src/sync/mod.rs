//! What makes the synchronization lossless: the engine's half that knows the other nodes.
//!
//! Each datagram of sessions has its node and number behind it. Whoever lacks one asks for it, and its
//! sender repeats it from the `ring` of what it sent lately. What no ring has any more, or was never
//! told, is read from a node's table, part by part (`reading`, `giving`). Whatever comes late is
//! compared with the kernel's own table before it is added (`merge`), so that nothing old takes the place
//! of something newer. From what is lacking of each `peer` follows where this node stands.
//!
//! As all of the engine it does no I/O and asks for no clock.

mod budget;
mod elsewhere;
mod giving;
mod gone;
mod greeting;
mod hearing;
mod hellos;
mod holes;
mod merge;
mod pacing;
mod peer;
mod pulling;
mod random;
mod reading;
mod received;
mod refused;
mod repeats;
mod ring;
mod serial;
mod speaking;
mod standing;
mod strangers;
mod taking;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use budget::Budget;
pub use hearing::{Contents, Delivery};
#[cfg(test)]
pub use merge::Empty;
pub use merge::{Table, keep_later};
pub use peer::Peer;
pub use strangers::Stranger;
pub use taking::Part;

use crate::engine::Count;
use crate::wire::extension::{Header, Hello, Kind, Node};
use giving::Giving;
use gone::Gone;
use hellos::Hellos;
use holes::Holes;
use pacing::Pacing;
use peer::SILENT_PERIODS;
use pulling::Pulling;
use random::Random;
use refused::Refused;
use repeats::Repeats;
use ring::Ring;
use serial::ahead;
use strangers::Strangers;

/// The most nodes that are known at a time. Of others, sessions are taken as from upstream's daemons.
const MOST_PEERS: usize = 32;

/// The least time between two changes of the own number.
const RENAME_PAUSE: Duration = Duration::from_secs(10);

/// How many own numbers are remembered.
const MOST_FORMER: usize = 4;

/// What can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often hello is said while nothing happens.
    pub period: Duration,
    /// How many bytes of sessions can be repeated.
    pub ring: usize,
    /// How long after one node began to read the table another one may.
    pub table_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(1),
            ring: 1 << 20,
            table_interval: Duration::from_secs(1),
        }
    }
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A node was heard of for the first time, or again.
    PeerCame(Node, SocketAddr),
    /// A node has been silent for too long.
    PeerGone(Node, SocketAddr),
    /// So many sessions of a node's table were read.
    TableRead(Node, SocketAddr, u64),
    /// Another node has the number of this one, which takes another.
    Renamed(SocketAddr),
}

/// What passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams of peers that did not come when they should have.
    pub lost: u64,
    /// Of those, came late or again.
    pub repaired: u64,
    /// Datagrams that came twice.
    pub doubled: u64,
    /// Datagrams that could not be repeated any more, or were too many, so that tables were read.
    pub given_up: u64,
    /// How often the kernel was made to wait for a peer.
    pub held_back: u64,
    /// Own datagrams that were repeated.
    pub repeated: u64,
    /// Parts of the own table that were given.
    pub parts_given: u64,
    /// Parts of others' tables that were taken.
    pub parts_taken: u64,
    /// Messages that went out, the last two included.
    pub messages_sent: u64,
    /// Messages that came.
    pub messages_received: u64,
}

impl Tally {
    /// What was counted.
    pub fn counts(&self) -> [Count; 10] {
        [
            Count::total("datagrams_missed", "datagrams missed", self.lost)
                .meaning("datagrams of other routers that did not come in their turn"),
            Count::total("datagrams_repaired", "of those, made up for", self.repaired)
                .meaning("missed datagrams that came later, by themselves or repeated"),
            Count::total(
                "datagrams_given_up",
                "of those, given up, so that tables were read",
                self.given_up,
            )
            .meaning("missed datagrams that were given up, so that tables were read"),
            Count::total(
                "datagrams_doubled",
                "datagrams that came twice",
                self.doubled,
            ),
            Count::total(
                "datagrams_repeated",
                "own datagrams repeated",
                self.repeated,
            )
            .meaning("own datagrams repeated for others"),
            Count::total(
                "kernel_held_back",
                "made the kernel wait for a peer",
                self.held_back,
            )
            .meaning("how often the kernel was made to wait for a peer"),
            Count::total(
                "table_parts_given",
                "parts of the own table given",
                self.parts_given,
            ),
            Count::total(
                "table_parts_taken",
                "parts of other tables taken",
                self.parts_taken,
            ),
            Count::total(
                "messages_sent",
                "messages to the other daemons",
                self.messages_sent,
            ),
            Count::total(
                "messages_received",
                "messages from the other daemons",
                self.messages_received,
            ),
        ]
    }
}

/// One node, as the others see it, and what it knows of them.
#[derive(Debug)]
pub struct Sync {
    options: Options,
    node: Node,
    /// That of the last datagram of sessions.
    number: u32,
    holes: Holes,
    ring: Ring,
    peers: Vec<Peer>,
    gone: Gone,
    random: Random,
    hellos: Hellos,
    repeats: Repeats,
    giving: Giving,
    pulling: Pulling,
    pacing: Pacing,
    strangers: Strangers,
    /// Which instance's table is served, if any.
    kernel: Option<u32>,
    /// How many there were, modulo [`Hello::INSTANCES`].
    instances: u8,
    /// Up to which number another one's sessions were told.
    told_of_another: Option<u32>,
    /// How many sessions it had when it was looked at last.
    sessions: u32,
    /// When time was told last.
    now: Instant,
    /// Until then, somebody may be there who was not heard of yet.
    listens_until: Instant,
    /// Whether nothing was lacking at some time since the kernel came.
    was_complete: bool,
    renamed: Option<Instant>,
    /// The own numbers before, the latest few.
    former: Vec<Node>,
    /// What others have to give that the kernel did not take.
    refused: Refused,
    news: Vec<News>,
    tally: Tally,
}

impl Sync {
    /// One that has heard of nobody. `seed` should be another one at each start.
    pub fn new(options: Options, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        Self {
            options,
            node: random.next() as Node,
            number: 0,
            holes: Holes::new(now),
            ring: Ring::new(options.ring, 0),
            peers: Vec::new(),
            gone: Gone::default(),
            random,
            hellos: Hellos::new(now),
            repeats: Repeats::new(now),
            giving: Giving::new(now, options.table_interval),
            pulling: Pulling::default(),
            pacing: Pacing::default(),
            strangers: Strangers::default(),
            kernel: None,
            instances: 0,
            told_of_another: None,
            refused: Refused::new(now),
            former: Vec::new(),
            sessions: 0,
            now,
            listens_until: now + options.period * SILENT_PERIODS,
            was_complete: false,
            renamed: None,
            news: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// One that goes on counting.
    #[must_use]
    pub fn having_counted(mut self, tally: Tally) -> Self {
        self.tally = tally;
        self
    }

    /// Its options.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Other options from here on; the ring begins anew if it has another size.
    pub fn set_options(&mut self, now: Instant, options: Options) {
        if options.ring != self.options.ring {
            self.ring = Ring::new(options.ring, self.number);
        }
        self.giving.set_interval(options.table_interval);
        self.options = options;
        self.hellos.hasten(now);
    }

    /// The number that others know this node by.
    pub fn node(&self) -> Node {
        self.node
    }

    /// The other nodes.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The time that was told last.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Those who send sessions without numbers, as upstream's daemons do, and when they did last.
    pub fn strangers(&self) -> &[Stranger] {
        self.strangers.known()
    }

    /// Sessions without a number came.
    pub fn on_plain(&mut self, now: Instant, source: SocketAddr) {
        self.strangers.heard(now, source);
    }

    /// What passed.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether the instance is to be looked at before anything of its table is given; it is now.
    pub fn take_table_asked(&mut self) -> bool {
        self.giving.take_asked()
    }

    /// How many ranges wait to be repeated, and how many nodes for the table.
    #[doc(hidden)]
    pub fn waiting(&self) -> [usize; 2] {
        [self.repeats.waiting(), self.giving.waiting()]
    }

    /// The trailer of a new datagram of sessions.
    pub fn stamp(&mut self) -> Header {
        self.number = self.number.wrapping_add(1);
        Header {
            kind: Kind::Sessions,
            node: self.node,
            number: self.number,
        }
    }

    /// The datagram of that number went out, or could not: it can be repeated.
    pub fn record<'a>(
        &mut self,
        now: Instant,
        number: u32,
        sessions: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        self.ring.record(number, now, sessions);
        let can_repeat = |told: &u32| ahead(self.ring.oldest(), *told) >= 0;
        self.told_of_another = self.told_of_another.filter(can_repeat);
        self.hellos.follow(now);
    }

    /// Some of the own updates are lost for good: the others have to read the table.
    pub fn lost_own(&mut self, now: Instant) {
        self.holes.lose(now);
        self.tell_hole(now);
    }

    fn tell_hole(&mut self, now: Instant) {
        if self.holes.elapse(now) {
            self.hellos.hasten(now);
        }
    }

    /// Which instance is served, by a number that is another one for each, and how many sessions it has.
    /// A new one is empty, or nobody knows what it has.
    /// Tells whether it is another one than before.
    pub fn serve(&mut self, now: Instant, kernel: Option<u32>, sessions: u32) -> bool {
        self.sessions = sessions;
        if self.kernel == kernel {
            return false;
        }
        self.kernel = kernel;
        self.was_complete = false;
        self.refused = Refused::new(now);
        if kernel.is_some() {
            // What it translated before it was looked at, it told to nobody.
            self.holes.renew();
            self.instances = (self.instances + 1) % Hello::INSTANCES;
        }
        self.told_of_another = Some(self.number);
        self.hellos.hasten(now);
        self.pulling.end();
        self.giving.end();
        for peer in &mut self.peers {
            match kernel {
                Some(_) => peer.miss(now),
                None => peer.want_nothing(),
            }
        }
        self.plan(now);
        true
    }

    /// What others have to give was not taken by the kernel.
    pub fn miss_all(&mut self, now: Instant) {
        if self.kernel.is_some() {
            self.refused.note(now);
            self.miss_refused(now);
        }
    }

    /// All tables are needed for what the kernel did not take, but not all the time.
    fn miss_refused(&mut self, now: Instant) {
        let Some(since) = self.refused.elapse(now) else {
            return;
        };
        for peer in &mut self.peers {
            peer.miss(since);
        }
        self.plan(now);
    }

    /// The same of what came from there.
    pub fn miss_from(&mut self, now: Instant, source: SocketAddr) {
        if self.kernel.is_none() {
            return;
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.source == source) {
            peer.miss(now);
        }
        self.plan(now);
    }

    /// What an operator should know, the oldest first.
    pub fn news(&mut self) -> std::vec::Drain<'_, News> {
        self.news.drain(..)
    }

    /// For tests: all tables were read.
    #[cfg(test)]
    pub(crate) fn read_all(&mut self) {
        for peer in &mut self.peers {
            let number = peer.received.high();
            peer.has_read(number, 0);
        }
    }

    fn find(&self, node: Node) -> Option<usize> {
        self.peers.iter().position(|peer| peer.node == node)
    }

    /// Whether this node has that number, or had it before.
    fn was_self(&self, node: Node) -> bool {
        node == self.node || self.former.contains(&node)
    }

    /// Another node has this one's number.
    fn rename(&mut self, now: Instant, source: SocketAddr) {
        let paused = self.renamed.is_some_and(|when| now < when + RENAME_PAUSE);
        if paused {
            return;
        }
        self.renamed = Some(now);
        if self.former.len() >= MOST_FORMER {
            self.former.remove(0);
        }
        self.former.push(self.node);
        self.node = self.random.next() as Node;
        self.news.push(News::Renamed(source));
        self.hellos.hasten(now);
    }

    /// Plans to read what is needed, after a moment in which others may begin.
    fn plan(&mut self, now: Instant) {
        for peer in &mut self.peers {
            if peer.need.is_none() && std::mem::take(&mut peer.has_of_another) {
                // Who has read the own table before lacks what was told by another instance, too.
                self.holes.lose(now);
            }
        }
        self.tell_hole(now);
        let is_needed = self.kernel.is_some() && self.peers.iter().any(|peer| peer.need.is_some());
        if is_needed {
            let wait = self.random.up_to(Duration::from_millis(30));
            self.pulling.plan(now + wait);
        } else {
            self.pulling.end();
        }
    }
}

#[cfg(test)]
mod tests;
