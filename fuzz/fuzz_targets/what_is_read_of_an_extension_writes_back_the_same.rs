#![no_main]

use joold_properties::what_is_read_of_an_extension_writes_back_the_same;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| what_is_read_of_an_extension_writes_back_the_same(bytes));
