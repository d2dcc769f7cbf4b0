//! Two routers with the real binary on simulated Jools, through traffic and faults at random: the
//! daemons' memory stays flat, their descriptors stay the same, and their counters add up with
//! what the kernels and the network counted.
//!
//! `JOOLD_SOAK_SECONDS` says for how long, 20 by default, and `JOOLD_SOAK_SEED` which faults in
//! which order; without it each run takes another seed, and tells it. `tests/soak/run` is the
//! short way to say both.

// The lints let tests unwrap, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod books;
mod chance;
mod faults;
mod router;
mod run;
mod told;

use std::env;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jool_simulated::sandbox;
use libtest_mimic::{Arguments, Failed, Trial};

/// Enough for each kind of fault, in most runs.
const SECONDS: u64 = 20;

fn main() -> ExitCode {
    // Before anything starts a thread.
    if let Err(why) = sandbox::enter() {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let test = Trial::test("through_traffic_and_faults_the_accounts_balance", || {
        let seed = number("JOOLD_SOAK_SEED")?.unwrap_or_else(any_seed);
        let time = Duration::from_secs(number("JOOLD_SOAK_SECONDS")?.unwrap_or(SECONDS));
        println!("soak: {} s from seed {seed}", time.as_secs());
        run::soak(time, seed).map_err(|why| {
            format!("{why}\nagain: JOOLD_SOAK_SEED={seed} cargo test --test soak").into()
        })
    });
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit_code()
}

/// A number from the environment.
fn number(variable: &str) -> Result<Option<u64>, Failed> {
    let Ok(text) = env::var(variable) else {
        return Ok(None);
    };
    let number = text.parse();
    Ok(Some(number.map_err(|_| {
        format!("{variable} is {text:?}, and no number")
    })?))
}

fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
