//! model: the recorder: collectors write their readings to it, and after the first beat that
//! allocates nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::counter::Held;
use super::{Identity, KeyFilter, Kind, Labels, Pinned, Registry, Series, SeriesRef};

/// How far ahead in the list a series is searched that is not at its place. Beyond that, more than
/// one device has changed, and a look-up costs less.
const NEAR: usize = 256;
/// How many odd lines are reported in words; all are counted.
const MOST_TOLD: usize = 32;
/// No place in [`Recorder::held`]: a gauge.
const FREE: u32 = u32::MAX;

/// A metric that a collector can report: a row in the table at the top of its file.
#[derive(Debug)]
pub struct Metric {
    /// The series' name. A `*` in it stands for the part given to [`Recorder::put_part`].
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Base unit, or nothing.
    pub unit: &'static str,
    /// A description in one sentence; `*` as in the name.
    pub help: &'static str,
    /// The names of its labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
}

impl Metric {
    /// A metric that goes up and down.
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit, help, labels: &[] }
    }

    /// A metric that only grows.
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit, help, labels: &[] }
    }

    /// A metric with these labels.
    pub const fn by(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }
}

/// Takes readings and turns them into numbered samples. Counters go through [`Held`].
///
/// A collector reports the same series in the same order beat after beat, so the recorder keeps
/// the list of the last beat and compares instead of hashing: a pointer, and the label values.
/// Only a series at an unexpected place costs a look-up, and only a new one an allocation.
#[derive(Debug)]
pub struct Recorder {
    registry: Arc<Registry>,
    job: Arc<str>,
    filter: Arc<KeyFilter>,
    slots: Vec<Slot>,
    cursor: usize,
    /// The unused rest of the last beat's list, in reverse order, while a list is built that
    /// differs from it.
    rest: Vec<Slot>,
    samples: Vec<(SeriesRef, f64)>,
    /// The held counters. A slot of the list keeps its place here, so a counter that disappears and
    /// comes back finds its value again.
    held: Vec<Held>,
    places: HashMap<SeriesRef, u32>,
    /// Places in `held` whose series was forgotten.
    free: Vec<u32>,
    /// The registry's when `places` was last looked through.
    epoch: u64,
    /// The number of odd lines since it was last read.
    odd: u64,
    /// Marks of the odd lines that were reported, and the reports of new ones.
    marks: Vec<u64>,
    told: Vec<String>,
}

#[derive(Debug)]
struct Slot {
    metric: &'static Metric,
    part: Box<str>,
    values: Box<[Box<str>]>,
    /// `None`: the filter does not want it.
    series: Option<Pinned>,
    /// Its place in [`Recorder::held`]; [`FREE`] if it is no counter.
    held: u32,
}

impl Slot {
    fn is(&self, metric: &'static Metric, part: &str, values: &[&str]) -> bool {
        std::ptr::eq(self.metric, metric)
            && *self.part == *part
            && self.values.len() == values.len()
            && self.values.iter().zip(values).all(|(a, b)| **a == **b)
    }
}

impl Recorder {
    /// A recorder for one source; `job` becomes the label of that name.
    pub fn new(registry: Arc<Registry>, job: &str, filter: Arc<KeyFilter>) -> Self {
        Self {
            epoch: registry.epoch(),
            registry,
            job: job.into(),
            filter,
            slots: Vec::new(),
            cursor: 0,
            rest: Vec::new(),
            samples: Vec::new(),
            held: Vec::new(),
            places: HashMap::new(),
            free: Vec::new(),
            odd: 0,
            marks: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Takes over the counters of the recorder before this one, and does not report its odd lines
    /// again.
    pub fn after(mut self, before: Self) -> Self {
        (self.held, self.places, self.free) = (before.held, before.places, before.free);
        (self.epoch, self.marks) = (before.epoch, before.marks);
        self
    }

    /// Starts a beat, and drops the rest of the last one.
    pub fn begin(&mut self) {
        self.cursor = 0;
        self.rest.clear();
        self.samples.clear();
        if self.registry.epoch() != self.epoch {
            self.forget();
        }
    }

    /// Frees the counters of series that the registry has forgotten.
    #[cold]
    fn forget(&mut self) {
        self.epoch = self.registry.epoch();
        let Self { registry, places, held, free, .. } = self;
        let live = registry.live();
        places.retain(|series, place| {
            let stays = live.has(*series);
            if !stays && let Some(held) = held.get_mut(*place as usize) {
                *held = Held::default();
                free.push(*place);
            }
            stays
        });
    }

    /// Records a metric without labels.
    pub fn put(&mut self, metric: &'static Metric, value: f64) {
        self.put_part(metric, "", &[], value);
    }

    /// Records a metric with labels; `values` belong to `metric.labels`, in that order.
    pub fn put_with(&mut self, metric: &'static Metric, values: &[&str], value: f64) {
        self.put_part(metric, "", values, value);
    }

    /// Records a metric whose name has a variable part (`node_memory_*_bytes`).
    pub fn put_part(&mut self, metric: &'static Metric, part: &str, values: &[&str], value: f64) {
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        let at = match self.slots.get(self.cursor) {
            Some(slot) if slot.is(metric, part, values) => self.cursor,
            _ => self.place(metric, part, values),
        };
        self.cursor = at + 1;
        let Slot { series, held, .. } = &self.slots[at];
        if let Some(series) = series {
            let value = self.held.get_mut(*held as usize).map_or(value, |held| held.store(value));
            self.samples.push((series.number(), value));
        }
    }

    /// The number of a series that is in no table, under this recorder's job; nothing if it is not
    /// wanted. It costs a look-up, and is to be kept for [`Recorder::put_series`].
    pub fn series(&self, mut series: Series) -> Option<SeriesRef> {
        series.identity.job = self.job.clone();
        self.filter.wants(&series.identity.key()).then(|| self.registry.intern(series))
    }

    /// The value to store for a counter that reports `value`. For series without a metric in a
    /// table; costs a look-up.
    pub fn hold(&mut self, series: SeriesRef, value: f64) -> f64 {
        let place = self.hold_place(series);
        self.held.get_mut(place as usize).map_or(value, |held| held.store(value))
    }

    /// Records a value of a series that is known by its number.
    pub fn put_series(&mut self, series: SeriesRef, value: f64) {
        self.samples.push((series, value));
    }

    /// The key of a series.
    pub fn key(&self, series: SeriesRef) -> String {
        self.registry.get(series).map_or_else(String::new, |series| series.identity.key())
    }

    /// Keeps a series from being forgotten while it is not reported.
    pub fn pin(&self, series: SeriesRef) -> Option<Pinned> {
        self.registry.pin(series)
    }

    /// The readings since [`Recorder::begin`].
    pub fn samples(&self) -> &[(SeriesRef, f64)] {
        &self.samples
    }

    /// Counts a line that was not understood and is left out. It is reported in words once: `mark`
    /// stays the same for the same line.
    pub fn odd(&mut self, mark: u64, tell: impl FnOnce() -> String) {
        self.odd += 1;
        if self.marks.len() < MOST_TOLD && !self.marks.contains(&mark) {
            self.marks.push(mark);
            self.told.push(tell());
        }
    }

    /// How many lines were not understood since this was last asked.
    pub fn take_odd(&mut self) -> u64 {
        std::mem::take(&mut self.odd)
    }

    /// The reports of new odd lines, each once.
    pub fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// The place of a reading in the list: further on if a series before it has vanished, otherwise
    /// a new place. From here on the list is built again, so each series of the last beat is moved
    /// once, regardless of how many came and went.
    fn place(&mut self, metric: &'static Metric, part: &str, values: &[&str]) -> usize {
        let cursor = self.cursor;
        self.rest.extend(self.slots.drain(cursor..).rev());
        let ahead = self.rest.iter().rev().take(NEAR).position(|s| s.is(metric, part, values));
        let known = ahead.and_then(|ahead| {
            // The series in between have vanished (an unmounted disk, a removed device).
            self.rest.truncate(self.rest.len() - ahead);
            self.rest.pop()
        });
        let slot = known.unwrap_or_else(|| self.slot(metric, part, values));
        self.slots.push(slot);
        cursor
    }

    fn slot(&mut self, metric: &'static Metric, part: &str, values: &[&str]) -> Slot {
        let series = self.intern(metric, part, values);
        let held = match series.filter(|_| metric.kind == Kind::Counter) {
            Some(series) => self.hold_place(series),
            None => FREE,
        };
        let values = values.iter().map(|v| Box::from(*v)).collect();
        let series = series.and_then(|series| self.registry.pin(series));
        Slot { metric, part: part.into(), values, series, held }
    }

    fn hold_place(&mut self, series: SeriesRef) -> u32 {
        let Self { places, held, free, .. } = self;
        *places.entry(series).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                held.push(Held::default());
                (held.len() - 1) as u32
            })
        })
    }

    fn intern(&self, metric: &'static Metric, part: &str, values: &[&str]) -> Option<SeriesRef> {
        let labels = Labels::new(metric.labels.iter().copied().zip(values.iter().copied()));
        let identity = Identity::local(&self.job, &metric.name.replacen('*', part, 1), labels);
        if !self.filter.wants(&identity.key()) {
            return None;
        }
        Some(self.registry.intern(Series {
            identity,
            kind: metric.kind,
            unit: metric.unit.into(),
            help: metric.help.replacen('*', part, 1).into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BYTES: Metric = Metric::gauge("net_*_bytes", "bytes", "Bytes * seen.").by(&["device"]);
    static UP: Metric = Metric::gauge("up", "", "Whether.");

    fn recorder() -> (Arc<Registry>, Recorder) {
        let registry = Arc::new(Registry::default());
        (Arc::clone(&registry), Recorder::new(registry, "node", Arc::default()))
    }

    fn keys(registry: &Registry, recorder: &Recorder) -> Vec<String> {
        recorder
            .samples()
            .iter()
            .map(|(s, v)| format!("{} {v}", registry.get(*s).expect("known")))
            .collect()
    }

    #[test]
    fn series_that_come_and_go_keep_their_numbers() {
        let (registry, mut rec) = recorder();
        let beat = |rec: &mut Recorder, devices: &[&str]| {
            rec.begin();
            for d in devices {
                rec.put_part(&BYTES, "in", &[d], 1.0);
            }
            rec.put(&UP, 2.0);
            rec.samples().to_vec()
        };
        let first = beat(&mut rec, &["a", "b", "c"]);
        assert_eq!(
            keys(&registry, &rec),
            [
                "net_in_bytes{device=\"a\"} 1",
                "net_in_bytes{device=\"b\"} 1",
                "net_in_bytes{device=\"c\"} 1",
                "up 2"
            ]
        );
        assert_eq!(beat(&mut rec, &["a", "c"]), [first[0], first[2], first[3]]);
        assert_eq!(beat(&mut rec, &["c", "b", "a"]), [first[2], first[1], first[0], first[3]]);
        assert_eq!(registry.len(), 4);
        assert_eq!(&*registry.get(first[0].0).expect("known").help, "Bytes in seen.");
    }

    static SENT: Metric = Metric::counter("sent_total", "", "Sent.").by(&["device"]);

    #[test]
    fn a_counter_that_went_away_is_held_when_it_comes_back() {
        let (registry, mut rec) = recorder();
        let mut beat = |readings: &[(&str, f64)]| {
            rec.begin();
            readings.iter().for_each(|(device, v)| rec.put_with(&SENT, &[device], *v));
            rec.samples().iter().map(|(_, v)| *v).collect::<Vec<_>>()
        };
        assert_eq!(beat(&[("a", 9.0), ("b", 72.94)]), [9.0, 72.94]);
        // One CPU disappears, and its neighbour falls by a tick.
        assert_eq!(beat(&[("b", 72.93)]), [72.94]);
        assert_eq!(beat(&[("a", 8.0), ("b", 73.0)]), [9.0, 73.0]);
        // A counter that has begun again.
        assert_eq!(beat(&[("a", 1.0), ("b", 73.0)]), [1.0, 73.0]);
        let renewed = Recorder::new(registry, "node", Arc::default());
        let mut rec = renewed.after(rec);
        rec.begin();
        rec.put_with(&SENT, &["b"], 72.0);
        assert_eq!(rec.samples()[0].1, 73.0);
    }

    #[test]
    fn a_list_of_which_half_is_exchanged_is_put_together_in_order() {
        let (registry, mut rec) = recorder();
        let names =
            |range: std::ops::Range<u32>| range.map(|i| format!("d{i}")).collect::<Vec<_>>();
        let mut beat = |devices: &[String]| {
            rec.begin();
            devices.iter().for_each(|d| rec.put_with(&SENT, &[d], 5.0));
            keys(&registry, &rec)
        };
        let expected = |devices: &[String]| -> Vec<String> {
            devices.iter().map(|d| format!("sent_total{{device=\"{d}\"}} 5")).collect()
        };
        for devices in [names(0..2000), names(900..3000), names(0..3), names(1..2000)] {
            assert_eq!(beat(&devices), expected(&devices));
            assert_eq!(beat(&devices), expected(&devices));
        }
    }

    #[test]
    fn an_odd_line_is_told_once_and_counted_each_time() {
        let (_, mut rec) = recorder();
        for _ in 0..3 {
            rec.begin();
            rec.odd(7, || "line 7".into());
        }
        rec.odd(8, || "line 8".into());
        assert_eq!((rec.take_odd(), rec.take_told()), (4, vec!["line 7".into(), "line 8".into()]));
        rec.odd(7, || "line 7".into());
        assert_eq!((rec.take_odd(), rec.take_told().len()), (1, 0));
    }

    #[test]
    fn the_filter_goes_by_key() {
        let registry = Arc::new(Registry::default());
        let filter = KeyFilter { keep: vec![super::super::Glob::new("up")], drop: vec![] };
        let mut rec = Recorder::new(Arc::clone(&registry), "node", Arc::new(filter));
        rec.begin();
        rec.put(&UP, 1.0);
        rec.put_part(&BYTES, "in", &["a"], 1.0);
        assert_eq!(keys(&registry, &rec), ["up 1"]);
    }

    #[test]
    fn what_is_reported_is_not_forgotten_and_the_counter_of_what_is_goes() {
        static READ: Metric = Metric::counter("read_total", "", "Read.").by(&["device"]);
        let (registry, mut recorder) = recorder();
        let mut beat = |devices: &[&str], value| {
            recorder.begin();
            for device in devices {
                recorder.put_with(&READ, &[device], value);
            }
            (recorder.samples().to_vec(), recorder.places.len(), recorder.held.len())
        };
        let (samples, ..) = beat(&["veth1", "sda"], 5.0);
        beat(&["sda"], 6.0);
        registry.retire(|_| true);
        assert_eq!(registry.release(|_| true).len(), 1, "sda is pinned");
        assert_eq!(registry.get(samples[0].0), None);
        // Another device takes the place of the first; its counter begins at its own value.
        let (new, places, held) = beat(&["sda", "veth2"], 1.0);
        assert_eq!((places, held), (2, 2));
        assert_eq!(new[0].0, samples[1].0);
        assert_eq!(new[1], (registry.all()[0].0, 1.0));
    }
}
