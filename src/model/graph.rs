//! model: what a chart of a source looks like and what its fields mean, as the source describes it:
//! a Munin plugin, or whatever else comes with words about its metrics.

use super::Kind;

/// A range in which values are fine; a side that is nothing has no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// Values below are not fine.
    pub min: Option<f64>,
    /// Values above are not fine.
    pub max: Option<f64>,
}

impl Range {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }

    /// Whether a value is fine; NaN is.
    pub fn holds(&self, value: f64) -> bool {
        !(self.min.is_some_and(|min| value < min) || self.max.is_some_and(|max| value > max))
    }
}

/// Series that belong on one chart, and the words for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// The host it is of; `None` is this machine.
    pub system: Option<Box<str>>,
    /// Which it is among those of its machine: `munin/df`. Never empty.
    pub id: Box<str>,
    /// Its headline.
    pub title: Box<str>,
    /// What it is listed under: `disk`, `network`; never empty in a graph of a Munin plugin.
    pub category: Box<str>,
    /// The unit of its vertical axis, for people.
    pub unit: Box<str>,
    /// Sentences for people.
    pub info: Box<str>,
    /// Options for who draws, as Munin has them: `--base 1000 -l 0`.
    pub args: Box<str>,
    /// What is drawn, in this order.
    pub fields: Vec<Field>,
}

/// One series of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name within the chart.
    pub name: Box<str>,
    /// What people call it.
    pub label: Box<str>,
    /// The series' key, see [`super::write_key`].
    pub series: Box<str>,
    /// How the series behaves; of a counter the rate is drawn.
    pub kind: Kind,
    /// What is drawn in PromQL, where it is not the series or its rate.
    pub query: Box<str>,
    /// Sentences for people.
    pub info: Box<str>,
    /// `LINE1`, `AREA`, `STACK`, `AREASTACK`; nothing: a line.
    pub draw: Box<str>,
    /// `rrggbb`, or nothing.
    pub colour: Box<str>,
    /// The field that is drawn below the axis, mirrored to this one; nothing: none.
    pub negative: Box<str>,
    /// Whether it is drawn by itself; one that is another's `negative` is not.
    pub drawn: bool,
    /// Outside: somebody should look.
    pub warning: Range,
    /// Outside: somebody should look now. Goes before `warning`.
    pub critical: Range,
}

impl Default for Field {
    fn default() -> Self {
        Self {
            name: "".into(),
            label: "".into(),
            series: "".into(),
            kind: Kind::Gauge,
            query: "".into(),
            info: "".into(),
            draw: "".into(),
            colour: "".into(),
            negative: "".into(),
            drawn: true,
            warning: Range::default(),
            critical: Range::default(),
        }
    }
}
