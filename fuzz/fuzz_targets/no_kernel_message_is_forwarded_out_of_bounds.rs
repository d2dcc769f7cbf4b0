//! Whatever the netlink socket brings, the engine forwards bytes of the message or nothing.
#![no_main]

use std::time::Instant;

use joold::engine::{Engine, FromKernel, Limits};
use joold::wire::jool::InstanceName;
use libfuzzer_sys::fuzz_target;

/// What Linux 6.12 gave to Jool.
const FAMILY: u16 = 0x23;

const LIMITS: Limits = Limits {
    window: 1000,
    sessions: 16,
};

fuzz_target!(|message: &[u8]| {
    let engine = Engine::new(InstanceName::DEFAULT, Instant::now());
    let mut engine = engine.merging_refreshes(LIMITS, 0);
    engine.module_found(Instant::now(), FAMILY, None);
    let mut message = message.to_vec();
    if let FromKernel::Forward(piece) = engine.on_kernel(Instant::now(), 0, &mut message) {
        assert!(message.get(piece.range).is_some());
    }
});
