//! cli: `plimsoll sql`: any read-only statement, for machines without sqlite3.

use std::io::{BufRead, IsTerminal, Write};
use std::ops::ControlFlow;

use super::{Global, screen, show, table};
use crate::store::{Cell, Reader, SqlError};

/// `plimsoll sql`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll sql \"select * from metrics where key = 'cpu' limit 5\"\n  \
    plimsoll sql --format csv \"select key, avg(value) from metrics group by key\"\n  \
    plimsoll sql \"select * from samples_all('disk_*', '-30d', 'now')\"\n  \
    plimsoll sql                          a prompt, with history")]
pub struct Args {
    /// An SQL statement [default: a prompt, or standard input]
    statement: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Aligned columns
    Table,
    /// With a header line
    Csv,
    /// An array of objects
    Json,
    /// As the sqlite3 shell prints: value|value
    List,
}

/// A table is laid out in memory: beyond this many rows the rest is not shown.
const MOST_TABLE_ROWS: usize = 10_000;

const HELP: &str = "\
metrics(key, value, timestamp)                   this machine's newest samples
metrics_by_system(system, key, value, timestamp) those of all machines
samples_all(KEY, FROM, TO)                       every sample that is kept:
                                                 samples_all('disk_*', '-7d', 'now')
history(key, timestamp, count, min, max, mean, last)
series(_id, system_id, system, key, name, labels, job, kind, unit, help)
systems(_id, system)                             machines
.help  .schema  .quit";

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let reader = Reader::open(&global.database()?)?;
    let format = if args.json { Format::Json } else { args.format };
    if let Some(statement) = &args.statement {
        return one(&reader, statement, format);
    }
    if std::io::stdin().is_terminal() {
        return prompt(&reader, format);
    }
    let mut text = String::new();
    for line in std::io::stdin().lock().lines() {
        text.push_str(&line?);
        text.push('\n');
    }
    one(&reader, &text, format)
}

fn one(reader: &Reader, statement: &str, format: Format) -> anyhow::Result<()> {
    let mut out = super::stdout();
    let result = answer(&mut out, reader, statement, format);
    out.flush()?;
    result
}

fn answer(
    out: &mut impl Write,
    reader: &Reader,
    statement: &str,
    format: Format,
) -> anyhow::Result<()> {
    let mut head: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let (mut count, mut cut, mut broken) = (0usize, false, None);
    let names = std::cell::RefCell::new(&mut head);
    reader
        .query(
            statement,
            |columns| names.borrow_mut().extend(columns.iter().map(|c| (*c).to_owned())),
            |cells| {
                let columns = names.borrow();
                let done = match format {
                    Format::Table if rows.len() == MOST_TABLE_ROWS => {
                        cut = true;
                        return ControlFlow::Break(());
                    }
                    Format::Table => {
                        rows.push(cells.iter().map(text).collect());
                        Ok(())
                    }
                    Format::List => {
                        let line: Vec<String> = cells.iter().map(text).collect();
                        writeln!(out, "{}", line.join("|"))
                    }
                    Format::Csv => {
                        let mut lines = if count == 0 { csv_line(&columns) } else { String::new() };
                        lines.push_str(&csv_line(&cells.iter().map(text).collect::<Vec<_>>()));
                        out.write_all(lines.as_bytes())
                    }
                    Format::Json => {
                        let object: serde_json::Map<String, serde_json::Value> =
                            columns.iter().cloned().zip(cells.iter().map(json)).collect();
                        let before = if count == 0 { "[" } else { ",\n " };
                        write!(out, "{before}{}", serde_json::Value::Object(object))
                    }
                };
                count += 1;
                match done {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(e) => {
                        broken = Some(e);
                        ControlFlow::Break(())
                    }
                }
            },
        )
        .map_err(explain)?;
    if let Some(e) = broken {
        return Err(e.into());
    }
    match format {
        Format::Table => {
            let head: Vec<&str> = head.iter().map(String::as_str).collect();
            table::print(out, &head, &rows)?;
            if cut {
                writeln!(
                    out,
                    "only the first {} rows are shown; --format csv prints all",
                    show::count(MOST_TABLE_ROWS as u64)
                )?;
            }
        }
        Format::Json => writeln!(out, "{}", if count == 0 { "[]" } else { "]" })?,
        Format::Csv | Format::List => {}
    }
    Ok(())
}

fn csv_line(cells: &[String]) -> String {
    let quoted = |cell: &String| {
        if cell.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(v) => v.to_string(),
        // {:?} keeps the point of 5.0, as the sqlite3 shell does.
        Cell::Real(v) => format!("{v:?}"),
        Cell::Text(v) => v.clone(),
        Cell::Blob(v) => v.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

fn json(cell: &Cell) -> serde_json::Value {
    match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Integer(v) => (*v).into(),
        Cell::Real(v) => serde_json::Number::from_f64(*v)
            .map_or_else(|| v.to_string().into(), serde_json::Value::Number),
        Cell::Text(_) | Cell::Blob(_) => text(cell).into(),
    }
}

fn explain(e: SqlError) -> anyhow::Error {
    let text = e.to_string();
    let hint = if text.contains("readonly") || text.contains("attached databases") {
        "\n  'plimsoll sql' only reads this file; to add values use 'plimsoll send', 'plimsoll import', or sqlite3 with INSERT INTO metrics"
    } else if text.contains("no such table") || text.contains("no such column") {
        "\n  for everybody: metrics, metrics_by_system, history, series, systems, event_log, graphs, \
         graph_fields, samples_all() (docs/SCHEMA.md)"
    } else if text.contains("API misuse") {
        return anyhow::anyhow!(
            "the statement is empty; try 'plimsoll sql \"select * from metrics\"'"
        );
    } else {
        ""
    };
    anyhow::anyhow!("{text}{hint}")
}

fn prompt(reader: &Reader, format: Format) -> anyhow::Result<()> {
    use rustyline::error::ReadlineError;
    let mut editor = rustyline::DefaultEditor::new()?;
    let history = history_file();
    if let Some(file) = &history {
        // None yet.
        let _unused = editor.load_history(file);
    }
    writeln!(std::io::stdout(), "{} (read-only; .help for the tables)", reader.path().display())?;
    let mut pending = String::new();
    loop {
        let mark = if pending.is_empty() { "plimsoll> " } else { "     ...> " };
        let line = match editor.readline(mark) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                pending.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(e.into()),
        };
        if pending.is_empty() {
            match line.trim() {
                "" => continue,
                ".quit" | ".exit" | "quit" | "exit" => break,
                ".help" => {
                    writeln!(std::io::stdout(), "{HELP}")?;
                    continue;
                }
                ".schema" => {
                    let all = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL";
                    one(reader, all, Format::List)?;
                    continue;
                }
                _ => {}
            }
        }
        pending.push_str(&line);
        pending.push('\n');
        if !pending.trim_end().ends_with(';') {
            continue;
        }
        let _unused = editor.add_history_entry(pending.trim());
        if let Err(e) = one(reader, &pending, format) {
            writeln!(std::io::stderr(), "{}", screen::clean_lines(&format!("{e:#}")))?;
        }
        pending.clear();
    }
    if let Some(file) = &history {
        // Losing the history is no reason to fail.
        let _unused = editor.save_history(file);
    }
    Ok(())
}

fn history_file() -> Option<std::path::PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(std::path::PathBuf::from);
    let folder =
        state.or_else(|| std::env::home_dir().map(|h| h.join(".local/state")))?.join("plimsoll");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("sql_history"))
}
