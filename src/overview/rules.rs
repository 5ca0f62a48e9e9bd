//! overview: the rules of the verdict as data: the measured value, how long the condition has to
//! hold, where a warning begins, where it is bad, and the sentence. The verdict and every view that
//! colours a value read this table; another rule is another row.

use super::charts::Chart;
use super::verdict::Level;
use crate::model::Unit;

/// The value of a chart that a rule measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// Each of its lines.
    Each,
    /// The line of this name.
    Line(&'static str),
    /// The line of this name, divided by the chart's first mark: by the number of CPUs.
    OfMark(&'static str),
    /// The remainder beside the first line, in percent of all lines.
    LeftBeside(&'static str),
}

/// A rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its charts: the part of their ids before the colon.
    pub chart: &'static str,
    /// The measured value.
    pub measure: Measure,
    /// Whether less is worse.
    pub below: bool,
    /// A warning from here on.
    pub warning: f64,
    /// Bad from here on.
    pub bad: f64,
    /// How many five minutes it has to hold.
    pub buckets: usize,
    /// Values above this are faulty readings.
    pub most: f64,
    /// The sentence of the finding: `{value}` is the measured value, `{line}` the line, `{shown}`
    /// the line's own value, `{mark}` the word of the chart's first mark.
    pub sentence: &'static str,
}

/// How a finding about space ends.
pub(super) const SPACE_USED: &str = " % used";

const fn above(chart: &'static str, measure: Measure, warning: f64, bad: f64) -> Rule {
    Rule {
        chart,
        measure,
        below: false,
        warning,
        bad,
        buckets: 2,
        most: f64::INFINITY,
        sentence: "is at {value}",
    }
}

/// See the file's text.
pub static RULES: &[Rule] = &[
    Rule { buckets: 1, sentence: "{value} used", ..above("disk", Measure::Each, 90.0, 97.0) },
    Rule {
        sentence: "on memory: tasks wait {value} of the time",
        ..above("pressure", Measure::Line("memory"), 10.0, 40.0)
    },
    Rule {
        sentence: "on disks: tasks wait {value} of the time",
        ..above("pressure", Measure::Line("disks"), 50.0, 90.0)
    },
    Rule {
        sentence: "on CPUs: tasks wait {value} of the time",
        ..above("pressure", Measure::Line("CPU"), 60.0, 95.0)
    },
    Rule {
        // No sensor of a computer that works shows more.
        most: 300.0,
        sentence: "{line} is at {value}",
        ..above("temperature", Measure::Each, 90.0, 100.0)
    },
    // Twice or four times as many tasks as CPUs, for a while.
    Rule { sentence: "is {shown} on {mark}", ..above("load", Measure::OfMark("5 min"), 2.0, 4.0) },
    Rule {
        below: true,
        buckets: 1,
        sentence: "{value} left",
        ..above("memory", Measure::LeftBeside("used"), 10.0, 4.0)
    },
];

/// In percent: inodes have the limits of space.
pub(super) const INODES: (f64, f64) = (90.0, 97.0);

impl Rule {
    /// Whether it is about this chart of the first view.
    pub fn is_about(&self, chart: &Chart) -> bool {
        chart.group.is_empty() && chart.id.split(':').next() == Some(self.chart)
    }

    /// The level of a measured value.
    pub fn level(&self, value: f64) -> Level {
        let beyond = |at: f64| if self.below { value < at } else { value >= at };
        match value {
            v if v.is_nan() || v > self.most => Level::Well,
            _ if beyond(self.bad) => Level::Bad,
            _ if beyond(self.warning) => Level::Warning,
            _ => Level::Well,
        }
    }

    /// The sentence about it.
    pub fn say(&self, chart: &Chart, line: &str, value: f64, shown: f64) -> String {
        let unit = match self.measure {
            Measure::LeftBeside(_) => Unit::Percent,
            _ => Unit::of_word(&chart.unit),
        };
        let mark = chart.marks.first().map_or("", |(_, word)| word);
        self.sentence
            .replace("{value}", &unit.format(value))
            .replace("{shown}", &unit.format(shown))
            .replace("{mark}", mark)
            .replace("{line}", line)
    }
}

/// How bad a value of a chart's line is, whatever was before it.
pub fn level(chart: &Chart, line: &str, value: f64) -> Level {
    let mark = chart.marks.first().map_or(f64::NAN, |(at, _)| *at);
    let of = |rule: &Rule| match rule.measure {
        Measure::Each => rule.level(value),
        Measure::Line(name) if name == line => rule.level(value),
        Measure::OfMark(name) if name == line => rule.level(value / mark),
        _ => Level::Well,
    };
    RULES.iter().filter(|r| r.is_about(chart)).map(of).max().unwrap_or(Level::Well)
}

/// How bad it is that a share of something (in percent) is used, by the chart's id.
pub fn level_of_share(chart: &Chart, used: f64) -> Level {
    let of = |rule: &Rule| match rule.measure {
        Measure::LeftBeside(_) => rule.level(100.0 - used),
        Measure::Each if chart.unit == "percent" => rule.level(used),
        _ => Level::Well,
    };
    RULES.iter().filter(|r| r.is_about(chart)).map(of).max().unwrap_or(Level::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_says_less_is_worse_is_read_so() {
        let left = RULES.iter().find(|r| r.chart == "memory").expect("a rule");
        let levels = [50.0, 10.0, 9.9, 3.9, f64::NAN].map(|v| left.level(v));
        let (well, warning, bad) = (Level::Well, Level::Warning, Level::Bad);
        assert_eq!(levels, [well, well, warning, bad, well]);
        let hot = RULES.iter().find(|r| r.chart == "temperature").expect("a rule");
        assert_eq!([80.0, 90.0, 100.0, 400.0].map(|v| hot.level(v)), [well, warning, bad, well]);
    }
}
