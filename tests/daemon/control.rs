//! The control socket, and what jooldctl makes of it.

mod follow;
mod orders;
mod stats;
mod users;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use jool_simulated::daemon::{Configuration, Daemon};
use jool_simulated::node::{INSTANCE, Network, Node, Side, pair};
use jool_simulated::{sample, wait};
use joold::ctlsocket::Wrong;
use joold::wire::jool::Version;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        a_router_may_become_master_only_while_its_kernel_synchronizes
        one_that_is_alone_with_no_session_may_be_told_from_one_that_has_some
        a_change_of_the_standing_is_told_in_the_log
        all_that_the_daemon_tells_of_itself_is_listed_or_json
        a_line_that_asks_nothing_is_answered_with_what_can_be_asked
        clients_that_ask_nothing_are_dropped_and_sessions_pass_meanwhile
        the_socket_is_its_owners_alone_and_goes_with_the_daemon
        what_a_killed_daemon_left_gives_way_to_the_next
        a_second_daemon_leaves_the_first_ones_socket_alone
        without_a_place_for_the_socket_the_daemon_does_its_work
        a_file_that_says_false_has_no_socket
        the_socket_moves_when_the_file_says_so_and_stays_where_it_cannot
    });
    tests.extend(follow::tests());
    tests.extend(orders::tests());
    tests.extend(stats::tests());
    tests.extend(users::tests());
    tests
}

/// How long jooldctl may take where that is not what matters.
const LONG: &str = "20000";

fn jooldctl(socket: &Path, arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_jooldctl"))
        .arg("--socket")
        .arg(socket)
        .args(["--timeout", LONG])
        .args(arguments)
        .output()
}

/// How a check ends, and what it prints.
fn check(socket: &Path) -> Result<(i32, String), Failed> {
    let output = jooldctl(socket, &["check"])?;
    let status = output.status.code().ok_or("a signal ended jooldctl")?;
    let mut said = String::from_utf8(output.stdout)?;
    said.push_str(&String::from_utf8(output.stderr)?);
    Ok((status, said))
}

fn wait_for_check(socket: &Path, status: i32, said: &str) -> Outcome {
    let wanted = Some((status, format!("{said}\n")));
    Ok(wait::for_value("the check", wanted, || check(socket).ok())?)
}

/// A directory for sockets that outlive a daemon.
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("joold-control-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("run/joold.sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A module file with these keys.
fn modsocket(keys: &str) -> String {
    format!(r#"{{ "instance": "default"{keys} }}"#)
}

fn at(socket: &Path) -> String {
    format!(r#", "control socket": "{}""#, socket.display())
}

fn with(keys: &str) -> Configuration {
    let mut configuration = configuration(Network::Ipv6, Side::J);
    configuration.modsocket = Some(modsocket(keys));
    configuration
}

/// Starts J's daemon with these keys, and waits until it may become master.
fn start(j: &mut Node, keys: &str) -> Outcome {
    j.start_and_wait(&program(), &with(keys))?;
    daemon(j)?.wait_for("standing: alone")?;
    Ok(())
}

/// What the daemon answers to these bytes, up to the end of the connection.
fn ask(socket: &Path, request: &[u8]) -> Result<String, Failed> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(wait::PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    loop {
        let mut room = [0; 4096];
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&room[..length]),
            // It did not read all that was sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(String::from_utf8(answer)?)
}

fn a_router_may_become_master_only_while_its_kernel_synchronizes() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    j.kernel.unload();
    j.start(&program(), &with(""))?;
    let socket = daemon(&mut j)?.control_socket();
    daemon(&mut j)?.wait_for("all sockets are open")?;
    wait_for_check(&socket, 1, "may not become master: without kernel")?;
    j.kernel.load();
    daemon(&mut j)?.wait_for("the kernel does not know the instance")?;
    wait_for_check(&socket, 1, "may not become master: without kernel")?;
    j.kernel.add_plain_instance(INSTANCE);
    wait_for_check(&socket, 0, "may become master: alone")?;
    let quiet = jooldctl(&socket, &["check", "--quiet"])?;
    assert_eq!((quiet.status.code(), quiet.stdout), (Some(0), Vec::new()));
    assert_eq!(ask(&socket, b"state\n")?, "alone\nyes\n");
    let state = jooldctl(&socket, &["state"])?;
    assert_eq!(String::from_utf8(state.stdout)?, "alone\n");
    j.kernel
        .with(INSTANCE, |jool| jool.globals.ss_enabled = false);
    wait_for_check(&socket, 1, "may not become master: without kernel")?;
    daemon(&mut j)?.kill();
    let (status, said) = check(&socket)?;
    assert_eq!(status, 69, "{said}");
    Ok(())
}

fn one_that_is_alone_with_no_session_may_be_told_from_one_that_has_some() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    start(&mut j, "")?;
    let socket = daemon(&mut j)?.control_socket();
    let ask = || jooldctl(&socket, &["check", "--not-empty"]);
    let asked = ask()?;
    assert_eq!(asked.status.code(), Some(1));
    let said = String::from_utf8(asked.stdout)?;
    assert_eq!(said, "may not become master: alone, without a session\n");
    wait_for_check(&socket, 0, "may become master: alone")?;
    j.kernel.translate(INSTANCE, &sample::udp(1));
    let status = || ask().ok()?.status.code();
    wait::for_value("the check of a router with a session", Some(0), status)?;
    Ok(())
}

fn a_change_of_the_standing_is_told_in_the_log() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    start(&mut j, "")?;
    j.kernel.unload();
    let said = daemon(&mut j)?.wait_for("standing: without kernel")?;
    let lines: Vec<_> = said
        .lines()
        .filter(|line| line.contains("standing: "))
        .collect();
    assert_eq!(
        lines,
        [
            "joold: notice: standing: alone",
            "joold: notice: standing: without kernel"
        ]
    );
    Ok(())
}

fn all_that_the_daemon_tells_of_itself_is_listed_or_json() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    start(&mut j, r#", "ss-flush-deadline": 20"#)?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    let socket = daemon(&mut j)?.control_socket();
    let json = jooldctl(&socket, &["status", "--json"])?;
    assert_eq!(json.status.code(), Some(0));
    let told: Value = serde_json::from_slice(&json.stdout)?;
    let expected = serde_json::json!({
        "standing": "alone",
        "may take over": true,
        "instance": "default",
        "module version": Version::SUPPORTED.to_string(),
        "ss-enabled": true,
        "ss-flush-deadline": 20,
        "ss-capacity": 512,
        "ss-max-sessions-per-packet": 36,
        "multicast address": "ff08::db8:64:64",
        "multicast port": 6464,
        "in interface": "to_peer",
        "out interface": "to_peer",
        "receives over": "to_peer",
        "sends over": "to_peer",
        "version": env!("CARGO_PKG_VERSION"),
        "pid": daemon(&mut j)?.id(),
        "lost": {},
        "peers": [],
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
    assert_eq!(told["counters"]["bytes to the network"], 36 * 40);
    let listing = String::from_utf8(jooldctl(&socket, &["status"])?.stdout)?;
    let lines: Vec<_> = listing
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "standing alone",
        "may take over yes",
        "bytes from the kernel 1440",
        "peers",
        "none",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line:?} in {listing}");
    }
    Ok(())
}

fn a_line_that_asks_nothing_is_answered_with_what_can_be_asked() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    start(&mut j, "")?;
    let socket = daemon(&mut j)?.control_socket();
    let unknown = ask(&socket, b"stop\n")?;
    assert_eq!(
        unknown,
        format!("error: {}\n", Wrong::Unknown("stop".to_owned()))
    );
    let endless = ask(&socket, &[b'x'; 1000])?;
    assert!(
        endless.starts_with("error: the request is longer than 64 bytes"),
        "{endless}"
    );
    assert_eq!(ask(&socket, b"state\nstatus\n")?, "alone\nyes\n");
    Ok(())
}

/// Reads to the end of a connection, of which nothing comes.
fn ends(mut stream: UnixStream) -> Outcome {
    stream.set_read_timeout(Some(wait::PATIENCE))?;
    assert_eq!(stream.read(&mut [0; 16])?, 0);
    Ok(())
}

fn clients_that_ask_nothing_are_dropped_and_sessions_pass_meanwhile() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    start(&mut j, "")?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    let socket = daemon(&mut j)?.control_socket();
    let mut silent = Vec::new();
    // Whoever comes when there are sixteen finds no place.
    wait::for_some("a client to be refused", || {
        silent.push(UnixStream::connect(&socket).ok()?);
        let said = j.daemon.as_ref()?.said();
        said.contains("control client refused: 16 are connected")
            .then_some(())
    })?;
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    let (status, said) = check(&socket)?;
    assert_eq!(status, 0, "{said}");
    for stream in silent {
        ends(stream)?;
    }
    daemon(&mut j)?.wait_for("control client that asked or read too slowly dropped")?;
    let told: Value = serde_json::from_str(&ask(&socket, b"status\n")?)?;
    let slow = "control client that asked or read too slowly dropped";
    assert!(told["lost"][slow].as_u64() >= Some(16), "{told}");
    Ok(())
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::symlink_metadata(path)?.mode() & 0o7777)
}

fn the_socket_is_its_owners_alone_and_goes_with_the_daemon() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    let socket = directory.socket();
    start(&mut j, &at(&socket))?;
    assert_eq!(mode(&socket)?, 0o600);
    assert_eq!(mode(&directory.0.join("run"))?, 0o755);
    assert_eq!(daemon(&mut j)?.stop()?.code(), Some(0));
    assert!(!socket.exists());
    Ok(())
}

fn what_a_killed_daemon_left_gives_way_to_the_next() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    let socket = directory.socket();
    start(&mut j, &at(&socket))?;
    daemon(&mut j)?.kill();
    assert!(fs::symlink_metadata(&socket)?.file_type().is_socket());
    start(&mut j, &at(&socket))?;
    assert_eq!(check(&socket)?.0, 0);
    let said = daemon(&mut j)?.said();
    assert!(!said.contains("control socket\""), "{said}");
    Ok(())
}

fn a_second_daemon_leaves_the_first_ones_socket_alone() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    let socket = directory.socket();
    start(&mut j, &at(&socket))?;
    let second = Configuration {
        netsocket: Network::Ipv6.netsocket(Side::J, ""),
        modsocket: Some(format!(r#"{{ "instance": "other"{} }}"#, at(&socket))),
        statistics: None,
    };
    let mut second = Daemon::start(&program(), &j.namespace, &second)?;
    second.wait_for("another daemon listens there; mend that or name another place")?;
    second.wait_for("all sockets are open")?;
    assert_eq!(second.stop()?.code(), Some(0));
    let told: Value = serde_json::from_str(&ask(&socket, b"status\n")?)?;
    assert_eq!(told["pid"], daemon(&mut j)?.id());
    Ok(())
}

fn without_a_place_for_the_socket_the_daemon_does_its_work() -> Outcome {
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    let file = directory.0.join("file");
    fs::write(&file, "mine")?;
    start(&mut j, &at(&file))?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    let said = daemon(&mut j)?.said();
    let expected = format!(
        "warning: cannot open {}, the \"control socket\" of the module file, so jooldctl cannot \
         ask: what is there is no socket; mend that or name another place, and send joold SIGHUP",
        file.display()
    );
    assert!(said.contains(&expected), "{said}");
    translate(&j, (0..36).map(sample::udp));
    wait_for_sessions(&k, 36)?;
    assert_eq!(fs::read_to_string(&file)?, "mine");
    // It is mended, and read again.
    fs::remove_file(&file)?;
    let daemon = daemon(&mut j)?;
    daemon.reload("modsocket.json", &modsocket(&at(&file)))?;
    daemon.wait_for("the files were read again")?;
    wait_for_check(&file, 0, "may become master: alone")
}

fn a_file_that_says_false_has_no_socket() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    start(&mut j, r#", "control socket": false"#)?;
    let daemon = daemon(&mut j)?;
    assert!(!daemon.control_socket().exists());
    let said = daemon.said();
    assert!(said.contains(", no control socket"), "{said}");
    assert!(!said.contains("warning: "), "{said}");
    let unix = daemon.proc("net/unix")?;
    assert!(!unix.contains("control.sock") && !unix.contains("/run/joold/"));
    Ok(())
}

fn the_socket_moves_when_the_file_says_so_and_stays_where_it_cannot() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    let directory = Directory::new()?;
    start(&mut j, "")?;
    let j = daemon(&mut j)?;
    let (first, second) = (j.control_socket(), directory.socket());
    let reload = |keys: &str, told: &str| -> Outcome {
        j.forget();
        j.reload("modsocket.json", &modsocket(keys))?;
        j.wait_for(told)?;
        Ok(())
    };
    // A client that was there before is answered by the same daemon.
    let mut early = UnixStream::connect(&first)?;
    assert_eq!(ask(&first, b"state\n")?, "alone\nyes\n");
    reload(&at(&second), "\"control socket\" was ")?;
    assert!(!first.exists());
    early.set_read_timeout(Some(wait::PATIENCE))?;
    early.write_all(b"state\n")?;
    let mut answer = String::new();
    early.read_to_string(&mut answer)?;
    assert_eq!(answer, "alone\nyes\n");
    assert_eq!(check(&second)?.0, 0);

    let nowhere = directory.0.join("a/b/joold.sock");
    let stays = format!(
        "the control socket stays at {} as it is: ",
        second.display()
    );
    reload(&at(&nowhere), &stays)?;
    j.wait_for("the files were read again; nothing was changed")?;
    assert_eq!(check(&second)?.0, 0);

    reload(r#", "control socket": false"#, "and is false")?;
    assert!(!second.exists());
    reload(&at(&second), "\"control socket\" was false")?;
    assert_eq!(check(&second)?.0, 0);
    Ok(())
}
