//! store: the file as such, before anything is known of what is in it: where it lies, whose it is, who
//! may write it, whether it is one of ours, and how its pages are made.
//!
//! ```text
//!   error      why a database cannot be used, in sentences that say what to do
//!   limits     how much is kept, and what each kind of content may take of it
//!   locate     where the database is when nobody says
//!   owner      whose the files beside it are
//!   lock       one process writes it
//!   persist    its files stay when it is closed
//!   allowance  memory that SQLite may take for a statement of a stranger
//!   schema     the schema, version by version (sql/)
//!   ours       whether it is one of plimsoll's; its size; a copy of it
//!   state      the few numbers that the store remembers about itself
//!   value      an f64 in a column, bit for bit
//! ```

pub(super) mod allowance;
pub(super) mod error;
pub(super) mod limits;
pub(super) mod locate;
pub(super) mod lock;
pub(super) mod ours;
pub(super) mod owner;
pub(super) mod persist;
pub(super) mod schema;
pub(super) mod state;
pub(super) mod value;
