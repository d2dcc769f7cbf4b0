//! `jooldctl`: asks a daemon over its control socket, gives it orders there, and tells by its exit
//! status whether the router may become master.

mod ask;
pub mod cli;
mod follow;
mod listing;
mod watch;

use std::ffi::OsString;

use serde_json::Value;

use crate::cli::print;
use crate::ctlsocket;
use crate::engine::Standing;
use crate::exposition::Format;
use crate::failure::Failure;
use ask::Server;
use cli::{Command, Invocation, Order, Question, Stats};

/// The exit status of a check whose answer is no.
const NO: u8 = 1;

/// Does what the arguments, without the program's name, ask for; returns the exit status.
///
/// # Errors
/// When there is no answer.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<u8, Failure> {
    match cli::parse(arguments)? {
        Invocation::Help => print(cli::HELP)?,
        Invocation::Version => print(concat!("jooldctl ", env!("CARGO_PKG_VERSION"), "\n"))?,
        Invocation::Ask(question) => return put(&question),
    }
    Ok(0)
}

fn put(question: &Question) -> Result<u8, Failure> {
    let server = Server::new(&question.socket, question.timeout);
    match &question.command {
        Command::Check { quiet, not_empty } => {
            let state = match not_empty {
                true => State::with_sessions(&server, &server.ask("status")?)?,
                false => State::parse(&server, &server.ask("state")?)?,
            };
            if !quiet {
                let may = if state.may { "may" } else { "may not" };
                print(&format!("{may} become master: {}\n", state.standing))?;
            }
            return Ok(if state.may { 0 } else { NO });
        }
        Command::State => {
            let state = State::parse(&server, &server.ask("state")?)?;
            print(&format!("{}\n", state.standing))?;
        }
        Command::Status { json: true } => print(&server.ask("status")?)?,
        Command::Status { json: false } => {
            print(&listed(&server, &server.ask("status")?)?)?;
        }
        Command::Stats(Stats::Listing) => {
            print(&listed(&server, &server.ask(&asked(Format::Json))?)?)?;
        }
        Command::Stats(Stats::As(format)) => print(&server.ask(&asked(*format))?)?,
        Command::Watch { interval } => watch::run(&server, *interval)?,
        Command::Follow(wanted) => follow::run(&server, wanted)?,
        Command::Order(order) => {
            let answer = server.ask(&given(*order))?;
            let outcome = ctlsocket::outcome(&answer).ok_or_else(|| server.strange(&answer))?;
            let text = outcome? + "\n";
            print(&text.replace(|c: char| c.is_control() && c != '\n', "?"))?;
        }
    }
    Ok(0)
}

/// The request for an order.
fn given(order: Order) -> String {
    match order {
        Order::Reload => "reload".to_owned(),
        Order::LogLevel(None) => "log-level".to_owned(),
        Order::LogLevel(Some(level)) => format!("log-level {level}"),
        Order::Advertise => "advertise".to_owned(),
    }
}

/// The request for numbers in that format.
fn asked(format: Format) -> String {
    format!("stats {}", format.name())
}

fn listed(server: &Server<'_>, answer: &str) -> Result<String, Failure> {
    listing::of(answer).map_err(|_| server.strange(answer))
}

/// Where a router stands, and whether it may become master.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// In the daemon's words, which may be newer than this program.
    standing: String,
    may: bool,
}

impl State {
    /// From the answer to `status`: one that is alone may not become master as long as it has no session.
    fn with_sessions(server: &Server<'_>, answer: &str) -> Result<Self, Failure> {
        let status: Value = serde_json::from_str(answer).map_err(|_| server.strange(answer))?;
        let standing = status.get("standing").and_then(Value::as_str);
        let may = status.get("may take over").and_then(Value::as_bool);
        let (Some(standing), Some(may)) = (standing, may) else {
            return Err(server.strange(answer));
        };
        // The daemon has looked, or it would be without a kernel.
        let sessions = status.get("sessions").and_then(Value::as_u64);
        let is_alone = Standing::of(standing) == Some(Standing::Alone);
        if is_alone && sessions.unwrap_or_default() == 0 {
            return Ok(Self {
                standing: format!("{standing}, without a session"),
                may: false,
            });
        }
        Ok(Self {
            standing: standing.replace(char::is_control, "?"),
            may,
        })
    }

    /// From the answer to `state`.
    fn parse(server: &Server<'_>, answer: &str) -> Result<Self, Failure> {
        let mut lines = answer.lines();
        let standing = lines.next().unwrap_or_default();
        let may = match lines.next() {
            Some("yes") => true,
            Some("no") => false,
            _ => return Err(server.strange(answer)),
        };
        Ok(Self {
            standing: standing.replace(char::is_control, "?"),
            may,
        })
    }
}
