//! Messages and datagrams, made of a script's decisions.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use joold::wire::jool::{Command, InstanceName, Version, root};
use joold::wire::netlink::{self, FLAG_NESTED, put_attribute};
use joold::wire::request::{Address, Plain};
use joold::wire::session::{Format, Protocol, Session, State, Timer};

use crate::script::Script;

/// Of the modules that come and go. The last one speaks another language.
pub const VERSIONS: [Version; 4] = [
    Version::new(4, 1, 13),
    Version::new(4, 1, 12),
    Version::new(4, 1, 9),
    Version::new(5, 0, 0),
];

/// As the file has it, in another case, and another instance.
pub const INSTANCES: [&str; 3] = ["default", "DEFAULT", "other"];

/// A message of the kernel: a batch as a module writes it.
pub fn batch(script: &mut Script<'_>, family: u16) -> Option<Vec<u8>> {
    let kind = usize::from(script.byte()?);
    let address = Address {
        family,
        version: VERSIONS[kind % 4],
        instance: InstanceName::new(INSTANCES[(kind >> 2) % 3]).expect("a name"),
    };
    let row = row(script, Format::of(address.version))?;
    let mut message = Plain::new(&address, Command::JooldAck).bytes().to_vec();
    put_attribute(&mut message, FLAG_NESTED | root::SESSION_ENTRIES, &row);
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    // The kernel numbers no batch, and gives it no command.
    message[8..12].fill(0);
    message[netlink::Message::HEADER] = 0;
    Some(message)
}

/// Up to 15 sessions.
pub fn row(script: &mut Script<'_>, format: Format) -> Option<Vec<u8>> {
    let mut row = Vec::new();
    for _ in 0..script.byte()? % 16 {
        session(script)?.emit(format, &mut row);
    }
    Some(row)
}

/// One of 64, in one of its stages.
fn session(script: &mut Script<'_>) -> Option<Session> {
    let (which, stage) = (script.byte()? % 64, script.byte()?);
    let number = u16::from(which);
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp][usize::from(which) % 3];
    let (state, timer) = match protocol {
        Protocol::Tcp => stages(stage),
        _ => (State::Established, Timer::Established),
    };
    let destination4 = Ipv4Addr::new(203, 0, 113, which);
    let destination6 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xcb00, 0x7100 | number);
    Some(Session {
        source6: (
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number),
            1000 + number,
        ),
        destination6: Some((destination6, 80)),
        source4: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 61_001 + number),
        destination4: SocketAddrV4::new(destination4, 80),
        protocol,
        state,
        timer,
        expiration: LIFETIMES[usize::from(stage >> 5)],
    })
}

/// In milliseconds.
pub const LIFETIMES: [u32; 8] = [7_200_000, 240_000, 4_000, 1_000, 100, 1, 0, u32::MAX];

fn stages(stage: u8) -> (State, Timer) {
    let states = [
        State::Established,
        State::V6Init,
        State::V4Init,
        State::V4FinReceived,
        State::V6FinReceived,
        State::BothFinReceived,
        State::Transitory,
    ];
    let timers = [Timer::Established, Timer::Transitory, Timer::IncomingSyn];
    (
        states[usize::from(stage & 7) % 7],
        timers[usize::from(stage >> 3 & 3) % 3],
    )
}

/// With a few bytes changed, and maybe cut.
pub fn spoilt(script: &mut Script<'_>, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let kind = script.byte()?;
    for _ in 0..kind % 4 {
        let (at, value) = (usize::from(script.number()?), script.byte()?);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
    }
    if kind & 0x80 != 0 {
        bytes.truncate(script.number()?.into());
    }
    Some(bytes)
}
