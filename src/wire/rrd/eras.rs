//! wire: the choice of rows of an RRD file: for each time the finest ones, each time once.

use super::{Archive, Consolidation, Rrd};
use crate::model::Stretch;

/// The rows of one source, the oldest first, each time once. Coarse rows reach up to the first
/// finer row; a row across that border is cut there.
pub fn eras(rrd: &Rrd<'_>, source: usize) -> Vec<Stretch> {
    use Consolidation::*;
    // One archive for each length of rows: the mean, or the closest to it.
    let rank = |a: &&Archive| match a.how {
        Average => 0,
        Last => 1,
        Max => 2,
        Min => 3,
        Other => 4,
    };
    let mut kept: Vec<&Archive> = rrd.archives.iter().filter(|a| a.how != Other).collect();
    kept.sort_by_key(|a| (a.span, rank(a), std::cmp::Reverse(a.rows)));
    kept.dedup_by_key(|a| a.span);
    let mut out = Vec::new();
    // The begin of the finer rows.
    let mut until = i64::MAX;
    for archive in kept {
        let span = archive.span;
        let first_end = archive.newest - (archive.rows as i64 - 1) * span;
        let begins = |row: usize| first_end + (row as i64 - 1) * span;
        let rows = (0..archive.rows).rev().find(|r| begins(*r) < until).map_or(0, |r| r + 1);
        if rows == 0 {
            continue;
        }
        let mean: Vec<f64> = rrd.values(archive, source).take(rows).collect();
        let other = |how: Consolidation| -> Vec<f64> {
            let of = rrd.archives.iter().filter(|a| a.how == how && a.span == span);
            let Some(of) = of.max_by_key(|a| a.rows) else { return Vec::new() };
            let mut values: Vec<f64> = rrd.values(of, source).collect();
            // All archives of one length end together; their beginnings may differ.
            values.truncate((rows + of.rows).saturating_sub(archive.rows));
            let lacks = rows.saturating_sub(values.len());
            values.drain(..values.len().saturating_sub(rows));
            values.splice(..0, std::iter::repeat_n(f64::NAN, lacks));
            values
        };
        // A row of one reading is its own smallest and largest value.
        let apart = span > rrd.step;
        let (min, max) = if apart { (other(Min), other(Max)) } else { Default::default() };
        out.push(Stretch {
            span: span * 1000,
            first_end: first_end * 1000,
            until: until.saturating_mul(1000),
            mean,
            min,
            max,
        });
        until = until.min(first_end - span);
    }
    out.reverse();
    out
}
