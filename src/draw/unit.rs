//! draw: numbers as people read them: three digits and a unit of a fitting size.

/// What a chart's values are measured in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Unit {
    /// Nothing that is known.
    #[default]
    Plain,
    /// So many a second.
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
    /// As the series says.
    Named(Box<str>),
}

const LARGE: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
const SMALL: [&str; 5] = ["", "m", "µ", "n", "p"];
const BINARY: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
/// Steps of time above a minute: their length in seconds.
const TIMES: [(&str, f64); 4] =
    [("y", 31_557_600.0), ("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)];

/// A size of a unit: what a number is divided by, and what stands behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Size {
    pub(super) divisor: f64,
    pub(super) word: String,
}

impl Unit {
    /// The unit of a series by the word that it carries; `rate`: of its change a second.
    pub fn of_series(word: &str, rate: bool) -> Self {
        match (word, rate) {
            ("bytes", false) => Self::Bytes,
            ("bytes", true) => Self::BytesPerSecond,
            ("seconds", false) => Self::Seconds,
            // Seconds a second: how much of the time.
            ("seconds", true) | ("ratio", false) => Self::Share,
            ("percent", false) => Self::Percent,
            ("celsius", false) => Self::Celsius,
            (_, true) => Self::PerSecond,
            ("", false) => Self::Plain,
            (other, false) => Self::Named(other.into()),
        }
    }

    /// The unit by its word, with `/s` behind it for a rate: `bytes/s`, `percent`.
    pub fn of_word(word: &str) -> Self {
        match word.strip_suffix("/s") {
            Some("bytes") => Self::BytesPerSecond,
            Some(_) => Self::PerSecond,
            None => Self::of_series(word, false),
        }
    }

    /// The size that fits a number, by which three digits say what there is to say.
    pub(super) fn size(&self, value: f64) -> Size {
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
            Self::Seconds => decimal(value, "s", true),
            Self::Plain => decimal(value, "", false),
            Self::PerSecond => decimal(value, "/s", false),
            Self::Named(word) => decimal(value, word, false),
        }
    }

    /// One value with three digits: `1.25 GiB`, `12.3 %`, `412 µs`; whole numbers stay whole.
    pub fn format(&self, value: f64) -> String {
        self.format_as(value, true)
    }

    /// The same; unless `whole`, whole numbers have three digits as those beside them.
    pub(super) fn format_as(&self, value: f64, whole: bool) -> String {
        if value.is_nan() {
            return "–".to_owned();
        }
        if value.is_infinite() {
            return if value > 0.0 { "∞".to_owned() } else { "−∞".to_owned() };
        }
        // What rounds up to a thousand is a thousand.
        let size = self.size(value * 1.0005);
        let number = value / size.divisor;
        if number != 0.0 && !(1e-4..1e6).contains(&number.abs()) {
            return joined(&format!("{value:.2e}"), &self.size(0.0).word).replace('-', "−");
        }
        joined(&digits(number, 3, whole), &size.word)
    }
}

/// The number and what stands behind it; a hyphen is no minus.
pub(super) fn joined(number: &str, word: &str) -> String {
    let number = number.replace('-', "−");
    if word.is_empty() { number } else { format!("{number} {word}") }
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

fn decimal(value: f64, behind: &str, small: bool) -> Size {
    let (mut divisor, mut at) = (1.0, 0);
    let least = if small { 1.0 } else { 1e-3 };
    if value > 0.0 && value < least {
        while value < divisor && at + 1 < SMALL.len() {
            divisor /= 1e3;
            at += 1;
        }
        return Size { divisor, word: format!("{}{behind}", SMALL[at]) };
    }
    while value >= divisor * 1e3 && at + 1 < LARGE.len() {
        divisor *= 1e3;
        at += 1;
    }
    Size { divisor, word: format!("{}{behind}", LARGE[at]) }
}

/// So many significant digits; whole numbers stay whole if wanted.
pub(super) fn digits(number: f64, significant: i32, whole: bool) -> String {
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
            (Unit::Plain, 2.5e-5, "25.0 µ"),
            (Unit::Plain, 1e-300, "1.00e−300"),
            (Unit::PerSecond, 3.0, "3 /s"),
            (Unit::Named("volts".into()), 3.3, "3.30 volts"),
            (Unit::Plain, f64::NAN, "–"),
        ] {
            assert_eq!(unit.format(value), text, "{unit:?} {value}");
        }
    }
}
