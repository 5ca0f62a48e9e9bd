//! http: rows of SQL as JSON, CSV and one JSON object a line. Pure.

use std::fmt::Write;

use crate::store::guest::Seen;
use crate::wire::json::write_string;

/// The format of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `{"columns":[…],"rows":[[…]],"truncated":false}`
    Json,
    /// A line of names, then a line a row.
    Csv,
    /// An object a row.
    Lines,
}

impl Format {
    const ALL: [Format; 3] = [Format::Json, Format::Csv, Format::Lines];

    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Lines => "ndjson",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name() == name)
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Lines => "application/x-ndjson",
        }
    }

    /// The format that an `Accept` header names.
    pub(super) fn for_accept(accept: &str) -> Option<Self> {
        let mut kinds = accept.split(',').map(|k| k.split(';').next().unwrap_or_default().trim());
        kinds.find_map(|kind| match kind {
            "text/csv" => Some(Format::Csv),
            "application/x-ndjson" | "application/jsonl" => Some(Format::Lines),
            "application/json" => Some(Format::Json),
            _ => None,
        })
    }
}

/// Writes one answer; its holder takes `out` away from time to time.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) out: String,
    format: Format,
    /// The names, as they stand before each value of an object.
    names: Vec<String>,
    rows: u64,
}

impl Writer {
    pub(super) fn new(format: Format) -> Self {
        Self { out: String::new(), format, names: Vec::new(), rows: 0 }
    }

    pub(super) fn columns(&mut self, names: &[&str]) {
        match self.format {
            Format::Json => {
                self.out.push_str("{\"columns\":[");
                for (at, name) in names.iter().enumerate() {
                    self.comma(at);
                    write_string(&mut self.out, name);
                }
                self.out.push_str("],\"rows\":[");
            }
            Format::Csv => {
                for (at, name) in names.iter().enumerate() {
                    self.comma(at);
                    self.cell(name);
                }
                self.out.push('\n');
            }
            Format::Lines => {
                self.names = names
                    .iter()
                    .map(|name| {
                        let mut key = String::new();
                        write_string(&mut key, name);
                        key.push(':');
                        key
                    })
                    .collect();
            }
        }
    }

    fn comma(&mut self, at: usize) {
        if at > 0 {
            self.out.push(',');
        }
    }

    pub(super) fn row<'r>(&mut self, cells: impl Iterator<Item = Seen<'r>>) {
        if self.format == Format::Json && self.rows > 0 {
            self.out.push_str(",\n");
        }
        self.rows += 1;
        self.out.push_str(match self.format {
            Format::Json => "[",
            Format::Csv => "",
            Format::Lines => "{",
        });
        for (at, cell) in cells.enumerate() {
            self.comma(at);
            if self.format == Format::Lines {
                self.out.push_str(self.names.get(at).map_or("", String::as_str));
            }
            if self.format == Format::Csv { self.plain(cell) } else { self.value(cell) }
        }
        self.out.push_str(match self.format {
            Format::Json => "]",
            Format::Csv => "\n",
            Format::Lines => "}\n",
        });
    }

    /// A value in JSON, which has no infinities and no bytes: they are texts.
    fn value(&mut self, cell: Seen<'_>) {
        match cell {
            Seen::Null => self.out.push_str("null"),
            Seen::Integer(v) => drop(write!(self.out, "{v}")),
            Seen::Real(v) if v.is_finite() => drop(write!(self.out, "{v:?}")),
            Seen::Real(v) => drop(write!(self.out, "\"{v}\"")),
            Seen::Text(v) => write_string(&mut self.out, &String::from_utf8_lossy(v)),
            Seen::Blob(v) => {
                self.out.push('"');
                self.hex(v);
                self.out.push('"');
            }
        }
    }

    fn plain(&mut self, cell: Seen<'_>) {
        match cell {
            Seen::Null => {}
            Seen::Integer(v) => drop(write!(self.out, "{v}")),
            // The point of 5.0 stays, as in the sqlite3 shell.
            Seen::Real(v) => drop(write!(self.out, "{v:?}")),
            Seen::Text(v) => self.cell(&String::from_utf8_lossy(v)),
            Seen::Blob(v) => self.hex(v),
        }
    }

    fn hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let _ = write!(self.out, "{byte:02x}");
        }
    }

    fn cell(&mut self, text: &str) {
        if text.contains(['"', ',', '\n', '\r']) {
            self.out.push('"');
            self.out.push_str(&text.replace('"', "\"\""));
            self.out.push('"');
        } else {
            self.out.push_str(text);
        }
    }

    /// `cut`: there were more rows.
    pub(super) fn end(&mut self, cut: bool) {
        if self.format == Format::Json {
            let _ = writeln!(self.out, "],\"truncated\":{cut}}}");
        }
    }

    /// Says after some rows that there will be no more of them and why; false: this format has no
    /// place for it.
    pub(super) fn complain(&mut self, why: &str) -> bool {
        match self.format {
            Format::Json => self.out.push_str("],\"truncated\":true,\"error\":"),
            Format::Lines => self.out.push_str("{\"error\":"),
            Format::Csv => return false,
        }
        write_string(&mut self.out, why);
        self.out.push_str("}\n");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut writer = Writer::new(format);
        writer.columns(&["a \"b\"", "c"]);
        let rows = [
            [Seen::Integer(-1), Seen::Real(5.0)],
            [Seen::Null, Seen::Real(f64::NEG_INFINITY)],
            [Seen::Text(b"x,\"y\"\n"), Seen::Blob(&[0, 255])],
        ];
        for row in rows {
            writer.row(row.into_iter());
        }
        writer.end(true);
        writer.out
    }

    #[test]
    fn every_format_reads_back() {
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "columns": ["a \"b\"", "c"],
                "rows": [[-1, 5.0], [null, "-inf"], ["x,\"y\"\n", "00ff"]],
                "truncated": true,
            })
        );
        let csv = written(Format::Csv);
        assert_eq!(csv, "\"a \"\"b\"\"\",c\n-1,5.0\n,-inf\n\"x,\"\"y\"\"\n\",00ff\n");
        let lines = written(Format::Lines);
        let objects: Vec<serde_json::Value> =
            lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(objects[2], serde_json::json!({"a \"b\"": "x,\"y\"\n", "c": "00ff"}));
        for (format, name) in
            [(Format::Csv, "text/csv, */*"), (Format::Lines, "application/x-ndjson;q=1")]
        {
            assert_eq!(Format::for_accept(name), Some(format));
        }
        assert_eq!(Format::for_accept("*/*"), None);
    }

    #[test]
    fn an_answer_that_breaks_off_stays_readable() {
        for format in [Format::Json, Format::Lines] {
            let mut writer = Writer::new(format);
            writer.columns(&["a"]);
            writer.row([Seen::Integer(1)].into_iter());
            assert!(writer.complain("it \"broke\""));
            for text in if format == Format::Json {
                vec![&*writer.out]
            } else {
                writer.out.lines().collect()
            } {
                let _: serde_json::Value = serde_json::from_str(text).unwrap();
            }
        }
    }
}
