//! The command line.

mod proxy;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use lexopt::Parser;
use lexopt::prelude::*;

use crate::config::{Source, Sources, StatsOptions};
use crate::failure::Failure;
use crate::logging::Threshold;

/// What `--help` prints.
pub const HELP: &str = "\
joold - keeps the session table of a Jool NAT64 in sync with those of its peers

Usage: joold [OPTIONS] [NETSOCKET] [MODSOCKET] [PORT]
       joold [-i INSTANCE] proxy ...  without files, with the command line of
                                      \"jool session proxy\": see
                                      \"joold proxy --help\"

Arguments:
  NETSOCKET  JSON file: the multicast group and the interfaces to use
             (default: netsocket.json)
  MODSOCKET  JSON file: the Jool instance to serve (default: modsocket.json)
  PORT       UDP port, by number or service name, where any datagram is
             answered with the counters; to this host with all numbers, if
             it asks for json, prometheus or all (default: no stats server)

Options:
      --stats.address ADDRESS
                         Where the stats server listens (default: ::, which is
                         every address of both families); PORT is 6401 then
                         unless it is given
      --check            Check both files, print the effective configuration
                         as JSON, and exit
      --stderr           Log to standard error instead of syslog
      --log-level LEVEL  error, warning, notice or debug (default: notice)
  -h, --help             Print this, and exit
  -V, --version          Print the version, and exit

Keys of NETSOCKET:
  \"multicast address\"  IPv4 or IPv6 multicast address (mandatory)
  \"multicast port\"     UDP port, by number or service name (mandatory)
  \"in interface\"       Interface to receive on, by name or by address;
                       waited for while it is missing
                       (default: the kernel chooses, by its routes)
  \"out interface\"      Interface to send on, likewise
                       (default: the kernel chooses, by its routes)
  \"ttl\"                TTL or hop limit of what is sent, 0 to 255 (default: 1)
  \"receive buffer\"     Bytes of received datagrams that the kernel keeps until
                       they are read (default: 4194304)
  \"allow from\"         Addresses and prefixes of the other routers, a list;
                       what others send is dropped (default: everybody)
  \"stats allow\"        Addresses and prefixes, a list, to which the stats server
                       tells all numbers as it does to this host
                       (default: none)
  \"extensions\"         Make up for what is lost between routers that have
                       this joold; false: say only what upstream's says
                       (default: true)
  \"hello period\"       Milliseconds after which the other routers are told how
                       this one stands (default: 1000)
  \"repair buffer\"      Bytes of sessions that are kept to be repeated
                       (default: 1048576)
  \"table interval\"     Milliseconds after one router began to read this one's
                       table until another one may (default: 1000)

Keys of MODSOCKET:
  \"instance\"           Name of the Jool instance (default: default)
  \"netlink buffer\"     Bytes of batches that the kernel keeps until they are
                       read (default: 262144)
  \"refresh window\"     Milliseconds in which the other routers are told once
                       that a session goes on; 0: with each packet
                       (default: 1000)
  \"refresh sessions\"   For how many sessions at once that is done; about
                       100 bytes of memory each (default: 4096)
  \"ss-enabled\"         Turn synchronization on at the instance when it
                       appears; false leaves it alone (default: true)
  \"ss-flush-deadline\"  Milliseconds for which Jool waits for more sessions
                       before it tells of one; 20 is recommended
  \"ss-capacity\"        How many updates may wait in Jool
  \"ss-max-sessions-per-packet\"
                       How many sessions share a packet
                       (default of these three: the instance's own)
  \"user\"               User, by name or number, to become when all sockets are
                       open (default: stay as started)
  \"control socket\"     Path of the socket where jooldctl asks; false: none
                       (default: /run/joold/INSTANCE.sock)
  \"control group\"      Group, by name or number, that may use it, too
                       (default: nobody but root)

Signals:
  SIGTERM, SIGINT      Stop
  SIGHUP               Read both files again; if they are wrong, change nothing
  SIGUSR1              Log all counters

Exit status (only trouble at the start ends it; later trouble is logged):
  0   stopped by SIGTERM or SIGINT; --check found nothing wrong
  64  the command line is wrong
  69  another joold serves this instance on this group and port
  71  the operating system refused something
  77  a permission is missing
  78  a configuration file is wrong
";

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `--help`, the text
    Help(&'static str),
    /// `--version`
    Version,
    /// `--check`
    Check(Sources),
    /// The daemon.
    Run {
        /// Where its configuration stands.
        sources: Sources,
        /// `--stderr`
        stderr: bool,
        /// `--log-level`
        threshold: Threshold,
    },
}

/// What stands anywhere, whether there are files or not.
#[derive(Debug, Default)]
struct Common {
    check: bool,
    stderr: bool,
    threshold: Threshold,
    stats: StatsOptions,
}

impl Common {
    fn invocation(self, netsocket: Source, modsocket: Source) -> Invocation {
        let sources = Sources {
            netsocket,
            modsocket,
            stats: self.stats,
        };
        match self.check {
            true => Invocation::Check(sources),
            false => Invocation::Run {
                sources,
                stderr: self.stderr,
                threshold: self.threshold,
            },
        }
    }
}

/// Parses the arguments, without the program's name.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Failure> {
    let mut parser = Parser::from_args(arguments);
    let (mut positional, mut instance) = (Vec::new(), None);
    let mut common = Common::default();
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Short('h') | Long("help") => return Ok(Invocation::Help(HELP)),
            Short('V') | Long("version") => return Ok(Invocation::Version),
            Long("check") => common.check = true,
            Long("stderr") => common.stderr = true,
            Long("log-level") => common.threshold = level(&parser.value().map_err(wrong)?)?,
            Long("stats.address") => common.stats.address = Some(text(&mut parser).map_err(wrong)?),
            Short('i') | Long("instance") => {
                instance = Some(proxy::instance(text(&mut parser).map_err(wrong)?))
            }
            Short('f') | Long("file") => {
                let file = parser.value().map_err(wrong)?;
                instance = Some(Source::InstanceOf(file.into()));
            }
            Value(value) if positional.len() < 3 => positional.push(value),
            argument => return Err(wrong(argument.unexpected())),
        }
        if proxy::is_meant(&positional) {
            return proxy::parse(parser, common, instance);
        }
    }
    match instance {
        None => with_files(positional, common),
        Some(_) => Err(mistaken(
            "--instance and --file are for \"joold proxy\"; otherwise the instance stands in MODSOCKET",
        )),
    }
}

fn with_files(positional: Vec<OsString>, mut common: Common) -> Result<Invocation, Failure> {
    let mut positional = positional.into_iter();
    let netsocket = positional.next().unwrap_or("netsocket.json".into());
    let modsocket = positional.next().unwrap_or("modsocket.json".into());
    let port = positional.next().map(|port| port.string());
    common.stats.port = port.transpose().map_err(wrong)?;
    common.stats.port_name = "PORT";
    let file = |name| Source::File(PathBuf::from(name));
    Ok(common.invocation(file(netsocket), file(modsocket)))
}

/// The value of an option, which must be UTF-8.
fn text(parser: &mut Parser) -> Result<String, lexopt::Error> {
    parser.value()?.string()
}

fn level(value: &OsString) -> Result<Threshold, Failure> {
    value
        .to_str()
        .and_then(|name| name.parse().ok())
        .ok_or_else(|| {
            Failure::usage(format!(
                "--log-level: {value:?} is no level; expected one of {}",
                Threshold::NAMES.join(", ")
            ))
        })
}

fn wrong(error: lexopt::Error) -> Failure {
    mistaken(&error.to_string())
}

fn mistaken(problem: &str) -> Failure {
    Failure::usage(format!("{problem}; \"joold --help\" tells what there is"))
}

/// Writes to standard output. Whoever reads that may stop when it has read enough, as `head` does.
///
/// # Errors
/// Those of write(2) otherwise.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => {
            result.map_err(|error| Failure::system("cannot write to standard output", &error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|failure| failure.message)
    }

    fn sources(line: &str) -> Sources {
        match run(line).unwrap() {
            Invocation::Run { sources, .. } | Invocation::Check(sources) => sources,
            other => panic!("{other:?}"),
        }
    }

    fn file(name: &str) -> Source {
        Source::File(name.into())
    }

    #[test]
    fn the_files_have_upstreams_default_names_and_the_stats_server_is_off() {
        let sources = sources("");
        assert_eq!(sources.netsocket, file("netsocket.json"));
        assert_eq!(sources.modsocket, file("modsocket.json"));
        assert_eq!(sources.stats.config().unwrap(), None);
    }

    #[test]
    fn arguments_come_in_upstreams_order() {
        let sources = sources("net mod 45678");
        assert_eq!(sources.netsocket, file("net"));
        assert_eq!(sources.modsocket, file("mod"));
        let stats = sources.stats.config().unwrap().unwrap();
        assert_eq!(stats.socket().to_string(), "[::]:45678");
    }

    #[test]
    fn the_stats_server_may_have_one_address() {
        let sources = sources("net mod 45678 --stats.address 127.0.0.1");
        let stats = sources.stats.config().unwrap().unwrap();
        assert_eq!(stats.socket().to_string(), "127.0.0.1:45678");
    }

    #[test]
    fn options_stand_anywhere() {
        assert!(matches!(run("net --check mod"), Ok(Invocation::Check(_))));
        assert!(matches!(
            run("net --stderr"),
            Ok(Invocation::Run { stderr: true, .. })
        ));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("--verbose", "--verbose"),
            ("a b c d", "\"d\""),
            ("--log-level loud", "\"loud\""),
            ("--log-level", "--log-level"),
            ("-i a net mod", "MODSOCKET"),
        ] {
            let error = run(line).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
