//! A simulated Jool, and what is needed to run the real daemon on it.
//!
//! From bottom to top:
//!
//! - The model of the kernel's side, without clock or socket: [`module`] takes requests apart,
//!   [`instance`] holds a [`table`], a [`queue`], [`globals`] and [`statistics`]; [`controller`]
//!   and [`netlink_rules`] are the kernel's generic netlink.
//! - [`server`] runs the model on a socket of `NETLINK_USERSOCK`, where the real kernel's netlink
//!   code carries the messages: buffers fill, and groups multicast, as they do in earnest.
//! - [`shim`] is the preloaded library that leads an unchanged daemon there.
//! - [`system_log`] is a syslog of a daemon's own.
//! - [`allocations`] counts what a daemon takes from the heap.
//! - [`sandbox`], [`namespace`], [`daemon`] and [`node`] build routers: a namespace, a kernel and
//!   a daemon each, as root or in a user namespace. [`tap`] looks at the wire between them.
//!
//! What a real 4.1.13 module said is kept in `tests/captured-4.1.13.txt`, and the model is held to
//! it byte by byte. What differs from a real kernel:
//!
//! - Modules before 4.1.11 queue by other rules. The model gives them those of 4.1.11 and
//!   4.1.12 (an update is sent at once, `ss-flush-asap`), which is what matters to a daemon.
//! - Requests are looked up in the network namespace of the socket; the real module looks in the
//!   sending thread's.
//! - When the real module goes, it ends all memberships of its multicast group. The model takes
//!   another group number for the next load, so a daemon is as deaf as in earnest.
//! - IPv6 pools other than `64:ff9b::/96` and static masks are not modelled; pool4 is listed, but
//!   nothing is held to it.

pub mod allocations;
pub mod controller;
pub mod daemon;
pub mod entry;
pub mod globals;
pub mod instance;
pub mod message;
pub mod module;
pub mod namespace;
pub mod netlink_rules;
pub mod node;
pub mod queue;
pub mod requests;
pub mod sample;
pub mod sandbox;
pub mod server;
pub mod shim;
pub mod statistics;
pub mod system_log;
pub mod table;
pub mod tap;
pub mod wait;
