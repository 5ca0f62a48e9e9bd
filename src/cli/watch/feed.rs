//! cli: what `plimsoll watch` shows: read once, and then kept up with the rows that come. Nothing of
//! a terminal in here.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::super::status::{self, Current, Daemon, Status};
use crate::draw::{self, Ask, Unit};
use crate::overview::{self, Trouble, Verdict};
use crate::query::Catalog;
use crate::query::eval::Limits;
use crate::store::block::Column;
use crate::store::{Known, Reader, Row};

/// How long a time charts show: what it is called, and ms.
pub(super) const RANGES: [(&str, i64); 8] = [
    ("5m", 300_000),
    ("15m", 900_000),
    ("1h", 3_600_000),
    ("6h", 21_600_000),
    ("1d", 86_400_000),
    ("7d", 604_800_000),
    ("30d", 2_592_000_000),
    ("1y", 31_536_000_000),
];

/// Times up to this long are drawn of samples, longer ones of rollups.
const OF_SAMPLES_MS: i64 = 86_400_000;
/// A counter's first rate wants a sample before.
const BEFORE_MS: i64 = 300_000;
/// Points a line has at most.
const POINTS: u32 = 400;
/// Samples of one series that are kept; more are thinned out.
const MOST_SAMPLES: usize = 20_000;
/// Sparklines and the verdict are as old as this at most.
const GLANCE: Duration = Duration::from_secs(60);
/// Beside that, a look at everything takes no more than this part of the time.
const PART: u32 = 200;
/// Rows taken in at a time.
const MOST_ROWS: usize = 200_000;

/// See the file's text.
pub(super) struct Feed {
    path: PathBuf,
    reader: Reader,
    /// Everything that is known of each series.
    pub(super) status: Status,
    /// The system that is shown, by its place in `status`.
    pub(super) shown: usize,
    known: Vec<Known>,
    /// How many series there were when `known` was read.
    newest_series: i64,
    charts: Vec<overview::Chart>,
    /// Those and all others: what is judged.
    all: Vec<overview::Chart>,
    /// Whether the machine is well.
    pub(super) verdict: Option<Verdict>,
    /// The charts of the first view, ready to be drawn.
    pub(super) drawn: Vec<draw::Chart>,
    /// The range, by its place in [`RANGES`].
    pub(super) range: usize,
    /// Series and their place in `status` of the system.
    places: HashMap<i64, (usize, usize)>,
    samples: HashMap<i64, Column>,
    rolled: Vec<Vec<draw::Line>>,
    /// The time of the newest row that was taken in.
    newest: i64,
    /// When the file was last read.
    now: i64,
    built: Option<Instant>,
    glanced: Instant,
    cost: Duration,
}

impl Feed {
    /// Reads all there is to show at this time (ms since 1970 UTC).
    pub(super) fn open(path: &Path, range: usize, now: i64) -> anyhow::Result<Self> {
        let reader = Reader::open(path)?;
        let status = status::gather(path, &reader)?;
        let mut feed = Self {
            path: path.to_owned(),
            newest_series: reader.newest_series()?,
            known: reader.series()?,
            reader,
            status,
            shown: 0,
            charts: Vec::new(),
            all: Vec::new(),
            verdict: None,
            drawn: Vec::new(),
            range,
            places: HashMap::new(),
            samples: HashMap::new(),
            rolled: Vec::new(),
            newest: i64::MIN,
            now,
            built: None,
            glanced: Instant::now(),
            cost: Duration::ZERO,
        };
        let own = |list: &[Current]| list.first().is_some_and(|c| c.series.system_id == 1);
        feed.shown = feed.status.systems.iter().position(|(_, l)| own(l)).unwrap_or(0);
        feed.index();
        feed.load(now)?;
        feed.judge(now)?;
        Ok(feed)
    }

    /// The system that is shown; nothing before the first sample.
    pub(super) fn system(&self) -> Option<&(String, Vec<Current>)> {
        self.status.systems.get(self.shown)
    }

    /// When the collectors of the shown system last took a sample.
    pub(super) fn last_reading(&self) -> Option<i64> {
        status::last_reading(&self.system()?.1, self.now)
    }

    fn index(&mut self) {
        self.places.clear();
        for (s, (_, list)) in self.status.systems.iter().enumerate() {
            for (i, current) in list.iter().enumerate() {
                self.places.insert(current.series.id, (s, i));
                // A sample of the future must not hide those that come until then.
                let newest = current.newest_until(self.now).unwrap_or(i64::MIN);
                self.newest = self.newest.max(newest);
            }
        }
        let name = self.system().map(|(name, _)| name.clone()).unwrap_or_default();
        self.all = overview::charts(&self.known, &self.status.graphs, &name);
        self.charts = self.all.iter().filter(|c| c.group.is_empty()).cloned().collect();
    }

    /// Other charts, of a longer or shorter time.
    pub(super) fn set_range(&mut self, range: usize, now: i64) -> anyhow::Result<()> {
        self.range = range.min(RANGES.len() - 1);
        self.load(now)
    }

    fn span(&self) -> i64 {
        RANGES[self.range].1
    }

    /// Reads what the charts of the range are made of.
    fn load(&mut self, now: i64) -> anyhow::Result<()> {
        let from = now - self.span();
        self.samples.clear();
        self.rolled.clear();
        if self.span() <= OF_SAMPLES_MS {
            let terms = self.charts.iter().flat_map(|c| &c.lines).flat_map(|l| &l.terms);
            let mut ids: Vec<i64> = terms.map(|t| t.series).collect();
            ids.sort_unstable();
            ids.dedup();
            let mut columns: Vec<Column> =
                ids.iter().map(|id| Column { series: *id, ..Column::default() }).collect();
            // To what is in the file now, and not further: the rest comes row by row.
            self.reader.columns(from - BEFORE_MS, self.newest.max(from), &mut columns)?;
            let width = self.span() / i64::from(POINTS) / 2;
            columns.iter_mut().for_each(|c| thin_out(c, width));
            self.samples = columns.into_iter().map(|c| (c.series, c)).collect();
        } else {
            let reader = Reader::open(&self.path)?.load_head()?;
            let width = overview::nice_width(self.span(), POINTS);
            for chart in &self.charts {
                let mut lines = Vec::new();
                for line in &chart.lines {
                    let read = overview::read(&reader, line, from, now, width)?;
                    let values = [read.mean, read.min, read.max];
                    lines.push(draw::columns(line.name.clone(), read.start, values, width));
                }
                self.rolled.push(lines);
            }
        }
        self.build(now);
        Ok(())
    }

    /// Makes charts of what has been read.
    fn build(&mut self, now: i64) {
        let from = now - self.span();
        let of_samples = self.span() <= OF_SAMPLES_MS;
        let samples = &self.samples;
        let line = |line: &overview::Line| {
            let part = |term: &overview::Term| {
                let empty = (&[][..], &[][..]);
                let (ts, values) =
                    samples.get(&term.series).map_or(empty, |c| (&c.ts[..], &c.values[..]));
                let make = if line.rate { draw::counter } else { draw::gauge };
                let factor = if line.down { -term.factor } else { term.factor };
                (make(String::new(), ts, values, from, now, POINTS), factor)
            };
            draw::added(line.name.clone(), line.terms.iter().map(part).collect())
        };
        self.drawn = (self.charts.iter().enumerate())
            .map(|(at, chart)| draw::Chart {
                title: draw::clean(&chart.title),
                unit: Unit::of_word(&chart.unit),
                from,
                to: now,
                lines: if of_samples {
                    chart.lines.iter().map(line).collect()
                } else {
                    self.rolled.get(at).cloned().unwrap_or_default()
                },
                stacked: chart.stack,
                thresholds: chart.marks.iter().map(|(at, _)| *at).collect(),
                top: chart.top,
                left_out: chart.more,
                ..draw::Chart::default()
            })
            .collect();
        self.built = Some(Instant::now());
    }

    /// Whether the machine is well.
    fn judge(&mut self, now: i64) -> anyhow::Result<()> {
        let began = Instant::now();
        let reader = Reader::open(&self.path)?.load_head()?;
        let troubles = troubles(&self.status.daemon, now);
        self.verdict = Some(overview::verdict(&reader, &self.all, now, &troubles, None)?);
        self.glanced = Instant::now();
        self.cost = began.elapsed();
        Ok(())
    }

    /// Takes in what is new; whether there was anything. Fails where the file cannot be read.
    pub(super) fn tick(&mut self, now: i64) -> anyhow::Result<bool> {
        self.now = now;
        if self.reader.newest_series()? != self.newest_series {
            *self = Self::open(&self.path, self.range, now)?;
            return Ok(true);
        }
        let mut rows: Vec<Row> = Vec::new();
        self.reader.rows_from(self.newest.saturating_add(1), |row| {
            if row.ts > now {
                return std::ops::ControlFlow::Break(());
            }
            rows.push(row);
            if rows.len() < MOST_ROWS {
                std::ops::ControlFlow::Continue(())
            } else {
                std::ops::ControlFlow::Break(())
            }
        })?;
        let mut changed = !rows.is_empty();
        for row in rows {
            self.newest = self.newest.max(row.ts);
            if let Some((s, i)) = self.places.get(&row.series_id) {
                self.status.systems[*s].1[*i].push(row);
            }
            if let Some(column) = self.samples.get_mut(&row.series_id) {
                column.ts.push(row.ts);
                column.values.push(row.value);
            }
        }
        let step = Duration::from_millis((self.span() / i64::from(POINTS)).max(0) as u64);
        let rolled = self.span() > OF_SAMPLES_MS;
        if rolled && self.built.is_none_or(|b| b.elapsed() > step) {
            self.load(now)?;
            changed = true;
        } else if changed && !rolled && self.built.is_none_or(|b| b.elapsed() >= step) {
            let oldest = now - self.span() - BEFORE_MS;
            for column in self.samples.values_mut() {
                let old = column.ts.partition_point(|t| *t < oldest);
                // Moving all of them down for one is not worth it.
                if old > column.ts.len() / 8 {
                    column.ts.drain(..old);
                    column.values.drain(..old);
                }
            }
            self.build(now);
        }
        if self.glanced.elapsed() > GLANCE.max(self.cost * PART) {
            self.status = status::gather(&self.path, &self.reader)?;
            self.index();
            self.judge(now)?;
            changed = true;
        }
        Ok(changed)
    }

    /// One series by its key, as a chart.
    pub(super) fn one(&self, key: &str, now: i64) -> anyhow::Result<draw::Chart> {
        let reader = Reader::open(&self.path)?;
        let catalog = Catalog::default();
        let (from, limits) = (now - self.span(), Limits::default());
        let ask = Ask { expression: key, from, to: now, points: POINTS, limits };
        Ok(draw::gather(&reader, &catalog, &ask)?)
    }
}

/// Of many samples, the least, the most and the last of each width.
fn thin_out(column: &mut Column, width: i64) {
    if column.ts.len() <= MOST_SAMPLES || width <= 0 {
        return;
    }
    let (ts, values) = (std::mem::take(&mut column.ts), std::mem::take(&mut column.values));
    let mut at = 0;
    while let Some(first) = ts.get(at) {
        let end = at + ts[at..].partition_point(|t| t.div_euclid(width) == first.div_euclid(width));
        let by = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
        let mut keep: Vec<usize> = [(at..end).min_by(by), (at..end).max_by(by), end.checked_sub(1)]
            .into_iter()
            .flatten()
            .collect();
        keep.sort_unstable();
        keep.dedup();
        for i in keep {
            column.ts.push(ts[i]);
            column.values.push(values[i]);
        }
        at = end.max(at + 1);
    }
}

/// What the daemon complains of.
pub(in crate::cli) fn troubles(daemon: &Daemon, now: i64) -> Vec<Trouble> {
    let Daemon::Running(answer) = daemon else { return Vec::new() };
    let problems = answer.get("problems").and_then(|p| p.as_array()).cloned().unwrap_or_default();
    let text = |p: &serde_json::Value, key: &str| {
        p.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    problems
        .iter()
        .map(|p| Trouble {
            subject: text(p, "subject"),
            message: text(p, "message"),
            since: p.get("since").and_then(serde_json::Value::as_i64).unwrap_or(now),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinned_out_samples_keep_their_peaks_and_their_order() {
        let mut column = Column { ts: (0..30_000).collect(), ..Column::default() };
        column.values = vec![1.0; 30_000];
        column.values[12_345] = 9.0;
        thin_out(&mut column, 100);
        assert!(column.ts.len() < 1_000 && column.ts.is_sorted());
        assert!(column.values.contains(&9.0));
        assert_eq!(column.ts.last(), Some(&29_999));
    }
}
