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
//!
//! All but the store and the main thread's own are services: one file each in services/, one row
//! each in [`SERVICES`].

mod alarm;
mod alerting;
mod beat;
mod burst;
pub mod control;
pub mod log;
mod memory;
mod outcome;
mod own;
mod patience;
pub mod plugins;
mod rate;
mod run;
mod running;
mod schedule;
mod service;
mod services;
mod shared;

pub use alerting::{Compiled, channel_settings, compile, when as rule_in_words};
pub use rate::Rate;
pub use run::{Options, run};
pub use service::{Service, Setting, Start};
pub use services::SERVICES;
