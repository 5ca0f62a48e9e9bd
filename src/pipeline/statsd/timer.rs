//! pipeline: the values of one timer since the last flush: all of them up to [`EXACT`], a sketch
//! and sums beyond.

use super::sketch::{Room, Sketch};

/// The number of a timer's values that are kept as they are between two flushes, so that all
/// results are exact. Beyond that, quantiles are within [`super::sketch::ERROR`].
pub const EXACT: usize = 128;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Values(Kept);

#[derive(Debug)]
enum Kept {
    Few(Vec<f64>),
    Many(Box<Many>),
}

impl Default for Kept {
    fn default() -> Self {
        Kept::Few(Vec::new())
    }
}

#[derive(Debug, Default)]
struct Many {
    sketch: Sketch,
    count: u64,
    sum: f64,
    squares: f64,
    min: f64,
    max: f64,
    /// A value near to all others, so that squares stay small.
    base: f64,
    /// Sums of the distances from it, and of their squares.
    off: f64,
    off_squares: f64,
}

impl Many {
    #[inline(always)]
    fn add(&mut self, value: f64, room: &mut Room) {
        self.sketch.add(value, room);
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let off = value - self.base;
        self.off += off;
        self.off_squares += off * off;
    }
}

/// The description of a timer's values; there is at least one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The sum.
    pub sum: f64,
    /// Their squares together.
    pub sum_squares: f64,
    /// sum / count
    pub mean: f64,
    /// The standard deviation of the population, as in the reference.
    pub std: f64,
}

impl Values {
    /// Adds a finite value. `room` is shared by all timers.
    #[inline(always)]
    pub fn add(&mut self, value: f64, room: &mut Room) {
        match &mut self.0 {
            Kept::Many(many) => many.add(value, room),
            Kept::Few(few) if few.len() < EXACT => few.push(value),
            Kept::Few(_) => self.grow(value, room),
        }
    }

    #[cold]
    fn grow(&mut self, value: f64, room: &mut Room) {
        if let Kept::Few(few) = &mut self.0 {
            let base = few.iter().sum::<f64>() / few.len().max(1) as f64;
            let (min, max) = few.iter().fold((value, value), |(a, b), v| (a.min(*v), b.max(*v)));
            // Nearly all of the range is known by now: it is made at once and not in steps.
            let sketch = Sketch::spanning(min, max, room);
            let mut many = Box::new(Many { sketch, base, min, max, ..Many::default() });
            few.iter().for_each(|v| many.add(*v, room));
            many.add(value, room);
            self.0 = Kept::Many(many);
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Kept::Few(few) if few.is_empty())
    }

    /// The approximate memory of the values.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Kept::Few(few) => size_of_val(few.as_slice()),
            Kept::Many(many) => many.sketch.bytes(),
        }
    }

    /// Takes the values out, in order: the timer is then empty, and its room is free.
    pub fn close(&mut self, room: &mut Room) -> Closed {
        let mut kept = std::mem::take(&mut self.0);
        match &mut kept {
            Kept::Few(few) => few.sort_unstable_by(f64::total_cmp),
            Kept::Many(many) => many.sketch.close(room),
        }
        Closed(kept)
    }
}

/// The values of one period, in ascending order.
#[derive(Debug)]
pub struct Closed(Kept);

impl Closed {
    /// The description of the values; `None` without values.
    pub fn summary(&self) -> Option<Summary> {
        match &self.0 {
            Kept::Few(few) => {
                let (min, max) = (*few.first()?, *few.last()?);
                let count = few.len() as f64;
                let sum: f64 = running(few);
                let mean = sum / count;
                let off: f64 = few.iter().fold(0.0, |a, v| a + (v - mean) * (v - mean));
                Some(Summary {
                    count: few.len() as u64,
                    min,
                    max,
                    sum,
                    sum_squares: running_squares(few),
                    mean,
                    std: (off / count).sqrt(),
                })
            }
            Kept::Many(many) => {
                let count = many.count as f64;
                let off = many.off / count;
                let variance = (many.off_squares / count - off * off).max(0.0);
                Some(Summary {
                    count: many.count,
                    min: many.min,
                    max: many.max,
                    sum: many.sum,
                    sum_squares: many.squares,
                    mean: many.sum / count,
                    std: variance.sqrt(),
                })
            }
        }
    }

    /// The values at these ranks, which must ascend from 0; see [`Sketch::at_ranks`].
    pub fn at_ranks(&self, ranks: &[u64], mut found: impl FnMut(usize, f64)) {
        match &self.0 {
            Kept::Few(few) => {
                for (i, rank) in ranks.iter().enumerate() {
                    found(i, few.get(*rank as usize).copied().unwrap_or(f64::NAN));
                }
            }
            // An estimate outside of the sent values would be odd.
            Kept::Many(many) => {
                let (min, max) = (many.min, many.max);
                let last = many.count - 1;
                many.sketch.at_ranks(ranks, |i, v| {
                    let v = if ranks[i] == 0 {
                        min
                    } else if ranks[i] == last {
                        max
                    } else {
                        v
                    };
                    found(i, v.clamp(min, max));
                });
            }
        }
    }

    /// Sum, and sum of squares, of the lowest `how_many` values.
    pub fn lowest(&self, how_many: u64) -> (f64, f64) {
        match &self.0 {
            Kept::Few(few) => {
                let lowest = &few[..(how_many as usize).min(few.len())];
                (running(lowest), running_squares(lowest))
            }
            Kept::Many(many) if how_many >= many.count => (many.sum, many.squares),
            Kept::Many(many) => {
                let (mut left, mut sum, mut squares) = (how_many, 0.0, 0.0);
                for (value, n) in many.sketch.bins() {
                    let n = n.min(left);
                    left -= n;
                    sum += value * n as f64;
                    squares += value * value * n as f64;
                    if left == 0 {
                        break;
                    }
                }
                (sum, squares)
            }
        }
    }
}

/// Adds in the reference's order, from the first value on, so that even the rounding is the same.
fn running(values: &[f64]) -> f64 {
    values.split_first().map_or(0.0, |(first, rest)| rest.iter().fold(*first, |a, v| v + a))
}

fn running_squares(values: &[f64]) -> f64 {
    values
        .split_first()
        .map_or(0.0, |(first, rest)| rest.iter().fold(first * first, |a, v| v * v + a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn closed(values: &[f64]) -> Closed {
        let (mut kept, mut room) = (Values::default(), Room::default());
        values.iter().for_each(|v| kept.add(*v, &mut room));
        let closed = kept.close(&mut room);
        assert!(kept.is_empty());
        assert_eq!(room, Room::default());
        closed
    }

    #[test]
    fn few_values_by_hand() {
        assert_eq!(closed(&[]).summary(), None);
        let few = closed(&[4.0, 2.0, 9.0, 5.0]);
        let right = Summary {
            count: 4,
            min: 2.0,
            max: 9.0,
            sum: 20.0,
            sum_squares: 126.0,
            mean: 5.0,
            std: 6.5f64.sqrt(),
        };
        assert_eq!(few.summary(), Some(right));
        assert_eq!(few.lowest(2), (6.0, 20.0));
        few.at_ranks(&[0, 3, 4], |i, v| assert!(v == [2.0, 9.0][i.min(1)] || i == 2 && v.is_nan()));
    }

    proptest! {
        /// With more values than are kept, results stay close to the truth.
        #[test]
        fn many_values_are_summed_up_well(
            values in prop::collection::vec(0.5f64..5e4, EXACT + 1..EXACT * 4),
        ) {
            let many = closed(&values).summary().expect("values");
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let count = values.len() as f64;
            let sum: f64 = sorted.iter().sum();
            let var = sorted.iter().map(|v| (v - sum / count).powi(2)).sum::<f64>() / count;
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
            prop_assert_eq!((many.count, many.min, many.max), (values.len() as u64, sorted[0], sorted[values.len() - 1]));
            prop_assert!(near(many.sum, sum) && near(many.std, var.sqrt()), "{many:?} {sum} {var}");
            let half = values.len() as u64 / 2;
            let lowest: f64 = sorted[..half as usize].iter().sum();
            let (found, _) = closed(&values).lowest(half);
            prop_assert!((found / lowest - 1.0).abs() <= 0.010_001, "{found} {lowest}");
        }
    }
}
