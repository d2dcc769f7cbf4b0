#![no_main]

use joold_properties::any_answer_of_the_kernel_is_taken_or_an_error;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_answer_of_the_kernel_is_taken_or_an_error(bytes));
