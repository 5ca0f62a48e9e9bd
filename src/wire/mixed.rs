//! wire: lines in any of the text formats, each recognised by its look: `key value`, `key value
//! time`, Graphite, Influx, JSON, Prometheus text. For people at a pipe; a protocol has its own
//! reader.

use std::io::Read;

use super::exposition::{Line as TextLine, Sample};
use super::influx::{Odd, Point, Precision};
use super::json::{Said, take_pushed};
use super::time::parse_when;
use super::value::parse_value;
use super::window::{LONGEST_ROW, Line, Window};
use super::{About, LineError, Record, Records, graphite};
use crate::model::write_key;

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// `key value`, with a time behind it or without; Graphite's lines are such.
    Words,
    /// `measurement,tag=v field=1.5 time`; the time in nanoseconds.
    Influx,
    /// An object.
    Json,
    /// `name{label="value"} 1.5 time`
    Prometheus,
}

impl Look {
    /// All formats, for help texts.
    pub const ALL: [Look; 4] = [Look::Words, Look::Influx, Look::Json, Look::Prometheus];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Look::Words => "graphite",
            Look::Influx => "influx",
            Look::Json => "json",
            Look::Prometheus => "prometheus",
        }
    }

    /// The reverse of [`Look::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|look| look.name() == name)
    }

    /// The format of a line that is neither blank nor a comment.
    pub fn of(line: &str) -> Self {
        if let Some(inside) = line.strip_prefix('{') {
            // `{"key": …` is JSON, `{"a.name", …} 1` a name in Prometheus 3's quotes.
            let inside = inside.trim_start();
            let after = inside.strip_prefix('"').and_then(|t| t.split_once('"')).map(|(_, t)| t);
            let json =
                inside.starts_with('}') || after.is_some_and(|t| t.trim_start().starts_with(':'));
            return if json { Look::Json } else { Look::Prometheus };
        }
        let mut escaped = false;
        let blank = line.char_indices().find(|(_, c)| {
            let ends = matches!(c, ' ' | '\t') && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (first, rest) = line.split_at(blank.map_or(line.len(), |(at, _)| at));
        let second = rest.split_ascii_whitespace().next().unwrap_or_default();
        if first.contains('{') || second.starts_with('{') {
            Look::Prometheus
        } else if second.contains('=') {
            Look::Influx
        } else {
            Look::Words
        }
    }
}

/// Reads records line by line; see [`Records`].
pub struct Reader<R> {
    window: Window<R>,
    look: Option<Look>,
    now_ms: i64,
    said: Said,
    sample: Sample,
    point: Point,
    /// Which field of the point comes next; `None`: the last line was no point.
    next: Option<usize>,
}

impl<R: Read> Reader<R> {
    /// A reader of lines; those without a time get `now_ms`. With `look`, all lines are of this
    /// format.
    pub fn new(input: R, look: Option<Look>, now_ms: i64) -> Self {
        Self {
            window: Window::new(input),
            look,
            now_ms,
            said: Said::nothing(),
            sample: Sample::default(),
            point: Point::default(),
            next: None,
        }
    }

    /// Whether the line was a record.
    fn parse(&mut self, end: usize, record: &mut Record) -> Result<bool, String> {
        let bytes = self.window.bytes().get(..end).unwrap_or_default();
        let Ok(line) = std::str::from_utf8(bytes) else { return Err("not UTF-8".to_owned()) };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(false);
        }
        match self.look.unwrap_or_else(|| Look::of(line)) {
            Look::Words => words(line, self.now_ms, record).map(|()| true),
            Look::Json => {
                take_pushed(line.as_bytes(), self.now_ms, record, &mut self.said).map(|()| true)
            }
            Look::Influx => match self.point.parse(line, None, Precision::Nanos, self.now_ms) {
                Ok(is_point) => {
                    self.next = is_point.then_some(0);
                    Ok(false)
                }
                Err(Odd::Open(_)) => Err("a string that is not closed".to_owned()),
                Err(Odd::Because(reason)) => Err(reason),
            },
            Look::Prometheus => {
                let TextLine::Sample = self.sample.parse(line)? else { return Ok(false) };
                record.key.clear();
                write_key(&mut record.key, self.sample.name(), self.sample.labels());
                record.ts = self.sample.ts().unwrap_or(self.now_ms);
                record.value = self.sample.value();
                Ok(true)
            }
        }
    }
}

fn words(line: &str, now_ms: i64, record: &mut Record) -> Result<(), String> {
    let Some((path, rest)) = line.split_once([' ', '\t']) else {
        // Such a line is only meaningful for a reader that adds values up.
        let statsd = line.split_once(':').is_some_and(|(_, behind)| behind.contains('|'));
        return Err(if statsd {
            "a line of statsd: send it to the daemon's port for that, 127.0.0.1:8125 by UDP"
        } else {
            "no value behind the key"
        }
        .to_owned());
    };
    let rest = rest.trim_start();
    let (value, time) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    record.value = parse_value(value)?;
    record.ts = match time.trim() {
        // Graphite's word for it.
        "" | "-1" => now_ms,
        time => parse_when(time, now_ms).map_err(|e| e.to_string())?,
    };
    graphite::write_key(path, &mut record.key)
}

impl<R: Read> Records for Reader<R> {
    fn next(&mut self, record: &mut Record) -> Option<Result<(), LineError>> {
        loop {
            if let Some(next) = self.next {
                self.next = Some(next + 1);
                match self.point.field(next, record) {
                    Some(true) => return Some(Ok(())),
                    Some(false) => {}
                    None => self.next = None,
                }
                continue;
            }
            let end = match self.window.line_end(0) {
                Line::Ends(end) => end,
                Line::TooLong => {
                    let error = self.window.error(format!("longer than {LONGEST_ROW} bytes"));
                    self.window.skip_line();
                    return Some(Err(error));
                }
                Line::Nothing => return self.window.failure().map(Err),
            };
            self.said = Said::nothing();
            let parsed = self.parse(end, record);
            let result = parsed.map_err(|reason| self.window.error(reason));
            self.window.consume(end);
            match result {
                Ok(false) => {}
                Ok(true) => return Some(Ok(())),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn about(&self) -> Option<About<'_>> {
        self.said.about()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, look: Option<Look>) -> Vec<String> {
        let mut reader = Reader::new(text.as_bytes(), look, 7_000);
        let mut record = Record::default();
        let mut found = Vec::new();
        while let Some(result) = reader.next(&mut record) {
            found.push(match result {
                Ok(()) => format!("{} {} {}", record.key, record.value, record.ts),
                Err(e) => e.to_string(),
            });
        }
        found
    }

    #[test]
    fn each_line_by_its_look() {
        let text = "room 21.5\n\
                    # a comment\n\
                    a.b;c=d 1 1700000000\n\
                    a.b 2 -1\n\
                    later 3 2023-11-14 22:13:20\n\
                    cpu,host=x idle=1,user=2i,s=\"t\" 5000000\n\
                    my\\ cpu value=4\n\
                    {\"key\": \"j\", \"value\": 5, \"type\": \"counter\"}\n\
                    p{q=\"r\"} 6 1700000000000\n\
                    {\"s.t\",u=\"v\"} 7\n\
                    x {y=\"z\"} 8\n";
        assert_eq!(
            read(text, None),
            [
                "room 21.5 7000",
                "a.b{c=\"d\"} 1 1700000000000",
                "a.b 2 7000",
                "later 3 1700000000000",
                "cpu_idle{host=\"x\"} 1 5",
                "cpu_user{host=\"x\"} 2 5",
                "my cpu 4 7000",
                "j 5 7000",
                "p{q=\"r\"} 6 1700000000000",
                "s.t{u=\"v\"} 7 7000",
                "x{y=\"z\"} 8 7000",
            ]
        );
    }

    #[test]
    fn bad_lines_say_why() {
        let text = "lonely\na b\na 1 then\n{\"key\":1}\na b=c\na{b 1\nhits:1|c\ngood 1";
        let found = read(text, None);
        let expected = [
            "line 1: no value behind the key",
            "line 2: `b` is not a number",
            "line 3: `then` is not a time",
            "line 4: invalid type: integer `1`, expected a string",
            "line 5: `c` is not a number",
            "line 6: a label without a value",
            "line 7: a line of statsd: send it to the daemon's port",
            "good 1 7000",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found} is not {expected}");
        }
        assert_eq!(read("a 1\n", Some(Look::Influx)).len(), 1);
        assert!(read("a 1\n", Some(Look::Influx))[0].starts_with("line 1: "));
        for look in Look::ALL {
            assert_eq!(Look::from_name(look.name()), Some(look));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_records_or_errors(bytes: Vec<u8>, text in "([ab1=, \"\\\\\n#{}:;.-])*") {
            for input in [&bytes[..], text.as_bytes()] {
                let mut reader = Reader::new(input, None, 0);
                let mut record = Record::default();
                while reader.next(&mut record).is_some() {}
            }
        }
    }
}
