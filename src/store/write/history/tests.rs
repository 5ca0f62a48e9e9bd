//! store: imported history, row by row.

use super::pack::{Wanted, make};
use crate::model::{Kind, Past, Stretch};

const ALL: Wanted = Wanted { after: i64::MIN, before: i64::MAX, samples_from: i64::MAX };
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const START: i64 = 1_700_006_400_000; // a whole day

fn stretch(span: i64, first_end: i64, until: i64, mean: &[f64]) -> Stretch {
    Stretch {
        span,
        first_end,
        until,
        mean: mean.to_vec(),
        min: mean.iter().map(|m| m - 1.0).collect(),
        max: mean.iter().map(|m| m + 2.0).collect(),
    }
}

#[test]
fn a_row_s_buckets_lie_within_its_time_and_weigh_as_much_as_it() {
    let stretches = vec![stretch(2 * HOUR, START + 2 * HOUR, i64::MAX, &[4.0, f64::NAN, 8.0])];
    let past = Past { stretches, step: 5 * MINUTE, anchor: None };
    let made = make(&past, Kind::Gauge, ALL);
    assert_eq!(made.fine.len(), 4, "two for each row that is known");
    let (first, last) = (made.fine[0], made.fine[3]);
    assert_eq!((first.0, last.0), (START + 55 * MINUTE, START + 6 * HOUR - 5 * MINUTE));
    for (_, b) in &made.fine[..2] {
        assert_eq!((b.count, b.sum, b.min, b.max, b.last), (12, 48.0, 3.0, 6.0, 4.0));
    }
    let hours: Vec<(i64, u64, f64)> =
        made.hours.iter().map(|(at, b)| (*at, b.count, b.sum)).collect();
    assert_eq!(hours, [(START + HOUR, 24, 96.0), (START + 5 * HOUR, 24, 192.0)]);
    assert!(made.samples.ts.is_empty());
    assert_eq!((made.until, made.coarse_until), (START + 6 * HOUR, START + 6 * HOUR));
}

#[test]
fn where_samples_are_held_long_rows_are_samples_too() {
    let stretches = vec![stretch(30 * MINUTE, START + 30 * MINUTE, i64::MAX, &[4.0, 5.0])];
    let past = Past { stretches, step: 5 * MINUTE, anchor: None };
    let made = make(&past, Kind::Gauge, Wanted { samples_from: START + 30 * MINUTE, ..ALL });
    let ends: Vec<i64> = (7..=12).map(|i| START + i * 5 * MINUTE).collect();
    assert_eq!(made.samples.ts, ends);
    assert_eq!(made.samples.values, [5.0; 6]);
    assert_eq!(made.coarse_until, START + 30 * MINUTE);
    assert_eq!(made.fine.len(), 12);
}

#[test]
fn rates_grow_to_where_the_counter_stood_and_stand_still_where_nothing_is_known() {
    let stretches = vec![
        stretch(30 * MINUTE, START + 30 * MINUTE, START + 40 * MINUTE, &[1.0, 2.0]),
        stretch(5 * MINUTE, START + 45 * MINUTE, i64::MAX, &[3.0, f64::NAN, f64::NAN, 4.0]),
    ];
    let anchor = Some((START + 61 * MINUTE, 10_000.0));
    let past = Past { stretches, step: 5 * MINUTE, anchor };
    let made = make(&past, Kind::Counter, ALL);
    let end = 10_000.0 - 60.0 * 4.0;
    let minutes: Vec<i64> = made.samples.ts.iter().map(|ts| (ts - START) / MINUTE).collect();
    assert_eq!(minutes, [45, 55, 60], "with a place to grow from after a gap");
    assert_eq!(made.samples.values, [end - 1_200.0, end - 1_200.0, end]);
    // 30 minutes at 1, ten at 2, five at 3, five at 4.
    let total = 1_800.0 + 1_200.0 + 900.0 + 1_200.0;
    let first = made.fine[0].1;
    assert_eq!((made.fine[0].0, first.last), (START - 5 * MINUTE, end - total));
    let at = |ts: i64| made.fine.iter().find(|(at, _)| at + 5 * MINUTE == ts).map(|(_, b)| b.last);
    assert_eq!(at(START + 10 * MINUTE), Some(end - total + 600.0));
    assert_eq!(at(START + 40 * MINUTE), Some(end - 2_100.0));
}

#[test]
fn what_is_there_and_what_was_recorded_here_is_left_alone() {
    let mean: Vec<f64> = (0..24).map(f64::from).collect();
    let stretches = vec![stretch(5 * MINUTE, START + 5 * MINUTE, i64::MAX, &mean)];
    let past = Past { stretches, step: 5 * MINUTE, anchor: None };
    let (after, before) = (START + 30 * MINUTE, START + 62 * MINUTE);
    let made = make(&past, Kind::Gauge, Wanted { after, before, samples_from: i64::MAX });
    assert_eq!(made.samples.ts.first(), Some(&(START + 35 * MINUTE)));
    assert_eq!(made.samples.ts.last(), Some(&(START + 60 * MINUTE)));
    assert_eq!(made.fine.first().map(|f| f.0), Some(START + 30 * MINUTE));
    assert_eq!(made.fine.last().map(|f| f.0), Some(START + 55 * MINUTE));
}
