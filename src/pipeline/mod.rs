//! pipeline: the link between sources and store: a bounded queue, the latest value of each series,
//! the counters of both, the board of problems, the gatherer of statsd, and the intake of pushed
//! values. No files, no sockets, no SQL.

mod arrivals;
mod board;
mod committed;
mod counters;
mod flow;
mod intake;
mod latest;
mod names;
mod own;
mod pulse;
mod queue;
pub mod statsd;

pub use arrivals::Arrival;
pub use board::{BEAT, Board, Problem, WRITER};
pub use committed::{Committed, News};
pub use counters::{Counters, Reason, Source};
pub use flow::Flow;
pub use intake::{Busy, Intake, OLDEST_MS, Origin, Push, Refused, Sender, check_name};
pub use latest::{Group, Latest};
pub use names::{
    Found, Full, MAX_MACHINES, MAX_PUSHED_NAMES, Names, Taken, entry_bytes, file_bytes,
    file_bytes_of, machine_bytes, row_bytes,
};
pub use own::reserved;
pub use pulse::Pulse;
pub use queue::{Batch, MAX_EVENTS, MAX_GRAPHS, MAX_SAMPLES, Queue, Receipt};
