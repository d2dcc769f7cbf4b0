//! The engine among other nodes, of which any may say anything.

mod others;
mod pages;
mod world;

use crate::script::Script;
use world::World;

/// Any order of datagrams and messages of several nodes, the own number among them, of batches, failures,
/// waits and changes of the module, the instance, its table and the options, as the bytes decide: the
/// engine goes on, remembers no more than it may, and leaves nothing due that it was asked to do, in
/// however little room; only whole sessions that may be there go to the kernel, and what is counted only
/// grows.
pub fn whatever_other_nodes_tell_nothing_stays_due(script: &[u8]) {
    let mut script = Script::new(script);
    let Some(mut world) = World::new(&mut script) else {
        return;
    };
    while world.step(&mut script).is_some() {
        world.check();
    }
    world.stop();
}
