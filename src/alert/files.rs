//! alert: rule files of Prometheus: groups of alerting and recording rules. A key that is not known is an
//! error, as there.

use super::rule::{Limit, Measure, Query, Rule, Way};
use super::template;
use crate::model::{Labels, Severity, Unit};
use crate::query::matcher::NAME;
use crate::query::number::parse_duration;
use crate::wire::yaml::{Yaml, YamlError, read as read_yaml};

/// A group of rules, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name; no other group of the file has it.
    pub name: String,
    /// How far apart its evaluations are, ms; 0: as usual.
    pub interval_ms: i64,
    /// Its rules.
    pub rules: Vec<FileRule>,
}

/// A rule of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum FileRule {
    /// `alert:`
    Alert(Box<Rule>),
    /// `record:`
    Record(Box<Recording>),
}

/// A rule that writes a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The series' name.
    pub name: Box<str>,
    /// Its value.
    pub query: Query,
    /// Labels that it gets.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// How far apart evaluations are, ms; 0: it is evaluated with every beat.
    pub every_ms: i64,
    /// It looks at what was this long before, ms.
    pub offset_ms: i64,
    /// The file it comes from.
    pub file: Box<str>,
}

impl Recording {
    /// The labels of a series that it writes, with its name.
    pub fn labels_of(&self, result: &Labels) -> Labels {
        let result = result.iter().filter(|(name, _)| *name != NAME);
        let own = self.labels.iter().map(|(name, value)| (&**name, &**value));
        Labels::new(result.chain(own).chain([(NAME, &*self.name)]))
    }
}

/// What holds for all rules of a group.
struct Common {
    every_ms: i64,
    offset_ms: i64,
    most: usize,
    labels: Vec<(Box<str>, Box<str>)>,
}

/// Reads a rule file. Fails with the line.
pub fn read(text: &str) -> Result<Vec<Group>, YamlError> {
    let file = read_yaml(text)?;
    let mut groups: Vec<Group> = Vec::new();
    for (key, value) in file.map("a rule file")? {
        match key.as_str() {
            "groups" => {
                for each in value.list("groups")? {
                    let group = group(each)?;
                    if groups.iter().any(|known| known.name == group.name) {
                        let message = format!("the group `{}` stands there twice", group.name);
                        return Err(each.wrong(&message));
                    }
                    groups.push(group);
                }
            }
            // Said by tools that make such files for others.
            "namespace" => {}
            _ => return Err(unknown(value, key, "a rule file")),
        }
    }
    Ok(groups)
}

/// A key that is not known. The error shows a word only: a path can lead to a file that holds secrets,
/// such as /etc/shadow by a link, and the error stands in the log and in `/health`.
fn unknown(value: &Yaml, key: &str, place: &str) -> YamlError {
    let word = key.len() <= 40 && key.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    if word && !key.is_empty() {
        value.wrong(&format!("`{key}` is not known in {place}"))
    } else {
        value.wrong(&format!("this is not a key of {place}; is this a rule file?"))
    }
}

fn ms(value: &Yaml, what: &str) -> Result<i64, YamlError> {
    parse_duration(value.text(what)?).map_err(|e| value.wrong(&format!("{what}: {e}")))
}

fn group(value: &Yaml) -> Result<Group, YamlError> {
    let mut common = Common { every_ms: 0, offset_ms: 0, most: 0, labels: Vec::new() };
    let (mut name, mut rules) = (None, None);
    for (key, value) in value.map("a group")? {
        match key.as_str() {
            "name" => name = Some(value.text("name")?),
            "interval" => common.every_ms = ms(value, "interval")?,
            "query_offset" => common.offset_ms = ms(value, "query_offset")?,
            "limit" => {
                let most = value.text("limit")?.parse();
                common.most = most.map_err(|_| value.wrong("limit has to be a whole number"))?;
            }
            "labels" => common.labels = pairs(value, "labels")?,
            "rules" => rules = Some(value),
            "partial_response_strategy" | "source_tenants" => {}
            _ => return Err(unknown(value, key, "a group")),
        }
    }
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| value.wrong("a group needs a name"))?.to_owned();
    let rules = match rules {
        Some(rules) => rules.list("rules")?,
        None => &[],
    };
    let rules = rules.iter().map(|each| rule(each, &common)).collect::<Result<_, _>>()?;
    Ok(Group { name, interval_ms: common.every_ms, rules })
}

/// Names and texts.
type Pairs = Vec<(Box<str>, Box<str>)>;

fn pairs(value: &Yaml, what: &str) -> Result<Pairs, YamlError> {
    let mut out: Pairs = Vec::new();
    for (name, value) in value.map(what)? {
        let valid = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid || what == "labels" && name == NAME {
            return Err(value.wrong(&format!("`{name}` is no name in {what}")));
        }
        let text = match value.node {
            crate::wire::yaml::Node::Null => "",
            _ => value.text(name)?,
        };
        template::check(text).map_err(|e| value.wrong(&format!("{name}: {e}")))?;
        out.push((name.as_str().into(), text.into()));
    }
    Ok(out)
}

fn rule(value: &Yaml, common: &Common) -> Result<FileRule, YamlError> {
    let (mut alert, mut record, mut expr) = (None, None, None);
    let (mut for_ms, mut keep_ms) = (None, None);
    let (mut labels, mut annotations) = (common.labels.clone(), None);
    for (key, value) in value.map("a rule")? {
        match key.as_str() {
            "alert" => alert = Some(value.text("alert")?),
            "record" => record = Some(value.text("record")?),
            "expr" => expr = Some(value),
            "for" => for_ms = Some(ms(value, "for")?),
            "keep_firing_for" => keep_ms = Some(ms(value, "keep_firing_for")?),
            "labels" => {
                for (name, text) in pairs(value, "labels")? {
                    labels.retain(|(known, _)| *known != name);
                    labels.push((name, text));
                }
            }
            "annotations" => annotations = Some(pairs(value, "annotations")?),
            _ => return Err(unknown(value, key, "a rule")),
        }
    }
    let expr = expr.ok_or_else(|| value.wrong("a rule needs an `expr`"))?;
    let text = expr.text("expr")?;
    let query =
        Query::parse(text).map_err(|e| expr.wrong(&format!("expr: {}", e.one_line(text))))?;
    match (alert, record) {
        (Some(name), None) if !name.is_empty() => {
            let severity = labels.iter().find(|(name, _)| &**name == "severity");
            let severity = severity.and_then(|(_, word)| Severity::of_word(word));
            let limit = Limit {
                severity: severity.unwrap_or(Severity::Warning),
                fires: None,
                and: None,
                for_ms: for_ms.unwrap_or(0),
                clears: None,
                clear_unless: None,
                keep_ms: keep_ms.unwrap_or(0),
            };
            Ok(FileRule::Alert(Box::new(Rule {
                name: name.into(),
                measure: Measure::Query(query),
                limits: vec![limit],
                unit: Unit::Plain,
                text: "".into(),
                exists: None,
                also: Vec::new(),
                labels,
                annotations: annotations.unwrap_or_default(),
                to: Vec::new(),
                file: "".into(),
                once: false,
                way: Way::Prometheus,
                every_ms: common.every_ms,
                offset_ms: common.offset_ms,
                most: common.most,
            })))
        }
        (None, Some(name)) if !name.is_empty() => {
            if for_ms.is_some() || keep_ms.is_some() || annotations.is_some() {
                let message = "a recording rule has no for, keep_firing_for and annotations";
                return Err(value.wrong(message));
            }
            Ok(FileRule::Record(Box::new(Recording {
                name: name.into(),
                query,
                labels,
                every_ms: common.every_ms,
                offset_ms: common.offset_ms,
                file: "".into(),
            })))
        }
        (Some(_), Some(_)) => Err(value.wrong("a rule has either `alert` or `record`")),
        _ => Err(value.wrong("a rule needs `alert` or `record`, and a name behind it")),
    }
}

/// The alerting and the recording rules of groups.
pub fn parted(groups: Vec<Group>) -> (Vec<Rule>, Vec<Recording>) {
    let (mut alerts, mut records) = (Vec::new(), Vec::new());
    for rule in groups.into_iter().flat_map(|group| group.rules) {
        match rule {
            FileRule::Alert(rule) => alerts.push(*rule),
            FileRule::Record(rule) => records.push(*rule),
        }
    }
    (alerts, records)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
groups:
- name: disks
  interval: 30s
  limit: 10
  labels: {team: ops}
  rules:
  - record: instance:free:ratio
    expr: node_filesystem_avail_bytes / node_filesystem_size_bytes
    labels: {a: b}
  - alert: DiskFull
    expr: instance:free:ratio < 0.1
    for: 1h30m
    keep_firing_for: 5m
    labels: {severity: critical, team: '{{ $labels.team }}'}
    annotations:
      summary: "{{ $labels.instance }}: {{ $value | humanizePercentage }}"
"#;

    #[test]
    fn a_file_is_read_as_it_is() {
        let groups = read(FILE).expect("right");
        assert_eq!((groups.len(), groups[0].interval_ms), (1, 30_000));
        let (alerts, records) = parted(groups);
        let rule = &alerts[0];
        assert_eq!(
            (&*rule.name, rule.way, rule.every_ms, rule.most),
            ("DiskFull", Way::Prometheus, 30_000, 10)
        );
        let limit = &rule.limits[0];
        assert_eq!((limit.for_ms, limit.keep_ms), (5_400_000, 300_000));
        assert_eq!(limit.severity, Severity::Bad);
        let names: Vec<&str> = rule.labels.iter().map(|(n, _)| &**n).collect();
        assert_eq!(names, ["severity", "team"]);
        let labels = records[0].labels_of(&Labels::new([("__name__", "x"), ("i", "1")]));
        let pairs: Vec<(&str, &str)> = labels.iter().collect();
        assert_eq!(
            pairs,
            [("__name__", "instance:free:ratio"), ("a", "b"), ("i", "1"), ("team", "ops")]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (edit, says) in [
            (("for: 1h30m", "fro: 1h30m"), "line 13: `fro` is not known in a rule"),
            (("limit: 10", "limits: 10"), "line 5: `limits` is not known in a group"),
            (("for: 1h30m", "for: soon"), "line 13: for: "),
            (("< 0.1", "<"), "line 12: expr: 1:"),
            (("- alert: DiskFull", "- alarm: DiskFull"), "line 11: `alarm` is not known"),
            (("labels: {a: b}", "for: 5m"), "line 8: a recording rule has no for"),
            (("| humanizePercentage }}", "| }}"), "line 17: summary: "),
            (
                ("  - record: instance:free:ratio\n    expr", "  - expr"),
                "line 8: a rule needs `alert`",
            ),
            // Nothing of a file that is none of ours is shown.
            (
                ("groups:", "root:$y$j9T$salt$hash:20228:0:99999:7:::"),
                "line 3: this is not a key of a rule file",
            ),
            (("name: disks", "name: ''"), "line 3: a group needs a name"),
            (("{a: b}", "{1a: b}"), "line 10: `1a` is no name in labels"),
        ] {
            let text = FILE.replacen(edit.0, edit.1, 1);
            let said = read(&text).expect_err(says).to_string();
            assert!(said.starts_with(says), "{said}\nnot {says}");
        }
    }
}
