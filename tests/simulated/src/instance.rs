//! One instance of the translator: its table, its queue, its globals, its counters.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use joold::wire::jool::{InstanceName, Version};
use joold::wire::netlink::{Attribute, Attributes, FLAG_NESTED, put_attribute};
use joold::wire::session::{Protocol, Session};

use crate::entry::{self, Incoming};
use crate::globals::Globals;
use crate::queue::{Context, Queue};
use crate::statistics::Statistics;
use crate::table::{Entry, Outcome, PROTOCOLS, Table};

/// The well-known prefix, which is every instance's IPv6 pool.
pub const POOL6: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// An entry of pool4: one address and its ports, first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Pool4Entry {
    pub protocol: Protocol,
    pub address: Ipv4Addr,
    pub ports: (u16, u16),
}

impl Pool4Entry {
    /// As the module lists it.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut prefix = Vec::new();
        put_attribute(&mut prefix, 1, &self.address.octets());
        put_attribute(&mut prefix, 2, &[32]);
        let mut out = Vec::new();
        put_attribute(&mut out, 1, &0u32.to_ne_bytes());
        put_attribute(&mut out, 2, &0u32.to_ne_bytes());
        put_attribute(&mut out, 3, &[1]);
        put_attribute(&mut out, 4, &[self.protocol as u8]);
        put_attribute(&mut out, FLAG_NESTED | 5, &prefix);
        put_attribute(&mut out, 6, &self.ports.0.to_ne_bytes());
        put_attribute(&mut out, 7, &self.ports.1.to_ne_bytes());
        out
    }
}

/// Sessions that leave together.
pub type Batch = Vec<Entry>;

/// The request failed, and this is what the module tells the client; it may be nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed(pub String);

/// A NAT64 instance.
#[derive(Clone, Debug)]
pub struct Instance {
    name: InstanceName,
    version: Version,
    /// What `jool global` shows.
    pub globals: Globals,
    /// What `jool pool4` shows. Empty, as the router's own addresses; it is listed and nothing else.
    pub pool4: Vec<Pool4Entry>,
    table: Table,
    queue: Queue,
    statistics: Statistics,
}

impl Instance {
    /// An instance that is created now, with the module's defaults.
    pub fn new(name: InstanceName, version: Version, now: Duration) -> Self {
        Self {
            name,
            version,
            globals: Globals::of(version),
            pool4: Vec::new(),
            table: Table::default(),
            queue: Queue::new(now),
            statistics: Statistics::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> InstanceName {
        self.name
    }

    /// Its session table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Updates that wait for a batch.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Its counters.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            bib_entries: self.table.masks() as u64,
            sessions: self.table.len() as u64,
            ..self.statistics
        }
    }

    fn parts(&mut self, now: Duration) -> (&mut Queue, Context<'_>) {
        let context = Context {
            now,
            version: self.version,
            globals: &self.globals,
            statistics: &mut self.statistics,
        };
        (&mut self.queue, context)
    }

    /// A packet of `session` was translated. Returns the batch that leaves because of it.
    pub fn translate(&mut self, session: &Session, now: Duration) -> Option<Batch> {
        let mut session = *session;
        session.destination6 = session
            .destination6
            .or_else(|| Some(entry::embed(POOL6, &session)));
        let entry = self.table.translate(&session, now, &self.globals)?;
        if !self.globals.ss_enabled {
            return None;
        }
        let (queue, mut context) = self.parts(now);
        queue.push(entry, &mut context)
    }

    /// `JOOLD_ADD` with the contents of its container.
    ///
    /// # Errors
    /// When synchronization is off, or any session was refused. The others are in the table.
    pub fn add(&mut self, container: &[u8], now: Duration) -> Result<(), Failed> {
        self.refuse_if_disabled()?;
        let mut good = true;
        let mut said = String::new();
        let mut count = 0;
        // The kernel's walk ends without a word at the first attribute that does not fit.
        for attribute in Attributes::new(container).map_while(Result::ok) {
            good &= self.add_one(&attribute, now, &mut said);
            count += 1;
        }
        self.statistics.sessions_received += count;
        self.statistics.packets_received += 1;
        if good { Ok(()) } else { Err(Failed(said)) }
    }

    fn add_one(&mut self, attribute: &Attribute<'_>, now: Duration, said: &mut String) -> bool {
        let format = entry::format(self.version);
        let incoming = match Incoming::parse(attribute, format, POOL6) {
            Ok(incoming) => incoming,
            Err(why) => {
                said.push_str(&why);
                return false;
            }
        };
        if !incoming.timer_exists {
            said.push_str("sessiondb_add() threw unknown error code -22.");
            return false;
        }
        self.table.add(&incoming, now, &self.globals) != Outcome::Collides
    }

    /// `JOOLD_ADVERTISE`.
    ///
    /// # Errors
    /// When synchronization is off or an advertisement is going on.
    pub fn advertise(&mut self, now: Duration) -> Result<Option<Batch>, Failed> {
        self.refuse_if_disabled()?;
        let globals = &self.globals;
        let table = PROTOCOLS
            .iter()
            .flat_map(|&protocol| self.table.list(protocol, globals))
            .collect();
        let (queue, mut context) = self.parts(now);
        queue
            .advertise(table, &mut context)
            .map_err(|_| Failed("joold advertisement already in progress.".to_owned()))
    }

    /// `JOOLD_ACK`: it never fails, not even while synchronization is off.
    pub fn acknowledge(&mut self, now: Duration) -> Option<Batch> {
        self.refuse_if_disabled().ok()?;
        let (queue, mut context) = self.parts(now);
        queue.acknowledge(&mut context)
    }

    /// What the module does every two seconds: forget old sessions, look at the queue.
    pub fn tick(&mut self, now: Duration) -> Option<Batch> {
        self.table.clean(now, &self.globals);
        if !self.globals.ss_enabled {
            return None;
        }
        let (queue, mut context) = self.parts(now);
        queue.flush(&mut context)
    }

    /// A batch was handed to netlink.
    pub fn count_sent(&mut self, sessions: usize) {
        self.statistics.sessions_sent += sessions as u64;
        self.statistics.packets_sent += 1;
    }

    fn refuse_if_disabled(&self) -> Result<(), Failed> {
        if self.globals.ss_enabled {
            return Ok(());
        }
        Err(Failed(
            "Session sync is disabled on this instance.".to_owned(),
        ))
    }
}
