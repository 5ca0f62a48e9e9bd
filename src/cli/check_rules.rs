//! cli: the rules in `plimsoll check-config`: those that are wrong, those that can never fire, and
//! those about series that never were.

use crate::alert::check::{Unknown, cannot_fire, unknown};
use crate::alert::rule::Query;
use crate::alert::{Shelf, default_names};
use crate::config::Config;
use crate::daemon::{Compiled, compile};
use crate::query::Catalog;
use crate::store::Reader;

use super::Global;

/// What was found, a sentence each.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Rules that are left out.
    pub errors: Vec<String>,
    /// Rules that are in force and do nothing.
    pub warnings: Vec<String>,
    /// How many rules there are: the defaults, those of the configuration, recording rules.
    pub counts: (usize, usize, usize),
}

impl Found {
    /// The row of the plan.
    pub(super) fn row(&self) -> String {
        let (usual, own, records) = self.counts;
        let mut out = format!("{usual} that come with plimsoll");
        if own > 0 {
            out.push_str(&format!(", {own} of your own"));
        }
        if records > 0 {
            out.push_str(&format!(", {records} that record"));
        }
        out
    }
}

/// Looks at every rule of a configuration. A database that is not there yet says nothing about series.
pub(super) fn look(config: &Config, global: &Global) -> Found {
    let Compiled { rules, records, wrong } = compile(config, &mut Shelf::default());
    let usual = default_names();
    let (built_in, own): (Vec<_>, Vec<_>) = rules
        .iter()
        .partition(|rule| rule.file.is_empty() && usual.iter().any(|name| **name == *rule.name));
    let counts = (built_in.len(), own.len(), records.len());
    let mut out = Found { errors: wrong, counts, ..Found::default() };
    let limits = &config.limits;
    let kept_ms = limits.raw_ms.max(limits.five_minutes_ms).max(limits.hours_ms);
    let place = |file: &str| if file.is_empty() { String::new() } else { format!(" of {file}") };
    for rule in &own {
        if let Some(why) = cannot_fire(rule, Some(kept_ms)) {
            let place = place(&rule.file);
            out.warnings.push(format!("rule `{}`{place} can never fire: {why}", rule.name));
        }
    }
    let database = crate::store::to_read(global.db.as_deref().or(config.db.as_deref()));
    let catalog = Reader::open(&database).ok().and_then(|reader| Catalog::read(&reader).ok());
    let Some(catalog) = catalog.filter(|catalog| !catalog.is_empty()) else { return out };
    let recorded = |what: &str| {
        what.starts_with("ALERTS") || records.iter().any(|record| *record.name == *what)
    };
    let mut tell = |name: &str, file: &str, queries: Vec<&Query>| {
        for Unknown { what, named, like } in unknown(queries, &catalog) {
            if recorded(&what) {
                continue;
            }
            let like = like.map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
            let sort = if named { "with these labels " } else { "" };
            let place = place(file);
            out.warnings.push(format!(
                "rule `{name}`{place}: there never was a series {sort}`{what}`{like}"
            ));
        }
    };
    for rule in &own {
        tell(&rule.name, &rule.file, rule.queries().collect());
    }
    for record in &records {
        tell(&record.name, "", vec![&record.query]);
    }
    out
}
