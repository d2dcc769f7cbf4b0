//! The model at work: a thread, a clock, and a netlink socket in the kernel's place.
//!
//! The socket is of `NETLINK_USERSOCK`, so the real kernel's netlink code carries every message:
//! receive buffers are as large as they are and lose what does not fit, groups multicast.
//!
//! What differs from the kernel: it works in a thread of its own, where the kernel works inside
//! the sender's `send()`. The preloaded library hides that: see [`crate::shim::ASYNCHRONOUS`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use joold::wire::jool::Version;
use joold::wire::session::Session;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, sendto,
    setsockopt, socket, sockopt,
};

use crate::instance::Instance;
use crate::module::{Module, Outgoing, Request};
use crate::namespace::Namespace;
use crate::requests;
use crate::shim::PORT;
use crate::statistics::Statistics;
use crate::table::PROTOCOLS;

/// Longer than any request: a netlink attribute's length has 16 bits.
const LONGEST: usize = 128 * 1024;

/// Requests that are taken before the timer is looked at again.
const BUDGET: usize = 256;

/// Room for requests that a client sends without waiting for us.
const BUFFER: usize = 4 << 20;

/// A simulated kernel in a network namespace. It ends when this is dropped.
#[derive(Debug)]
pub struct Kernel {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    module: Mutex<Module>,
    socket: OwnedFd,
    stop: EventFd,
    start: Instant,
    /// Answers that found no room, or nobody any more.
    undelivered: AtomicU64,
}

impl Kernel {
    /// Starts a kernel with a loaded module of that version and no instance.
    ///
    /// # Errors
    /// When the namespace has one already, or a socket cannot be opened.
    pub fn start(namespace: &Namespace, version: Version) -> io::Result<Self> {
        let socket = namespace.run(open)??;
        let shared = Arc::new(Shared {
            module: Mutex::new(Module::new(version, Duration::ZERO)),
            socket,
            stop: EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?,
            start: Instant::now(),
            undelivered: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("simulated-kernel".to_owned())
            .spawn(move || serve(&theirs))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The model itself, for what has no method here; messages that it returns are not sent.
    pub fn module(&self) -> MutexGuard<'_, Module> {
        self.shared.module()
    }

    /// Time since the kernel's start, as the model counts it.
    pub fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// Does something to the model that may send messages.
    pub fn change(&self, work: impl FnOnce(&mut Module, Duration) -> Vec<Outgoing>) {
        let mut module = self.shared.module();
        let out = work(&mut module, self.now());
        self.shared.send(&out);
    }

    /// Creates an instance with synchronization on. One of that name makes place.
    pub fn add_instance(&self, name: &str) {
        let now = self.now();
        let mut module = self.module();
        let instance = module.add_instance(requests::name(name), now);
        instance.globals.ss_enabled = true;
    }

    /// `jool instance add`, and nothing else: synchronization is off. One of that name makes place.
    pub fn add_plain_instance(&self, name: &str) {
        let now = self.now();
        self.module().add_instance(requests::name(name), now);
    }

    /// Removes an instance.
    pub fn remove_instance(&self, name: &str) {
        self.module().remove_instance(&requests::name(name));
    }

    /// `modprobe -r jool`.
    pub fn unload(&self) {
        self.change(|module, _| module.unload());
    }

    /// `modprobe jool`.
    pub fn load(&self) {
        self.change(Module::load);
    }

    /// Looks at or changes the instance of that name. Nothing if there is none.
    pub fn with<T>(&self, name: &str, work: impl FnOnce(&mut Instance) -> T) -> Option<T> {
        self.module().instance_mut(&requests::name(name)).map(work)
    }

    /// A packet of `session` passes through the instance of that name. A batch that leaves because
    /// of it is in the daemon's socket on return.
    pub fn translate(&self, name: &str, session: &Session) {
        let name = requests::name(name);
        self.change(|module, now| Vec::from_iter(module.translate(&name, session, now)));
    }

    /// Runs the module's timer now instead of within two seconds.
    pub fn tick(&self) {
        self.change(Module::tick);
    }

    /// Has the daemon told about all sessions, as `jool session advertise` does.
    ///
    /// # Errors
    /// What the module tells the client.
    pub fn advertise(&self, name: &str) -> Result<(), String> {
        let request = {
            let module = self.module();
            let address = requests::address(&module, name);
            let command = joold::wire::jool::Command::JooldAdvertise;
            joold::wire::request::Plain::new(&address, command)
        };
        let mut module = self.shared.module();
        let out = module.receive(request.bytes(), NOBODY, self.now());
        self.shared.send(&out);
        out.iter().find_map(error_text).map_or(Ok(()), Err)
    }

    /// The sessions of an instance, with the lifetimes that are left.
    pub fn sessions(&self, name: &str) -> Vec<Session> {
        let now = self.now();
        let list = |instance: &mut Instance| {
            let (table, globals) = (instance.table(), &instance.globals);
            PROTOCOLS
                .iter()
                .flat_map(|&protocol| table.list(protocol, globals))
                .map(|entry| entry.at(now))
                .collect()
        };
        self.with(name, list).unwrap_or_default()
    }

    /// How many sessions an instance has.
    pub fn count(&self, name: &str) -> usize {
        self.with(name, |instance| instance.table().len())
            .unwrap_or_default()
    }

    /// The counters of an instance.
    pub fn statistics(&self, name: &str) -> Statistics {
        self.with(name, |instance| instance.statistics())
            .unwrap_or_default()
    }

    /// How many answers were lost since the start, because the asker had no room or was gone.
    pub fn undelivered(&self) -> u64 {
        self.shared.undelivered.load(Ordering::Relaxed)
    }

    /// The requests to Jool's family so far, those of this handle excepted.
    pub fn requests(&self) -> Vec<Request> {
        let module = self.module();
        let others = module.requests().filter(|request| request.port != NOBODY);
        others.cloned().collect()
    }

    /// Multicasts bytes to the daemons from the kernel's own port, whatever they are.
    pub fn multicast(&self, bytes: &[u8]) {
        let Some(group) = self.module().group() else {
            return;
        };
        let bytes = bytes.to_vec();
        self.shared.send(&[Outgoing::Group { group, bytes }]);
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // An event counter cannot be full after one write.
        let _ = self.shared.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A netlink socket of somebody who is not the kernel, in the same namespace.
#[derive(Debug)]
pub struct Forger {
    socket: OwnedFd,
}

impl Forger {
    /// Opens it.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn open(namespace: &Namespace) -> io::Result<Self> {
        let open = || {
            socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkUserSock,
            )
        };
        let socket = namespace.run(open)??;
        Ok(Self { socket })
    }

    /// Sends bytes to the socket with that port id.
    ///
    /// # Errors
    /// When there is none, or its buffer is full.
    pub fn send(&self, port: u32, bytes: &[u8]) -> io::Result<()> {
        let to = NetlinkAddr::new(port, 0);
        let flags = MsgFlags::MSG_DONTWAIT;
        sendto(self.socket.as_raw_fd(), bytes, &to, flags)?;
        Ok(())
    }

    /// Multicasts bytes to a group.
    pub fn multicast(&self, group: u32, bytes: &[u8]) {
        let to = NetlinkAddr::new(0, 1 << (group - 1));
        // Refused by port 0, delivered to the group: see `Shared::send`.
        let _ = sendto(self.socket.as_raw_fd(), bytes, &to, MsgFlags::MSG_DONTWAIT);
    }
}

/// The port id of requests that the handle makes: no socket has it.
const NOBODY: u32 = u32::MAX;

impl Shared {
    fn module(&self) -> MutexGuard<'_, Module> {
        // A test that panicked while it held the lock leaves a model that is still consistent.
        self.module.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends as the kernel does: what does not fit a receiver's buffer is lost.
    fn send(&self, out: &[Outgoing]) {
        for message in out {
            let (to, bytes) = match message {
                Outgoing::Port { port: NOBODY, .. } => continue,
                Outgoing::Port { port, bytes } => (NetlinkAddr::new(*port, 0), bytes),
                Outgoing::Group { group, bytes } => (NetlinkAddr::new(0, 1 << (group - 1)), bytes),
            };
            // A multicast from user space goes to a port too, 0, where nobody is: refused, but
            // delivered to the group. Losses are the receiver's to notice.
            let flags = MsgFlags::MSG_DONTWAIT;
            let sent = sendto(self.socket.as_raw_fd(), bytes, &to, flags);
            if sent.is_err() && matches!(message, Outgoing::Port { .. }) {
                self.undelivered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkUserSock,
    )?;
    setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(PORT, 0))?;
    Ok(socket)
}

fn serve(shared: &Shared) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let due = shared.module().next_tick();
        let left = due.saturating_sub(shared.start.elapsed());
        // Rounded up: the timer is late rather than early, as the kernel's is.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1));
        let mut waiting = [
            PollFd::new(shared.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(shared.stop.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waiting, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        if waiting[1].any() == Some(true) {
            return;
        }
        for _ in 0..BUDGET {
            if !serve_one(shared, &mut buffer) {
                break;
            }
        }
        let mut module = shared.module();
        let now = shared.start.elapsed();
        if now >= module.next_tick() {
            let out = module.tick(now);
            shared.send(&out);
        }
    }
}

/// Handles what one client has sent at once. Whether there was anything.
fn serve_one(shared: &Shared, buffer: &mut [u8]) -> bool {
    match recvfrom::<NetlinkAddr>(shared.socket.as_raw_fd(), buffer) {
        Ok((length, Some(from))) if from.pid() != PORT => {
            let mut module = shared.module();
            let now = shared.start.elapsed();
            let out = module.receive(&buffer[..length], from.pid(), now);
            shared.send(&out);
            true
        }
        Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => true,
        Err(_) => false,
    }
}

fn error_text(message: &Outgoing) -> Option<String> {
    use joold::wire::{jool, netlink};
    let Outgoing::Port { bytes, .. } = message else {
        return None;
    };
    let message = jool::Message::new_checked(netlink::Message::new_checked(bytes).ok()?).ok()?;
    let (code, text) = message.error()?;
    Some(format!("{} (error {code})", String::from_utf8_lossy(text)))
}
