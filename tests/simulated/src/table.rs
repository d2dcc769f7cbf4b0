//! The session table of one instance: sessions, and the masks (BIB entries) that they hang from.
//!
//! A mask ties one IPv6 transport address to one IPv4 transport address of pool4. A session that
//! comes from a peer is looked up by its IPv6 source and then by its IPv4 destination, and that
//! order decides which collisions are noticed: see [`Outcome`].

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::ops::Bound;
use std::time::Duration;

use joold::wire::session::{Protocol, Session, State, Timer};

use crate::entry::Incoming;
use crate::globals::Globals;

/// An IPv6 transport address.
pub type Address6 = (Ipv6Addr, u16);

/// What became of a session that a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new. If its IPv6 source had a mask already it got that one, whatever the peer said.
    Added,
    /// It was there; state, timer and lifetime are the peer's now.
    Updated,
    /// Its mask belongs to another IPv6 source. The module drops it and reports success.
    MaskTaken,
    /// The session with that IPv6 source and IPv4 destination differs otherwise: an error.
    Collides,
}

#[derive(Clone, Debug)]
struct Row {
    source6: Address6,
    destination6: Address6,
    /// As a number: the module believes a peer who says 7.
    state: u8,
    timer: Timer,
    /// Milliseconds since the model's start; negative if a peer said so.
    updated: i64,
}

/// A session as the table holds it: for the queue, and for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// All but the lifetime. A state that does not exist shows as [`State::Transitory`].
    pub session: Session,
    /// The state as a number.
    pub state: u8,
    /// When the session's time is up; milliseconds since the model's start.
    pub dies: i64,
}

impl Entry {
    /// The session with what is left of its lifetime, as the module writes it.
    pub fn at(&self, now: Duration) -> Session {
        let left = (self.dies - milliseconds(now)).max(0);
        Session {
            expiration: u32::try_from(left).unwrap_or(u32::MAX),
            ..self.session
        }
    }
}

/// `time` as the table counts it.
pub fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Clone, Debug, Default)]
struct Sessions {
    masks: BTreeMap<Address6, SocketAddrV4>,
    owners: BTreeMap<SocketAddrV4, Address6>,
    rows: BTreeMap<(SocketAddrV4, SocketAddrV4), Row>,
}

impl Sessions {
    fn insert(&mut self, mask: SocketAddrV4, destination: SocketAddrV4, row: Row) {
        self.masks.insert(row.source6, mask);
        self.owners.insert(mask, row.source6);
        self.rows.insert((mask, destination), row);
    }

    fn remove(&mut self, mask: SocketAddrV4, destination: SocketAddrV4) {
        self.rows.remove(&(mask, destination));
        let lowest = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let mut others = self.rows.range((mask, lowest)..).map(|((mask, _), _)| mask);
        if others.next() != Some(&mask) {
            if let Some(owner) = self.owners.remove(&mask) {
                self.masks.remove(&owner);
            }
        }
    }
}

/// The tables of the three protocols.
#[derive(Clone, Debug, Default)]
pub struct Table {
    tcp: Sessions,
    udp: Sessions,
    icmp: Sessions,
}

/// The order in which the module walks its tables.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp];

impl Table {
    fn of(&self, protocol: Protocol) -> &Sessions {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
            Protocol::Icmp => &self.icmp,
        }
    }

    fn of_mut(&mut self, protocol: Protocol) -> &mut Sessions {
        match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
            Protocol::Icmp => &mut self.icmp,
        }
    }

    /// Sessions of all protocols.
    pub fn len(&self) -> usize {
        PROTOCOLS.iter().map(|&p| self.of(p).rows.len()).sum()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Masks of all protocols.
    pub fn masks(&self) -> usize {
        PROTOCOLS.iter().map(|&p| self.of(p).masks.len()).sum()
    }

    /// A translated packet of `session`: it is created, or its lifetime begins anew. Returns it as
    /// it stands in the table, or nothing if its mask belongs to somebody else.
    pub fn translate(
        &mut self,
        session: &Session,
        now: Duration,
        globals: &Globals,
    ) -> Option<Entry> {
        let table = self.of_mut(session.protocol);
        let mask = *table
            .masks
            .get(&session.source6)
            .unwrap_or(&session.source4);
        if *table.owners.get(&mask).unwrap_or(&session.source6) != session.source6 {
            return None;
        }
        let row = Row {
            source6: session.source6,
            destination6: session.destination6?,
            state: session.state as u8,
            timer: session.timer,
            updated: milliseconds(now),
        };
        let entry = entry(session.protocol, mask, session.destination4, &row, globals);
        table.insert(mask, session.destination4, row);
        Some(entry)
    }

    /// A session from a peer.
    pub fn add(&mut self, incoming: &Incoming, now: Duration, globals: &Globals) -> Outcome {
        let Session {
            source6,
            source4,
            mut destination4,
            protocol,
            timer,
            ..
        } = incoming.session;
        let lifetime = i64::from(incoming.session.expiration);
        let timeout = i64::from(incoming.timeout(globals));
        let row = Row {
            source6,
            destination6: incoming.destination6,
            state: incoming.state,
            timer,
            updated: milliseconds(now) + lifetime - timeout,
        };
        let table = self.of_mut(protocol);
        let Some(&mask) = table.masks.get(&source6) else {
            if table.owners.contains_key(&source4) {
                return Outcome::MaskTaken;
            }
            table.insert(source4, destination4, row);
            return Outcome::Added;
        };
        if protocol == Protocol::Icmp {
            destination4.set_port(mask.port());
        }
        let Some(old) = table.rows.get_mut(&(mask, destination4)) else {
            table.insert(mask, destination4, row);
            return Outcome::Added;
        };
        let same = old.destination6 == row.destination6
            && mask == source4
            && destination4 == incoming.session.destination4;
        if !same {
            return Outcome::Collides;
        }
        *old = row;
        Outcome::Updated
    }

    /// The sessions of one protocol in the module's order, which is that of their IPv4 addresses.
    pub fn list<'a>(
        &'a self,
        protocol: Protocol,
        globals: &'a Globals,
    ) -> impl Iterator<Item = Entry> + 'a {
        self.list_after(protocol, None, globals)
    }

    /// The sessions of one protocol that follow the place of these IPv4 addresses, whether or not a
    /// session stands there.
    pub fn list_after<'a>(
        &'a self,
        protocol: Protocol,
        after: Option<(SocketAddrV4, SocketAddrV4)>,
        globals: &'a Globals,
    ) -> impl Iterator<Item = Entry> + 'a {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.of(protocol).rows.range((start, Bound::Unbounded)).map(
            move |((mask, destination), row)| entry(protocol, *mask, *destination, row, globals),
        )
    }

    /// The session of these IPv4 addresses.
    pub fn get(
        &self,
        protocol: Protocol,
        (mask, destination): (SocketAddrV4, SocketAddrV4),
        globals: &Globals,
    ) -> Option<Entry> {
        let row = self.of(protocol).rows.get(&(mask, destination))?;
        Some(entry(protocol, mask, destination, row, globals))
    }

    /// Forgets sessions whose time is up. A TCP connection that was established gets a second life
    /// with the transitory timeout (RFC 6146, section 3.5.2.2).
    pub fn clean(&mut self, now: Duration, globals: &Globals) {
        let now = milliseconds(now);
        for protocol in PROTOCOLS {
            let table = self.of_mut(protocol);
            let mut dead = Vec::new();
            for (key, row) in &mut table.rows {
                if now < row.updated + i64::from(globals.timeout(protocol, row.timer)) {
                    continue;
                }
                let established = row.state == State::Established as u8;
                if protocol == Protocol::Tcp && row.timer == Timer::Established && established {
                    row.state = State::Transitory as u8;
                    row.timer = Timer::Transitory;
                    row.updated = now;
                } else {
                    dead.push(*key);
                }
            }
            for (mask, destination) in dead {
                table.remove(mask, destination);
            }
        }
    }
}

fn entry(
    protocol: Protocol,
    mask: SocketAddrV4,
    destination4: SocketAddrV4,
    row: &Row,
    globals: &Globals,
) -> Entry {
    Entry {
        session: Session {
            source6: row.source6,
            destination6: Some(row.destination6),
            source4: mask,
            destination4,
            protocol,
            state: state(row.state),
            timer: row.timer,
            expiration: 0,
        },
        state: row.state,
        dies: row.updated + i64::from(globals.timeout(protocol, row.timer)),
    }
}

fn state(number: u8) -> State {
    const STATES: [State; 7] = [
        State::Established,
        State::V6Init,
        State::V4Init,
        State::V4FinReceived,
        State::V6FinReceived,
        State::BothFinReceived,
        State::Transitory,
    ];
    *STATES
        .get(usize::from(number))
        .unwrap_or(&State::Transitory)
}
