//! A simulated Jool.
