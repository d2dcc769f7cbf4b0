//! The simulation itself, as a daemon sees it.

use std::env;
use std::error::Error;
use std::ffi::OsStr;

use jool_simulated::daemon::{Configuration, Program};
use jool_simulated::node::{INSTANCE, pair};
use jool_simulated::{requests, sample};
use joold::controller::{Controller, Found};
use joold::modsocket::ModSocket;
use joold::wire::jool::{Command, Version};
use joold::wire::request::{Address, Plain};
use libtest_mimic::Trial;

use crate::listing;
use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    Vec::from(tests! { what_an_acknowledgement_releases_is_there_when_it_returns })
}

/// In the environment: this process is to be the client of a test, and of which one.
pub const CLIENT: &str = "JOOL_SIMULATED_TEST_CLIENT";

/// The client of the test below.
const ACKNOWLEDGING: &str = "acknowledging";

/// That of [`crate::listing`].
pub const LISTING: &str = "listing";

/// Runs this very program as the daemon, with the preloaded library.
fn what_an_acknowledgement_releases_is_there_when_it_returns() -> Outcome {
    let (mut j, _k) = pair(Version::SUPPORTED)?;
    // Nobody hears the first batch; nine full packets remain in the kernel's queue.
    translate(&j, (0..360).map(sample::udp));
    let client = Program::new(env::current_exe()?).variable(CLIENT, ACKNOWLEDGING);
    j.start(&client, &Configuration::default())?;
    let status = daemon(&mut j)?.wait()?;
    assert!(status.success(), "{}", daemon(&mut j)?.said());
    Ok(())
}

/// What this process does as the client of that name.
pub fn client(name: &OsStr) -> Result<(), Box<dyn Error>> {
    if name == LISTING {
        return listing::client();
    }
    acknowledge()
}

/// Acknowledges nine batches, and finds the next one in the socket each time without waiting.
fn acknowledge() -> Result<(), Box<dyn Error>> {
    let Found::Family(family) = Controller::open()?.find()? else {
        return Err("the module is not loaded".into());
    };
    let mut socket = ModSocket::open(1 << 18)?;
    socket.hear(Some(family.group))?;
    let mut room = [0; 4096];
    let address = Address {
        family: family.id,
        version: Version::SUPPORTED,
        instance: requests::name(INSTANCE),
    };
    for _ in 0..9 {
        socket.send(Plain::new(&address, Command::JooldAck).bytes())?;
        let receipt = socket.receive(&mut room)?;
        assert_eq!(receipt.port, 0, "the kernel's port id");
    }
    Ok(())
}
