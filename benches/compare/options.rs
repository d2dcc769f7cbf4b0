//! The command line: `cargo bench -- OPTIONS`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::contender::Kind;

/// What `--help` prints.
pub const HELP: &str = "\
Compares this project's daemon with upstream's and with the least that does the job.

cargo bench -- [OPTIONS]

  --rounds N        rounds, all daemons taking turns in each; default 5
  --batches N       batches of a burst; default 200000
  --daemons LIST    which take part: ours,plain,upstream,mute,floor; default all that are there
                    (plain: ours without extensions; mute: upstream's with syslog(3) taken away)
  --parts LIST      what to measure: burst,beside,calls,latency,idle,stats,exit; default all
  --joold PATH      our daemon; default the one that cargo just built
  --upstream DIR    upstream's daemon, as benches/upstream made it; default where that puts it
  --output DIR      where table, JSON and plot go; default target/tmp/results
";

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bursts with the stand-in inside: one way, and both ways at once.
    Burst,
    /// A burst with the stand-in beside.
    Beside,
    /// System calls.
    Calls,
    /// One batch now and then.
    Latency,
    /// Nothing at all.
    Idle,
    /// The stats server under load.
    Stats,
    /// The end under load.
    Exit,
}

impl Part {
    const ALL: [(&'static str, Self); 7] = [
        ("burst", Self::Burst),
        ("beside", Self::Beside),
        ("calls", Self::Calls),
        ("latency", Self::Latency),
        ("idle", Self::Idle),
        ("stats", Self::Stats),
        ("exit", Self::Exit),
    ];
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often everything is measured.
    pub rounds: usize,
    /// Batches of a burst.
    pub batches: u64,
    /// Which daemons take part, if they are there.
    pub daemons: Vec<Kind>,
    /// What is measured.
    pub parts: Vec<Part>,
    /// Our daemon.
    pub joold: PathBuf,
    /// Upstream's.
    pub upstream: PathBuf,
    /// Where the results go.
    pub output: PathBuf,
}

impl Options {
    /// Reads the command line. None: help was asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self {
            rounds: 5,
            batches: 200_000,
            daemons: Kind::ALL.to_vec(),
            parts: Part::ALL.iter().map(|(_, part)| *part).collect(),
            joold: env!("CARGO_BIN_EXE_joold").into(),
            upstream: upstream_cache(),
            output: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("results"),
        };
        let help = options.read(arguments).map_err(|error| error.to_string())?;
        if options.rounds == 0 || !(1..=crate::standin::NUMBERS).contains(&options.batches) {
            return Err(format!(
                "--rounds is 1 or more, and --batches 1 to {}",
                crate::standin::NUMBERS
            ));
        }
        Ok((!help).then_some(options))
    }

    fn read(
        &mut self,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<bool, lexopt::Error> {
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rounds") => self.rounds = parser.value()?.parse()?,
                Long("batches") => self.batches = parser.value()?.parse()?,
                Long("daemons") => self.daemons = list(&parser.value()?.string()?, Kind::of)?,
                Long("parts") => self.parts = list(&parser.value()?.string()?, part)?,
                Long("joold") => self.joold = parser.value()?.into(),
                Long("upstream") => self.upstream = parser.value()?.into(),
                Long("output") => self.output = parser.value()?.into(),
                Long("help") | Short('h') => return Ok(true),
                // What cargo itself adds.
                Long("bench") => {}
                other => return Err(other.unexpected()),
            }
        }
        Ok(false)
    }
}

fn part(name: &str) -> Option<Part> {
    Part::ALL
        .iter()
        .find_map(|(known, part)| (*known == name).then_some(*part))
}

fn list<T>(text: &str, known: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, lexopt::Error> {
    text.split(',')
        .map(|name| known(name).ok_or_else(|| format!("there is no \"{name}\"; see --help").into()))
        .collect()
}

/// Where `benches/upstream` puts the daemon.
fn upstream_cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("JOOLD_BENCH_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("joold-bench")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/joold-bench")))
        .unwrap_or_default()
        .join("upstream")
}
