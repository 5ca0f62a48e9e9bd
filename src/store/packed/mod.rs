//! store: columns of samples as bytes and back. No I/O and no SQLite.
//!
//! ```text
//!   chunk      one column: timestamps or values
//!   block      the columns of up to 16 series over one stretch of time
//!   join       puts columns together
//! ```

pub mod block;
pub mod chunk;
pub(super) mod join;
