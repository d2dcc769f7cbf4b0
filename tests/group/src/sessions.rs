//! The sessions of a run: which there are, and when each was really used.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use jool_simulated::table::Entry;
use joold::wire::page::Key;
use joold::wire::session::{Protocol, Session, State, Timer};

use crate::random::Random;

/// A session, by its number.
pub type Id = usize;

/// How many sessions share a mask.
const PER_MASK: usize = 2;

/// The port of the first mask.
const FIRST_PORT: u16 = 1024;

/// The protocol of a session.
pub fn protocol(id: Id) -> Protocol {
    Protocol::ALL[[0, 1, 1, 0, 2][(id / PER_MASK) % 5]]
}

/// Its place in the table of its protocol.
pub fn key(id: Id) -> Key {
    let port = FIRST_PORT + (id / PER_MASK) as u16;
    let host = 1 + (id % PER_MASK) as u8;
    let destination = match protocol(id) {
        Protocol::Icmp => port,
        Protocol::Tcp | Protocol::Udp => 443,
    };
    Key {
        source4: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), port),
        destination4: SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, host), destination),
    }
}

/// The session with that place, if it is one of a run's.
pub fn id_of(session: &Session) -> Option<Id> {
    let port = session.source4.port().checked_sub(FIRST_PORT)?;
    let host = session.destination4.ip().octets()[3].checked_sub(1)?;
    let id = usize::from(port) * PER_MASK + usize::from(host);
    (usize::from(host) < PER_MASK && protocol(id) == session.protocol).then_some(id)
}

/// The session in that stage.
pub fn session(id: Id, (state, timer): (State, Timer)) -> Session {
    let Key {
        source4,
        destination4,
    } = key(id);
    let mask = (id / PER_MASK) as u16;
    Session {
        source6: (
            Ipv6Addr::new(0x2001, 0xdb8, 6, 0, 0, 0, 0, mask),
            40_000 + mask % 1000,
        ),
        destination6: None,
        source4,
        destination4,
        protocol: protocol(id),
        state,
        timer,
        expiration: 0,
    }
}

/// In which stage a packet leaves a session that was in that of `before`, if it was there. Nothing if
/// the packet changes nothing.
pub fn next_stage(id: Id, before: Option<&Entry>, random: &mut Random) -> Option<(State, Timer)> {
    use State::*;
    let established = (Established, Timer::Established);
    if protocol(id) != Protocol::Tcp {
        return Some(established);
    }
    let closing = |state| (state, Timer::Established);
    let Some(before) = before else {
        return Some(match random.chance(0.85) {
            true => (V6Init, Timer::Transitory),
            false => (V4Init, Timer::IncomingSyn),
        });
    };
    let dice = random.share();
    Some(match before.session.state {
        V6Init if dice < 0.2 => (V6Init, Timer::Transitory),
        V6Init | V4Init => established,
        Established if dice < 0.05 => closing(V4FinReceived),
        Established if dice < 0.10 => closing(V6FinReceived),
        Established if dice < 0.12 => (Transitory, Timer::Transitory),
        Established => established,
        V4FinReceived | V6FinReceived if dice < 0.4 => (BothFinReceived, Timer::Transitory),
        V4FinReceived => closing(V4FinReceived),
        V6FinReceived => closing(V6FinReceived),
        BothFinReceived => return None,
        Transitory if dice < 0.5 => established,
        Transitory => return None,
    })
}

/// Whether a copy in that stage tells when it was used last: see [`joold::wire::lifetime`].
pub fn is_certain(session: &Session) -> bool {
    session.protocol != Protocol::Tcp || session.timer != Timer::IncomingSyn
}

/// When each session was really used, in milliseconds since the start: its packets, and the times when a
/// kernel's timer made an established connection transitory, which counts as a reset.
#[derive(Clone, Debug, Default)]
pub struct Uses(Vec<Vec<i64>>);

impl Uses {
    /// A session was used.
    pub fn add(&mut self, id: Id, when: i64) {
        if self.0.len() <= id {
            self.0.resize(id + 1, Vec::new());
        }
        self.0[id].push(when);
    }

    /// The use that a copy reflects whose lifetime began at `begins`, milliseconds since the start: the
    /// last one before, but for what rounding takes off.
    pub fn reflected(&self, id: Id, begins: i64) -> Option<i64> {
        let uses = self.0.get(id)?;
        let fits = |&&one: &&i64| one <= begins + 2;
        uses.iter().rev().find(fits).or(uses.first()).copied()
    }
}
