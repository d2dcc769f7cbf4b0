//! What ends the daemon before its time, and the exit status that tells a service manager why.

use std::{fmt, io};

/// Exit statuses of sysexits(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 64: the command line is wrong.
    Usage = 64,
    /// 69: another process does this already, or the one that is asked does not answer.
    Unavailable = 69,
    /// 71: the operating system refused something.
    System = 71,
    /// 77: the daemon may not do what it has to.
    Permission = 77,
    /// 78: a configuration file is wrong.
    Configuration = 78,
}

impl Exit {
    /// The status of that number; nothing if there is none.
    pub fn of(number: u8) -> Option<Self> {
        let all = [
            Self::Usage,
            Self::Unavailable,
            Self::System,
            Self::Permission,
            Self::Configuration,
        ];
        all.into_iter().find(|exit| *exit as u8 == number)
    }
}

/// An end, in the user's words.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub exit: Exit,
    /// What happened, to what, and what to do.
    pub message: String,
}

impl Failure {
    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    /// A configuration file is wrong.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Configuration,
            message: message.into(),
        }
    }

    /// Another process does this already, or does not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Unavailable,
            message: message.into(),
        }
    }

    /// The operating system refused `what`.
    pub fn system(what: impl fmt::Display, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::Permission,
            _ => Exit::System,
        };
        Self {
            exit,
            message: format!("{what}: {}", words(error)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The error in words, without the number that std puts behind them.
pub fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
