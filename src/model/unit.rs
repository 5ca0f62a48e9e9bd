//! model: numbers as people read them: three digits and a unit of a fitting size. Every view writes
//! its numbers here; the page has the same rule in `units.ts`, and the same tables (see `shared`).
//!
//! The rule: bytes and bytes a second in powers of 1024 (KiB, MiB, GiB), other counts in powers of
//! 1000 (k, M, G), shares in percent, times in the unit that fits (ms, s, min, h, d, y).

/// The unit of a chart's values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Unit {
    /// No unit.
    #[default]
    Plain,
    /// A count a second.
    PerSecond,
    /// Bytes, in powers of 1024.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// 100 is the whole.
    Percent,
    /// 1 is the whole; shown in percent.
    Share,
    /// Seconds.
    Seconds,
    /// Degrees.
    Celsius,
    /// The unit that the series names.
    Named(Box<str>),
}

/// Prefixes of counts, each a thousand times the one before.
pub const LARGE: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
/// Prefixes of seconds below one, each a thousandth of the one before. Nothing else has them: a count
/// of 412 µ is no number that people read.
pub const SMALL: [&str; 5] = ["", "m", "µ", "n", "p"];
/// Sizes in bytes, each 1024 times the one before.
pub const BINARY: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
/// Steps of time above a minute: their length in seconds.
pub const TIMES: [(&str, f64); 4] =
    [("y", 31_557_600.0), ("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)];

/// A divisor and the unit after the quotient, such as 1024 and `KiB`.
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    /// A value is divided by it.
    pub divisor: f64,
    /// The prefix and the unit: `KiB/s`, `%`.
    pub word: String,
}

/// The unit of a series: the given one or, without one, that of the end of its name:
/// `node_disk_read_bytes_total` is in `bytes`.
pub fn word<'a>(unit: &'a str, name: &'a str) -> &'a str {
    const BY_NAME: [&str; 5] = ["bytes", "seconds", "ratio", "percent", "celsius"];
    if !unit.is_empty() {
        return unit;
    }
    let name = name.strip_suffix("_total").unwrap_or(name);
    let last = name.rsplit('_').next().unwrap_or_default();
    if last.len() < name.len() && BY_NAME.contains(&last) { last } else { "" }
}

/// The unit of the rate of a counter in `word`: `bytes/s`.
pub fn word_a_second(word: &str) -> String {
    match word {
        // Seconds a second: how much of the time.
        "seconds" => "ratio".to_owned(),
        word => format!("{word}/s"),
    }
}

/// An amount of bytes: `8.40 MiB`.
pub fn bytes(number: u64) -> String {
    Unit::Bytes.format(number as f64)
}

/// How long something takes, in its two largest units: `3 d 4 h`, `12 min`, `5 s`.
pub fn duration(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

impl Unit {
    /// The unit of a series by the word that it carries; `rate`: of its change a second.
    pub fn of_series(word: &str, rate: bool) -> Self {
        if rate { Self::of_word(&word_a_second(word)) } else { Self::of_word(word) }
    }

    /// The unit by its word, with `/s` behind it for a rate: `bytes/s`, `percent`.
    pub fn of_word(word: &str) -> Self {
        match word {
            "" => Self::Plain,
            "/s" => Self::PerSecond,
            "bytes" => Self::Bytes,
            "bytes/s" => Self::BytesPerSecond,
            "seconds" => Self::Seconds,
            "ratio" => Self::Share,
            "percent" => Self::Percent,
            "celsius" => Self::Celsius,
            other => Self::Named(other.into()),
        }
    }

    /// The size that fits a number, so that three digits are enough.
    pub fn size(&self, value: f64) -> Size {
        let value = value.abs();
        let one = |divisor: f64, word: &str| Size { divisor, word: word.to_owned() };
        match self {
            Self::Percent => one(1.0, "%"),
            Self::Share => one(0.01, "%"),
            Self::Celsius => one(1.0, "°C"),
            Self::Bytes => binary(value, ""),
            Self::BytesPerSecond => binary(value, "/s"),
            Self::Seconds if value >= 120.0 => {
                // A year of days is easier to think of than 1.04 years.
                let fits = |(word, length): &&(&str, f64)| {
                    value >= length * if *word == "y" { 3.0 } else { 1.0 }
                };
                let (word, length) = TIMES.iter().find(fits).unwrap_or(&TIMES[3]);
                one(*length, word)
            }
            Self::Seconds if value >= 1.0 || value == 0.0 => one(1.0, "s"),
            Self::Seconds => fraction(value, "s"),
            Self::Plain => decimal(value, ""),
            Self::PerSecond => decimal(value, "/s"),
            Self::Named(word) => {
                let size = decimal(value, "");
                let gap = if size.word.is_empty() { "" } else { " " };
                Size { word: format!("{}{gap}{word}", size.word), ..size }
            }
        }
    }

    /// A value with three digits and its unit: `1.25 GiB`, `12.3 %`, `412 µs`; whole numbers stay
    /// whole.
    pub fn format(&self, value: f64) -> String {
        self.format_as(value, true)
    }

    /// Formats like [`Unit::format`]. Without `whole`, whole numbers have three digits, too, like
    /// the numbers beside them.
    pub fn format_as(&self, value: f64, whole: bool) -> String {
        if value.is_nan() {
            return "–".to_owned();
        }
        if value.is_infinite() {
            return if value > 0.0 { "∞".to_owned() } else { "−∞".to_owned() };
        }
        // A number that rounds up to a thousand gets the next prefix.
        let size = self.size(value * 1.0005);
        let number = value / size.divisor;
        if number != 0.0 && !(1e-4..1e6).contains(&number.abs()) {
            return joined(&format!("{value:.2e}"), &self.size(0.0).word).replace('-', "−");
        }
        joined(&digits(number, 3, whole), &size.word)
    }
}

/// A number and its unit, with a minus sign instead of a hyphen.
pub fn joined(number: &str, word: &str) -> String {
    let number = number.replace('-', "−");
    let gap = if word.is_empty() || word.starts_with('/') { "" } else { " " };
    format!("{number}{gap}{word}")
}

fn binary(value: f64, behind: &str) -> Size {
    let mut divisor = 1.0;
    let mut at = 0;
    while value >= divisor * 1023.5 && at + 1 < BINARY.len() {
        divisor *= 1024.0;
        at += 1;
    }
    Size { divisor, word: format!("{}{behind}", BINARY[at]) }
}

/// Of a value below one.
fn fraction(value: f64, behind: &str) -> Size {
    let (mut divisor, mut at) = (1.0, 0);
    while value < divisor && at + 1 < SMALL.len() {
        divisor /= 1e3;
        at += 1;
    }
    Size { divisor, word: format!("{}{behind}", SMALL[at]) }
}

fn decimal(value: f64, behind: &str) -> Size {
    let (mut divisor, mut at) = (1.0, 0);
    while value >= divisor * 1e3 && at + 1 < LARGE.len() {
        divisor *= 1e3;
        at += 1;
    }
    Size { divisor, word: format!("{}{behind}", LARGE[at]) }
}

/// A number with this many significant digits; with `whole`, whole numbers stay whole.
pub fn digits(number: f64, significant: i32, whole: bool) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    // 0.9999 is written as 1.00, with as many places as that has.
    let places = significant - 1 - (number.abs() * 1.000_5).log10().floor() as i32;
    let text = format!("{number:.*}", places.clamp(0, 7) as usize);
    if whole && number == number.trunc() && number.abs() < 1e6 && text.contains('.') {
        return format!("{number:.0}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (unit, value, text) in [
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 1536.0, "1.50 KiB"),
            (Unit::Bytes, 1023.9, "1.00 KiB"),
            (Unit::Bytes, 1_073_741_824.0, "1 GiB"),
            (Unit::BytesPerSecond, 123_456.0, "121 KiB/s"),
            (Unit::Percent, 12.345, "12.3 %"),
            (Unit::Share, 0.0625, "6.25 %"),
            (Unit::Share, 1.0, "100 %"),
            (Unit::Seconds, 0.000_412, "412 µs"),
            (Unit::Seconds, 12.0, "12 s"),
            (Unit::Seconds, 5400.0, "1.50 h"),
            (Unit::Seconds, 86_400.0 * 400.0, "400 d"),
            (Unit::Celsius, 45.25, "45.2 °C"),
            (Unit::Plain, 0.61, "0.610"),
            (Unit::Plain, 0.999_98, "1.00"),
            (Unit::Plain, 1_234_567.0, "1.23 M"),
            (Unit::Plain, 999.96, "1.00 k"),
            (Unit::Plain, -12.0, "−12"),
            (Unit::Plain, 1e300, "1.00e300"),
            (Unit::Plain, 0.000_412, "0.000412"),
            (Unit::Plain, 2.5e-5, "2.50e−5"),
            (Unit::Plain, 1e-300, "1.00e−300"),
            (Unit::PerSecond, 3.0, "3/s"),
            (Unit::PerSecond, 4_200.0, "4.20 k/s"),
            (Unit::Named("volts".into()), 3.3, "3.30 volts"),
            (Unit::of_word("bits/s"), 4_000.0, "4 k bits/s"),
            (Unit::of_series("seconds", true), 0.256, "25.6 %"),
            (Unit::Plain, f64::NAN, "–"),
        ] {
            assert_eq!(unit.format(value), text, "{unit:?} {value}");
        }
    }

    #[test]
    fn what_is_not_said_is_in_the_name() {
        for (unit, name, found) in [
            ("volts", "x_bytes", "volts"),
            ("", "node_disk_read_bytes_total", "bytes"),
            ("", "bytes", ""),
            ("", "load", ""),
        ] {
            assert_eq!(word(unit, name), found, "{name}");
        }
        assert_eq!(duration(90_061_000), "1 d 1 h");
    }
}
