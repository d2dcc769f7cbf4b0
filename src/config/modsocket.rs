//! The module file: which Jool instance the daemon serves.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::{Document, Group, User, control};
use crate::engine::Limits;
use crate::failure::Failure;
use crate::wire::globals::{Global, Values};
use crate::wire::jool::InstanceName;

pub(super) const INSTANCE: &str = "instance";
const NETLINK_BUFFER: &str = "netlink buffer";
const REFRESH_WINDOW: &str = "refresh window";
const REFRESH_SESSIONS: &str = "refresh sessions";
const SS_ENABLED: &str = "ss-enabled";
const SS_FLUSH_DEADLINE: &str = "ss-flush-deadline";
const SS_CAPACITY: &str = "ss-capacity";
const SS_MAX_SESSIONS_PER_PACKET: &str = "ss-max-sessions-per-packet";
const USER: &str = "user";
const CONTROL_SOCKET: &str = "control socket";
const CONTROL_GROUP: &str = "control group";
const KEYS: [&str; 11] = [
    INSTANCE,
    NETLINK_BUFFER,
    REFRESH_WINDOW,
    REFRESH_SESSIONS,
    SS_ENABLED,
    SS_FLUSH_DEADLINE,
    SS_CAPACITY,
    SS_MAX_SESSIONS_PER_PACKET,
    USER,
    CONTROL_SOCKET,
    CONTROL_GROUP,
];

/// As long as all goes well, up to `pace::MOST` batches wait at a time, which the kernel counts with
/// some 2,500 bytes each: enough for three times as many.
const DEFAULT_NETLINK_BUFFER: u32 = 256 << 10;

/// The longest refresh window, in milliseconds, and the most sessions that have one.
const LONGEST_WINDOW: u32 = 10_000;
const MOST_SESSIONS: u32 = 1 << 20;
const _: () = assert!(LONGEST_WINDOW <= Limits::LONGEST_WINDOW);
const _: () = assert!(MOST_SESSIONS as usize <= Limits::MOST_SESSIONS);

/// As pfsync's: far below any timeout of a session, far above the time between two packets.
const DEFAULT_REFRESH_WINDOW: u32 = 1000;

/// Some 100 bytes each.
const DEFAULT_REFRESH_SESSIONS: u32 = 4096;

/// A batch of more is longer than the module's buffer, and lost in the kernel (seen on 4.1.13).
const MOST_SESSIONS_PER_PACKET: u32 = 41;

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
    /// `"ss-enabled"`: whether synchronization is turned on at the instance whenever it appears;
    /// false leaves the instance alone. Default: true.
    #[serde(rename = "ss-enabled")]
    pub ss_enabled: bool,
    /// `"ss-flush-deadline"`: milliseconds, set together with that. Default: as the instance has it.
    #[serde(rename = "ss-flush-deadline")]
    pub ss_flush_deadline: Option<u32>,
    /// `"ss-capacity"`: sessions, set together with that. Default: as the instance has it.
    #[serde(rename = "ss-capacity")]
    pub ss_capacity: Option<u32>,
    /// `"ss-max-sessions-per-packet"`: set together with that. Default: as the instance has it.
    #[serde(rename = "ss-max-sessions-per-packet")]
    pub ss_max_sessions_per_packet: Option<u32>,
    /// `"user"`: whom the daemon becomes once its sockets are open. Default: nobody else.
    pub user: Option<User>,
    /// `"control socket"`: where [`crate::ctlsocket`] listens; nowhere for false. Default: as
    /// [`super::default_control_socket`] has it.
    #[serde(rename = "control socket", serialize_with = "control::as_entry")]
    pub control_socket: Option<PathBuf>,
    /// `"control group"`: which group may use that besides the daemon's own user. Default: none.
    #[serde(rename = "control group")]
    pub control_group: Option<Group>,
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
        let user = document.take(USER).as_ref().map(User::of).transpose()?;
        let control_socket = match document.take(CONTROL_SOCKET) {
            Some(entry) => control::path(&entry)?,
            None => Some(control::default_path(&instance)),
        };
        let control_group = document.take(CONTROL_GROUP);
        let control_group = control_group.as_ref().map(Group::of).transpose()?;
        let ss_enabled = match document.take(SS_ENABLED) {
            Some(entry) => entry.truth()?,
            None => true,
        };
        let mut optional = |key, range, expected| {
            let entry = document.take(key);
            entry.map(|entry| entry.within(range, expected)).transpose()
        };
        let mut number = |key, default, range, expected| {
            optional(key, range, expected).map(|number| number.unwrap_or(default))
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
                0..=LONGEST_WINDOW,
                "a whole number of milliseconds from 0 to 10000",
            )?,
            refresh_sessions: number(
                REFRESH_SESSIONS,
                DEFAULT_REFRESH_SESSIONS,
                1..=MOST_SESSIONS,
                "a whole number of sessions from 1 to 1048576",
            )?,
            ss_enabled,
            ss_flush_deadline: optional(
                SS_FLUSH_DEADLINE,
                0..=3_600_000,
                "a whole number of milliseconds from 0 to 3600000",
            )?,
            ss_capacity: optional(
                SS_CAPACITY,
                1..=1 << 24,
                "a whole number of sessions from 1 to 16777216",
            )?,
            ss_max_sessions_per_packet: optional(
                SS_MAX_SESSIONS_PER_PACKET,
                1..=MOST_SESSIONS_PER_PACKET,
                "a whole number of sessions from 1 to 41",
            )?,
            user,
            control_socket,
            control_group,
        };
        if !ss_enabled && config.named_globals().next().is_some() {
            document.warn(format_args!(
                "\"{SS_ENABLED}\" is false, so the instance is left alone and the other \"ss-\" keys have \
                 no effect"
            ));
        }
        if config.control_socket.is_none() && config.control_group.is_some() {
            document.warn(format_args!(
                "\"{CONTROL_SOCKET}\" is false, so \"{CONTROL_GROUP}\" has no effect"
            ));
        }
        let warnings = document.finish(&KEYS);
        Ok((config, warnings))
    }

    /// The globals that the instance is given when it appears.
    pub fn globals(&self) -> Values {
        let mut wanted = Values::default();
        if self.ss_enabled {
            wanted.set(Global::SsEnabled, Some(1));
            for (global, value) in self.named_globals() {
                wanted.set(global, Some(value));
            }
        }
        wanted
    }

    /// Those that the file names, but for `ss-enabled`.
    fn named_globals(&self) -> impl Iterator<Item = (Global, u32)> {
        [
            (Global::SsFlushDeadline, self.ss_flush_deadline),
            (Global::SsCapacity, self.ss_capacity),
            (
                Global::SsMaxSessionsPerPacket,
                self.ss_max_sessions_per_packet,
            ),
        ]
        .into_iter()
        .filter_map(|(global, value)| Some((global, value?)))
    }

    /// Whether the control socket is where nobody had to choose.
    pub fn is_control_default(&self) -> bool {
        self.control_socket
            .as_ref()
            .is_some_and(|path| *path == control::default_path(&self.instance))
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
        }?;
        write!(f, ", ss-enabled {}", self.ss_enabled)?;
        for (global, value) in self.named_globals() {
            write!(f, ", {} {value}", global.name())?;
        }
        if let Some(user) = &self.user {
            write!(f, ", user {user}")?;
        }
        match &self.control_socket {
            Some(path) => write!(f, ", control socket {}", path.display())?,
            None => f.write_str(", no control socket")?,
        }
        if let Some(group) = &self.control_group {
            write!(f, ", control group {group}")?;
        }
        Ok(())
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
    fn synchronization_is_turned_on_and_the_rest_is_the_instances_own_by_default() {
        let globals = parse("{}").unwrap().globals();
        assert_eq!(globals.get(Global::SsEnabled), Some(1));
        assert_eq!(globals.get(Global::SsFlushDeadline), None);
        let named =
            r#"{"ss-flush-deadline": 20, "ss-capacity": 1024, "ss-max-sessions-per-packet": 30}"#;
        let globals = parse(named).unwrap().globals();
        assert_eq!(
            Global::ALL.map(|global| globals.get(global)),
            [Some(1), Some(20), Some(1024), Some(30)]
        );
    }

    #[test]
    fn a_file_that_says_false_leaves_the_instance_alone_and_says_so_of_the_other_keys() {
        let text = r#"{"ss-enabled": false, "ss-flush-deadline": 20}"#;
        let document = Document::parse("modsocket.json".to_owned(), text.as_bytes()).unwrap();
        let (config, warnings) = ModsocketConfig::from_document(document).unwrap();
        assert_eq!(config.globals(), Values::default());
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("no effect"), "{warnings:?}");
    }

    #[test]
    fn a_wrong_global_is_refused_with_what_it_may_be() {
        for (text, expected) in [
            (
                r#"{"ss-enabled": "yes"}"#,
                "modsocket.json: \"ss-enabled\": \"yes\" is wrong; expected true or false",
            ),
            (
                r#"{"ss-max-sessions-per-packet": 42}"#,
                "modsocket.json: \"ss-max-sessions-per-packet\": 42 is out of range; expected a \
                 whole number of sessions from 1 to 41",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_daemon_stays_who_it_is_unless_the_file_names_a_user() {
        assert_eq!(parse("{}").unwrap().user, None);
        let config = parse(r#"{"user": "root"}"#).unwrap();
        assert!(config.to_string().contains(", user root (0)"), "{config}");
        assert_eq!(config.user.unwrap().id, 0);
    }

    #[test]
    fn the_control_socket_is_named_after_the_instance_unless_the_file_says_otherwise() {
        let config = parse(r#"{"instance": "a"}"#).unwrap();
        let path = "/run/joold/a.sock";
        assert_eq!(config.control_socket, Some(path.into()));
        assert_eq!(config.control_group, None);
        let text = r#"{"control socket": false, "control group": 0}"#;
        let document = Document::parse("modsocket.json".to_owned(), text.as_bytes()).unwrap();
        let (config, warnings) = ModsocketConfig::from_document(document).unwrap();
        assert_eq!(config.control_socket, None);
        assert_eq!(
            warnings,
            ["modsocket.json: \"control socket\" is false, so \"control group\" has no effect"]
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
