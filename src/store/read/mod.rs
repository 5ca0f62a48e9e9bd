//! store: reading, beside the writer and without it. Nothing here can change the file.
//!
//! ```text
//!   reader     a read-only connection: names, samples, tables
//!   texts      events and charts
//!   present    which series have samples in a stretch of time
//!   coarse     buckets, where samples are gone or too many
//!   summary    what a chart is drawn from: a stretch as a given number of buckets
//!   table      `samples_all(key_glob, from, to)` for SQL
//!   functions  the functions that statements of strangers may call
//!   guest      statements of strangers
//! ```

pub(super) mod coarse;
mod functions;
pub mod guest;
mod present;
pub(super) mod reader;
pub(super) mod summary;
mod table;
pub(super) mod texts;
