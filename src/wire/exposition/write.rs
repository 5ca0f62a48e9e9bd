//! wire: writes both text formats, a family at a time.

use crate::model::Kind;

use super::super::value::{write_value, write_whole};
use super::{Dialect, is_label_name, write_legal};

/// Writes families and their samples; every method appends to `out`, so that a long file can be
/// sent piece by piece. The caller keeps the samples of a family together, and names each family
/// once.
///
/// Names that are not legal are made so, see [`super::is_metric_name`]; a NaN loses its payload.
#[derive(Debug)]
pub struct Writer {
    dialect: Dialect,
    /// The sample's name, as written.
    name: String,
    /// Name and labels of the series at hand, as written.
    series: String,
}

impl Writer {
    /// A writer; [`Writer::finish`] has to end it.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, name: String::new(), series: String::new() }
    }

    /// Begins a family: the samples after it belong to this metric. `unit` and `help` may be empty.
    ///
    /// In OpenMetrics the family of a counter has the name without `_total`. A counter whose name
    /// does not end so has no valid family, and is written as of unknown type. A unit is written
    /// only if the name ends with it, as the format demands.
    pub fn family(&mut self, out: &mut String, name: &str, kind: Kind, unit: &str, help: &str) {
        let before = std::mem::take(&mut self.name);
        write_legal(&mut self.name, name, true);
        if before == self.name {
            return;
        }
        let (family, kind) = match (self.dialect, kind) {
            (Dialect::Classic, kind) => (&*self.name, kind.as_str()),
            (Dialect::OpenMetrics, Kind::Counter) => match self.name.strip_suffix("_total") {
                Some(family) if !family.is_empty() => (family, "counter"),
                _ => (&*self.name, "unknown"),
            },
            (Dialect::OpenMetrics, kind) => (&*self.name, kind.as_str()),
        };
        if !help.is_empty() {
            line(out, "# HELP ", family, "");
            // Only OpenMetrics escapes quotes here.
            escape(out, help, self.dialect == Dialect::OpenMetrics);
            out.push('\n');
        }
        line(out, "# TYPE ", family, kind);
        out.push('\n');
        let ends_with_unit = || family.strip_suffix(unit).is_some_and(|f| f.ends_with('_'));
        if self.dialect == Dialect::OpenMetrics && !unit.is_empty() && ends_with_unit() {
            line(out, "# UNIT ", family, unit);
            out.push('\n');
        }
    }

    /// Chooses the series whose samples follow. Labels without a value are left out, as Prometheus
    /// sees no difference.
    pub fn series<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        self.series.clear();
        self.series.push_str(&self.name);
        let names_from = self.series.len();
        for (name, value) in labels.filter(|(_, value)| !value.is_empty()) {
            let first = self.series.len() == names_from;
            self.series.push(if first { '{' } else { ',' });
            let from = self.series.len();
            write_legal(&mut self.series, name, false);
            // Two names may look alike once they are legal; a label twice is an error.
            while !is_label_name(name) && self.is_twice(names_from, from) {
                self.series.push('_');
            }
            self.series.push_str("=\"");
            escape(&mut self.series, value, true);
            self.series.push('"');
        }
        if self.series.len() > names_from {
            self.series.push('}');
        }
    }

    /// Name and labels of the series at hand, as written.
    pub fn written(&self) -> &str {
        &self.series
    }

    /// Writes a sample of the current series; `ts` in milliseconds since 1970.
    pub fn sample(&self, out: &mut String, value: f64, ts: Option<i64>) {
        out.push_str(&self.series);
        out.push(' ');
        write_value(out, value);
        if let Some(ts) = ts {
            out.push(' ');
            match self.dialect {
                Dialect::Classic => write_whole(out, ts),
                Dialect::OpenMetrics => write_seconds(out, ts),
            }
        }
        out.push('\n');
    }

    /// The end of the file.
    pub fn finish(&mut self, out: &mut String) {
        if self.dialect == Dialect::OpenMetrics {
            out.push_str("# EOF\n");
        }
    }

    /// Whether the label name written from `from` on has been written before it in this series.
    fn is_twice(&self, names_from: usize, from: usize) -> bool {
        let (before, name) = self.series.split_at(from);
        let before = before.get(names_from..).unwrap_or_default();
        ["{", ","].iter().any(|opens| before.contains(&format!("{opens}{name}=\"")))
    }
}

fn line(out: &mut String, what: &str, family: &str, rest: &str) {
    out.push_str(what);
    out.push_str(family);
    out.push(' ');
    out.push_str(rest);
}

pub(super) fn escape(out: &mut String, text: &str, quotes: bool) {
    let special = |c: char| c == '\\' || c == '\n' || quotes && c == '"';
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        out.push('\\');
        let mut chars = from.chars();
        out.push(match chars.next() {
            Some('\n') | None => 'n',
            Some(c) => c,
        });
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Milliseconds as seconds, exactly.
fn write_seconds(out: &mut String, ms: i64) {
    if ms < 0 {
        out.push('-');
    }
    let size = ms.unsigned_abs();
    write_whole(out, (size / 1000) as i64);
    let thousandths = size % 1000;
    if thousandths > 0 {
        let digits = [thousandths / 100, thousandths / 10 % 10, thousandths % 10];
        out.push('.');
        out.extend(digits.iter().map(|d| char::from(b'0' + *d as u8)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dialect: Dialect, kind: Kind, name: &str, labels: &[(&str, &str)]) -> String {
        let (mut w, mut out) = (Writer::new(dialect), String::new());
        w.family(&mut out, name, kind, "seconds", "a \"b\" \\ \nc");
        w.series(labels.iter().copied());
        w.sample(&mut out, 1.5, Some(1_700_000_000_250));
        w.sample(&mut out, 2.0, Some(-1_000));
        w.finish(&mut out);
        out
    }

    #[test]
    fn a_counter_in_both() {
        let labels = [("a", "x\\y\"z\n"), ("none", ""), ("b", "2")];
        assert_eq!(
            written(Dialect::Classic, Kind::Counter, "cpu_seconds_total", &labels),
            "# HELP cpu_seconds_total a \"b\" \\\\ \\nc\n# TYPE cpu_seconds_total counter\n\
             cpu_seconds_total{a=\"x\\\\y\\\"z\\n\",b=\"2\"} 1.5 1700000000250\n\
             cpu_seconds_total{a=\"x\\\\y\\\"z\\n\",b=\"2\"} 2 -1000\n"
        );
        assert_eq!(
            written(Dialect::OpenMetrics, Kind::Counter, "cpu_seconds_total", &labels),
            "# HELP cpu_seconds a \\\"b\\\" \\\\ \\nc\n# TYPE cpu_seconds counter\n\
             # UNIT cpu_seconds seconds\n\
             cpu_seconds_total{a=\"x\\\\y\\\"z\\n\",b=\"2\"} 1.5 1700000000.250\n\
             cpu_seconds_total{a=\"x\\\\y\\\"z\\n\",b=\"2\"} 2 -1\n# EOF\n"
        );
    }

    #[test]
    fn a_counter_without_total_is_unknown_to_openmetrics() {
        let text = written(Dialect::OpenMetrics, Kind::Counter, "vmstat_pgfault", &[]);
        assert!(text.contains("# TYPE vmstat_pgfault unknown\nvmstat_pgfault 1.5 "), "{text}");
        assert!(!text.contains("# UNIT"), "{text}");
        let text = written(Dialect::OpenMetrics, Kind::Counter, "_total", &[]);
        assert!(text.contains("# TYPE _total unknown\n"), "{text}");
    }

    #[test]
    fn names_become_legal_and_stay_apart() {
        let labels = [("a-b", "1"), ("a.b", "2"), ("a_b", "3"), ("0", "4")];
        let text = written(Dialect::Classic, Kind::Gauge, "é.load", &labels[..2]);
        assert!(text.contains("\n__load{a_b=\"1\",a_b_=\"2\"} 1.5 "), "{text}");
        let text = written(Dialect::Classic, Kind::Gauge, "9", &labels[3..]);
        assert!(text.contains("\n_9{_0=\"4\"} 1.5 "), "{text}");
    }

    #[test]
    fn one_family_after_another() {
        let (mut w, mut out) = (Writer::new(Dialect::Classic), String::new());
        for name in ["a", "a", "b"] {
            w.family(&mut out, name, Kind::Gauge, "", "");
            w.series(std::iter::empty());
            w.sample(&mut out, f64::NAN, None);
        }
        assert_eq!(out, "# TYPE a gauge\na NaN\na NaN\n# TYPE b gauge\nb NaN\n");
    }
}
