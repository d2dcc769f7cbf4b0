//! A router under test: a node, and what is to be remembered of its daemon.

use jool_simulated::daemon::{Configuration, Program};
use jool_simulated::node::{INSTANCE, Network, Node};
use jool_simulated::server::Forger;
use jool_simulated::wait;

use crate::books::{Facts, OTHER, differences};
use crate::told::Told;

pub type Outcome<T = ()> = Result<T, String>;

pub const NETWORK: Network = Network::Ipv6;
pub const STATISTICS: u16 = 45_678;

/// The most that a daemon may grow, in kB, once it has been busy: pages that it had not used. The
/// buffers for datagrams to and from the network have 96 kB, all of which is in use for the first time
/// when as much comes at once.
const GROWTH: u64 = 128;

/// Before the counters that a daemon was asked for.
const ANSWER: &str = "counters: ";

/// Lines that a daemon may log between two checkpoints. Far more messages pass, and are dropped.
const LINES: usize = 300;

/// A router, and the accounts of its daemon.
pub struct Router {
    pub node: Node,
    pub forger: Forger,
    /// What only the test knows of what it sent: the rest is 0.
    pub sent: Facts,
    /// Datagrams that the test sent from its namespace.
    pub multicasts: u64,
    /// When this daemon started.
    opened: Facts,
    /// Its memory in kB and the number of its descriptors, at its first checkpoint.
    settled: Option<(u64, usize)>,
}

impl Router {
    /// Starts a daemon on it.
    pub fn new(node: Node) -> Outcome<Self> {
        let forger = Forger::open(&node.namespace).map_err(|error| error.to_string())?;
        node.kernel.add_instance(OTHER);
        let mut router = Self {
            node,
            forger,
            sent: Facts::default(),
            multicasts: 0,
            opened: Facts::default(),
            settled: None,
        };
        router.start()?;
        Ok(router)
    }

    /// Starts a daemon; there is none. What its kernel has said so far is not for it.
    pub fn start(&mut self) -> Outcome {
        self.empty_queue()?;
        self.opened = self.facts()?;
        let program = Program::new(env!("CARGO_BIN_EXE_joold")).argument("--stderr");
        // Small, so that a short time fills them.
        let more = r#", "receive buffer": 131072, "repair buffer": 65536"#;
        let modsocket =
            r#"{ "instance": "default", "netlink buffer": 65536, "refresh sessions": 512 }"#;
        let configuration = Configuration {
            netsocket: NETWORK.netsocket(self.node.side, more),
            modsocket: Some(modsocket.to_owned()),
            statistics: Some(STATISTICS.to_string()),
        };
        self.settled = None;
        self.node.start_and_wait(&program, &configuration)
    }

    /// Whether its daemon has not come to a checkpoint yet.
    pub fn is_new(&self) -> bool {
        self.settled.is_none()
    }

    pub fn daemon(&mut self) -> Outcome<&mut jool_simulated::daemon::Daemon> {
        let daemon = self.node.daemon.as_mut();
        daemon.ok_or_else(|| "no daemon".to_owned())
    }

    /// What was counted so far, but for the daemon.
    pub fn facts(&self) -> Outcome<Facts> {
        let file = || std::fs::read_to_string("/proc/thread-self/net/snmp6");
        let snmp6 = self.node.namespace.run(file).and_then(|read| read);
        let read = Facts::read(&self.node, &snmp6.map_err(|error| error.to_string())?);
        Ok(Facts {
            junk: self.sent.junk,
            forged: self.sent.forged,
            ..read
        })
    }

    /// Has the kernel send all that waits, whether that is acknowledged or not.
    pub fn flush(&self) {
        for instance in [INSTANCE, OTHER] {
            let kernel = &self.node.kernel;
            let deadline = kernel.with(instance, |jool| {
                std::mem::replace(&mut jool.globals.ss_flush_deadline, 0)
            });
            kernel.tick();
            kernel.with(instance, |jool| {
                jool.globals.ss_flush_deadline = deadline.unwrap_or_default();
            });
        }
    }

    /// Flushes until nothing waits.
    fn empty_queue(&self) -> Outcome {
        let queued = || {
            [INSTANCE, OTHER]
                .iter()
                .filter_map(|name| self.node.kernel.with(name, |jool| jool.queued()))
                .sum::<usize>()
        };
        wait::for_value("updates in the kernel's queue", 0, || {
            self.flush();
            queued()
        })
    }

    /// What the daemon tells of its counters now.
    fn ask(&mut self) -> Outcome<Told> {
        let daemon = self.daemon()?;
        let answers = daemon.said().matches(ANSWER).count();
        daemon.ask_for_counters()?;
        wait::for_some("the counters", || {
            let said = daemon.said();
            let told = (said.matches(ANSWER).count() > answers).then(|| Told::last(&said, ANSWER));
            told.flatten()
        })
        .map_err(|why| format!("{why}; it says: {}", daemon.said()))
    }

    /// Waits until nothing is under way, and the accounts balance.
    pub fn balance(&mut self) -> Outcome<Told> {
        let side = self.node.side;
        let end = std::time::Instant::now() + wait::PATIENCE;
        loop {
            self.empty_queue()?;
            let told = self.ask()?;
            let facts = self.facts()?.since(self.opened);
            let wrong = match differences(&facts, &told) {
                none if none.is_empty() && told.count("held") == 0 => return Ok(told),
                some => some,
            };
            if std::time::Instant::now() > end {
                let said = without_answers(&self.daemon()?.said());
                let wrong = wrong.join("\n");
                return Err(format!(
                    "the accounts of {side:?} do not balance:\n{wrong}\n{facts:?}\n{told:?}\n{said}"
                ));
            }
            wait::a_moment();
        }
    }

    /// As [`Router::balance`], of a daemon that has ended orderly with this line.
    pub fn balance_at_its_end(&self, said: &str) -> Outcome {
        let told = Told::last(said, "stopping on SIGTERM: ")
            .ok_or_else(|| format!("no counters at the end: {said}"))?;
        let facts = self.facts()?.since(self.opened);
        let wrong = differences(&facts, &told);
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "the accounts at the end do not balance:\n{}\n{facts:?}\n{told:?}\n{said}",
                wrong.join("\n")
            )),
        }
    }

    /// Checks what must not grow, and forgets what the daemon said.
    pub fn measure(&mut self) -> Outcome<u64> {
        let side = self.node.side;
        let settled = self.settled;
        let daemon = self.daemon()?;
        let memory = resident(&daemon.proc("status").map_err(|error| error.to_string())?);
        let descriptors = daemon.descriptors().map_err(|error| error.to_string())?;
        let lines = daemon.said().lines().count();
        if lines > LINES {
            let said = daemon.said();
            return Err(format!("{side:?} logged {lines} lines: {said}"));
        }
        daemon.forget();
        let (first, open) = settled.unwrap_or((memory, descriptors.len()));
        self.settled = Some((first, open));
        if memory > first + GROWTH {
            return Err(format!("{side:?} grew from {first} kB to {memory} kB"));
        }
        if descriptors.len() != open {
            return Err(format!(
                "{side:?} had {open} descriptors, and now has {descriptors:?}"
            ));
        }
        Ok(memory)
    }
}

/// A log without what the test asked for again and again.
fn without_answers(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.contains(ANSWER));
    lines.collect::<Vec<_>>().join("\n")
}

/// `RssAnon` in kB.
fn resident(status: &str) -> u64 {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}
