#![no_main]

use joold_properties::whoever_asks_gets_an_answer_or_a_line_of_error;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| whoever_asks_gets_an_answer_or_a_line_of_error(bytes));
