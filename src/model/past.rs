//! model: imported history of a series: rows of equal length, each with the mean of its
//! measurements and their smallest and largest value.

/// Rows of one length, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stretch {
    /// The length of a row, in ms; a row's time is its end.
    pub span: i64,
    /// The end of the first row, ms since 1970 UTC.
    pub first_end: i64,
    /// The time from which finer rows exist, ms since 1970 UTC; a row counts up to there.
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
    /// The value of a counter at a time that is the end of these rows or later: the rates are
    /// summed up so that they end there. `None`: they are summed up from zero.
    pub anchor: Option<(i64, f64)>,
}
