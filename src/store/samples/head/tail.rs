//! store: the unsealed samples of one series, packed as they come: about two bytes a sample, a few
//! nanoseconds each. In memory only, so the bytes may change with any version. No SQLite here.
//!
//! The first sample is 16 bytes. Each further one is a control byte and what it announces: whether
//! the distance in time changed (by how much), and the value as one of
//!
//! ```text
//!   0       the same bits          1   a whole number: the difference
//!   2       hundredths: the difference
//!   3..=10  1 to 8 low bytes of the XOR with the value before
//!   15      so many more samples at the same distance with the same value
//! ```

/// Values are told by the low bits of a control byte.
const SAME: u8 = 0;
const WHOLE: u8 = 1;
const HUNDREDTHS: u8 = 2;
const XOR: u8 = 3;
const RUN: u8 = 15;
/// Set in a control byte when the distance to the sample before has changed.
const STEP: u8 = 16;
/// Room that is worth keeping for the next samples.
const KEEP_BYTES: usize = 512;
/// Up to here every whole number is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A series that missed so many turns, and was silent for so long at least, is not written any more.
const TURNS: i64 = 4;
const LEAST_MS: i64 = 60_000;
/// One that is written more seldom than this is not told from one that has gone.
const SELDOM_MS: i64 = 600_000;

/// What the next sample is told against.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    ts: i64,
    step: i64,
    value: f64,
}

/// Samples of one series in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    last: Last,
    /// Repetitions not written down yet.
    run: u32,
    count: u32,
    min: i64,
    max: i64,
    /// Not in the order of time, or a time came twice.
    mixed: bool,
}

impl Tail {
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Earliest time, ms since 1970 UTC; meaningless when empty.
    pub(super) fn min(&self) -> i64 {
        self.min
    }

    /// Latest time; meaningless when empty.
    pub(super) fn max(&self) -> i64 {
        self.max
    }

    /// Whether it missed several of its turns at `now`, by the distance of its last two samples.
    pub(super) fn is_gone(&self, now: i64) -> bool {
        let missed = match self.count {
            1 => SELDOM_MS,
            _ => self.last.step.saturating_abs().saturating_mul(TURNS).clamp(LEAST_MS, SELDOM_MS),
        };
        self.max < now.saturating_sub(missed)
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }

    pub(super) fn push(&mut self, ts: i64, value: f64) {
        if self.count == 0 {
            self.bytes.extend(ts.to_le_bytes());
            self.bytes.extend(value.to_bits().to_le_bytes());
            self.last = Last { ts, step: 0, value };
            (self.min, self.max, self.count, self.mixed) = (ts, ts, 1, false);
            return;
        }
        self.mixed |= ts <= self.max;
        (self.min, self.max) = (self.min.min(ts), self.max.max(ts));
        self.count = self.count.saturating_add(1);
        let step = ts.wrapping_sub(self.last.ts);
        let same = value.to_bits() == self.last.value.to_bits();
        if same && step == self.last.step {
            self.run += 1;
        } else {
            self.flush();
            let at = self.bytes.len();
            self.bytes.push(0);
            let mut control = 0;
            if step != self.last.step {
                control = STEP;
                varint(&mut self.bytes, zigzag(step.wrapping_sub(self.last.step)));
            }
            control |= put_value(&mut self.bytes, self.last.value, value);
            self.bytes[at] = control;
        }
        self.last = Last { ts, step, value };
    }

    fn flush(&mut self) {
        if self.run > 0 {
            self.bytes.push(RUN);
            varint(&mut self.bytes, u64::from(self.run));
            self.run = 0;
        }
    }

    /// Every sample in the order in which it came.
    fn each(&self, mut f: impl FnMut(i64, f64)) {
        let mut bytes = Bytes(&self.bytes);
        if self.count == 0 {
            return;
        }
        let ts = i64::from_le_bytes(bytes.array());
        let mut last =
            Last { ts, step: 0, value: f64::from_bits(u64::from_le_bytes(bytes.array())) };
        f(last.ts, last.value);
        let mut repeat = |last: &mut Last, times: u64| {
            for _ in 0..times {
                last.ts = last.ts.wrapping_add(last.step);
                f(last.ts, last.value);
            }
        };
        while let Some(control) = bytes.next() {
            if control == RUN {
                let times = bytes.varint();
                repeat(&mut last, times);
                continue;
            }
            if control & STEP != 0 {
                last.step = last.step.wrapping_add(unzigzag(bytes.varint()));
            }
            last.value = take_value(&mut bytes, control & !STEP, last.value);
            repeat(&mut last, 1);
        }
        repeat(&mut last, u64::from(self.run));
    }

    /// Appends the samples from `from` to `to` inclusive in the order of time, each time once: the
    /// one that came last.
    pub(super) fn read(&self, from: i64, to: i64, ts: &mut Vec<i64>, values: &mut Vec<f64>) {
        if self.is_empty() || self.max < from || self.min > to {
            return;
        }
        if !self.mixed {
            self.each(|t, v| {
                if (from..=to).contains(&t) {
                    ts.push(t);
                    values.push(v);
                }
            });
            return;
        }
        let mut all: Vec<(i64, f64)> = Vec::with_capacity(self.len());
        self.each(|t, v| {
            if (from..=to).contains(&t) {
                all.push((t, v));
            }
        });
        all.sort_by_key(|(t, _)| *t);
        for (i, (t, v)) in all.iter().enumerate() {
            if all.get(i + 1).is_none_or(|(next, _)| next != t) {
                ts.push(*t);
                values.push(*v);
            }
        }
    }

    /// The newest sample from `from` to `to` inclusive, where that is known without unpacking: the
    /// outer nothing is "look for it".
    pub(super) fn newest(&self, from: i64, to: i64) -> Option<Option<(i64, f64)>> {
        if self.is_empty() || self.max < from || self.min > to {
            return Some(None);
        }
        (!self.mixed && self.last.ts <= to).then_some(Some((self.last.ts, self.last.value)))
    }

    /// Forgets what is not after `until`.
    pub(super) fn forget(&mut self, until: i64) {
        if self.is_empty() || self.min > until {
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let old = Self { bytes: std::mem::take(&mut bytes), ..std::mem::take(self) };
        if old.max > until {
            old.each(|t, v| {
                if t > until {
                    self.push(t, v);
                }
            });
        } else if old.bytes.capacity() <= KEEP_BYTES {
            self.bytes = old.bytes;
            self.bytes.clear();
        }
    }
}

fn put_value(out: &mut Vec<u8>, before: f64, value: f64) -> u8 {
    if before.to_bits() == value.to_bits() {
        return SAME;
    }
    if let (Some(a), Some(b)) = (whole(before), whole(value)) {
        varint(out, zigzag(b - a));
        return WHOLE;
    }
    if let (Some(a), Some(b)) = (hundredths(before), hundredths(value))
        && (b as f64 / 100.0).to_bits() == value.to_bits()
    {
        varint(out, zigzag(b - a));
        return HUNDREDTHS;
    }
    let xor = before.to_bits() ^ value.to_bits();
    let length = (64 - xor.leading_zeros() as usize).div_ceil(8);
    out.extend_from_slice(&xor.to_le_bytes()[..length]);
    XOR + length as u8 - 1
}

fn take_value(bytes: &mut Bytes<'_>, code: u8, before: f64) -> f64 {
    match code {
        SAME => before,
        WHOLE => (whole(before).unwrap_or(0) + unzigzag(bytes.varint())) as f64,
        HUNDREDTHS => (hundredths(before).unwrap_or(0) + unzigzag(bytes.varint())) as f64 / 100.0,
        _ => {
            let mut xor = [0; 8];
            for byte in &mut xor[..usize::from(code - XOR) + 1] {
                *byte = bytes.next().unwrap_or(0);
            }
            f64::from_bits(before.to_bits() ^ u64::from_le_bytes(xor))
        }
    }
}

/// The value as a whole number, if it is exactly that; -0.0 is none.
fn whole(value: f64) -> Option<i64> {
    let number = value as i64;
    (value.abs() <= EXACT && (number as f64).to_bits() == value.to_bits()).then_some(number)
}

/// The nearest number of hundredths; the difference of two such never overflows.
fn hundredths(value: f64) -> Option<i64> {
    (value.abs() <= EXACT / 100.0).then(|| (value * 100.0).round() as i64)
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// LEB128.
fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn array(&mut self) -> [u8; 8] {
        std::array::from_fn(|_| self.next().unwrap_or(0))
    }

    fn varint(&mut self) -> u64 {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.next().unwrap_or(0);
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1000i64..1000).prop_map(|n| n as f64),
            any::<i64>().prop_map(|n| n as f64),
            (-100_000i64..100_000).prop_map(|n| n as f64 / 100.0),
            prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, 1e300, 0.1 + 0.2]),
            Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        ]
    }

    fn sample() -> impl Strategy<Value = (i64, f64)> {
        let ts = prop_oneof![8 => (0i64..50).prop_map(|n| n * 10_000), 1 => any::<i64>()];
        (ts, value())
    }

    fn read(tail: &Tail, from: i64, to: i64) -> Vec<(i64, u64)> {
        let (mut ts, mut values) = (Vec::new(), Vec::new());
        tail.read(from, to, &mut ts, &mut values);
        ts.into_iter().zip(values.into_iter().map(f64::to_bits)).collect()
    }

    proptest! {
        #[test]
        fn what_came_last_is_read_bit_for_bit(
            samples in prop::collection::vec(sample(), 0..200),
            sorted in any::<bool>(),
            from in 0i64..500_000,
            length in 0i64..500_000,
            until in -1i64..500_000,
        ) {
            let mut samples = samples;
            if sorted {
                samples.sort_by_key(|s| s.0);
            }
            let mut tail = Tail::default();
            let mut truth = BTreeMap::new();
            for (ts, value) in samples {
                tail.push(ts, value);
                truth.insert(ts, value.to_bits());
            }
            let all: Vec<_> = truth.clone().into_iter().collect();
            prop_assert_eq!(read(&tail, i64::MIN, i64::MAX), all);
            let part: Vec<_> = truth.range(from..=from + length).map(|(t, v)| (*t, *v)).collect();
            if let Some(known) = tail.newest(from, from + length) {
                prop_assert_eq!(known.map(|(t, v)| (t, v.to_bits())), part.last().copied());
            }
            prop_assert_eq!(read(&tail, from, from + length), part);
            tail.forget(until);
            let left: Vec<_> = truth.range(until + 1..).map(|(t, v)| (*t, *v)).collect();
            prop_assert_eq!(tail.is_empty(), left.is_empty());
            prop_assert_eq!(read(&tail, i64::MIN, i64::MAX), left);
            tail.push(600_000, 1.5);
            prop_assert!(read(&tail, 600_000, 600_000) == [(600_000, 1.5f64.to_bits())]);
        }
    }

    #[test]
    fn what_a_machine_sends_takes_about_two_bytes() {
        let bytes = |value: fn(i64) -> f64| {
            let mut tail = Tail::default();
            for i in 0..1000 {
                tail.push(i * 10_000, value(i));
            }
            tail.bytes.len()
        };
        assert!(bytes(|_| 42.0) < 32);
        assert!(bytes(|i| (i * 37) as f64) <= 2 * 1000 + 32);
        assert!(bytes(|i| (i % 60) as f64 / 100.0) <= 2 * 1000 + 64);
    }
}
