//! This project's daemon beside upstream's and the least that does the job, on one machine, in one
//! run: `cargo bench`. See benches/README.md for what is measured and how.
//!
//! From bottom to top: [`standin`] and [`devlog`] are the daemons' surroundings, [`contender`] the
//! daemons, [`stage`] a pair of routers with them; [`burst`], [`calls`], [`latency`] and [`load`]
//! are measurements, of which [`rounds`] makes [`figures`]; [`table`], [`json`], [`plot`] and
//! [`goals`] tell them.

mod burst;
mod calls;
mod compile;
mod contender;
mod devlog;
mod figures;
mod goals;
mod json;
mod latency;
mod load;
mod machine;
mod options;
mod plot;
mod process;
mod rounds;
mod stage;
mod standin;
mod table;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use compile::Compiled;
use contender::{Contender, Kind};
use jool_simulated::sandbox;
use machine::Machine;
use options::Options;
use rounds::Results;

fn main() -> ExitCode {
    let options = match Options::parse(env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(64);
        }
    };
    // The exit status tells whether it ran, and nothing about speed.
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the benchmark failed: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let machine = Machine::look();
    // Before anything starts a thread.
    sandbox::enter()?;
    devlog::enter()?;
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let compiled = Compiled::new(scratch)?;
    let (contenders, missing) = contenders(options, &compiled);
    if contenders.is_empty() {
        return Err(format!("nothing to compare. {}", missing.join(". ")));
    }
    let mut results = rounds::run(options, &contenders, &compiled, scratch);
    results.gaps.extend(missing);
    let upstream = fs::read_to_string(options.upstream.join("version"));
    let upstream = upstream.unwrap_or_else(|_| "not compared".to_owned());
    write(options, &machine, upstream.trim(), &results)
}

/// Those that were asked for and are there, and what is said of the others.
fn contenders(options: &Options, compiled: &Compiled) -> (Vec<Contender>, Vec<String>) {
    let wanted = options.daemons.iter().map(|kind| match kind {
        Kind::Ours => Contender::ours(&options.joold),
        Kind::Plain => Contender::plain(&options.joold),
        Kind::Upstream => Contender::upstream(&options.upstream),
        Kind::Mute => Contender::mute(&options.upstream, &compiled.mute),
        Kind::Floor => Contender::floor(&compiled.floor),
    });
    let (there, missing): (Vec<_>, Vec<_>) = wanted.partition(Contender::is_there);
    let complaint = |contender: &Contender| match contender.kind {
        Kind::Upstream | Kind::Mute => format!(
            "{}: not in {:?}; run benches/upstream once, as root",
            contender.kind.name(),
            options.upstream
        ),
        kind => format!("{}: its program is not there", kind.name()),
    };
    let missing = missing.iter().map(complaint).collect();
    (there, missing)
}

fn write(
    options: &Options,
    machine: &Machine,
    upstream: &str,
    results: &Results,
) -> Result<(), String> {
    let table = table::report(options, machine, upstream, results);
    print!("{table}");
    let json = json::document(options, machine, upstream, results);
    let json = json.map_err(|error| error.to_string())?;
    let files = [
        ("compare.md", table),
        ("compare.json", json + "\n"),
        ("compare.svg", plot::svg(&results.figures)),
    ];
    let save = || {
        fs::create_dir_all(&options.output)?;
        for (name, text) in &files {
            fs::write(options.output.join(name), text)?;
        }
        std::io::Result::Ok(())
    };
    save().map_err(|error| format!("cannot write to {:?}: {error}", options.output))?;
    eprintln!("compare.md, .json and .svg are in {:?}", options.output);
    Ok(())
}
