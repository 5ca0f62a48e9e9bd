//! store: the columns of sealed chunks as bytes and back. No I/O, no SQLite; docs/format/chunk.md
//! tells every byte.
//!
//! ```text
//!   values: f64 -> form (integers in disguise) -> plan (differences, runs) -> stream (pco) -> bytes
//!   timestamps: start and step; or the same from plan on
//! ```

mod bins;
mod bits;
mod bytes;
mod changes;
mod error;
mod estimate;
mod form;
mod others;
mod plan;
mod ratio;
mod stream;
mod timestamps;
mod values;

#[cfg(test)]
mod tests;

pub use error::Corrupt;
pub use timestamps::{Timestamps, decode_timestamps, encode_timestamps};
pub use values::{decode_values, decode_values_within, encode_values};

/// The most samples of a chunk; also what bounds memory when bytes lie.
pub const MAX_COUNT: usize = 65_536;

/// Working space of encoding and decoding: kept from one column to the next it saves allocations,
/// and nothing else. About 100 bytes a sample of the longest column so far.
#[derive(Debug, Default)]
pub struct Scratch {
    numbers: Vec<i64>,
    others: Vec<usize>,
    trial: Vec<u8>,
    plan: plan::PlanScratch,
    means: bool,
    pco: pco::DecompressorScratch,
}

impl Scratch {
    /// For values that somebody computed and that are no measurements, means of hours say: what is
    /// not a decimal is not looked at for fractions, nor tried as pco's floats. On imported history
    /// that takes half of the time and gives no more bytes.
    pub(in crate::store) fn of_means() -> Self {
        Self { means: true, ..Self::default() }
    }
}
