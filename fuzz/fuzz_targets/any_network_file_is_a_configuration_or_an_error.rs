#![no_main]

use joold_properties::any_network_file_is_a_configuration_or_an_error;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| any_network_file_is_a_configuration_or_an_error(bytes));
