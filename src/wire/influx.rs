//! wire: Influx line protocol: `measurement,tag=v field=1.5,other=2i 1700000000000000000`.
//!
//! Each numeric field is a series of its own, `measurement_field{tag="v"}`; the field `value` is
//! the measurement itself. True and false are 1 and 0. Text fields are counted and left out,
//! because senders such as Telegraf send some with every line.

use std::fmt;
use std::io::Read;

use super::time::in_range;
use super::window::{Line, Window};
use super::{LineError, Record, Records, shown, window};

/// The unit of the timestamps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// `ns`, the default.
    #[default]
    Nanos,
    /// `us`
    Micros,
    /// `ms`
    Millis,
    /// `s`
    Seconds,
    /// `m`
    Minutes,
    /// `h`
    Hours,
}

impl Precision {
    /// The precision in the query parameter `precision` of both versions of the API.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "" | "n" | "ns" => Self::Nanos,
            "u" | "us" | "µ" => Self::Micros,
            "ms" => Self::Millis,
            "s" => Self::Seconds,
            "m" => Self::Minutes,
            "h" => Self::Hours,
            _ => return None,
        })
    }

    /// Milliseconds since 1970; finer parts are cut off, so that no sample comes from the future.
    fn to_ms(self, time: i64) -> Option<i64> {
        let ms = match self {
            Self::Nanos => time.div_euclid(1_000_000),
            Self::Micros => time.div_euclid(1_000),
            Self::Millis => time,
            Self::Seconds => time.checked_mul(1_000)?,
            Self::Minutes => time.checked_mul(60_000)?,
            Self::Hours => time.checked_mul(3_600_000)?,
        };
        in_range(ms)
    }
}

/// Reads the numeric fields as records; see [`Records`].
pub struct Reader<R> {
    window: Window<R>,
    now_ms: i64,
    precision: Precision,
    point: Point,
    /// Which field of the point comes next.
    next: usize,
    texts: u64,
}

/// A line taken apart; its buffers stay for the next one.
#[derive(Default)]
pub(super) struct Point {
    name: String,
    /// `{tag="v",…}`, or nothing.
    labels: String,
    /// The names of all fields, one after the other.
    names: String,
    /// The end of each field's name, and its value; `None` is text.
    fields: Vec<(usize, Option<f64>)>,
    ts: i64,
}

/// Why a line was not understood.
pub(super) enum Odd {
    /// A string is not closed yet; it may continue on the next line.
    Open(Open),
    Because(String),
}

/// A string that is not closed yet: places in the line, in bytes. A line is read on from here, and is
/// not read again from its beginning with each line of a long text.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Where its field begins.
    field: usize,
    /// Up to here the string was looked through. No `\\` stands before it.
    seen: usize,
}

impl Open {
    /// Whether the line, which has grown, closes the string.
    fn closes(&mut self, line: &[u8]) -> bool {
        while let Some(byte) = line.get(self.seen) {
            match byte {
                b'"' => return true,
                b'\\' if self.seen + 1 == line.len() => return false,
                b'\\' => self.seen += 2,
                _ => self.seen += 1,
            }
        }
        false
    }
}

impl From<String> for Odd {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

impl From<&str> for Odd {
    fn from(reason: &str) -> Self {
        Self::Because(reason.to_owned())
    }
}

impl<R: Read> Reader<R> {
    /// A reader; lines without a time are of `now_ms`.
    pub fn new(input: R, precision: Precision, now_ms: i64) -> Self {
        let (window, point) = (Window::new(input), Point::default());
        Self { window, now_ms, precision, point, next: 0, texts: 0 }
    }

    /// How many fields were text, and left out.
    pub fn texts(&self) -> u64 {
        self.texts
    }

    /// Reads the next line that is a point. `None` at the end.
    fn line(&mut self) -> Option<Result<(), LineError>> {
        loop {
            let mut end = 0;
            let mut open: Option<Open> = None;
            let parsed = loop {
                match self.window.line_end(end) {
                    Line::Ends(at) => end = at,
                    Line::TooLong => {
                        let longest = window::LONGEST_ROW;
                        let error = self.window.error(format!("longer than {longest} bytes"));
                        self.window.skip_line();
                        return Some(Err(error));
                    }
                    // A string that is not closed, at the end of the input.
                    Line::Nothing if end > 0 && self.window.bytes().len() == end => {
                        break Err("a string that is not closed".to_owned());
                    }
                    Line::Nothing => return self.window.failure().map(Err),
                }
                let bytes = self.window.bytes().get(..end).unwrap_or_default();
                if open.as_mut().is_some_and(|open| !open.closes(bytes)) {
                    continue;
                }
                let Ok(text) = std::str::from_utf8(bytes) else {
                    break Err("not UTF-8".to_owned());
                };
                match self.point.parse(text, open, self.precision, self.now_ms) {
                    Ok(is_point) => break Ok(is_point),
                    Err(Odd::Open(found)) => open = Some(found),
                    Err(Odd::Because(reason)) => break Err(reason),
                }
            };
            let result = parsed.map_err(|reason| self.window.error(reason));
            self.window.consume(end);
            match result {
                Ok(false) => {}
                Ok(true) => return Some(Ok(())),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<R: Read> Records for Reader<R> {
    fn next(&mut self, record: &mut Record) -> Option<Result<(), LineError>> {
        loop {
            match self.point.field(self.next, record) {
                Some(is_number) => {
                    self.next += 1;
                    if is_number {
                        return Some(Ok(()));
                    }
                    self.texts += 1;
                }
                None => {
                    self.next = 0;
                    match self.line() {
                        Some(Ok(())) => {}
                        other => {
                            self.point.fields.clear();
                            return other;
                        }
                    }
                }
            }
        }
    }
}

impl Point {
    /// Stores a field, counted from 0, in a record. False for text; `None` past the last one.
    pub(super) fn field(&self, number: usize, record: &mut Record) -> Option<bool> {
        let (end, value) = self.fields.get(number).copied()?;
        let Some(value) = value else { return Some(false) };
        let before = number.checked_sub(1).and_then(|before| self.fields.get(before));
        let from = before.map_or(0, |(end, _)| *end);
        let field = self.names.get(from..end).unwrap_or_default();
        record.key.clear();
        record.key.push_str(&self.name);
        if field != "value" {
            record.key.push('_');
            record.key.push_str(field);
        }
        record.key.push_str(&self.labels);
        record.ts = self.ts;
        record.value = value;
        Some(true)
    }

    /// Whether the line is a point; a blank one and a comment are not. `open`: the line has grown since
    /// this said so, and goes on from there.
    pub(super) fn parse(
        &mut self,
        line: &str,
        open: Option<Open>,
        precision: Precision,
        now_ms: i64,
    ) -> Result<bool, Odd> {
        let blank = [' ', '\t', '\r', '\n'];
        let length = line.trim_end_matches(blank).len();
        let rest = match open.and_then(|open| line.get(open.field..length)) {
            Some(rest) => rest,
            None => {
                self.fields.clear();
                let line = line.trim_matches(blank);
                if line.is_empty() || line.starts_with('#') {
                    return Ok(false);
                }
                self.head(line)?
            }
        };
        let time = self.values(rest, length)?.trim_matches(blank);
        self.ts = if time.is_empty() {
            now_ms
        } else if let Ok(number) = time.parse::<i64>() {
            precision.to_ms(number).ok_or_else(|| {
                format!(
                    "the time {number} lies outside the years 0 to 9999 (is `precision` right?)"
                )
            })?
        } else {
            return Err(format!("`{}` where a time was expected", shown(time)).into());
        };
        Ok(true)
    }

    /// Reads measurement and tags; the fields and the time are left.
    fn head<'a>(&mut self, line: &'a str) -> Result<&'a str, Odd> {
        let Self { name, labels, .. } = self;
        name.clear();
        labels.clear();
        let mut rest = word(line, &[',', ' '], |c| name.push(plain(c, "{}")));
        if name.is_empty() {
            return Err("no measurement".into());
        }
        while let Some(tag) = rest.strip_prefix(',') {
            labels.push(if labels.is_empty() { '{' } else { ',' });
            let from = labels.len();
            let after = word(tag, &['=', ',', ' '], |c| labels.push(plain(c, "{},=\"")));
            let Some(value) = after.strip_prefix('=').filter(|_| labels.len() > from) else {
                return Err(format!("`{}` where a tag was expected", shown(tag)).into());
            };
            labels.push_str("=\"");
            let from = labels.len();
            rest = word(value, &[',', ' ', '='], |c| match c {
                '\\' | '"' => labels.extend(['\\', c]),
                '\n' => labels.push_str("\\n"),
                c => labels.push(c),
            });
            if labels.len() == from || rest.starts_with('=') {
                return Err(format!("`{}` where a tag's value was expected", shown(value)).into());
            }
            labels.push('"');
        }
        if !labels.is_empty() {
            labels.push('}');
        }
        Ok(rest.trim_start_matches(' '))
    }

    /// Reads fields, behind those that are known; the time is left. `length`: where the text ends in its
    /// line.
    fn values<'a>(&mut self, mut rest: &'a str, length: usize) -> Result<&'a str, Odd> {
        let Self { names, fields, .. } = self;
        loop {
            let field = rest;
            let from = fields.last().map_or(0, |(end, _)| *end);
            names.truncate(from);
            let after = word(field, &['=', ',', ' '], |c| names.push(plain(c, "{}")));
            let Some(text) = after.strip_prefix('=').filter(|_| names.len() > from) else {
                let found = field.trim_end();
                return Err(match found {
                    "" => "no field".into(),
                    found => format!("`{}` where a field was expected", shown(found)).into(),
                });
            };
            let Some((value, after)) = value(text)? else {
                // Behind the quote.
                let seen = length - text.len() + 1;
                return Err(Odd::Open(Open { field: length - field.len(), seen }));
            };
            fields.push((names.len(), value));
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => return Ok(after),
            }
        }
    }
}

/// Reads up to one of these characters without a `\` before it; returns the text from there on.
fn word<'a>(text: &'a str, until: &[char], mut take: impl FnMut(char)) -> &'a str {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let c = match c {
            '\\' => match chars.clone().next() {
                Some((_, escaped @ (',' | '=' | ' '))) => {
                    chars.next();
                    escaped
                }
                _ => c,
            },
            '\n' | '\r' => return text.get(at..).unwrap_or_default(),
            c if until.contains(&c) => return text.get(at..).unwrap_or_default(),
            c => c,
        };
        take(c);
    }
    ""
}

/// Replaces a character that a key cannot hold in this place by `_`.
fn plain(c: char, not: &str) -> char {
    if not.contains(c) { '_' } else { c }
}

/// The value of a field, and the rest; no value is text. `None`: the text is not closed.
fn value(text: &str) -> Result<Option<(Option<f64>, &str)>, String> {
    if let Some(inside) = text.strip_prefix('"') {
        let mut chars = inside.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '"' => return Ok(Some((None, inside.get(at + 1..).unwrap_or_default()))),
                _ => {}
            }
        }
        return Ok(None);
    }
    let (number, rest) = text.split_at(text.find([',', ' ', '\n', '\r']).unwrap_or(text.len()));
    let whole = |digits: &str| digits.parse::<i64>().ok().map(|n| n as f64);
    let value = match number {
        "t" | "T" | "true" | "True" | "TRUE" => Some(1.0),
        "f" | "F" | "false" | "False" | "FALSE" => Some(0.0),
        _ => match (number.strip_suffix('i'), number.strip_suffix('u')) {
            (Some(digits), _) => whole(digits),
            (_, Some(digits)) => digits.parse::<u64>().ok().map(|n| n as f64),
            _ => number.parse::<f64>().ok().filter(|v| v.is_finite()),
        },
    };
    match value {
        Some(value) => Ok(Some((Some(value), rest))),
        None => Err(format!("`{}` is not a number", shown(number))),
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("precision", &self.precision).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_key;
    use proptest::prelude::*;

    fn read(text: &str, precision: Precision) -> Vec<String> {
        let mut reader = Reader::new(text.as_bytes(), precision, 7_000);
        let mut record = Record::default();
        let mut found = Vec::new();
        while let Some(result) = reader.next(&mut record) {
            found.push(match result {
                Ok(()) => format!("{} {} {}", record.key, record.value, record.ts),
                Err(e) => e.to_string(),
            });
        }
        if reader.texts() > 0 {
            found.push(format!("{} texts", reader.texts()));
        }
        found
    }

    #[test]
    fn points_of_every_form() {
        for (line, expected) in [
            ("cpu value=0.5", "cpu 0.5 7000"),
            ("cpu value=0.5 1700000000123456789", "cpu 0.5 1700000000123"),
            ("cpu,host=a,cpu=0 idle=1i 1000000", "cpu_idle{host=\"a\",cpu=\"0\"} 1 1"),
            ("m\\,\\ x,t\\ 1=a\\,b\\=c\\ d f\\=1=2u", "m, x_f=1{t 1=\"a,b=c d\"} 2 7000"),
            ("m,t=\"q\\z\" value=-1e-3", "m{t=\"\\\"q\\\\z\\\"\"} -0.001 7000"),
            ("m,t{=a value=1", "m{t_=\"a\"} 1 7000"),
            (
                "°C,domain=sensor,id=küche value=21.5",
                "°C{domain=\"sensor\",id=\"küche\"} 21.5 7000",
            ),
            ("% value=50", "% 50 7000"),
            ("exp f=-1e-02", "exp_f -0.01 7000"),
            ("m value=true  -1000000 ", "m 1 -1"),
            ("m value=F\r", "m 0 7000"),
            ("  m   value=9223372036854775807i", "m 9223372036854776000 7000"),
        ] {
            assert_eq!(read(line, Precision::Nanos), [expected], "{line}");
        }
        for (name, time, ms) in [
            ("n", "1700000000123456789", "1700000000123"),
            ("us", "1700000000123456", "1700000000123"),
            ("ms", "1700000000123", "1700000000123"),
            ("s", "1700000000", "1700000000000"),
            ("m", "28333333", "1699999980000"),
            ("h", "472222", "1699999200000"),
        ] {
            let precision = Precision::from_name(name).unwrap();
            assert_eq!(read(&format!("m value=1 {time}"), precision), [format!("m 1 {ms}")]);
        }
        assert_eq!(Precision::from_name("d"), None);
    }

    #[test]
    fn fields_lines_and_comments() {
        let text = "# comment\n\na x=1,s=\"b, \\\" c=2\n d\",y=2 5000000\nb value=1\n";
        let expected = ["a_x 1 5", "a_y 2 5", "b 1 7000", "1 texts"];
        assert_eq!(read(text, Precision::Nanos), expected);
    }

    #[test]
    fn texts_go_on_over_lines() {
        for (text, expected) in [
            (
                "a s=\"x\\\n\\\"y\n\",y=2 5000000\nb value=1",
                &["a_y 2 5", "b 1 7000", "1 texts"][..],
            ),
            ("a s=\"\\\\\n\\\\\",y=2\nb value=1", &["a_y 2 7000", "b 1 7000", "1 texts"]),
            (
                " a,t=v s=\"1\n2\",x=3,u=\"4\n\n5\",y=6 5000000\r\n",
                &["a_x{t=\"v\"} 3 5", "a_y{t=\"v\"} 6 5", "2 texts"],
            ),
            ("a x=1,s=\"1\n\" y", &["line 1: ` y` where a time was expected"]),
            ("a s=\"1\n\",=2\nb value=1", &["line 1: `=2` where a field was expected", "b 1 7000"]),
            ("a s=\" \t\n \n\\", &["line 1: a string that is not closed"]),
        ] {
            let found = read(text, Precision::Nanos);
            let found: Vec<_> = found.iter().map(|f| f.replace("`y`", "` y`")).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    /// Each of these took a minute and more when every line of a text was read from the point's beginning.
    #[test]
    fn a_text_of_many_lines_is_read_once() {
        for line in ["\n", "\\\"\n", "\\\n", "\",y=\"\n"] {
            let text = format!("a s=\"{}\",x=1 5000000\n", line.repeat(60_000 / line.len()));
            let found = read(&text.repeat(8), Precision::Nanos);
            let points = found.iter().filter(|f| *f == "a_x 1 5").count();
            assert_eq!(points, 8, "{line:?}: {:?}", found.first());
        }
    }

    #[test]
    fn bad_lines_say_why_and_cost_only_themselves() {
        for (line, reason) in [
            ("m", "no field"),
            ("m 1700000000", "`1700000000` where a field was expected"),
            (",a=b value=1", "no measurement"),
            ("m,a value=1", "`a value=1` where a tag was expected"),
            ("m,=b value=1", "`=b value=1` where a tag was expected"),
            ("m,a= value=1", "` value=1` where a tag's value was expected"),
            ("m,a=b=c value=1", "`b=c value=1` where a tag's value was expected"),
            ("m,a=C:\\,b=c value=1", "`C:\\,b=c value=1` where a tag's value was expected"),
            ("m value=", "`` is not a number"),
            ("m value=nan", "`nan` is not a number"),
            ("m value=1.5i", "`1.5i` is not a number"),
            ("m value=-1u", "`-1u` is not a number"),
            ("m value=1,", "no field"),
            ("m value=1 x", "`x` where a time was expected"),
            ("m value=1 1.5", "`1.5` where a time was expected"),
            ("m value=1 2 3", "`2 3` where a time was expected"),
        ] {
            let found = read(&format!("a value=1\n{line}\nb value=2"), Precision::Nanos);
            let expected = ["a 1 7000", &format!("line 2: {reason}"), "b 2 7000"];
            assert_eq!(found, expected, "{line}");
        }
        let found = read("m value=1 9223372036854775807", Precision::Hours);
        assert!(found[0].contains("(is `precision` right?)"), "{found:?}");
        assert_eq!(read("a s=\"x\ny", Precision::Nanos), ["line 1: a string that is not closed"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_points_or_errors(
            bytes: Vec<u8>,
            text in "([ab1=, \"\\\\\n#{}tiu.-]){0,60}",
        ) {
            for input in [&bytes[..], text.as_bytes()] {
                let mut reader = Reader::new(input, Precision::Seconds, 0);
                let mut record = Record::default();
                let mut turns = 0;
                while let Some(result) = reader.next(&mut record) {
                    prop_assert!(result.is_err() || !record.key.is_empty());
                    turns += 1;
                    prop_assert!(turns <= input.len() + 1, "it ends");
                }
            }
        }

        #[test]
        fn what_was_escaped_reads_back(
            name in "[a-z][a-z ,=.]{0,6}[a-z]",
            tag in "[a-z][a-z ,.]{0,6}[a-z]",
            value in "[a-z][a-z ,=\"\\\\.]{0,6}[a-z]",
            number in -1e15..1e15_f64,
        ) {
            let escape = |text: &str| {
                text.replace(',', "\\,").replace(' ', "\\ ").replace('=', "\\=")
            };
            // A `\` before an escaped character cannot be written in this protocol.
            prop_assume!(!["\\,", "\\ ", "\\="].iter().any(|odd| value.contains(odd)));
            let line =
                format!("{},{}={} f={number:?}", escape(&name), escape(&tag), escape(&value));
            let mut reader = Reader::new(line.as_bytes(), Precision::Nanos, 0);
            let mut record = Record::default();
            prop_assert_eq!(reader.next(&mut record), Some(Ok(())), "{}", line);
            let (read, labels) = parse_key(&record.key);
            prop_assert_eq!(read, format!("{name}_f"));
            prop_assert_eq!(labels.get(&tag.replace(['=', ','], "_")), Some(&*value));
            prop_assert_eq!(record.value, number);
        }
    }
}
