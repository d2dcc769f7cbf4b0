//! The preloaded library (`shim.c`), and the port id that it and the server agree on.

use std::path::Path;

include!("../port.rs");

/// Set this in a daemon's environment, and its sends do not wait for the simulated kernel.
///
/// Without it a send returns once the kernel's answer is in the socket, as with a real kernel.
pub const ASYNCHRONOUS: &str = "JOOL_SIMULATED_ASYNC";

/// Set this in a daemon's environment, and it ends with the thread that started it.
pub const LEASH: &str = "JOOL_SIMULATED_LEASH";

/// Where the library is, for `LD_PRELOAD`.
pub fn path() -> &'static Path {
    Path::new(env!("JOOL_SIMULATED_SHIM"))
}
