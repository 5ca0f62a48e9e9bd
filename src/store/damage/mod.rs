//! store: repair of a file whose bytes were changed by a disk or a hand.
//!
//! ```text
//!   pages      the pages of a file that SQLite will not read
//!   carve      pages -> rows
//!   names      the names of the series, out of all that is left of them
//!   events     events of the damaged file
//!   alerts     its alerts and messages
//!   salvage    rows of the damaged file -> the new one
//!   repair     tells a damaged file from a stranger's, and sets it aside
//!   doctor     does the file hold what it should
//! ```

mod alerts;
mod carve;
pub(super) mod doctor;
mod events;
mod names;
mod pages;
pub(super) mod repair;
pub(super) mod salvage;
