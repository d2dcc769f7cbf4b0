//! The keys of what upstream's daemon does not have: see `docs/extensions.md`.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Document;
use crate::failure::Failure;
use crate::sync::Options;

const EXTENSIONS: &str = "extensions";
const HELLO_PERIOD: &str = "hello period";
const REPAIR_BUFFER: &str = "repair buffer";
const TABLE_INTERVAL: &str = "table interval";

/// Those keys, in the order of the documentation.
pub const KEYS: [&str; 4] = [EXTENSIONS, HELLO_PERIOD, REPAIR_BUFFER, TABLE_INTERVAL];

const EXPECTED_PERIOD: &str = "a whole number of milliseconds from 100 to 60000";
const EXPECTED_BUFFER: &str = "a whole number of bytes from 65536 to 268435456";
const EXPECTED_INTERVAL: &str = "a whole number of milliseconds from 0 to 3600000";

/// How sessions are kept from getting lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtensionsConfig {
    /// `"extensions"`: whether the others are told more than upstream's daemon tells. Default: true.
    pub extensions: bool,
    /// `"hello period"`: how often the others hear of this daemon, in milliseconds. Default: 1000.
    #[serde(rename = "hello period")]
    pub hello_period: u32,
    /// `"repair buffer"`: bytes of sessions that can be repeated. Default: 1 MiB.
    #[serde(rename = "repair buffer")]
    pub repair_buffer: u32,
    /// `"table interval"`: milliseconds after which another router may begin to read the table.
    /// Default: 1000.
    #[serde(rename = "table interval")]
    pub table_interval: u32,
}

impl Default for ExtensionsConfig {
    fn default() -> Self {
        Self {
            extensions: true,
            hello_period: 1000,
            repair_buffer: 1 << 20,
            table_interval: 1000,
        }
    }
}

impl ExtensionsConfig {
    /// Takes the keys out of `document`.
    ///
    /// # Errors
    /// When a value is none that its key can have.
    pub fn from_document(document: &mut Document) -> Result<Self, Failure> {
        let mut config = Self::default();
        if let Some(entry) = document.take(EXTENSIONS) {
            config.extensions = entry.truth()?;
        }
        if let Some(entry) = document.take(HELLO_PERIOD) {
            config.hello_period = entry.within(100..=60_000, EXPECTED_PERIOD)?;
        }
        if let Some(entry) = document.take(REPAIR_BUFFER) {
            config.repair_buffer = entry.within(1 << 16..=1 << 28, EXPECTED_BUFFER)?;
        }
        if let Some(entry) = document.take(TABLE_INTERVAL) {
            config.table_interval = entry.within(0..=3_600_000, EXPECTED_INTERVAL)?;
        }
        Ok(config)
    }

    /// What the engine makes of it; nothing if there are to be no extensions.
    pub fn options(&self) -> Option<Options> {
        let milliseconds = |number: u32| Duration::from_millis(number.into());
        self.extensions.then(|| Options {
            period: milliseconds(self.hello_period),
            ring: self.repair_buffer as usize,
            table_interval: milliseconds(self.table_interval),
        })
    }
}

impl fmt::Display for ExtensionsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.extensions {
            return write!(f, "{EXTENSIONS} false");
        }
        write!(
            f,
            "{HELLO_PERIOD} {} ms, {REPAIR_BUFFER} {} bytes, {TABLE_INTERVAL} {} ms",
            self.hello_period, self.repair_buffer, self.table_interval
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ExtensionsConfig, String> {
        Document::parse("netsocket.json".to_owned(), text.as_bytes())
            .and_then(|mut document| ExtensionsConfig::from_document(&mut document))
            .map_err(|failure| failure.message)
    }

    #[test]
    fn extensions_are_on_unless_the_file_turns_them_off() {
        let options = parse("{}").unwrap().options().unwrap();
        assert_eq!(options, Options::default());
        assert_eq!(parse(r#"{"extensions": false}"#).unwrap().options(), None);
    }

    #[test]
    fn a_value_out_of_range_is_named_with_what_was_expected() {
        for (text, key, expected) in [
            (r#"{"extensions": 1}"#, EXTENSIONS, "true or false"),
            (r#"{"hello period": 99}"#, HELLO_PERIOD, EXPECTED_PERIOD),
            (r#"{"repair buffer": 1}"#, REPAIR_BUFFER, EXPECTED_BUFFER),
            (
                r#"{"table interval": -1}"#,
                TABLE_INTERVAL,
                EXPECTED_INTERVAL,
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(key) && error.contains(expected), "{error}");
        }
    }
}
