//! store: charts and their fields, as their sources describe them. Written whole, read whole: there
//! are some dozens. They are not salvaged from a damaged file: their sources describe them again at the
//! start.

use rusqlite::{Connection, OptionalExtension, params};

use super::budget::{FIELD_TEXTS, GRAPH_TEXTS, Held, field_bytes, graph_bytes};
use super::dictionary::Systems;
use crate::model::{Field, Graph};
use crate::store::file::state;
use crate::store::{Limits, SqlError};

/// Within the caller's transaction. A graph that is known is replaced. How many were refused because
/// descriptions would take more of the file than they may; then what was known of them stays.
pub(in crate::store) fn write(
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
