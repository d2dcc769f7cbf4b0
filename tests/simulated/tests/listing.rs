//! How the model lists its sessions, rule by rule. The lab's scenario `listing` asks a real module the
//! same.

// The lints let tests unwrap, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddrV4;
use std::time::Duration;

use jool_simulated::module::{Module, Outgoing};
use jool_simulated::requests::{add, address, datagram, name, request};
use jool_simulated::sample;
use joold::wire::jool::{Command, Message, Version, flag, root};
use joold::wire::netlink::{self, FLAG_NESTED, put_attribute};
use joold::wire::page::Key;
use joold::wire::session::{ENTRY, Format, Protocol, Session, State, Timer};

const NOW: Duration = Duration::from_secs(100);

/// What fits an answer: a page of memory less the headers and the kernel's bookkeeping, over 140 bytes.
const A_PAGE: usize = 26;

const LIFETIME: u32 = 50_000;

/// A module of that version with the instance `default` and these sessions, which peers sent.
fn module(version: Version, sessions: &[Session]) -> Module {
    let mut module = Module::new(version, NOW);
    module.add_instance(name("default"), NOW).globals.ss_enabled = true;
    for session in sessions {
        let request = add(
            &address(&module, "default"),
            &datagram(&[*session], module.format()),
        );
        assert!(module.receive(&request, 1, NOW).is_empty(), "it is added");
    }
    module
}

/// UDP session number `number`, as a peer sends it.
fn session(number: u32) -> Session {
    Session {
        expiration: LIFETIME,
        ..sample::udp(number)
    }
}

fn key(session: &Session) -> Key {
    Key {
        source4: session.source4,
        destination4: session.destination4,
    }
}

/// The answer to a request for the sessions of a protocol.
fn ask(
    module: &mut Module,
    instance: &str,
    protocol: Option<u8>,
    offset: Option<&[u8]>,
) -> Vec<u8> {
    let mut attributes = Vec::new();
    if let Some(protocol) = protocol {
        put_attribute(&mut attributes, root::PROTOCOL, &[protocol]);
    }
    if let Some(offset) = offset {
        put_attribute(&mut attributes, FLAG_NESTED | root::OFFSET, offset);
    }
    let address = address(module, instance);
    let request = request(&address, Command::SessionForeach, &attributes);
    match &module.receive(&request, 1, NOW)[..] {
        [Outgoing::Port { bytes, .. }] => bytes.clone(),
        other => panic!("one answer, not {other:?}"),
    }
}

fn view(bytes: &[u8]) -> Message<'_> {
    Message::new_checked(netlink::Message::new_checked(bytes).unwrap()).unwrap()
}

/// One page, and whether there are more.
fn page(module: &mut Module, protocol: Protocol, after: Option<Key>) -> (Vec<Session>, bool) {
    let offset = after.map(Key::to_offset);
    let offset = offset.as_ref().map(|offset| &offset[..]);
    let bytes = ask(module, "default", Some(protocol as u8), offset);
    let message = view(&bytes);
    let sessions = message.attributes().map(|attribute| {
        let attribute = attribute.unwrap();
        assert_eq!((attribute.number, attribute.value.len()), (ENTRY, 136));
        Session::parse(attribute.value, Format::Nested).unwrap()
    });
    (sessions.collect(), message.flags() & flag::MORE != 0)
}

fn first_behind(module: &mut Module, after: Key) -> Option<Key> {
    page(module, Protocol::Udp, Some(after)).0.first().map(key)
}

fn all_pages(module: &mut Module, protocol: Protocol) -> Vec<Vec<Session>> {
    let mut pages: Vec<Vec<Session>> = Vec::new();
    loop {
        let last = pages.last().and_then(|page| page.last()).map(key);
        let (sessions, more) = page(module, protocol, last);
        pages.push(sessions);
        if !more {
            return pages;
        }
        assert!(pages.len() < 1000, "the list has no end");
    }
}

/// Three masks with three destinations each, out of order; in byte-swapped order they have another.
fn nine() -> Vec<Session> {
    let mut sessions = Vec::new();
    for (host, port) in [(1, 256), (2, 1), (3, 65535)] {
        for destination in ["198.18.1.0:443", "9.0.0.200:512", "9.0.0.200:53"] {
            let mut session = session(0);
            session.source6.1 = host;
            session.source4.set_port(port);
            session.destination4 = destination.parse().unwrap();
            session.destination6 = None;
            sessions.push(session);
        }
    }
    sessions
}

fn nine_keys() -> Vec<Key> {
    let mut keys: Vec<_> = nine().iter().map(key).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn an_empty_table_is_one_empty_page() {
    let mut module = module(Version::SUPPORTED, &[]);
    assert_eq!(page(&mut module, Protocol::Udp, None), (Vec::new(), false));
}

#[test]
fn modules_of_all_versions_list_nested_sessions_as_many_as_fit() {
    for version in [Version::new(4, 1, 9), Version::SUPPORTED] {
        let sessions: Vec<_> = (0..60).map(session).collect();
        let mut module = module(version, &sessions);
        let pages = all_pages(&mut module, Protocol::Udp);
        let sizes: Vec<_> = pages.iter().map(Vec::len).collect();
        assert_eq!(sizes, [A_PAGE, A_PAGE, 60 - 2 * A_PAGE]);
        assert_eq!(pages.concat(), sessions);
    }
}

#[test]
fn a_full_page_says_that_there_are_more_only_if_there_are() {
    for (count, more) in [(A_PAGE, false), (A_PAGE + 1, true)] {
        let sessions: Vec<_> = (0..count as u32).map(session).collect();
        let mut module = module(Version::SUPPORTED, &sessions);
        let (sessions, said) = page(&mut module, Protocol::Udp, None);
        assert_eq!((sessions.len(), said), (A_PAGE, more));
    }
}

#[test]
fn sessions_are_in_the_order_of_mask_and_destination_as_numbers() {
    let mut module = module(Version::SUPPORTED, &nine());
    let listed = all_pages(&mut module, Protocol::Udp).concat();
    let listed: Vec<_> = listed.iter().map(key).collect();
    assert_eq!(listed, nine_keys());
    assert_eq!(listed[0].source4.port(), 1);
    assert_eq!(listed[0].destination4, "9.0.0.200:53".parse().unwrap());
}

#[test]
fn only_sessions_of_the_protocol_are_listed() {
    let mut module = module(
        Version::SUPPORTED,
        &[session(0), sample::tcp(1), sample::icmp(2)],
    );
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
        let (sessions, _) = page(&mut module, protocol, None);
        let protocols: Vec<_> = sessions.iter().map(|one| one.protocol).collect();
        assert_eq!(protocols, [protocol]);
    }
}

#[test]
fn a_page_begins_behind_the_offset_whether_or_not_a_session_is_there() {
    let mut module = module(Version::SUPPORTED, &nine());
    let keys = nine_keys();
    for (at, &here) in keys.iter().enumerate() {
        let next = keys.get(at + 1).copied();
        assert_eq!(first_behind(&mut module, here), next);
        let mut gone = here;
        gone.destination4.set_port(here.destination4.port() + 1);
        assert_eq!(first_behind(&mut module, gone), next);
    }
    let highest: SocketAddrV4 = "255.255.255.255:65535".parse().unwrap();
    let mut no_mask = keys[3];
    no_mask.source4.set_port(keys[3].source4.port() - 1);
    no_mask.destination4 = highest;
    assert_eq!(first_behind(&mut module, no_mask), Some(keys[3]));
}

#[test]
fn an_offset_without_a_destination_begins_with_the_masks_first() {
    let mut module = module(Version::SUPPORTED, &nine());
    let keys = nine_keys();
    let mask = &keys[4].to_offset()[..Key::OFFSET / 2];
    let bytes = ask(
        &mut module,
        "default",
        Some(Protocol::Udp as u8),
        Some(mask),
    );
    let first = view(&bytes).attributes().next().unwrap().unwrap();
    let first = Session::parse(first.value, Format::Nested).unwrap();
    assert_eq!(key(&first), keys[3]);
}

#[test]
fn a_session_at_the_lowest_place_of_all_is_listed() {
    let mut lowest = session(0);
    let zero: SocketAddrV4 = "0.0.0.0:0".parse().unwrap();
    (lowest.source4, lowest.destination4) = (zero, zero);
    lowest.destination6 = None;
    let mut module = module(Version::SUPPORTED, &[lowest]);
    let (sessions, _) = page(&mut module, Protocol::Udp, None);
    assert_eq!(sessions.len(), 1);
    assert_eq!(first_behind(&mut module, key(&lowest)), None);
}

#[test]
fn a_missing_instance_and_a_missing_protocol_are_refused() {
    let mut module = module(Version::SUPPORTED, &[]);
    let error = |bytes: &[u8]| {
        let (code, text) = view(bytes).error().unwrap();
        (code, String::from_utf8(text.to_vec()).unwrap())
    };
    let text = "This namespace lacks an instance named 'missing'.";
    let bytes = ask(&mut module, "missing", Some(0), None);
    assert_eq!(error(&bytes), (3, text.to_owned()));
    let text = "The request is missing a transport protocol.";
    let bytes = ask(&mut module, "default", None, None);
    assert_eq!(error(&bytes), (22, text.to_owned()));
}

#[test]
fn an_incoming_syn_from_a_peer_lives_for_six_seconds_longer_than_the_peer_said() {
    let syn = Session {
        state: State::V4Init,
        timer: Timer::IncomingSyn,
        expiration: 5_000,
        ..sample::tcp(0)
    };
    let mut module = module(Version::SUPPORTED, &[syn]);
    let (sessions, _) = page(&mut module, Protocol::Tcp, None);
    assert_eq!(sessions[0].expiration, 5_000 + 6_000 - 6);
}
