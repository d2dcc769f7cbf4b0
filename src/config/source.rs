//! Where the two parts of the configuration stand: in files, or on the command line of `joold proxy`.

use std::path::PathBuf;

use serde_json::Value;

use super::{Document, modsocket, netsocket};
use crate::failure::Failure;

/// Where one part of the configuration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file of this program's.
    File(PathBuf),
    /// In a file of Jool's (`jool file handle`), of which the instance's name is taken.
    InstanceOf(PathBuf),
    /// On the command line.
    Options(Vec<Setting>),
}

/// What the command line says in place of a file's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The file's key.
    pub key: &'static str,
    /// As the file would have it.
    pub value: Value,
}

impl Setting {
    /// The setting that an option of `jool session proxy` is, by the option's name. What is a number in a
    /// file should be one.
    pub fn of_option(option: &str, text: String) -> Option<Self> {
        let (key, _) = OPTIONS.iter().find(|(_, name)| *name == option)?;
        let number = text.bytes().all(|byte| byte.is_ascii_digit());
        let value = match text.parse::<u64>() {
            Ok(value) if number && *key == netsocket::TTL => value.into(),
            _ => text.into(),
        };
        Some(Self { key, value })
    }
}

/// The argument of `joold proxy`, as its errors write it.
pub const GROUP_ARGUMENT: &str = "NET_MCAST_ADDR";

/// The keys that the command line can say, as it says them.
const OPTIONS: [(&str, &str); 6] = [
    (netsocket::ADDRESS, GROUP_ARGUMENT),
    (netsocket::PORT, "--net.mcast.port"),
    (netsocket::IN, "--net.dev.in"),
    (netsocket::OUT, "--net.dev.out"),
    (netsocket::TTL, "--net.ttl"),
    (modsocket::INSTANCE, "--instance"),
];

impl Source {
    /// Whether it can say something else later.
    pub fn is_file(&self) -> bool {
        !matches!(self, Self::Options(_))
    }

    /// What errors about it name.
    pub fn origin(&self) -> Origin {
        match self {
            Self::File(path) | Self::InstanceOf(path) => Origin::File(path.display().to_string()),
            Self::Options(_) => Origin::Options,
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of [`Document::read`].
    pub fn read(&self) -> Result<Document, Failure> {
        match self {
            Self::File(path) => Document::read(path),
            Self::InstanceOf(path) => Document::read_only(path, modsocket::INSTANCE),
            Self::Options(settings) => Ok(Document::of_options(settings)),
        }
    }
}

/// What a document was made of.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The file of that name.
    File(String),
    /// The command line of `joold proxy`.
    Options,
}

impl Origin {
    /// How users write a key.
    pub fn name(&self, key: &str) -> String {
        let option = OPTIONS.iter().find(|(known, _)| *known == key);
        match (self, option) {
            (Self::Options, Some((_, option))) => (*option).to_owned(),
            _ => format!("\"{key}\""),
        }
    }

    /// Where a key stands.
    pub(super) fn place(&self, key: &str) -> String {
        let name = self.name(key);
        match self {
            Self::File(file) => format!("{file}: {name}"),
            Self::Options => name,
        }
    }

    /// An error in it.
    pub(super) fn failure(&self, message: String) -> Failure {
        match self {
            Self::File(_) => Failure::configuration(message),
            Self::Options => Failure::usage(message),
        }
    }
}
