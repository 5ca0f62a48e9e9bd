//! alert: the rules that hold where nobody configured anything, out of defaults.toml.

use serde::Deserialize;

use super::rule::{Also, Limit, Measure, Query, Rule, Test, Way};
use crate::model::{Condition, Severity, Unit, parse_duration};

/// The rules, as text with the reason beside each threshold.
pub const TEXT: &str = include_str!("defaults.toml");

/// Other limits for a rule, by the value where each begins; in the unit of the rule.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Where a warning begins.
    pub warning: Option<f64>,
    /// Where it is bad.
    pub bad: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: Box<str>,
    measure: Option<Box<str>>,
    forecast: Option<Box<str>>,
    given: Option<Box<str>>,
    exists: Option<Box<str>>,
    #[serde(default)]
    unit: String,
    text: Box<str>,
    #[serde(default)]
    also: Vec<AlsoRow>,
    #[serde(default)]
    once: bool,
    info: Option<LimitRow>,
    warning: Option<LimitRow>,
    bad: Option<LimitRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlsoRow {
    name: Box<str>,
    measure: Box<str>,
    #[serde(default)]
    unit: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitRow {
    when: Box<str>,
    and: Option<Box<str>>,
    r#for: Option<Box<str>>,
    clear: Option<Box<str>>,
    clear_unless: Option<Box<str>>,
    keep: Option<Box<str>>,
}

/// What is believed to be over after this, at the earliest, ms.
pub const LEAST_KEEP_MS: i64 = 300_000;

/// At least this many readings lie in a window: a rate needs two, and one may be missing.
const READINGS: i64 = 4;

/// The rules of defaults.toml. Fails with a sentence that names the rule where the file is wrong, which
/// a test rules out.
pub fn defaults() -> Result<Vec<Rule>, String> {
    read(TEXT)
}

/// The default rules for a machine that is read every `beat_ms` ms: windows that are too short for that
/// are made longer.
pub fn defaults_at(beat_ms: i64) -> Result<Vec<Rule>, String> {
    read(&widened(TEXT, beat_ms.saturating_mul(READINGS)))
}

/// Makes the windows in a text, such as `[5m]`, at least `least_ms` long.
fn widened(text: &str, least_ms: i64) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (window, behind))) =
        rest.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?)))
    {
        let is_short = parse_duration(window).is_ok_and(|ms| ms < least_ms);
        let longer = format!("{}s", least_ms / 1_000);
        out.extend([before, "[", if is_short { &longer } else { window }, "]"]);
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The names of the rules of defaults.toml.
pub fn default_names() -> Vec<String> {
    #[derive(Deserialize)]
    struct Named {
        rule: Vec<Name>,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    let named = toml::from_str::<Named>(TEXT);
    named.map_or_else(|_| Vec::new(), |file| file.rule.into_iter().map(|row| row.name).collect())
}

fn read(text: &str) -> Result<Vec<Rule>, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    file.rule
        .into_iter()
        .map(|row| {
            let name = row.name.clone();
            rule(row).map_err(|why| format!("rule {name}: {why}"))
        })
        .collect()
}

fn query(text: &str) -> Result<Query, String> {
    Query::parse(text).map_err(|e| e.shown(text))
}

fn rule(row: Row) -> Result<Rule, String> {
    let measure = match (&row.measure, &row.forecast, row.given) {
        (Some(text), None, None) => Measure::Query(query(text)?),
        (None, Some(text), None) => Measure::Forecast(query(text)?),
        (None, None, Some(name)) => Measure::Given(name),
        _ => return Err("it needs one of measure, forecast and given".to_owned()),
    };
    let rows =
        [(Severity::Info, row.info), (Severity::Warning, row.warning), (Severity::Bad, row.bad)];
    let mut limits: Vec<Limit> = rows
        .into_iter()
        .filter_map(|(severity, row)| row.map(|row| limit(severity, row)))
        .collect::<Result<_, _>>()?;
    limits.shrink_to_fit();
    if !(1..=2).contains(&limits.len()) {
        return Err("it needs one or two of info, warning and bad".to_owned());
    }
    let also = row.also.iter().map(|also| {
        let (name, query) = (also.name.clone(), query(&also.measure)?);
        Ok(Also { name, query, unit: Unit::of_word(&also.unit) })
    });
    Ok(Rule {
        name: row.name,
        measure,
        limits,
        exists: row.exists.as_deref().map(query).transpose()?,
        unit: Unit::of_word(&row.unit),
        text: row.text,
        also: also.collect::<Result<_, String>>()?,
        labels: Vec::new(),
        annotations: Vec::new(),
        to: Vec::new(),
        file: "".into(),
        once: row.once,
        way: Way::Plimsoll,
        every_ms: 0,
        offset_ms: 0,
        most: 0,
    })
}

fn limit(severity: Severity, row: LimitRow) -> Result<Limit, String> {
    let ms = |text: &Option<Box<str>>| {
        text.as_deref().map_or(Ok(0), |text| parse_duration(text).map_err(|e| e.to_string()))
    };
    let for_ms = ms(&row.r#for)?;
    let keep_ms = match &row.keep {
        None => for_ms.max(LEAST_KEEP_MS),
        given => ms(given)?,
    };
    Ok(Limit {
        severity,
        fires: Some(test(&row.when)?),
        and: row.and.as_deref().map(query).transpose()?,
        for_ms,
        clears: row.clear.as_deref().map(test).transpose()?,
        clear_unless: row.clear_unless.as_deref().map(query).transpose()?,
        keep_ms,
    })
}

/// Reads `>= 90`.
pub(super) fn test(text: &str) -> Result<Test, String> {
    let Condition { op, value, .. } = Condition::parse(&format!("value {text}"))
        .map_err(|(what, hint)| format!("{what}; {hint}"))?;
    Ok(Test { op, value })
}

impl Rule {
    /// Gives a rule other limits: where it clears moves by as much. Fails with a sentence where the rule
    /// has no limit of that severity, or where the milder one would come behind the worse one.
    pub fn with_limits(mut self, limits: Limits) -> Result<Self, String> {
        for (severity, value) in [(Severity::Warning, limits.warning), (Severity::Bad, limits.bad)]
        {
            let Some(value) = value else { continue };
            let name = &self.name;
            let Some(limit) = self.limits.iter_mut().find(|l| l.severity == severity) else {
                return Err(format!("the rule {name} has no limit for {}", severity.word()));
            };
            let Some(test) = &mut limit.fires else {
                return Err(format!("the rule {name} has no number to change"));
            };
            let moved = value - test.value;
            test.value = value;
            if let Some(clears) = &mut limit.clears {
                clears.value += moved;
            }
        }
        if let [mild, worse] = &self.limits[..]
            && let (Some(mild), Some(worse)) = (mild.fires, worse.fires)
            && mild.op.is_upward() == worse.op.is_upward()
            && (mild.value > worse.value) == mild.op.is_upward()
            && mild.value != worse.value
        {
            return Err(format!(
                "the rule {} would be bad at {} before it is a warning at {}",
                self.name, worse.value, mild.value
            ));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_can_be_read_and_say_what_they_look_at() {
        let rules = defaults().expect("the file is right");
        let names: Vec<&str> = rules.iter().map(|r| &*r.name).collect();
        for name in ["disk_full", "disk_fills", "memory", "oom", "load", "silent", "unit_failed"] {
            assert!(names.contains(&name), "{name} of {names:?}");
        }
        for rule in &rules {
            assert_eq!(names.iter().filter(|n| ***n == *rule.name).count(), 1, "{}", rule.name);
            assert!(!rule.text.to_lowercase().contains("busy"), "{}", rule.name);
            for limit in &rule.limits {
                assert!(limit.fires.is_some(), "{}", rule.name);
                // What clears lies on the other side of what fires.
                let (fires, clears) = (limit.fires.expect("one"), limit.clears);
                let both =
                    |value: f64| clears.is_some_and(|c| c.holds(value)) && fires.holds(value);
                assert!(![-1.0, 0.0, 1.0].iter().any(|by| both(fires.value + by)), "{}", rule.name);
                assert!(
                    clears.is_none_or(|c| c.op.is_upward() != fires.op.is_upward()),
                    "{}",
                    rule.name
                );
            }
        }
    }

    #[test]
    fn windows_hold_four_readings() {
        assert_eq!(widened("rate(x[2m]) # [a]\n[[rule]]", 0), "rate(x[2m]) # [a]\n[[rule]]");
        assert_eq!(widened("rate(x[2m]) + x[1h] [", 1_200_000), "rate(x[1200s]) + x[1h] [");
        let rules = defaults_at(300_000).expect("right");
        let windows = rules.iter().flat_map(Rule::queries).map(|query| query.range_ms);
        assert!(windows.filter(|ms| *ms > 0).all(|ms| ms >= 1_200_000));
    }

    #[test]
    fn every_row_is_explained() {
        // Above each row and limit stands why it is so.
        let lines: Vec<&str> = TEXT.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if line.starts_with('[') {
                assert!(at > 0 && lines[at - 1].starts_with('#'), "{line} in line {}", at + 1);
            }
        }
    }

    #[test]
    fn other_limits_move_what_clears_with_them() {
        let rule = |name: &str| {
            defaults().expect("right").into_iter().find(|r| &*r.name == name).expect("there")
        };
        let other = |warning, bad| Limits { warning, bad };
        let disk = rule("disk_full").with_limits(other(Some(95.0), None)).expect("fits");
        assert_eq!(disk.limits[0].fires.map(|t| t.value), Some(95.0));
        assert_eq!(disk.limits[0].clears.map(|t| t.value), Some(93.0));
        let wrong = rule("disk_full").with_limits(other(Some(99.0), None)).unwrap_err();
        assert!(wrong.contains("would be bad at 97 before it is a warning at 99"), "{wrong}");
        let none = rule("steal").with_limits(other(None, Some(50.0))).unwrap_err();
        assert!(none.contains("has no limit for bad"), "{none}");
    }
}
