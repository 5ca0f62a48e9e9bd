//! store: the one SQLite file. The only room that imports SQLite; it knows nothing of sockets and
//! of /proc.
//!
//! ```text
//!   queue -> writer (one thread) -> Store::commit -> samples     one transaction a beat
//!   queue -> Spill (a file beside it) -> samples              while a reader holds the log
//!   SQL clients -> metrics (view) -> inbox -> Store::take_inbox -> samples
//!   history of other tools -> History -> blocks, rollup_1h         one transaction a group
//!   alerts, messages -> Orders -> writer -> alert_state, outbox, told   in that transaction too
//!   samples -> Reader -> status, export, sql, query
//! ```
//!
//! Its wings; one may use those above it, and `tests/house.rs` checks that. Each has a map of its files.
//!
//! ```text
//!   file       the file as such: where it lies, who may write it, its schema
//!   packed     columns of samples as bytes and back
//!   samples    the samples of a series, wherever they are
//!   texts      names, events, charts, and rows that others put in
//!   keep       what becomes of samples as they age
//!   read       reading, beside the writer and without it
//!   damage     what to do about a file whose bytes were changed
//!   write      the one open for writing, and the thread that owns it
//! ```

mod damage;
mod file;
mod keep;
mod packed;
mod read;
mod samples;
mod texts;
mod write;

pub use damage::doctor::Finding;
pub use damage::repair::is_repairable;
pub use damage::salvage::Salvaged;
pub use file::error::OpenError;
pub use file::limits::Limits;
pub use file::locate::{to_read, to_write};
pub use file::lock::{Lock, lock_path, socket_path, with_short_path};
pub use file::ours::sizes;
pub use file::schema::{APPLICATION_ID, SCHEMA_VERSION};
pub use file::value::{from_column, to_sql};
pub use packed::{block, chunk};
pub use read::coarse::{Reach, Rolled, Weight};
pub use read::guest;
pub use read::reader::{
    Cell, FIVE_MINUTES, HOURLY, Known, PLAIN, Reader, SEALED, SampleRow, Usage,
};
pub use read::summary::{Summary, Want, summary_of};
pub use read::texts::Happened;
pub use samples::head::Head;
pub use samples::insert::Written;
pub use samples::kept::Kept;
pub use samples::series::Fetched;
pub use texts::alerts::{
    AckRow, AlertOp, AlertRow, AlertStore, Applied, MOST_KEPT, MOST_OPEN, OutboxRow, SilenceRow,
    ToldRow,
};
pub use write::history::{History, Place, Prepared, prepare};
pub use write::import::Import;
pub use write::keeping::Times;
pub use write::open::Store;
pub use write::orders::{Orders, WriterSettings};
pub use write::remembered::Remembered;
pub use write::sender::InboxSender;
pub use write::told::{NAMES, SIZE};
pub use write::writer::{FILE, Writer};

/// The kind of the event that says that plimsoll was started. Its tag `boot` is the kernel's boot id.
pub const START: &str = "start";
/// The kind of the event that says that plimsoll was told to end, with the same tag.
pub const STOP: &str = "stop";

/// What SQLite says when a statement fails.
pub type SqlError = rusqlite::Error;

#[cfg(test)]
mod tests;
