//! The model answers as a real module did, byte by byte.
//!
//! Where the two differ, the model is wrong.

// The lints let tests unwrap, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]
// The bytes are those of a little-endian machine.
#![cfg(target_endian = "little")]

use std::time::Duration;

use jool_simulated::instance::Instance;
use jool_simulated::module::{Module, Outgoing};
use jool_simulated::requests::name;
use jool_simulated::sample;
use joold::wire::jool::{Message, Version};
use joold::wire::netlink::{self, put_attribute};

const CAPTURED: &str = include_str!("captured-4.1.13.txt");

/// The capturing client's port id.
const PORT: u32 = 0xde;

/// The number of the group `joold` on the captured machine; the model has others.
const GROUP: u32 = 15;

struct Exchange {
    title: &'static str,
    request: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

fn exchanges() -> Vec<Exchange> {
    let sections = CAPTURED.split("\n## ").skip(1);
    sections.map(exchange).collect()
}

fn exchange(section: &'static str) -> Exchange {
    let mut lines = section.lines();
    let mut exchange = Exchange {
        title: lines.next().unwrap(),
        request: Vec::new(),
        answers: Vec::new(),
    };
    let mut answering = false;
    for line in lines {
        match line {
            "request:" => answering = false,
            "answer:" => {
                answering = true;
                exchange.answers.push(Vec::new());
            }
            hexadecimal => {
                let bytes = hexadecimal
                    .split_whitespace()
                    .map(|byte| u8::from_str_radix(byte, 16).unwrap());
                match exchange.answers.last_mut() {
                    Some(answer) if answering => answer.extend(bytes),
                    _ => exchange.request.extend(bytes),
                }
            }
        }
    }
    exchange.answers.retain(|answer| !answer.is_empty());
    exchange
}

/// A module in the state that a section's title tells of.
fn module(title: &str) -> Module {
    let mut module = Module::new(Version::new(4, 1, 13), Duration::ZERO);
    let instance = module.add_instance(name("default"), Duration::ZERO);
    instance.globals.ss_enabled = !title.contains("ss-enabled is false");
    // So that nothing but what is asked for leaves.
    instance.globals.ss_flush_deadline = 3_600_000;
    fill(instance);
    module.administrator = !title.contains("without CAP_NET_ADMIN");
    if title.contains("while that one is going on") {
        let request = exchanges()
            .into_iter()
            .find(|one| one.title.starts_with("JOOLD_ADVERTISE of more sessions"))
            .unwrap()
            .request;
        module.receive(&request, PORT, Duration::ZERO);
    }
    module
}

fn fill(instance: &mut Instance) {
    let enabled = std::mem::replace(&mut instance.globals.ss_enabled, false);
    for number in 0..80 {
        instance.translate(&sample::udp(number), Duration::ZERO);
    }
    instance.globals.ss_enabled = enabled;
}

fn answers(module: &mut Module, request: &[u8]) -> Vec<Vec<u8>> {
    let out = module.receive(request, PORT, Duration::ZERO);
    out.into_iter()
        .filter_map(|one| match one {
            Outgoing::Port { bytes, .. } => Some(bytes),
            Outgoing::Group { .. } => None,
        })
        .collect()
}

#[test]
fn the_model_answers_as_the_module_did() {
    let exchanges = exchanges();
    assert!(exchanges.len() > 25);
    for exchange in &exchanges {
        let title = exchange.title;
        if title.starts_with("STATS_FOREACH") || title.starts_with("CTRL_CMD") {
            continue;
        }
        let said = answers(&mut module(title), &exchange.request);
        assert_eq!(said, exchange.answers, "{title}");
    }
}

#[test]
fn statistics_have_the_modules_numbers() {
    for exchange in exchanges() {
        if !exchange.title.starts_with("STATS_FOREACH") {
            continue;
        }
        let said = answers(&mut module(exchange.title), &exchange.request);
        let numbers = |bytes: &[u8]| -> Vec<_> {
            let message = netlink::Message::new_checked(bytes).unwrap();
            let attributes = Message::new_checked(message).unwrap().attributes();
            attributes
                .map(|row| row.map(|row| (row.number, row.value.len())).unwrap())
                .collect()
        };
        assert_eq!(numbers(&said[0]), numbers(&exchange.answers[0]));
        assert_eq!(said[0][..48], exchange.answers[0][..48]);
    }
}

#[test]
fn the_controller_describes_the_family_as_linux_6_12_does() {
    let exchanges = exchanges();
    let captured = exchanges
        .iter()
        .find(|one| one.title.starts_with("CTRL_CMD_GETFAMILY"))
        .unwrap();
    let mut request = vec![0; 20];
    request[4..8].copy_from_slice(&[0x10, 0, 1, 0]);
    request[8..12].copy_from_slice(&captured.answers[0][8..12]);
    request[16] = 3;
    put_attribute(&mut request, 2, b"Jool\0");
    let length = request.len() as u32;
    request[..4].copy_from_slice(&length.to_ne_bytes());
    let mut module = module("");
    let own = module.group().unwrap();
    let mut said = answers(&mut module, &request).remove(0);
    let group = said.len() - 16;
    assert_eq!(said[group..group + 4], own.to_ne_bytes());
    said[group..group + 4].copy_from_slice(&GROUP.to_ne_bytes());
    assert_eq!(said, captured.answers[0]);
}
