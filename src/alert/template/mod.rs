//! alert: templates of rules of Prometheus: Go's text/template with the functions that Prometheus adds.
//!
//! ```text
//!   parse      text -> pieces
//!   value      the values
//!   run        pieces and values -> text
//!   functions  what can be called
//!   go         numbers and `printf` as Go writes them
//! ```

mod functions;
mod go;
mod parse;
mod run;
mod value;

use super::instance::Instance;
use super::rule::Rule;
use crate::model::Labels;

pub use run::{Ask, Found, Outside, Scope, expand};
pub use value::Value;

/// Whether a template can be read. Fails with a sentence.
pub fn check(text: &str) -> Result<(), String> {
    parse::parse(text).map(drop)
}

/// Writes the annotations of an alert, and its sentence: the first of summary, description and message.
/// As in Prometheus, `$labels` are those of the expression's `result`, its name among them, and not those
/// that the rule gives. `ask` answers what a template asks by `query`.
pub fn annotate(
    rule: &Rule,
    alert: &mut Instance,
    result: &Labels,
    ask: Ask<'_>,
    outside: &Outside,
) {
    let value = alert.value;
    let scope = Scope { labels: result, value, query: ask, outside };
    let each = rule.annotations.iter();
    alert.annotations = each.map(|(name, text)| (name.to_string(), filled(text, &scope))).collect();
    let text = ["summary", "description", "message"].iter().find_map(|n| alert.annotations.get(*n));
    alert.text = text.cloned().unwrap_or_else(|| rule.alertname().to_owned());
}

/// A template with its places filled; what cannot be filled says why, as Prometheus does it.
fn filled(text: &str, scope: &Scope<'_>) -> String {
    if !text.contains("{{") {
        return text.to_owned();
    }
    expand(text, scope).unwrap_or_else(|why| format!("<error expanding template: {why}>"))
}

/// The labels that a rule of Prometheus gives an alert, its templates filled: those of the result without
/// the name, then its own.
pub fn labels(rule: &Rule, result: &Labels, value: f64, ask: Ask<'_>, outside: &Outside) -> Labels {
    if rule.labels.iter().all(|(_, text)| !text.contains("{{")) {
        return rule.labels_of(result);
    }
    let named = |(name, _): &(&str, &str)| *name != crate::query::matcher::NAME;
    let result_pairs = result.iter().filter(named);
    let scope = Scope { labels: result, value, query: ask, outside };
    let own = rule.labels.iter().map(|(name, text)| (name.to_string(), filled(text, &scope)));
    let pairs = result_pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Labels::new(pairs.chain(own))
}

#[cfg(test)]
mod tests;
