#![no_main]

use joold_properties::no_kernel_message_is_forwarded_out_of_bounds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| no_kernel_message_is_forwarded_out_of_bounds(bytes));
