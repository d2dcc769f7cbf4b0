//! The configuration: the two files of upstream's daemon, or options in their place, checked before
//! anything is opened.

mod allow;
mod control;
mod document;
mod extensions;
mod group;
mod link;
mod modsocket;
mod netsocket;
mod port;
mod source;
mod stats;
mod user;

use std::fmt;

use serde::Serialize;

pub use control::{DIRECTORY as CONTROL_DIRECTORY, default_path as default_control_socket};
pub use document::Document;
pub use extensions::ExtensionsConfig;
pub use group::Group;
pub use link::Link;
pub use modsocket::ModsocketConfig;
pub use netsocket::{NetsocketConfig, Surroundings};
pub use port::port_of;
pub use source::{GROUP_ARGUMENT, Origin, Setting, Source};
pub use stats::{StatsConfig, StatsOptions};
pub use user::User;

use crate::failure::Failure;

/// All that the daemon was told, in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// How to reach the peers.
    pub netsocket: NetsocketConfig,
    /// Which instance to serve.
    pub modsocket: ModsocketConfig,
    /// Where the stats server listens, if it is wanted.
    #[serde(flatten, serialize_with = "stats::as_keys")]
    pub stats: Option<StatsConfig>,
}

/// Where the configuration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// That of [`NetsocketConfig`].
    pub netsocket: Source,
    /// That of [`ModsocketConfig`].
    pub modsocket: Source,
    /// That of [`StatsConfig`].
    pub stats: StatsOptions,
}

impl Sources {
    /// Whether any of it can say something else later.
    pub fn has_files(&self) -> bool {
        self.netsocket.is_file() || self.modsocket.is_file()
    }
}

impl Config {
    /// Reads both parts and resolves the names in them. Also returns warnings, a line each.
    ///
    /// # Errors
    /// At the first thing that is wrong.
    pub fn load(sources: &Sources) -> Result<(Self, Vec<String>), Failure> {
        let stats = sources.stats.config()?;
        let (modsocket, mut warnings) = ModsocketConfig::from_document(sources.modsocket.read()?)?;
        let network = sources.netsocket.read()?;
        let (netsocket, more) = NetsocketConfig::from_document(network, &Surroundings::here())?;
        warnings.extend(more);
        Ok((
            Self {
                netsocket,
                modsocket,
                stats,
            },
            warnings,
        ))
    }

    /// The effective configuration as JSON, as `--check` prints it.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// One line for the log.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, ", self.modsocket, self.netsocket)?;
        match self.stats {
            Some(stats) => write!(f, "{stats}"),
            None => f.write_str("stats port none"),
        }
    }
}
