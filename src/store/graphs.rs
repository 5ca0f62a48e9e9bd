//! store: charts and their fields, as their sources describe them. Written whole, read whole: there
//! are some dozens. Nothing is salvaged of them: whoever described them does so again at the start.

use rusqlite::{Connection, OptionalExtension, params};

use super::budget::{FIELD_TEXTS, GRAPH_TEXTS, Held, field_bytes, graph_bytes};
use super::dictionary::Systems;
use super::{Limits, Reader, SqlError, state};
use crate::model::{Field, Graph, Kind, Range};

/// Within the caller's transaction. A graph that is known is replaced. How many were refused because
/// descriptions would take more of the file than they may; then what was known of them stays.
pub(super) fn write(
    conn: &Connection,
    systems: &mut Systems,
    graphs: &[Graph],
    held: &mut Held,
    limits: &Limits,
) -> Result<u64, SqlError> {
    if graphs.is_empty() {
        return Ok(0);
    }
    let mut refused = 0;
    for graph in graphs {
        let (all, new) = (held.graphs(conn)?, bytes(graph));
        let old = written(conn, systems, graph)?;
        if new > old && all - old.min(all) + new > limits.graphs_budget() {
            refused += 1;
            continue;
        }
        held.set_graphs(all - old.min(all) + new);
        let system = match &graph.system {
            None => 1,
            Some(name) => systems.id(conn, name)?,
        };
        let known: Option<i64> = conn
            .prepare_cached("SELECT id FROM graph_dict WHERE system_id = ?1 AND graph = ?2")?
            .query_row(params![system, graph.id], |r| r.get(0))
            .optional()?;
        conn.prepare_cached(
            "INSERT OR REPLACE INTO graph_dict
             (id, system_id, graph, title, category, unit, info, args)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            known,
            system,
            graph.id,
            graph.title,
            graph.category,
            graph.unit,
            graph.info,
            graph.args,
        ])?;
        let id = known.unwrap_or_else(|| conn.last_insert_rowid());
        conn.prepare_cached("DELETE FROM field_dict WHERE graph_id = ?1")?.execute([id])?;
        for (place, field) in (0i64..).zip(&graph.fields) {
            write_field(conn, id, place, field)?;
        }
    }
    let told = state::get(conn, state::GRAPHS_TOLD)?.unwrap_or(0);
    state::set(conn, state::GRAPHS_TOLD, told + 1)?;
    Ok(refused)
}

/// What a description takes of the file.
fn bytes(g: &Graph) -> u64 {
    let sum = |texts: [&str; 6]| texts.iter().map(|text| text.len() as u64).sum::<u64>();
    let own = sum([&g.id, &g.title, &g.category, &g.unit, &g.info, &g.args]);
    let field = |f: &Field| {
        field_bytes(sum([&f.name, &f.label, &f.series, &f.query, &f.info, &f.negative]))
    };
    graph_bytes(own, g.id.len() as u64) + g.fields.iter().map(field).sum::<u64>()
}

/// What is written of this graph, in bytes.
fn written(conn: &Connection, systems: &mut Systems, graph: &Graph) -> Result<u64, SqlError> {
    let system = match &graph.system {
        None => Some(1),
        Some(name) => systems.known(conn, name)?,
    };
    let known: Option<(i64, u32)> = conn
        .prepare_cached(&format!(
            "SELECT id, {GRAPH_TEXTS} FROM graph_dict WHERE system_id = ?1 AND graph = ?2"
        ))?
        .query_row(params![system, graph.id], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((id, texts)) = known else { return Ok(0) };
    let mut bytes = graph_bytes(texts.into(), graph.id.len() as u64);
    let mut fields =
        conn.prepare_cached(&format!("SELECT {FIELD_TEXTS} FROM field_dict WHERE graph_id = ?1"))?;
    let mut rows = fields.query([id])?;
    while let Some(row) = rows.next()? {
        bytes += field_bytes(row.get::<_, u32>(0)?.into());
    }
    Ok(bytes)
}

fn write_field(conn: &Connection, graph: i64, place: i64, f: &Field) -> Result<(), SqlError> {
    conn.prepare_cached(
        "INSERT INTO field_dict
         (graph_id, place, name, label, key, kind, query, info, draw, colour, negative, drawn,
          warning_min, warning_max, critical_min, critical_max)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?
    .execute(params![
        graph,
        place,
        f.name,
        f.label,
        f.series,
        f.kind.as_str(),
        f.query,
        f.info,
        f.draw,
        f.colour,
        f.negative,
        f.drawn,
        f.warning.min,
        f.warning.max,
        f.critical.min,
        f.critical.max,
    ])
    .map(drop)
}

impl Reader {
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
