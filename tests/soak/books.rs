//! The accounts: what a daemon says that it did, beside what its kernel and its network saw.

use jool_simulated::node::{INSTANCE, Node};
use jool_simulated::requests;
use joold::engine::Reason;
use joold::wire::jool::Command;

use crate::told::Told;

/// The instance that the daemon does not serve.
pub const OTHER: &str = "other";

/// A session as the wire has it.
const SESSION: u64 = 40;

/// What the kernel, the network and the test itself have counted since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Batches that the instance gave.
    pub batches: u64,
    /// Sessions in them.
    pub sessions: u64,
    /// Batches of the other instance.
    pub others: u64,
    /// Messages to the group that are no batches.
    pub junk: u64,
    /// Messages to the socket from somebody who is not the kernel.
    pub forged: u64,
    /// `JOOLD_ADD`s that reached the module.
    pub adds: u64,
    /// Requests that it answered with an error.
    pub refusals: u64,
    /// `JOOLD_ACK`s that came while it was not loaded.
    pub late_acks: u64,
    /// Answers that were lost on their way.
    pub undelivered: u64,
    /// Datagrams that somebody received.
    pub received: u64,
    /// Datagrams for which a receive buffer had no room.
    pub overrun: u64,
}

impl Facts {
    /// Those of now, without what only the test knows. `snmp6` is the namespace's file of that name.
    pub fn read(node: &Node, snmp6: &str) -> Self {
        let module = node.kernel.module();
        let own = module.counted(&requests::name(INSTANCE));
        let others = module.counted(&requests::name(OTHER));
        let adds = module.asked(Command::JooldAdd);
        let acks = module.asked(Command::JooldAck);
        drop(module);
        Self {
            batches: own.packets_sent,
            sessions: own.sessions_sent,
            others: others.packets_sent,
            adds: adds.reached,
            refusals: adds.refused + acks.refused,
            late_acks: acks.too_late,
            undelivered: node.kernel.undelivered(),
            received: snmp(snmp6, "Udp6InDatagrams"),
            overrun: snmp(snmp6, "Udp6RcvbufErrors"),
            ..Self::default()
        }
    }

    /// What happened since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            batches: self.batches - earlier.batches,
            sessions: self.sessions - earlier.sessions,
            others: self.others - earlier.others,
            junk: self.junk - earlier.junk,
            forged: self.forged - earlier.forged,
            adds: self.adds - earlier.adds,
            refusals: self.refusals - earlier.refusals,
            late_acks: self.late_acks - earlier.late_acks,
            undelivered: self.undelivered - earlier.undelivered,
            received: self.received - earlier.received,
            overrun: self.overrun - earlier.overrun,
        }
    }
}

fn snmp(file: &str, name: &str) -> u64 {
    let mut lines = file
        .lines()
        .filter_map(|line| line.split_once(char::is_whitespace));
    let found = lines.find(|(key, _)| *key == name);
    found.map_or(0, |(_, value)| value.trim().parse().unwrap_or_default())
}

/// What must be the same: what it is, and both sides.
type Account = (&'static str, u64, u64);

/// What does not add up, a line each; nothing if all does.
pub fn differences(facts: &Facts, told: &Told) -> Vec<String> {
    let mut accounts = vec![
        messages(facts, told),
        (
            "messages from strangers: sent, ignored",
            facts.forged,
            told.lost(&[Reason::NotFromKernel]),
        ),
        batches(told),
        updates(told),
        (
            "datagrams: received from the socket, received or too long",
            facts.received,
            told.count("from the network")
                + told.count("messages from the other daemons")
                + told.count("datagrams that came twice")
                + told.lost(&[
                    Reason::OversizedDatagram,
                    Reason::OwnDatagram,
                    Reason::NotAllowed,
                ]),
        ),
        (
            "datagrams lost at the socket: by the system's count, by the daemon's",
            facts.overrun,
            told.lost(&[Reason::NetworkOverrun]),
        ),
    ];
    if told.lost(&[Reason::KernelOverrun]) == 0 {
        accounts.push((
            "bytes of sessions from the kernel: given, received",
            facts.sessions * SESSION,
            told.bytes("batches from the kernel"),
        ));
    }
    // What an answer that was lost would have told, nobody knows.
    if facts.undelivered == 0 {
        accounts.extend([datagrams(facts, told), refusals(facts, told)]);
    }
    accounts
        .into_iter()
        .filter(|(_, one, other)| one != other)
        .map(|(what, one, other)| format!("{what}: {one}, {other}"))
        .collect()
}

fn messages(facts: &Facts, told: &Told) -> Account {
    (
        "messages to the group: sent, received or lost",
        facts.batches + facts.others + facts.junk,
        told.count("batches from the kernel")
            + told.lost(&[
                Reason::OtherInstance,
                Reason::ForeignMessage,
                Reason::ForeignVersion,
                Reason::MalformedMessage,
                Reason::TruncatedMessage,
                Reason::KernelOverrun,
            ]),
    )
}

fn batches(told: &Told) -> Account {
    (
        "batches: in and released, out or not sent, shared, withheld",
        told.count("batches from the kernel") + told.count("parts made of held updates"),
        told.count("datagrams to the network")
            + told.lost(&[Reason::NotSent, Reason::InterfaceMissing])
            + told.count("parts that shared a datagram")
            + told.count("batches merged or held entirely"),
    )
}

fn updates(told: &Told) -> Account {
    (
        "bytes of sessions: in or told again, out or not sent, merged, held, given up",
        told.bytes("batches from the kernel") + SESSION * told.count("updates told again"),
        told.bytes("datagrams to the network")
            + told.count("bytes not sent")
            + SESSION
                * (told.count("updates merged into later ones")
                    + told.count("held")
                    + told.lost(&[Reason::HeldNotSent, Reason::OtherFormat])),
    )
}

fn datagrams(facts: &Facts, told: &Told) -> Account {
    // What came without a module to take it has one counter, acknowledgements that came too late too.
    (
        "datagrams, and acknowledgements that came too late: received, added or dropped",
        told.count("from the network")
            + told.count("repeats and parts of tables received")
            + facts.late_acks,
        facts.adds
            + told.count("of those and of datagrams, had nothing new")
            + told.lost(&[
                Reason::ModuleMissing,
                Reason::NotTaken,
                Reason::EmptyDatagram,
                Reason::MalformedDatagram,
                Reason::ForeignDatagram,
                Reason::BadSession,
                Reason::NoSessions,
                Reason::AddNotSent,
            ]),
    )
}

fn refusals(facts: &Facts, told: &Told) -> Account {
    (
        "refusals: by the kernel's count, by the daemon's",
        facts.refusals,
        told.lost(&[
            Reason::AddRefused,
            Reason::AckRefused,
            Reason::InstanceMissing,
            Reason::NotPermitted,
        ]),
    )
}
