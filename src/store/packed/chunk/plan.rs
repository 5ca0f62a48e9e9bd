//! store: integers that begin with zero, as differences, as runs, or as they are, whichever is
//! smallest. What two proportional series share: their plans are the same bytes.

use std::ops::Range;

use super::bytes::{Bytes, put_varint, zigzag};
use super::stream::StreamScratch;
use super::{Corrupt, changes, estimate, stream};

/// The numbers as they are.
const LEVELS: u8 = 0;
/// Differences.
const DELTAS: u8 = 1;
/// Differences of differences; the first difference stands alone.
const DELTAS2: u8 = 2;
/// Runs of equal numbers: the number of each run, and how long it is.
const RUNS: u8 = 3;
/// Runs of equal numbers, each run's number as the difference to the one before.
const RUNS_DELTAS: u8 = 4;
/// Runs of equal differences.
const DELTA_RUNS: u8 = 5;
/// Runs of equal differences, each as its difference to the one before; the first stands alone.
const DELTA_RUNS_DELTAS: u8 = 6;

/// In place of the kind of the stream of lengths, which are never that large: [`changes`].
const CHANGES: u8 = stream::PCO64;
/// Changes are read at a third of the speed of lengths: so many bits a number they have to save.
const WORTH: f32 = 0.05;

/// How many of the plans, best estimate first, are tried in earnest.
const TRIED: usize = 2;
/// A plan with an estimate this much worse than the best is not among them. What it loses against
/// trying all seven: 0.2 to 0.5 % of the recording; trying all takes four times as long.
const HOPELESS: f32 = 1.03;

/// Working space of this file.
#[derive(Debug, Default)]
pub(super) struct PlanScratch {
    deltas: Vec<i64>,
    deltas2: Vec<i64>,
    runs: Runs,
    delta_runs: Runs,
    runs_deltas: Vec<i64>,
    delta_runs_deltas: Vec<i64>,
    trial: Vec<u8>,
    stream: StreamScratch,
}

#[derive(Debug, Default)]
struct Runs {
    numbers: Vec<i64>,
    /// Less one, and without that of the last run, which goes to the end.
    lengths: Vec<i64>,
    /// Whether [`changes`] say it in fewer bytes.
    as_changes: bool,
}

impl Runs {
    fn find(&mut self, numbers: &[i64]) {
        self.numbers.clear();
        self.lengths.clear();
        for run in numbers.chunk_by(|a, b| a == b) {
            self.numbers.push(run[0]);
            self.lengths.push(run.len() as i64 - 1);
        }
        self.lengths.pop();
    }

    /// Chooses how to tell the lengths; returns how many bits that takes.
    fn weigh(&mut self, numbers: &[i64]) -> f32 {
        let lengths = estimate::around_zero(&self.lengths);
        let changes = changes::estimate(numbers);
        self.as_changes = changes + WORTH * (numbers.len() as f32) < lengths;
        if self.as_changes { changes } else { lengths }
    }
}

fn differences(numbers: &[i64], out: &mut Vec<i64>) {
    out.clear();
    out.extend(numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
}

/// Appends `numbers`, the first of which is 0, and which are not all the same.
pub(super) fn write(numbers: &[i64], scratch: &mut PlanScratch, out: &mut Vec<u8>) {
    let s = scratch;
    differences(numbers, &mut s.deltas);
    differences(&s.deltas, &mut s.deltas2);
    s.runs.find(numbers);
    s.delta_runs.find(&s.deltas);
    differences(&s.runs.numbers, &mut s.runs_deltas);
    differences(&s.delta_runs.numbers, &mut s.delta_runs_deltas);

    let runs = s.runs.weigh(numbers);
    let delta_runs = s.delta_runs.weigh(&s.deltas);
    let mut plans = [
        (estimate::anywhere(&numbers[1..]), LEVELS),
        (estimate::anywhere(&s.deltas), DELTAS),
        (estimate::around_zero(&s.deltas2), DELTAS2),
        (runs + estimate::anywhere(&s.runs.numbers[1..]), RUNS),
        (runs + estimate::around_zero(&s.runs_deltas), RUNS_DELTAS),
        (delta_runs + estimate::anywhere(&s.delta_runs.numbers), DELTA_RUNS),
        (delta_runs + estimate::around_zero(&s.delta_runs_deltas), DELTA_RUNS_DELTAS),
    ];
    plans.sort_by(|a, b| a.0.total_cmp(&b.0));

    let start = out.len();
    let mut trial = std::mem::take(&mut s.trial);
    for (rank, &(bits, plan)) in plans.iter().take(TRIED).enumerate() {
        if rank == 0 {
            write_as(plan, numbers, s, out);
        } else if bits < plans[0].0 * HOPELESS {
            trial.clear();
            write_as(plan, numbers, s, &mut trial);
            if trial.len() < out.len() - start {
                out.truncate(start);
                out.extend_from_slice(&trial);
            }
        }
    }
    s.trial = trial;
}

fn write_as(plan: u8, numbers: &[i64], s: &mut PlanScratch, out: &mut Vec<u8>) {
    let at = out.len();
    out.push(0);
    let (main, runs) = match plan {
        LEVELS => (&numbers[1..], None),
        DELTAS => (&s.deltas[..], None),
        DELTAS2 => (&s.deltas2[..], None),
        RUNS => (&s.runs.numbers[1..], Some((&s.runs, numbers))),
        RUNS_DELTAS => (&s.runs_deltas[..], Some((&s.runs, numbers))),
        DELTA_RUNS => (&s.delta_runs.numbers[..], Some((&s.delta_runs, &s.deltas[..]))),
        _ => (&s.delta_runs_deltas[..], Some((&s.delta_runs, &s.deltas[..]))),
    };
    if let Some((runs, _)) = runs {
        put_varint(out, runs.lengths.len() as u64);
    }
    if matches!(plan, DELTAS2 | DELTA_RUNS_DELTAS) {
        put_varint(out, zigzag(s.deltas[0]));
    }
    let mut kinds = plan << 4 | stream::write(main, &mut s.stream, out) << 2;
    match runs {
        Some((runs, spread)) if runs.as_changes => {
            changes::write(spread, out);
            kinds |= CHANGES;
        }
        Some((runs, _)) => kinds |= stream::write(&runs.lengths, &mut s.stream, out),
        None => {}
    }
    out[at] = kinds;
}

/// What stands before the lists.
struct Opening {
    plan: u8,
    /// The kind of the main list, and that of the lengths.
    main: u8,
    lengths: u8,
    /// How many numbers the runs are to be spread over.
    spread: usize,
    /// How many runs there are, less one.
    runs: usize,
    /// The first difference, where it stands alone.
    alone: i64,
    /// How many numbers the main list has.
    main_count: usize,
}

fn open(count: usize, bytes: &mut Bytes<'_>) -> Result<Opening, Corrupt> {
    let kinds = bytes.byte()?;
    let (plan, main, lengths) = (kinds >> 4, kinds >> 2 & 3, kinds & 3);
    let spread = match plan {
        RUNS | RUNS_DELTAS => count,
        DELTA_RUNS | DELTA_RUNS_DELTAS => count - 1,
        LEVELS..=DELTAS2 if lengths == 0 => 0,
        LEVELS..=DELTAS2 => return Err(Corrupt::Invalid("lengths of no runs have a kind")),
        other => return Err(Corrupt::UnknownPlan(other)),
    };
    let runs = if spread > 0 { bytes.varint()? } else { 0 };
    if runs > 0 && runs >= spread as u64 {
        return Err(Corrupt::Invalid("there are more runs than numbers"));
    }
    let runs = runs as usize;
    let alone = match plan {
        DELTAS2 | DELTA_RUNS_DELTAS => bytes.signed()?,
        _ => 0,
    };
    let main_count = match plan {
        LEVELS | DELTAS => count - 1,
        DELTAS2 => count - 2,
        DELTA_RUNS => runs + 1,
        _ => runs,
    };
    Ok(Opening { plan, main, lengths, spread, runs, alone, main_count })
}

/// Fills `numbers` with `count` (at least 2) of them.
pub(super) fn read(
    count: usize,
    bytes: &mut Bytes<'_>,
    scratch: &mut PlanScratch,
    numbers: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    let s = scratch;
    let Opening { plan, main, lengths, spread, runs, alone, main_count } = open(count, bytes)?;
    stream::read(main, main_count, bytes, &mut s.stream, &mut s.deltas)?;
    let main = &s.deltas[..];
    numbers.clear();
    match plan {
        LEVELS => {
            numbers.push(0);
            numbers.extend_from_slice(main);
        }
        DELTAS => {
            numbers.push(0);
            numbers.extend_from_slice(main);
            add_up(numbers);
        }
        DELTAS2 => {
            numbers.extend([0, alone]);
            numbers.extend_from_slice(main);
            add_up(&mut numbers[1..]);
            add_up(numbers);
        }
        _ => {
            if lengths == CHANGES {
                changes::read(bytes, spread, &mut s.runs.lengths)?;
                if s.runs.lengths.len() != runs {
                    return Err(Corrupt::Invalid("there are more or fewer changes than runs"));
                }
            } else {
                stream::read(lengths, runs, bytes, &mut s.stream, &mut s.runs.lengths)?;
            }
            let (first, numbers_of_runs) = match plan {
                RUNS => (0, main),
                DELTA_RUNS => (main[0], &main[1..]),
                _ => (alone, main),
            };
            numbers.resize(count, 0);
            let levels = &mut numbers[count - spread..];
            levels[0] = first;
            // Only where a run begins is there a difference; adding up fills the rest.
            if matches!(plan, RUNS | DELTA_RUNS) {
                let mut last = first;
                let jumps = numbers_of_runs.iter().map(|&number| {
                    let jump = number.wrapping_sub(last);
                    last = number;
                    jump
                });
                scatter(jumps, &s.runs.lengths, levels)?;
            } else {
                scatter(numbers_of_runs.iter().copied(), &s.runs.lengths, levels)?;
            }
            add_up(levels);
            if plan >= DELTA_RUNS {
                add_up(numbers);
            }
        }
    }
    Ok(())
}

/// Fills `numbers` with those of `count` (at least 2) that lie at the places of `range`. What comes
/// behind is not looked at, nor whether it is right.
pub(super) fn read_within(
    count: usize,
    range: Range<usize>,
    bytes: &mut Bytes<'_>,
    scratch: &mut PlanScratch,
    numbers: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    let s = scratch;
    numbers.clear();
    let Range { start, end } = range;
    if start >= end {
        return Ok(());
    }
    let opened = open(count, bytes)?;
    let Opening { plan, main, main_count, .. } = opened;
    let mut list = |range, into: &mut Vec<i64>| {
        stream::read_within(main, main_count, range, *bytes, &mut s.stream, into)
    };
    match plan {
        LEVELS if start == 0 => {
            list(0..end - 1, numbers)?;
            numbers.insert(0, 0);
        }
        LEVELS => drop(list(start - 1..end - 1, numbers)?),
        // The first is the sum of what lies before it, the next one more, and so on.
        DELTAS => {
            let sum = list(start..end - 1, numbers)?;
            numbers.insert(0, sum);
            add_up(numbers);
        }
        DELTAS2 => {
            list(0..end.saturating_sub(2), &mut s.deltas)?;
            let (mut number, mut delta) = (0i64, opened.alone);
            let mut next = s.deltas.iter();
            for i in 0..end {
                if i >= start {
                    numbers.push(number);
                }
                number = number.wrapping_add(delta);
                delta = delta.wrapping_add(next.next().copied().unwrap_or_default());
            }
        }
        _ => return read_runs_within(opened, start..end, bytes, s, numbers),
    }
    Ok(())
}

fn read_runs_within(
    opened: Opening,
    range: Range<usize>,
    bytes: &mut Bytes<'_>,
    s: &mut PlanScratch,
    numbers: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    let Opening { plan, main, lengths, spread, runs, alone, main_count } = opened;
    stream::read(main, main_count, bytes, &mut s.stream, &mut s.deltas)?;
    if lengths == CHANGES {
        changes::read_upto(bytes, spread.min(range.end), &mut s.runs.lengths);
    } else {
        stream::read(lengths, runs, bytes, &mut s.stream, &mut s.runs.lengths)?;
    }
    let (mut level, rest) = match (plan, &s.deltas[..]) {
        (DELTA_RUNS, [first, rest @ ..]) => (*first, rest),
        (DELTA_RUNS_DELTAS, rest) => (alone, rest),
        (_, rest) => (0, rest),
    };
    let (near, summed) = (matches!(plan, RUNS_DELTAS | DELTA_RUNS_DELTAS), plan >= DELTA_RUNS);
    // Sums have a number more than there are levels: the zero they begin with.
    let (mut at, mut sum) = (0, 0i64);
    let (mut rest, mut lengths) = (rest.iter(), s.runs.lengths.iter());
    while at < range.end {
        let next = match (rest.next(), lengths.next()) {
            (Some(next), Some(less_one)) => Some((*next, *less_one)),
            _ => None,
        };
        let left = range.end - at;
        let length = next.map_or(left, |(_, less_one)| {
            usize::try_from(less_one).unwrap_or(usize::MAX).saturating_add(1).min(left)
        });
        let from = range.start.saturating_sub(at).min(length);
        if summed {
            let first = sum.wrapping_add(level.wrapping_mul(from as i64));
            numbers.extend(
                (0..length - from).map(|i| first.wrapping_add(level.wrapping_mul(i as i64))),
            );
            sum = sum.wrapping_add(level.wrapping_mul(length as i64));
        } else {
            numbers.resize(numbers.len() + length - from, level);
        }
        at += length;
        level = match next {
            Some((next, _)) if near => level.wrapping_add(next),
            Some((next, _)) => next,
            None => level,
        };
    }
    Ok(())
}

/// Puts each jump where its run begins.
fn scatter(
    jumps: impl Iterator<Item = i64>,
    lengths: &[i64],
    levels: &mut [i64],
) -> Result<(), Corrupt> {
    let mut at = 0u64;
    for (jump, &less_one) in jumps.zip(lengths) {
        // Saturating, for a negative length is a very large one here.
        at = at.saturating_add(less_one as u64).saturating_add(1);
        match levels.get_mut(usize::try_from(at).unwrap_or(usize::MAX)) {
            Some(level) => *level = jump,
            None => return Err(Corrupt::Invalid("a run goes past the end")),
        }
    }
    Ok(())
}

/// Each number plus all before it.
fn add_up(numbers: &mut [i64]) {
    let mut sum = 0i64;
    for number in numbers {
        sum = sum.wrapping_add(*number);
        *number = sum;
    }
}
