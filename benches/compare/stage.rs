//! Two routers with a daemon each, and a stand-in for the kernel module at each.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use jool_simulated::daemon::{Configuration, Daemon};
use jool_simulated::namespace::Namespace;
use jool_simulated::node::{INSTANCE, Node, Side, pair};
use jool_simulated::server::{Forger, Kernel};
use jool_simulated::{message, requests, sample, shim};
use joold::wire::jool::{Command as JoolCommand, Version};
use joold::wire::request::Plain;
use serde_json::Value;

use crate::compile::Compiled;
use crate::contender::Contender;
use crate::standin::{Counts, Shared, Template};

/// The stats server's port in upstream's manual.
pub const STATISTICS: u16 = 45678;

/// Sessions in a full batch: the module's default.
pub const FULL: usize = 36;

/// Where the stand-in for the kernel module works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the daemon's `send()`, as the real one does.
    Inside,
    /// In a process of its own, which wakes the daemon up for each batch.
    Beside,
}

/// A router.
pub struct Router {
    /// What is measured.
    pub daemon: Daemon,
    /// Orders to the stand-in, and its counters.
    pub shared: Shared,
    kernel: FirstBatch,
    template: Template,
    single: Vec<u8>,
    /// Where all of it lives.
    pub namespace: Namespace,
}

/// Who brings the first batch, which answers no acknowledgement.
enum FirstBatch {
    /// The simulated kernel multicasts it.
    Simulated(Kernel),
    /// The stand-in, when somebody acknowledges.
    StandIn {
        /// Held for as long as the router lives.
        _process: Process,
        somebody: Forger,
        acknowledgement: Box<Plain>,
    },
}

/// A process of ours. It is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A pair of routers with the same daemon.
pub struct Stage {
    /// The sending one.
    pub j: Router,
    /// The receiving one.
    pub k: Router,
}

impl Stage {
    /// Sets it up; the daemons are ready on return.
    ///
    /// # Errors
    /// What does not work, and where.
    pub fn new(contender: &Contender, place: Place, compiled: &Compiled) -> Result<Self, String> {
        let (mut j, mut k) = pair(Version::SUPPORTED).map_err(|error| error.to_string())?;
        let start = |node: &mut Node| start(node, contender, place, compiled);
        let (j_shared, k_shared) = (start(&mut j)?, start(&mut k)?);
        if contender.kind.extends() {
            wait_for_the_other(&j)?;
            wait_for_the_other(&k)?;
        }
        Ok(Self {
            j: Router::new(j, j_shared, place, compiled)?,
            k: Router::new(k, k_shared, place, compiled)?,
        })
    }

    /// J, then K.
    pub fn routers(&self) -> [&Router; 2] {
        [&self.j, &self.k]
    }
}

impl Router {
    /// Of a node whose daemon runs.
    fn new(node: Node, shared: Shared, place: Place, compiled: &Compiled) -> Result<Self, String> {
        let (template, single) = (template(&node, FULL), template(&node, 1));
        let Node {
            daemon,
            kernel,
            namespace,
            ..
        } = node;
        let daemon = daemon.ok_or("no daemon")?;
        let kernel = match place {
            Place::Inside => FirstBatch::Simulated(kernel),
            Place::Beside => replace(kernel, &namespace, &compiled.beside, shared.path())
                .map_err(|error| format!("the stand-in: {error}"))?,
        };
        Ok(Self {
            daemon,
            shared,
            kernel,
            template,
            single: single.bytes,
            namespace,
        })
    }

    /// Has the stand-in count what comes from now on, and give `total` full batches as soon as
    /// there is a [`Router::first_batch`]; none with 0.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn prepare(&self, total: u64) -> io::Result<()> {
        let first = match self.kernel {
            FirstBatch::Simulated(_) => 1,
            FirstBatch::StandIn { .. } => 0,
        };
        self.shared.begin(&self.template, first.min(total), total)
    }

    /// Begins a burst.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn first_batch(&self) -> io::Result<()> {
        match &self.kernel {
            FirstBatch::Simulated(kernel) => {
                kernel.multicast(&self.template.bytes);
                Ok(())
            }
            FirstBatch::StandIn {
                somebody,
                acknowledgement,
                ..
            } => somebody.send(shim::PORT, acknowledgement.bytes()),
        }
    }

    /// What the stand-in has counted.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn counts(&self) -> io::Result<Counts> {
        self.shared.counts()
    }

    /// A batch of one session with that number.
    pub fn single(&self, number: u32) -> Vec<u8> {
        let mut batch = self.single.clone();
        renumber(&mut batch, number);
        batch
    }

    /// Has the kernel send a batch by itself; nothing if it is beside.
    pub fn multicast(&self, batch: &[u8]) {
        if let FirstBatch::Simulated(kernel) = &self.kernel {
            kernel.multicast(batch);
        }
    }
}

/// Starts a daemon. What it shares with the stand-in.
fn start(
    node: &mut Node,
    contender: &Contender,
    place: Place,
    compiled: &Compiled,
) -> Result<Shared, String> {
    let shared = Shared::new().map_err(|error| format!("no file in memory: {error}"))?;
    let path = shared.path().to_string_lossy().into_owned();
    let program = contender.program(&node.kernel);
    let program = match place {
        Place::Inside => program
            .preload(&compiled.inside)
            .variable("JOOL_BENCH_SHARED", &path),
        Place::Beside => program.variable(shim::ASYNCHRONOUS, "1"),
    };
    let configuration = Configuration {
        netsocket: contender.netsocket(node.side),
        modsocket: None,
        statistics: Some(STATISTICS.to_string()),
    };
    node.start_and_wait(&program, &configuration)
        .map_err(|why| format!("{}: {why}", contender.kind.name()))?;
    Ok(shared)
}

/// Waits until a node's daemon has heard that the other one is in sync. What comes from one that has hardly
/// started is compared with the kernel's table, which is not what a burst is about.
fn wait_for_the_other(node: &Node) -> Result<(), String> {
    let daemon = node.daemon.as_ref().ok_or("no daemon")?;
    let socket = daemon.control_socket();
    jool_simulated::wait::for_some("the other daemon to be in sync", || {
        let status: Value = serde_json::from_str(&status(&socket).ok()?).ok()?;
        (status["peers"][0]["standing"] == "in sync").then_some(())
    })
}

/// What a daemon tells of itself.
fn status(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"status\n")?;
    io::read_to_string(stream)
}

/// Ends the simulated kernel and puts the stand-in in its place.
fn replace(
    kernel: Kernel,
    namespace: &Namespace,
    program: &Path,
    shared: &Path,
) -> io::Result<FirstBatch> {
    let acknowledgement = {
        let module = kernel.module();
        let address = requests::address(&module, INSTANCE);
        Plain::new(&address, JoolCommand::JooldAck)
    };
    drop(kernel);
    let start = || {
        Command::new(program)
            .env("JOOL_BENCH_SHARED", shared)
            .stdin(Stdio::null())
            .spawn()
    };
    let process = Process(namespace.run(start)??);
    let somebody = Forger::open(namespace)?;
    // Accepted as soon as the stand-in has the port; it ignores a message without a header.
    jool_simulated::wait::for_some("the stand-in to take its port", || {
        somebody.send(shim::PORT, &[0; 16]).ok()
    })
    .map_err(io::Error::other)?;
    Ok(FirstBatch::StandIn {
        _process: process,
        somebody,
        acknowledgement: Box::new(acknowledgement),
    })
}

/// Batch number 0. The stand-ins number it as [`renumber`] does. J and K have different sessions.
fn template(node: &Node, sessions: usize) -> Template {
    /// As the stand-in knows it: FIRST_PORT.
    const FIRST_PORT: u16 = 40_000;
    let mask = match node.side {
        Side::J => 0,
        Side::K => 1,
    };
    let module = node.kernel.module();
    let mut contents = Vec::new();
    for index in 0..sessions {
        let mut session = sample::udp(mask);
        session.source6.1 = FIRST_PORT + index as u16;
        session.expiration = 300_000;
        session.emit(module.format(), &mut contents);
    }
    let header = message::own_header(module.version(), &requests::name(INSTANCE));
    let family = module.family().unwrap_or_default();
    let mut bytes = message::batch(family, &header, &contents);
    renumber(&mut bytes, 0);
    Template {
        group: module.group().unwrap_or_default(),
        sessions,
        bytes,
    }
}

/// Gives a batch's sessions its number: `renumber()` of benches/standin/standin.h.
fn renumber(batch: &mut [u8], number: u32) {
    const CONTENTS: usize = 52;
    const SESSION: usize = 40;
    let destination = 0x0a00_0000 | (number & 0x00ff_ffff);
    for session in batch[CONTENTS..].chunks_exact_mut(SESSION) {
        session[16..20].copy_from_slice(&number.to_be_bytes());
        session[24..28].copy_from_slice(&destination.to_be_bytes());
    }
}
