//! The control socket: where `jooldctl` asks how the daemon stands, and gives it orders.
//!
//! A stream socket in the file system (unix(7)). Whoever connects sends one line, a
//! [`Request`], gets an answer, and the connection ends; but a [`Follower`]'s goes on. File permissions say who
//! may connect.

mod client;
mod follower;
mod frame;
mod order;
mod place;
mod request;

use std::io;
use std::path::Path;

use mio::net::{UnixListener, UnixStream};

pub use client::{Client, Heard};
pub use follower::Follower;
pub use frame::{Direction, Directions, First, Frame, GREETING, Strange};
pub use order::{outcome, report as report_order};
pub use request::{LONGEST, Request, Wrong};

use crate::config::{Group, ModsocketConfig};
use crate::failure::words;
use crate::report;
use place::File;

/// How many may wait to be accepted.
const BACKLOG: i32 = 32;

/// The listening socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct CtlSocket {
    /// For the reactor to register.
    pub socket: UnixListener,
    file: File,
}

impl CtlSocket {
    /// Opens the one that `config` wants; for its owner alone, if it cannot be given to the group. The
    /// log says so, and where there can be none at all: the daemon does its work without.
    pub fn start(config: &ModsocketConfig) -> Option<Self> {
        let path = config.control_socket.as_ref()?;
        let opened = match (Self::open(path, None), &config.control_group) {
            (Ok(socket), Some(group)) => {
                if let Err(error) = socket.share(Some(group)) {
                    report::control_not_shared(path, group, &error);
                }
                Ok(socket)
            }
            (opened, _) => opened,
        };
        opened
            .inspect_err(|why| {
                let is_default = config.is_control_default();
                log::warn!("{}", report::no_control_socket(path, is_default, why));
            })
            .ok()
    }

    /// Listens at `path` for its owner and for `group`, in a directory that is made if it is missing.
    /// What a dead daemon left there gives way.
    ///
    /// # Errors
    /// Why that cannot be, in words.
    pub fn open(path: &Path, group: Option<&Group>) -> Result<Self, String> {
        // Nobody can connect before somebody listens, whatever the file's mode is at first.
        let (socket, file) = place::bind(path)?;
        file.share(group).map_err(|error| match group {
            Some(group) => format!("cannot give it to the group {group}: {}", words(&error)),
            None => words(&error),
        })?;
        socket.listen(BACKLOG).map_err(|error| words(&error))?;
        Ok(Self {
            socket: UnixListener::from_std(socket.into()),
            file,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Lets the members of `group` connect besides the daemon's user and root, or nobody.
    ///
    /// # Errors
    /// Those of chown(2) and chmod(2).
    pub fn share(&self, group: Option<&Group>) -> io::Result<()> {
        self.file.share(group)
    }

    /// The next one who connected.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nobody; those of accept(2).
    pub fn accept(&self) -> io::Result<UnixStream> {
        self.socket.accept().map(|(stream, _)| stream)
    }
}

#[cfg(test)]
mod tests;
