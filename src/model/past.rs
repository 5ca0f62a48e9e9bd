//! model: what another tool remembers of a series: rows of even length, each with the mean of what
//! it measured, and the smallest and largest.

/// Rows of one length, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stretch {
    /// What a row stands for, in ms; it ends at its time.
    pub span: i64,
    /// Where the first row ends, ms since 1970 UTC.
    pub first_end: i64,
    /// Where finer rows take over, ms since 1970 UTC: a row counts up to there.
    pub until: i64,
    /// The mean of each row; NaN is unknown.
    pub mean: Vec<f64>,
    /// The smallest of each row; nothing: as the mean. NaN: as the mean.
    pub min: Vec<f64>,
    /// The largest of each row, in the same way.
    pub max: Vec<f64>,
}

/// The history of one series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The oldest first; none reaches into the next.
    pub stretches: Vec<Stretch>,
    /// Ms between two measured values.
    pub step: i64,
    /// What a counter stood at, and when, at the end of this or later: its rates are summed up so
    /// that they end there. Nothing: they are summed up from zero.
    pub anchor: Option<(i64, f64)>,
}
