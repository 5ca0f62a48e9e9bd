//! store: reads what was told beside numbers: events, and descriptions of charts.

use rusqlite::{Connection, params};

use super::reader::Reader;
use crate::model::{Field, Graph, Kind, Range};
use crate::store::file::state;
use crate::store::texts::alerts;
use crate::store::{AlertRow, AlertStore, SqlError, ToldRow};

/// An event as it lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    /// The kind of event, a word such as `event`, `check` or `boot`.
    pub kind: String,
    /// How grave it is: `info`, `warning`, `error` or `success`.
    pub level: String,
    /// One line for people.
    pub title: String,
    /// Any number of lines, or nothing.
    pub text: String,
}

impl Reader {
    /// What is stored of alerts; nothing in a file of an older version.
    pub fn alerts(&self) -> Result<AlertStore, SqlError> {
        AlertStore::of(self.connection())
    }

    /// The newest alerts that are over, the newest first.
    pub fn alerts_over(&self, most: u32) -> Result<Vec<AlertRow>, SqlError> {
        alerts::alerts_over(self.connection(), most)
    }

    /// The newest messages that were told, the newest first.
    pub fn told(&self, most: u32) -> Result<Vec<ToldRow>, SqlError> {
        alerts::told(self.connection(), most)
    }

    /// What happened on a system from `from` to `to` (ms since 1970 UTC, both included): the newest
    /// `most`, newest first.
    pub fn events(
        &self,
        system: &str,
        from: i64,
        to: i64,
        most: u32,
    ) -> Result<Vec<Happened>, SqlError> {
        self.connection()
            .prepare_cached(
                "SELECT e.ts, e.kind, e.level, e.title, e.text
                 FROM events e JOIN system_dict s ON s.id = e.system_id
                 WHERE e.ts BETWEEN ?1 AND ?2 AND s.name = ?3 ORDER BY e.ts DESC LIMIT ?4",
            )?
            .query_map(params![from, to, system, most], |r| {
                Ok(Happened {
                    ts: r.get(0)?,
                    kind: r.get(1)?,
                    level: r.get(2)?,
                    title: r.get(3)?,
                    text: r.get(4)?,
                })
            })?
            .collect()
    }

    /// Another number after anything was said of any chart.
    pub fn graphs_told(&self) -> Result<i64, SqlError> {
        Ok(state::get(self.connection(), state::GRAPHS_TOLD)?.unwrap_or(0))
    }

    /// Every chart, by system, category and title; each with its system's name.
    pub fn graphs(&self) -> Result<Vec<(String, Graph)>, SqlError> {
        let conn = self.connection();
        // An older file that is only read has no table for them.
        let there = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'graph_dict')";
        if !conn.prepare_cached(there)?.query_row([], |r| r.get(0))? {
            return Ok(Vec::new());
        }
        let mut rows = conn.prepare_cached(
            "SELECT g.id, g.system_id, s.name, g.graph, g.title, g.category, g.unit, g.info, g.args
             FROM graph_dict g JOIN system_dict s ON s.id = g.system_id
             ORDER BY g.system_id, g.category, g.title, g.graph",
        )?;
        let graphs = rows.query_map([], |r| {
            let name: String = r.get(2)?;
            let system = (r.get::<_, i64>(1)? != 1).then(|| Box::from(name.as_str()));
            let graph = Graph {
                system,
                id: text(r, 3)?,
                title: text(r, 4)?,
                category: text(r, 5)?,
                unit: text(r, 6)?,
                info: text(r, 7)?,
                args: text(r, 8)?,
                fields: Vec::new(),
            };
            Ok((r.get::<_, i64>(0)?, name, graph))
        })?;
        let mut out = Vec::new();
        for graph in graphs {
            let (id, system, mut graph) = graph?;
            graph.fields = fields(conn, id)?;
            out.push((system, graph));
        }
        Ok(out)
    }
}

fn fields(conn: &Connection, graph: i64) -> Result<Vec<Field>, SqlError> {
    conn.prepare_cached(
        "SELECT name, label, key, kind, query, info, draw, colour, negative, drawn,
                warning_min, warning_max, critical_min, critical_max
         FROM field_dict WHERE graph_id = ?1 ORDER BY place",
    )?
    .query_map([graph], |r| {
        Ok(Field {
            name: text(r, 0)?,
            label: text(r, 1)?,
            series: text(r, 2)?,
            kind: Kind::from_word(&text(r, 3)?),
            query: text(r, 4)?,
            info: text(r, 5)?,
            draw: text(r, 6)?,
            colour: text(r, 7)?,
            negative: text(r, 8)?,
            drawn: r.get(9)?,
            warning: Range { min: r.get(10)?, max: r.get(11)? },
            critical: Range { min: r.get(12)?, max: r.get(13)? },
        })
    })?
    .collect()
}

fn text(row: &rusqlite::Row<'_>, at: usize) -> Result<Box<str>, SqlError> {
    row.get::<_, String>(at).map(String::into_boxed_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use std::sync::Arc;

    #[test]
    fn a_graph_reads_back_and_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.sqlite");
        let mut store = Store::open(&path, "here", Arc::default()).expect("made");
        let field = |name: &str| Field {
            name: name.into(),
            label: format!("the {name}").into(),
            series: format!("munin_df{{field=\"{name}\"}}").into(),
            kind: Kind::Counter,
            warning: Range { min: None, max: Some(92.0) },
            critical: Range { min: Some(-0.5), max: None },
            drawn: name != "b",
            ..Field::default()
        };
        let mut df = Graph {
            id: "munin/df".into(),
            title: "Disk usage in percent".into(),
            category: "disk".into(),
            fields: vec![field("b"), field("a")],
            ..Graph::default()
        };
        let there = Graph { system: Some("there".into()), ..df.clone() };
        store.commit_all(&[], &[], &[df.clone(), there.clone()]).expect("written");
        let read = || Reader::open(&path).expect("opens").graphs().expect("reads");
        let both = [("here".to_owned(), df.clone()), ("there".to_owned(), there.clone())];
        assert_eq!(read(), both);
        df.fields = vec![field("c")];
        df.title = "Another".into();
        store.commit_all(&[], &[], std::slice::from_ref(&df)).expect("written");
        assert_eq!(read(), [("here".to_owned(), df), ("there".to_owned(), there)]);
    }
}
