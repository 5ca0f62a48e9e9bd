//! wire: reads both text formats, line by line.

use std::borrow::Cow;
use std::io::Read;

use crate::model::{Kind, write_key};

use super::super::time::parse_number;
use super::super::value::parse_value;
use super::super::window::{self, LONGEST_ROW, Window};
use super::super::{About, LineError, Record, Records, shown};
use super::legal;

/// A parsed sample line. Reuse it for the next line: it keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    name: String,
    /// All label names and values, unescaped and concatenated.
    text: String,
    labels: Vec<Label>,
    value: f64,
    ts: Option<i64>,
}

/// The places in the text where a label's name begins and ends, and where its value ends.
#[derive(Debug, Clone, Copy)]
struct Label {
    name: usize,
    value: usize,
    end: usize,
}

/// A kind of line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// A sample, now in the [`Sample`] that parsed it.
    Sample,
    /// `# HELP name text`: the name without quotes, and the text with its escapes;
    /// [`unescape_help`] removes them.
    Help(Cow<'a, str>, &'a str),
    /// `# TYPE name word`: `counter`, `gauge`, `histogram`, `summary`, `unknown`, …
    Type(Cow<'a, str>, &'a str),
    /// `# UNIT name unit`.
    Unit(Cow<'a, str>, &'a str),
    /// `# EOF`
    End,
    /// A blank line or another comment.
    Nothing,
}

impl Sample {
    /// Parses one line of either format, without its line break. Exemplars and created times are
    /// not looked at; lines of histograms and summaries are samples like any other.
    pub fn parse<'a>(&mut self, line: &'a str) -> Result<Line<'a>, String> {
        let line = line.trim_matches([' ', '\t', '\r']);
        match line.strip_prefix('#') {
            Some(comment) => Ok(parse_comment(comment)),
            None if line.is_empty() => Ok(Line::Nothing),
            None => self.parse_sample(line).map(|()| Line::Sample),
        }
    }

    /// The metric's name, with the suffixes of its type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The labels, sorted by name; those without a value are none.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let part = |from, to| self.text.get(from..to).unwrap_or_default();
        self.labels.iter().map(move |l| (part(l.name, l.value), part(l.value, l.end)))
    }

    /// The value.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Milliseconds since 1970, if the line has a time. Seconds and milliseconds are distinguished
    /// by their size, see [`crate::wire::time::parse_timestamp`].
    pub fn ts(&self) -> Option<i64> {
        self.ts
    }

    fn parse_sample(&mut self, line: &str) -> Result<(), String> {
        self.name.clear();
        self.text.clear();
        self.labels.clear();
        let name_end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
        let (name, rest) = line.split_at(name_end);
        if !name.is_empty() && !legal(name, true) {
            return Err(format!("`{}` is not a metric's name", shown(name)));
        }
        self.name.push_str(name);
        let mut rest = rest.trim_start_matches(BLANK);
        if let Some(inside) = rest.strip_prefix('{') {
            rest = self.parse_labels(inside)?;
        }
        if self.name.is_empty() {
            return Err("no metric's name".to_owned());
        }
        self.sort_labels()?;
        let (value, rest) = token(rest);
        self.value = parse_value(value)?;
        let (ts, rest) = token(rest);
        self.ts = None;
        if ts.is_empty() || ts.starts_with('#') {
            return Ok(());
        }
        self.ts = match parse_number(ts) {
            Some(Ok(ms)) => Some(ms),
            Some(Err(e)) => return Err(e.to_string()),
            None => return Err(format!("`{}` where a time was expected", shown(ts))),
        };
        if !rest.is_empty() && !rest.starts_with('#') {
            return Err(format!("`{}` behind the time", shown(rest)));
        }
        Ok(())
    }

    /// Reads labels after their `{`; returns the text after the `}`.
    fn parse_labels<'a>(&mut self, inside: &'a str) -> Result<&'a str, String> {
        let mut rest = inside.trim_start_matches(BLANK);
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                return Ok(after);
            }
            let from = self.text.len();
            let quoted = rest.strip_prefix('"');
            rest = match quoted {
                Some(inside) => self.parse_string(inside)?,
                None => {
                    let end = rest.find(['=', ',', '}', '"', ' ', '\t']).unwrap_or(rest.len());
                    let (name, after) = rest.split_at(end);
                    if !legal(name, false) {
                        return Err(format!("`{}` where a label was expected", shown(rest)));
                    }
                    self.text.push_str(name);
                    after
                }
            };
            rest = rest.trim_start_matches(BLANK);
            if let Some(after) = rest.strip_prefix('=') {
                let value = self.text.len();
                rest = match after.trim_start_matches(BLANK).strip_prefix('"') {
                    Some(inside) => self.parse_string(inside)?,
                    None => return Err("a label's value without quotes".to_owned()),
                };
                let end = self.text.len();
                if value == from {
                    return Err("a label without a name".to_owned());
                }
                if end > value {
                    self.labels.push(Label { name: from, value, end });
                }
            } else if quoted.is_some() && self.name.is_empty() {
                // Prometheus 3 writes names that are not legal so: {"a.b", c="d"}
                self.name.push_str(self.text.get(from..).unwrap_or_default());
            } else {
                return Err("a label without a value".to_owned());
            }
            rest = rest.trim_start_matches(BLANK);
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start_matches(BLANK),
                None if rest.starts_with('}') => {}
                None if rest.is_empty() => return Err("labels that are not closed".to_owned()),
                None => return Err(format!("`{}` behind a label", shown(rest))),
            }
        }
    }

    /// Appends a string after its opening quote to the text; returns the rest.
    fn parse_string<'a>(&mut self, inside: &'a str) -> Result<&'a str, String> {
        let mut rest = inside;
        loop {
            let at = rest.find(['"', '\\']).ok_or("a quote that is not closed")?;
            let (plain, from) = rest.split_at(at);
            self.text.push_str(plain);
            let mut chars = from.chars();
            if chars.next() == Some('"') {
                return Ok(chars.as_str());
            }
            match chars.next() {
                Some('n') => self.text.push('\n'),
                Some(c @ ('\\' | '"')) => self.text.push(c),
                _ => return Err("a `\\` before something else than `\\`, `\"` or `n`".to_owned()),
            }
            rest = chars.as_str();
        }
    }

    fn sort_labels(&mut self) -> Result<(), String> {
        let Self { text, labels, .. } = self;
        let name = |l: &Label| text.get(l.name..l.value).unwrap_or_default();
        if !labels.is_sorted_by(|a, b| name(a) < name(b)) {
            labels.sort_unstable_by(|a, b| name(a).cmp(name(b)));
            let twice = labels.iter().zip(labels.iter().skip(1)).find(|(a, b)| name(a) == name(b));
            if let Some((label, _)) = twice {
                return Err(format!("the label `{}` twice", shown(name(label))));
            }
        }
        Ok(())
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// The next word and the rest.
fn token(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(BLANK);
    let (word, rest) = text.split_at(text.find(BLANK).unwrap_or(text.len()));
    (word, rest.trim_start_matches(BLANK))
}

fn parse_comment(comment: &str) -> Line<'_> {
    let (what, rest) = token(comment);
    let (name, text) = match rest.strip_prefix('"') {
        None => {
            let (name, text) = token(rest);
            (Cow::Borrowed(name), text)
        }
        Some(inside) => match quoted(inside) {
            Some(found) => found,
            // Like any other comment, it is not reported.
            None => return Line::Nothing,
        },
    };
    match what {
        "EOF" if name.is_empty() => Line::End,
        _ if name.is_empty() => Line::Nothing,
        "HELP" => Line::Help(name, text),
        "TYPE" => Line::Type(name, text),
        "UNIT" => Line::Unit(name, text),
        _ => Line::Nothing,
    }
}

/// A name after its opening quote, without its escapes, and the rest. `None` if the quote is not
/// closed.
fn quoted(inside: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut escaped = false;
    let end = inside.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    })?;
    let (name, rest) = inside.split_at(end);
    let text = rest.strip_prefix('"')?.trim_start_matches(BLANK);
    if !name.contains('\\') {
        return Some((Cow::Borrowed(name), text));
    }
    let mut plain = String::new();
    unescape_help(&mut plain, name);
    Some((Cow::Owned(plain), text))
}

/// Appends a help text without its escapes.
pub fn unescape_help(out: &mut String, help: &str) {
    let mut chars = help.chars();
    while let Some(c) = chars.next() {
        let next = chars.clone().next();
        match (c, next) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some(escaped @ ('\\' | '"'))) => out.push(escaped),
            (c, _) => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
}

/// Reads samples as records; see [`Records`]. The labels `instance` and `job` stay in the key.
pub struct Reader<R> {
    window: Window<R>,
    sample: Sample,
    now_ms: i64,
    family: Family,
    /// Whether the last sample is one of the family.
    described: bool,
    kind: Kind,
}

/// The comments before the samples of a family.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    unit: String,
    help: String,
}

impl<R: Read> Reader<R> {
    /// A reader; samples without a time were taken at `now_ms`.
    pub fn new(input: R, now_ms: i64) -> Self {
        Self {
            window: Window::new(input),
            sample: Sample::default(),
            now_ms,
            family: Family::default(),
            described: false,
            kind: Kind::Gauge,
        }
    }
}

impl Family {
    fn begin(&mut self, name: &str) {
        if self.name != name {
            let Self { name: old, kind, unit, help } = self;
            for text in [&mut *old, kind, unit, help] {
                text.clear();
            }
            old.push_str(name);
        }
    }

    /// The kind of a series in this family; `None` if the sample's name does not belong to it.
    fn kind_of(&self, sample: &str) -> Option<Kind> {
        let suffix = sample.strip_prefix(&*self.name)?;
        match (&*self.kind, suffix) {
            ("counter", "" | "_total") => Some(Kind::Counter),
            ("histogram", "_bucket" | "_count" | "_sum") => Some(Kind::Counter),
            ("summary", "_count" | "_sum") => Some(Kind::Counter),
            (_, "_created") => Some(Kind::Gauge),
            // Without a type, the name decides.
            ("" | "unknown" | "untyped", "") => Some(Kind::guess(sample)),
            (_, "") => Some(Kind::Gauge),
            _ => None,
        }
    }
}

impl<R: Read> Records for Reader<R> {
    fn next(&mut self, record: &mut Record) -> Option<Result<(), LineError>> {
        loop {
            let end = match self.window.line_end(0) {
                window::Line::Ends(end) => end,
                window::Line::TooLong => {
                    let error = self.window.error(format!("longer than {LONGEST_ROW} bytes"));
                    self.window.skip_line();
                    return Some(Err(error));
                }
                window::Line::Nothing => return self.window.failure().map(Err),
            };
            let bytes = &self.window.bytes()[..end];
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            let parsed = match std::str::from_utf8(bytes) {
                Ok(line) => self.sample.parse(line),
                Err(_) => Err("not UTF-8".to_owned()),
            };
            let result = match parsed {
                Ok(Line::Sample) => Some(Ok(())),
                Ok(Line::Help(name, text)) => {
                    self.family.begin(&name);
                    self.family.help.clear();
                    unescape_help(&mut self.family.help, text);
                    None
                }
                Ok(Line::Type(name, kind)) => {
                    self.family.begin(&name);
                    self.family.kind.clear();
                    self.family.kind.push_str(kind);
                    None
                }
                Ok(Line::Unit(name, unit)) => {
                    self.family.begin(&name);
                    self.family.unit.clear();
                    self.family.unit.push_str(unit);
                    None
                }
                // Files may have been put together from several.
                Ok(Line::End | Line::Nothing) => None,
                Err(reason) => Some(Err(self.window.error(reason))),
            };
            self.window.consume(end);
            match result {
                None => continue,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(())) => {}
            }
            let kind = self.family.kind_of(self.sample.name());
            self.described = kind.is_some();
            self.kind = kind.unwrap_or_else(|| Kind::guess(self.sample.name()));
            record.key.clear();
            write_key(&mut record.key, self.sample.name(), self.sample.labels());
            record.ts = self.sample.ts().unwrap_or(self.now_ms);
            record.value = self.sample.value();
            return Some(Ok(()));
        }
    }

    fn about(&self) -> Option<About<'_>> {
        let (unit, help) = match self.described {
            true => (&*self.family.unit, &*self.family.help),
            false => ("", ""),
        };
        Some(About { kind: self.kind, unit, help })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(line: &str) -> String {
        let mut sample = Sample::default();
        match sample.parse(line) {
            Ok(Line::Sample) => {
                let mut key = String::new();
                write_key(&mut key, sample.name(), sample.labels());
                format!("{key} {} {:?}", sample.value(), sample.ts())
            }
            Ok(other) => format!("{other:?}"),
            Err(reason) => reason,
        }
    }

    #[test]
    fn lines_of_both_formats() {
        for (line, expected) in [
            ("a 1", "a 1 None"),
            ("a\t+Inf\t1700000000250\r", "a inf Some(1700000000250)"),
            ("a:b_1 1e-3 1700000000.25", "a:b_1 0.001 Some(1700000000250)"),
            ("a{} 1", "a 1 None"),
            ("a {b=\"c\"} 1", "a{b=\"c\"} 1 None"),
            (
                "a{ z = \"1\" , b=\"x} \\\"\\\\\\n\", } 1 2",
                "a{b=\"x} \\\"\\\\\\n\",z=\"1\"} 1 Some(2000)",
            ),
            ("a{b=\"\",c=\"1\"} 1", "a{c=\"1\"} 1 None"),
            ("{\"a.b\", \"c d\"=\"e\"} 1", "a.b{c d=\"e\"} 1 None"),
            (
                "a_bucket{le=\"+Inf\"} 17 # {trace_id=\"x\"} 0.67 1.5",
                "a_bucket{le=\"+Inf\"} 17 None",
            ),
            ("a_bucket 17 3 # {} 0.67", "a_bucket 17 Some(3000)"),
            ("disk{mountpoint=\"/\"} 41.5", "disk_/ 41.5 None"),
            ("# HELP a  some \\n text ", "Help(\"a\", \"some \\\\n text\")"),
            ("#TYPE a counter", "Type(\"a\", \"counter\")"),
            ("# UNIT a seconds", "Unit(\"a\", \"seconds\")"),
            ("# TYPE \"a.b c\"  counter", "Type(\"a.b c\", \"counter\")"),
            ("# HELP \"a\\\"\\\\\" b", "Help(\"a\\\"\\\\\", \"b\")"),
            ("# HELP \"a\\\" b", "Nothing"),
            ("# EOF", "End"),
            ("# anything", "Nothing"),
            ("#", "Nothing"),
            ("  ", "Nothing"),
        ] {
            assert_eq!(parsed(line), expected, "{line}");
        }
    }

    #[test]
    fn bad_lines_say_why() {
        for (line, reason) in [
            ("a", "no value"),
            ("a{b=\"c\"}", "no value"),
            ("a.b 1", "`a.b` is not a metric's name"),
            ("1a 1", "`1a` is not a metric's name"),
            ("{b=\"c\"} 1", "no metric's name"),
            ("a x", "`x` is not a number"),
            ("a 1 x", "`x` where a time was expected"),
            ("a 1 2024-05-01", "`2024-05-01` where a time was expected"),
            ("a 1 2 3", "`3` behind the time"),
            ("a 1 99999999999999999", "`99999999999999999` lies outside"),
            ("a{b=c} 1", "a label's value without quotes"),
            ("a{b} 1", "a label without a value"),
            ("a{\"b\"} 1", "a label without a value"),
            ("a{=\"b\"} 1", "`=\"b\"} 1` where a label was expected"),
            ("a{\"\"=\"b\"} 1", "a label without a name"),
            ("a{b=\"c\"d=\"e\"} 1", "`d=\"e\"} 1` behind a label"),
            ("a{b=\"c\"", "labels that are not closed"),
            ("a{b=\"c", "a quote that is not closed"),
            ("a{b=\"\\x\"} 1", "a `\\` before something else"),
            ("a{b=\"1\",a=\"2\",b=\"3\"} 1", "the label `b` twice"),
            ("a{b=\"1\",b=\"1\"} 1", "the label `b` twice"),
            ("a{,} 1", "`,} 1` where a label was expected"),
        ] {
            let found = parsed(line);
            assert!(found.starts_with(reason), "{line}: {found}");
        }
    }

    #[test]
    fn what_the_comments_say_belongs_to_the_family() {
        let text = "# HELP a_seconds How \\n long\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                    a_seconds_total 1 5\na_seconds_created 1\nb_total 2\nbad line\n\
                    # TYPE h histogram\nh_bucket{le=\"1\"} 3\nh 4\n# TYPE g gauge\ng_total 1\ng 1\n\
                    # HELP \"q.r\" Queued.\n# TYPE \"q.r\" counter\n{\"q.r_total\",a=\"b\"} 1\n{\"q.r\"} 1\n";
        let mut reader = Reader::new(text.as_bytes(), 7_000);
        let mut record = Record::default();
        let mut found = Vec::new();
        while let Some(result) = reader.next(&mut record) {
            let about = reader.about().unwrap();
            found.push(match result {
                Ok(()) => format!(
                    "{} {} {} {:?} {}",
                    record.key,
                    record.ts,
                    about.kind.as_str(),
                    about.unit,
                    about.help.len()
                ),
                Err(e) => e.to_string(),
            });
        }
        assert_eq!(
            found,
            [
                "a_seconds_total 5000 counter \"seconds\" 10",
                "a_seconds_created 7000 gauge \"seconds\" 10",
                "b_total 7000 counter \"\" 0",
                "line 7: `line` is not a number",
                "h_bucket{le=\"1\"} 7000 counter \"\" 0",
                "h 7000 gauge \"\" 0",
                "g_total 7000 counter \"\" 0",
                "g 7000 gauge \"\" 0",
                "q.r_total{a=\"b\"} 7000 counter \"\" 7",
                "q.r 7000 counter \"\" 7",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_lines_or_errors(
            bytes: Vec<u8>,
            text in "(a|b|1|[{}=,\"\\\\# \n]|NaN|HELP|TYPE){0,60}",
        ) {
            for input in [&bytes[..], text.as_bytes()] {
                let mut reader = Reader::new(input, 0);
                let mut record = Record::default();
                while reader.next(&mut record).is_some() {}
            }
        }
    }
}
