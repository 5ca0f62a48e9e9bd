//! draw: from the lines of a chart to a picture: SVG, PNG, or a terminal's braille. Values in,
//! bytes out; only `gather` reads the file and evaluates PromQL. No sockets, no clock, no printing.
//!
//! ```text
//!   gather    a key, a glob or PromQL -> a chart      (measure: what its values are measured in)
//!   line      what was read -> a line and its pieces
//!   ticks     where an axis has its marks             (hours: those of time, in local time)
//!   palette   light and dark, colours that the colour-blind tell apart
//!   letters   how wide a text is, and cutting it
//!   layout    a chart -> a list of shapes             (legend: the rows below)
//!   canvas    the shapes of a picture
//!   svg, png  shapes -> a file
//!   terminal  a chart -> cells of text                (spark: a line of eight heights)
//!   shared    colours, units and ranges -> the page's own copy
//! ```

mod canvas;
mod gather;
mod hours;
mod layout;
mod legend;
mod letters;
mod line;
mod measure;
pub mod palette;
mod png;
#[cfg(test)]
mod shared;
pub mod spark;
mod svg;
pub mod terminal;
mod ticks;

pub use gather::{Ask, GatherError, fill, gather};
pub use layout::{Frame, Picture, picture};
pub use letters::{clean, cut_letters as cut};
pub use line::{Line, steps};
pub use palette::Theme;
pub use png::{MOST_PIXELS, png, png_while};
pub use svg::svg;

use crate::model::Unit;

/// The contents of a picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// The title, in one line.
    pub title: String,
    /// The subtitle, in one line, or empty.
    pub subtitle: String,
    /// The unit of all values.
    pub unit: Unit,
    /// The left edge, ms since 1970 UTC.
    pub from: i64,
    /// The right edge.
    pub to: i64,
    /// The lines in the order of drawing.
    pub lines: Vec<Line>,
    /// Whether lines are stacked, instead of starting at zero.
    pub stacked: bool,
    /// Events in this range.
    pub marks: Vec<Mark>,
    /// Values that should not be passed.
    pub thresholds: Vec<f64>,
    /// The axis reaches from zero to here at least.
    pub top: Option<f64>,
    /// Lines there would be, were they not too many.
    pub left_out: usize,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When, ms since 1970 UTC.
    pub ts: i64,
    /// A word or two.
    pub text: String,
    /// Whether it is bad news.
    pub bad: bool,
}

impl Chart {
    /// The smallest and the largest value that is drawn, thresholds included; nothing without one.
    fn extent(&self) -> Option<(f64, f64)> {
        let mut extent: Option<(f64, f64)> = None;
        let mut take = |values: &[f64]| {
            for v in values.iter().filter(|v| v.is_finite()) {
                let (low, high) = extent.unwrap_or((*v, *v));
                extent = Some((low.min(*v), high.max(*v)));
            }
            extent.is_some()
        };
        let mut any = false;
        if self.stacked {
            for line in line::stack(&self.lines) {
                any = take(&line.mean);
            }
        } else {
            for line in &self.lines {
                any = [&line.mean, &line.min, &line.max].into_iter().fold(any, |_, v| take(v));
            }
        }
        if any {
            take(&self.thresholds);
            take(if self.stacked || self.top.is_some() { &[0.0] } else { &[] });
            take(self.top.as_slice());
        }
        // A short reading of 103 % needs no axis to 200 %.
        match (extent, self.top) {
            (Some((low, high)), Some(top)) if high > top && high < top * 1.3 => Some((low, top)),
            _ => extent,
        }
    }

    /// Whether the chart has no values.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|l| l.ts.is_empty())
    }
}
