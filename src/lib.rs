//! plimsoll: the stupidly simple monitor for a Linux server. This is the map.
//!
//! One sample's way, top to bottom; a room may use the rooms above it, never those below:
//!
//! ```text
//!   model      what a sample, a series, a key and a clock are; no I/O
//!   wire       the formats of files and senders <-> records; bytes in, values out
//!   collect    /proc, /sys, statvfs -> readings            (one file a collector)
//!   plugin     child processes: Munin's plugins, simple ones, Nagios checks -> readings
//!   receive    sockets of senders -> lines; framing only
//!   reach      connections to others: nodes of Munin, HTTP, mail, TLS
//!   pipeline   the bounded queue between sources and store, the latest value of each series,
//!              and the way in for what is pushed
//!   store      the one SQLite file: schema, writer, readers
//!   query      PromQL: an expression -> a tree -> values, over any source of samples
//!   notify     a message and the ways to its receivers       (one file a channel)
//!   alert      rules -> alerts: when something is wrong, since when, when it is over
//!   overview   what one looks at first: charts, the verdict, the day a disk fills
//!   draw       a chart -> SVG, PNG, a terminal's braille; what a chart shows, out of the file
//!   config     plimsoll.toml -> settings of the rooms
//!   http       /metrics, /health, PromQL below /api/v1, SQL, pushes (view)
//!   munin_node answers masters of Munin out of memory (view)
//!   daemon     timers, threads, control socket, shutdown; knows all of the above
//!   cli        one file a verb                             (view)
//! ```

// The few modules that call the kernel directly allow it, each with its reason.
#![deny(unsafe_code)]
// A monitor outlives what it reads: whatever comes in, it is an error and never a panic. Where a
// value is certain, say so with a match, or with an `expect` that is allowed and explained.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// println! panics when its reader has gone (`plimsoll query … | head`), and a room that prints
// cannot be tested: the cli writes to what it is given.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod alert;
pub mod cli;
pub mod collect;
pub mod config;
pub mod daemon;
pub mod draw;
pub mod http;
pub mod model;
pub mod munin_node;
pub mod notify;
pub mod overview;
pub mod pipeline;
pub mod plugin;
pub mod query;
#[cfg(test)]
#[path = "../tests/random/mod.rs"]
mod random;
pub mod reach;
pub mod receive;
pub mod store;
pub mod wire;
