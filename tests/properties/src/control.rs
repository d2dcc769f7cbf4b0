//! Answers of the kernel outside the forwarding path: of the generic netlink controller, about links
//! and addresses, and of a module about its instance.

use std::io;
use std::time::Instant;

use joold::config::Link as Named;
use joold::control::{Answers, Extent};
use joold::controller::{Found, names_us};
use joold::engine::Engine;
use joold::interfaces::Interfaces;
use joold::wire::controller::{self, Description};
use joold::wire::globals::{Global, Globals};
use joold::wire::instance::Refusal;
use joold::wire::jool::{InstanceName, Message};
use joold::wire::netlink::{Attribute, Attributes, FIRST_KIND, Messages, aligned, put_attribute};
use joold::wire::pool4::Pool4;
use joold::wire::statistics::Statistics;
use joold::wire::{address, generic, link};

use crate::kernel::check_events;
use crate::{FAMILY, is_one_line, page, pool4};

/// The sequence number of the question. The seeds are answers to it.
const SEQUENCE: u32 = 7;

/// A datagram on a socket where a question was asked: what belongs to the question is taken, and is
/// a description of what there is, or an error in words.
pub fn any_answer_of_the_kernel_is_taken_or_an_error(datagram: &[u8]) {
    for extent in [Extent::One, Extent::List] {
        let mut answers = Answers::default();
        match answers.take(datagram, SEQUENCE, extent) {
            Ok(_) => (),
            Err(error) => assert!(is_in_words(&error)),
        }
        check_taken(datagram, &answers, extent);
        check_family(&answers);
        check_interfaces(&answers);
        check_instance(&answers);
    }
    check_news(datagram);
}

/// The kernel's own number, or a sentence about what is malformed.
fn is_in_words(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| errno != 0)
        || error.kind() == io::ErrorKind::InvalidData && is_one_line(&error.to_string())
}

fn check_taken(datagram: &[u8], answers: &Answers, extent: Extent) {
    let mut bytes = 0;
    let kinds = Messages::new(datagram).map_while(Result::ok);
    for kind in kinds.map(|message| message.kind()) {
        assert!(kind >= FIRST_KIND || answers.of_kind(kind).next().is_none());
    }
    let mut count = 0;
    // The first is the controller's as well.
    for kind in [link::NEW, address::NEW] {
        for answer in answers.of_kind(kind) {
            assert_eq!(answer.sequence(), SEQUENCE);
            bytes += aligned(answer.bytes().len());
            count += 1;
        }
    }
    assert!(bytes <= aligned(datagram.len()));
    assert!(extent == Extent::List || count <= 1);
}

fn check_family(answers: &Answers) {
    for answer in answers.of_kind(controller::ID) {
        let Ok(message) = generic::Message::new_checked(answer) else {
            continue;
        };
        match Description::new_checked(message) {
            Ok(description) => match Found::of(&description) {
                Found::Family(family) => {
                    assert_eq!(family.id, description.id());
                    assert!(description.groups().any(|group| group.id == family.group));
                }
                Found::Stranger => {
                    assert!(description.groups().all(|group| group.name != b"joold"));
                }
                Found::Nothing => panic!("a description is something"),
            },
            Err(problem) => assert!(is_one_line(&problem.to_string())),
        }
    }
}

fn check_interfaces(answers: &Answers) {
    match Interfaces::read(answers, answers) {
        Ok(interfaces) => {
            for answer in answers.of_kind(link::NEW) {
                let link = link::Link::new_checked(answer).expect("all were read");
                let found = interfaces.at(link.index());
                let name = std::str::from_utf8(link.name());
                assert!(found.is_some() || name.is_err());
                if let Ok(name) = name {
                    let named = Named::Name(name.to_owned());
                    assert!(interfaces.find(&named, None).is_some());
                    let indexed = Named::Index(link.index());
                    assert_eq!(interfaces.find(&indexed, None), found);
                }
            }
            for answer in answers.of_kind(address::NEW) {
                let address = address::Address::new_checked(answer).expect("all were read");
                if let (Some(_), Some(own)) = (interfaces.at(address.index()), address.own()) {
                    assert!(interfaces.with_address(own).is_some());
                }
            }
            interfaces.describe();
        }
        Err(error) => assert!(is_in_words(&error)),
    }
}

/// The same answers, as those of a module about its instance.
fn check_instance(answers: &Answers) {
    for answer in answers.of_kind(FAMILY) {
        let Ok(message) = Message::new_checked(answer) else {
            continue;
        };
        if let Some((code, text)) = message.error() {
            check_refusal(&Refusal {
                code: code.into(),
                text: text.to_vec(),
            });
        }
        let attributes: Vec<_> = message.attributes().map_while(Result::ok).collect();
        check_globals(&attributes);
        check_statistics(&attributes);
        check_pool4(&attributes);
        page::check(&message);
    }
}

/// Whatever a module says, it cannot write lines of its own into the log.
fn check_refusal(refusal: &Refusal) {
    let now = Instant::now();
    let mut engine = Engine::new(InstanceName::DEFAULT, now);
    engine.module_found(now, FAMILY, None);
    engine.look_refused(now, refusal);
    engine.change_refused(now, refusal);
    check_events(&mut engine);
    assert!(engine.look_due().is_some_and(|due| due > now));
}

/// What is understood reads back the same once written, and the longest timeout is one of all.
fn check_globals(attributes: &[Attribute<'_>]) {
    let mut globals = Globals::default();
    for attribute in attributes {
        globals.take(attribute);
    }
    let timeouts = globals.timeouts.iter().flatten();
    assert_eq!(globals.longest_timeout(), timeouts.max().copied());
    let mut written = Vec::new();
    for (number, timeout) in (20..).zip(globals.timeouts) {
        let mut of_number = attributes.iter().filter(|one| one.number == number);
        assert_eq!(timeout, of_number.next_back().and_then(Attribute::u32));
        if let Some(timeout) = timeout {
            put_attribute(&mut written, number, &timeout.to_ne_bytes());
        }
    }
    if let Some(payload) = globals.max_payload {
        put_attribute(&mut written, 31, &payload.to_ne_bytes());
    }
    for global in Global::ALL {
        if let Some(value) = globals.values.get(global) {
            assert!(is_one_line(&global.text(value)));
            global.put(value, &mut written);
        }
    }
    let mut again = Globals::default();
    for attribute in Attributes::new(&written) {
        again.take(&attribute.expect("what was written"));
    }
    assert_eq!(again, globals);
}

/// The statistic that tells how many sessions there are.
const SESSIONS: u16 = 5;

/// An instance that counted on is the same, and one that counted less is not.
fn check_statistics(attributes: &[Attribute<'_>]) {
    let mut statistics = Statistics::default();
    for attribute in attributes {
        statistics.take(attribute);
    }
    let mut later = statistics.clone();
    // How many sessions there are tells nothing: they come and go.
    let counted = attributes
        .iter()
        .filter(|attribute| attribute.number != SESSIONS);
    for attribute in counted {
        if let Some(count) = attribute.u64() {
            later.take(&Attribute {
                value: &count.saturating_add(1).to_ne_bytes(),
                ..*attribute
            });
        }
    }
    for earlier in [&Statistics::default(), &statistics] {
        assert!(!later.is_anew(earlier) && !earlier.is_anew(earlier));
    }
    // Counters of 32 bits begin anew by themselves.
    let wraps = |count: u64| (1 << 31..=1 << 32).contains(&count.saturating_add(1));
    if !attributes.iter().filter_map(Attribute::u64).any(wraps) {
        assert_eq!(statistics.is_anew(&later), statistics != later);
    }
}

/// All entries together have what each of them has, and nothing else.
fn check_pool4(attributes: &[Attribute<'_>]) {
    let (mut all, mut each) = (Pool4::default(), Vec::new());
    for attribute in attributes {
        let mut one = Pool4::default();
        let taken = one.take(attribute);
        assert_eq!(taken.is_ok(), one.is_known());
        let before = all.clone();
        assert_eq!(all.take(attribute), taken);
        match taken {
            Ok(()) => each.push(one),
            Err(problem) => assert!(is_one_line(&problem.to_string()) && all == before),
        }
    }
    for attribute in attributes.iter().take(32) {
        for (address, port) in masks_around(attribute.value) {
            for protocol in 0..4 {
                let has = |pool4: &Pool4| pool4.contains(protocol, address, port);
                assert_eq!(has(&all), each.iter().any(has));
            }
        }
    }
}

/// Masks at both ends of an entry, and their neighbours.
fn masks_around(entry: &[u8]) -> Vec<(u32, u16)> {
    let find = |number| Attributes::new(entry).find(number);
    let prefix = find(pool4::PREFIX).map_or(&[][..], |prefix| prefix.value);
    let within = |number| Attributes::new(prefix).find(number);
    let address = within(pool4::ADDRESS).and_then(|address| address.value.try_into().ok());
    let address = u32::from_be_bytes(address.unwrap_or_default());
    let length = within(pool4::LENGTH).and_then(|length| length.u8());
    let host = u32::MAX.checked_shr(length.unwrap_or(32).into());
    let host = host.unwrap_or_default();
    let (first, last) = (address & !host, address | host);
    let addresses = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
    let ports = [find(pool4::PORT_MIN), find(pool4::PORT_MAX)]
        .map(|port| port.and_then(|port| port.u16()).unwrap_or_default())
        .map(|port| [port.wrapping_sub(1), port, port.wrapping_add(1)]);
    let ports = ports.as_flattened().iter();
    ports
        .flat_map(|&port| addresses.map(|address| (address, port)))
        .collect()
}

/// The same bytes as news about families that come and go.
fn check_news(datagram: &[u8]) {
    if names_us(datagram) {
        assert!(datagram.windows(4).any(|name| name == b"Jool"));
    }
}
