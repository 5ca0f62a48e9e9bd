//! store: from a series of this process to its row in `series_dict`, found or made once.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::{Identity, Labels, Registry, Released, Series, SeriesRef, parse_key};
use crate::pipeline::{Full, Names, Reason, Taken, check_name, file_bytes_of};
use crate::store::SqlError;

/// Row ids by series number, and by key for what SQL clients insert.
#[derive(Debug)]
pub(in crate::store) struct Dictionary {
    registry: Arc<Registry>,
    /// By the series' places.
    ids: Vec<Row>,
    /// Counts the times that series were looked through for what is not written any more.
    sweep: u32,
    by_key: hashbrown::HashMap<Box<str>, i64, foldhash::quality::RandomState>,
    systems: Systems,
    /// Bytes of these keys.
    key_bytes: usize,
    /// Bytes of the file that names may still take, and what they take and may; `None`: not counted.
    room: Option<Left>,
    /// Whether rows were made since they were counted.
    made: bool,
    /// Bytes of the rows that were made since somebody asked.
    new_bytes: u64,
    /// How many names senders may bring, all of them together.
    allowed: Arc<Names>,
    /// Places taken since the last commit.
    taken: Vec<Taken>,
}

/// What is known of a series.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    /// 0: not looked up yet. [`REFUSED`]: there was no room for it.
    id: i64,
    /// Of the series that this is about; see [`SeriesRef`].
    generation: u32,
    /// The sweep after which it was written last.
    written: u32,
}

/// No row has this number.
const REFUSED: i64 = i64::MIN;
/// Keys that are kept as they were sent, all together; those beyond it are looked up each time.
const KEY_BYTES: usize = 8 << 20;

/// A series that was not written during so many sweeps is forgotten. The writer makes one a minute. As
/// long after the start, names of the file that were not sent since give their places back.
const IDLE_SWEEPS: u32 = 5;

/// The pages that the row of a name and its two entries in indexes change, each split into two: in the
/// log and in the file.
const NAME_PAGES: u64 = 40_000;

/// What is left of the file for names.
#[derive(Debug, Clone, Copy)]
struct Left {
    bytes: u64,
    taken: u64,
    budget: u64,
}

/// How many keys that nobody knows may come.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Room {
    /// As many as there are places for what senders bring.
    Shared,
    /// This many places, which are not shared with anybody.
    Own(usize),
}

impl Dictionary {
    pub(in crate::store) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            ids: Vec::new(),
            sweep: 0,
            by_key: hashbrown::HashMap::default(),
            systems: Systems::default(),
            key_bytes: 0,
            room: None,
            made: false,
            new_bytes: 0,
            allowed: Arc::default(),
            taken: Vec::new(),
        }
    }

    /// Counts names together with others from now on. The file is counted once more for them.
    pub(in crate::store) fn share(&mut self, allowed: Arc<Names>) {
        self.allowed = allowed;
        self.room = None;
    }

    /// The series of this process.
    pub(in crate::store) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everybody's bounds on names.
    pub(in crate::store) fn allowed(&self) -> &Arc<Names> {
        &self.allowed
    }

    /// The numbers of machines.
    pub(in crate::store) fn systems(&mut self) -> &mut Systems {
        &mut self.systems
    }

    /// Rows made in a transaction that was rolled back are not there.
    pub(in crate::store) fn forget(&mut self) {
        self.ids.clear();
        self.by_key.clear();
        self.systems = Systems::default();
        self.key_bytes = 0;
        self.room = None;
        self.allowed.give_back(std::mem::take(&mut self.taken));
    }

    /// What was made is on disk. Whether there was anything: then names are to be counted.
    pub(in crate::store) fn committed(&mut self) -> bool {
        self.taken.clear();
        std::mem::take(&mut self.made)
    }

    /// What the rows that were made since the last call have added to log and file at most.
    pub(in crate::store) fn new_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.new_bytes)
    }

    /// Whether nobody has said what names take of the file.
    pub(in crate::store) fn is_uncounted(&self) -> bool {
        self.room.is_none()
    }

    /// Names take so many bytes of the file, `new` of which were not there the last time, and may take
    /// so many.
    pub(in crate::store) fn counted(&mut self, taken: u64, new: u64, budget: u64) {
        // What was let in by an estimate is not refused for a few bytes.
        let bytes = (budget + budget / 8).saturating_sub(taken);
        if self.room.is_none_or(|room| bytes > room.bytes) {
            for row in self.ids.iter_mut().filter(|row| row.id == REFUSED) {
                row.id = 0;
            }
        }
        self.room = Some(Left { bytes, taken, budget });
        self.allowed.in_file(taken, new, budget);
    }

    /// The row of a series; made if it is new. `None`: there is no room for it. There always is for
    /// this machine's `own`.
    #[inline]
    pub(in crate::store) fn id(
        &mut self,
        conn: &Connection,
        series: SeriesRef,
        own: bool,
    ) -> Result<Option<i64>, SqlError> {
        match self.ids.get_mut(series.place()) {
            Some(row) if row.generation == series.generation() && row.id != 0 => {
                row.written = self.sweep;
                Ok((row.id != REFUSED).then_some(row.id))
            }
            _ => self.look_up(conn, series, own),
        }
    }

    /// Forgets series that are not written any more; see [`Registry`]. Everything that senders brought
    /// before the last sweep has to be written.
    pub(in crate::store) fn sweep(&mut self) {
        self.sweep = self.sweep.wrapping_add(1);
        let Self { registry, ids, sweep, .. } = self;
        let mut idle = |series: SeriesRef| {
            if ids.len() <= series.place() {
                ids.resize(series.place() + 1, Row::default());
            }
            let Some(row) = ids.get_mut(series.place()) else { return false };
            if row.generation != series.generation() || row.written == 0 {
                // Not written yet.
                let id = if row.generation == series.generation() { row.id } else { 0 };
                *row = Row { id, generation: series.generation(), written: *sweep };
            }
            sweep.wrapping_sub(row.written) >= IDLE_SWEEPS
        };
        let released = registry.release(&mut idle);
        registry.retire(&mut idle);
        for Released { series, charged } in released {
            if charged > 0 {
                self.allowed.leave(&series.identity, charged.into());
            }
        }
        self.allowed.settle();
        if self.sweep == IDLE_SWEEPS {
            self.allowed.free_unsent();
        }
    }

    #[cold]
    fn look_up(
        &mut self,
        conn: &Connection,
        series: SeriesRef,
        own: bool,
    ) -> Result<Option<i64>, SqlError> {
        // One that was released is never written: it was idle for minutes.
        let Some(described) = self.registry.get(series) else { return Ok(None) };
        let labels = labels_json(&described.identity.labels);
        let id = match find(conn, &mut self.systems, &described.identity, &labels)? {
            Some(id) => Some(id),
            None => self.make(conn, &described, &labels, own)?,
        };
        let at = series.place();
        if at >= self.ids.len() {
            self.ids.resize(at + 1, Row::default());
        }
        let (generation, written) = (series.generation(), self.sweep);
        self.ids[at] = Row { id: id.unwrap_or(REFUSED), generation, written };
        Ok(id)
    }

    /// A row for what has none, if there is room in the file.
    fn make(
        &mut self,
        conn: &Connection,
        series: &Series,
        labels: &str,
        own: bool,
    ) -> Result<Option<i64>, SqlError> {
        let (bytes, _) = file_bytes_of(&series.identity, series.help.len() + series.unit.len());
        if let Some(room) = &mut self.room {
            if !own && bytes > room.bytes {
                self.allowed.refuse(Full::File(room.taken, room.budget));
                return Ok(None);
            }
            room.bytes = room.bytes.saturating_sub(bytes);
        }
        self.made = true;
        self.new_bytes += NAME_PAGES + 3 * bytes;
        make(conn, &mut self.systems, series, labels).map(Some)
    }

    /// Whether a key means a series that is there.
    pub(in crate::store) fn knows(
        &mut self,
        conn: &Connection,
        key: &str,
        job: &str,
    ) -> Result<bool, SqlError> {
        let here = "SELECT EXISTS (SELECT 1 FROM series_dict WHERE key = ?1 AND system_id = 1)";
        if self.by_key.contains_key(key)
            || conn.prepare_cached(here)?.query_row([key], |r| r.get(0))?
        {
            return Ok(true);
        }
        let identity = named(conn, key, job)?;
        let labels = labels_json(&identity.labels);
        Ok(find(conn, &mut self.systems, &identity, &labels)?.is_some())
    }

    /// Makes the row of a series that nobody knows, if there is room for it in the file.
    pub(in crate::store) fn describe(
        &mut self,
        conn: &Connection,
        series: &Series,
    ) -> Result<(), SqlError> {
        let labels = labels_json(&series.identity.labels);
        self.make(conn, series, &labels, false).map(drop)
    }

    /// The row that a key means on this machine: a known series with that key (a built-in one
    /// first), otherwise a new one with this job. Or why there is none: there is no room for a new
    /// one, or a sender may not bring such a name.
    pub(in crate::store) fn id_of_key(
        &mut self,
        conn: &Connection,
        key: &str,
        job: &str,
        room: Room,
    ) -> Result<Result<i64, Reason>, SqlError> {
        if let Some(id) = self.by_key.get(key) {
            return Ok(Ok(*id));
        }
        let known = conn
            .prepare_cached(
                "SELECT id FROM series_dict WHERE key = ?1 AND system_id = 1
                 ORDER BY job <> 'node', id LIMIT 1",
            )?
            .query_row([key], |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => {
                let series = Series::undescribed(named(conn, key, job)?);
                let labels = labels_json(&series.identity.labels);
                match find(conn, &mut self.systems, &series.identity, &labels)? {
                    Some(id) => id,
                    None => {
                        if let Err(reason) = self.let_in(&series.identity, room) {
                            return Ok(Err(reason));
                        }
                        match self.make(conn, &series, &labels, false)? {
                            Some(id) => id,
                            None => return Ok(Err(Reason::SeriesLimit)),
                        }
                    }
                }
            }
        };
        // A cache: what is in the file already, and does not fit, costs a look-up each time.
        let most = match room {
            Room::Shared => usize::try_from(self.allowed.most()).unwrap_or(usize::MAX),
            Room::Own(most) => most,
        };
        if self.by_key.len() < most && self.key_bytes + key.len() <= KEY_BYTES {
            self.key_bytes += key.len();
            self.by_key.insert(key.into(), id);
        }
        Ok(Ok(id))
    }

    fn let_in(&mut self, identity: &Identity, room: Room) -> Result<(), Reason> {
        match room {
            Room::Own(most) if self.by_key.len() < most => Ok(()),
            Room::Own(_) => Err(Reason::SeriesLimit),
            Room::Shared => {
                let Identity { system, job, name, labels } = identity;
                check_name(system.as_deref(), job, name, labels.iter())
                    .map_err(|_| Reason::Invalid)?;
                let taken = self.allowed.take(identity, 1, 0).map_err(|_| Reason::SeriesLimit)?;
                self.taken.push(taken);
                Ok(())
            }
        }
    }
}

/// What a key means. The labels `instance` and `job`, which an export writes for the series of other
/// machines, name the machine and where the series came from. Without them it is one of this machine,
/// with the job that is given.
pub(in crate::store) fn named(
    conn: &Connection,
    key: &str,
    job: &str,
) -> Result<Identity, SqlError> {
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
fn find(
    conn: &Connection,
    systems: &mut Systems,
    identity: &Identity,
    labels: &str,
) -> Result<Option<i64>, SqlError> {
    let Identity { system, job, name, .. } = identity;
    let system = match system {
        None => Some(1),
        Some(system) => systems.known(conn, system)?,
    };
    let Some(system) = system else { return Ok(None) };
    conn.prepare_cached(
        "SELECT id FROM series_dict
         WHERE system_id = ?1 AND job = ?2 AND name = ?3 AND labels = ?4",
    )?
    .query_row(params![system, job, name, labels], |row| row.get(0))
    .optional()
}

fn make(
    conn: &Connection,
    systems: &mut Systems,
    series: &Series,
    labels: &str,
) -> Result<i64, SqlError> {
    let Identity { system, job, name, .. } = &series.identity;
    let system_id = match system {
        None => 1,
        Some(system) => systems.id(conn, system)?,
    };
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

/// Whether a series has a row.
pub(in crate::store) fn is_known(
    conn: &Connection,
    systems: &mut Systems,
    series: &Series,
) -> Result<bool, SqlError> {
    let labels = labels_json(&series.identity.labels);
    find(conn, systems, &series.identity, &labels).map(|row| row.is_some())
}

/// The row of a series; made if it is new.
pub(in crate::store) fn find_or_make(
    conn: &Connection,
    systems: &mut Systems,
    series: &Series,
) -> Result<i64, SqlError> {
    let labels = labels_json(&series.identity.labels);
    match find(conn, systems, &series.identity, &labels)? {
        Some(id) => Ok(id),
        None => make(conn, systems, series, &labels),
    }
}

/// The numbers of machines by their names. The table has no index on names, so they are read once
/// and kept, and after that only rows that have come since are read. After a rollback the caller starts
/// with an empty one.
#[derive(Debug, Default)]
pub(in crate::store) struct Systems {
    ids: hashbrown::HashMap<Box<str>, i64, foldhash::quality::RandomState>,
    /// The number of the last row that was read.
    until: i64,
}

impl Systems {
    /// The number of a machine, if it has one.
    pub(super) fn known(
        &mut self,
        conn: &Connection,
        system: &str,
    ) -> Result<Option<i64>, SqlError> {
        if let Some(id) = self.ids.get(system) {
            return Ok(Some(*id));
        }
        let mut new =
            conn.prepare_cached("SELECT id, name FROM system_dict WHERE id > ?1 ORDER BY id")?;
        let mut rows = new.query([self.until])?;
        while let Some(row) = rows.next()? {
            self.until = row.get(0)?;
            if let Ok(name) = row.get_ref(1)?.as_str() {
                self.ids.entry(name.into()).or_insert(self.until);
            }
        }
        Ok(self.ids.get(system).copied())
    }

    /// The number of a machine; made if it is new.
    pub(super) fn id(&mut self, conn: &Connection, system: &str) -> Result<i64, SqlError> {
        match self.known(conn, system)? {
            Some(id) => Ok(id),
            None => {
                conn.prepare_cached("INSERT INTO system_dict (name) VALUES (?1)")?.insert([system])
            }
        }
    }
}

/// `{"device":"sda"}`, sorted by name: one text for one set of labels.
pub(in crate::store) fn labels_json(labels: &Labels) -> String {
    let map: serde_json::Map<String, serde_json::Value> =
        labels.iter().map(|(n, v)| (n.to_owned(), v.into())).collect();
    serde_json::Value::Object(map).to_string()
}

/// The labels of such a text; `None`: it is none. Strangers can write anything into the table: a
/// value that is no text counts as it is written.
pub(in crate::store) fn labels_of(text: &str) -> Option<Labels> {
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    Some(Labels::new(map.into_iter().map(|(name, value)| match value {
        serde_json::Value::String(value) => (name, value),
        other => (name, other.to_string()),
    })))
}
