//! wire: one interface for writing series and samples in all formats.

use crate::model::Series;

use super::exposition::{Dialect, Writer as Exposition};
use super::{Format, csv, json};

/// Writes a file: for each series [`Exporter::series`], then its samples. Everything is appended to
/// `out`, which the caller writes out and clears as it grows.
///
/// Series have to come sorted by name, and a series' samples in the order of time: OpenMetrics
/// keeps a family together. The file shows the label sets of [`Series::identity`] without
/// `instance` and `job`, as keys do. OpenMetrics also has the kind, unit and help, but names that
/// it does not take (`a.b`) come back from it as `a_b`; CSV and JSON keep every key as it is.
#[derive(Debug)]
pub struct Exporter {
    format: Format,
    /// The key as the format writes it.
    key: String,
    json: json::Writer,
    exposition: Exposition,
}

impl Exporter {
    /// Begins a file.
    pub fn new(format: Format, out: &mut String) -> Self {
        if format == Format::Csv {
            out.push_str(csv::HEADER);
        }
        Self {
            format,
            key: String::new(),
            json: json::Writer::new(json::Layout::Lines),
            exposition: Exposition::new(Dialect::OpenMetrics),
        }
    }

    /// Chooses the series whose samples follow.
    pub fn series(&mut self, out: &mut String, series: &Series) {
        let Series { identity, kind, unit, help } = series;
        self.key.clear();
        match self.format {
            Format::Csv => csv::write_key(&mut self.key, &identity.key()),
            Format::Json => json::write_string(&mut self.key, &identity.key()),
            Format::OpenMetrics => {
                self.exposition.family(out, &identity.name, *kind, unit, help);
                self.exposition.series(identity.labels.iter());
            }
        }
    }

    /// Writes a sample of the current series; `ts` in milliseconds since 1970.
    pub fn sample(&mut self, out: &mut String, ts: i64, value: f64) {
        match self.format {
            Format::Csv => csv::write_row(out, &self.key, ts, value),
            Format::Json => self.json.row(out, &self.key, ts, value),
            Format::OpenMetrics => self.exposition.sample(out, value, Some(ts)),
        }
    }

    /// Ends the file.
    pub fn finish(&mut self, out: &mut String) {
        match self.format {
            Format::Csv => {}
            Format::Json => self.json.finish(out),
            Format::OpenMetrics => self.exposition.finish(out),
        }
    }
}
