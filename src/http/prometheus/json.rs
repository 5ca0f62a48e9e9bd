//! http: values, times and labels as the API writes them, by hand into one buffer. Pure.

use std::fmt::Write;

use crate::model::Labels;
pub(super) use crate::wire::json::write_string as write_text;

/// `[a,b,c]`
pub(super) fn write_list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// `{"a":"b"}`
pub(super) fn write_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(out, name);
        out.push(':');
        write_text(out, value);
    }
    out.push('}');
}

/// `[1435781451.781,"1.5"]`
pub(super) fn write_point(out: &mut String, ms: i64, value: f64) {
    out.push('[');
    write_seconds(out, ms);
    out.push_str(",\"");
    write_value(out, value);
    out.push_str("\"]");
}

/// Values at times, `[1435781451.781,"1.5"],[…]`, written several at a time, because most of the
/// cost of a point is checking for room.
pub(super) struct Points<'o> {
    out: &'o mut String,
    text: [u8; 2048],
    used: usize,
    /// The whole seconds of the time before, and their digits.
    second: u64,
    digits: [u8; DIGITS],
    length: usize,
}

/// The longest whole number.
const DIGITS: usize = 20;
/// More than a point takes.
const LONGEST: usize = 80;

impl<'o> Points<'o> {
    /// Appends to a text.
    pub(super) fn new(out: &'o mut String) -> Self {
        Self { out, text: [0; 2048], used: 0, second: 0, digits: [b'0'; DIGITS], length: 1 }
    }

    /// Writes a list of them. `room` is called before some of them are appended; if it refuses, the
    /// list ends.
    pub(super) fn list<E>(
        mut self,
        points: impl Iterator<Item = (i64, f64)>,
        mut room: impl FnMut(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put(b"[");
        for (at, (ms, value)) in points.enumerate() {
            if self.used + LONGEST > self.text.len() {
                room(self.out)?;
                self.flush();
            }
            self.put(if at > 0 { b",[" } else { b"[" });
            self.seconds(ms);
            self.put(b",\"");
            self.value(value);
            self.put(b"\"]");
        }
        self.put(b"]");
        room(self.out)?;
        self.flush();
        Ok(())
    }

    fn flush(&mut self) {
        self.out.push_str(std::str::from_utf8(&self.text[..self.used]).unwrap_or_default());
        self.used = 0;
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.text[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    fn seconds(&mut self, ms: i64) {
        if ms < 0 {
            self.put(b"-");
        }
        let (second, fraction) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
        if second / 100 == self.second / 100 && second >= 100 {
            // Points follow each other closely: mostly the last two digits are other ones.
            let last = self.length - 2;
            self.digits[last..last + 2].copy_from_slice(&PAIRS[(second % 100) as usize]);
        } else {
            self.length = whole(second, &mut self.digits);
        }
        self.second = second;
        // All of them, because a copy of known length is one move.
        self.text[self.used..self.used + DIGITS].copy_from_slice(&self.digits);
        self.used += self.length;
        if fraction > 0 {
            let [tens, ones] = PAIRS[(fraction % 100) as usize];
            self.put(&[b'.', b'0' + (fraction / 100) as u8, tens, ones]);
        }
    }

    fn value(&mut self, value: f64) {
        let size = value.abs();
        if size < WHOLE && value == value.trunc() {
            if value.is_sign_negative() {
                self.put(b"-");
            }
            self.used += whole(size as u64, &mut self.text[self.used..]);
        } else if PLAIN.contains(&size) {
            self.put(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.flush();
            write_value(self.out, value);
        }
    }
}

/// Milliseconds as seconds, with three digits behind the point or none.
pub(super) fn write_seconds(out: &mut String, ms: i64) {
    if ms < 0 {
        out.push('-');
    }
    let ms = ms.unsigned_abs();
    write_whole(out, ms / 1000);
    let fraction = ms % 1000;
    if fraction > 0 {
        let _ = write!(out, ".{fraction:03}");
    }
}

/// The shortest digits that read back, with an exponent only below 1e-6 and from 1e21 on.
pub(super) fn write_value(out: &mut String, value: f64) {
    let size = value.abs();
    if size < WHOLE && value == value.trunc() {
        if value.is_sign_negative() {
            out.push('-');
        }
        write_whole(out, size as u64);
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if PLAIN.contains(&size) {
        out.push_str(zmij::Buffer::new().format_finite(value));
    } else if (1e-6..1e21).contains(&size) || value.is_nan() {
        let _ = write!(out, "{value}");
    } else {
        // Go writes a sign and two digits at least.
        let start = out.len();
        let _ = write!(out, "{value:e}");
        let Some(at) = out[start..].find('e').map(|at| start + at + 1) else { return };
        let exponent: i32 = out[at..].parse().unwrap_or(0);
        out.truncate(at);
        let _ = write!(out, "{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

/// Whole numbers below this, most of all values, cost a tenth of the general way.
const WHOLE: f64 = 9_007_199_254_740_992.0;
/// Here the formatter writes as Go does, and takes a third of what that of the standard library does.
const PLAIN: std::ops::Range<f64> = 1e-4..1e15;

fn write_whole(out: &mut String, number: u64) {
    let mut digits = [0; DIGITS];
    let length = whole(number, &mut digits);
    out.push_str(std::str::from_utf8(&digits[..length]).unwrap_or_default());
}

/// Writes the digits of a number; returns how many.
fn whole(mut number: u64, digits: &mut [u8]) -> usize {
    let length = number.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut at = length;
    // Two at a time: it is dividing that takes the time.
    while at >= 2 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if at == 1 {
        digits[0] = b'0' + number as u8;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(v: f64) -> String {
        let mut out = String::new();
        write_value(&mut out, v);
        out
    }

    #[test]
    fn values_as_go_writes_them() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-12.0, "-12"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (1e-6, "0.000001"),
            (1e-7, "1e-07"),
            (5e-324, "5e-324"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(value(v), text);
        }
    }

    #[test]
    fn times_are_seconds() {
        for (ms, text) in [
            (0, "0"),
            (1_435_781_451_781, "1435781451.781"),
            (1_001, "1.001"),
            (1_500, "1.500"),
            (-1_050, "-1.050"),
        ] {
            let mut out = String::new();
            write_seconds(&mut out, ms);
            assert_eq!(out, text);
        }
    }

    proptest! {
        #[test]
        fn a_list_is_its_points(
            start in prop_oneof![any::<i32>().prop_map(i64::from), any::<i64>(), Just(0), Just(-50)],
            step in prop_oneof![Just(15_000), Just(60_000), Just(1), 0i64..10_000_000],
            values in prop::collection::vec(
                prop_oneof![
                    any::<u64>().prop_map(f64::from_bits),
                    (-1000i64..100_000).prop_map(|n| n as f64),
                    (-1e6..1e6).prop_map(|n: f64| (n * 100.0).round() / 100.0),
                    -1e3..1e3,
                ],
                0..200,
            ),
        ) {
            let at = |i: usize| start.saturating_add(step * i as i64);
            let points = || values.iter().enumerate().map(|(i, v)| (at(i), *v));
            let (mut one, mut other) = (String::new(), String::new());
            write_list(&mut one, points(), |out, (ms, v)| write_point(out, ms, v));
            let room = |_: &mut String| Ok::<(), ()>(());
            Points::new(&mut other).list(points(), room).expect("there is room");
            prop_assert_eq!(one, other);
        }

        #[test]
        fn values_read_back(bits: u64) {
            let v = f64::from_bits(bits);
            let back: f64 = value(v).parse().unwrap();
            prop_assert!(back.to_bits() == bits || v.is_nan() && back.is_nan());
        }

        #[test]
        fn what_people_measure_is_written_as_shortly_as_the_standard_library_does(v in -1e16f64..1e16, by in 0..24) {
            for v in [v, v / 10f64.powi(by), (v / 10f64.powi(by)).round() / 100.0] {
                // Below that Go writes an exponent.
                if v == 0.0 || v.abs() >= 1e-6 {
                    let text = value(v);
                    // Of two equally near ones, either is right.
                    prop_assert_eq!(text.len(), format!("{v}").len());
                    prop_assert_eq!(text.parse::<f64>().unwrap(), v);
                }
            }
        }
    }
}
