//! munin_node: what the collectors measured, by the names of their series: now, or at one moment of
//! before. Values come in by a closure: no store in here.

use std::collections::HashMap;
use std::sync::Arc;

use crate::collect::JOB;
use crate::model::{Registry, Series, SeriesRef};

/// The series of this machine's collectors, by name. Names are never given back, so this only grows.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    seen: u32,
    by_name: HashMap<Box<str>, Vec<(SeriesRef, Arc<Series>)>>,
}

impl Catalog {
    /// Takes in what is new.
    pub(super) fn update(&mut self, registry: &Registry) {
        let end = u32::try_from(registry.len()).unwrap_or(u32::MAX);
        for number in self.seen..end {
            let series = registry.get(SeriesRef(number));
            let id = &series.identity;
            if id.system.is_none() && *id.job == *JOB && id.name.starts_with("node_") {
                let list = self.by_name.entry(id.name.clone()).or_default();
                list.push((SeriesRef(number), series));
            }
        }
        self.seen = end;
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &(SeriesRef, Arc<Series>)> {
        self.by_name.values().flatten()
    }
}

/// Values of one moment.
pub(super) struct Picture<'a> {
    pub(super) catalog: &'a Catalog,
    /// The value of a series; nothing: there is none (any more).
    pub(super) value: &'a dyn Fn(SeriesRef) -> Option<f64>,
    /// Ms since 1970 UTC.
    pub(super) now: i64,
}

impl Picture<'_> {
    fn list(&self, name: &str) -> &[(SeriesRef, Arc<Series>)] {
        self.catalog.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// A metric without labels. Nothing: this machine has none. NaN: it has, but not now.
    pub(super) fn one(&self, name: &str) -> Option<f64> {
        let (series, _) = self.list(name).first()?;
        Some((self.value)(*series).unwrap_or(f64::NAN))
    }

    /// A field of /proc/meminfo, in bytes; as [`Picture::one`].
    pub(super) fn memory(&self, field: &str) -> Option<f64> {
        self.one(&format!("node_memory_{field}_bytes"))
    }

    /// All with this label, summed up; as [`Picture::one`].
    pub(super) fn sum(&self, name: &str, label: &str, is: &str) -> Option<f64> {
        let fitting = |s: &&(SeriesRef, Arc<Series>)| s.1.identity.labels.get(label) == Some(is);
        let mut found = None;
        let mut known = false;
        for (series, _) in self.list(name).iter().filter(fitting) {
            known = true;
            if let Some(value) = (self.value)(*series) {
                found = Some(found.unwrap_or(0.0) + value);
            }
        }
        found.or(known.then_some(f64::NAN))
    }

    /// Those that have a value now, each with its labels.
    pub(super) fn each(&self, name: &str) -> impl Iterator<Item = (&Series, f64)> {
        self.list(name).iter().filter_map(|(n, series)| Some((&**series, (self.value)(*n)?)))
    }
}
