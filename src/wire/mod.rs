//! wire: file formats, bytes to records and back. Pure: readers take any [`std::io::Read`], writers
//! append to a `String`; no files, no sockets, no clock, no database. Whatever comes in ends in a
//! record or a [`LineError`], never in a panic, and in bounded memory.
//!
//! ```text
//!   time         seconds, milliseconds, dates, "2h ago"  <-> ms since 1970
//!   value        1.5, NaN, +Inf                          <-> f64
//!   base64       Zm9v                                  <-> bytes
//!   window       any reader -> a bounded piece of its bytes (private)
//!   shown        untrusted text -> text that is safe in a message (private)
//!   csv          key,timestamp,value
//!   json         {"key": …, "timestamp": …, "value": …}, one a line or in an array
//!   statsd       name:1|c, DogStatsD, events, checks    -> values in place
//!   exposition   Prometheus text 0.0.4 and OpenMetrics 1.0
//!   influx       measurement,tag=v field=1.5 time
//!   graphite     path value time
//!   remote_write messages of Prometheus remote write
//!   munin        output of Munin's plugins, their settings, the datafile of a master
//!   nagios       output of Nagios checks
//!   simple       key value, a line each, or one JSON object
//!   mixed        lines of any of these, each recognised by its look
//!   rrd          RRD files in place, and the XML of `rrdtool dump`
//!   sar          the JSON of sysstat's sadf
//!   yaml         YAML of rule files -> a tree with the line of each node
//!   export       series and samples -> CSV, JSON or OpenMetrics
//! ```

pub mod base64;
pub mod csv;
mod export;
pub mod exposition;
pub mod graphite;
pub mod influx;
pub mod json;
pub mod mixed;
pub mod munin;
pub mod nagios;
pub mod remote_write;
pub mod rrd;
pub mod sar;
mod shown;
pub mod simple;
pub mod statsd;
pub mod time;
pub mod value;
mod window;
pub mod yaml;

use std::io::Read;

use crate::model::Kind;

pub use export::Exporter;
use shown::shown;

/// A sample as in files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The series in one string; [`crate::model::parse_key`] takes it apart. Never empty.
    pub key: String,
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub ts: i64,
    /// The value; NaN and infinities are values too.
    pub value: f64,
}

/// The description of a series in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About<'a> {
    /// How its values behave.
    pub kind: Kind,
    /// Base unit, or nothing.
    pub unit: &'a str,
    /// A description in one sentence, or empty.
    pub help: &'a str,
}

/// Why a row was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// The first line of the row, counted from 1.
    pub line: u64,
    /// The fault, with the text in question.
    pub reason: String,
    /// Whether nothing after this can be read (the input failed, a needed column is missing);
    /// otherwise only this row is lost.
    pub fatal: bool,
}

/// Reads records one by one, without allocating for each.
pub trait Records {
    /// Stores the next record in `record`. `None` at the end, and after a fatal error. After an
    /// error the contents of the record are undefined.
    fn next(&mut self, record: &mut Record) -> Option<Result<(), LineError>>;

    /// The description of the last record's series, if the format has descriptions.
    fn about(&self) -> Option<About<'_>> {
        None
    }
}

/// The file formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// See [`csv`].
    Csv,
    /// See [`json`].
    Json,
    /// See [`exposition`]; the classic Prometheus format is read under this name too.
    OpenMetrics,
}

impl Format {
    /// All formats, for help texts.
    pub const ALL: [Format; 3] = [Format::Csv, Format::Json, Format::OpenMetrics];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Json => "json",
            Format::OpenMetrics => "openmetrics",
        }
    }

    /// The reverse of [`Format::name`], with the names by which these formats also go.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "json" | "jsonl" | "ndjson" => Some(Format::Json),
            "openmetrics" | "om" | "prometheus" | "prom" => Some(Format::OpenMetrics),
            _ => None,
        }
    }

    /// The format for the ending of a file's name, with or without `.gz`.
    pub fn from_path(path: &str) -> Option<Self> {
        let path = path.strip_suffix(".gz").unwrap_or(path);
        let name = path.rsplit('/').next()?;
        Self::from_name(name.rsplit_once('.')?.1)
    }

    /// The format for the first few hundred bytes of the unpacked contents.
    pub fn sniff(head: &[u8]) -> Option<Self> {
        let head = head.strip_prefix(BOM).unwrap_or(head);
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start();
        let first = text.lines().next()?;
        let begins = |with: &str, then: &[char]| {
            text.strip_prefix(with).is_some_and(|t| t.trim_start().starts_with(then))
        };
        if begins("[", &['{', ']']) {
            return Some(Format::Json);
        }
        if begins("{", &['"']) {
            // `{"key": …` is JSON, `{"a.name", …} 1` a name in Prometheus 3's quotes.
            let after_name = text.splitn(3, '"').nth(2).unwrap_or_default().trim_start();
            let json = after_name.starts_with(':');
            return Some(if json { Format::Json } else { Format::OpenMetrics });
        }
        if csv::is_header(first) {
            return Some(Format::Csv);
        }
        let comment = first.starts_with("# ");
        let sample = || exposition::Sample::default().parse(first).is_ok();
        (comment || sample()).then_some(Format::OpenMetrics)
    }

    /// A reader of this format. Samples without a time (the exposition formats allow that) were
    /// taken at `now_ms`.
    pub fn reader<'a>(self, input: impl Read + 'a, now_ms: i64) -> Box<dyn Records + 'a> {
        match self {
            Format::Csv => Box::new(csv::Reader::new(input)),
            Format::Json => Box::new(json::Reader::new(input)),
            Format::OpenMetrics => Box::new(exposition::Reader::new(input, now_ms)),
        }
    }
}

/// Whether this is the beginning of a gzip file.
pub fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b, 0x08])
}

/// Excel and PowerShell put this before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_name_path_and_contents() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("xml"), None);
        assert_eq!(Format::from_path("/a.b/x.CSV.gz"), Some(Format::Csv));
        assert_eq!(Format::from_path("x.ndjson"), Some(Format::Json));
        assert_eq!(Format::from_path("node.prom"), Some(Format::OpenMetrics));
        assert_eq!(Format::from_path("/a.csv/x"), None);
        for (head, format) in [
            ("key,timestamp,value\ncpu,1,2\n", Some(Format::Csv)),
            ("\u{feff}\"Value\", \"unix_ts\" ,\"key\"\r\n", Some(Format::Csv)),
            ("  [ {\"key\"", Some(Format::Json)),
            ("[]", Some(Format::Json)),
            ("{\"key\": 1", Some(Format::Json)),
            ("{\"a.b\"} 1", Some(Format::OpenMetrics)),
            ("# HELP a b\n", Some(Format::OpenMetrics)),
            ("# EOF", Some(Format::OpenMetrics)),
            ("cpu{a=\"b\"} 1 2\n", Some(Format::OpenMetrics)),
            ("cpu 0.5\n", Some(Format::OpenMetrics)),
            ("cpu;1;2\n", None),
            ("", None),
            ("\x1f\x08", None),
        ] {
            assert_eq!(Format::sniff(head.as_bytes()), format, "{head}");
        }
    }

    #[test]
    fn gzip_by_its_magic() {
        assert!(is_gzip(&[0x1f, 0x8b, 0x08, 0x00]));
        assert!(!is_gzip(b"key"));
        assert!(!is_gzip(&[0x1f]));
    }
}
