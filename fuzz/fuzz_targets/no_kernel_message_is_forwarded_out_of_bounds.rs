//! Whatever the netlink socket brings, the engine forwards bytes of the message or nothing.
#![no_main]

use std::time::Instant;

use joold::engine::{Engine, FromKernel};
use joold::wire::jool::InstanceName;
use libfuzzer_sys::fuzz_target;

/// What Linux 6.12 gave to Jool.
const FAMILY: u16 = 0x23;

fuzz_target!(|message: &[u8]| {
    let mut engine = Engine::new(InstanceName::DEFAULT, FAMILY);
    if let FromKernel::Forward(range) = engine.on_kernel(Instant::now(), 0, message) {
        assert!(message.get(range).is_some());
    }
});
