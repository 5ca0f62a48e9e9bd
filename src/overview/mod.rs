//! overview: the first view: the charts and their lines, whether the machine is well, and when a
//! disk will be full. Read from the file only: no sockets and no pixels.
//!
//! ```text
//!   table     the charts of the first view as data
//!   chart     a chart and its lines, as data
//!   axis      the unit that an axis names
//!   charts    the table and the series of one system -> charts with their lines
//!   described what sources say of their charts -> charts, in the same terms
//!   columns   a line over a stretch of time -> mean, least and most, bucket by bucket
//!   spacing   which readings hang together
//!   glance    a chart in a row of text: now, and the last hour
//!   holding   one thing that is wrong, and since when
//!   mounts    file systems that are out of inodes or have become read-only
//!   ranges    how long a time charts show
//!   rules     what is too much of something, as data
//!   silence   when a machine was last heard of, and whether its clock is right
//!   verdict   well, or what is wrong and since when
//!   json      charts, their numbers and verdicts as the page reads them
//!   same      the samples with which all views are compared (tests)
//! ```

mod axis;
mod chart;
mod charts;
mod columns;
mod described;
pub mod glance;
mod holding;
mod json;
mod mounts;
mod ranges;
pub mod rules;
mod silence;
mod spacing;
mod table;
mod verdict;

pub use chart::{Bounds, Chart, Level, Line, MOST_LINES, Mount, Term, unit_of};
pub use charts::{charts, gloss, is_moment};
pub use columns::{BEFORE_MS, Columns, FRESH_MS, Source, newest, nice_width, read, width};
pub use holding::Finding;
pub use json::{
    Span, write_events, write_line, write_lines, write_overview, write_short, write_span,
    write_verdict,
};
pub use ranges::{RANGES, Stretch};
pub use silence::{Ear, FORGET, Whose};
pub use spacing::{Running, gap, grown};
pub use verdict::{SILENT, Trouble, Verdict, disk_forecasts, verdict};

#[cfg(test)]
pub(crate) mod same;
#[cfg(test)]
mod tests;
