//! query: the file as a source of samples: series by their labels, samples in full resolution.

use std::sync::Arc;

use hashbrown::HashMap;

use super::matcher::{Matcher, NAME};
use super::source::{Columns, Selection, SeriesSet, Source, SourceError};
use crate::model::Labels;
use crate::store::{Picture, Plain, Reader, SqlError};

impl From<SqlError> for SourceError {
    fn from(e: SqlError) -> Self {
        SourceError(e.to_string())
    }
}

/// The series of a file by their labels; `instance` is the system, `job` where it came from. Does
/// not change; [`Catalog::is_current`] tells when there are more.
#[derive(Debug, Default)]
pub struct Catalog {
    /// In the order of the labels; two files never have the same ones.
    series: Vec<(Arc<Labels>, i64)>,
    by_name: HashMap<Box<str>, Vec<usize>>,
    newest: i64,
}

impl Catalog {
    /// Reads the names of all series.
    pub fn read(reader: &Reader) -> Result<Self, SqlError> {
        let newest = reader.newest_series()?;
        let known = reader.series()?;
        let mut series: Vec<(Arc<Labels>, i64)> = known
            .into_iter()
            .map(|known| {
                let own: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(&known.labels).unwrap_or_default();
                let text = |value: serde_json::Value| match value {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                let pairs = own.into_iter().map(|(name, value)| (name, text(value))).chain([
                    (NAME.to_owned(), known.name),
                    ("instance".to_owned(), known.system),
                    ("job".to_owned(), known.job),
                ]);
                (Arc::new(Labels::new(pairs)), known.id)
            })
            .collect();
        series.sort();
        series.dedup_by(|later, first| later.0 == first.0);
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (at, (labels, _)) in series.iter().enumerate() {
            let name = labels.get(NAME).unwrap_or_default();
            by_name.entry(name.into()).or_default().push(at);
        }
        Ok(Self { series, by_name, newest })
    }

    /// Whether the file has no series beside these.
    pub fn is_current(&self, reader: &Reader) -> Result<bool, SqlError> {
        Ok(reader.newest_series()? == self.newest)
    }

    /// The series that match, in the order of their labels: labels and number in the file.
    pub fn matching(&self, matchers: &[Matcher]) -> Vec<&(Arc<Labels>, i64)> {
        let fits = |labels: &Labels| {
            matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()))
        };
        let names = matchers.iter().filter(|m| m.name() == NAME).find_map(Matcher::listed);
        let Some(names) = names else {
            return self.series.iter().filter(|(labels, _)| fits(labels)).collect();
        };
        let listed = names.into_iter().filter_map(|name| self.by_name.get(name));
        let mut places: Vec<usize> = listed.flatten().copied().collect();
        places.sort_unstable();
        places.iter().map(|at| &self.series[*at]).filter(|(labels, _)| fits(labels)).collect()
    }
}

/// A file at one moment.
#[derive(Debug)]
pub struct StoreSource<'a> {
    picture: Picture<'a>,
    catalog: &'a Catalog,
}

impl<'a> StoreSource<'a> {
    /// What is in the file now, by the names of the catalog.
    pub fn new(reader: &'a Reader, catalog: &'a Catalog) -> Result<Self, SqlError> {
        Ok(Self { picture: reader.picture()?, catalog })
    }
}

impl Source for StoreSource<'_> {
    fn select(&self, selection: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError> {
        let found = self.catalog.matching(selection.matchers);
        let (labels, ids): (Vec<_>, Vec<_>) =
            found.into_iter().map(|(labels, id)| (Arc::clone(labels), *id)).unzip();
        let (start, end) = (selection.start, selection.end);
        let plain = self.picture.plain(&ids, start, end)?;
        Ok(Box::new(StoreSet { picture: &self.picture, labels, ids, start, end, plain }))
    }
}

struct StoreSet<'a> {
    picture: &'a Picture<'a>,
    labels: Vec<Arc<Labels>>,
    ids: Vec<i64>,
    start: i64,
    end: i64,
    plain: Option<Plain>,
}

impl SeriesSet for StoreSet<'_> {
    fn labels(&self) -> &[Arc<Labels>] {
        &self.labels
    }

    fn read(&mut self, series: usize, into: &mut Columns) -> Result<(), SourceError> {
        into.clear();
        let Some(id) = self.ids.get(series) else { return Ok(()) };
        let plain = self.plain.as_mut();
        let (times, values) = (&mut into.times, &mut into.values);
        self.picture.samples(*id, self.start, self.end, plain, times, values)?;
        Ok(())
    }
}
