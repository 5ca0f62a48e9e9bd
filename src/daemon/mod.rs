//! daemon: wiring. Makes the threads, ties the rooms together, obeys signals and the control socket.
//! The only room that knows all the others.
//!
//! ```text
//!   beat thread    sleeps, reads collectors -> queue, latest
//!   store thread   queue -> SQLite
//!   statsd thread  sockets -> queue, latest
//!   graphite thread  sockets -> intake, if it is configured
//!   plugins thread runs plugins -> queue, latest, if there are any
//!   main thread    signals, control socket, HTTP, munin-node, other munin-nodes, watchdog
//!                  (one single-threaded runtime)
//! ```

mod alarm;
mod beat;
mod burst;
pub mod control;
mod counters;
mod graphite;
pub mod log;
mod memory;
mod munin_peers;
mod own;
pub mod plugins;
mod run;
mod schedule;
mod statsd;

pub use beat::Rate;
pub use run::{Options, host_name, run};
