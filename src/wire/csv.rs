//! wire: comma-separated values: a header that names the columns `key`, `timestamp` (or `unix_ts`)
//! and `value` in any order, among any others, and one sample a row.
//!
//! Quotes follow RFC 4180. The csv crate is not used for reading: it would take everything after a
//! stray quote, up to the end of the file, for one field, and hold it in memory.

use std::io::Read;

use memchr::memchr;

use super::time::{parse_timestamp, write_rfc3339};
use super::value::{parse_value, write_value};
use super::window::{LONGEST_ROW, Line, Window};
use super::{LineError, Record, Records, shown};

/// The header of written files.
pub const HEADER: &str = "key,timestamp,value\n";

/// The longest row in quotes, in lines. Past this, the quote is taken for a mistake.
const MOST_LINES: usize = 32;

const UNCLOSED: &str = "a quote that is not closed";
const AFTER_QUOTE: &str = "text between a closing quote and the next comma";

/// Reads records; see [`Records`].
pub struct Reader<R> {
    window: Window<R>,
    columns: Option<Columns>,
}

/// The columns of a row.
#[derive(Debug, Clone, Copy)]
struct Columns {
    key: usize,
    ts: usize,
    value: usize,
    count: usize,
}

/// A field between two commas.
#[derive(Debug, Clone, Copy, Default)]
struct Field<'a> {
    text: &'a [u8],
    /// Whether it contains `""`, an escaped quote.
    doubled: bool,
}

/// Why a row does not split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Unclosed,
    AfterQuote,
}

impl<R: Read> Reader<R> {
    /// A reader; the header is read with the first record.
    pub fn new(input: R) -> Self {
        Self { window: Window::new(input), columns: None }
    }

    /// Takes the next row that is not blank, and consumes it. `None` at the end.
    fn row<T>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<T, Rejected>,
    ) -> Option<Result<T, LineError>> {
        let first = loop {
            match self.window.line_end(0) {
                Line::Ends(end) if self.window.bytes()[..end].trim_ascii().is_empty() => {
                    self.window.consume(end);
                }
                Line::Ends(end) => break end,
                Line::TooLong => {
                    let error = self.window.error(format!("longer than {LONGEST_ROW} bytes"));
                    self.window.skip_line();
                    return Some(Err(error));
                }
                Line::Nothing => return self.window.failure().map(Err),
            }
        };
        let mut end = first;
        let mut lines = 1;
        let result = loop {
            match take(&self.window.bytes()[..end]) {
                Ok(taken) => break Ok(taken),
                Err(Rejected::Because(reason)) => break Err(reason),
                Err(Rejected::Split(Broken::AfterQuote)) => {
                    end = first;
                    break Err(AFTER_QUOTE.to_owned());
                }
                Err(Rejected::Split(Broken::Unclosed)) => {
                    if lines < MOST_LINES
                        && let Line::Ends(longer) = self.window.line_end(end)
                    {
                        end = longer;
                        lines += 1;
                        continue;
                    }
                    // The lines after it may be good rows.
                    end = first;
                    break Err(UNCLOSED.to_owned());
                }
            }
        };
        let result = result.map_err(|reason| self.window.error(reason));
        self.window.consume(end);
        Some(result)
    }
}

impl<R: Read> Records for Reader<R> {
    fn next(&mut self, record: &mut Record) -> Option<Result<(), LineError>> {
        let columns = match self.columns {
            Some(columns) => columns,
            None => match self.row(columns)? {
                Ok(columns) => *self.columns.insert(columns),
                Err(error) => {
                    self.window.close();
                    return Some(Err(LineError { fatal: true, ..error }));
                }
            },
        };
        self.row(|row| take(row, columns, record))
    }
}

/// Whether this line is a header that [`Reader`] understands.
pub fn is_header(line: &str) -> bool {
    columns(line.as_bytes()).is_ok()
}

/// Appends one row; `key` is as [`write_key`] left it.
pub fn write_row(out: &mut String, key: &str, ts: i64, value: f64) {
    out.push_str(key);
    out.push(',');
    write_rfc3339(out, ts);
    out.push(',');
    write_value(out, value);
    out.push('\n');
}

/// Appends a key, in quotes where it needs them.
pub fn write_key(out: &mut String, key: &str) {
    let bare = !key.contains(['"', ',', '\n', '\r']) && key.trim() == key && !key.is_empty();
    if bare {
        return out.push_str(key);
    }
    out.push('"');
    for (i, piece) in key.split('"').enumerate() {
        if i > 0 {
            out.push_str("\"\"");
        }
        out.push_str(piece);
    }
    out.push('"');
}

/// Why a row is not taken.
enum Rejected {
    Split(Broken),
    Because(String),
}

impl From<Broken> for Rejected {
    fn from(broken: Broken) -> Self {
        Self::Split(broken)
    }
}

impl From<String> for Rejected {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

fn columns(header: &[u8]) -> Result<Columns, Rejected> {
    let (mut key, mut ts, mut value) = (None, None, None);
    let count = split(header, |at, field| {
        let is = |name: &str| field.text.eq_ignore_ascii_case(name.as_bytes());
        let column = if is("key") {
            &mut key
        } else if is("timestamp") || is("unix_ts") {
            &mut ts
        } else if is("value") {
            &mut value
        } else {
            return;
        };
        column.get_or_insert(at);
    })?;
    if let (Some(key), Some(ts), Some(value)) = (key, ts, value) {
        return Ok(Columns { key, ts, value, count });
    }
    let header = String::from_utf8_lossy(header);
    let header = shown(header.trim());
    Err(format!("the header `{header}` does not name the columns key, timestamp and value").into())
}

/// Stores the fields of a row in the record.
fn take(row: &[u8], columns: Columns, record: &mut Record) -> Result<(), Rejected> {
    let (mut key, mut ts, mut value) = (Field::default(), Field::default(), Field::default());
    let count = split(row, |at, field| {
        if at == columns.key {
            key = field;
        } else if at == columns.ts {
            ts = field;
        } else if at == columns.value {
            value = field;
        }
    })?;
    if count != columns.count {
        let hint = if count > columns.count { "; a key with a comma needs quotes" } else { "" };
        return Err(format!("{count} columns, the header has {}{hint}", columns.count).into());
    }
    let utf8 = |text| std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned());
    if key.text.is_empty() {
        return Err("no key".to_owned().into());
    }
    record.value = parse_value(utf8(value.text)?)?;
    record.ts = parse_timestamp(utf8(ts.text)?).map_err(|e| e.to_string())?;
    if key.doubled {
        record.key = utf8(key.text)?.replace("\"\"", "\"");
    } else if record.key.as_bytes() != key.text {
        record.key.clear();
        record.key.push_str(utf8(key.text)?);
    }
    Ok(())
}

/// Calls `each` for each field with its place; returns the number of fields.
fn split<'a>(row: &'a [u8], mut each: impl FnMut(usize, Field<'a>)) -> Result<usize, Broken> {
    let mut rest = row;
    let mut at = 0;
    loop {
        let (field, after) = match rest.trim_ascii_start() {
            [b'"', inside @ ..] => quoted(inside)?,
            _ => {
                let comma = memchr(b',', rest);
                let (text, after) = rest.split_at(comma.unwrap_or(rest.len()));
                (Field { text: text.trim_ascii(), doubled: false }, after.get(1..))
            }
        };
        each(at, field);
        at += 1;
        match after {
            Some(after) => rest = after,
            None => return Ok(at),
        }
    }
}

/// Reads a field after its opening quote; returns it, and the text after its comma if there is one.
fn quoted(inside: &[u8]) -> Result<(Field<'_>, Option<&[u8]>), Broken> {
    let mut from = 0;
    let mut doubled = false;
    loop {
        let rest = inside.get(from..).unwrap_or_default();
        let close = from + memchr(b'"', rest).ok_or(Broken::Unclosed)?;
        let (text, after) = inside.split_at(close);
        match after.get(1..).unwrap_or_default() {
            [b'"', ..] => {
                doubled = true;
                from = close + 2;
            }
            after => {
                let field = Field { text, doubled };
                return match after.trim_ascii_start() {
                    [] => Ok((field, None)),
                    [b',', rest @ ..] => Ok((field, Some(rest))),
                    _ => Err(Broken::AfterQuote),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Vec<Result<Record, LineError>> {
        let mut reader = Reader::new(text);
        let mut record = Record::default();
        std::iter::from_fn(|| reader.next(&mut record).map(|r| r.map(|()| record.clone())))
            .collect()
    }

    fn rec(key: &str, ts: i64, value: f64) -> Result<Record, LineError> {
        Ok(Record { key: key.into(), ts, value })
    }

    #[test]
    fn columns_in_any_order_among_others() {
        let text = "\u{feff}host, VALUE ,\"unix_ts\",Key\r\n\r\na,0.5,1700000000,cpu\r\n\
                    a, 1 ,2023-11-14 22:13:21,\"disk_/a,b\"\r\na,2,1700000002,\"x{a=\"\"b\"\"}\"";
        assert_eq!(
            read(text.as_bytes()),
            [
                rec("cpu", 1_700_000_000_000, 0.5),
                rec("disk_/a,b", 1_700_000_001_000, 1.0),
                rec("x{a=\"b\"}", 1_700_000_002_000, 2.0),
            ]
        );
    }

    #[test]
    fn bad_rows_are_told_by_line_and_harm_no_other() {
        let text = b"key,timestamp,value\na,1,1\nb,1\nc,1,2,3\nd,x,1\ne,1,x\n,1,1\n\"f,1,1\n\
                     \"g\"h,1,1\ni,1,1e999\n\"multi\nline\",1,1\nz,2,2\n\xff,1,1\n";
        let found: Vec<String> = read(text)
            .into_iter()
            .map(|r| r.map_or_else(|e| format!("{}: {}", e.line, e.reason), |r| r.key))
            .collect();
        let expected = [
            "a",
            "3: 2 columns, the header has 3",
            "4: 4 columns, the header has 3; a key with a comma needs quotes",
            "5: `x` is not a time;",
            "6: `x` is not a number",
            "7: no key",
            "8: text between a closing quote",
            "9: text between a closing quote",
            "10: `1e999` is too large for a value",
            "multi\nline",
            "z",
            "14: not UTF-8",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found} is not {expected}");
        }
    }

    #[test]
    fn a_stray_quote_does_not_swallow_the_file() {
        let mut text = "key,timestamp,value\n\"a,1,1\n".to_owned();
        for i in 0..10_000 {
            text.push_str(&format!("b,{i},1\n"));
        }
        let rows = read(text.as_bytes());
        assert_eq!(rows.len(), 10_001);
        assert_eq!(rows[0].as_ref().map_err(|e| (e.line, &*e.reason)), Err((2, UNCLOSED)));
        assert!(rows[1..].iter().all(Result::is_ok));
    }

    #[test]
    fn without_its_columns_a_file_is_refused_once() {
        for text in ["key,value\na,1\nb,2\n", "a,1,2\n", "\"\n"] {
            let rows = read(text.as_bytes());
            assert_eq!(rows.len(), 1, "{rows:?}");
            assert!(rows[0].as_ref().is_err_and(|e| e.fatal && e.line == 1), "{rows:?}");
        }
        assert_eq!(read(b""), []);
        assert_eq!(read(HEADER.as_bytes()), []);
    }

    fn written(records: &[Record]) -> String {
        let mut out = HEADER.to_owned();
        for r in records {
            let mut key = String::new();
            write_key(&mut key, &r.key);
            write_row(&mut out, &key, r.ts, r.value);
        }
        out
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let record = ("[ -~\n\r\té,\"]{1,12}", 0..4_000_000_000_000_i64, any::<i32>())
            .prop_map(|(key, ts, v)| Record { key, ts, value: f64::from(v) / 7.0 });
        prop::collection::vec(record, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(records in records()) {
            let text = written(&records);
            let back: Result<Vec<Record>, LineError> = read(text.as_bytes()).into_iter().collect();
            prop_assert_eq!(back.as_ref(), Ok(&records));
            // The csv crate represents other readers.
            let mut theirs = ::csv::Reader::from_reader(text.as_bytes());
            let keys: Vec<String> = theirs.records().map(|r| r.unwrap()[0].to_owned()).collect();
            prop_assert!(keys.iter().eq(records.iter().map(|r| &r.key)));
        }

        #[test]
        fn what_others_write_reads_too(records in records()) {
            let mut theirs = ::csv::Writer::from_writer(Vec::new());
            theirs.write_record(["value", "key", "unix_ts"]).unwrap();
            for r in &records {
                let ts = format!("{:.3}", r.ts as f64 / 1000.0);
                theirs.write_record([&r.value.to_string(), &format!("<{}>", r.key), &ts]).unwrap();
            }
            let text = theirs.into_inner().unwrap();
            for (ours, r) in read(&text).into_iter().zip(&records) {
                prop_assert_eq!(ours, rec(&format!("<{}>", r.key), r.ts, r.value));
            }
        }

        #[test]
        fn any_bytes_are_rows_or_errors(bytes: Vec<u8>, tail in "([a,\"\n]|[0-9]){0,60}") {
            let _ = read(&bytes);
            let rows = read(format!("{HEADER}{tail}").as_bytes());
            prop_assert!(rows.len() <= tail.lines().count());
        }
    }
}
