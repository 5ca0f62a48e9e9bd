//! query: results from the buckets of a classic histogram: quantiles and fractions. Bounds and
//! counts in, numbers out.

/// One bucket: the number of observations up to `bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The label `le`.
    pub bound: f64,
    /// Observations up to it.
    pub count: f64,
}

/// The places where counts fell from one bucket to a wider one, and were held level for a quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forced {
    /// The lowest bound that was held.
    pub lowest: f64,
    /// The highest bound that was held.
    pub highest: f64,
    /// The largest difference that was levelled.
    pub difference: f64,
}

/// Relative differences below this come from rounding and are levelled without a word.
const TOLERANCE: f64 = 1e-12;

/// The quantile `q`, linear inside a bucket; past the last finite bound it is that bound. NaN
/// without observations, with fewer than two buckets, or where the widest is not +Inf. Sorts and
/// joins the buckets in place.
pub fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if !tidy(buckets) {
        return (f64::NAN, None);
    }
    let forced = level(buckets);
    let [.., second, last] = buckets.as_slice() else { return (f64::NAN, forced) };
    let observations = last.count;
    if observations == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * observations;
    let finite = &buckets[..buckets.len() - 1];
    let at = search(finite, rank);
    if at == finite.len() {
        return (second.bound, forced);
    }
    let here = buckets[at];
    if at == 0 {
        if here.bound <= 0.0 {
            return (here.bound, forced);
        }
        return (0.0 + here.bound * (rank / here.count), forced);
    }
    let before = buckets[at - 1];
    rank -= before.count;
    let share = rank / (here.count - before.count);
    (before.bound + (here.bound - before.bound) * share, forced)
}

/// The first bucket that holds the rank, by halving: with a NaN among the counts another way of
/// searching would end elsewhere.
fn search(buckets: &[Bucket], rank: f64) -> usize {
    let (mut low, mut high) = (0, buckets.len());
    while low < high {
        let middle = (low + high) / 2;
        if buckets[middle].count >= rank { high = middle } else { low = middle + 1 }
    }
    low
}

/// The share of observations between `lower` and `upper`, linear inside a bucket; NaN without
/// observations, with NaN as a limit, or where the widest bucket is not +Inf.
pub fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !tidy(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |b| b.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let (mut below, mut above) = (None, None);
    // Buckets of positive bounds only begin at zero.
    let mut from = if buckets[0].bound > 0.0 { 0.0 } else { f64::NEG_INFINITY };
    let mut rank = 0.0;
    for bucket in buckets.iter() {
        let inside = |v: f64| {
            if from == f64::NEG_INFINITY {
                // The place of observations in an endless bucket is unknown.
                bucket.count
            } else {
                rank + (bucket.count - rank) * (v - from) / (bucket.bound - from)
            }
        };
        for (limit, found) in [(lower, &mut below), (upper, &mut above)] {
            if found.is_none() {
                if from >= limit {
                    *found = Some(rank);
                } else if bucket.bound > limit {
                    *found = Some(inside(limit));
                }
            }
        }
        if below.is_some() && above.is_some() {
            break;
        }
        rank = bucket.count;
        from = bucket.bound;
    }
    let within = |rank: Option<f64>| match rank {
        Some(rank) if rank > count => count,
        Some(rank) => rank,
        None => count,
    };
    (within(above) - within(below)) / count
}

/// Sorts by bound and joins equal bounds; whether the widest is +Inf.
fn tidy(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.bound.partial_cmp(&b.bound).unwrap_or(std::cmp::Ordering::Equal));
    if buckets.last().is_none_or(|b| b.bound != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

/// Counts may never fall from one bucket to a wider one, though scrapes, rates and remote senders
/// make them: what falls is held level.
fn level(buckets: &mut [Bucket]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let now = bucket.count;
        if now == before {
            continue;
        }
        if almost_equal(before, now) {
            bucket.count = before;
            continue;
        }
        if now < before {
            bucket.count = before;
            let f = forced.get_or_insert(Forced {
                lowest: f64::INFINITY,
                highest: f64::NEG_INFINITY,
                difference: 0.0,
            });
            f.lowest = f.lowest.min(bucket.bound);
            f.highest = f.highest.max(bucket.bound);
            f.difference = f.difference.max(before - now);
            continue;
        }
        before = now;
    }
    forced
}

/// Whether two counts differ by rounding only.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let difference = (a - b).abs();
    let sum = a.abs() + b.abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(list: &[(f64, f64)]) -> Vec<Bucket> {
        list.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_are_linear_inside_a_bucket() {
        let all = [(INF, 10.0), (1.0, 2.0), (3.0, 6.0)];
        assert_eq!(quantile(0.4, &mut buckets(&all)).0, 2.0);
        assert_eq!(quantile(0.1, &mut buckets(&all)).0, 0.5);
        assert_eq!(quantile(0.9, &mut buckets(&all)).0, 3.0);
        assert_eq!(quantile(1.5, &mut buckets(&all)).0, INF);
        assert_eq!(quantile(0.1, &mut buckets(&[(-1.0, 5.0), (INF, 9.0)])).0, -1.0);
    }

    #[test]
    fn what_is_no_histogram_is_nan() {
        for bad in [&[(INF, 3.0)][..], &[(1.0, 1.0), (2.0, 2.0)], &[(1.0, 0.0), (INF, 0.0)]] {
            assert!(quantile(0.5, &mut buckets(bad)).0.is_nan(), "{bad:?}");
        }
    }

    #[test]
    fn falling_counts_are_held_and_told_rounding_is_held_only() {
        let (_, forced) = quantile(0.5, &mut buckets(&[(1.0, 5.0), (2.0, 3.0), (INF, 6.0)]));
        assert_eq!(forced, Some(Forced { lowest: 2.0, highest: 2.0, difference: 2.0 }));
        let (_, forced) =
            quantile(0.5, &mut buckets(&[(1.0, 5.0), (2.0, 5.0 - 1e-13), (INF, 6.0)]));
        assert_eq!(forced, None);
    }

    #[test]
    fn equal_bounds_are_one_bucket() {
        let (value, _) = quantile(0.5, &mut buckets(&[(1.0, 1.0), (1.0, 1.0), (INF, 2.0)]));
        assert_eq!(value, 0.5);
    }

    #[test]
    fn fractions() {
        let all = [(1.0, 2.0), (3.0, 6.0), (INF, 10.0)];
        assert_eq!(fraction(0.0, 1.0, &mut buckets(&all)), 0.2);
        assert_eq!(fraction(1.0, 2.0, &mut buckets(&all)), 0.2);
        assert_eq!(fraction(f64::NEG_INFINITY, INF, &mut buckets(&all)), 1.0);
        assert_eq!(fraction(2.0, 1.0, &mut buckets(&all)), 0.0);
        assert!(fraction(f64::NAN, 1.0, &mut buckets(&all)).is_nan());
    }
}
