//! store: the samples of a series, wherever they are: in sealed blocks, in plain rows, in memory.
//!
//! ```text
//!   head       samples that are committed and not sealed yet, in memory
//!   insert     puts plain rows into the file
//!   kept       a cache of packed columns that were asked for twice
//!   series     one series over a stretch of time: blocks first, then what is not sealed
//! ```

pub(super) mod head;
pub(super) mod insert;
pub(super) mod kept;
pub(super) mod series;
