//! cli: rows in aligned columns.

use std::io::{self, Write};

use crate::draw;

/// Columns as wide as their widest cell, two spaces apart; numbers to the right. Each row is one line,
/// whatever stands in its cells, and steers no terminal.
pub(super) fn print(out: &mut impl Write, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let cleaned = |row: &Vec<String>| row.iter().map(|cell| draw::clean(cell)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(cleaned).collect();
    let width = |text: &str| text.chars().count();
    let columns: Vec<(usize, bool)> = head
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let cells = || rows.iter().filter_map(|r| r.get(i));
            let widest = cells().map(|c| width(c)).max().unwrap_or(0).max(width(name));
            let numeric = cells().next().is_some()
                && cells().all(|c| c.is_empty() || c.parse::<f64>().is_ok());
            (widest, numeric)
        })
        .collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| -> io::Result<()> {
        let mut text = String::new();
        for (cell, (widest, numeric)) in cells.zip(&columns) {
            let pad = " ".repeat(widest - width(cell).min(*widest));
            let (before, after) = if *numeric { (pad.as_str(), "") } else { ("", pad.as_str()) };
            text.push_str(before);
            text.push_str(cell);
            text.push_str(after);
            text.push_str("  ");
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(&mut head.iter().copied())?;
    for row in &rows {
        line(&mut row.iter().map(String::as_str))?;
    }
    Ok(())
}
