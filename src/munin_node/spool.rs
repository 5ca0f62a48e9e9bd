//! munin_node: the values that a master missed, from the store: for each plugin the description of
//! its fields, and a value with its time for each five minutes, as the master draws them. In
//! Munin's format of a spool: `multigraph NAME`, the answer to `config`, `field.value EPOCH:VALUE`.
//!
//! Of a DERIVE that may fall, the rate is stored, from which the value cannot be restored: these
//! fields are left out. An hour is read at a time, less where there are many series, up to a day with
//! values; the master comes again for more.

use std::collections::HashMap;
use std::fmt::Write;

use super::Node;
use super::own::{History, Own};
use super::picture::{Catalog, Picture};
use crate::model::{Kind, SeriesRef, write_key};
use crate::store::block::Column;
use crate::store::{Known, Reader};
use crate::wire::munin::{Described, Part, Type, identity, relay};

/// Munin's own beat.
const STEP_MS: i64 = 300_000;
/// Read at once, of so many series: of more of them a shorter time, so that memory has a bound.
const PIECE_MS: i64 = 3_600_000;
const PIECE_SERIES: i64 = 2_000;
/// The age of the oldest value, as in munin-asyncd.
const OLDEST_MS: i64 = 7 * 86_400_000;
/// Time of pieces that hold anything, in one answer.
const MOST_MS: i64 = 24 * PIECE_MS;

/// The reason why there is no spool.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The identity of a series in the store: system (`None` is this one), job and key.
type Place = (Option<String>, String, String);

/// How far a spool is read.
pub(super) struct Spool {
    /// The next piece begins here, ms since 1970 UTC, and the last one ends there.
    from: i64,
    until: i64,
    /// How long a piece is, and the time of those with values so far, ms.
    piece: i64,
    told: i64,
    /// The names of all of it, because reading takes a while.
    catalog: Catalog,
    places: Option<HashMap<Place, i64>>,
}

impl Node {
    /// All values newer than `since`, in seconds since 1970 UTC.
    pub(super) fn spool(&self, since: i64) -> Spool {
        let until = self.from.clock.wall_ms();
        let from = since.saturating_mul(1_000).max(until - OLDEST_MS);
        let mut catalog = Catalog::default();
        catalog.update(&self.from.registry);
        let piece = piece_ms(catalog.all().count());
        Spool { from, until, piece, told: 0, catalog, places: None }
    }

    /// Reads the next piece, which may be empty; `None` at the end. Each piece has a reader of its
    /// own, which would otherwise keep the log from being emptied while the master takes its time.
    pub(super) fn next_piece(&self, spool: &mut Spool) -> Result<Option<Vec<u8>>, Failure> {
        if spool.from >= spool.until || spool.told >= MOST_MS {
            return Ok(None);
        }
        let (from, piece) = (spool.from, spool.piece);
        let to = spool.until.min(from - from.rem_euclid(piece) + piece);
        let catalog = &spool.catalog;
        let known = &mut spool.places;
        let text = self.from.desk.files().with_reader(|reader, _| {
            if known.is_none() {
                *known = Some(reader.series()?.into_iter().map(place).collect());
            }
            let mut text = String::new();
            if let Some(places) = known {
                self.own_spool(reader, places, catalog, (from, to), &mut text)?;
                self.plugin_spool(reader, places, (from, to), &mut text)?;
            }
            Ok::<_, Failure>(text)
        })?;
        spool.told += if text.is_empty() { 0 } else { piece };
        spool.from = to;
        Ok(Some(text.into_bytes()))
    }

    /// The collectors as plugins.
    fn own_spool(
        &self,
        reader: &Reader,
        places: &HashMap<Place, i64>,
        catalog: &Catalog,
        (from, to): (i64, i64),
        out: &mut String,
    ) -> Result<(), Failure> {
        let mut numbers: Vec<(i64, SeriesRef)> = Vec::new();
        for (number, series) in catalog.all() {
            let id = &series.identity;
            let at = (None, String::from(&*id.job), id.key());
            numbers.extend(places.get(&at).map(|row| (*row, *number)));
        }
        numbers.sort_unstable_by_key(|(row, _)| *row);
        let mut columns: Vec<Column> =
            numbers.iter().map(|(row, _)| Column { series: *row, ..Column::default() }).collect();
        let grid = from - from.rem_euclid(STEP_MS);
        // Rates of disks need the moment before the first.
        reader.columns(grid - STEP_MS, to, &mut columns)?;
        let by_number: HashMap<SeriesRef, &Column> =
            numbers.iter().zip(&columns).map(|((_, number), column)| (*number, column)).collect();
        let mut disks = History::default();
        let mut pieces: Vec<(String, String)> = Vec::new();
        for now in (grid..=to).step_by(STEP_MS as usize) {
            let value = |series: SeriesRef| {
                let column = by_number.get(&series)?;
                let end = column.ts.partition_point(|ts| *ts <= now);
                let at = end.checked_sub(1)?;
                let fresh = *column.ts.get(at)? > now - STEP_MS;
                column.values.get(at).copied().filter(|v| fresh && v.is_finite())
            };
            let picture = Picture { catalog, value: &value, now };
            let mut own = Own { picture, sys: &self.from.sys, disks: &mut disks };
            for name in own.names() {
                if self.from.shelf.has(&name) {
                    continue;
                }
                let Some(values) = own.values(&name) else { continue };
                if now <= from {
                    continue;
                }
                let timed = timed(&values, now);
                if timed.is_empty() {
                    continue;
                }
                match pieces.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, text)) => text.push_str(&timed),
                    None => {
                        let config = own.config(&name).unwrap_or_default();
                        pieces.push((name.clone(), begun(&name, &config) + &timed));
                    }
                }
            }
        }
        for (_, text) in pieces {
            out.push_str(&text);
        }
        Ok(())
    }

    /// The spool of plugins, by their current description.
    fn plugin_spool(
        &self,
        reader: &Reader,
        places: &HashMap<Place, i64>,
        (from, to): (i64, i64),
        out: &mut String,
    ) -> Result<(), Failure> {
        for (name, host) in self.from.shelf.names() {
            let Some(said) = self.from.shelf.get(&name) else { continue };
            let mut config = Vec::new();
            relay(&said.config, Part::Config, true, &mut config);
            let described = Described::read(&name, &config);
            let mut text = String::new();
            for graph in &described.graphs {
                let mut lines = String::new();
                for field in &graph.fields {
                    if field.kind == Type::Derive && field.series_kind() == Kind::Gauge {
                        continue;
                    }
                    let id = identity(&name, &graph.name, &field.name);
                    let at = (host.as_deref().map(str::to_owned), String::from(&*id.job), {
                        let mut key = String::new();
                        write_key(&mut key, &id.name, id.labels.iter());
                        key
                    });
                    let Some(row) = places.get(&at) else { continue };
                    // A sum is reported by its increase.
                    let before = if field.kind == Type::Absolute { 2 * STEP_MS } else { 0 };
                    let (ts, values) = reader.samples(*row, from - before, to)?;
                    write_field(&mut lines, &field.written, field.kind, from, &ts, &values);
                }
                if !lines.is_empty() {
                    let _unused = writeln!(text, "multigraph {}", service(&graph.name, &name));
                    text.push_str(&lines);
                }
            }
            if !text.is_empty() {
                out.push_str(&begun(&name, &String::from_utf8_lossy(&config)));
                out.push_str(&text);
            }
        }
        Ok(())
    }
}

/// How long a time of so many series is read at once.
fn piece_ms(series: usize) -> i64 {
    let series = i64::try_from(series).unwrap_or(i64::MAX).max(PIECE_SERIES);
    let fits = (PIECE_MS / STEP_MS).saturating_mul(PIECE_SERIES) / series;
    fits.max(1) * STEP_MS
}

fn place(known: Known) -> (Place, i64) {
    let system = (known.system_id != 1).then(|| known.system.to_ascii_lowercase());
    ((system, known.job, known.key), known.id)
}

/// Munin squeezes the names of plugins, and not those of graphs.
fn service(graph: &str, plugin: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if graph != plugin {
        return graph.to_owned();
    }
    graph.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

/// The first lines of a plugin's part.
fn begun(plugin: &str, config: &str) -> String {
    if config.starts_with("multigraph ") {
        return config.to_owned();
    }
    format!("multigraph {}\n{config}", service(plugin, plugin))
}

/// Values with their time; unknown ones are left out.
fn timed(values: &str, now: i64) -> String {
    let mut out = String::new();
    let mut graph = None;
    for line in values.lines() {
        if line.starts_with("multigraph ") {
            graph = Some(line);
            continue;
        }
        let Some((field, value)) = line.split_once(' ').filter(|(_, value)| *value != "U") else {
            continue;
        };
        if let Some(graph) = graph.take() {
            let _unused = writeln!(out, "{graph}");
        }
        let _unused = writeln!(out, "{field} {}:{value}", now / 1_000);
    }
    out
}

/// Writes the last sample of each step, in the plugin's own terms.
fn write_field(out: &mut String, field: &str, kind: Type, from: i64, ts: &[i64], values: &[f64]) {
    let mut before = None;
    let samples: Vec<(i64, f64)> =
        ts.iter().copied().zip(values.iter().copied()).filter(|(_, v)| v.is_finite()).collect();
    for (at, (ts, value)) in samples.iter().enumerate() {
        let next = samples.get(at + 1).map(|(ts, _)| *ts);
        // Within a step the last sample counts.
        if next.is_some_and(|next| next.div_euclid(STEP_MS) == ts.div_euclid(STEP_MS)) {
            continue;
        }
        let told = match (kind, before.replace(*value)) {
            (Type::Gauge, _) => Some(format!("{value}")),
            (Type::Derive | Type::Counter, _) => Some(format!("{:.0}", value.max(0.0))),
            // A sum that begins again has grown by its new value.
            (Type::Absolute, Some(before)) if *value < before => Some(format!("{value}")),
            (Type::Absolute, Some(before)) => Some(format!("{}", value - before)),
            (Type::Absolute, None) => None,
        };
        if let Some(told) = told.filter(|_| *ts > from) {
            let _unused = writeln!(out, "{field}.value {}:{told}", ts / 1_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_step_with_its_time() {
        let told = |kind, from: i64, samples: &[(i64, f64)]| {
            let (ts, values): (Vec<i64>, Vec<f64>) =
                samples.iter().map(|(s, v)| (s * 1_000, *v)).unzip();
            let mut out = String::new();
            write_field(&mut out, "a", kind, from * 1_000, &ts, &values);
            out
        };
        let samples = [(10, 1.5), (290, 2.5), (300, 3.5), (610, f64::NAN), (620, 9.0)];
        assert_eq!(
            told(Type::Gauge, 0, &samples),
            "a.value 290:2.5\na.value 300:3.5\na.value 620:9\n"
        );
        assert_eq!(told(Type::Derive, 300, &samples), "a.value 620:9\n");
        assert_eq!(told(Type::Absolute, 0, &samples), "a.value 300:1\na.value 620:5.5\n");
        assert_eq!(told(Type::Absolute, 0, &[(1, 5.0), (301, 2.0)]), "a.value 301:2\n");
    }

    #[test]
    fn of_many_series_a_shorter_time_is_read_at_once() {
        assert_eq!([0, 224, 2_000].map(piece_ms), [PIECE_MS; 3]);
        assert_eq!([4_000, 10_000].map(piece_ms), [PIECE_MS / 2, 2 * STEP_MS]);
        assert_eq!([34_000, usize::MAX].map(piece_ms), [STEP_MS; 2]);
    }

    #[test]
    fn values_get_a_time_and_unknown_ones_vanish() {
        let values = "multigraph a\nx.value U\nmultigraph b\nx.value 1\ny.value 2\n";
        assert_eq!(timed(values, 7_000), "multigraph b\nx.value 7:1\ny.value 7:2\n");
        assert_eq!(begun("if_eth0.1", "graph_title x\n"), "multigraph if_eth0_1\ngraph_title x\n");
        assert_eq!(begun("disks", "multigraph d\n"), "multigraph d\n");
    }
}
