//! model: the description of a chart and its fields by their source, such as a Munin plugin.

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
    /// Whether it has neither limit.
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
    /// The section in which the chart is listed: `disk`, `network`. Never empty for a Munin plugin.
    pub category: Box<str>,
    /// The unit of the vertical axis, in words.
    pub unit: Box<str>,
    /// Sentences for people.
    pub info: Box<str>,
    /// Options for drawing, in Munin's words: `--base 1000 -l 0`.
    pub args: Box<str>,
    /// The fields in the order of drawing.
    pub fields: Vec<Field>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name within the chart.
    pub name: Box<str>,
    /// The name in the legend.
    pub label: Box<str>,
    /// The series' key, see [`super::write_key`].
    pub series: Box<str>,
    /// How the series behaves; of a counter the rate is drawn.
    pub kind: Kind,
    /// The line as PromQL, if it is neither the series nor its rate.
    pub query: Box<str>,
    /// Sentences for people.
    pub info: Box<str>,
    /// `LINE1`, `AREA`, `STACK`, `AREASTACK`; nothing: a line.
    pub draw: Box<str>,
    /// `rrggbb`, or nothing.
    pub colour: Box<str>,
    /// The field that is drawn below the axis, mirrored to this one; nothing: none.
    pub negative: Box<str>,
    /// Whether it is drawn as a line of its own. A field that is the `negative` of another is not.
    pub drawn: bool,
    /// A value outside of this range is a warning.
    pub warning: Range,
    /// A value outside of this range is critical. It goes before `warning`.
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
