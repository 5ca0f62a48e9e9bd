//! munin_node: the values of the collectors by the names of their series, at this or an earlier
//! moment. Values come in by a closure: no store in here.

use std::collections::HashMap;

use crate::collect::JOB;
use crate::model::{Registry, Series, SeriesRef};

/// The series of this machine's collectors, by name.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// How many series there had been, and the registry's epoch, when it was made.
    seen: Option<(u64, u64)>,
    by_name: HashMap<Box<str>, Vec<(SeriesRef, Series)>>,
}

impl Catalog {
    /// Builds the index again if series came or went.
    pub(super) fn update(&mut self, registry: &Registry) {
        let now = Some((registry.made(), registry.epoch()));
        if std::mem::replace(&mut self.seen, now) == now {
            return;
        }
        self.by_name.clear();
        for (number, series) in registry.all() {
            let id = &series.identity;
            if id.system.is_none() && *id.job == *JOB && id.name.starts_with("node_") {
                // A copy, because the registry does not forget a series while it is held.
                let list = self.by_name.entry(id.name.clone()).or_default();
                list.push((number, Series::clone(&series)));
            }
        }
    }

    /// All series.
    pub(super) fn all(&self) -> impl Iterator<Item = &(SeriesRef, Series)> {
        self.by_name.values().flatten()
    }
}

/// Values of one moment.
pub(super) struct Picture<'a> {
    pub(super) catalog: &'a Catalog,
    /// The value of a series; `None` if it has none (any more).
    pub(super) value: &'a dyn Fn(SeriesRef) -> Option<f64>,
    /// Ms since 1970 UTC.
    pub(super) now: i64,
}

impl Picture<'_> {
    fn list(&self, name: &str) -> &[(SeriesRef, Series)] {
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

    /// The sum of all series with this label; see [`Picture::one`].
    pub(super) fn sum(&self, name: &str, label: &str, is: &str) -> Option<f64> {
        let fitting = |s: &&(SeriesRef, Series)| s.1.identity.labels.get(label) == Some(is);
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
        self.list(name).iter().filter_map(|(n, series)| Some((series, (self.value)(*n)?)))
    }
}
