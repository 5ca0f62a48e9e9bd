//! wire: statsd and DogStatsD lines, in place: no allocation, no copy, no state beyond the text.
//!
//! ```text
//!   name:value[:value…]|type[|@rate][|#tags][|T<seconds>][|c:<container>][|…]    a metric
//!   name:1|c:2|ms                                                                several, as the reference reads them
//!   _e{5,4}:title|text|…                                                         an event
//!   _sc|name|0|…                                                                 a service check
//! ```
//!
//! Names and tags are given as sent; [`clean_name`] and [`labels`] make the series of them, once
//! for each name and not once for each line.

mod event;
mod name;
mod number;

pub use event::{AlertType, Event, Priority, ServiceCheck, unescape};
pub use name::{MAX_LABELS, MAX_NAME, clean_name, labels};
pub use number::decimal;

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// `c`: added up.
    Counter,
    /// `g`: the newest counts.
    Gauge,
    /// `ms`, `h`, `d`: how values are spread.
    Timer,
    /// `s`: the number of different members.
    Set,
}

/// The value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A finite number.
    Number(f64),
    /// A change of a gauge, sent with a sign.
    Delta(f64),
    /// A member of a set: any bytes.
    Member(&'a [u8]),
}

/// One value of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric<'a> {
    /// The name as sent, with the part after a `;`; never empty.
    pub name: &'a [u8],
    /// The tags after `|#`, as sent.
    pub tags: &'a [u8],
    /// The type of the value.
    pub kind: Type,
    /// The value.
    pub value: Value<'a>,
    /// The share of values that were sent: finite, above 0; 1 by default.
    pub rate: f64,
    /// `|T`: when it was measured, in seconds since 1970; only for counters and gauges.
    pub time: Option<i64>,
}

/// The contents of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// A value.
    Metric(Metric<'a>),
    /// An event.
    Event(Event<'a>),
    /// How a service is.
    Check(ServiceCheck<'a>),
}

/// Why a line, or one of its values, was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bad {
    /// No `name:value|type`.
    Form,
    /// The cleaned name is empty, or longer than [`MAX_NAME`].
    Name,
    /// The value is not a finite number, or a timer is below zero.
    Value,
    /// None of `c g ms h d s`.
    Type,
    /// `@` without a number above zero.
    Rate,
    /// `T` is without whole seconds, or not allowed here.
    Time,
    /// There are more than [`MAX_LABELS`] tags.
    Tags,
    /// An event whose lengths do not fit.
    Event,
    /// A service check has no name, or a status other than 0 to 3.
    Check,
}

impl Bad {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Bad; 9] = [
        Bad::Form,
        Bad::Name,
        Bad::Value,
        Bad::Type,
        Bad::Rate,
        Bad::Time,
        Bad::Tags,
        Bad::Event,
        Bad::Check,
    ];

    /// The reason in one word, as a label's value.
    pub fn word(self) -> &'static str {
        match self {
            Bad::Form => "form",
            Bad::Name => "name",
            Bad::Value => "value",
            Bad::Type => "type",
            Bad::Rate => "rate",
            Bad::Time => "timestamp",
            Bad::Tags => "tags",
            Bad::Event => "event",
            Bad::Check => "check",
        }
    }
}

/// The items of a packet, or of a piece of a stream that ends with a line; empty lines are skipped.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    rest: &'a [u8],
    /// The remaining values of the line.
    more: More<'a>,
    lines: u64,
}

#[derive(Debug, Clone, Copy)]
enum More<'a> {
    Nothing,
    /// Further values of the type and with the fields of the metric; they were checked already.
    Values {
        text: &'a [u8],
        of: Metric<'a>,
    },
    /// `2|ms`, behind the first value of a line.
    Groups {
        text: &'a [u8],
        name: &'a [u8],
    },
}

impl<'a> Items<'a> {
    /// An iterator over a packet. It reads nothing before [`Iterator::next`].
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: text, more: More::Nothing, lines: 0 }
    }

    /// Lines that were not empty, up to here.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The next item, if it has the usual form that is read by a shorter way; otherwise use
    /// [`Iterator::next`].
    #[inline(always)]
    pub fn usual(&mut self) -> Option<Metric<'a>> {
        if matches!(self.more, More::Nothing) { self.short() } else { None }
    }

    /// The lines most senders write most of the time: a plain number, at most tags behind it.
    /// `None`: it takes the long way, from the same place.
    #[inline(always)]
    fn short(&mut self) -> Option<Metric<'a>> {
        let text = self.rest;
        let colon = memchr::memchr2(b':', b'\n', text)?;
        if colon == 0 || text[colon] != b':' {
            return None;
        }
        let (number, used) = number::leading_decimal(&text[colon + 1..])?;
        let signed = matches!(text[colon + 1], b'+' | b'-');
        let behind = &text[colon + 1 + used..];
        let (kind, size) = match behind {
            [b'|', b'c', ..] => (Type::Counter, 2),
            [b'|', b'm', b's', ..] => (Type::Timer, 3),
            [b'|', b'g', ..] => (Type::Gauge, 2),
            [b'|', b'h' | b'd', ..] => (Type::Timer, 2),
            _ => return None,
        };
        let value = match kind {
            Type::Gauge if signed => Value::Delta(number),
            // Whether it may be below zero depends on more than is known here.
            Type::Timer if signed => return None,
            _ => Value::Number(number),
        };
        let (tags, behind) = match &behind[size..] {
            [] => (&b""[..], &b""[..]),
            [b'\n', rest @ ..] => (&b""[..], rest),
            [b'|', b'#', rest @ ..] => {
                let end = memchr::memchr2(b'\n', b'|', rest).unwrap_or(rest.len());
                match rest.get(end) {
                    Some(b'|') => return None,
                    _ if rest[..end].ends_with(b"\r") => return None,
                    Some(_) => (&rest[..end], &rest[end + 1..]),
                    None => (rest, &b""[..]),
                }
            }
            _ => return None,
        };
        self.rest = behind;
        self.lines += 1;
        Some(Metric { name: &text[..colon], tags, kind, value, rate: 1.0, time: None })
    }

    fn long(&mut self, line: &'a [u8]) -> Result<Item<'a>, Bad> {
        if line.starts_with(b"_e{") {
            return event::event(line).map(Item::Event).ok_or(Bad::Event);
        }
        if let Some(rest) = line.strip_prefix(b"_sc|") {
            return event::check(rest).map(Item::Check).ok_or(Bad::Check);
        }
        let Some(colon) = memchr::memchr(b':', line) else { return Err(Bad::Form) };
        if colon == 0 {
            return Err(Bad::Name);
        }
        self.group(&line[..colon], &line[colon + 1..])
    }

    /// `value[:value…]|type[|field…]`, up to the `:` of the next one.
    fn group(&mut self, name: &'a [u8], text: &'a [u8]) -> Result<Item<'a>, Bad> {
        let Some(bar) = memchr::memchr(b'|', text) else { return Err(Bad::Form) };
        let (values, mut rest) = (&text[..bar], &text[bar + 1..]);
        let end = rest.iter().position(|b| matches!(b, b'|' | b':')).unwrap_or(rest.len());
        let kind = rest[..end].trim_ascii();
        rest = &rest[end..];
        let mut of = Metric {
            name,
            tags: b"",
            kind: Type::Counter,
            value: Value::Number(0.0),
            rate: 1.0,
            time: None,
        };
        let mut wrong = None;
        // A wrong group of a line does not affect the others.
        while let [b'|', field @ ..] = rest {
            // Only these fields have a colon inside.
            let stop: &[u8] = if field.starts_with(b"@") { b"|:" } else { b"|" };
            let end = field.iter().position(|b| stop.contains(b)).unwrap_or(field.len());
            let (field, behind) = field.split_at(end);
            rest = behind;
            match field {
                [b'@', rate @ ..] => match decimal(rate) {
                    Some(rate) if rate > 0.0 => of.rate = rate,
                    _ => wrong = Some(Bad::Rate),
                },
                [b'#', tags @ ..] => of.tags = tags,
                [b'T', seconds @ ..] => match std::str::from_utf8(seconds).map(str::parse) {
                    Ok(Ok(seconds)) => of.time = Some(seconds),
                    _ => wrong = Some(Bad::Time),
                },
                // A later protocol, a container's id, …
                _ => {}
            }
        }
        if let [b':', groups @ ..] = rest {
            self.more = More::Groups { text: groups, name };
        }
        of.kind = match kind {
            b"c" => Type::Counter,
            b"g" => Type::Gauge,
            b"ms" | b"h" | b"d" => Type::Timer,
            b"s" => Type::Set,
            _ => return Err(Bad::Type),
        };
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if of.time.is_some() && !matches!(of.kind, Type::Counter | Type::Gauge) {
            return Err(Bad::Time);
        }
        if of.kind == Type::Set {
            of.value = Value::Member(values);
            return Ok(Item::Metric(of));
        }
        let below_zero = kind != b"ms" && kind != b"h";
        if values.contains(&b':') {
            // All of them or none: a refused line is counted as one line.
            if !values.split(|b| *b == b':').all(|v| number(v, of.kind, below_zero).is_some()) {
                return Err(Bad::Value);
            }
            self.more = More::Values { text: values, of };
            return match self.packed() {
                Some(metric) => Ok(Item::Metric(metric)),
                None => Err(Bad::Value),
            };
        }
        of.value = number(values, of.kind, below_zero).ok_or(Bad::Value)?;
        Ok(Item::Metric(of))
    }

    /// The next of several values; they have been checked.
    fn packed(&mut self) -> Option<Metric<'a>> {
        let More::Values { text, of } = self.more else { return None };
        let end = memchr::memchr(b':', text).unwrap_or(text.len());
        self.more = match text.get(end + 1..) {
            Some(text) => More::Values { text, of },
            None => More::Nothing,
        };
        let value = number(&text[..end], of.kind, true)?;
        Some(Metric { value, ..of })
    }
}

fn number(text: &[u8], kind: Type, below_zero: bool) -> Option<Value<'static>> {
    let text = text.trim_ascii();
    let number = decimal(text)?;
    if kind == Type::Gauge && matches!(text.first(), Some(b'+' | b'-')) {
        return Some(Value::Delta(number));
    }
    if kind == Type::Timer && number < 0.0 && !below_zero {
        return None;
    }
    Some(Value::Number(number))
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, Bad>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        match self.more {
            More::Nothing => {}
            More::Values { .. } => return self.packed().map(|m| Ok(Item::Metric(m))),
            More::Groups { text, name } => {
                self.more = More::Nothing;
                return Some(self.group(name, text));
            }
        }
        if let Some(metric) = self.short() {
            return Some(Ok(Item::Metric(metric)));
        }
        while !self.rest.is_empty() {
            let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                self.lines += 1;
                return Some(self.long(line));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
