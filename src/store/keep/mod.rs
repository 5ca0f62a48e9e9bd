//! store: the ageing of samples: they are sealed into blocks, rolled up, merged and dropped.
//!
//! ```text
//!   pack       columns -> blocks: where they are cut, and how they get into the file
//!   stretch    the stretches of time that are rolled up, and those that have changed since
//!   seal       plain rows -> blocks
//!   rollup     samples -> buckets of five minutes and of hours
//!   merge      small blocks -> larger ones
//!   prune      age, the budget for plain rows, the size of the file
//! ```

pub(super) mod merge;
pub(super) mod pack;
pub(super) mod prune;
pub(super) mod rollup;
pub(super) mod seal;
pub(super) mod stretch;
