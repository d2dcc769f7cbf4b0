//! The configuration: the two files of upstream's daemon, checked before anything is opened.

mod allow;
mod control;
mod document;
mod extensions;
mod group;
mod link;
mod modsocket;
mod netsocket;
mod port;
mod user;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use control::{DIRECTORY as CONTROL_DIRECTORY, default_path as default_control_socket};
pub use document::Document;
pub use extensions::ExtensionsConfig;
pub use group::Group;
pub use link::Link;
pub use modsocket::ModsocketConfig;
pub use netsocket::{NetsocketConfig, Surroundings};
pub use port::port_of;
pub use user::User;

use crate::failure::Failure;

/// All that the daemon was told, in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// How to reach the peers.
    pub netsocket: NetsocketConfig,
    /// Which instance to serve.
    pub modsocket: ModsocketConfig,
    /// The UDP port of the stats server, if it is wanted.
    #[serde(rename = "stats port")]
    pub stats: Option<u16>,
}

/// Where the configuration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The file of [`NetsocketConfig`].
    pub netsocket: PathBuf,
    /// The file of [`ModsocketConfig`].
    pub modsocket: PathBuf,
    /// Number or service name.
    pub stats: Option<String>,
}

impl Config {
    /// Reads both files and resolves the names in them. Also returns warnings, a line each.
    ///
    /// # Errors
    /// At the first thing that is wrong.
    pub fn load(sources: &Sources) -> Result<(Self, Vec<String>), Failure> {
        let stats = match &sources.stats {
            Some(text) => Some(port_of(text).map_err(|problem| {
                Failure::usage(format!("PORT: {problem}; expected {}", port::EXPECTED))
            })?),
            None => None,
        };
        let (modsocket, mut warnings) =
            Self::read(&sources.modsocket, ModsocketConfig::from_document)?;
        let surroundings = Surroundings::here();
        let (netsocket, more) = Self::read(&sources.netsocket, |document| {
            NetsocketConfig::from_document(document, &surroundings)
        })?;
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

    fn read<T>(
        path: &Path,
        parse: impl FnOnce(Document) -> Result<(T, Vec<String>), Failure>,
    ) -> Result<(T, Vec<String>), Failure> {
        parse(Document::read(path)?)
    }

    /// The effective configuration as JSON, as `--check` prints it.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// One line for the log.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, stats port ", self.modsocket, self.netsocket)?;
        match self.stats {
            Some(port) => write!(f, "{port}"),
            None => f.write_str("none"),
        }
    }
}
