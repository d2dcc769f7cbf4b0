//! The real daemon on simulated Jools: pairs of routers in namespaces of their own.
//!
//! Needs no kernel module and, where user namespaces are allowed, no root. To run another daemon
//! through the same tests, such as upstream's, name it in `JOOLD_UNDER_TEST`.

// The lints let tests unwrap, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod control;
mod harness;
mod instance;
mod kernel;
mod links;
mod listing;
mod losses;
mod lossless;
mod manager;
mod memory;
mod network;
mod privileges;
mod process;
mod proxy;
mod refreshes;
mod reload;
mod sessions;
mod stage;
mod statistics;
mod strangers;
mod syslog;

use std::env;
use std::process::ExitCode;

use jool_simulated::sandbox;
use libtest_mimic::Arguments;

fn main() -> ExitCode {
    if let Some(name) = env::var_os(harness::CLIENT) {
        return match harness::client(&name) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    // Before anything starts a thread.
    if let Err(why) = sandbox::enter() {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let tests = [
        sessions::tests(),
        kernel::tests(),
        instance::tests(),
        network::tests(),
        links::tests(),
        refreshes::tests(),
        reload::tests(),
        manager::tests(),
        losses::tests(),
        memory::tests(),
        statistics::tests(),
        strangers::tests(),
        process::tests(),
        proxy::tests(),
        syslog::tests(),
        privileges::tests(),
        listing::tests(),
        lossless::tests(),
        control::tests(),
        harness::tests(),
    ];
    libtest_mimic::run(
        &Arguments::from_args(),
        tests.into_iter().flatten().collect(),
    )
    .exit_code()
}
