//! alert: which limit, and how long it has to hold, would have been told at most once a month.

use crate::model::Op;
use crate::query::ast::Expr;
use crate::query::eval::{EvalError, Limits, Options, Value, When, evaluate};
use crate::query::source::Source;

use super::rule::split;

/// How long a limit may have to hold, ms.
const FORS_MS: [i64; 5] = [0, 60_000, 300_000, 900_000, 3_600_000];
/// More moments than this are not looked at.
const MOST: i64 = 50_000;
/// What is over for less than this belongs together, ms.
const TOGETHER_MS: i64 = 300_000;
const MONTH_MS: i64 = 30 * 86_400_000;

/// A limit that would have been quiet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    /// How long it has to hold, ms.
    pub for_ms: i64,
    /// How it is compared.
    pub op: Op,
    /// The limit, with two or three digits.
    pub limit: f64,
    /// How often it would have fired in the time that was looked at.
    pub times: usize,
}

/// What the past of an expression suggests, by how long a limit has to hold. `from` and `to` in ms since
/// 1970 UTC; `beat_ms`: how far apart samples are; `upward`: more is worse. A limit at the end of the
/// expression says only which side is worse, and goes before `upward`. Empty where there are no data. Fails where the expression cannot be evaluated.
pub fn suggest(
    expr: &Expr,
    upward: bool,
    source: &dyn Source,
    (from, to): (i64, i64),
    beat_ms: i64,
    limits: Limits<'_>,
) -> Result<Vec<Suggestion>, EvalError> {
    let (expr, upward) = match split(expr) {
        Some((inner, test)) => (inner, test.op.is_upward()),
        None => (expr, upward),
    };
    let step = beat_ms.max((to - from) / MOST).max(1);
    let when = When::Range { start: from, end: to, step };
    let options = Options { lookback: 300_000.max(step), ..Options::default() };
    let answer = evaluate(source, expr, when, &options, limits)?;
    let Value::Matrix(matrix) = answer.value else { return Ok(Vec::new()) };
    let sign = if upward { 1.0 } else { -1.0 };
    let rows: Vec<Vec<(i64, f64)>> = (0..matrix.len())
        .map(|row| {
            let points = matrix.points(row).filter(|(_, value)| value.is_finite());
            points.map(|(at, value)| (at, value * sign)).collect()
        })
        .collect();
    let allowed = usize::try_from((to - from) / MONTH_MS).unwrap_or(0).max(1);
    let op = if upward { Op::Above } else { Op::Below };
    let mut out: Vec<Suggestion> = Vec::new();
    for for_ms in FORS_MS {
        let held: Vec<Vec<(i64, f64)>> = rows.iter().map(|row| lowest(row, for_ms, step)).collect();
        let mut known: Vec<f64> = held.iter().flatten().map(|(_, value)| *value).collect();
        known.sort_by(f64::total_cmp);
        known.dedup();
        if known.is_empty() {
            continue;
        }
        // The higher the limit, the less often it is passed, as good as always.
        let quiet = known.partition_point(|limit| times(&held, *limit) > allowed);
        let limit = rounded(known[quiet.min(known.len() - 1)]) * sign;
        let times = times(&held, limit * sign);
        out.push(Suggestion { for_ms, op, limit, times });
    }
    // Waiting longer is worth it only where the limit gets lower.
    out.dedup_by(|later, first| later.limit == first.limit);
    Ok(out)
}

/// What a value never fell below within the time before each moment, holes aside.
fn lowest(row: &[(i64, f64)], for_ms: i64, step: i64) -> Vec<(i64, f64)> {
    let mut out = Vec::new();
    let mut lows: std::collections::VecDeque<(i64, f64)> = std::collections::VecDeque::new();
    let (mut since, mut before) = (i64::MIN, i64::MIN);
    for (at, value) in row {
        if before == i64::MIN || at - before > 2 * step {
            lows.clear();
            since = *at;
        }
        before = *at;
        while lows.back().is_some_and(|(_, low)| low >= value) {
            lows.pop_back();
        }
        lows.push_back((*at, *value));
        while lows.front().is_some_and(|(time, _)| *time < at - for_ms) {
            lows.pop_front();
        }
        if at - since >= for_ms
            && let Some((_, low)) = lows.front()
        {
            out.push((*at, *low));
        }
    }
    out
}

/// How often something would have fired.
fn times(rows: &[Vec<(i64, f64)>], limit: f64) -> usize {
    let of = |row: &Vec<(i64, f64)>| {
        let (mut times, mut last) = (0, i64::MIN);
        for (at, _) in row.iter().filter(|(_, value)| *value > limit) {
            if last == i64::MIN || at - last > TOGETHER_MS {
                times += 1;
            }
            last = *at;
        }
        times
    };
    rows.iter().map(of).sum()
}

/// The next number with two digits that is not smaller; three where two say too little.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powf(value.abs().log10().floor() - 1.0);
    let round = (value / scale).ceil() * scale;
    // 0.30000000000000004
    format!("{round:.3e}").parse().unwrap_or(round)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use crate::query::parse;
    use crate::query::source::MemorySource;

    const START: i64 = 1_700_000_000_000;

    /// A month of minutes around 3; a peak of 8 for a minute each day, 6 for ten minutes each week.
    fn source() -> MemorySource {
        let value = |minute: i64| match minute % 1_440 {
            100 => 8.0,
            500..510 if minute % 10_080 < 1_440 => 6.0,
            _ => 3.0 + (minute % 7) as f64 / 10.0,
        };
        let samples = (0..43_200).map(|minute| (START + minute * 60_000, value(minute)));
        let mut source = MemorySource::default();
        source.add(Labels::new([("__name__", "load")]), samples);
        source
    }

    #[test]
    fn a_limit_is_above_what_happens_often() {
        let span = (START, START + 43_199 * 60_000);
        let found = |text: &str| {
            let expr = parse(text).expect("right");
            let found =
                suggest(&expr, true, &source(), span, 60_000, Limits::default()).expect("right");
            found
                .into_iter()
                .map(|s| (s.for_ms / 60_000, s.op, s.limit, s.times))
                .collect::<Vec<_>>()
        };
        let all = found("load");
        assert_eq!(all[0], (0, Op::Above, 8.0, 0));
        // A minute's peak is nothing to a limit that has to hold for a minute.
        assert!(all.contains(&(1, Op::Above, 6.0, 0)), "{all:?}");
        assert!(all.iter().any(|(minutes, _, limit, _)| *minutes == 15 && *limit < 4.0), "{all:?}");
        let below = found("load < 1");
        assert_eq!(below[0], (0, Op::Below, 3.0, 0));
        // The longer it has to hold, the nearer the limit may be to what is usual.
        assert!(below.windows(2).all(|w| w[0].2 < w[1].2 && w[1].2 <= 3.6), "{below:?}");
        assert!(found("nothing").is_empty());
    }
}
