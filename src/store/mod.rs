//! store: the one SQLite file. The only room that imports SQLite; it knows nothing of sockets and
//! of /proc.
//!
//! ```text
//!   queue -> writer (one thread) -> Store::commit -> samples     one transaction a beat
//!   queue -> Spill (a file beside it) -> samples              while a reader holds the log
//!   SQL clients -> metrics (view) -> inbox -> Store::take_inbox -> samples
//!   history of other tools -> History -> blocks, rollup_1h         one transaction a group
//!   samples -> Reader -> status, export, sql, query
//! ```

mod allowance;
pub mod block;
mod budget;
mod carve;
pub mod chunk;
mod coarse;
mod dictionary;
mod doctor;
mod error;
mod events;
mod functions;
mod graphs;
pub mod guest;
mod head;
mod history;
mod import;
mod inbox;
mod insert;
mod join;
mod keeping;
mod kept;
mod limits;
mod locate;
mod lock;
mod look;
mod mend;
mod merge;
mod names;
mod open;
mod orders;
mod ours;
mod owner;
mod pack;
mod pages;
mod persist;
mod place;
mod present;
mod prune;
mod read;
mod remembered;
mod repair;
mod rollup;
mod salvage;
mod schema;
mod seal;
mod sender;
mod sent;
mod series;
mod spill;
mod spilling;
mod state;
mod stretch;
mod summary;
mod table;
mod texts;
mod told;
mod upkeep;
mod value;
mod write;
mod writer;

pub use coarse::{Reach, Rolled, Weight};
pub use doctor::Finding;
pub use error::OpenError;
pub use events::Happened;
pub use head::Head;
pub use history::{History, Place, Prepared, prepare};
pub use import::Import;
pub use insert::Written;
pub use keeping::Times;
pub use kept::Kept;
pub use limits::Limits;
pub use locate::{to_read, to_write};
pub use lock::{Lock, lock_path, socket_path, with_short_path};
pub use open::Store;
pub use orders::{Orders, WriterSettings};
pub use ours::sizes;
pub use read::{Cell, FIVE_MINUTES, HOURLY, Known, PLAIN, Part, Reader, Row, SEALED};
pub use remembered::Remembered;
pub use repair::is_repairable;
pub use salvage::Salvaged;
pub use schema::{APPLICATION_ID, SCHEMA_VERSION};
pub use sender::Sender;
pub use series::Fetched;
pub use summary::{Summary, Want, summary_of};
pub use told::{NAMES, SIZE};
pub use value::{from_column, to_sql};
pub use writer::{FILE, Writer};

/// What SQLite says when a statement fails.
pub type SqlError = rusqlite::Error;

#[cfg(test)]
mod tests;
