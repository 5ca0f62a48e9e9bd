//! store: why bytes are no column.

/// What is wrong with the bytes of a column. The chunk is damaged, or a later plimsoll wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// The bytes end before the column does.
    #[error("the column ends too early")]
    Short,
    /// The column ends before the bytes do.
    #[error("{0} bytes follow the end of the column")]
    Trailing(usize),
    /// No chunk has that many samples.
    #[error("a column cannot have {0} samples, only 1 to {max}", max = super::MAX_COUNT)]
    Count(usize),
    /// The first byte is of no encoding.
    #[error("encoding {0:#04x} is unknown; a later version of plimsoll may have written it")]
    UnknownEncoding(u8),
    /// The plan of the integers is none.
    #[error("plan {0} is unknown; a later version of plimsoll may have written it")]
    UnknownPlan(u8),
    /// Something that the encoder never writes.
    #[error("{0}")]
    Invalid(&'static str),
    /// pco refused the numbers.
    #[error("the compressed numbers are damaged ({0:?})")]
    Pco(pco::errors::ErrorKind),
}

impl Corrupt {
    /// What pco says, without its text, which would have to be allocated.
    pub(super) fn pco(error: pco::errors::PcoError) -> Self {
        Self::Pco(error.kind)
    }
}
