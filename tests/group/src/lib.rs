//! Whole groups of routers in virtual time. One seed decides everything, so each failure can be had
//! again.
//!
//! From bottom to top: [`kernel`] is a router's Jool (the model of `jool-simulated`) that knows what
//! of the truth each of its sessions reflects; [`socket`] and [`daemon`] are the real engine with a
//! small reactor around it, and upstream's daemon; [`world`] has the routers, the network between them
//! and the clock; [`faults`] is what goes wrong, [`traffic`] what goes through. [`checks`] looks whether
//! what shall hold does, and [`report`] says so.

pub mod checks;
pub mod daemon;
pub mod faults;
pub mod kernel;
pub mod random;
pub mod report;
pub mod sessions;
pub mod setting;
pub mod socket;
pub mod told;
pub mod traffic;
pub mod users;
pub mod world;

use report::Report;
use setting::Setting;
use world::World;

/// Runs the group of that seed to its end.
pub fn run(seed: u64, traces: bool) -> Report {
    let mut world = World::new(Setting::new(seed), traces);
    world.run();
    world.report
}
