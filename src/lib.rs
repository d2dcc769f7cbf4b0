//! joold.
pub mod wire;
