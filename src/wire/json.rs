//! wire: JSON: objects `{"key": "cpu", "timestamp": "2024-05-01T12:00:00Z", "value": 1.5}`, one a
//! line or in an array. A time is anything [`parse_timestamp`] takes, as number or string; values
//! that JSON lacks are the strings `"NaN"`, `"+Inf"` and `"-Inf"`. Other members are ignored.
//!
//! Pushed objects ([`Reader::pushed`]) need no time, and may have more members: `labels` (an object
//! of texts), `instance`, `job`, `type` (`gauge` or `counter`), `unit`, `help`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io::Read;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::shown;
use super::time::{from_number, from_whole, parse_timestamp, write_rfc3339};
use super::value::{parse_value, write_value};
use super::window::{LONGEST_ROW, Window};
use super::{About, LineError, Record, Records};
use crate::model::{Kind, parse_key, write_key};

const UNCLOSED: &str = "an object that is not closed";

/// Reads records; see [`Records`]. Objects are found by their braces, so that an array of any
/// length is read in the memory of one object, and a broken object costs that one only.
pub struct Reader<R> {
    window: Window<R>,
    /// The time of objects without one; `None`: each object needs a time, and has no further
    /// members.
    pushed_at: Option<i64>,
    said: Said,
}

/// The description of the last object's series.
pub(super) struct Said {
    anything: bool,
    kind: Kind,
    unit: String,
    help: String,
}

impl Said {
    pub(super) fn nothing() -> Self {
        Self { anything: false, kind: Kind::Gauge, unit: String::new(), help: String::new() }
    }

    pub(super) fn about(&self) -> Option<About<'_>> {
        let Self { anything, kind, unit, help } = self;
        anything.then(|| About { kind: *kind, unit, help })
    }
}

/// An object that was pushed.
#[derive(serde::Deserialize)]
struct Pushed<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(default, alias = "unix_ts")]
    timestamp: Option<Time>,
    value: Value,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default, borrow)]
    instance: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    job: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    unit: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    help: Option<Cow<'a, str>>,
}

#[derive(serde::Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(alias = "unix_ts")]
    timestamp: Time,
    value: Value,
}

struct Time(i64);

struct Value(f64);

impl<R: Read> Reader<R> {
    /// A reader.
    pub fn new(input: R) -> Self {
        Self { window: Window::new(input), pushed_at: None, said: Said::nothing() }
    }

    /// A reader of pushed objects; those without a time get `now_ms`.
    pub fn pushed(input: R, now_ms: i64) -> Self {
        Self { pushed_at: Some(now_ms), ..Self::new(input) }
    }

    /// The length of the object with which the window begins.
    fn object(&mut self) -> Result<usize, LineError> {
        let mut braces = Braces::default();
        let mut seen = 0;
        loop {
            let bytes = self.window.bytes();
            for (at, byte) in bytes.iter().enumerate().skip(seen) {
                match braces.close(*byte) {
                    Ok(true) => return Ok(at + 1),
                    Ok(false) => {}
                    Err(reason) => return Err(self.window.error(reason)),
                }
            }
            seen = bytes.len();
            if seen >= LONGEST_ROW {
                let reason = format!("an object of more than {LONGEST_ROW} bytes");
                return Err(self.window.error(reason));
            }
            if !self.window.more() {
                // An object that the input's failure cut short is not its own fault.
                let failure = self.window.failure();
                return Err(failure.unwrap_or_else(|| self.window.error(UNCLOSED)));
            }
        }
    }
}

impl<R: Read> Records for Reader<R> {
    fn next(&mut self, record: &mut Record) -> Option<Result<(), LineError>> {
        loop {
            let bytes = self.window.bytes();
            let between = bytes.iter().take_while(|b| b" \t\r\n,[]".contains(b)).count();
            self.window.consume(between);
            if !self.window.bytes().is_empty() {
                break;
            }
            if !self.window.more() {
                return self.window.failure().map(Err);
            }
        }
        let length = match self.window.bytes().first() {
            Some(b'{') => self.object(),
            _ => Err(self.window.error("something else than an object; the line is skipped")),
        };
        let length = match length {
            Ok(length) => length,
            Err(error) => {
                if error.fatal {
                    self.window.close()
                } else {
                    self.window.skip_line()
                }
                return Some(Err(error));
            }
        };
        let object = &self.window.bytes()[..length];
        let result = match self.pushed_at {
            Some(now) => take_pushed(object, now, record, &mut self.said),
            None => take(object, record),
        };
        let result = result.map_err(|reason| self.window.error(reason));
        self.window.consume(length);
        Some(result)
    }

    fn about(&self) -> Option<About<'_>> {
        self.said.about()
    }
}

fn parse<'a, T: Deserialize<'a>>(object: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(object).map_err(|e| {
        let reason = e.to_string();
        // The place inside the object; the reader knows the line.
        reason.split(" at line ").next().unwrap_or_default().to_owned()
    })
}

fn take(object: &[u8], record: &mut Record) -> Result<(), String> {
    let row: Row<'_> = parse(object)?;
    if row.key.is_empty() {
        return Err("no key".to_owned());
    }
    record.key.clear();
    record.key.push_str(&row.key);
    record.ts = row.timestamp.0;
    record.value = row.value.0;
    Ok(())
}

/// Reads one object that was pushed.
pub(super) fn take_pushed(
    object: &[u8],
    now_ms: i64,
    record: &mut Record,
    said: &mut Said,
) -> Result<(), String> {
    let row: Pushed<'_> = parse(object)?;
    if row.key.is_empty() {
        return Err("no key".to_owned());
    }
    said.kind = match row.kind.as_deref() {
        None => Kind::guess(row.key.split('{').next().unwrap_or_default()),
        Some("gauge") => Kind::Gauge,
        Some("counter") => Kind::Counter,
        Some(other) => {
            return Err(format!("`{}` is not a type: `gauge` or `counter`", shown(other)));
        }
    };
    said.anything = row.kind.is_some() || row.unit.is_some() || row.help.is_some();
    for (text, given) in [(&mut said.unit, &row.unit), (&mut said.help, &row.help)] {
        text.clear();
        text.push_str(given.as_deref().unwrap_or_default());
    }
    record.key.clear();
    if row.labels.is_empty() && row.instance.is_none() && row.job.is_none() {
        record.key.push_str(&row.key);
    } else {
        let (name, own) = parse_key(&row.key);
        let more = [("instance", row.instance.as_deref()), ("job", row.job.as_deref())];
        let mut labels: Vec<(&str, &str)> = own.iter().collect();
        labels.extend(row.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        labels.extend(more.into_iter().filter_map(|(n, v)| v.map(|v| (n, v))));
        if let Some((odd, _)) = labels.iter().find(|(n, _)| n.contains(['{', '}', '"', ',', '='])) {
            return Err(format!("`{}` cannot be a label's name", shown(odd)));
        }
        write_key(&mut record.key, &name, labels.into_iter());
    }
    record.ts = row.timestamp.map_or(now_ms, |time| time.0);
    record.value = row.value.0;
    Ok(())
}

/// Follows the braces of one object, just closely enough to see where it ends, and that a line
/// which was cut short does not go on with the next one.
#[derive(Default)]
struct Braces {
    /// One bit for each level: whether it is an array.
    arrays: u64,
    depth: u32,
    string: bool,
    escaped: bool,
    /// The last byte outside strings that is not white.
    last: u8,
}

impl Braces {
    /// Takes the next byte; whether it closes the object.
    fn close(&mut self, byte: u8) -> Result<bool, &'static str> {
        if self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.string = false,
                b'\n' => return Err("a string that is not closed"),
                _ => {}
            }
            return Ok(false);
        }
        let inside_array = self.arrays & 1 == 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Ok(false),
            b'"' => self.string = true,
            b'{' if self.depth > 0 && !inside_array && self.last != b':' => {
                return Err(UNCLOSED);
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth > u64::BITS {
                    return Err("too many levels");
                }
                self.arrays = self.arrays << 1 | u64::from(byte == b'[');
            }
            b'}' | b']' => {
                if inside_array != (byte == b']') {
                    return Err("brackets that do not match");
                }
                self.depth -= 1;
                self.arrays >>= 1;
            }
            _ => {}
        }
        self.last = byte;
        Ok(self.depth == 0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as number or string")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Time, E> {
                from_whole(number).map(Time).ok_or_else(|| outside(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Time, E> {
                let whole = i64::try_from(number).ok().and_then(from_whole);
                whole.map(Time).ok_or_else(|| outside(number))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Time, E> {
                from_number(number).map(Time).ok_or_else(|| outside(number))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                parse_timestamp(text).map(Time).map_err(E::custom)
            }
        }
        input.deserialize_any(Any)
    }
}

fn outside<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!("the time {number} lies outside the years 0 to 9999"))
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or \"NaN\", \"+Inf\" or \"-Inf\"")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value(number as f64))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
                Ok(Value(number as f64))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
                Ok(Value(number))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                parse_value(text).map(Value).map_err(E::custom)
            }
        }
        input.deserialize_any(Any)
    }
}

/// How the objects follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// One object a line. Such a file can be appended to, split, and read if its end is missing.
    #[default]
    Lines,
    /// One array: a single JSON document.
    Array,
}

/// Writes rows; every method appends to `out`.
#[derive(Debug, Default)]
pub struct Writer {
    layout: Layout,
    begun: bool,
}

impl Writer {
    /// A writer; [`Writer::finish`] has to end it.
    pub fn new(layout: Layout) -> Self {
        Self { layout, begun: false }
    }

    /// Writes one row; `key` as written by [`write_string`].
    pub fn row(&mut self, out: &mut String, key: &str, ts: i64, value: f64) {
        match self.layout {
            Layout::Array if self.begun => out.push_str(",\n"),
            Layout::Array => out.push_str("[\n"),
            Layout::Lines => {}
        }
        self.begun = true;
        out.push_str("{\"key\":");
        out.push_str(key);
        out.push_str(",\"timestamp\":\"");
        write_rfc3339(out, ts);
        out.push_str("\",\"value\":");
        let quote = if value.is_finite() { "" } else { "\"" };
        out.push_str(quote);
        write_value(out, value);
        out.push_str(quote);
        out.push('}');
        if self.layout == Layout::Lines {
            out.push('\n');
        }
    }

    /// The end of the file.
    pub fn finish(&mut self, out: &mut String) {
        match self.layout {
            Layout::Array if self.begun => out.push_str("\n]\n"),
            Layout::Array => out.push_str("[]\n"),
            Layout::Lines => {}
        }
    }
}

/// Appends a string in quotes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
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

    fn keys(text: &str) -> Vec<String> {
        read(text.as_bytes())
            .into_iter()
            .map(|r| r.map_or_else(|e| format!("{}: {}", e.line, e.reason), |r| r.key))
            .collect()
    }

    #[test]
    fn every_way_to_say_it() {
        for text in [
            r#"{"key":"cpu","timestamp":1700000000,"value":0.5}"#,
            r#"{"value":"0.5","unix_ts":"1700000000.0","key":"c\u0070u","more":{"a":[{},[]]}}"#,
            "[ {\n \"key\": \"cpu\",\n \"timestamp\": 1.7e9,\n \"value\": 5e-1 } ]",
            r#"{"key":"cpu","timestamp":"2023-11-14T22:13:20Z","value":0.5}"#,
            r#"{"key":"cpu","timestamp":1700000000000,"value":0.5}"#,
        ] {
            let expected = Record { key: "cpu".into(), ts: 1_700_000_000_000, value: 0.5 };
            assert_eq!(read(text.as_bytes()), [Ok(expected)], "{text}");
        }
    }

    #[test]
    fn bad_rows_are_told_by_line_and_harm_no_other() {
        let text = concat!(
            "{\"key\":\"a\",\"timestamp\":1,\"value\":1}\n",
            "{\"key\":\"b\",\"timestamp\":1}\n",
            "{\"key\":\"c\",\"timestamp\":1,\"val\n",
            "{\"key\":\"d\",\"timestamp\":1,\n",
            "{\"key\":\"e\",\"timestamp\":1,\"value\":\n",
            "{\"key\":\"f\",\"timestamp\":\"x\",\"value\":1}\n",
            "{\"key\":\"g\",\"timestamp\":1,\"value\":null}\n",
            "{\"key\":\"\",\"timestamp\":1,\"value\":1}\n",
            "nonsense\n",
            "{\"key\":\"h\",\"timestamp\":1,\"value\":]}\n",
            "{\"key\":\"i\",\"timestamp\":99999999999999999999,\"value\":1}\n",
            "{\"key\":\"z\",\"timestamp\":1,\"value\":2}\n",
            "{\"key\":\"cut\",\"timesta",
        );
        let expected = [
            "a",
            "2: missing field `value`",
            "3: a string that is not closed",
            "4: an object that is not closed",
            "5: an object that is not closed",
            "6: `x` is not a time",
            "7: invalid type: null, expected a number",
            "8: no key",
            "9: something else than an object",
            "10: brackets that do not match",
            "11: the time 100000000000000000000 lies outside",
            "z",
            "13: an object that is not closed",
        ];
        let found = keys(text);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found} is not {expected}");
        }
    }

    #[test]
    fn a_broken_object_in_an_array_on_one_line_costs_that_one() {
        let text = concat!(
            r#"[{"key":"a","timestamp":1,"value":1},{"key":"b","timestamp":1,"value":x},"#,
            r#"{"key":"c","timestamp":1,"value":1}]"#
        );
        assert_eq!(keys(text), ["a", "1: expected value", "c"]);
    }

    #[test]
    fn objects_are_bounded() {
        let good = r#"{"key":"a","timestamp":1,"value":1}"#;
        let long = format!("{{\"key\":\"{}\"}}\n{good}", "x".repeat(1 << 20));
        let reason = format!("1: an object of more than {LONGEST_ROW} bytes");
        assert_eq!(keys(&long), [reason, "a".into()]);
        assert_eq!(keys(&format!("{{\"a\":{}", "[".repeat(100))), ["1: too many levels"]);
    }

    fn written(records: &[Record], layout: Layout) -> String {
        let (mut out, mut writer) = (String::new(), Writer::new(layout));
        for r in records {
            let mut key = String::new();
            write_string(&mut key, &r.key);
            writer.row(&mut out, &key, r.ts, r.value);
        }
        writer.finish(&mut out);
        out
    }

    #[test]
    fn what_is_pushed_says_more() {
        let read = |text: &str| {
            let mut reader = Reader::pushed(text.as_bytes(), 7_000);
            let mut record = Record::default();
            match reader.next(&mut record).expect("something") {
                Ok(()) => {
                    let about = reader.about().map(|a| (a.kind.as_str(), a.unit, a.help));
                    format!("{} {} {} {about:?}", record.key, record.ts, record.value)
                }
                Err(e) => e.reason,
            }
        };
        for (text, expected) in [
            (r#"{"key":"a","value":1}"#, "a 7000 1 None"),
            (r#"{"key":"a","value":1,"timestamp":null}"#, "a 7000 1 None"),
            (
                r#"{"key":"a","value":1,"timestamp":5,"labels":{"b":"c\\"},"instance":"web1","job":"x"}"#,
                r#"a{b="c\\",instance="web1",job="x"} 5000 1 None"#,
            ),
            (r#"{"key":"a{b=\"c\"}","value":1,"job":"x"}"#, r#"a{b="c",job="x"} 7000 1 None"#),
            (
                r#"{"key":"a","value":1,"type":"counter","help":"How."}"#,
                r#"a 7000 1 Some(("counter", "", "How."))"#,
            ),
            (r#"{"key":"a","value":1,"type":"set"}"#, "`set` is not a type: `gauge` or `counter`"),
            (
                r#"{"key":"a","value":1,"labels":{"b":1}}"#,
                "invalid type: integer `1`, expected a string",
            ),
            (r#"{"key":"a","value":1,"labels":{"b=":"1"}}"#, "`b=` cannot be a label's name"),
            (r#"{"key":"","value":1}"#, "no key"),
            (r#"{"key":"a"}"#, "missing field `value`"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        // A file that is imported means nothing by these.
        let row = r#"{"key":"a","timestamp":1,"value":1,"labels":"{}","type":7}"#;
        assert_eq!(keys(row), ["a"]);
    }

    #[test]
    fn what_json_lacks_is_a_string() {
        for (value, expected) in [(f64::NAN, "\"NaN\""), (f64::INFINITY, "\"+Inf\""), (2.0, "2")] {
            let text = written(&[Record { key: "a".into(), ts: 0, value }], Layout::Lines);
            let whole = "{\"key\":\"a\",\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"value\":V}\n";
            assert_eq!(text, whole.replace('V', expected));
        }
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let key = "\\PC{0,8}[\"\\\\\n\u{1}a]{1,4}";
        let record = (key, 0..4_000_000_000_000_i64, any::<u64>())
            .prop_map(|(key, ts, bits)| Record { key, ts, value: f64::from_bits(bits) })
            .prop_filter("NaN differs from itself", |r| !r.value.is_nan());
        prop::collection::vec(record, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(records in records(), array: bool) {
            let text = written(&records, if array { Layout::Array } else { Layout::Lines });
            let back: Result<Vec<Record>, LineError> = read(text.as_bytes()).into_iter().collect();
            prop_assert_eq!(back.as_ref(), Ok(&records));
            if array {
                let theirs: Result<Vec<serde_json::Value>, _> = serde_json::from_str(&text);
                prop_assert_eq!(theirs.map(|t| t.len()).ok(), Some(records.len()));
            }
        }

        #[test]
        fn any_bytes_are_rows_or_errors(
            bytes: Vec<u8>,
            text in "([\\[\\]{}:,\"\\\\\n ]|key|value|[0-9]){0,60}",
        ) {
            let _ = read(&bytes);
            let _ = read(text.as_bytes());
            let mut reader = Reader::pushed(text.as_bytes(), 0);
            let mut record = Record::default();
            while reader.next(&mut record).is_some() {}
        }
    }
}
