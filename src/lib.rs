//! The session synchronization daemon for Jool's NAT64: what the binary, the tests and the
//! fuzzers share.
//!
//! From bottom to top:
//!
//! - [`wire`]: views of what the kernel and the peers say. Bytes in, fields out.
//! - [`engine`]: decides what becomes of each message. No sockets, no clock.
//! - [`modsocket`], [`netsocket`], [`statsocket`]: the kernel, the peers, whoever asks for
//!   counters. They only move bytes. [`sys`] has the system calls that no crate offers.
//! - [`reactor`]: the one loop that joins them.
//! - [`config`] and [`cli`] say what to do, [`control`], [`family`] and [`interfaces`] ask the
//!   kernel what there is, [`logging`] and [`report`] tell the operator.
//!
//! A session's way out: [`modsocket`] receives a batch into its buffer, [`engine`] finds the
//! sessions in it, [`netsocket`] sends them from there, and the engine's acknowledgement goes to
//! the kernel. Its way in: [`netsocket`] receives a datagram behind some headroom, the engine
//! completes the headers there, and [`modsocket`] sends the whole.

pub mod cli;
pub mod config;
pub mod control;
pub mod engine;
pub mod failure;
pub mod family;
pub mod interfaces;
pub mod logging;
pub mod modsocket;
pub mod netsocket;
pub mod outbox;
pub mod reactor;
pub mod report;
pub mod statsocket;
pub mod sys;
pub mod wire;
