//! The session synchronization daemon for Jool's NAT64: what the binary, the tests and the
//! fuzzers share.
//!
//! From bottom to top:
//!
//! - [`wire`]: views of what the kernel and the peers say. Bytes in, fields out.
//! - [`engine`]: decides what becomes of each message. No sockets, no clock.
//! - [`sync`]: the half of it that knows the other routers: what is lost, what of it is asked for, what
//!   others ask for, and whether anything is lacking.
//! - [`modsocket`], [`netsocket`], [`statsocket`], [`ctlsocket`]: the kernel, the peers, whoever asks
//!   for counters, and whoever asks how it stands. They only move bytes. [`outbox`] is where they are on their way out. [`share`] says
//!   who is answered. [`sys`] has the system calls that no crate offers.
//! - [`reactor`]: the one loop that joins them.
//! - [`config`] and [`cli`] say what to do, [`control`], [`controller`], [`instance`] and [`interfaces`]
//!   ask the kernel what there is, [`watcher`] hears when that changes, [`place`] finds in it what the
//!   files name, [`logging`] and [`report`] tell the operator, [`status`] whoever asks, [`exposition`]
//!   whoever collects numbers, [`manager`] and [`outlook`] the service manager.
//! - [`claim`] keeps a second daemon from the same work, [`processes`] names who does it;
//!   [`privileges`] gives up what is not needed.
//! - [`jooldctl`]: another program, which asks the daemon how it stands, and gives it orders.
//!
//! A session's way out: [`modsocket`] receives a batch into the [`outbox`], [`engine`] finds the
//! sessions in it and takes out mere refreshes that can wait, the engine's acknowledgements go to
//! the kernel, and [`netsocket`] sends all that came so, from where it stands. Its way in:
//! [`netsocket`] receives datagrams behind some headroom, the engine completes the headers there,
//! and [`modsocket`] sends all of them at once.

pub mod claim;
pub mod cli;
pub mod config;
pub mod control;
pub mod controller;
pub mod ctlsocket;
pub mod engine;
pub mod exposition;
pub mod failure;
pub mod instance;
pub mod interfaces;
pub mod jooldctl;
pub mod logging;
pub mod manager;
pub mod modsocket;
pub mod netsocket;
pub mod outbox;
pub mod outlook;
pub mod place;
pub mod privileges;
pub mod processes;
pub mod reactor;
pub mod report;
pub mod share;
pub mod statsocket;
pub mod status;
pub mod sync;
pub mod sys;
pub mod watcher;
pub mod wire;
