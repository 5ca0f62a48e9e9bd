//! model: where a collector writes its readings, without allocating once it has seen its series.

use std::sync::Arc;

use super::{Identity, KeyFilter, Kind, Labels, Registry, Series, SeriesRef};

/// A metric that a collector can report: a row in the table at the top of its file.
#[derive(Debug)]
pub struct Metric {
    /// The series' name; one `*` in it stands for the part given to [`Recorder::put_part`].
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Base unit, or nothing.
    pub unit: &'static str,
    /// One sentence for people; `*` as in the name.
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

    /// The same with labels.
    pub const fn by(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }
}

/// Takes readings and turns them into numbered samples.
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
    samples: Vec<(SeriesRef, f64)>,
}

#[derive(Debug)]
struct Slot {
    metric: &'static Metric,
    part: Box<str>,
    values: Box<[Box<str>]>,
    /// `None`: the filter does not want it.
    series: Option<SeriesRef>,
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
            registry,
            job: job.into(),
            filter,
            slots: Vec::new(),
            cursor: 0,
            samples: Vec::new(),
        }
    }

    /// Starts a beat: what is left of the last one is forgotten.
    pub fn begin(&mut self) {
        self.cursor = 0;
        self.samples.clear();
    }

    /// One reading of a metric without labels.
    pub fn put(&mut self, metric: &'static Metric, value: f64) {
        self.put_part(metric, "", &[], value);
    }

    /// One reading; `values` belong to `metric.labels`, in that order.
    pub fn put_with(&mut self, metric: &'static Metric, values: &[&str], value: f64) {
        self.put_part(metric, "", values, value);
    }

    /// One reading of a metric whose name has a part that is known only here (`node_memory_*_bytes`).
    pub fn put_part(&mut self, metric: &'static Metric, part: &str, values: &[&str], value: f64) {
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        let at = match self.slots.get(self.cursor) {
            Some(slot) if slot.is(metric, part, values) => self.cursor,
            _ => self.place(metric, part, values),
        };
        self.cursor = at + 1;
        if let Some(series) = self.slots[at].series {
            self.samples.push((series, value));
        }
    }

    /// The number of a series that is in no table, under this recorder's job; nothing if it is not
    /// wanted. It costs a look-up, and is to be kept for [`Recorder::put_series`].
    pub fn series(&self, mut series: Series) -> Option<SeriesRef> {
        series.identity.job = self.job.clone();
        self.filter.wants(&series.identity.key()).then(|| self.registry.intern(series))
    }

    /// One reading of such a series.
    pub fn put_series(&mut self, series: SeriesRef, value: f64) {
        self.samples.push((series, value));
    }

    /// What a series is called.
    pub fn key(&self, series: SeriesRef) -> String {
        self.registry.get(series).identity.key()
    }

    /// The readings since [`Recorder::begin`].
    pub fn samples(&self) -> &[(SeriesRef, f64)] {
        &self.samples
    }

    /// Where the reading belongs in the list: further on if something vanished before it,
    /// otherwise it is inserted here.
    fn place(&mut self, metric: &'static Metric, part: &str, values: &[&str]) -> usize {
        let cursor = self.cursor;
        if let Some(ahead) = self.slots[cursor..].iter().position(|s| s.is(metric, part, values)) {
            // What lies between has vanished (an unmounted disk, a removed device).
            self.slots.drain(cursor..cursor + ahead);
            return cursor;
        }
        let series = self.intern(metric, part, values);
        let slot = Slot {
            metric,
            part: part.into(),
            values: values.iter().map(|v| Box::from(*v)).collect(),
            series,
        };
        self.slots.insert(cursor, slot);
        cursor
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
        recorder.samples().iter().map(|(s, v)| format!("{} {v}", registry.get(*s))).collect()
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
        assert_eq!(&*registry.get(first[0].0).help, "Bytes in seen.");
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
}
