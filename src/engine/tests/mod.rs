//! What the engine decides, message by message.

mod extensions;
mod kernel;
mod module;
mod network;
#[cfg(target_endian = "little")]
mod samples;
mod standing;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::wire::globals::Global;
use crate::wire::instance::{Refusal, Snapshot};
use crate::wire::jool::{Message, error, root};
use crate::wire::netlink::put_attribute;
use crate::wire::request::{Add, Plain};
use crate::wire::session::{Format, Protocol, Session, State, Timer, sessions};

const FAMILY: u16 = 0x1d;

fn engine() -> Engine {
    serving(InstanceName::DEFAULT, FAMILY)
}

/// An engine whose module is there.
fn serving(instance: InstanceName, family: u16) -> Engine {
    let mut engine = Engine::new(instance, Instant::now());
    engine.module_found(Instant::now(), family, None);
    assert_eq!(engine.next_event(), Some(Event::ModuleLoaded(None)));
    engine
}

fn session() -> Session {
    Session {
        source6: ("2001:db8::5".parse().unwrap(), 1000),
        destination6: None,
        source4: "192.0.2.1:61001".parse().unwrap(),
        destination4: "203.0.113.24:80".parse().unwrap(),
        protocol: Protocol::Tcp,
        state: State::Established,
        timer: Timer::Established,
        expiration: 7_200_000,
    }
}

/// A message as the kernel sends it: the headers of an acknowledgement, changed, and `attributes`.
struct FromModule {
    bytes: Vec<u8>,
}

impl FromModule {
    fn new(instance: &str, attributes: &[u8]) -> Self {
        let address = Address {
            family: FAMILY,
            version: Version::new(4, 1, 9),
            instance: InstanceName::new(instance).unwrap(),
        };
        let mut bytes = Plain::new(&address, Command::JooldAck).bytes().to_vec();
        bytes[8..12].fill(0);
        bytes[16] = 0;
        bytes.extend_from_slice(attributes);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        Self { bytes }
    }

    fn batch(instance: &str) -> Self {
        let mut contents = Vec::new();
        session().emit(Format::Flat, &mut contents);
        let mut attributes = Vec::new();
        put_attribute(
            &mut attributes,
            root::SESSION_ENTRIES | netlink::FLAG_NESTED,
            &contents,
        );
        Self::new(instance, &attributes)
    }

    fn refusal(command: Command, code: u16, text: &str) -> Self {
        let mut attributes = Vec::new();
        put_attribute(&mut attributes, error::CODE, &code.to_ne_bytes());
        put_attribute(
            &mut attributes,
            error::MESSAGE,
            format!("{text}\0").as_bytes(),
        );
        let mut message = Self::new("default", &attributes);
        message.bytes[8..12].copy_from_slice(&(command as u32).to_ne_bytes());
        message.bytes[29] = 1;
        message
    }

    fn version(mut self, version: Version) -> Self {
        self.bytes[24..28].copy_from_slice(&version.to_bytes());
        self
    }
}

fn troubles(engine: &mut Engine) -> Vec<(Reason, String)> {
    std::iter::from_fn(|| engine.next_event())
        .filter_map(|event| match event {
            Event::Trouble { reason, detail } => Some((reason, detail)),
            _ => None,
        })
        .collect()
}

/// A batch of so many updates, as a module before 4.1.12 writes it.
fn nested_batch(updates: usize) -> FromModule {
    let told = Session {
        destination6: Some(("64:ff9b::1".parse().unwrap(), 80)),
        ..session()
    };
    let (mut contents, mut attributes) = (Vec::new(), Vec::new());
    for _ in 0..updates {
        told.emit(Format::Nested, &mut contents);
    }
    let number = root::SESSION_ENTRIES | netlink::FLAG_NESTED;
    put_attribute(&mut attributes, number, &contents);
    FromModule::new("default", &attributes)
}

/// An instance that synchronizes, with that deadline in ms.
fn instance_with(deadline: u32) -> Snapshot {
    let mut state = Snapshot::default();
    let values = &mut state.globals.values;
    values.set(Global::SsEnabled, Some(1));
    values.set(Global::SsFlushDeadline, Some(deadline));
    state.globals.timeouts = [Some(60_000); 4];
    state
}

/// What netlink says when it cannot deliver an acknowledgement.
fn ack_failed(errno: i32) -> Vec<u8> {
    let mut message = vec![0; 36];
    message[..4].copy_from_slice(&36u32.to_ne_bytes());
    message[4..6].copy_from_slice(&netlink::ERROR.to_ne_bytes());
    message[8..12].copy_from_slice(&(Command::JooldAck as u32).to_ne_bytes());
    message[16..20].copy_from_slice(&(-errno).to_ne_bytes());
    message
}
