//! store: the names of the series of a damaged database, put together from all that is left of
//! them.

use hashbrown::HashMap;
use rusqlite::types::Value;

use super::carve::{Carver, Row, Table};
use crate::model::{Identity, Kind, parse_key};
use crate::store::texts::dictionary::{labels_json, labels_of};

/// A row of `series_dict`.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) id: i64,
    pub(super) system: i64,
    pub(super) job: String,
    pub(super) name: String,
    pub(super) labels: String,
    pub(super) key: String,
    pub(super) kind: String,
    pub(super) unit: String,
    pub(super) help: String,
}

/// Every series of which enough is left. A series is written down three times, in its row and in
/// two indexes: what one of them lacks, or has wrong, the others tell.
pub(super) fn names(carver: &Carver) -> Vec<Name> {
    let keys: HashMap<i64, String> = (carver.all(Table::SeriesByKey).into_iter())
        .filter_map(|row| match row.values.as_slice() {
            [Value::Text(key), Value::Integer(id)] => Some((*id, key.clone())),
            _ => None,
        })
        .collect();
    let mut names: HashMap<i64, Name> = HashMap::new();
    for name in carver.all(Table::Series).into_iter().filter_map(by_row) {
        names.entry(name.id).or_insert(name);
    }
    for entry in carver.all(Table::SeriesUnique) {
        let Some(mut other) = by_entry(entry, &keys) else { continue };
        match names.get_mut(&other.id) {
            Some(name) if !name.fits() && other.fits() => {
                (other.kind, other.unit, other.help) =
                    (name.kind.clone(), name.unit.clone(), name.help.clone());
                *name = other;
            }
            Some(_) => {}
            None => drop(names.insert(other.id, other)),
        }
    }
    for (id, key) in keys {
        // The number must stay taken, or a new series would get the old one's samples.
        names.entry(id).or_insert_with(|| {
            let (name, labels) = parse_key(&key);
            Name {
                id,
                system: 1,
                job: "salvaged".to_owned(),
                kind: Kind::guess(&name).as_str().to_owned(),
                labels: labels_json(&labels),
                name,
                key,
                unit: String::new(),
                help: String::new(),
            }
        });
    }
    names.into_values().filter(|name| name.id > 0).collect()
}

impl Name {
    /// Whether name and labels make the key.
    fn fits(&self) -> bool {
        let labels = labels_of(&self.labels);
        labels.is_some_and(|l| Identity::local(&self.job, &self.name, l).key() == self.key)
    }
}

fn by_row(row: Row) -> Option<Name> {
    let [_, Value::Integer(system), texts @ ..] = row.values.as_slice() else { return None };
    let text = |i: usize| match texts.get(i) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let name = text(1)?;
    let kind = text(4).filter(|k| k == "gauge" || k == "counter");
    Some(Name {
        id: row.rowid,
        system: *system,
        job: text(0)?,
        labels: text(2)?,
        key: text(3)?,
        kind: kind.unwrap_or_else(|| Kind::guess(&name).as_str().to_owned()),
        unit: text(5)?,
        help: text(6)?,
        name,
    })
}

fn by_entry(entry: Row, keys: &HashMap<i64, String>) -> Option<Name> {
    let [
        Value::Integer(system),
        Value::Text(job),
        Value::Text(name),
        Value::Text(labels),
        Value::Integer(id),
    ] = entry.values.as_slice()
    else {
        return None;
    };
    Some(Name {
        id: *id,
        system: *system,
        job: job.clone(),
        name: name.clone(),
        labels: labels.clone(),
        key: keys.get(id).cloned().unwrap_or_else(|| name.clone()),
        kind: Kind::guess(name).as_str().to_owned(),
        unit: String::new(),
        help: String::new(),
    })
}
