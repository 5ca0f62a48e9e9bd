//! alert: an alert with what was told of it, as it lies in the file.

use serde::{Deserialize, Serialize};

use super::{Instance, State};
use crate::model::Severity;
use crate::notify::Chart;
use crate::store::AlertRow;

/// What was told of one episode of an alert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The channels that were told, by their names in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// When it was told last that it fires or got worse, ms since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// As how bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// How often somebody was reminded since.
    #[serde(default)]
    pub reminders: u32,
    /// Why it was not told at first, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub withheld: String,
    /// Whether it was told that it changes too often.
    #[serde(default)]
    pub flaps: bool,
}

/// What was known when it began to fire.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extra {
    /// The processes and units that matter, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub culprits: Vec<String>,
    /// The last lines of a log that matters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The page that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The chart that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Where its expression can be seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
}

/// What a row holds beside its columns.
#[derive(Debug, Default, Serialize, Deserialize)]
struct More {
    #[serde(default)]
    told: Told,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra: Option<Extra>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worse_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worse_clear_since: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<i64>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The alert.
    pub alert: Instance,
    /// What was told of it.
    pub told: Told,
    /// What was known when it began to fire; nothing: it has not.
    pub extra: Option<Extra>,
}

impl Record {
    /// Of an alert of which nothing is known yet.
    pub fn new(alert: Instance) -> Self {
        Self { alert, told: Told::default(), extra: None }
    }

    /// Its row.
    pub fn row(&self) -> AlertRow {
        let a = &self.alert;
        let more = More {
            told: self.told.clone(),
            extra: self.extra.clone(),
            worse_ms: a.worse_ms,
            worse_clear_since: a.worse_clear_since,
            ended_at: a.ended_at,
        };
        let word = |state: State| state_word(state).to_owned();
        AlertRow {
            fingerprint: a.fingerprint,
            rule: a.rule.clone(),
            labels: a.labels.clone(),
            state: word(a.state),
            frozen: a.frozen.map_or_else(String::new, word),
            severity: a.severity,
            active_at: a.active_at,
            held_ms: a.held_ms,
            fired_at: a.fired_at,
            clear_since: a.clear_since,
            resolved_at: a.resolved_at,
            seen_at: a.seen_at,
            value: a.value,
            peak: a.peak,
            threshold: a.limit.filter(|limit| !limit.is_nan()),
            // Lists of numbers and structs of texts always are JSON.
            flaps: serde_json::to_string(&a.flaps).unwrap_or_else(|_| "[]".to_owned()),
            text: a.text.clone(),
            more: serde_json::to_string(&more).unwrap_or_else(|_| "{}".to_owned()),
        }
    }

    /// What a row holds; nothing: somebody else wrote it.
    pub fn of_row(row: &AlertRow) -> Option<Self> {
        let more: More = serde_json::from_str(&row.more).ok()?;
        let frozen = if row.frozen.is_empty() { None } else { Some(state_of(&row.frozen)?) };
        let alert = Instance {
            rule: row.rule.clone(),
            labels: row.labels.clone(),
            fingerprint: row.fingerprint,
            state: state_of(&row.state)?,
            frozen,
            severity: row.severity,
            active_at: row.active_at,
            held_ms: row.held_ms,
            worse_ms: more.worse_ms,
            worse_clear_since: more.worse_clear_since,
            fired_at: row.fired_at,
            clear_since: row.clear_since,
            resolved_at: row.resolved_at,
            ended_at: more.ended_at,
            seen_at: row.seen_at,
            value: row.value,
            peak: row.peak,
            limit: row.threshold,
            flaps: serde_json::from_str(&row.flaps).ok()?,
            text: row.text.clone(),
            annotations: std::collections::BTreeMap::new(),
        };
        Some(Self { alert, told: more.told, extra: more.extra })
    }
}

const STATES: [(State, &str); 7] = [
    (State::Inactive, "inactive"),
    (State::Pending, "pending"),
    (State::Firing, "firing"),
    (State::Recovering, "recovering"),
    (State::NoData, "nodata"),
    (State::Flapping, "flapping"),
    (State::Resolved, "resolved"),
];

/// The word for a state, in the file and for people.
pub fn state_word(state: State) -> &'static str {
    STATES.iter().find(|(s, _)| *s == state).map_or("inactive", |(_, word)| word)
}

fn state_of(word: &str) -> Option<State> {
    STATES.iter().find(|(_, w)| *w == word).map(|(state, _)| *state)
}

#[cfg(test)]
mod tests {
    use super::super::peace::tests::instance;
    use super::*;

    #[test]
    fn a_row_holds_all_that_there_is() {
        let mut record = Record::new(instance("disk_full", &[("mountpoint", "/")]));
        record.alert.flaps = vec![1, 2, 3];
        record.alert.frozen = Some(State::Recovering);
        record.alert.worse_ms = Some(7);
        record.alert.ended_at = Some(6);
        record.told = Told {
            to: vec!["a".into()],
            at: Some(5),
            severity: Some(Severity::Warning),
            reminders: 2,
            withheld: "why".into(),
            flaps: true,
        };
        record.extra = Some(Extra {
            culprits: vec!["postgres 34 % CPU".into()],
            chart: Some(Chart { expr: "x".into(), title: "t".into(), limit: Some(1.5), breach: 9 }),
            ..Extra::default()
        });
        assert_eq!(Record::of_row(&record.row()), Some(record.clone()));
        for (state, word) in STATES {
            record.alert.state = state;
            assert_eq!(record.row().state, word);
            assert_eq!(Record::of_row(&record.row()).expect("a record").alert.state, state);
        }
        let strange = AlertRow { more: "7".into(), ..record.row() };
        assert_eq!(Record::of_row(&strange), None);
    }
}
