#![no_main]

use joold_properties::whoever_asks_nobody_gets_more_than_a_share;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| whoever_asks_nobody_gets_more_than_a_share(bytes));
