#![no_main]

use joold_properties::whatever_other_nodes_tell_nothing_stays_due;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| whatever_other_nodes_tell_nothing_stays_due(bytes));
