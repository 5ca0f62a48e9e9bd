//! config: from sections to settings: defaults filled in, contradictions reported. Each section has
//! a file of its own beside this one. Nothing is read from disk here.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::Config;
use super::error::{ConfigError, Mistake};
use super::raw::Section;
use super::resolver::Resolver;
use super::row::{Listed, Row, listed};
use super::sections;
use super::top::TopOptions;
use crate::model::options::Options;

/// The configuration of a text.
pub fn resolve(text: &str, origin: &str) -> Result<Config, ConfigError> {
    read(text, origin).map(|(config, _)| config)
}

/// The configuration of a text, and the state of every option.
pub fn read(text: &str, origin: &str) -> Result<(Config, Vec<Listed>), ConfigError> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        return Err(ConfigError::content(origin, text, syntax_mistakes(text, &syntax)));
    }
    let mut mistakes = Vec::new();
    let (mut config, listed) = settings(&table, &sections::sections(), &mut mistakes);
    if !mistakes.is_empty() {
        return Err(ConfigError::content(origin, text, mistakes));
    }
    config.text = text.into();
    Ok((config, listed))
}

/// The settings of an empty file.
pub fn defaults() -> Config {
    let empty = Spanned::new(0..0, DeTable::new());
    settings(&empty, &sections::sections(), &mut Vec::new()).0
}

/// One mistake for each line: further errors on a line are mostly echoes of the first.
fn syntax_mistakes(text: &str, errors: &[toml::de::Error]) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut last_line = None;
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let line = Some(ends.partition_point(|end| *end < span.start));
        if line == last_line {
            continue;
        }
        last_line = line;
        let found = text.get(span.clone()).unwrap_or_default();
        let said = error.message();
        let (message, hint) = match said.split_once(", expected ") {
            Some(("string values must be quoted", _)) if found.is_empty() => {
                ("the value is missing".into(), "write one after the =".into())
            }
            Some(("string values must be quoted", _)) => {
                (format!("`{found}` is neither text nor a number"), format!("write \"{found}\""))
            }
            Some((message, expected)) if !expected.is_empty() => {
                (message.into(), format!("expected {expected}"))
            }
            None if said == "duplicate key" => {
                let hint = "it was already set above; remove one of the two".into();
                (format!("`{found}` is set twice"), hint)
            }
            _ => (said.into(), "this is not TOML".into()),
        };
        mistakes.push(Mistake { key: String::new(), message, hint, span });
    }
    mistakes
}

fn settings(
    table: &Spanned<DeTable<'_>>,
    rows: &[Row],
    mistakes: &mut Vec<Mistake>,
) -> (Config, Vec<Listed>) {
    let top = Section::top(rows, table, mistakes);
    let mut r = Resolver { mistakes, listed: Vec::new(), claims: Vec::new() };
    let options: TopOptions = r.fill(Some(&top));
    r.list("", &options);
    let interval = options.interval;
    let (collectors, collect, filter) = r.collect(&top, interval);
    let (queue_ms, limits) = r.store(&top);
    let config = Config {
        source: None,
        text: String::new(),
        db: options.db.map(|db| db.0),
        system: options.system,
        interval,
        alerts: r.alerts(&top),
        bursts: r.bursts(&top, &collectors),
        collectors,
        collect,
        filter,
        http: r.http(&top),
        statsd: r.statsd(&top),
        plugins: r.plugins(&top),
        graphite: r.graphite(&top),
        munin_node: r.munin_node(&top),
        munin_peers: r.munin_peers(&top),
        options: r.plain(&top),
        queue_ms,
        limits,
    };
    r.clashes();
    (config, r.listed)
}

impl Resolver<'_> {
    /// The options of all plain sections.
    fn plain(&mut self, top: &Section<'_>) -> Vec<Arc<dyn Options>> {
        let mut all: Vec<Arc<dyn Options>> = Vec::new();
        for (path, make) in sections::PLAIN {
            let (mut options, usual) = (make(), make());
            if let Some(section) = top.section(path, self.mistakes) {
                self.set(&section, &mut *options);
            }
            self.listed.extend(listed(path, &*options, &*usual));
            all.push(options.into());
        }
        all
    }
}
