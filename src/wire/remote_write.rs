//! wire: Prometheus remote write, 1.0 and 2.0, unpacked: protobuf read in place. The messages are
//! two levels of five fields each, so the reader is shorter than generated code, and a known series
//! costs no allocation.

use std::str;

use super::shown;

/// The largest number of labels that are read of one series. The rules for names allow fewer, and
/// drop some of the sent ones.
const MOST_LABELS: usize = 128;

/// The longest text of the names and labels of one series that is read, in bytes. In 2.0 a text is
/// sent once and referred to by number, so a body of one megabyte can ask for terabytes.
const LONGEST_SERIES: usize = 128 << 10;

/// Which of the two messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

/// A malformed message; nothing after this place can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no remote-write message: {0}")]
pub struct Broken(&'static str);

const CUT: Broken = Broken("it ends in the middle");

/// A field of a message.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of a message, one after the other.
#[derive(Debug, Clone, Copy)]
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0u64;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 { CUT } else { Broken("a number of more than ten bytes") })
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(length).map_err(|_| CUT)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Broken> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let bytes = self.bytes(8)?.first_chunk().ok_or(CUT)?;
                Value::Fixed64(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => {
                self.bytes(4)?;
                Value::Fixed32
            }
            _ => return Err(Broken("a field of an unknown type")),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// A whole message: the symbols of 2.0 are looked up once.
#[derive(Debug)]
pub struct Request<'a> {
    version: Version,
    fields: Fields<'a>,
    symbols: Vec<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Begins to read a message.
    pub fn new(version: Version, body: &'a [u8]) -> Result<Self, Broken> {
        let fields = Fields { rest: body };
        let mut symbols = Vec::new();
        if version == Version::V2 {
            for field in fields {
                if let (4, Value::Bytes(symbol)) = field? {
                    symbols.push(symbol);
                }
            }
        }
        Ok(Self { version, fields, symbols })
    }

    /// The next series; `None` at the end.
    pub fn next_series(&mut self) -> Option<Result<TimeSeries<'a, '_>, Broken>> {
        let wanted = match self.version {
            Version::V1 => 1,
            Version::V2 => 5,
        };
        loop {
            return match self.fields.next()? {
                Ok((number, Value::Bytes(message))) if number == wanted => {
                    let fields = Fields { rest: message };
                    Some(Ok(TimeSeries { version: self.version, fields, symbols: &self.symbols }))
                }
                Ok(_) => continue,
                Err(broken) => Some(Err(broken)),
            };
        }
    }
}

/// The type of a metric, as both versions number it.
pub fn kind_word(number: u64) -> &'static str {
    match number {
        1 => "counter",
        2 => "gauge",
        3 => "histogram",
        4 => "gaugehistogram",
        5 => "summary",
        6 => "info",
        7 => "stateset",
        _ => "unknown",
    }
}

/// A series with its samples.
#[derive(Debug, Clone, Copy)]
pub struct TimeSeries<'a, 's> {
    version: Version,
    fields: Fields<'a>,
    symbols: &'s [&'a [u8]],
}

/// The description of a series in version 2.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// See [`kind_word`].
    pub kind: u64,
    /// A description in one sentence, or empty.
    pub help: &'a str,
    /// Base unit, or nothing.
    pub unit: &'a str,
}

impl<'a> TimeSeries<'a, '_> {
    /// Appends bytes that are the same for the same labels in the same order, whatever version they
    /// came by, and different for different ones.
    pub fn alias(&self, out: &mut Vec<u8>) -> Result<(), String> {
        self.each_label(|name, value| {
            // Lengths before texts: no text can be taken for a border.
            for text in [name, value] {
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text);
            }
            Ok(())
        })
    }

    /// The metric's name, and its labels as sent.
    pub fn labels(&self) -> Result<(String, Vec<(String, String)>), String> {
        let mut metric = None;
        let mut labels: Vec<(String, String)> = Vec::new();
        self.each_label(|name, value| {
            let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) else {
                return Err("a label that is not UTF-8".to_owned());
            };
            if name.is_empty() {
                return Err("a label without a name".to_owned());
            }
            if name == "__name__" && metric.replace(value.to_owned()).is_none() {
                return Ok(());
            }
            if name == "__name__" || labels.iter().any(|(n, _)| n == name) {
                return Err(format!("the label `{}` twice", shown(name)));
            }
            labels.push((name.to_owned(), value.to_owned()));
            Ok(())
        })?;
        let metric = metric.filter(|m| !m.is_empty()).ok_or("no label `__name__`")?;
        Ok((metric, labels))
    }

    /// Bounded by [`MOST_LABELS`] and [`LONGEST_SERIES`], before any text is copied.
    fn each_label(
        &self,
        mut of: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let (mut count, mut length) = (0, 0);
        let mut each = |name: &'a [u8], value: &'a [u8]| {
            count += 1;
            length += name.len() + value.len();
            if count > MOST_LABELS {
                return Err(format!("more than {MOST_LABELS} labels"));
            }
            if length > LONGEST_SERIES {
                return Err(format!("labels of more than {LONGEST_SERIES} bytes"));
            }
            of(name, value)
        };
        let symbol = |at: u64| {
            let found = usize::try_from(at).ok().and_then(|at| self.symbols.get(at));
            found.copied().ok_or_else(|| format!("there is no symbol {at}"))
        };
        let broken = |e: Broken| e.to_string();
        let mut half = None;
        for field in self.fields {
            match (self.version, field.map_err(broken)?) {
                (Version::V1, (1, Value::Bytes(message))) => {
                    let (mut name, mut value) = (&[][..], &[][..]);
                    for field in (Fields { rest: message }) {
                        match field.map_err(broken)? {
                            (1, Value::Bytes(text)) => name = text,
                            (2, Value::Bytes(text)) => value = text,
                            _ => {}
                        }
                    }
                    each(name, value)?;
                }
                (Version::V2, (1, Value::Bytes(packed))) => {
                    let mut packed = Fields { rest: packed };
                    while !packed.rest.is_empty() {
                        let text = symbol(packed.varint().map_err(broken)?)?;
                        match half.take() {
                            None => half = Some(text),
                            Some(name) => each(name, text)?,
                        }
                    }
                }
                (Version::V2, (1, Value::Varint(at))) => match half.take() {
                    None => half = Some(symbol(at)?),
                    Some(name) => each(name, symbol(at)?)?,
                },
                _ => {}
            }
        }
        match half {
            None => Ok(()),
            Some(_) => Err("a label without a value".to_owned()),
        }
    }

    /// The samples: time in ms since 1970 UTC, and value.
    pub fn samples(&self) -> impl Iterator<Item = Result<(i64, f64), Broken>> + 'a {
        self.fields.filter_map(|field| match field {
            Ok((2, Value::Bytes(message))) => Some(sample(message)),
            Ok(_) => None,
            Err(broken) => Some(Err(broken)),
        })
    }

    /// The number of native histograms, which are not kept.
    pub fn histograms(&self) -> u64 {
        let number = match self.version {
            Version::V1 => 4,
            Version::V2 => 3,
        };
        self.fields.filter(|f| matches!(f, Ok((n, Value::Bytes(_))) if *n == number)).count() as u64
    }

    /// The description of the series in version 2.0; `None` in 1.0.
    pub fn metadata(&self) -> Option<Metadata<'a>> {
        let Version::V2 = self.version else { return None };
        let message = self.fields.clone().find_map(|field| match field {
            Ok((5, Value::Bytes(message))) => Some(message),
            _ => None,
        })?;
        let text = |at: u64| {
            let found = usize::try_from(at).ok().and_then(|at| self.symbols.get(at));
            found.and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
        };
        let mut metadata = Metadata { kind: 0, help: "", unit: "" };
        for field in (Fields { rest: message }) {
            match field.ok()? {
                (1, Value::Varint(kind)) => metadata.kind = kind,
                (3, Value::Varint(at)) => metadata.help = text(at),
                (4, Value::Varint(at)) => metadata.unit = text(at),
                _ => {}
            }
        }
        Some(metadata)
    }
}

fn sample(message: &[u8]) -> Result<(i64, f64), Broken> {
    let (mut ts, mut value) = (0, 0.0);
    for field in (Fields { rest: message }) {
        match field? {
            // Bit for bit, because one particular NaN means that a series has ended.
            (1, Value::Fixed64(bits)) => value = f64::from_bits(bits),
            (2, Value::Varint(time)) => ts = time as i64,
            _ => {}
        }
    }
    Ok((ts, value))
}

#[cfg(test)]
mod tests;
