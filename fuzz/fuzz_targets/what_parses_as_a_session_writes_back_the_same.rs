#![no_main]

use joold_properties::what_parses_as_a_session_writes_back_the_same;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| what_parses_as_a_session_writes_back_the_same(bytes));
