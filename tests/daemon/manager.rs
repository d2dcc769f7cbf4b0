//! What a service manager is told.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::sync::Mutex;

use jool_simulated::daemon::{Configuration, Program};
use jool_simulated::node::{INSTANCE, LINK, Network, Node, Side, pair};
use jool_simulated::wait;
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};

use crate::privileges::{NOBODY, has_other_users};
use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        it_is_told_when_the_daemon_is_ready_how_it_stands_and_that_it_ends
        it_is_told_what_is_missing
        a_reload_is_announced_and_its_failure_stays_in_the_status
        a_hangup_without_files_counts_as_a_reload
        its_watchdog_hears_of_a_loop_that_goes_round_and_of_no_other
        one_that_is_not_there_is_warned_of
    });
    let alone = !has_other_users();
    let others = tests! { it_is_told_by_an_ordinary_user_too };
    tests.extend(others.map(|test| test.with_ignored_flag(alone)));
    tests
}

/// A service manager's socket, and all that came to it.
struct Manager {
    socket: UnixDatagram,
    /// As the environment has it.
    name: String,
    path: Option<PathBuf>,
    heard: Mutex<Vec<String>>,
}

impl Manager {
    /// At an abstract address in the network namespace of a node.
    fn abstract_at(node: &Node) -> Result<Self, Failed> {
        let name = "test/notify";
        let bind = || UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?);
        Self::with(node.namespace.run(bind)??, format!("@{name}"), None)
    }

    /// At a path that root alone can send to.
    fn at_path(name: &str) -> Result<Self, Failed> {
        let name = format!("joold-notify-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let socket = UnixDatagram::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Self::with(socket, path.display().to_string(), Some(path))
    }

    fn with(socket: UnixDatagram, name: String, path: Option<PathBuf>) -> Result<Self, Failed> {
        socket.set_nonblocking(true)?;
        let heard = Mutex::default();
        Ok(Self {
            socket,
            name,
            path,
            heard,
        })
    }

    fn starts(&self) -> Program {
        program().variable("NOTIFY_SOCKET", &self.name)
    }

    /// The messages so far.
    fn heard(&self) -> Vec<String> {
        let mut heard = self.heard.lock().unwrap();
        let mut message = [0; 4096];
        loop {
            match self.socket.recv(&mut message) {
                Ok(length) => {
                    heard.push(String::from_utf8_lossy(&message[..length]).into_owned());
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    return heard.clone();
                }
            }
        }
    }

    /// Waits for a message that has `text`, and returns its place.
    fn wait_for(&self, text: &str) -> Result<usize, Failed> {
        self.wait_for_next(text, 0)
    }

    /// The same, from that place on.
    fn wait_for_next(&self, text: &str, from: usize) -> Result<usize, Failed> {
        let place = wait::for_some(&format!("{text:?} at the service manager"), || {
            let heard = self.heard();
            let later = heard.iter().enumerate().skip(from);
            later
                .filter(|(_, message)| message.contains(text))
                .map(|(place, _)| place)
                .next()
        });
        Ok(place.map_err(|why| format!("{why}, which heard {:?}", self.heard()))?)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// Two routers whose daemons say hello often; the first has a service manager.
fn managed(manager: &Manager, j: &mut Node, k: &mut Node) -> Outcome {
    let hello = r#", "hello period": 100"#;
    for node in [j, k] {
        let configuration = Configuration {
            netsocket: Network::Ipv6.netsocket(node.side, hello),
            ..configuration(Network::Ipv6, node.side)
        };
        let program = match node.side {
            Side::J => manager.starts(),
            Side::K => program(),
        };
        node.start_and_wait(&program, &configuration)?;
    }
    Ok(())
}

fn it_is_told_when_the_daemon_is_ready_how_it_stands_and_that_it_ends() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let manager = Manager::abstract_at(&j)?;
    managed(&manager, &mut j, &mut k)?;
    manager.wait_for("READY=1\nSTATUS=")?;
    assert!(manager.heard()[0].starts_with("READY=1\n"));
    manager.wait_for("STATUS=in sync; 1 other router; may become master\n")?;
    assert_eq!(daemon(&mut j)?.stop()?.code(), Some(0));
    let last = manager.wait_for("STOPPING=1\nSTATUS=stopping on SIGTERM\n")?;
    assert_eq!(manager.heard().len(), last + 1);
    Ok(())
}

fn it_is_told_by_an_ordinary_user_too() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let manager = Manager::at_path("user")?;
    let mut configuration = configuration(Network::Ipv6, Side::J);
    configuration.modsocket = Some(format!(r#"{{ "user": {NOBODY} }}"#));
    j.start_and_wait(&manager.starts(), &configuration)?;
    k.start_and_wait(&program(), &self::configuration(Network::Ipv6, Side::K))?;
    manager.wait_for("READY=1\n")?;
    manager.wait_for("STATUS=alone; may become master\n")?;
    daemon(&mut j)?.stop()?;
    manager.wait_for("STOPPING=1\n")?;
    Ok(())
}

fn it_is_told_what_is_missing() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let manager = Manager::abstract_at(&j)?;
    j.kernel.remove_instance(INSTANCE);
    j.start_and_wait(&manager.starts(), &configuration(Network::Ipv6, Side::J))?;
    let ready = manager.wait_for("READY=1\n")?;
    let missing = "STATUS=without kernel: the instance default is missing; may not become master\n";
    let place = manager.wait_for(missing)?;
    assert!(place >= ready);
    j.kernel.add_instance(INSTANCE);
    let place = manager.wait_for_next("STATUS=alone; may become master\n", place)?;
    j.namespace.set_up(LINK, false)?;
    let down = "STATUS=alone; an interface to the other routers is missing or down; may";
    manager.wait_for_next(down, place)?;
    Ok(())
}

fn a_reload_is_announced_and_its_failure_stays_in_the_status() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let manager = Manager::abstract_at(&j)?;
    j.start_and_wait(&manager.starts(), &configuration(Network::Ipv6, Side::J))?;
    let alone = "STATUS=alone; may become master\n";
    let mut place = manager.wait_for(alone)?;
    let good = Network::Ipv6.plain_netsocket(Side::J, "");
    for (file, status) in [
        (
            "{",
            "STATUS=alone; may become master; the files are not in effect since they were read again: ",
        ),
        (good.as_str(), alone),
    ] {
        daemon(&mut j)?.reload("netsocket.json", file)?;
        let began = manager.wait_for_next("RELOADING=1\nMONOTONIC_USEC=", place)?;
        place = manager.wait_for_next(&format!("READY=1\n{status}"), began)?;
        assert_eq!(place, began + 1);
    }
    Ok(())
}

fn a_hangup_without_files_counts_as_a_reload() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let manager = Manager::abstract_at(&j)?;
    let words = [
        "proxy",
        "ff08::db8:64:64",
        "-p",
        "6464",
        "-i",
        LINK,
        "-o",
        LINK,
    ];
    let program = words.into_iter().fold(manager.starts(), Program::argument);
    j.start_and_wait(&program.without_files(), &Configuration::default())?;
    let place = manager.wait_for("READY=1\n")?;
    daemon(&mut j)?.hang_up()?;
    let place = manager.wait_for_next("RELOADING=1\n", place)?;
    manager.wait_for_next("READY=1\n", place)?;
    Ok(())
}

fn its_watchdog_hears_of_a_loop_that_goes_round_and_of_no_other() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let manager = Manager::abstract_at(&j)?;
    let program = manager.starts().variable("WATCHDOG_USEC", "100000");
    j.start_and_wait(&program, &configuration(Network::Ipv6, Side::J))?;
    let mut place = 0;
    for _ in 0..3 {
        place = 1 + manager.wait_for_next("WATCHDOG=1\n", place)?;
    }
    daemon(&mut j)?.pause()?;
    wait::a_moment();
    let before = manager.heard().len();
    wait::a_moment();
    assert_eq!(manager.heard().len(), before);
    daemon(&mut j)?.resume()?;
    manager.wait_for_next("WATCHDOG=1\n", before)?;
    Ok(())
}

fn one_that_is_not_there_is_warned_of() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let program = program().variable("NOTIFY_SOCKET", "/no/such/socket");
    j.start_and_wait(&program, &configuration(Network::Ipv6, Side::J))?;
    daemon(&mut j)?.wait_for(
        "the service manager is told nothing: cannot reach its socket /no/such/socket, the \
         NOTIFY_SOCKET of the environment: No such file or directory",
    )?;
    Ok(())
}
