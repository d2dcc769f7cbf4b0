//! Two routers, their daemons, and what tests do with them.

use std::collections::BTreeMap;
use std::env;

use jool_simulated::daemon::{Configuration, Daemon, Program};
use jool_simulated::node::{INSTANCE, Network, Node, Side, pair};
use jool_simulated::wait;
use joold::wire::jool::{Command, Version};
use joold::wire::session::Session;
use libtest_mimic::{Failed, Trial};

/// A test for one of several cases.
pub fn case(name: &str, case: &str, test: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    Trial::test(format!("{name}::{case}"), test)
}

/// Tests by the names of their functions.
macro_rules! tests {
    ($($test:ident)*) => { [$(libtest_mimic::Trial::test(stringify!($test), $test)),*] };
}
pub(crate) use tests;

/// The multicast port of the examples.
pub const PORT: u16 = 6464;

/// The stats server's port of upstream's manual.
pub const STATISTICS: &str = "45678";

/// The last module whose batches are nested.
pub const OLD: Version = Version::new(4, 1, 11);

/// One that keeps no more than a packet of what its daemon has not fetched.
pub const WITHOUT_QUEUE: Version = Version::new(4, 1, 9);

pub type Outcome = Result<(), Failed>;

pub fn program() -> Program {
    match env::var_os("JOOLD_UNDER_TEST") {
        Some(path) => Program::new(path),
        None => Program::new(env!("CARGO_BIN_EXE_joold")).argument("--stderr"),
    }
}

pub fn configuration(network: Network, side: Side) -> Configuration {
    Configuration {
        netsocket: network.plain_netsocket(side, ""),
        modsocket: None,
        statistics: Some(STATISTICS.to_owned()),
    }
}

/// Two routers whose daemons hear both sides.
pub fn running(network: Network, version: Version) -> Result<(Node, Node), Failed> {
    let (mut j, mut k) = pair(version)?;
    for node in [&mut j, &mut k] {
        node.start_and_wait(&program(), &configuration(network, node.side))?;
    }
    Ok((j, k))
}

pub fn daemon(node: &mut Node) -> Result<&mut Daemon, Failed> {
    node.daemon.as_mut().ok_or_else(|| "no daemon".into())
}

pub fn translate(node: &Node, sessions: impl IntoIterator<Item = Session>) {
    for session in sessions {
        node.kernel.translate(INSTANCE, &session);
    }
}

pub fn wait_for_sessions(node: &Node, count: usize) -> Outcome {
    let what = format!("the number of sessions at {:?}", node.side);
    Ok(wait::for_value(&what, count, || {
        node.kernel.count(INSTANCE)
    })?)
}

/// The sessions of a node, but for their lifetimes.
pub fn timeless(node: &Node) -> Vec<Session> {
    let mut sessions = node.kernel.sessions(INSTANCE);
    for session in &mut sessions {
        session.expiration = 0;
    }
    sessions
}

/// How many requests of one kind the daemon has made, by the instance that they name.
pub fn requests_by_instance(node: &Node, command: Command) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in node.kernel.requests() {
        if request.command == command as u8 {
            *counts.entry(request.instance).or_default() += 1;
        }
    }
    counts
}

/// How often the daemon has looked at its instance.
pub fn looks(node: &Node) -> usize {
    let looks = requests_by_instance(node, Command::GlobalForeach);
    looks.get(INSTANCE).copied().unwrap_or_default()
}

/// Waits until the daemon has looked at its instance once more.
pub fn wait_for_a_look(node: &Node) -> Outcome {
    let before = looks(node);
    Ok(wait::for_some(
        "the daemon to look at its instance",
        || (looks(node) > before).then_some(()),
    )?)
}

/// Gives a node's kernel a queue that no test fills, for those that translate faster than a daemon
/// may get its turns.
pub fn widen_queue(node: &Node) {
    node.kernel
        .with(INSTANCE, |jool| jool.globals.ss_capacity = 100_000);
}

/// Sends whatever waits in the queue of a node's kernel, although no packet is full.
pub fn flush(node: &Node) {
    let deadline = node
        .kernel
        .with(INSTANCE, |jool| {
            std::mem::replace(&mut jool.globals.ss_flush_deadline, 0)
        })
        .unwrap_or_default();
    node.kernel.tick();
    node.kernel
        .with(INSTANCE, |jool| jool.globals.ss_flush_deadline = deadline);
}
