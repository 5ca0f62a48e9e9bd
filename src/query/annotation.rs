//! query: the remarks of an answer: warnings and infos, in Prometheus' words, each once. No
//! evaluation in here.

use super::ast::Span;
use super::error::line_and_column;
use super::float::{shortest, two_digits};
use super::quote::quoted;

/// Whether the answer may be wrong, or only unexpected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The answer may differ from the intended one.
    Warning,
    /// The answer is right; the question may not be.
    Info,
}

/// One remark about a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Its level.
    pub level: Level,
    /// The remark itself, without place and details: what makes two remarks one.
    pub text: String,
    /// Which part of the query it is about.
    pub span: Span,
    forced: Option<ForcedMonotonicity>,
}

/// The details of a histogram whose buckets had to be levelled.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ForcedMonotonicity {
    first_ms: i64,
    last_ms: i64,
    lowest: f64,
    highest: f64,
    difference: f64,
    samples: u64,
}

impl Annotation {
    fn new(level: Level, text: String, span: Span) -> Self {
        let word = match level {
            Level::Warning => "PromQL warning",
            Level::Info => "PromQL info",
        };
        Self { level, text: format!("{word}: {text}"), span, forced: None }
    }

    /// A quantile outside of 0 to 1.
    pub fn invalid_quantile(q: f64, span: Span) -> Self {
        let text = format!("quantile value should be between 0 and 1, got {}", shortest(q));
        Self::new(Level::Warning, text, span)
    }

    /// A ratio of `limit_ratio` outside of -1 to 1, with the ratio that is used instead.
    pub fn invalid_ratio(ratio: f64, taken: f64, span: Span) -> Self {
        let text = format!(
            "ratio value should be between -1 and 1, got {}, capping to {}",
            shortest(ratio),
            shortest(taken)
        );
        Self::new(Level::Warning, text, span)
    }

    /// A series among a histogram's whose label `le` is missing or no number.
    pub fn bad_bucket(le: &str, span: Span) -> Self {
        let text =
            format!("bucket label \"le\" is missing or has a malformed value of {}", quoted(le));
        Self::new(Level::Warning, text, span)
    }

    /// A sort in a range query, where series are in the order of their labels.
    pub fn sort_in_range(span: Span) -> Self {
        let text =
            "sort is ineffective for range queries since results are always ordered by labels";
        Self::new(Level::Warning, text.to_owned(), span)
    }

    /// A rate or increase of a series whose name is not that of a counter.
    pub fn possible_non_counter(name: &str, span: Span) -> Self {
        let text = format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            quoted(name)
        );
        Self::new(Level::Info, text, span)
    }

    /// A function over buckets, `width` ms long, that it cannot be told from exactly.
    pub fn approximate(function: &str, width: i64, span: Span) -> Self {
        let text = format!(
            "{function} is approximate where buckets of {} stand for samples",
            if width >= 3_600_000 { "1h" } else { "5m" }
        );
        Self::new(Level::Info, text, span)
    }

    /// An operator for native histograms between two numbers.
    pub fn incompatible_types(op: &str, span: Span) -> Self {
        let text = format!(
            "incompatible sample types encountered for binary operator {}: float {op} float",
            quoted(op)
        );
        Self::new(Level::Info, text, span)
    }

    /// A function that passes over plain numbers, asked about nothing else.
    pub fn native_only(function: &str, span: Span) -> Self {
        let text = format!(
            "{function} looks at native histograms only, and plimsoll holds none; classic \
             histograms have the series _count, _sum and _bucket"
        );
        Self::new(Level::Info, text, span)
    }

    /// Buckets whose counts fell and were held level, at the step `ts_ms`.
    pub fn forced_monotonicity(
        ts_ms: i64,
        lowest: f64,
        highest: f64,
        difference: f64,
        span: Span,
    ) -> Self {
        let text = "input to histogram_quantile needed to be fixed for monotonicity (see \
                    https://prometheus.io/docs/prometheus/latest/querying/functions/\
                    #histogram_quantile)";
        let mut all = Self::new(Level::Info, text.to_owned(), span);
        all.forced = Some(ForcedMonotonicity {
            first_ms: ts_ms,
            last_ms: ts_ms,
            lowest,
            highest,
            difference,
            samples: 1,
        });
        all
    }

    /// The remark as the API shows it: with its details, and the line and column of its subject.
    pub fn shown(&self, query: &str) -> String {
        let mut out = self.text.clone();
        if let Some(f) = &self.forced {
            out += &format!(
                ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                shortest(f.lowest),
                shortest(f.highest),
                two_digits(f.difference),
                f.samples,
                second(f.first_ms),
                second(f.last_ms)
            );
        }
        let (line, column) = line_and_column(query, self.span.start as usize);
        out += &format!(" ({line}:{column})");
        out
    }

    /// Merges another remark of the same kind: the newer place counts, details grow together.
    fn absorb(&mut self, other: Annotation) {
        self.span = other.span;
        if let (Some(old), Some(new)) = (&mut self.forced, other.forced) {
            old.first_ms = old.first_ms.min(new.first_ms);
            old.last_ms = old.last_ms.max(new.last_ms);
            old.lowest = old.lowest.min(new.lowest);
            old.highest = old.highest.max(new.highest);
            old.difference = old.difference.max(new.difference);
            old.samples += new.samples;
        }
    }
}

/// A moment in whole seconds, `2026-01-02T03:04:05Z`.
fn second(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000))
        .map_or_else(|_| ms.to_string(), |t| t.to_string())
}

/// The remarks about one query, each once, in the order in which they first came up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotations {
    list: Vec<Annotation>,
}

impl Annotations {
    /// Adds one, or joins it with its like.
    pub fn add(&mut self, annotation: Annotation) {
        match self.list.iter_mut().find(|a| a.text == annotation.text) {
            Some(known) => known.absorb(annotation),
            None => self.list.push(annotation),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Annotation> {
        self.list.iter()
    }

    /// Those of a level as the API shows them; past `most` of them, one more says how many are left
    /// out.
    pub fn shown(&self, level: Level, query: &str, most: usize) -> Vec<String> {
        let of_level = || self.list.iter().filter(|a| a.level == level);
        let mut out: Vec<String> = of_level().take(most).map(|a| a.shown(query)).collect();
        let left = of_level().count() - out.len();
        if left > 0 {
            let word = match level {
                Level::Warning => "warning",
                Level::Info => "info",
            };
            out.push(format!("{left} more {word} annotations omitted"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_remark_is_made_once_and_says_where() {
        let mut all = Annotations::default();
        all.add(Annotation::invalid_quantile(2.0, Span::new(9, 10)));
        all.add(Annotation::invalid_quantile(2.0, Span::new(9, 10)));
        all.add(Annotation::possible_non_counter("a\"b", Span::new(13, 14)));
        let query = "quantile(2, x)\n+ rate(y[5m])";
        assert_eq!(
            all.shown(Level::Warning, query, 10),
            ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]
        );
        assert!(all.shown(Level::Info, query, 10)[0].ends_with(": \"a\\\"b\" (1:14)"));
        assert_eq!(all.shown(Level::Info, query, 0), ["1 more info annotations omitted"]);
    }

    #[test]
    fn levelled_buckets_are_summed_up() {
        let mut all = Annotations::default();
        all.add(Annotation::forced_monotonicity(60_000, 1.0, 2.0, 5.0, Span::new(24, 25)));
        all.add(Annotation::forced_monotonicity(0, 0.5, 1.0, 123.0, Span::new(24, 25)));
        let shown = all.shown(Level::Info, "\nhistogram_quantile(0.9, x)", 1);
        assert!(
            shown[0].ends_with(
                ", from buckets 0.5 to 2, with a max diff of 1.2e+02, over 2 samples from \
                 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z (2:24)"
            ),
            "{}",
            shown[0]
        );
    }
}
