//! The command line of `jooldctl`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::config::default_control_socket;
use crate::failure::Failure;
use crate::wire::jool::InstanceName;

/// What `--help` prints.
pub const HELP: &str = "\
jooldctl - asks a joold how it stands

Usage: jooldctl [OPTIONS] check|state|status

Commands:
  check   Tell whether this router may become master, which the exit status
          tells as well: for keepalived's track_script and load balancers
  state   Print how it stands: starting, alone, joining, in sync, lagging, or
          without kernel. It may become master while alone or in sync
  status  Print all that joold tells of itself, and of the other routers

Options:
  -i, --instance NAME  The Jool instance that the joold serves
                       (default: default)
      --socket PATH    The \"control socket\" of its module file
                       (default: /run/joold/INSTANCE.sock)
      --timeout MS     Milliseconds to wait for the answer, 1 to 60000
                       (default: 1000)
  -q, --quiet          check: print nothing, unless it cannot tell
      --json           status: print the JSON document as it is
  -h, --help           Print this, and exit
  -V, --version        Print the version, and exit

Exit status:
  0   done; check: the router may become master
  1   check: it may not
  64  the command line is wrong
  69  no joold answers there, or not in time
  71  the operating system refused something
  77  a permission is missing
";

/// How long an answer is waited for by default.
const TIMEOUT: Duration = Duration::from_millis(1000);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Whether the router may become master.
    Check {
        /// Whether the exit status is enough.
        quiet: bool,
    },
    /// How the daemon stands.
    State,
    /// All that it tells.
    Status {
        /// Whether it is for programs.
        json: bool,
    },
}

/// Parses the arguments, without the program's name.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Failure> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut command, mut quiet, mut json) = (None, false, false);
    let (mut socket, mut instance, mut timeout) = (None, None, TIMEOUT);
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Short('h') | Long("help") => return Ok(Invocation::Help),
            Short('V') | Long("version") => return Ok(Invocation::Version),
            Short('q') | Long("quiet") => quiet = true,
            Long("json") => json = true,
            Long("socket") => socket = Some(PathBuf::from(parser.value().map_err(wrong)?)),
            Short('i') | Long("instance") => {
                instance = Some(instance_of(&parser.value().map_err(wrong)?)?);
            }
            Long("timeout") => timeout = timeout_of(&parser.value().map_err(wrong)?)?,
            Value(value) if command.is_none() => command = Some(value),
            argument => return Err(wrong(argument.unexpected())),
        }
    }
    let socket = match (socket, instance) {
        (Some(_), Some(_)) => return Err(mistaken("--socket and --instance exclude each other")),
        (Some(socket), None) => socket,
        (None, instance) => default_control_socket(&instance.unwrap_or(InstanceName::DEFAULT)),
    };
    Ok(Invocation::Ask(Question {
        command: command_of(command, quiet, json)?,
        socket,
        timeout,
    }))
}

fn command_of(name: Option<OsString>, quiet: bool, json: bool) -> Result<Command, Failure> {
    let Some(name) = name else {
        return Err(mistaken("a command is missing: check, state or status"));
    };
    match (name.to_str(), quiet, json) {
        (Some("check"), quiet, false) => Ok(Command::Check { quiet }),
        (Some("state"), false, false) => Ok(Command::State),
        (Some("status"), false, json) => Ok(Command::Status { json }),
        (Some("state" | "status"), true, _) => Err(mistaken("--quiet is for check alone")),
        (Some("check" | "state"), _, true) => Err(mistaken("--json is for status alone")),
        _ => Err(mistaken(&format!(
            "{name:?} is no command; expected check, state or status"
        ))),
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

fn wrong(error: lexopt::Error) -> Failure {
    mistaken(&error.to_string())
}

fn mistaken(problem: &str) -> Failure {
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
                command: Command::Check { quiet: false },
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
        let quiet = self::question("check -q --socket here");
        assert_eq!(quiet.command, Command::Check { quiet: true });
        assert_eq!(quiet.socket, PathBuf::from("here"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("", "a command is missing"),
            ("stop", "\"stop\""),
            ("check state", "\"state\""),
            ("check --json", "--json"),
            ("state -q", "--quiet"),
            ("check --timeout 0", "\"0\""),
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
