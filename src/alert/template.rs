//! alert: templates of rules of Prometheus.

use super::instance::Instance;
use super::look::Look;
use super::rule::Rule;

/// Writes the annotations of an alert.
pub fn annotate(rule: &Rule, alert: &mut Instance, _look: &Look<'_>) {
    alert.annotations =
        rule.annotations.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let text = ["summary", "description", "message"].iter().find_map(|n| alert.annotations.get(*n));
    alert.text = text.cloned().unwrap_or_else(|| rule.alertname().to_owned());
}
