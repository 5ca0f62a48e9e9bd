//! store: from a series of this process to its row in `series_dict`, found or made once.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::SqlError;
use crate::model::{Identity, Labels, Registry, Series, SeriesRef, parse_key};
use crate::pipeline::Names;

/// Row ids by series number, and by key for what SQL clients insert.
#[derive(Debug)]
pub(super) struct Dictionary {
    registry: Arc<Registry>,
    /// 0: not looked up yet.
    ids: Vec<i64>,
    by_key: hashbrown::HashMap<Box<str>, i64, foldhash::quality::RandomState>,
    /// How many names senders may bring, all of them together.
    allowed: Arc<Names>,
    /// Places taken since the last commit.
    taken: u64,
}

/// How many keys that nobody knows may come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Room {
    /// As many as there are places for what senders bring.
    Shared,
    /// So many, and nobody else's business.
    Own(usize),
}

impl Dictionary {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            ids: Vec::new(),
            by_key: hashbrown::HashMap::default(),
            allowed: Arc::default(),
            taken: 0,
        }
    }

    /// Counts names together with others from now on.
    pub(super) fn share(&mut self, allowed: Arc<Names>) {
        self.allowed = allowed;
    }

    /// Rows made in a transaction that was rolled back are not there.
    pub(super) fn forget(&mut self) {
        self.ids.clear();
        self.by_key.clear();
        self.allowed.give_back(std::mem::take(&mut self.taken));
    }

    /// What was made is on disk.
    pub(super) fn committed(&mut self) {
        self.taken = 0;
    }

    /// The row of a series; made if it is new.
    #[inline]
    pub(super) fn id(&mut self, conn: &Connection, series: SeriesRef) -> Result<i64, SqlError> {
        if let Some(id) = self.ids.get(series.0 as usize).filter(|id| **id != 0) {
            return Ok(*id);
        }
        let id = find_or_make(conn, &self.registry.get(series))?;
        let at = series.0 as usize;
        if at >= self.ids.len() {
            self.ids.resize(at + 1, 0);
        }
        self.ids[at] = id;
        Ok(id)
    }

    /// Whether a key means a series that is there.
    pub(super) fn knows(&self, conn: &Connection, key: &str, job: &str) -> Result<bool, SqlError> {
        let here = "SELECT EXISTS (SELECT 1 FROM series_dict WHERE key = ?1 AND system_id = 1)";
        Ok(self.by_key.contains_key(key)
            || conn.prepare_cached(here)?.query_row([key], |r| r.get(0))?
            || find(conn, &named(conn, key, job)?)?.is_some())
    }

    /// The row that a key means on this machine: a known series with that key (a built-in one
    /// first), otherwise a new one with this job. `None`: there is no room for a new one.
    pub(super) fn id_of_key(
        &mut self,
        conn: &Connection,
        key: &str,
        job: &str,
        room: Room,
    ) -> Result<Option<i64>, SqlError> {
        if let Some(id) = self.by_key.get(key) {
            return Ok(Some(*id));
        }
        let known = conn
            .prepare_cached(
                "SELECT id FROM series_dict WHERE key = ?1 AND system_id = 1
                 ORDER BY job <> 'node', id LIMIT 1",
            )?
            .query_row([key], |row| row.get(0))
            .optional()?;
        let identity = || named(conn, key, job);
        let id = match known.map_or_else(|| find(conn, &identity()?), |id| Ok(Some(id)))? {
            Some(id) => id,
            None => {
                match room {
                    Room::Shared if self.allowed.take() => self.taken += 1,
                    Room::Own(most) if self.by_key.len() < most => {}
                    _ => return Ok(None),
                }
                find_or_make(conn, &Series::undescribed(identity()?))?
            }
        };
        // A cache: what is in the file already, and does not fit, costs a look-up each time.
        let most = match room {
            Room::Shared => usize::try_from(self.allowed.most()).unwrap_or(usize::MAX),
            Room::Own(most) => most,
        };
        if self.by_key.len() < most {
            self.by_key.insert(key.into(), id);
        }
        Ok(Some(id))
    }
}

/// What a key means. The labels `instance` and `job`, which an export writes for the series of other
/// machines, name the machine and where the series came from. Without them it is one of this machine,
/// with the job that is given.
pub(super) fn named(conn: &Connection, key: &str, job: &str) -> Result<Identity, SqlError> {
    let (name, labels) = parse_key(key);
    let label = |name| labels.get(name).filter(|value| !value.is_empty());
    let (instance, told) = (label("instance"), label("job"));
    if instance.is_none() && told.is_none() {
        return Ok(Identity::local(job, &name, labels));
    }
    let own: Option<String> = conn
        .prepare_cached("SELECT name FROM system_dict WHERE id = 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let rest = labels.iter().filter(|(name, _)| *name != "instance" && *name != "job");
    Ok(Identity {
        system: instance.filter(|i| own.as_deref() != Some(*i)).map(Into::into),
        ..Identity::local(told.unwrap_or(job), &name, Labels::new(rest))
    })
}

/// The row of a series that is known.
fn find(conn: &Connection, identity: &Identity) -> Result<Option<i64>, SqlError> {
    let Identity { system, job, name, labels } = identity;
    conn.prepare_cached(
        "SELECT id FROM series_dict
         WHERE system_id = CASE WHEN ?1 IS NULL THEN 1
                                ELSE (SELECT id FROM system_dict WHERE name = ?1) END
         AND job = ?2 AND name = ?3 AND labels = ?4",
    )?
    .query_row(params![system, job, name, labels_json(labels)], |row| row.get(0))
    .optional()
}

/// The row of a series; made if it is new.
pub(super) fn find_or_make(conn: &Connection, series: &Series) -> Result<i64, SqlError> {
    if let Some(id) = find(conn, &series.identity)? {
        return Ok(id);
    }
    let Identity { system, job, name, labels } = &series.identity;
    let system_id = match system {
        None => 1,
        Some(system) => system_id(conn, system)?,
    };
    let labels = labels_json(labels);
    conn.prepare_cached(
        "INSERT INTO series_dict (system_id, job, name, labels, key, kind, unit, help)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .insert(params![
        system_id,
        job,
        name,
        labels,
        series.identity.key(),
        series.kind.as_str(),
        series.unit,
        series.help
    ])
}

pub(super) fn system_id(conn: &Connection, system: &str) -> Result<i64, SqlError> {
    let known = conn
        .prepare_cached("SELECT id FROM system_dict WHERE name = ?1")?
        .query_row([system], |row| row.get(0))
        .optional()?;
    match known {
        Some(id) => Ok(id),
        None => conn.prepare_cached("INSERT INTO system_dict (name) VALUES (?1)")?.insert([system]),
    }
}

/// `{"device":"sda"}`, sorted by name: one text for one set of labels.
pub(super) fn labels_json(labels: &Labels) -> String {
    let map: serde_json::Map<String, serde_json::Value> =
        labels.iter().map(|(n, v)| (n.to_owned(), v.into())).collect();
    serde_json::Value::Object(map).to_string()
}
