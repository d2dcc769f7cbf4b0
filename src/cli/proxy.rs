//! `joold proxy`: the command line of Jool's `jool session proxy`, which needs no files.
//!
//! As there, options before the command are about the instance, and `-i` behind it is the in interface;
//! a long option may be cut as long as it is clear which one it is; the last of several counts.

use std::ffi::OsString;

use lexopt::Arg;
use lexopt::Parser;
use lexopt::prelude::*;

use super::{Common, Invocation, level, text};
use crate::config::{GROUP_ARGUMENT, Setting, Source};
use crate::failure::Failure;

/// What `--help` prints.
const HELP: &str = "\
joold proxy - joold without files: with the command line of Jool's own
              \"jool session proxy\"

Usage: joold [-i INSTANCE | -f FILE] [session] proxy [OPTIONS] NET_MCAST_ADDR

Arguments:
  NET_MCAST_ADDR  IPv4 or IPv6 multicast address

Before \"proxy\":
  -i, --instance INSTANCE       Name of the Jool instance (default: default)
  -f, --file FILE               JSON file of Jool's that has its name

Options:
  -p, --net.mcast.port PORT     UDP port, by number or service name
                                (default: 6400)
  -i, --net.dev.in INTERFACE    Interface to receive on, by name or by address
                                (default: the kernel chooses, by its routes)
  -o, --net.dev.out INTERFACE   Interface to send on, likewise
                                (default: the kernel chooses, by its routes)
  -t, --net.ttl TTL             TTL or hop limit of what is sent, 0 to 255
                                (default: 1)
      --stats.address ADDRESS   Where any datagram is answered with the counters
                                (default: ::, which is every address)
      --stats.port PORT         UDP port for that, by number or service name
                                (default: 6401; without either, none)
      --check                   Check all that, print the effective
                                configuration as JSON, and exit
      --stderr                  Log to standard error instead of syslog
      --log-level LEVEL         error, warning, notice or debug
                                (default: notice)
  -?, -h, --help                Print this, and exit
      --usage                   Print the line above that begins so, and exit
  -V, --version                 Print the version, and exit

Options may be cut as long as it is clear which one is meant. All else is as
\"joold --help\" says; each key of the two files has its default. A file that
is called proxy is ./proxy.
";

const USAGE: &str = "\
Usage: joold [-i INSTANCE | -f FILE] [session] proxy [OPTIONS] NET_MCAST_ADDR
";

/// The long options behind the command.
const LONG: [&str; 12] = [
    "net.mcast.port",
    "net.dev.in",
    "net.dev.out",
    "net.ttl",
    "stats.address",
    "stats.port",
    "check",
    "stderr",
    "log-level",
    "help",
    "usage",
    "version",
];

/// Upstream's, where the file has none.
const DEFAULT_PORT: &str = "6400";

/// Whether the first arguments are this command: `proxy`, or upstream's `session proxy`.
pub(super) fn is_meant(arguments: &[OsString]) -> bool {
    match arguments {
        [command] => command == "proxy",
        [mode, command] => mode == "session" && command == "proxy",
        _ => false,
    }
}

/// The instance of that name.
pub(super) fn instance(name: String) -> Source {
    Source::Options(Setting::of_option("--instance", name).into_iter().collect())
}

/// Parses what stands behind the command.
pub(super) fn parse(
    mut parser: Parser,
    mut common: Common,
    instance: Option<Source>,
) -> Result<Invocation, Failure> {
    let mut settings = Settings::default();
    settings.set("--net.mcast.port", DEFAULT_PORT.to_owned());
    common.stats.port_name = "--stats.port";
    let mut group = false;
    while let Some(argument) = parser.next().map_err(wrong)? {
        let name = match argument {
            Short(letter) => of_letter(letter).ok_or_else(|| wrong(Short(letter).unexpected()))?,
            Long(name) => whole(name)?,
            Value(value) if !group => {
                group = true;
                settings.set(GROUP_ARGUMENT, value.string().map_err(wrong)?);
                continue;
            }
            argument => return Err(wrong(argument.unexpected())),
        };
        match name {
            "help" => return Ok(Invocation::Help(HELP)),
            "usage" => return Ok(Invocation::Help(USAGE)),
            "version" => return Ok(Invocation::Version),
            "check" => common.check = true,
            "stderr" => common.stderr = true,
            "log-level" => common.threshold = level(&parser.value().map_err(wrong)?)?,
            "stats.address" => common.stats.address = Some(text(&mut parser).map_err(wrong)?),
            "stats.port" => common.stats.port = Some(text(&mut parser).map_err(wrong)?),
            name => settings.set(&format!("--{name}"), text(&mut parser).map_err(wrong)?),
        }
    }
    let instance = instance.unwrap_or(Source::Options(Vec::new()));
    Ok(common.invocation(Source::Options(settings.0), instance))
}

/// What was said; the last of several counts.
#[derive(Default)]
struct Settings(Vec<Setting>);

impl Settings {
    fn set(&mut self, option: &str, value: String) {
        if let Some(setting) = Setting::of_option(option, value) {
            self.0.retain(|before| before.key != setting.key);
            self.0.push(setting);
        }
    }
}

/// The long option for a letter.
fn of_letter(letter: char) -> Option<&'static str> {
    Some(match letter {
        'p' => "net.mcast.port",
        'i' => "net.dev.in",
        'o' => "net.dev.out",
        't' => "net.ttl",
        'h' | '?' => "help",
        'V' => "version",
        _ => return None,
    })
}

/// The long option of which that is the beginning.
fn whole(name: &str) -> Result<&'static str, Failure> {
    if let Some(known) = LONG.iter().find(|known| **known == name) {
        return Ok(known);
    }
    let begun: Vec<_> = LONG
        .iter()
        .filter(|known| known.starts_with(name))
        .collect();
    match begun[..] {
        [known] => Ok(known),
        [] => Err(wrong(Arg::Long(name).unexpected())),
        _ => {
            let several = begun.iter().map(|known| format!("--{known}"));
            let several: Vec<_> = several.collect();
            Err(mistaken(&format!(
                "--{name} may be {}",
                several.join(" or ")
            )))
        }
    }
}

fn wrong(error: lexopt::Error) -> Failure {
    mistaken(&error.to_string())
}

fn mistaken(problem: &str) -> Failure {
    Failure::usage(format!(
        "{problem}; \"joold proxy --help\" tells what there is"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Link};
    use proptest::prelude::*;

    fn invocation(line: &str) -> Result<Invocation, Failure> {
        super::super::parse(line.split_whitespace().map(OsString::from))
    }

    fn config(line: &str) -> Result<Config, String> {
        let loaded = invocation(line).and_then(|invocation| match invocation {
            Invocation::Run { sources, .. } | Invocation::Check(sources) => Config::load(&sources),
            other => panic!("{other:?}"),
        });
        loaded
            .inspect(|(_, warnings)| assert!(warnings.is_empty(), "{warnings:?}"))
            .map(|(config, _)| config)
            .map_err(|failure| failure.message)
    }

    #[test]
    fn the_address_alone_has_upstreams_defaults_for_the_rest() {
        let config = config("proxy ff08::db8:64:64").unwrap();
        assert_eq!(config.modsocket.instance.as_str(), "default");
        let network = config.netsocket;
        assert_eq!(network.group.to_string(), "ff08::db8:64:64");
        assert_eq!((network.port, network.ttl), (6400, 1));
        assert_eq!((network.incoming, network.outgoing), (None, None));
        assert_eq!(config.stats, None);
    }

    #[test]
    fn jools_command_line_does_as_it_is() {
        for line in [
            "-i one session proxy --net.mcast.port=6464 --net.dev.in eth0 --net.dev.out eth1 \
             --net.ttl 3 --stats.address ::1 --stats.port 45678 ff08::db8:64:64",
            "--instance one proxy ff08::db8:64:64 -p6464 -i eth0 -o eth1 -t 3 --stats.a ::1 \
             --stats.p 45678",
            "-i two -i one proxy --net.m 1 --net.dev.i eth0 --net.dev.o=eth1 --net.t=3 \
             --stats.address=::1 --stats.port=45678 --net.m 6464 -- ff08::db8:64:64",
        ] {
            let config = config(line).unwrap();
            assert_eq!(config.modsocket.instance.as_str(), "one");
            let network = config.netsocket;
            assert_eq!((network.port, network.ttl), (6464, 3));
            let named = |name: &str| Some(Link::Name(name.to_owned()));
            assert_eq!(network.incoming, named("eth0"));
            assert_eq!(network.outgoing, named("eth1"));
            assert_eq!(config.stats.unwrap().socket().to_string(), "[::1]:45678");
        }
    }

    #[test]
    fn the_stats_server_is_there_if_its_address_or_its_port_is_given() {
        let place = |more: &str| {
            let config = config(&format!("proxy ff08::1 {more}")).unwrap();
            config.stats.map(|stats| stats.socket().to_string())
        };
        assert_eq!(place("--stats.port 1"), Some("[::]:1".to_owned()));
        assert_eq!(place("--stats.address ::1"), Some("[::1]:6401".to_owned()));
    }

    #[test]
    fn the_daemons_own_options_stand_on_either_side() {
        for line in ["--check proxy ff08::1", "proxy ff08::1 --check"] {
            assert!(matches!(invocation(line), Ok(Invocation::Check(_))));
        }
        for line in ["proxy --stderr ff08::1", "--stderr session proxy ff08::1"] {
            let stderr = invocation(line).unwrap();
            assert!(matches!(stderr, Invocation::Run { stderr: true, .. }));
        }
    }

    #[test]
    fn help_and_usage_are_the_commands_own() {
        for line in ["proxy --help", "proxy -?", "-i a session proxy -h ff08::1"] {
            assert_eq!(invocation(line).unwrap(), Invocation::Help(HELP));
        }
        assert_eq!(
            invocation("proxy --usage").unwrap(),
            Invocation::Help(USAGE)
        );
        assert!(HELP.contains(USAGE));
    }

    #[test]
    fn what_is_wrong_goes_by_its_option() {
        let group = "expected an IPv4 or IPv6 multicast address";
        for (line, expected) in [
            ("proxy", "NET_MCAST_ADDR is missing; expected an IPv4 or"),
            (
                "proxy 2001:db8::1",
                "NET_MCAST_ADDR: 2001:db8::1 is a unicast",
            ),
            ("proxy 192.0.2.256", group),
            ("proxy ff08::1 ff08::2", "\"ff08::2\""),
            ("proxy ff08::1 -p 0", "--net.mcast.port: 0 is out of range"),
            ("proxy ff08::1 -t 256", "--net.ttl: 256 is out of range"),
            (
                "proxy ff08::1 -t x",
                "--net.ttl: \"x\" is wrong; expected a",
            ),
            (
                "proxy ff08::1 -t -1",
                "--net.ttl: \"-1\" is wrong; expected a",
            ),
            ("proxy ff08::1 -i a/b", "--net.dev.in: \"a/b\" is neither"),
            (
                "proxy ff02::1",
                "NET_MCAST_ADDR: ff02::1 is a link-local group; --net.dev.in and --net.dev.out must",
            ),
            (
                "proxy ff08::1 --stats.port x",
                "--stats.port: there is no UDP",
            ),
            ("proxy ff08::1 --stats.address x", "--stats.address: \"x\""),
            (
                "-i a-name-of-16-byt proxy ff08::1",
                "--instance: it has more",
            ),
            ("proxy --net 1", "--net.mcast.port or --net.dev.in or"),
            ("proxy --reuse", "'--reuse'"),
            ("proxy -x", "'-x'"),
            ("proxy -p", "'-p'; \"joold proxy --help\" tells"),
        ] {
            let error = config(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_an_invocation_or_an_error(
            words in prop::collection::vec("-{0,2}(net[.a-z]{0,12}|st[a-z.]{0,8}|[piotf]|check|[ -~]{0,6})(=\\PC{0,4})?", 0..6)
        ) {
            let words = ["session", "proxy"].map(str::to_owned).into_iter().chain(words);
            let _ = super::super::parse(words.map(OsString::from));
        }
    }
}
