//! `simulate --seeds A..B` runs many groups, `simulate --seed N [--trace]` one.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use joold_group::report::{Check, Report};
use joold_group::run;
use joold_group::setting::Setting;

const USAGE: &str = "usage: simulate --seeds A..B | --seed N [--trace]";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let parsed = match words[..] {
        ["--seeds", range] => range.split_once("..").and_then(|(first, end)| {
            let (first, end) = (first.parse().ok()?, end.parse().ok()?);
            Some(many(first, end))
        }),
        ["--seed", seed] => seed.parse().ok().map(|seed| one(seed, false)),
        ["--seed", seed, "--trace"] => seed.parse().ok().map(|seed| one(seed, true)),
        _ => None,
    };
    parsed.unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

fn one(seed: u64, traces: bool) -> ExitCode {
    println!("{}", Setting::new(seed));
    let report = run(seed, traces);
    for failure in &report.failures {
        println!("FAILED {failure}");
    }
    println!("{report}");
    match report.failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What came of many runs.
#[derive(Default)]
struct Sum {
    report: Report,
    failures: BTreeMap<Check, Vec<(u64, String)>>,
}

fn many(first: u64, end: u64) -> ExitCode {
    let start = Instant::now();
    tell_seed_of_panics();
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Sum::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| work(&next, end, &sum));
        }
    });
    let sum = sum.into_inner().unwrap_or_default();
    for (check, failures) in &sum.failures {
        let open = match check.is_open() {
            true => " (known, see its description)",
            false => "",
        };
        println!("{check:?} failed with {} seeds{open}:", failures.len());
        let mut failures: Vec<_> = failures.iter().collect();
        // Small groups and short runs are the ones to look at.
        failures.sort_by_key(|(seed, _)| {
            let setting = Setting::new(*seed);
            (setting.nodes(), setting.active)
        });
        for (seed, text) in failures.iter().take(10) {
            println!("  --seed {seed}: {text}");
        }
    }
    println!("{}", sum.report);
    println!(
        "{} seeds in {:.1} s",
        end - first,
        start.elapsed().as_secs_f64()
    );
    match sum.failures.keys().all(|check| check.is_open()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn work(next: &AtomicU64, end: u64, sum: &Mutex<Sum>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        SEED.set(seed);
        let report = run(seed, false);
        let Ok(mut sum) = sum.lock() else {
            return;
        };
        sum.report.add(&report);
        for failure in report.failures {
            let failures = sum.failures.entry(failure.check).or_default();
            failures.push((seed, failure.to_string()));
        }
    }
}

thread_local! {
    static SEED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A panic ends everything: say which seed did it.
fn tell_seed_of_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        eprintln!("--seed {} panics:", SEED.get());
        before(info);
    }));
}
