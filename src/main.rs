//! `joold`: see `joold --help`.
#![no_main]

use std::ffi::OsString;
use std::time::Instant;

use joold::claim::{self, Claim};
use joold::cli::{self, Invocation};
use joold::config::{Config, Sources};
use joold::controller::Controller;
use joold::ctlsocket::CtlSocket;
use joold::engine::Engine;
use joold::failure::Failure;
use joold::instance::Instance;
use joold::logging;
use joold::manager::{Manager, Surroundings};
use joold::modsocket::ModSocket;
use joold::netsocket;
use joold::privileges;
use joold::reactor::{Reactor, Running, Sockets, seed};
use joold::report;
use joold::statsocket::StatSocket;
use joold::sys;
use joold::watcher::Watcher;

/// Where the C library enters. Rust's own entry would first have the C library read the process's
/// memory map, for a better message should the one thread's stack overflow; that alone costs some
/// 400 kB of resident memory.
///
/// # Safety
/// For the C library alone to call, which passes the arguments.
#[allow(unsafe_code)]
// SAFETY: there is no other `main`: this crate has Rust's left out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(
    count: libc::c_int,
    values: *const *const libc::c_char,
) -> libc::c_int {
    // SAFETY: the C library calls main with just these.
    let arguments = unsafe { sys::arguments(count, values) };
    let prepared = sys::prepare().map_err(|error| Failure::system("cannot open /dev/null", &error));
    match prepared.and_then(|()| run(arguments.skip(1))) {
        Ok(()) => 0,
        Err(failure) => {
            logging::fatal(&failure);
            failure.exit as libc::c_int
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    match cli::parse(arguments)? {
        Invocation::Help(text) => cli::print(text),
        Invocation::Version => cli::print(concat!("joold ", env!("CARGO_PKG_VERSION"), "\n")),
        Invocation::Check(sources) => {
            let (config, mut warnings) = Config::load(&sources)?;
            warnings.extend(netsocket::check(&config.netsocket, &sources.netsocket)?);
            for warning in warnings {
                // A closed standard error is no reason to call the files wrong.
                let _ = logging::say(&format_args!("warning: {warning}"));
            }
            cli::print(&(config.to_json() + "\n"))
        }
        Invocation::Run {
            sources,
            stderr,
            threshold,
        } => {
            let (config, warnings) = Config::load(&sources)?;
            // What is missing is told later, and waited for.
            netsocket::check(&config.netsocket, &sources.netsocket)?;
            logging::start(stderr, threshold);
            log::info!("joold {} starts: {config}", env!("CARGO_PKG_VERSION"));
            for warning in warnings {
                log::warn!("{warning}");
            }
            serve(sources, config)
        }
    }
}

fn serve(sources: Sources, config: Config) -> Result<(), Failure> {
    let claim = Claim::stake(&config)?;
    claim::warn_of_neighbours(&config);
    let netlink = |error| Failure::system("cannot open a netlink socket to the kernel", &error);
    let sockets = Sockets {
        controller: Controller::open().map_err(netlink)?,
        instance: Instance::open().map_err(netlink)?,
        modsocket: ModSocket::open(config.modsocket.netlink_buffer).map_err(netlink)?,
        // Before the first look at the interfaces, so that no change is missed.
        watcher: Watcher::open().map_err(netlink)?,
        statsocket: config.stats.map(StatSocket::open).transpose()?,
        ctlsocket: CtlSocket::start(&config.modsocket),
        manager: Manager::of(&Surroundings::here(), Instant::now()),
    };
    let have = sockets.modsocket.receive_buffer();
    report::buffer("netlink buffer", config.modsocket.netlink_buffer, have);
    let mut engine = Engine::new(config.modsocket.instance, Instant::now())
        .configuring(config.modsocket.globals());
    engine.allow(config.netsocket.allowed.clone());
    if let Some(limits) = config.modsocket.refreshes() {
        engine = engine.merging_refreshes(limits, seed());
    }
    if let Some(options) = config.netsocket.extensions.options() {
        engine = engine.extending(options, seed(), Instant::now());
    }
    let running = Running {
        sources,
        config: config.clone(),
        claim,
    };
    let mut reactor = Reactor::new(running, engine, sockets)?;
    reactor.open_network(&config.netsocket)?;
    privileges::restrict(&config)?;
    reactor.run()
}
