//! The command line of `jooldctl`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::config::default_control_socket;
use crate::exposition::Format;
use crate::failure::Failure;
use crate::logging::Threshold;
use crate::wire::jool::InstanceName;

pub use super::follow::Wanted;

/// What `--help` prints.
pub const HELP: &str = "\
jooldctl - asks a joold how it stands, and gives it orders

Usage: jooldctl [OPTIONS] COMMAND

Commands:
  check   Tell whether this router may become master, which the exit status
          tells as well: for keepalived's track_script and load balancers
  state   Print how it stands: starting, alone, joining, in sync, lagging, or
          without kernel. It may become master while alone or in sync
  status  Print all that joold tells of itself, and of the other routers
  stats   Print all counters, and what is lost for each reason
  reload  Have both files read again; if they are wrong, nothing is changed
  log-level [LEVEL]
          Print how much is logged, or log error, warning, notice or debug
          until joold is started again
  advertise
          Have the kernel tell its whole table to the other routers, as \"jool
          session advertise\" does (before 4.1.11, Jool sends nothing)
  follow  Print updates of sessions as they pass, a line for each as
          \"jool session follow\" does, until Ctrl-C
  watch   Show how it goes until Ctrl-C: on a terminal, where the router stands,
          what passes, and the other routers; elsewhere, a line each time

Options:
  -i, --instance NAME  The Jool instance that the joold serves
                       (default: default)
      --socket PATH    The \"control socket\" of its module file
                       (default: /run/joold/INSTANCE.sock)
      --timeout MS     Milliseconds to wait for the answer, 1 to 60000
                       (default: 1000; reload, log-level, advertise: 10000)
      --interval S     watch: seconds from one look to the next, 0.1 to 3600
                       (default: 1)
  -q, --quiet          check: print nothing, unless it cannot tell
      --not-empty      check: no, too, while it is alone and has no session: one
                       that it does not hear may have some. Only where a router
                       may become master all the same if no other one may
      --direction WAY  follow: out, what the own kernel tells and goes to the
                       other routers; in, what they told and goes to the
                       kernel; or both (default: out)
      --address WHICH  follow: only sessions with that address, or with one of
                       that prefix; any of the three will do
      --port N         follow: only those with that port; any will do
      --tcp, --udp, --icmp
                       follow: only those. Of several --address, --port, or
                       protocols, one has to fit
      --json           status, stats: print the JSON document as it is
                       follow: print a JSON document for each
      --prometheus     stats: print what Prometheus reads
      --csv            stats: print a line of names, and one of values
  -h, --help           Print this, and exit
  -V, --version        Print the version, and exit

Exit status:
  0   done; check: the router may become master
  1   check: it may not
  64  the command line is wrong
  69  no joold answers there, or not in time
  71  the operating system or Jool refused something
  77  a permission is missing
  78  reload: a configuration file is wrong
";

/// How long an answer is waited for by default.
const TIMEOUT: Duration = Duration::from_millis(1000);

/// The same of an order: files may name hosts, which a name service looks up, and tables may be large.
const ORDER_TIMEOUT: Duration = Duration::from_millis(10_000);

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// Anything that takes a daemon.
    Ask(Question),
}

/// What is asked, and whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What.
    pub command: Command,
    /// The daemon's control socket.
    pub socket: PathBuf,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Whether the router may become master.
    Check {
        /// Whether the exit status is enough.
        quiet: bool,
        /// Whether one that is alone has to have a session.
        not_empty: bool,
    },
    /// How the daemon stands.
    State,
    /// All that it tells.
    Status {
        /// Whether it is for programs.
        json: bool,
    },
    /// All numbers.
    Stats(Stats),
    /// Something that changes the daemon or makes it do something.
    Order(Order),
    /// How it goes, again and again.
    Watch {
        /// From one question to the next.
        interval: Duration,
    },
    /// Sessions as they pass.
    Follow(Wanted),
}

/// What the daemon is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To read its files again.
    Reload,
    /// To log this much, or to tell how much it logs.
    LogLevel(Option<Threshold>),
    /// To have the kernel tell its whole table.
    Advertise,
}

/// How numbers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    /// For people.
    Listing,
    /// As the daemon writes them.
    As(Format),
}

/// The options that only some commands take, with those.
const FLAGS: [(&str, &[&str]); 12] = [
    ("--quiet", &["check"]),
    ("--not-empty", &["check"]),
    ("--json", &["status", "stats", "follow"]),
    ("--prometheus", &["stats"]),
    ("--csv", &["stats"]),
    ("--interval", &["watch"]),
    ("--direction", &["follow"]),
    ("--address", &["follow"]),
    ("--port", &["follow"]),
    ("--tcp", &["follow"]),
    ("--udp", &["follow"]),
    ("--icmp", &["follow"]),
];

/// The commands.
const COMMANDS: [&str; 9] = [
    "check",
    "state",
    "status",
    "stats",
    "reload",
    "log-level",
    "advertise",
    "follow",
    "watch",
];

/// How often a watcher asks by default.
const INTERVAL: Duration = Duration::from_secs(1);

/// Parses the arguments, without the program's name.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Failure> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut command, mut flags) = (None, Vec::new());
    let (mut socket, mut instance, mut timeout) = (None, None, None);
    let (mut value, mut interval, mut wanted) = (None, INTERVAL, Wanted::default());
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Short('h') | Long("help") => return Ok(Invocation::Help),
            Short('V') | Long("version") => return Ok(Invocation::Version),
            Short('q') | Long("quiet") => flags.push("--quiet"),
            Long("not-empty") => flags.push("--not-empty"),
            Long("json") => flags.push("--json"),
            Long("prometheus") => flags.push("--prometheus"),
            Long("csv") => flags.push("--csv"),
            Long("interval") => {
                flags.push("--interval");
                interval = interval_of(&parser.value().map_err(wrong)?)?;
            }
            Long(name @ ("direction" | "address" | "port" | "tcp" | "udp" | "icmp")) => {
                let name = name.to_owned();
                flags.push(wanted.take(&name, || parser.value().map_err(wrong))?);
            }
            Long("socket") => socket = Some(PathBuf::from(parser.value().map_err(wrong)?)),
            Short('i') | Long("instance") => {
                instance = Some(instance_of(&parser.value().map_err(wrong)?)?);
            }
            Long("timeout") => timeout = Some(timeout_of(&parser.value().map_err(wrong)?)?),
            Value(word) if command.is_none() => command = Some(word),
            Value(word) if value.is_none() && takes_a_value(command.as_ref()) => value = Some(word),
            argument => return Err(wrong(argument.unexpected())),
        }
    }
    let socket = match (socket, instance) {
        (Some(_), Some(_)) => return Err(mistaken("--socket and --instance exclude each other")),
        (Some(socket), None) => socket,
        (None, instance) => default_control_socket(&instance.unwrap_or(InstanceName::DEFAULT)),
    };
    let command = match command_of(command, value, &flags)? {
        Command::Watch { .. } => Command::Watch { interval },
        Command::Follow(Wanted { json, .. }) => Command::Follow(Wanted { json, ..wanted }),
        command => command,
    };
    let default = match command {
        Command::Order(_) => ORDER_TIMEOUT,
        _ => TIMEOUT,
    };
    Ok(Invocation::Ask(Question {
        command,
        socket,
        timeout: timeout.unwrap_or(default),
    }))
}

/// Whether another word may follow the command.
fn takes_a_value(command: Option<&OsString>) -> bool {
    command.is_some_and(|command| command == "log-level")
}

fn command_of(
    name: Option<OsString>,
    value: Option<OsString>,
    flags: &[&str],
) -> Result<Command, Failure> {
    let expected = listed(&COMMANDS, "or");
    let Some(name) = name else {
        return Err(mistaken(&format!("a command is missing: {expected}")));
    };
    let command = match name.to_str() {
        Some("check") => Command::Check {
            quiet: flags.contains(&"--quiet"),
            not_empty: flags.contains(&"--not-empty"),
        },
        Some("state") => Command::State,
        Some("status") => Command::Status {
            json: flags.contains(&"--json"),
        },
        Some("stats") => Command::Stats(format_of(flags)?),
        Some("reload") => Command::Order(Order::Reload),
        Some("log-level") => Command::Order(Order::LogLevel(value.map(level_of).transpose()?)),
        Some("advertise") => Command::Order(Order::Advertise),
        Some("follow") => Command::Follow(Wanted {
            json: flags.contains(&"--json"),
            ..Wanted::default()
        }),
        Some("watch") => Command::Watch { interval: INTERVAL },
        _ => {
            return Err(mistaken(&format!(
                "{name:?} is no command; expected {expected}"
            )));
        }
    };
    for (flag, takers) in FLAGS {
        if flags.contains(&flag) && !takers.iter().any(|taker| name == *taker) {
            let takers = listed(takers, "and");
            return Err(mistaken(&format!("{flag} is for {takers} alone")));
        }
    }
    Ok(command)
}

fn level_of(value: OsString) -> Result<Threshold, Failure> {
    let level = value.to_str().and_then(|name| name.parse().ok());
    level.ok_or_else(|| {
        let expected = listed(&Threshold::NAMES, "or");
        mistaken(&format!(
            "log-level: {value:?} is no level; expected {expected}"
        ))
    })
}

fn format_of(flags: &[&str]) -> Result<Stats, Failure> {
    let formats = [
        ("--json", Format::Json),
        ("--prometheus", Format::Prometheus),
        ("--csv", Format::Csv),
    ];
    let mut wanted = formats.into_iter().filter(|(flag, _)| flags.contains(flag));
    match (wanted.next(), wanted.next()) {
        (None, _) => Ok(Stats::Listing),
        (Some((_, format)), None) => Ok(Stats::As(format)),
        (Some((one, _)), Some((other, _))) => {
            Err(mistaken(&format!("{one} and {other} exclude each other")))
        }
    }
}

/// Words as a sentence has them: "a, b or c".
fn listed(words: &[&str], last: &str) -> String {
    match words.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn instance_of(value: &OsString) -> Result<InstanceName, Failure> {
    let name = value.to_str().ok_or("it is no UTF-8");
    name.and_then(InstanceName::new)
        .map_err(|problem| mistaken(&format!("--instance: {value:?} is no instance: {problem}")))
}

fn timeout_of(value: &OsString) -> Result<Duration, Failure> {
    let milliseconds = value.to_str().and_then(|text| text.parse().ok());
    milliseconds
        .filter(|milliseconds| (1..=60_000).contains(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| {
            mistaken(&format!(
                "--timeout: {value:?} is wrong; expected milliseconds from 1 to 60000"
            ))
        })
}

fn interval_of(value: &OsString) -> Result<Duration, Failure> {
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    seconds
        .filter(|seconds| (0.1..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| {
            mistaken(&format!(
                "--interval: {value:?} is wrong; expected seconds from 0.1 to 3600"
            ))
        })
}

fn wrong(error: lexopt::Error) -> Failure {
    mistaken(&error.to_string())
}

pub(super) fn mistaken(problem: &str) -> Failure {
    Failure::usage(format!(
        "{problem}; \"jooldctl --help\" tells what there is"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|failure| failure.message)
    }

    fn question(line: &str) -> Question {
        match run(line).unwrap() {
            Invocation::Ask(question) => question,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_default_instances_daemon_is_asked_for_a_second() {
        assert_eq!(
            question("check"),
            Question {
                command: Command::Check {
                    quiet: false,
                    not_empty: false,
                },
                socket: "/run/joold/default.sock".into(),
                timeout: Duration::from_secs(1),
            }
        );
    }

    #[test]
    fn options_stand_anywhere() {
        let question = question("-i a status --timeout 50 --json");
        assert_eq!(question.command, Command::Status { json: true });
        assert_eq!(question.socket, PathBuf::from("/run/joold/a.sock"));
        assert_eq!(question.timeout, Duration::from_millis(50));
        let check = self::question("check --not-empty -q --socket here");
        let (quiet, not_empty) = (true, true);
        assert_eq!(check.command, Command::Check { quiet, not_empty });
        assert_eq!(check.socket, PathBuf::from("here"));
        let watch = self::question("watch --interval 0.5").command;
        let interval = Duration::from_millis(500);
        assert_eq!(watch, Command::Watch { interval });
        let order = self::question("log-level -i b debug");
        let debug = Order::LogLevel(Some(Threshold::DEBUG));
        assert_eq!(order.command, Command::Order(debug));
        assert_eq!(order.timeout, Duration::from_secs(10));
        let stats = self::question("--prometheus stats").command;
        assert_eq!(stats, Command::Stats(Stats::As(Format::Prometheus)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("", "a command is missing"),
            ("stop", "\"stop\""),
            ("check state", "\"state\""),
            ("reload notice", "\"notice\""),
            ("log-level loud", "expected error, warning, notice or debug"),
            ("log-level error error", "\"error\""),
            ("reload --json", "--json is for"),
            (
                "check --json",
                "--json is for status, stats and follow alone",
            ),
            ("status --csv", "--csv is for stats alone"),
            ("stats --csv --json", "--json and --csv exclude each other"),
            ("state -q", "--quiet"),
            ("state --not-empty", "--not-empty is for check alone"),
            ("check --timeout 0", "\"0\""),
            ("follow --direction up", "expected out, in or both"),
            ("follow --address here", "neither an address"),
            ("follow --address 192.0.2.1/24", "write \"192.0.2.0/24\""),
            ("follow --port 65536", "\"65536\""),
            ("follow --port", "--port"),
            ("stats --icmp", "--icmp is for follow alone"),
            ("watch --interval 0", "\"0\""),
            ("watch --interval inf", "\"inf\""),
            ("status --interval 1", "--interval is for watch alone"),
            ("check --timeout soon", "\"soon\""),
            ("check --socket", "--socket"),
            ("check --socket a -i b", "exclude"),
            ("check -i a-name-of-16-byt", "more than 15 bytes"),
        ] {
            let error = run(line).unwrap_err();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
