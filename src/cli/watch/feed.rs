//! cli: the data of `plimsoll watch`: read once, and then updated with new rows. Nothing of a
//! terminal in here.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::super::current::{self, Current, Status, troubles};
use crate::draw::{self, Ask};
use crate::model::Unit;
use crate::overview::glance::{Glance, glance};
use crate::overview::{self, RANGES, Verdict};
use crate::query::Catalog;
use crate::query::eval::Limits;
use crate::store::block::Column;
use crate::store::{Known, Reader, SampleRow};

/// Times up to this long are drawn of samples that are kept, longer ones are read when it is time.
const OF_SAMPLES_MS: i64 = 3_600_000;
/// Points a line has at most.
const POINTS: u32 = 400;
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
    /// The state of all series.
    pub(super) status: Status,
    /// The system that is shown, by its place in `status`.
    pub(super) shown: usize,
    known: Vec<Known>,
    /// The number of series when `known` was read.
    newest_series: i64,
    charts: Vec<overview::Chart>,
    /// The charts of the first view and all others, for the verdict.
    all: Vec<overview::Chart>,
    /// Whether the machine is well.
    pub(super) verdict: Option<Verdict>,
    /// The charts of the first view in rows of text.
    pub(super) glances: Vec<Glance>,
    /// The charts of the first view, ready to be drawn.
    pub(super) drawn: Vec<draw::Chart>,
    /// The range, by its place in [`RANGES`].
    pub(super) range: usize,
    /// The oldest sample, ms since 1970 UTC, where everything is shown.
    oldest: Option<i64>,
    /// Series and their place in `status` of the system.
    places: HashMap<i64, (usize, usize)>,
    samples: HashMap<i64, Column>,
    lines: Vec<Vec<draw::Line>>,
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
        let status = current::gather(path, &reader)?;
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
            oldest: None,
            places: HashMap::new(),
            samples: HashMap::new(),
            lines: Vec::new(),
            glances: Vec::new(),
            newest: i64::MIN,
            now,
            built: None,
            glanced: Instant::now(),
            cost: Duration::ZERO,
        };
        let own = feed.status.systems.iter().position(|(_, list)| current::is_own(list));
        feed.shown = own.unwrap_or(0);
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
        current::last_reading(&self.system()?.1, self.now)
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

    /// The length of the range, ms; for "all", that of the data.
    fn span(&self, now: i64) -> i64 {
        match RANGES[self.range].ms {
            0 => (now - self.oldest.unwrap_or(now)).max(RANGES[0].ms),
            ms => ms,
        }
    }

    /// Reads what the charts of the range are made of.
    fn load(&mut self, now: i64) -> anyhow::Result<()> {
        let terms = || self.charts.iter().flat_map(|c| &c.lines).flat_map(|l| &l.terms);
        if RANGES[self.range].ms == 0 {
            let of = |c: &overview::Chart| Some(c.lines.first()?.terms.first()?.series);
            let found = self.charts.iter().filter_map(of).map(|s| self.reader.oldest(s));
            self.oldest = found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().min();
        }
        let from = now - self.span(now);
        self.samples.clear();
        if self.span(now) <= OF_SAMPLES_MS {
            let mut ids: Vec<i64> = terms().map(|t| t.series).collect();
            ids.sort_unstable();
            ids.dedup();
            let mut columns: Vec<Column> =
                ids.iter().map(|id| Column { series: *id, ..Column::default() }).collect();
            // Up to the newest row in the file now; later rows are read one by one.
            let from = from - overview::BEFORE_MS;
            self.reader.columns(from, self.newest.max(from), &mut columns)?;
            self.samples = columns.into_iter().map(|c| (c.series, c)).collect();
            self.lines = lines(&self.samples, &self.charts, from, now, self.width(now)?)?;
        } else {
            let reader = Reader::open(&self.path)?.load_head()?;
            self.lines = lines(&reader, &self.charts, from, now, self.width(now)?)?;
        }
        self.build(now);
        Ok(())
    }

    /// The width of buckets.
    fn width(&self, now: i64) -> anyhow::Result<i64> {
        let line = self.charts.first().and_then(|c| c.lines.first());
        Ok(overview::width(&self.reader, line, now - self.span(now), now, POINTS)?)
    }

    /// Makes charts of what has been read.
    fn build(&mut self, now: i64) {
        let from = now - self.span(now);
        self.drawn = (self.charts.iter().zip(&self.lines))
            .map(|(chart, lines)| draw::Chart {
                title: draw::clean(&chart.title),
                unit: Unit::of_word(&chart.unit),
                from,
                to: now,
                lines: lines.clone(),
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
        let whose = match self.system() {
            Some((name, list)) if !current::is_own(list) => overview::Whose::Other(name, None),
            _ => overview::Whose::Ours,
        };
        let verdict = overview::verdict(&reader, &self.all, now, &troubles, whose)?;
        self.glances = glance(&reader, &self.charts, now + verdict.ahead)?;
        self.verdict = Some(verdict);
        self.glanced = Instant::now();
        self.cost = began.elapsed();
        Ok(())
    }

    /// Takes new rows in; returns whether there were any. Fails if the file cannot be read.
    pub(super) fn tick(&mut self, now: i64) -> anyhow::Result<bool> {
        self.now = now;
        if self.reader.newest_series()? != self.newest_series {
            *self = Self::open(&self.path, self.range, now)?;
            return Ok(true);
        }
        let mut rows: Vec<SampleRow> = Vec::new();
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
        let span = self.span(now);
        let step = Duration::from_millis((span / i64::from(POINTS)).max(0) as u64);
        let rolled = span > OF_SAMPLES_MS;
        if rolled && self.built.is_none_or(|b| b.elapsed() > step) {
            self.load(now)?;
            changed = true;
        } else if changed && !rolled && self.built.is_none_or(|b| b.elapsed() >= step) {
            let oldest = now - span - overview::BEFORE_MS;
            for column in self.samples.values_mut() {
                let old = column.ts.partition_point(|t| *t < oldest);
                // Moving all of them down for one is not worth it.
                if old > column.ts.len() / 8 {
                    column.ts.drain(..old);
                    column.values.drain(..old);
                }
            }
            let width = self.width(now)?;
            self.lines = lines(&self.samples, &self.charts, now - span, now, width)?;
            self.build(now);
            // Current values are up to date; the last hours may be a minute old.
            for (glance, lines) in self.glances.iter_mut().zip(&self.lines) {
                let newest = lines.iter().map(|line| line.last);
                glance.now.iter_mut().zip(newest).for_each(|(now, last)| *now = last);
            }
        }
        if self.glanced.elapsed() > GLANCE.max(self.cost * PART) {
            self.status = current::gather(&self.path, &self.reader)?;
            self.index();
            self.judge(now)?;
            changed = true;
        }
        Ok(changed)
    }

    /// A chart by its id, as it is drawn.
    #[cfg(test)]
    pub(super) fn drawn_of(&self, id: &str) -> Option<draw::Chart> {
        let at = self.charts.iter().position(|c| c.id == id)?;
        self.drawn.get(at).cloned()
    }

    /// The chart of one series by its key.
    pub(super) fn one(&self, key: &str, now: i64) -> anyhow::Result<draw::Chart> {
        let reader = Reader::open(&self.path)?;
        let catalog = Catalog::default();
        let (from, limits) = (now - self.span(now), Limits::default());
        let ask = Ask { expression: key, from, to: now, points: POINTS, limits };
        Ok(draw::gather(&reader, &catalog, &ask)?)
    }
}

/// The lines of the charts, from samples that are kept or from the file.
fn lines(
    source: &impl overview::Source,
    charts: &[overview::Chart],
    from: i64,
    to: i64,
    width: i64,
) -> anyhow::Result<Vec<Vec<draw::Line>>> {
    let one = |line: &overview::Line| {
        let read = overview::read(source, line, from, to, width)?;
        Ok(draw::Line::of_columns(line.name.clone(), read, from, to))
    };
    charts.iter().map(|c| c.lines.iter().map(one).collect()).collect()
}
