//! What users see at the command line: errors, their exit statuses, `--check`, `--help`.
// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "command_line/completion.rs"]
mod completion;
#[path = "command_line/follow.rs"]
mod follow;
#[path = "command_line/watch.rs"]
mod watch;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own for each test, where the files have their default names.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "joold-command-line-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    fn with(self, name: &str, contents: &str) -> Self {
        fs::write(self.path.join(name), contents).unwrap();
        self
    }

    fn joold(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_joold"))
            .args(arguments)
            .current_dir(&self.path)
            .output()
            .unwrap()
    }

    fn jooldctl(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_jooldctl"))
            .args(arguments)
            .current_dir(&self.path)
            .output()
            .unwrap()
    }

    /// Runs joold, which must exit with `status` and without touching standard output; returns
    /// standard error.
    fn fails(&self, arguments: &[&str], status: i32) -> String {
        let output = self.joold(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{error}");
        assert_eq!(output.stdout, b"", "{error}");
        error
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

const NETSOCKET: &str = r#"{
  "multicast address": "ff08::db8:64:64",
  "multicast port": "6464",
  "in interface": "lo",
  "out interface": "lo",
  "ttl": 3
}"#;
const MODSOCKET: &str = r#"{ "instance": "default" }"#;

fn configured() -> Directory {
    Directory::new()
        .with("netsocket.json", NETSOCKET)
        .with("modsocket.json", MODSOCKET)
}

#[test]
fn help_and_version_go_to_standard_output() {
    let directory = Directory::new();
    let help = directory.joold(&["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("Usage: joold [OPTIONS] [NETSOCKET] [MODSOCKET] [PORT]"),
        "{help}"
    );
    for line in help.lines() {
        assert!(line.len() <= 80, "wider than a terminal: {line}");
    }
    let version = directory.joold(&["--version"]);
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("joold {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_proxys_help_fits_a_terminal() {
    let help = Directory::new().joold(&["session", "proxy", "--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("[session] proxy [OPTIONS] NET_MCAST_ADDR"));
    for line in help.lines() {
        assert!(line.len() <= 80, "wider than a terminal: {line}");
    }
}

#[test]
fn a_proxy_is_told_the_same_on_the_command_line_as_by_files() {
    let directory = configured().with(
        "jool.json",
        r#"{"framework": "netfilter", "instance": "default"}"#,
    );
    let files = directory.joold(&["--check", "netsocket.json", "modsocket.json", "45678"]);
    let options = "proxy ff08::db8:64:64 --net.mcast.port 6464 --net.dev.in lo --net.dev.out lo \
        --net.ttl 3 --stats.port 45678 --check";
    for before in [&["-i", "default"][..], &["--file", "jool.json"], &[]] {
        let arguments: Vec<_> = before.iter().copied().chain(options.split(' ')).collect();
        let proxy = directory.joold(&arguments);
        assert!(proxy.status.success());
        assert_eq!(proxy.stderr, b"");
        assert_eq!(
            String::from_utf8(proxy.stdout).unwrap(),
            String::from_utf8(files.stdout.clone()).unwrap()
        );
    }
}

#[test]
fn a_wrong_option_of_the_proxy_exits_with_64_and_a_wrong_file_with_78() {
    let directory = Directory::new().with("jool.json", r#"{"framework": "netfilter"}"#);
    let link = "--net.dev.in lo --net.dev.out absent0";
    for (line, status, expected) in [
        (
            "proxy",
            64,
            "NET_MCAST_ADDR is missing; expected an IPv4 or IPv6 multicast",
        ),
        (
            "proxy ff08::1 --net.ttl 256",
            64,
            "--net.ttl: 256 is out of range; expected a whole",
        ),
        (
            "proxy ff08::1 --verbose",
            64,
            "'--verbose'; \"joold proxy --help\" tells what there is",
        ),
        (
            "-i a netsocket.json",
            64,
            "--instance and --file are for \"joold proxy\"",
        ),
        (
            "-f absent.json proxy ff08::1",
            78,
            "absent.json: cannot read the configuration file",
        ),
        (
            "-f jool.json proxy ff08::1",
            78,
            "jool.json: \"instance\" is missing",
        ),
    ] {
        let arguments: Vec<_> = line.split(' ').collect();
        let error = directory.fails(&arguments, status);
        assert!(
            error.starts_with("joold: ") && error.contains(expected),
            "{error}"
        );
    }
    let arguments = format!("--check proxy ff08::1 {link}");
    let output = directory.joold(&arguments.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "what is missing is waited for");
}

#[test]
fn check_prints_the_effective_configuration_as_json() {
    let output = configured().joold(&["--check", "netsocket.json", "modsocket.json", "45678"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.stderr, b"");
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        printed,
        serde_json::json!({
            "netsocket": {
                "multicast address": "ff08::db8:64:64",
                "multicast port": 6464,
                "in interface": "lo",
                "out interface": "lo",
                "ttl": 3,
                "receive buffer": 4_194_304,
                "allow from": null,
                "stats allow": null,
                "extensions": true,
                "hello period": 1000,
                "repair buffer": 1_048_576,
                "table interval": 1000
            },
            "modsocket": {
                "instance": "default",
                "netlink buffer": 262_144,
                "ss-enabled": true,
                "ss-flush-deadline": null,
                "ss-capacity": null,
                "ss-max-sessions-per-packet": null,
                "refresh window": 1000,
                "refresh sessions": 4096,
                "user": null,
                "control socket": "/run/joold/default.sock",
                "control group": null
            },
            "stats address": "::",
            "stats port": 45678
        })
    );
}

#[test]
fn check_resolves_defaults_and_old_files() {
    let directory = Directory::new().with("modsocket.json", "{}").with(
        "netsocket.json",
        r#"{"MULTICAST ADDRESS": "233.252.0.64", "multicast port": 6464, "reuseaddr": 1}"#,
    );
    let output = directory.joold(&["--check"]);
    assert!(output.status.success());
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(
        warning.starts_with("joold: warning: netsocket.json: \"reuseaddr\" is not a key"),
        "{warning}"
    );
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["netsocket"]["ttl"], 1);
    assert_eq!(
        printed["netsocket"]["in interface"],
        serde_json::Value::Null
    );
    assert_eq!(printed["modsocket"]["instance"], "default");
    assert_eq!(printed["stats port"], serde_json::Value::Null);
}

#[test]
fn an_interface_that_is_not_there_is_a_warning_of_check() {
    for (interface, expected) in [
        ("absent0", "there is no interface \"absent0\""),
        ("192.0.2.99", "no interface has the address 192.0.2.99"),
    ] {
        let netsocket = NETSOCKET.replace("\"lo\"", &format!("\"{interface}\""));
        let directory = configured().with("netsocket.json", &netsocket);
        let output = directory.joold(&["--check"]);
        assert!(output.status.success());
        let warning = String::from_utf8(output.stderr).unwrap();
        assert!(
            warning.starts_with(&format!("joold: warning: {expected}")),
            "{warning}"
        );
        assert_eq!(warning.lines().count(), 1, "both keys name it: {warning}");
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed["netsocket"]["in interface"], interface);
    }
}

#[test]
fn check_prints_who_may_send_and_warns_of_whom_the_group_cannot_hear() {
    let list = r#""ttl": 3, "ALLOW FROM": ["2001:db8::2", "::ffff:192.0.2.0/120"]"#;
    let directory = configured().with("netsocket.json", &NETSOCKET.replace("\"ttl\": 3", list));
    let output = directory.joold(&["--check"]);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "joold: warning: netsocket.json: \"allow from\": nothing comes from 192.0.2.0/24, for the \
         group ff08::db8:64:64 is IPv6\n"
    );
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!(["2001:db8::2", "192.0.2.0/24"]);
    assert_eq!(printed["netsocket"]["allow from"], expected);
}

#[test]
fn the_examples_pass_the_check_but_for_their_interfaces() {
    let etc = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/");
    for (example, interface) in [
        ("netsocket-ipv6.json", "eth0"),
        ("netsocket-ipv4.json", "192.0.2.1"),
    ] {
        let text = fs::read_to_string(format!("{etc}{example}")).unwrap();
        assert!(text.contains(interface), "{example}");
        let modsocket = fs::read_to_string(format!("{etc}modsocket.json")).unwrap();
        let directory = Directory::new()
            .with("netsocket.json", &text.replace(interface, "lo"))
            .with("modsocket.json", &modsocket);
        let output = directory.joold(&["--check"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.stderr, b"");
    }
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    let directory = configured();
    let cases: [(&[&str], &str); 5] = [
        (&["--verbose"], "'--verbose'"),
        (&["a", "b", "1", "d"], "\"d\""),
        (
            &["--log-level", "loud"],
            "expected one of error, warning, notice, debug",
        ),
        (
            &["--check", "netsocket.json", "modsocket.json", "0"],
            "PORT: 0 is out of range",
        ),
        (
            &["netsocket.json", "modsocket.json", "no-such-service"],
            "\"no-such-service\"",
        ),
    ];
    for (arguments, expected) in cases {
        let error = directory.fails(arguments, 64);
        assert!(
            error.starts_with("joold: ") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn jooldctl_has_help_and_a_version_of_its_own() {
    let directory = Directory::new();
    let help = directory.jooldctl(&["check", "--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("Usage: jooldctl [OPTIONS] COMMAND"));
    for line in help.lines() {
        assert!(line.len() <= 80, "wider than a terminal: {line}");
    }
    let version = directory.jooldctl(&["-V"]);
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("jooldctl {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn jooldctl_tells_a_wrong_command_line_from_a_daemon_that_is_not_there() {
    let directory = Directory::new();
    let cases: [(&[&str], i32, &str); 6] = [
        (&[], 64, "a command is missing"),
        (&["stop"], 64, "\"stop\" is no command"),
        (&["check", "--timeout", "1s"], 64, "\"1s\""),
        (
            &["state", "--json"],
            64,
            "--json is for status, stats and follow alone",
        ),
        (
            &["check", "--socket", "none.sock"],
            69,
            "no joold listens at none.sock: there is no such socket; start joold",
        ),
        (
            &["check", "-q", "--socket", "none.sock"],
            69,
            "there is no such socket",
        ),
    ];
    for (arguments, status, expected) in cases {
        let output = directory.jooldctl(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{error}");
        assert_eq!(output.stdout, b"", "{error}");
        assert!(
            error.starts_with("jooldctl: ") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn keepaliveds_example_calls_jooldctl_as_it_is() {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/etc/keepalived/keepalived.conf"
    );
    let example = fs::read_to_string(example).unwrap();
    let script = "script \"/usr/bin/jooldctl ";
    let call = example
        .lines()
        .find_map(|line| line.trim().strip_prefix(script));
    let call = call.and_then(|call| call.strip_suffix('"')).unwrap();
    let mut arguments: Vec<_> = call.split(' ').collect();
    arguments.extend(["--socket", "none.sock"]);
    let output = Directory::new().jooldctl(&arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{error}");
}

#[test]
fn a_wrong_file_exits_with_78_before_anything_is_opened() {
    let with = |change: &str, to: &str| NETSOCKET.replace(change, to);
    let cases = [
        (
            with("\"ttl\": 3", "\"ttl\" 3"),
            "netsocket.json, line 6, column 9: not valid JSON: expected `:`",
        ),
        (
            "[1, 2]".to_owned(),
            "netsocket.json: the file holds an array; expected an object",
        ),
        (
            String::new(),
            "netsocket.json: the file is empty; expected an object",
        ),
        (
            with("ff08::db8:64:64", "2001:db8::1"),
            "\"multicast address\": 2001:db8::1 is a unicast address",
        ),
        (
            with("ff08::db8:64:64", "ff08::g"),
            "\"multicast address\": \"ff08::g\" is neither an address nor",
        ),
        (
            with("multicast address", "address"),
            "netsocket.json: \"multicast address\" is missing",
        ),
        (
            with("\"6464\"", "\"no-such-service\""),
            "\"multicast port\": there is no UDP service \"no-such-service\"",
        ),
        (
            with("\"6464\"", "65536"),
            "\"multicast port\": 65536 is out of range; expected a number from 1 to 65535",
        ),
        (
            with("\"ttl\": 3", "\"ttl\": 300"),
            "\"ttl\": 300 is out of range; expected a whole number from 0 to 255",
        ),
        (
            with("\"ttl\": 3", "\"ttl\": \"3\""),
            "\"ttl\": \"3\" is wrong; expected a whole number from 0 to 255",
        ),
        (
            with("\"in interface\": \"lo\"", "\"in interface\": \"eth 0\""),
            "\"in interface\": \"eth 0\" is neither an address nor a name",
        ),
        (
            with(
                "\"out interface\": \"lo\"",
                "\"out interface\": \"192.0.2.999\"",
            ),
            "\"out interface\": \"192.0.2.999\" is neither an address nor a name",
        ),
        (
            with("\"ttl\": 3", "\"allow from\": [\"2001:db8::1/32\"]"),
            "\"allow from\": \"2001:db8::1/32\" has bits set behind its first 32; write",
        ),
        (
            with("\"ttl\": 3", "\"allow from\": []"),
            "\"allow from\": the list is empty",
        ),
    ];
    for (netsocket, expected) in cases {
        let directory = configured().with("netsocket.json", &netsocket);
        for arguments in [&["--check"][..], &[]] {
            let error = directory.fails(arguments, 78);
            assert!(error.starts_with("joold: netsocket.json"), "{error}");
            assert!(error.contains(expected), "{expected}\n{error}");
        }
    }
}

#[test]
fn a_control_socket_that_can_be_none_exits_with_78() {
    for (value, expected) in [
        ("\"joold.sock\"", "\"joold.sock\" is no absolute path"),
        ("true", "\"control socket\": true is wrong"),
    ] {
        let text = format!(r#"{{"control socket": {value}}}"#);
        let error = configured().with("modsocket.json", &text).fails(&[], 78);
        assert!(error.starts_with("joold: modsocket.json: "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(error.ends_with("or false for no socket\n"), "{error}");
    }
}

#[test]
fn a_wrong_instance_name_exits_with_78() {
    for name in ["", "a-name-of-16-by", "tab\\there", "\\u0000"] {
        let name = name.replace("a-name-of-16-by", "a-name-of-16-byt");
        let directory =
            configured().with("modsocket.json", &format!(r#"{{"instance": "{name}"}}"#));
        let error = directory.fails(&[], 78);
        assert!(
            error.starts_with("joold: modsocket.json: \"instance\": "),
            "{error}"
        );
        assert!(
            error.contains("expected the name of a Jool instance"),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_exits_with_78() {
    let directory = configured();
    let error = directory.fails(&["absent.json"], 78);
    assert_eq!(
        error,
        "joold: absent.json: cannot read the configuration file: No such file or directory\n"
    );
    let error = directory.fails(&["."], 78);
    assert_eq!(
        error,
        "joold: .: this is a directory; expected a configuration file\n"
    );
}

#[test]
fn whoever_reads_standard_error_never_has_half_a_line() {
    let directory = Directory::new().with("netsocket.json", NETSOCKET);
    let (reader, writer) = UnixDatagram::pair().unwrap();
    reader.set_nonblocking(true).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_joold"))
        .args(["--check", "netsocket.json", "missing.json"])
        .current_dir(&directory.path)
        .stderr(OwnedFd::from(writer))
        .status()
        .unwrap();
    assert!(!status.success());
    let mut line = [0; 4096];
    let length = reader.recv(&mut line).unwrap();
    let written = std::str::from_utf8(&line[..length]).unwrap();
    assert!(written.ends_with('\n'), "{written:?} is half a line");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let (reader, writer) = UnixStream::pair().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_joold"))
        .arg("--help")
        .stdout(OwnedFd::from(writer))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_port_may_be_a_services_name() {
    let services = fs::read_to_string("/etc/services").expect("Debian's netbase has this file");
    let (name, port) = services
        .lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().filter(|name| !name.starts_with('#'))?;
            let port = words.next()?.strip_suffix("/udp")?.parse::<u16>().ok()?;
            Some((name.to_owned(), port))
        })
        .expect("/etc/services knows some UDP service");
    let output = configured().joold(&["--check", "netsocket.json", "modsocket.json", &name]);
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["stats port"], port);
}
