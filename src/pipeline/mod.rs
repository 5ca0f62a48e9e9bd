//! pipeline: what lies between sources and store: a bounded queue, the latest value of each series,
//! the counters of both, the board of what is wrong, and the gathering of what statsd senders send.
//! No files, no sockets, no SQL.

mod board;
mod counters;
mod latest;
mod queue;
pub mod statsd;

pub use board::{Board, Problem};
pub use counters::{Counters, Source};
pub use latest::{Group, Latest};
pub use queue::{Batch, MAX_EVENTS, MAX_SAMPLES, Queue};
