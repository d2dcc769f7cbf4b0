//! The system's log, for daemons under test: a `/dev` of their own, where a `/dev/log` comes, goes,
//! and takes lines or does not.

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::wait;

/// What a daemon may need of the machine's own `/dev`.
const KEPT: [&str; 2] = ["null", "urandom"];

/// The log, which does not listen at first.
#[derive(Debug)]
pub struct SystemLog {
    devices: PathBuf,
    lines: Arc<Mutex<String>>,
    socket: Option<UnixDatagram>,
    reader: Option<JoinHandle<()>>,
}

impl SystemLog {
    /// A `/dev` without a log.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("joold-dev-{}-{number}", std::process::id());
        let devices = std::env::temp_dir().join(name);
        fs::create_dir(&devices)?;
        fs::set_permissions(&devices, fs::Permissions::from_mode(0o755))?;
        for kept in KEPT {
            fs::write(devices.join(kept), "")?;
        }
        Ok(Self {
            devices,
            lines: Arc::default(),
            socket: None,
            reader: None,
        })
    }

    /// What a daemon is to have as its `/dev`.
    pub fn devices(&self) -> &Path {
        &self.devices
    }

    /// Listens, in the place of any earlier log, and reads nothing.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn listen(&mut self) -> io::Result<()> {
        self.stop();
        let path = self.devices.join("log");
        let socket = UnixDatagram::bind(&path)?;
        // Every user may log.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Reads what comes, from here on.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn read(&mut self) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let socket = socket.try_clone()?;
        let lines = Arc::clone(&self.lines);
        self.reader = Some(thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Ends when the socket is shut down: no line is empty.
            while let Ok(length @ 1..) = socket.recv(&mut buffer) {
                let line = String::from_utf8_lossy(&buffer[..length]);
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push_str(&line);
                lines.push('\n');
            }
        }));
        Ok(())
    }

    /// Ends it, as far as daemons can see: nobody listens any more.
    pub fn stop(&mut self) {
        if let Some(socket) = self.socket.take() {
            let _ = socket.shutdown(Shutdown::Both);
            let _ = fs::remove_file(self.devices.join("log"));
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// All lines that it has read.
    pub fn said(&self) -> String {
        let lines = self.lines.lock();
        lines.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a line has `text`, and returns all of them.
    ///
    /// # Errors
    /// When none comes.
    pub fn wait_for(&self, text: &str) -> Result<String, String> {
        wait::for_some(&format!("{text:?} in syslog"), || {
            Some(self.said()).filter(|said| said.contains(text))
        })
        .map_err(|why| format!("{why}, which has: {}", self.said()))
    }
}

impl Drop for SystemLog {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.devices);
    }
}

/// Gives the calling thread, and the processes that it starts, `devices` as their `/dev`.
pub(crate) fn enter(devices: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    make_private()?;
    for kept in KEPT {
        let (from, to) = (Path::new("/dev").join(kept), devices.join(kept));
        mount(
            Some(&from),
            &to,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )?;
    }
    cover("/dev", devices)
}

/// Gives the calling thread, and the processes that it starts, that directory in the place of `target`.
pub(crate) fn own(directory: &Path, target: &str) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    make_private()?;
    cover(target, directory)
}

/// What is mounted from here on is seen by nobody else.
fn make_private() -> io::Result<()> {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    Ok(mount(
        None::<&str>,
        "/",
        None::<&str>,
        private,
        None::<&str>,
    )?)
}

fn cover(target: &str, by: &Path) -> io::Result<()> {
    let all = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(mount(Some(by), target, None::<&str>, all, None::<&str>)?)
}
