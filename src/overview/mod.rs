//! overview: what one looks at first: which charts there are, what is drawn in them, whether the
//! machine is well, and when a disk will be full. Read from the file only: no sockets and no pixels.
//!
//! ```text
//!   table     the charts of the first view as data
//!   charts    the table and the series of one system -> charts with their lines
//!   described what sources say of their charts -> charts, in the same terms
//!   columns   a line over a stretch of time -> mean, least and most, bucket by bucket
//!   spacing   which readings hang together
//!   glance    a chart in a row of text: now, and the last hour
//!   forecast  what is left of something -> the day it is used up
//!   mounts    file systems that are out of inodes or have become read-only
//!   ranges    how long a time charts show
//!   rules     what is too much of something, as data
//!   silence   when a machine was last heard of, and whether its clock is right
//!   verdict   well, or what is wrong and since when
//!   json      charts, their numbers and verdicts as the page reads them
//! ```

mod charts;
mod columns;
mod described;
mod forecast;
pub mod glance;
mod json;
mod mounts;
mod ranges;
pub mod rules;
mod silence;
mod spacing;
mod table;
mod verdict;

pub use charts::{Bounds, Chart, Line, MOST_LINES, Term, charts, gloss, is_moment, unit_of};
pub use columns::{BEFORE_MS, Columns, FRESH_MS, Source, newest, nice_width, read, width};
pub use forecast::{Forecast, forecast};
pub use json::{
    Span, write_events, write_line, write_lines, write_overview, write_short, write_span,
    write_verdict,
};
pub use mounts::Mount;
pub use ranges::{RANGES, Stretch};
pub use silence::{Ear, FORGET, Whose};
pub use spacing::{Running, gap, grown};
pub use verdict::{Finding, Level, SILENT, Trouble, Verdict, disk_forecasts, verdict};

#[cfg(test)]
pub(crate) mod same;
#[cfg(test)]
mod tests;
