//! What the kernel tells of an instance when it is asked.

use super::globals::Globals;
use super::pool4::Pool4;
use super::statistics::Statistics;

/// What an instance is like now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How it is configured.
    pub globals: Globals,
    /// What it has counted.
    pub statistics: Statistics,
    /// Which masks its sessions can have; nothing if that was not asked for.
    pub pool4: Option<Pool4>,
}

/// The number of the attribute of `INSTANCE_HELLO`'s answer that tells whether the instance is there:
/// 0 if it is.
pub const STATUS: u16 = 1;

/// Jool's refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// An errno.
    pub code: i32,
    /// The module's words.
    pub text: Vec<u8>,
}
