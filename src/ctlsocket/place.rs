//! The file of the control socket: whose it is, if it is there already, and who may use it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::Group;
use crate::failure::words;

/// The mode of a directory that is made.
const DIRECTORY: u32 = 0o755;

/// Who may connect without a group: the file's owner, and root.
const PRIVATE: u32 = 0o600;

/// Who may connect with one: its members as well.
const SHARED: u32 = 0o660;

/// The file of a socket of this process. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Its device and inode, for others may have put another one there since.
    identity: (u64, u64),
}

impl File {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn share(&self, group: Option<&Group>) -> io::Result<()> {
        let mode = match group {
            Some(group) => {
                chown(&self.path, None, Some(group.id))?;
                SHARED
            }
            None => PRIVATE,
        };
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // It stays where the directory is another user's by now. The next daemon finds that nobody
            // listens there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// A socket at `path` that does not listen yet, and does not block.
pub(super) fn bind(path: &Path) -> Result<(Socket, File), String> {
    make_directory(path)?;
    let address = SockAddr::unix(path).map_err(|error| words(&error))?;
    let socket = socket().map_err(|error| words(&error))?;
    let bound = match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            clear(path, &address)?;
            socket.bind(&address)
        }
        bound => bound,
    };
    let file = bound.and_then(|()| File::of(path));
    Ok((socket, file.map_err(|error| words(&error))?))
}

fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Makes the last directory of `path` if it is missing; whatever the umask, others may enter it.
fn make_directory(path: &Path) -> Result<(), String> {
    let Some(directory) = path.parent() else {
        return Ok(());
    };
    let made = match DirBuilder::new().mode(DIRECTORY).create(directory) {
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(DIRECTORY)),
        // If it is something else, the socket's own error tells.
        Err(_) if directory.exists() => Ok(()),
        Err(error) => Err(error),
    };
    made.map_err(|error| {
        let (directory, why) = (directory.display(), words(&error));
        format!("cannot make the directory {directory}: {why}")
    })
}

/// Removes what a dead daemon left at `path`, and nothing else.
fn clear(path: &Path, address: &SockAddr) -> Result<(), String> {
    let file = fs::symlink_metadata(path).map_err(|error| words(&error))?;
    if !file.file_type().is_socket() {
        return Err("what is there is no socket".to_owned());
    }
    let connected = socket().and_then(|socket| socket.connect(address));
    match connected {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|error| {
                let why = words(&error);
                format!("cannot remove what an earlier daemon left there: {why}")
            }),
        // Should it have no room for one more, somebody listens as well.
        Ok(()) => Err(in_use()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(in_use()),
        Err(error) => Err(format!(
            "cannot find out who listens there: {}",
            words(&error)
        )),
    }
}

fn in_use() -> String {
    "another daemon listens there".to_owned()
}
