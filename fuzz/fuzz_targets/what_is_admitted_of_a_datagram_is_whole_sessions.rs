#![no_main]

use joold_properties::what_is_admitted_of_a_datagram_is_whole_sessions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| what_is_admitted_of_a_datagram_is_whole_sessions(bytes));
