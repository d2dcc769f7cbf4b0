//! The module file: which Jool instance the daemon serves.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Document;
use crate::engine::Limits;
use crate::failure::Failure;
use crate::wire::jool::InstanceName;

const INSTANCE: &str = "instance";
const NETLINK_BUFFER: &str = "netlink buffer";
const REFRESH_WINDOW: &str = "refresh window";
const REFRESH_SESSIONS: &str = "refresh sessions";
const KEYS: [&str; 4] = [INSTANCE, NETLINK_BUFFER, REFRESH_WINDOW, REFRESH_SESSIONS];

/// As long as all goes well, up to `pace::MOST` batches wait at a time, which the kernel counts with
/// some 2,500 bytes each: enough for three times as many.
const DEFAULT_NETLINK_BUFFER: u32 = 256 << 10;

/// As pfsync's: far below any timeout of a session, far above the time between two packets.
const DEFAULT_REFRESH_WINDOW: u32 = 1000;

/// Some 100 bytes each.
const DEFAULT_REFRESH_SESSIONS: u32 = 4096;

/// The module file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModsocketConfig {
    /// `"instance"`: the name given to `jool instance add`. Default: `default`.
    #[serde(serialize_with = "as_text")]
    pub instance: InstanceName,
    /// `"netlink buffer"`: bytes of batches that the kernel keeps until they are read. Default:
    /// 256 KiB.
    #[serde(rename = "netlink buffer")]
    pub netlink_buffer: u32,
    /// `"refresh window"`: the milliseconds in which the peers are told once that a session goes
    /// on as it was; 0 tells them with each packet. Default: 1000.
    #[serde(rename = "refresh window")]
    pub refresh_window: u32,
    /// `"refresh sessions"`: for how many sessions at once that is done. Default: 4096.
    #[serde(rename = "refresh sessions")]
    pub refresh_sessions: u32,
}

impl ModsocketConfig {
    /// Takes the keys out of `document`. Also returns warnings.
    ///
    /// # Errors
    /// When a value is none that its key can have.
    pub fn from_document(mut document: Document) -> Result<(Self, Vec<String>), Failure> {
        const EXPECTED: &str = "the name of a Jool instance: 1 to 15 bytes, no control characters";
        let instance = match document.take(INSTANCE) {
            Some(entry) => InstanceName::new(entry.string(EXPECTED)?)
                .map_err(|problem| entry.error(format_args!("{problem}; expected {EXPECTED}")))?,
            None => InstanceName::DEFAULT,
        };
        let mut number = |key, default, range, expected| match document.take(key) {
            Some(entry) => entry.within(range, expected),
            None => Ok(default),
        };
        let config = Self {
            instance,
            netlink_buffer: number(
                NETLINK_BUFFER,
                DEFAULT_NETLINK_BUFFER,
                65_536..=1 << 30,
                "a whole number of bytes from 65536 to 1073741824",
            )?,
            refresh_window: number(
                REFRESH_WINDOW,
                DEFAULT_REFRESH_WINDOW,
                0..=10_000,
                "a whole number of milliseconds from 0 to 10000",
            )?,
            refresh_sessions: number(
                REFRESH_SESSIONS,
                DEFAULT_REFRESH_SESSIONS,
                1..=1 << 20,
                "a whole number of sessions from 1 to 1048576",
            )?,
        };
        Ok((config, document.finish(&KEYS)))
    }

    /// What the engine needs to know to merge refreshes; nothing if it should not.
    pub fn refreshes(&self) -> Option<Limits> {
        (self.refresh_window > 0).then_some(Limits {
            window: self.refresh_window,
            sessions: self.refresh_sessions as usize,
        })
    }
}

impl fmt::Display for ModsocketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "instance {}, netlink buffer {} bytes, ",
            self.instance, self.netlink_buffer
        )?;
        match self.refresh_window {
            0 => write!(f, "every refresh of a session passed on"),
            window => write!(
                f,
                "refresh window {window} ms, refresh sessions {}",
                self.refresh_sessions
            ),
        }
    }
}

fn as_text<S: Serializer>(name: &InstanceName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ModsocketConfig, String> {
        Document::parse("modsocket.json".to_owned(), text.as_bytes())
            .and_then(ModsocketConfig::from_document)
            .map(|(config, _)| config)
            .map_err(|failure| failure.message)
    }

    #[test]
    fn the_instance_is_called_default_unless_the_file_says_otherwise() {
        assert_eq!(parse("{}").unwrap().instance.as_str(), "default");
        assert_eq!(
            parse(r#"{"instance": "a"}"#).unwrap().instance.as_str(),
            "a"
        );
    }

    #[test]
    fn refreshes_are_merged_unless_the_window_is_0() {
        let merged = parse("{}").unwrap().refreshes().unwrap();
        assert_eq!((merged.window, merged.sessions), (1000, 4096));
        assert_eq!(parse(r#"{"refresh window": 0}"#).unwrap().refreshes(), None);
        let error = parse(r#"{"refresh window": 10001}"#).unwrap_err();
        assert_eq!(
            error,
            "modsocket.json: \"refresh window\": 10001 is out of range; expected a whole number of \
             milliseconds from 0 to 10000"
        );
    }

    #[test]
    fn a_name_of_15_bytes_is_the_longest() {
        assert!(parse(r#"{"instance": "123456789012345"}"#).is_ok());
        let error = parse(r#"{"instance": "1234567890123456"}"#).unwrap_err();
        assert_eq!(
            error,
            "modsocket.json: \"instance\": it has more than 15 bytes; expected the name of a Jool \
             instance: 1 to 15 bytes, no control characters"
        );
    }

    #[test]
    fn an_empty_name_a_control_character_and_a_number_are_refused() {
        for text in [
            r#"{"instance": ""}"#,
            r#"{"instance": "a\tb"}"#,
            r#"{"instance": 3}"#,
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains("expected the name of a Jool instance"),
                "{error}"
            );
        }
    }
}
