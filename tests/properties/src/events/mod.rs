//! The engine in the hands of a reactor to which anything may happen, in any order.

pub mod instance;
mod known;
pub mod material;
mod peers;
mod world;

use crate::script::Script;
use world::World;

/// Any order of messages, datagrams, failures, waits and changes of the module, the instance and the
/// files, as the bytes decide: the engine goes on, each session that it takes is passed, merged, held
/// or counted as lost, the peers know what they should, and nothing is due that was done.
pub fn whatever_happens_each_session_is_accounted_for(script: &[u8]) {
    let mut script = Script::new(script);
    let Some(mut world) = World::new(&mut script) else {
        return;
    };
    while world.step(&mut script).is_some() {
        world.check();
    }
    world.stop();
}
