//! store: how many bytes names, events, descriptions and alerts take of the file, and how many they may. All
//! of it is counted when the file is opened, then only what is new.

use rusqlite::{Connection, OptionalExtension};

use super::alerts;
use crate::pipeline::{entry_bytes, file_bytes, machine_bytes, row_bytes};
use crate::store::SqlError;
use crate::store::file::limits::Limits;

/// Of an event, its entry in the index, and the numbers of its row.
const EVENT_BYTES: u64 = 48;

/// Rows of one table, counted up to the last one that was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    bytes: u64,
    until: i64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(in crate::store) struct Held {
    names: Option<Counted>,
    machines: Option<Counted>,
    events: Option<Counted>,
    graphs: Option<u64>,
    /// At least as many as there are.
    alerts: Option<u64>,
}

impl Held {
    /// What was changed is not certain: everything is counted once more.
    pub(in crate::store) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Counts the names that have come from any source. Returns the bytes of all names, and of the new
    /// ones.
    pub(in crate::store) fn names(&mut self, conn: &Connection) -> Result<(u64, u64), SqlError> {
        let last = last(conn, "SELECT max(id) FROM series_dict")?;
        let before = self.names.filter(|c| c.until <= last).unwrap_or_default();
        let mut now = before;
        if now.until < last {
            // The length of a text is known without reading it.
            let mut new = conn.prepare_cached(
                "SELECT octet_length(labels), octet_length(key), octet_length(job) + octet_length(name),
                   octet_length(kind) + octet_length(unit) + octet_length(help)
                 FROM series_dict WHERE id > ?1",
            )?;
            let mut rows = new.query([before.until])?;
            while let Some(row) = rows.next()? {
                let n = |at| Ok::<_, SqlError>(row.get::<_, Option<u32>>(at)?.map_or(0, u64::from));
                let (labels, key, name, about) = (n(0)?, n(1)?, n(2)?, n(3)?);
                now.bytes += file_bytes(labels + key + name + about, labels + name, key);
            }
            now.until = last;
        }
        self.names = Some(now);
        let new = self.machines(conn)?;
        let machines = self.machines.map_or(0, |c| c.bytes);
        Ok((now.bytes + machines, now.bytes - before.bytes + new))
    }

    /// Counts the machines that have come. What the new ones take.
    fn machines(&mut self, conn: &Connection) -> Result<u64, SqlError> {
        let last = last(conn, "SELECT max(id) FROM system_dict")?;
        let before = self.machines.filter(|c| c.until <= last).unwrap_or_default();
        let mut now = Counted { until: last, ..before };
        let mut new =
            conn.prepare_cached("SELECT octet_length(name) FROM system_dict WHERE id > ?1")?;
        let mut rows = new.query([before.until.max(1)])?;
        while let Some(row) = rows.next()? {
            now.bytes += machine_bytes(row.get::<_, Option<u32>>(0)?.map_or(0, u64::from));
        }
        self.machines = Some(now);
        Ok(now.bytes - before.bytes)
    }

    /// What events take.
    pub(super) fn events(&mut self, conn: &Connection) -> Result<u64, SqlError> {
        let last = last(conn, "SELECT max(id) FROM events")?;
        let mut now = self.events.filter(|c| c.until <= last).unwrap_or_default();
        if now.until < last {
            let sql = format!("SELECT {EVENT_TEXTS} FROM events WHERE id > ?1");
            let mut new = conn.prepare_cached(&sql)?;
            let mut rows = new.query([now.until])?;
            while let Some(row) = rows.next()? {
                now.bytes += event_bytes(row.get::<_, Option<u32>>(0)?.map_or(0, u64::from));
            }
            now.until = last;
        }
        self.events = Some(now);
        Ok(now.bytes)
    }

    /// Events are gone that took so much.
    pub(super) fn events_gone(&mut self, gone: Gone) {
        if let Some(events) = &mut self.events {
            events.bytes = events.bytes.saturating_sub(gone.bytes);
        }
    }

    /// What descriptions of charts take.
    pub(super) fn graphs(&mut self, conn: &Connection) -> Result<u64, SqlError> {
        if let Some(bytes) = self.graphs {
            return Ok(bytes);
        }
        let mut bytes = 0;
        let mut all =
            conn.prepare(&format!("SELECT {GRAPH_TEXTS}, octet_length(graph) FROM graph_dict"))?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            bytes += graph_bytes(row.get::<_, u32>(0)?.into(), row.get::<_, u32>(1)?.into());
        }
        let mut all = conn.prepare(&format!("SELECT {FIELD_TEXTS} FROM field_dict"))?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            bytes += field_bytes(row.get::<_, u32>(0)?.into());
        }
        self.graphs = Some(bytes);
        Ok(bytes)
    }

    /// Descriptions take so much now.
    pub(super) fn set_graphs(&mut self, bytes: u64) {
        self.graphs = Some(bytes);
    }

    /// A row of alerts or messages has come, with so many bytes of texts.
    pub(in crate::store) fn alert_row(&mut self, texts: usize) {
        if let Some(all) = &mut self.alerts {
            *all += alerts::bytes(texts as u64);
        }
    }

    /// Rows of alerts or messages have gone.
    pub(in crate::store) fn alerts_changed(&mut self) {
        self.alerts = None;
    }

    /// What alerts and messages take, or a little more.
    pub(in crate::store) fn alerts(&mut self, conn: &Connection) -> Result<u64, SqlError> {
        let bytes = self.alerts.map_or_else(|| alerts::count(conn), Ok)?;
        self.alerts = Some(bytes);
        Ok(bytes)
    }

    /// Whether alerts and messages take more than this. Rows that went are not seen before they seem to.
    pub(in crate::store) fn alerts_exceed(
        &mut self,
        conn: &Connection,
        budget: u64,
    ) -> Result<bool, SqlError> {
        if self.alerts(conn)? <= budget {
            return Ok(false);
        }
        self.alerts_changed();
        Ok(self.alerts(conn)? > budget)
    }

    /// What no pruning of samples can make smaller.
    pub(in crate::store) fn fixed(
        &mut self,
        conn: &Connection,
        limits: &Limits,
    ) -> Result<u64, SqlError> {
        let events = self.events(conn)?.min(limits.events_budget());
        let alerts = self.alerts(conn)?.min(limits.alerts_budget());
        Ok(self.names(conn)?.0 + self.graphs(conn)? + events + alerts)
    }
}

/// Events that were deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// The bytes of an event's texts, of a chart's, and of a field's, in SQL.
pub(super) const EVENT_TEXTS: &str =
    "octet_length(title) + octet_length(text) + octet_length(tags) + octet_length(source)";
pub(super) const GRAPH_TEXTS: &str =
    "octet_length(graph) + octet_length(title) + octet_length(category)
   + octet_length(unit) + octet_length(info) + octet_length(args)";
pub(super) const FIELD_TEXTS: &str = "octet_length(name) + octet_length(label) + octet_length(key)
   + octet_length(query) + octet_length(info) + octet_length(negative)";

/// What an event takes, by the bytes of its texts.
pub(super) fn event_bytes(texts: u64) -> u64 {
    row_bytes(texts + EVENT_BYTES) + 24
}

/// What the description of a chart takes, by the bytes of its texts and of its name.
pub(super) fn graph_bytes(texts: u64, name: u64) -> u64 {
    row_bytes(texts + 16) + entry_bytes(name + 8)
}

/// What the description of a field takes, by the bytes of its texts.
pub(super) fn field_bytes(texts: u64) -> u64 {
    entry_bytes(texts + 64)
}

fn last(conn: &Connection, sql: &str) -> Result<i64, SqlError> {
    let last = conn.prepare_cached(sql)?.query_row([], |r| r.get(0)).optional()?;
    Ok(last.flatten().unwrap_or(0))
}
