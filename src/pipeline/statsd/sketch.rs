//! pipeline: a histogram in bins that grow with the value: any quantile within one part in a
//! hundred, for all values, in a kilobyte or two.
//!
//! Bound: [`ALL_BINS`] in all sketches together, between two flushes. Policy: beyond them a sketch
//! gets [`FEW_BINS`] of each sign; if its values are farther apart, those nearest to zero share
//! one.
//!
//! It is a DDSketch (Masson, Rim, Lee 2019): the bin of a value is its scaled logarithm. It is
//! taken from the bits of the f64: the exponent is the whole part, and a cubic in the mantissa
//! approximates the rest. Where the cubic is flattest, bins are one per cent narrower than
//! necessary.

/// Relative error of a quantile.
pub const ERROR: f64 = 0.01;

/// Bins of one sign. With this error 2,048 of them span seventeen powers of ten; of values that are
/// farther apart, those nearest to zero share one.
const MOST_BINS: usize = 2_048;

/// Bins of one sign that any sketch may have, whatever the others have: they span a factor of 150.
const FEW_BINS: usize = 256;

/// Bins beyond those, of all sketches together: 16 MiB. Twenty thousand timers whose values span six
/// powers of ten each have enough.
const ALL_BINS: usize = 8 << 20;

/// The room that all sketches together may still take until the next flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    bins: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { bins: ALL_BINS }
    }
}

/// Smaller values count as zero; this is far below any clock or scale.
const LEAST: f64 = 1e-9;

/// The cubic: 0 at 0, 1 at 1, and as steep at both ends.
const A: f64 = 6.0 / 35.0;
const B: f64 = -3.0 / 5.0;
const C: f64 = 10.0 / 7.0;

/// Bins for each doubling of the value: 7 / (10 ln γ), γ = (1 + error) / (1 - error).
const SCALE: f64 = 34.998_833_302_220_75;

const MANTISSA: u64 = (1 << 52) - 1;
const ONE: u64 = 1023 << 52;

#[inline(always)]
fn bin(value: f64) -> i32 {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as f64 - 1023.0;
    let m = f64::from_bits((bits & MANTISSA) | ONE) - 1.0;
    let log = ((A * m + B) * m + C) * m + exponent;
    (log * SCALE).floor() as i32
}

/// The lower bound of a bin.
fn lower(bin: f64) -> f64 {
    let log = bin / SCALE;
    let exponent = log.floor();
    let part = log - exponent;
    // The cubic's slope lies between 0.74 and 1.43, so Newton's steps converge.
    let mut m = part;
    for _ in 0..6 {
        let at = ((A * m + B) * m + C) * m - part;
        m -= at / ((3.0 * A * m + 2.0 * B) * m + C);
    }
    (1.0 + m) * exponent.exp2()
}

/// The value that represents a bin: in proportion equally far from both ends.
fn middle(bin: i32) -> f64 {
    let (low, high) = (lower(f64::from(bin)), lower(f64::from(bin) + 1.0));
    2.0 * low / (1.0 + low / high)
}

/// The number of bins that are made at once, approximately.
const AHEAD: usize = 16;

/// Counts by bin, of one sign.
#[derive(Debug, Clone, Default, PartialEq)]
struct Bins {
    /// The bin of the first count.
    first: i32,
    /// Small counts, because there is a vector for each timer, and few bins get more between two
    /// flushes.
    counts: Vec<u16>,
    /// The number of overflows of a count, by bin; nearly always empty.
    carried: Vec<(i32, u64)>,
}

/// The amount that an overflow of a count represents.
const FULL: u64 = 1 << 16;

impl Bins {
    /// How many of its bins are taken from the room of all.
    fn taken(&self) -> usize {
        self.counts.len().saturating_sub(FEW_BINS)
    }

    /// How many bins it may have.
    fn most(&self, room: &Room) -> usize {
        (self.counts.len().max(FEW_BINS) + room.bins).min(MOST_BINS)
    }

    #[inline(always)]
    fn add(&mut self, bin: i32, room: &mut Room) {
        let at = bin.wrapping_sub(self.first) as usize;
        match self.counts.get_mut(at) {
            Some(count) if *count < u16::MAX => *count += 1,
            Some(_) => self.put(bin, 1),
            None => self.add_outside(bin, room),
        }
    }

    fn by_bin(&self) -> impl DoubleEndedIterator<Item = (i32, u64)> {
        self.counts.iter().enumerate().map(|(at, n)| {
            let bin = self.first + at as i32;
            let carried = self.carried.iter().find(|(b, _)| *b == bin).map_or(0, |(_, n)| n * FULL);
            (bin, u64::from(*n) + carried)
        })
    }

    /// Adds to an existing bin.
    #[cold]
    fn put(&mut self, bin: i32, how_many: u64) {
        let Some(count) = self.counts.get_mut(bin.wrapping_sub(self.first) as usize) else {
            return;
        };
        let all = u64::from(*count) + how_many;
        *count = (all % FULL) as u16;
        if all >= FULL {
            match self.carried.iter_mut().find(|(b, _)| *b == bin) {
                Some((_, times)) => *times += all / FULL,
                None => self.carried.push((bin, all / FULL)),
            }
        }
    }

    #[cold]
    fn add_outside(&mut self, bin: i32, room: &mut Room) {
        if self.counts.is_empty() {
            self.first = bin;
            self.counts.push(1);
            return;
        }
        let (most, before) = (self.most(room), self.taken());
        let last = self.first + self.counts.len() as i32 - 1;
        if bin > last {
            let len = (bin - self.first) as usize + 1;
            if len > most {
                self.fold(bin + 1 - most as i32);
            }
            // A little ahead: a range is mostly reached in steps.
            let len = (bin - self.first) as usize + 1;
            self.counts.reserve_exact(len.next_multiple_of(AHEAD) - self.counts.len());
            self.counts.resize(len, 0);
        } else {
            let free = most - self.counts.len();
            let wanted = ((self.first - bin) as usize).next_multiple_of(AHEAD).min(free);
            // By default a vector doubles its capacity, and there is one for each timer.
            self.counts.reserve_exact(wanted);
            self.counts.splice(0..0, std::iter::repeat_n(0, wanted));
            self.first -= wanted as i32;
        }
        room.bins = (room.bins + before).saturating_sub(self.taken());
        self.put(bin.max(self.first), 1);
    }

    /// Makes the bins of a range at once, if there are none yet.
    fn span(&mut self, first: i32, last: i32, room: &mut Room) {
        if self.counts.is_empty() && first <= last {
            let first = first.max(last.saturating_sub(self.most(room) as i32 - 1));
            self.first = first;
            self.counts = vec![0; (last - first) as usize + 1];
            room.bins = room.bins.saturating_sub(self.taken());
        }
    }

    /// Merges the bins below one into it.
    fn fold(&mut self, first: i32) {
        let gone = ((first - self.first) as usize).min(self.counts.len());
        let folded: u64 = self.by_bin().take(gone).map(|(_, n)| n).sum();
        self.carried.retain(|(bin, _)| *bin >= first);
        self.counts.drain(..gone);
        self.first = first;
        if self.counts.is_empty() {
            self.counts.push(0);
        }
        self.put(first, folded);
    }
}

/// See the module's text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sketch {
    above: Bins,
    /// Values below zero, by their size.
    below: Bins,
    zeros: u32,
}

impl Sketch {
    /// An empty one, made for values of this range; others may come all the same.
    pub fn spanning(least: f64, most: f64, room: &mut Room) -> Self {
        let mut sketch = Self::default();
        if most >= LEAST {
            sketch.above.span(bin(least.max(LEAST)), bin(most), room);
        }
        if least <= -LEAST {
            sketch.below.span(bin(-most.min(-LEAST)), bin(-least), room);
        }
        sketch
    }

    /// Returns its room: it gets no more values.
    pub fn close(&self, room: &mut Room) {
        room.bins += self.above.taken() + self.below.taken();
    }

    /// Takes a finite value.
    #[inline(always)]
    pub fn add(&mut self, value: f64, room: &mut Room) {
        if value >= LEAST {
            self.above.add(bin(value), room);
        } else if value <= -LEAST {
            self.below.add(bin(-value), room);
        } else {
            self.zeros = self.zeros.saturating_add(1);
        }
    }

    /// The memory of its bins.
    pub fn bytes(&self) -> usize {
        2 * (self.above.counts.capacity() + self.below.counts.capacity())
    }

    /// What it holds, in ascending order: a value, and how many lie there.
    pub fn bins(&self) -> impl Iterator<Item = (f64, u64)> {
        let below = self.below.by_bin().rev().map(|(b, n)| (-middle(b), n));
        let zero = std::iter::once((0.0, u64::from(self.zeros)));
        let above = self.above.by_bin().map(|(b, n)| (middle(b), n));
        below.chain(zero).chain(above).filter(|(_, n)| *n > 0)
    }

    /// The values at these ranks, counted from 0, which must ascend; NaN past the last. One walk
    /// for all of them, and only the bins that are asked for are turned into values.
    pub fn at_ranks(&self, ranks: &[u64], mut found: impl FnMut(usize, f64)) {
        let mut wanted = ranks.iter().enumerate().peekable();
        let mut seen = 0u64;
        let mut pass = |n: u64, value: &dyn Fn() -> f64, found: &mut dyn FnMut(usize, f64)| {
            seen += n;
            while let Some((i, _)) = wanted.next_if(|(_, rank)| **rank < seen) {
                found(i, value());
            }
        };
        for (bin, n) in self.below.by_bin().rev() {
            pass(n, &|| -middle(bin), &mut found);
        }
        pass(u64::from(self.zeros), &|| 0.0, &mut found);
        for (bin, n) in self.above.by_bin() {
            pass(n, &|| middle(bin), &mut found);
        }
        for (i, _) in wanted {
            found(i, f64::NAN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantiles(values: &[f64], ranks: &[u64]) -> Vec<f64> {
        let (mut sketch, mut room) = (Sketch::default(), Room::default());
        values.iter().for_each(|v| sketch.add(*v, &mut room));
        let mut out = vec![0.0; ranks.len()];
        sketch.at_ranks(ranks, |i, v| out[i] = v);
        out
    }

    #[test]
    fn bins_are_as_narrow_as_they_must_be() {
        let gamma: f64 = (1.0 + ERROR) / (1.0 - ERROR);
        assert!((SCALE - 7.0 / (10.0 * gamma.ln())).abs() < 1e-9, "{}", 7.0 / (10.0 * gamma.ln()));
        let mut widest: f64 = 0.0;
        for b in -2_000..2_000 {
            let (low, high) = (lower(f64::from(b)), lower(f64::from(b) + 1.0));
            assert_eq!((bin(low * 1.000_001), bin(high * 0.999_999)), (b, b), "{low} {high}");
            widest = widest.max(high / low);
        }
        assert!(widest <= gamma * 1.000_001 && widest > gamma * 0.999, "{widest} {gamma}");
    }

    #[test]
    fn what_lies_too_far_apart_keeps_its_upper_end() {
        let values: Vec<f64> = (-8..300).map(|e| 10f64.powi(e)).collect();
        for order in [values.clone(), values.iter().rev().copied().collect()] {
            let found = quantiles(&order, &[300, 307]);
            for (found, rank) in found.iter().zip([300, 307]) {
                assert!((found / values[rank] - 1.0).abs() <= ERROR, "{found} {}", values[rank]);
            }
        }
    }

    /// Thousands of timers whose values are as far apart as can be take no more than the room of all, and
    /// one that fits into the few bins of its own is as good as ever.
    #[test]
    fn many_wide_sketches_take_no_more_than_their_room() {
        let wide: Vec<f64> = (0..2_048)
            .flat_map(|e| [1.02f64.powi(e), -1.02f64.powi(e)])
            .map(|v| v * 1e-3)
            .collect();
        let all = Room { bins: 100_000 };
        let mut room = all;
        let add = |sketch: &mut Sketch, room: &mut Room| {
            // From the middle outward in some, upward and downward in others.
            wide.iter().for_each(|v| sketch.add(*v, room));
            wide.iter().rev().for_each(|v| sketch.add(*v, room));
        };
        let mut sketches = vec![Sketch::default(); 100];
        sketches.iter_mut().for_each(|sketch| add(sketch, &mut room));
        let bytes: usize = sketches.iter().map(Sketch::bytes).sum();
        let most = 2 * (all.bins + sketches.len() * 2 * (FEW_BINS + 2 * AHEAD));
        assert!(bytes <= most, "{bytes} bytes, {most} are allowed");
        assert_eq!(room.bins, 0);
        for sketch in sketches.iter().step_by(9) {
            assert_eq!(sketch.bins().map(|(_, n)| n).sum::<u64>(), 2 * wide.len() as u64);
        }
        let mut small = Sketch::default();
        (0..1_000).for_each(|i| small.add(1.0 + f64::from(i) / 10.0, &mut room));
        small.at_ranks(&[500], |_, v| assert!((v / 51.0 - 1.0).abs() <= ERROR, "{v}"));
        sketches.iter().for_each(|sketch| sketch.close(&mut room));
        small.close(&mut room);
        assert_eq!(room, all, "all of it is free again");
    }

    #[test]
    fn a_bin_holds_any_number_of_values() {
        let (mut sketch, mut room) = (Sketch::default(), Room::default());
        for _ in 0..200_000 {
            sketch.add(7.0, &mut room);
        }
        sketch.add(1.0, &mut room);
        sketch.add(300.0, &mut room);
        assert_eq!(sketch.bins().map(|(_, n)| n).collect::<Vec<_>>(), [1, 200_000, 1]);
        let mut found = [0.0; 4];
        sketch.at_ranks(&[0, 1, 200_000, 200_001], |i, v| found[i] = v);
        for (found, right) in found.iter().zip([1.0, 7.0, 7.0, 300.0]) {
            assert!((found / right - 1.0).abs() <= ERROR, "{found} {right}");
        }
        // What is folded away keeps its number, too.
        sketch.add(1e30, &mut room);
        let bins: Vec<_> = sketch.bins().collect();
        assert_eq!(bins.iter().map(|(_, n)| n).sum::<u64>(), 200_003);
        assert_eq!(bins[0].1, 200_002);
    }

    proptest! {
        #[test]
        fn any_rank_is_within_the_error(
            values in prop::collection::vec(prop_oneof![
                -1e6f64..1e6, 1e-5f64..1.0, Just(0.0), 1e-4f64..1e-3, 1e9f64..1e12,
            ], 1..400),
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let ranks: Vec<u64> = (0..values.len() as u64).collect();
            for (found, right) in quantiles(&values, &ranks).iter().zip(&sorted) {
                prop_assert!((found - right).abs() <= ERROR * 1.000_001 * right.abs() + LEAST, "{found} {right}");
            }
            let (mut sketch, mut room) = (Sketch::default(), Room::default());
            values.iter().for_each(|v| sketch.add(*v, &mut room));
            let bins: Vec<_> = sketch.bins().collect();
            prop_assert_eq!(bins.iter().map(|(_, n)| n).sum::<u64>(), values.len() as u64);
            prop_assert!(bins.is_sorted_by(|a, b| a.0 < b.0));
            // For which range it was made changes nothing but its memory.
            let few = &values[..values.len().div_ceil(3)];
            let (least, most) = few.iter().fold((few[0], few[0]), |(a, b), v| (a.min(*v), b.max(*v)));
            let mut made = Sketch::spanning(least, most, &mut room);
            values.iter().for_each(|v| made.add(*v, &mut room));
            prop_assert_eq!(made.bins().collect::<Vec<_>>(), bins);
            sketch.close(&mut room);
            made.close(&mut room);
            prop_assert_eq!(room, Room::default());
        }
    }
}
