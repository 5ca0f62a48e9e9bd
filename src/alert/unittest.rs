//! alert: promtool's unit tests of rule files: series and times in, the alerts that have to fire and the
//! values that expressions have to give. The files come from outside; nothing is read here.

use std::collections::BTreeMap;

use super::files::{FileRule, Group, Recording};
use super::judge::Judge;
use super::rule::Rule;
use super::template::Outside;
use crate::model::Labels;
use crate::query::eval::{Limits, Options, Value, When, evaluate};
use crate::query::float::ABSENT;
use crate::query::matcher::{MatchOp, NAME};
use crate::query::number::{parse_duration, parse_number};
use crate::query::source::MemorySource;
use crate::query::{parse, parse_selector};
use crate::wire::yaml::{Node, Yaml, YamlError, read as read_yaml};

/// A file of unit tests.
#[derive(Debug, Clone, PartialEq)]
pub struct Tests {
    /// Files of rules, with `*` in their names, beside this file.
    pub rule_files: Vec<String>,
    interval_ms: i64,
    fuzzy: bool,
    order: Vec<String>,
    tests: Vec<Test>,
}

#[derive(Debug, Clone, PartialEq)]
struct Test {
    line: usize,
    name: String,
    interval_ms: i64,
    start: i64,
    series: Vec<(Labels, Vec<Option<f64>>)>,
    alerts: Vec<AlertTest>,
    exprs: Vec<ExprTest>,
    outside: Outside,
    /// The line of the first native histogram: there are none here, so the test is not run.
    histogram: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
struct AlertTest {
    line: usize,
    after_ms: i64,
    name: String,
    expected: Vec<Firing>,
}

#[derive(Debug, Clone, PartialEq)]
struct ExprTest {
    line: usize,
    expr: String,
    after_ms: i64,
    expected: Vec<(Labels, f64)>,
}

/// An alert that fires: labels and annotations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Firing {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The line in the file of tests, counted from 1.
    pub line: usize,
    /// What was expected and what came.
    pub message: String,
}

/// A file has no more samples than this; a stretch without samples counts as well.
const MOST_SAMPLES: usize = 1_000_000;
/// Rules are evaluated so often at the most.
const MOST_STEPS: i64 = 1_000_000;

/// Reads a file of tests. Fails with the line.
pub fn read(text: &str) -> Result<Tests, YamlError> {
    let file = read_yaml(text)?;
    let mut tests = Tests {
        rule_files: Vec::new(),
        interval_ms: 60_000,
        fuzzy: false,
        order: Vec::new(),
        tests: Vec::new(),
    };
    let pairs = file.map("a file of tests")?;
    for (key, value) in pairs {
        match key.as_str() {
            "rule_files" => tests.rule_files = texts(value, "rule_files")?,
            "group_eval_order" => tests.order = texts(value, "group_eval_order")?,
            "evaluation_interval" => tests.interval_ms = ms(value, "evaluation_interval")?.max(1),
            "fuzzy_compare" => tests.fuzzy = value.text("fuzzy_compare")? == "true",
            "tests" => {}
            _ => return Err(unknown(value, key, "a file of tests")),
        }
    }
    let list = pairs.iter().filter(|(key, _)| key == "tests");
    let mut room = MOST_SAMPLES;
    for (_, value) in list {
        for each in value.list("tests")? {
            tests.tests.push(test(each, tests.interval_ms, &mut room)?);
        }
    }
    Ok(tests)
}

fn unknown(value: &Yaml, key: &str, place: &str) -> YamlError {
    value.wrong(&format!("`{key}` is not known in {place}"))
}

fn texts(value: &Yaml, what: &str) -> Result<Vec<String>, YamlError> {
    value.list(what)?.iter().map(|each| each.text(what).map(str::to_owned)).collect()
}

fn ms(value: &Yaml, what: &str) -> Result<i64, YamlError> {
    parse_duration(value.text(what)?).map_err(|e| value.wrong(&format!("{what}: {e}")))
}

/// `room`: so many samples more may come.
fn test(value: &Yaml, every_ms: i64, room: &mut usize) -> Result<Test, YamlError> {
    let mut out = Test {
        line: value.line,
        name: String::new(),
        interval_ms: every_ms,
        start: 0,
        series: Vec::new(),
        alerts: Vec::new(),
        exprs: Vec::new(),
        outside: Outside::default(),
        histogram: None,
    };
    for (key, value) in value.map("a test")? {
        match key.as_str() {
            "name" => out.name = value.text("name")?.to_owned(),
            "interval" => out.interval_ms = ms(value, "interval")?.max(1),
            "start_timestamp" => {
                let text = value.text("start_timestamp")?;
                let time = crate::wire::time::parse_timestamp(text);
                out.start = time.map_err(|e| value.wrong(&e.to_string()))?;
            }
            "input_series" => {
                for each in value.list("input_series")? {
                    match histogram_of(each, "values", |value| {
                        value.text("values").is_ok_and(|text| text.contains("{{"))
                    }) {
                        Some(line) => out.histogram = out.histogram.or(Some(line)),
                        None => out.series.push(series(each, room)?),
                    }
                }
            }
            "alert_rule_test" => {
                for each in value.list("alert_rule_test")? {
                    out.alerts.push(alert_test(each)?);
                }
            }
            "promql_expr_test" => {
                for each in value.list("promql_expr_test")? {
                    let pairs = each.map("a test of an expression")?;
                    let samples = pairs.iter().filter(|(key, _)| key == "exp_samples");
                    let mut samples =
                        samples.filter_map(|(_, value)| value.list("exp_samples").ok()).flatten();
                    match samples.find_map(|s| histogram_of(s, "histogram", |_| true)) {
                        Some(line) => out.histogram = out.histogram.or(Some(line)),
                        None => out.exprs.push(expr_test(each)?),
                    }
                }
            }
            "external_labels" => {
                out.outside.labels = Labels::new(map_of(value, "external_labels")?);
            }
            "external_url" => out.outside.url = value.text("external_url")?.to_owned(),
            _ => return Err(unknown(value, key, "a test")),
        }
    }
    Ok(out)
}

/// The line of a native histogram: of a field with this name that is one.
fn histogram_of(value: &Yaml, name: &str, is_one: impl Fn(&Yaml) -> bool) -> Option<usize> {
    let pairs = value.map(name).ok()?;
    pairs.iter().find(|(key, value)| key == name && is_one(value)).map(|(_, value)| value.line)
}

fn labels_of(value: &Yaml, text: &str) -> Result<Labels, YamlError> {
    if text.trim() == "{}" || text.trim().is_empty() {
        return Ok(Labels::default());
    }
    let matchers = parse_selector(text).map_err(|e| value.wrong(&e.one_line(text)))?;
    if matchers.iter().any(|m| m.op() != MatchOp::Equal) {
        return Err(value.wrong("the labels of a series can only be said with ="));
    }
    Ok(Labels::new(matchers.iter().map(|m| (m.name(), m.value()))))
}

fn series(value: &Yaml, room: &mut usize) -> Result<(Labels, Vec<Option<f64>>), YamlError> {
    let (mut labels, mut samples) = (None, Vec::new());
    for (key, value) in value.map("a series")? {
        match key.as_str() {
            "series" => labels = Some(labels_of(value, value.text("series")?)?),
            "values" => {
                let text = value.text("values")?;
                samples = values(text, *room).map_err(|why| value.wrong(&why))?;
                *room -= samples.len();
            }
            _ => return Err(unknown(value, key, "a series")),
        }
    }
    let labels = labels.ok_or_else(|| value.wrong("a series needs `series`"))?;
    Ok((labels, samples))
}

/// Reads `1 2+3x4 _ _x5 stale`, at most so many values. A missing value is `None`, `stale` is the
/// staleness marker. Fails with a sentence.
pub fn values(text: &str, most: usize) -> Result<Vec<Option<f64>>, String> {
    let mut out = Vec::new();
    let full = || format!("a file of tests has at most {MOST_SAMPLES} samples");
    for word in text.split_whitespace() {
        let wrong =
            || format!("`{word}` is no value; write `1`, `1+2x3`, `1x3`, `_`, `_x3`, `stale`");
        if out.len() >= most {
            return Err(full());
        }
        let count = |text: &str| match text.parse::<usize>() {
            // A first value comes before those that repeat it.
            Ok(count) if count < most - out.len() => Ok(count),
            Ok(_) => Err(full()),
            Err(_) => Err(wrong()),
        };
        let number = |text: &str| parse_number(text.trim_start_matches('+')).map_err(|_| wrong());
        if word == "_" {
            out.push(None);
        } else if word == "stale" {
            out.push(Some(ABSENT));
        } else if let Some(times) = word.strip_prefix("_x") {
            let count = count(times)?;
            out.extend(std::iter::repeat_n(None, count));
        } else if let Some((start, times)) = word.rsplit_once('x') {
            let count = count(times)?;
            // A sign behind an `e` belongs to the number.
            let step = start.char_indices().skip(1).find(|(at, c)| {
                matches!(c, '+' | '-') && !start[..*at].ends_with(['e', 'E', '+', '-'])
            });
            let (start, step) = match step {
                Some((at, _)) => (number(&start[..at])?, number(&start[at..])?),
                None => (number(start)?, 0.0),
            };
            let mut value = start;
            for _ in 0..=count {
                out.push(Some(value));
                value += step;
            }
        } else {
            out.push(Some(number(word)?));
        }
    }
    Ok(out)
}

fn map_of(value: &Yaml, what: &str) -> Result<BTreeMap<String, String>, YamlError> {
    let mut out = BTreeMap::new();
    for (name, value) in value.map(what)? {
        let text = if value.node == Node::Null { "" } else { value.text(name)? };
        out.insert(name.clone(), text.to_owned());
    }
    Ok(out)
}

fn alert_test(value: &Yaml) -> Result<AlertTest, YamlError> {
    let mut out =
        AlertTest { line: value.line, after_ms: 0, name: String::new(), expected: Vec::new() };
    for (key, value) in value.map("a test of an alert")? {
        match key.as_str() {
            "eval_time" => out.after_ms = ms(value, "eval_time")?,
            "alertname" => out.name = value.text("alertname")?.to_owned(),
            "exp_alerts" => {
                for each in value.list("exp_alerts")? {
                    let (mut labels, mut annotations) = (BTreeMap::new(), BTreeMap::new());
                    for (key, value) in each.map("an expected alert")? {
                        match key.as_str() {
                            "exp_labels" => labels = map_of(value, "exp_labels")?,
                            "exp_annotations" => annotations = map_of(value, "exp_annotations")?,
                            _ => return Err(unknown(value, key, "an expected alert")),
                        }
                    }
                    // The name of the alert is known.
                    labels.retain(|name, value| name != "alertname" && !value.is_empty());
                    out.expected.push(Firing { labels, annotations });
                }
            }
            _ => return Err(unknown(value, key, "a test of an alert")),
        }
    }
    if out.name.is_empty() {
        return Err(value.wrong("a test of an alert needs `alertname`"));
    }
    out.expected.sort();
    Ok(out)
}

fn expr_test(value: &Yaml) -> Result<ExprTest, YamlError> {
    let mut out =
        ExprTest { line: value.line, expr: String::new(), after_ms: 0, expected: Vec::new() };
    for (key, value) in value.map("a test of an expression")? {
        match key.as_str() {
            "expr" => out.expr = value.text("expr")?.to_owned(),
            "eval_time" => out.after_ms = ms(value, "eval_time")?,
            "exp_samples" => {
                for each in value.list("exp_samples")? {
                    let (mut labels, mut number) = (Labels::default(), 0.0);
                    for (key, value) in each.map("an expected sample")? {
                        match key.as_str() {
                            "labels" => labels = labels_of(value, value.text("labels")?)?,
                            "value" => {
                                let text = value.text("value")?;
                                number = parse_number(text)
                                    .map_err(|_| value.wrong("the value has to be a number"))?;
                            }
                            _ => return Err(unknown(value, key, "an expected sample")),
                        }
                    }
                    out.expected.push((labels, number));
                }
            }
            _ => return Err(unknown(value, key, "a test of an expression")),
        }
    }
    out.expected.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

/// Runs all tests over the groups of their rule files; what failed comes back.
pub fn run(tests: &Tests, groups: &[Group]) -> Vec<Failure> {
    let mut groups: Vec<&Group> = groups.iter().collect();
    let place = |group: &&Group| {
        tests.order.iter().position(|name| *name == group.name).unwrap_or(usize::MAX)
    };
    groups.sort_by_key(place);
    tests.tests.iter().flat_map(|test| run_one(test, tests, &groups)).collect()
}

/// Adds the samples whose time has come; how many of each series are there now.
fn give(test: &Test, mut given: usize, after: i64, source: &mut MemorySource) -> usize {
    let most = test.series.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    while given < most && given as i64 * test.interval_ms <= after {
        let time = test.start + given as i64 * test.interval_ms;
        for (labels, values) in &test.series {
            if let Some(Some(value)) = values.get(given) {
                source.add(labels.clone(), [(time, *value)]);
            }
        }
        given += 1;
    }
    given
}

fn run_one(test: &Test, tests: &Tests, groups: &[&Group]) -> Vec<Failure> {
    if let Some(line) = test.histogram {
        let message = format!(
            "{}this test is not run: it has a native histogram, and there are none in plimsoll",
            titled(test)
        );
        return vec![Failure { line, message }];
    }
    let mut failures = Vec::new();
    // One judge a rule: each sees what those before it have written at the same moment.
    let mut rules: Vec<Judge> = (groups.iter().flat_map(|group| &group.rules))
        .map(|rule| match rule {
            FileRule::Alert(rule) => {
                let rule = Rule { every_ms: 0, ..(**rule).clone() };
                Judge::new(vec![rule], tests.interval_ms).seen_from(test.outside.clone())
            }
            FileRule::Record(rule) => {
                let rule = Recording { every_ms: 0, ..(**rule).clone() };
                Judge::new(Vec::new(), tests.interval_ms).with_records(vec![rule])
            }
        })
        .collect();
    let last = test.alerts.iter().map(|t| t.after_ms).chain(test.exprs.iter().map(|t| t.after_ms));
    let last = last.max().unwrap_or(0);
    if last / tests.interval_ms > MOST_STEPS {
        let message = format!("rules would be evaluated more than {MOST_STEPS} times");
        return vec![Failure { line: test.line, message }];
    }
    let mut source = MemorySource::default();
    let mut given = 0;
    let mut after = 0;
    while after <= last {
        let at = test.start + after;
        given = give(test, given, after, &mut source);
        for rule in &mut rules {
            evaluate_rule(rule, at, &mut source, test, &mut failures);
        }
        let now = |t: &&AlertTest| t.after_ms >= after && t.after_ms < after + tests.interval_ms;
        for expected in test.alerts.iter().filter(now) {
            failures.extend(compare_alerts(test, expected, &rules));
        }
        after += tests.interval_ms;
    }
    give(test, given, last, &mut source);
    failures.extend(test.exprs.iter().filter_map(|e| compare_expr(test, e, &source, tests.fuzzy)));
    failures
}

fn evaluate_rule(
    judge: &mut Judge,
    at: i64,
    source: &mut MemorySource,
    test: &Test,
    failures: &mut Vec<Failure>,
) {
    let pass = judge.pass_over(at, source, Limits::default(), &[]);
    for (name, why) in pass.errors {
        failures.push(Failure { line: test.line, message: format!("{name}: {why}") });
    }
    for (labels, value) in pass.samples {
        source.add(labels, [(at, value)]);
    }
}

fn time_of(ms: i64) -> String {
    crate::model::format_duration(ms)
}

fn titled(test: &Test) -> String {
    if test.name.is_empty() { String::new() } else { format!("{}: ", test.name) }
}

fn compare_alerts(test: &Test, expected: &AlertTest, rules: &[Judge]) -> Option<Failure> {
    let mut got: Vec<Firing> = Vec::new();
    let mut known = false;
    for judge in rules {
        if !judge.rules().any(|rule| rule.alertname() == expected.name) {
            continue;
        }
        known = true;
        for alert in judge.instances().filter(|alert| alert.is_firing()) {
            let labels = alert.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            got.push(Firing { labels, annotations: alert.annotations.clone() });
        }
    }
    got.sort();
    if got == expected.expected {
        return None;
    }
    let note = if known { "" } else { " (there is no rule of that name)" };
    Some(Failure {
        line: expected.line,
        message: format!(
            "{}alert {} at {}{note}: expected {}, got {}",
            titled(test),
            expected.name,
            time_of(expected.after_ms),
            listed(&expected.expected),
            listed(&got)
        ),
    })
}

fn listed(alerts: &[Firing]) -> String {
    let pairs = |map: &BTreeMap<String, String>| {
        let each: Vec<String> = map.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
        format!("{{{}}}", each.join(", "))
    };
    let each: Vec<String> =
        alerts.iter().map(|a| format!("{} {}", pairs(&a.labels), pairs(&a.annotations))).collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join("; ") }
}

fn compare_expr(
    test: &Test,
    expected: &ExprTest,
    source: &MemorySource,
    fuzzy: bool,
) -> Option<Failure> {
    let fail = |message: String| {
        let message = format!(
            "{}{} at {}: {message}",
            titled(test),
            expected.expr,
            time_of(expected.after_ms)
        );
        Some(Failure { line: expected.line, message })
    };
    let expr = match parse(&expected.expr) {
        Ok(expr) => expr,
        Err(e) => return fail(e.one_line(&expected.expr)),
    };
    let when = When::Instant(test.start + expected.after_ms);
    let answer = match evaluate(source, &expr, when, &Options::default(), Limits::default()) {
        Ok(answer) => answer,
        Err(e) => return fail(e.to_string()),
    };
    let mut got: Vec<(Labels, f64)> = match answer.value {
        Value::Vector(list) => list.into_iter().map(|s| ((*s.labels).clone(), s.value)).collect(),
        Value::Scalar(_, value) => vec![(Labels::default(), value)],
        _ => return fail("the expression gives neither a vector nor a number".to_owned()),
    };
    got.sort_by(|a, b| a.0.cmp(&b.0));
    let same = |a: f64, b: f64| match fuzzy {
        true => {
            (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs()) * 4.0 || a.to_bits() == b.to_bits()
        }
        false => a == b || a.is_nan() && b.is_nan(),
    };
    let alike = got.len() == expected.expected.len()
        && got.iter().zip(&expected.expected).all(|(a, b)| a.0 == b.0 && same(a.1, b.1));
    if alike {
        return None;
    }
    let shown = |list: &[(Labels, f64)]| {
        let each: Vec<String> = list
            .iter()
            .map(|(labels, value)| {
                let pairs = labels.iter().filter(|(n, _)| *n != NAME);
                let pairs: Vec<String> = pairs.map(|(n, v)| format!("{n}={v:?}")).collect();
                let name = labels.get(NAME).unwrap_or_default();
                format!("{name}{{{}}} {value}", pairs.join(", "))
            })
            .collect();
        if each.is_empty() { "nothing".to_owned() } else { each.join("; ") }
    };
    fail(format!("expected {}, got {}", shown(&expected.expected), shown(&got)))
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
