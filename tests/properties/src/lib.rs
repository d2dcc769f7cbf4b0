//! What holds for joold whatever it is given, one function an input. Each takes any bytes, and
//! panics if it does not hold.
//!
//! `fuzz/` looks for bytes for which one does not. `tests/replay.rs` here replays what `fuzz/corpus`
//! and `fuzz/regressions` keep, so that every test run checks each property on real messages and on
//! all that ever broke one.

// A property that does not hold says so by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod control;
mod datagram;
mod events;
mod extension;
mod files;
mod kernel;
mod nodes;
mod page;
mod pool4;
mod request;
mod script;
mod session;
mod stats;

pub use control::any_answer_of_the_kernel_is_taken_or_an_error;
pub use datagram::what_is_admitted_of_a_datagram_is_whole_sessions;
pub use events::whatever_happens_each_session_is_accounted_for;
pub use extension::what_is_read_of_an_extension_writes_back_the_same;
pub use files::{
    any_module_file_is_a_configuration_or_an_error, any_network_file_is_a_configuration_or_an_error,
};
pub use kernel::no_kernel_message_is_forwarded_out_of_bounds;
pub use nodes::whatever_other_nodes_tell_nothing_stays_due;
pub use request::whoever_asks_gets_an_answer_or_a_line_of_error;
pub use session::what_parses_as_a_session_writes_back_the_same;
pub use stats::whoever_asks_nobody_gets_more_than_a_share;

/// A property, by its name.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// The function's name, which is the fuzz target's and that of its folder of seeds.
    pub name: &'static str,
    /// Panics if the property does not hold for these bytes.
    pub check: fn(&[u8]),
}

macro_rules! all {
    ($($name:ident),+ $(,)?) => {
        /// All of them.
        pub const ALL: &[Property] = &[$(Property { name: stringify!($name), check: $name }),+];
    };
}

all! {
    any_answer_of_the_kernel_is_taken_or_an_error,
    any_module_file_is_a_configuration_or_an_error,
    any_network_file_is_a_configuration_or_an_error,
    no_kernel_message_is_forwarded_out_of_bounds,
    what_is_admitted_of_a_datagram_is_whole_sessions,
    what_is_read_of_an_extension_writes_back_the_same,
    what_parses_as_a_session_writes_back_the_same,
    whatever_happens_each_session_is_accounted_for,
    whatever_other_nodes_tell_nothing_stays_due,
    whoever_asks_gets_an_answer_or_a_line_of_error,
    whoever_asks_nobody_gets_more_than_a_share,
}

/// What Linux 6.12 gave to Jool: the type of the messages among the seeds.
const FAMILY: u16 = 0x23;

/// Whether `text` can stand in a log as it is: one line, and nothing that moves a cursor.
fn is_one_line(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}
