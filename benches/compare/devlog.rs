//! A `/dev/log` for the daemons, as every Debian system has one: whoever listens there takes what
//! comes and throws it away.
//!
//! Without one each syslog(3) of a daemon would open a socket, fail to connect it, and close it
//! again: three system calls that no user's daemon makes. With the machine's own one the benchmark
//! would fill its log.

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// What of the machine's /dev a daemon, strace and the benchmark may need.
const KEPT: [&str; 8] = [
    "null", "zero", "full", "random", "urandom", "tty", "shm", "pts",
];

/// Datagrams that wait in a socket, as systemd sets it; the kernel's own default is 10.
const QUEUE: &str = "512";

/// Gives the process a /dev of its own, with a log in it. Call it before any thread starts, and
/// after entering the network namespace that the log's socket belongs to.
///
/// # Errors
/// What this machine forbids.
pub fn enter() -> Result<(), String> {
    build().map_err(|error| {
        format!("cannot make a /dev with a log of its own: {error}; the benchmark needs root")
    })
}

fn build() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&str>;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )?;
    // Seen by this process and its children only, and gone with them.
    let place = Path::new("/mnt");
    mount(
        Some("joold-bench"),
        place,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )?;
    for name in KEPT {
        let (from, to) = (Path::new("/dev").join(name), place.join(name));
        if from.is_dir() {
            fs::create_dir(&to)?;
        } else if from.exists() {
            fs::write(&to, "")?;
        } else {
            continue;
        }
        mount(Some(&from), &to, nothing, MsFlags::MS_BIND, nothing)?;
    }
    mount(Some(place), "/dev", nothing, MsFlags::MS_MOVE, nothing)?;
    fs::write("/proc/sys/net/unix/max_dgram_qlen", QUEUE)?;
    listen()
}

fn listen() -> io::Result<()> {
    let socket = UnixDatagram::bind("/dev/log")?;
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            let mut line = [0; 2048];
            while socket.recv(&mut line).is_ok() {}
        })?;
    Ok(())
}
