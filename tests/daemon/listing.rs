//! The session table, as the daemon asks the kernel for it.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;

use jool_simulated::daemon::{Configuration, Program};
use jool_simulated::node::{INSTANCE, Node, Side};
use jool_simulated::{requests, sample};
use joold::controller::{Controller, Found};
use joold::instance::Instance;
use joold::wire::jool::{InstanceName, Version};
use joold::wire::page::Key;
use joold::wire::request::Address;
use joold::wire::session::{Format, Protocol, Session};
use joold::wire::update::Update;
use libtest_mimic::Trial;

use crate::harness::{CLIENT, LISTING};
use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    [("flat", Version::SUPPORTED), ("nested", OLD)]
        .map(|(name, version)| {
            case("a_table_is_read_page_by_page", name, move || {
                a_table_is_read_page_by_page(version)
            })
        })
        .into()
}

/// Sessions of each protocol.
const SESSIONS: u32 = 1_000;

/// What fits a page of the real module.
const A_PAGE: usize = 26;

fn table(protocol: Protocol) -> impl Iterator<Item = Session> {
    let session = match protocol {
        Protocol::Tcp => sample::tcp,
        Protocol::Udp => sample::udp,
        Protocol::Icmp => sample::icmp,
    };
    // From last to first, and far enough apart that some share a mask.
    (0..SESSIONS).rev().map(move |number| session(number * 7))
}

const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp];

/// Runs this very program in the daemon's place, with the preloaded library.
fn a_table_is_read_page_by_page(version: Version) -> Outcome {
    let mut node = Node::new(Side::J, version)?;
    translate(&node, PROTOCOLS.into_iter().flat_map(table));
    let client = Program::new(env::current_exe()?).variable(CLIENT, LISTING);
    node.start(&client, &Configuration::default())?;
    let status = daemon(&mut node)?.wait()?;
    assert!(status.success(), "{}", daemon(&mut node)?.said());
    Ok(())
}

/// What a session is to be read as, but for its lifetime.
fn expected(session: &Session, format: Format) -> (Key, Option<Update>) {
    let mut attribute = Vec::new();
    session.emit(format, &mut attribute);
    let key = Key {
        source4: session.source4,
        destination4: session.destination4,
    };
    (key, Update::read(&attribute, format))
}

/// Reads the tables of the kernel, and compares them with what is in them.
pub fn client() -> Result<(), Box<dyn Error>> {
    let Found::Family(family) = Controller::open()?.find()? else {
        return Err("the module is not loaded".into());
    };
    let version = Version::SUPPORTED;
    let instance = requests::name(INSTANCE);
    let address = Address {
        family: family.id,
        version,
        instance,
    };
    let mut kernel = Instance::open()?;
    for protocol in PROTOCOLS {
        for format in [Format::Flat, Format::Nested] {
            read_all(&mut kernel, &address, protocol, format)?;
        }
        start_anywhere(&mut kernel, &address, protocol)?;
    }
    let missing = Address {
        instance: InstanceName::new("missing")?,
        ..address
    };
    let answer = kernel.sessions(&missing, Protocol::Tcp, None, Format::Flat, |_, _| ())?;
    let refusal = answer.err().ok_or("a missing instance has sessions")?;
    assert_eq!(refusal.code, 3, "ESRCH");
    Ok(())
}

fn read_all(
    kernel: &mut Instance,
    address: &Address,
    protocol: Protocol,
    format: Format,
) -> Result<(), Box<dyn Error>> {
    let mut read = Vec::new();
    let mut after = None;
    loop {
        let before = read.len();
        let take = |key, update: Update| {
            assert!(update.expiration > 0);
            read.push((
                key,
                Some(Update {
                    expiration: 0,
                    ..update
                }),
            ));
        };
        let page = kernel.sessions(address, protocol, after, format, take)?;
        let page = page.map_err(|refusal| format!("{refusal:?}"))?;
        assert_eq!(page.left_out, 0);
        after = page.next;
        if after.is_none() {
            break;
        }
        assert_eq!(read.len() - before, A_PAGE);
        assert_eq!(after, read.last().map(|(key, _)| *key));
    }
    assert!(read.is_sorted_by_key(|(key, _)| *key));
    let of_table = table(protocol).map(|session| expected(&session, format));
    let of_table: BTreeMap<_, _> = of_table.collect();
    assert_eq!(of_table.len(), SESSIONS as usize, "all are different");
    assert!(read.into_iter().eq(of_table), "{protocol:?}, {format:?}");
    Ok(())
}

/// A page may begin behind a session that is gone.
fn start_anywhere(
    kernel: &mut Instance,
    address: &Address,
    protocol: Protocol,
) -> Result<(), Box<dyn Error>> {
    let mut keys: Vec<_> = table(protocol)
        .map(|session| expected(&session, Format::Flat).0)
        .collect();
    keys.sort_unstable();
    for at in [0, 500, 998] {
        let mut gone = keys[at];
        gone.destination4.set_port(gone.destination4.port() + 1);
        for after in [keys[at], gone] {
            let mut first = None;
            let take = |key, _| first = first.or(Some(key));
            let page = kernel.sessions(address, protocol, Some(after), Format::Flat, take)?;
            assert!(page.is_ok());
            assert_eq!(first, keys.get(at + 1).copied());
        }
    }
    let mut none = true;
    let take = |_, _| none = false;
    let page = kernel.sessions(address, protocol, keys.last().copied(), Format::Flat, take)?;
    assert!(none && page.is_ok_and(|page| page.next.is_none()));
    Ok(())
}
