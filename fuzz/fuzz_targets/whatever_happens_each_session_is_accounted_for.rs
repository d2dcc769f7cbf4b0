#![no_main]

use joold_properties::whatever_happens_each_session_is_accounted_for;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| whatever_happens_each_session_is_accounted_for(bytes));
