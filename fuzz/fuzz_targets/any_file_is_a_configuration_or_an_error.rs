//! Whatever the two files hold, they are a configuration or an error that names the file.
#![no_main]

use joold::config::{Document, ModsocketConfig, NetsocketConfig, Surroundings};
use libfuzzer_sys::fuzz_target;

const FILE: &str = "file.json";

fuzz_target!(|text: &[u8]| {
    for parse in [network, module] {
        match Document::parse(FILE.to_owned(), text) {
            Ok(document) => parse(document),
            Err(failure) => assert!(failure.message.starts_with(FILE)),
        }
    }
});

fn network(document: Document) {
    let surroundings = Surroundings { host: |_| None };
    match NetsocketConfig::from_document(document, &surroundings) {
        Ok((config, _)) => assert!(config.group.is_multicast() && config.port != 0),
        Err(failure) => assert!(failure.message.starts_with(FILE)),
    }
}

fn module(document: Document) {
    match ModsocketConfig::from_document(document) {
        Ok((config, _)) => assert!(!config.instance.as_str().is_empty()),
        Err(failure) => assert!(failure.message.starts_with(FILE)),
    }
}
