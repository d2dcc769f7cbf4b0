//! Network namespaces without names: they live as long as a descriptor is open.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new one, its loopback interface up.
    ///
    /// # Errors
    /// When the process may not make namespaces: see [`crate::sandbox::enter`].
    pub fn new() -> io::Result<Self> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let file = made.join().map_err(|_| io::Error::other("panicked"))??;
        let namespace = Self { file };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Runs `work` in the namespace, on a thread of its own. Sockets that it opens and processes
    /// that it starts stay there.
    ///
    /// # Errors
    /// When the thread cannot enter.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter()?;
                Ok(work())
            });
            inside.join().map_err(|_| io::Error::other("panicked"))?
        })
    }

    /// Moves the calling thread into the namespace, for good.
    ///
    /// # Errors
    /// When the process may not.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.file, CloneFlags::CLONE_NEWNET)?)
    }

    /// Another hold on the same namespace.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn try_clone(&self) -> io::Result<Self> {
        let file = self.file.try_clone()?;
        Ok(Self { file })
    }

    /// Runs iproute2's `ip` in the namespace.
    ///
    /// # Errors
    /// When it is not there, or what it complains of.
    pub fn ip(&self, arguments: &[&str]) -> io::Result<()> {
        self.iproute2("ip", arguments)
    }

    /// Runs iproute2's `tc` in the namespace.
    ///
    /// # Errors
    /// When it is not there, or what it complains of.
    pub fn tc(&self, arguments: &[&str]) -> io::Result<()> {
        self.iproute2("tc", arguments)
    }

    fn iproute2(&self, program: &str, arguments: &[&str]) -> io::Result<()> {
        let output = self.run(|| {
            Command::new(program)
                .args(arguments)
                .env("PATH", path_with_sbin())
                .stdin(Stdio::null())
                .output()
        })?;
        let output =
            output.map_err(|error| io::Error::other(format!("{program} (iproute2): {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let what = arguments.join(" ");
        Err(io::Error::other(format!(
            "{program} {what}: {}",
            said.trim()
        )))
    }

    /// Joins two namespaces by a pair of interfaces, both called `name` and both up.
    ///
    /// Neither makes itself an address: a test should not have to wait for the detection of
    /// duplicates.
    ///
    /// # Errors
    /// What `ip` complains of.
    pub fn join(&self, other: &Self, name: &str) -> io::Result<()> {
        let there = other.path();
        self.ip(&[
            "link", "add", name, "type", "veth", "peer", "name", name, "netns", &there,
        ])?;
        for side in [self, other] {
            side.ip(&["link", "set", name, "addrgenmode", "none"])?;
            side.ip(&["link", "set", name, "up"])?;
        }
        Ok(())
    }

    /// Gives an interface an address, such as `192.0.2.1/24`, at once.
    ///
    /// # Errors
    /// What `ip` complains of.
    pub fn address(&self, name: &str, address: &str) -> io::Result<()> {
        self.ip(&["address", "add", address, "dev", name, "nodad"])
    }

    /// Takes an interface down, or up again.
    ///
    /// # Errors
    /// What `ip` complains of.
    pub fn set_up(&self, name: &str, up: bool) -> io::Result<()> {
        let state = if up { "up" } else { "down" };
        self.ip(&["link", "set", name, state])
    }

    /// A path by which other processes find the namespace while this one holds it.
    pub fn path(&self) -> String {
        let process = std::process::id();
        format!("/proc/{process}/fd/{}", self.file.as_raw_fd())
    }
}

/// The search path, with the directories that have iproute2 on Debian: an ordinary user's lacks
/// them.
fn path_with_sbin() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":/usr/sbin:/sbin");
    path
}
