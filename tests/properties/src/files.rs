//! The two configuration files.

use std::net::IpAddr;

use joold::config::{Document, Link, ModsocketConfig, NetsocketConfig, Surroundings};
use joold::failure::Failure;
use joold::interfaces::{Interface, Interfaces, State};
use joold::place::{News, Place};
use joold::wire::globals::Global;
use serde_json::Value;

use crate::is_one_line;

const FILE: &str = "file.json";

/// A network file of any contents: it is a configuration that is printed as JSON and means the same
/// when it is read again, or an error that names the file.
pub fn any_network_file_is_a_configuration_or_an_error(text: &[u8]) {
    let Some((config, warnings)) = configuration(network(text)) else {
        return;
    };
    check_warnings(&warnings);
    assert!(config.group.is_multicast() && config.port != 0);
    assert!((131_072..=1 << 30).contains(&config.receive_buffer));
    assert!(is_one_line(&config.to_string()));
    check_place(&config);

    let printed = serde_json::to_value(&config).expect("JSON");
    let again = network(&as_a_file(printed, &config));
    let (again, warnings) = configuration(again).expect("a file like the first");
    assert_eq!(again, config);
    let prefixes = config.allowed.prefixes().iter();
    let useless = prefixes.filter(|one| one.network().is_ipv4() != config.group.is_ipv4());
    assert_eq!(warnings.len(), useless.count());
}

/// What --check prints of the network file, as somebody would write it: without what is not there,
/// and an index as a zone, for that is the only place where a file can have one.
fn as_a_file(mut printed: Value, config: &NetsocketConfig) -> Vec<u8> {
    for (key, link) in [
        ("in interface", &config.incoming),
        ("out interface", &config.outgoing),
    ] {
        if let Some(Link::Index(index)) = link {
            printed[key] = Value::Null;
            printed["multicast address"] = format!("{}%{index}", config.group).into();
        }
    }
    without_nulls(printed)
}

fn without_nulls(mut printed: Value) -> Vec<u8> {
    let members = printed.as_object_mut().expect("an object");
    members.retain(|_, value| !value.is_null());
    printed.to_string().into_bytes()
}

/// Wherever the file leads, it leads there again, and what there is to say about it are lines.
fn check_place(config: &NetsocketConfig) {
    let (all, none) = (interfaces(), Interfaces::default());
    for source in [None, Some(address("192.0.2.1"))] {
        let place = Place::find(config, &all, None, || source);
        let group = place.group(config);
        assert_eq!((group.ip(), group.port()), (config.group, config.port));
        for end in [&place.incoming, &place.outgoing] {
            let index = end.index().filter(|index| *index != 0);
            assert!(index.is_none_or(|index| all.at(index).is_some() && place.uses(index)));
        }
        let again = Place::find(config, &all, Some(&place), || source);
        assert_eq!(again, place);
        assert!(!again.needs_opening(&place) && !again.may_have_missed(&place));
        assert!(again.news(Some(&place), &all).is_empty());
        let gone = Place::find(config, &none, Some(&place), || None);
        assert!(gone.is_nowhere() && !gone.works());
        let back = Place::find(config, &all, Some(&gone), || source);
        assert_eq!(back, place);
        let news = [
            place.news(None, &all),
            gone.news(Some(&place), &none),
            back.news(Some(&gone), &all),
        ];
        for news in news.into_iter().flatten() {
            let (News::Bad(line) | News::Good(line)) = news;
            assert!(is_one_line(&line), "{line:?}");
        }
    }
}

/// A module file of any contents: it is a configuration that is printed as JSON and means the same
/// when it is read again, or an error that names the file.
pub fn any_module_file_is_a_configuration_or_an_error(text: &[u8]) {
    let Some((config, warnings)) = configuration(module(text)) else {
        return;
    };
    check_warnings(&warnings);
    let name = config.instance.as_str();
    assert!((1..=15).contains(&name.len()) && !name.bytes().any(|byte| byte < 32));
    assert_eq!(config.refreshes().is_some(), config.refresh_window != 0);
    assert!(config.refreshes().is_none_or(|limits| limits.sessions > 0));
    assert!(!config.to_string().contains('\n'));
    let path = config.control_socket.as_ref();
    assert!(path.is_none_or(|path| path.is_absolute() && path.as_os_str().len() <= 107));
    let named = check_globals(&config);

    let mut printed = serde_json::to_value(&config).expect("JSON");
    if let Some(user) = &config.user {
        // A file names whom --check describes.
        printed["user"] = user.name.clone().into();
    }
    if let Some(group) = &config.control_group {
        printed["control group"] = group.name.clone().into();
    }
    let again = configuration(module(&without_nulls(printed)));
    let (again, warnings) = again.expect("a file like the first");
    assert_eq!(again, config);
    let useless = [
        named && !config.ss_enabled,
        config.control_group.is_some() && config.control_socket.is_none(),
    ];
    let expected = useless.into_iter().filter(|useless| *useless).count();
    assert_eq!(warnings.len(), expected);
}

/// What the instance is given is what the file names, and nothing if it should be left alone.
/// Returns whether the file names anything but whether it should.
fn check_globals(config: &ModsocketConfig) -> bool {
    let globals = config.globals();
    let expected = [
        (Global::SsEnabled, Some(1)),
        (Global::SsFlushDeadline, config.ss_flush_deadline),
        (Global::SsCapacity, config.ss_capacity),
        (
            Global::SsMaxSessionsPerPacket,
            config.ss_max_sessions_per_packet,
        ),
    ];
    for (global, value) in expected {
        let value = value.filter(|_| config.ss_enabled);
        assert_eq!(globals.get(global), value);
    }
    expected[1..].iter().any(|(_, value)| value.is_some())
}

type Outcome<T> = Result<(T, Vec<String>), Failure>;

fn network(text: &[u8]) -> Outcome<NetsocketConfig> {
    let document = Document::parse(FILE.to_owned(), text)?;
    NetsocketConfig::from_document(document, &surroundings())
}

fn module(text: &[u8]) -> Outcome<ModsocketConfig> {
    ModsocketConfig::from_document(Document::parse(FILE.to_owned(), text)?)
}

/// What it is; nothing if it is an error, which names the file in one line.
fn configuration<T>(outcome: Outcome<T>) -> Option<(T, Vec<String>)> {
    match outcome {
        Ok(read) => Some(read),
        Err(failure) => {
            let message = failure.message;
            assert!(
                message.starts_with(FILE) && is_one_line(&message),
                "{message:?}"
            );
            None
        }
    }
}

fn check_warnings(warnings: &[String]) {
    for warning in warnings {
        assert!(
            warning.starts_with(FILE) && is_one_line(warning),
            "{warning:?}"
        );
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        host: |name| (name == "group.example").then(|| address("ff08::7")),
    }
}

/// The interfaces that the examples name, and two that share a link-local address.
fn interfaces() -> Interfaces {
    let interface = |index, name: &str, addresses: &[&str]| Interface {
        index,
        name: name.to_owned(),
        alternatives: vec![format!("{name}-also")],
        addresses: addresses.iter().map(|text| address(text)).collect(),
        state: State::Up,
        mtu: 1500,
    };
    Interfaces::of(vec![
        interface(1, "lo", &["127.0.0.1", "::1"]),
        interface(2, "eth0", &["192.0.2.1", "2001:db8::1", "fe80::1"]),
        interface(3, "eth1", &["198.51.100.1", "fe80::1"]),
    ])
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
