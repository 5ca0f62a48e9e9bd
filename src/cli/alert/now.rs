//! cli: `plimsoll alert` and `plimsoll alert rules`: what is wrong now, who is told, and the rules. Read out of
//! the file, so it needs no daemon.

use std::io::Write;

use super::super::{Global, stdout, table};
use super::{history, moment, now_ms};
use crate::alert::Shelf;
use crate::config::Config;
use crate::daemon::{Compiled, channel_settings, compile, rule_in_words};
use crate::draw;
use crate::model::format_duration;
use crate::notify::redacted;
use crate::store::{AlertRow, Reader};

/// `plimsoll alert rules`
#[derive(Debug, clap::Args)]
pub struct RulesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Messages that are listed.
const LISTED: u32 = 5;

pub(super) fn run(global: &Global) -> anyhow::Result<()> {
    let config = Config::find(global.config())?;
    let reader = Reader::open(&global.database()?)?;
    let stored = reader.alerts()?;
    let mut out = stdout();
    let (pending, firing): (Vec<&AlertRow>, Vec<&AlertRow>) =
        stored.open.iter().partition(|row| row.fired_at.is_none());
    match firing.len() {
        0 => writeln!(out, "nothing is wrong")?,
        1 => writeln!(out, "1 alert")?,
        n => writeln!(out, "{n} alerts")?,
    }
    list(&mut out, &firing)?;
    if !pending.is_empty() {
        writeln!(out, "\nwatched more closely")?;
        list(&mut out, &pending)?;
    }
    let settings = std::sync::Arc::new(channel_settings(&config, ""));
    let receivers = config.alerts.receivers();
    writeln!(out)?;
    match &*receivers {
        [] => {
            writeln!(out, "nobody is told  (plimsoll alert to me@example.org, or ntfy:my-topic)")?
        }
        some => {
            let shown: Vec<String> = some.iter().map(|to| redacted(to, &settings)).collect();
            writeln!(out, "told: {}", shown.join(", "))?;
        }
    }
    let rules = compile(&config, &mut Shelf::default()).rules;
    if let Some(said) = history::glance(&config, &rules, &global.database()?) {
        writeln!(out, "{said}")?;
    }
    if !stored.outbox.is_empty() {
        writeln!(out, "{} changes wait to be told", stored.outbox.len())?;
        for row in stored.outbox.iter().filter(|row| !row.said.is_empty()).take(3) {
            writeln!(out, "  {}: {}", draw::clean(&row.shown), draw::clean(&row.said))?;
        }
    }
    let told = reader.told(LISTED)?;
    if !told.is_empty() {
        writeln!(out, "\nlast messages")?;
        let rows: Vec<Vec<String>> = told
            .iter()
            .map(|row| {
                // Of a message that was not taken, the receiver's own words say why.
                let said = match row.result == "sent" || row.said.is_empty() {
                    true => String::new(),
                    false => format!("  ({})", row.said),
                };
                let title = format!("{}{said}", row.title);
                vec![moment(row.at), row.shown.clone(), row.result.clone(), title]
            })
            .collect();
        table::print(&mut out, &["when", "to", "", ""], &rows)?;
    }
    out.flush()?;
    Ok(())
}

fn list(out: &mut impl Write, rows: &[&AlertRow]) -> std::io::Result<()> {
    let now = now_ms();
    for row in rows {
        let since = row.fired_at.unwrap_or(row.active_at);
        // A text may hold what a sender wrote into a label: it stays one line, and steers no terminal.
        let host = draw::clean(row.labels.get("instance").unwrap_or_default());
        let text = draw::clean(if row.text.is_empty() { &row.rule } else { &row.text });
        let age = format_duration((now - since).max(0) / 1_000 * 1_000);
        writeln!(
            out,
            "  {:<8} {host} {text}  (since {}, {age}; {})",
            row.severity.word(),
            moment(since),
            row.state
        )?;
    }
    Ok(())
}

pub(super) fn rules(args: &RulesArgs, global: &Global) -> anyhow::Result<()> {
    let config = Config::find(global.config())?;
    let Compiled { rules, records, wrong } = compile(&config, &mut Shelf::default());
    let mut out = stdout();
    if args.json {
        let list: Vec<serde_json::Value> = rules
            .iter()
            .map(|rule| {
                serde_json::json!({
                    "name": rule.name,
                    "when": rule_in_words(rule),
                    "expr": rule.promql(),
                    "severity": rule.severities().1.word(),
                    "file": rule.file,
                })
            })
            .collect();
        writeln!(out, "{}", serde_json::Value::from(list))?;
    } else {
        let alerts = rules
            .iter()
            .map(|rule| vec![rule.name.to_string(), rule_in_words(rule), rule.file.to_string()]);
        let records = records.iter().map(|rule| {
            vec![rule.name.to_string(), format!("writes {}", rule.query.text), String::new()]
        });
        let rows: Vec<Vec<String>> = alerts.chain(records).collect();
        table::print(&mut out, &["rule", "when", "file"], &rows)?;
    }
    out.flush()?;
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
