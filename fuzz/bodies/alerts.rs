//! wire, alert, notify, store: any text as what people write about alerts, one function each: a rule file
//! of Prometheus, a test of one, a template; a rule of ours, a silence, times of the week; the target of
//! a receiver.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use plimsoll::alert::template::{self, Scope, expand};
use plimsoll::alert::weekly::Weekly;
use plimsoll::alert::when::RuleText;
use plimsoll::alert::{Instance, Record, Rule, State, What, check, files, unittest};
use plimsoll::model::{Labels, Severity};
use plimsoll::notify::{ChannelSettings, channel_of, host_of_target, redacted};
use plimsoll::query::ast::Expr;
use plimsoll::query::parse;
use plimsoll::store::AlertRow;

const KEPT_MS: i64 = 30 * 86_400_000;
/// A test that takes more work than this is read, and not run.
const SAMPLES: usize = 1_000;

static SETTINGS: LazyLock<Arc<ChannelSettings>> = LazyLock::new(|| {
    let settings = ChannelSettings::of_environment("here");
    // No program of this machine is found, and no file of it read.
    Arc::new(ChannelSettings { credentials: None, path: "/nowhere".into(), ..settings })
});

static ALERT: LazyLock<Instance> = LazyLock::new(|| Instance {
    rule: "disk_full".to_owned(),
    labels: Labels::new([("instance", "web1"), ("mountpoint", "/home")]),
    fingerprint: 7,
    state: State::Firing,
    frozen: None,
    severity: Severity::Bad,
    active_at: 1_000,
    held_ms: 0,
    worse_ms: None,
    worse_clear_since: None,
    fired_at: Some(2_000),
    clear_since: None,
    resolved_at: None,
    ended_at: None,
    seen_at: 3_000,
    value: 98.2,
    peak: 98.2,
    limit: Some(97.0),
    flaps: Vec::new(),
    text: "disk /home is 98 % full".to_owned(),
    annotations: BTreeMap::new(),
});

/// A rule file of Prometheus.
pub fn files(data: &[u8]) {
    rule_file(&String::from_utf8_lossy(data));
}

/// A test of a rule file, for promtool.
pub fn tests(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(tests) = unittest::read(&text) else { return };
    if text.len() < SAMPLES {
        for failure in unittest::run(&tests, &[]) {
            assert!(!failure.message.is_empty());
        }
    }
}

/// The template of an annotation.
pub fn template(data: &[u8]) {
    fill(&String::from_utf8_lossy(data));
}

/// Single lines: a rule as a person writes it, a silence, times of the week, what the database keeps of
/// an alert.
pub fn words(data: &[u8]) {
    for line in String::from_utf8_lossy(data).lines().take(3) {
        rule(line);
        if let Ok(what) = What::parse(line) {
            what.matches(&ALERT, "here");
        }
        if let Ok(times) = Weekly::parse(line, &jiff::tz::TimeZone::UTC) {
            let at = 1_700_000_000_000;
            assert!(times.holds(at).is_none_or(|until| until > at), "it ends");
        }
        for (more, flaps) in [(line, "[]"), ("{}", line)] {
            let (more, flaps) = (more.to_owned(), flaps.to_owned());
            let row = AlertRow { more, flaps, ..Record::new(ALERT.clone()).row() };
            if let Some(record) = Record::of_row(&row) {
                assert_eq!(Record::of_row(&record.row()).as_ref(), Some(&record));
            }
        }
    }
}

/// Where messages go.
pub fn targets(data: &[u8]) {
    String::from_utf8_lossy(data).lines().take(3).for_each(target);
}

/// An error names a line of the file.
fn rule_file(text: &str) {
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    match files::read(text) {
        Ok(groups) => {
            let (alerts, records) = files::parted(groups);
            for rule in &alerts {
                about(rule);
            }
            for record in &records {
                let labels = record.labels_of(&Labels::new([("a", "b")]));
                assert_eq!(labels.get("__name__"), Some(&*record.name));
            }
        }
        Err(e) => assert!(e.line <= lines + 1 && !e.message.is_empty(), "{e} of {lines}"),
    }
}

fn about(rule: &Rule) {
    let _never = check::cannot_fire(rule, Some(KEPT_MS));
    let labels = rule.labels_of(&Labels::new([("__name__", "a"), ("b", "c")]));
    assert!(!rule.alertname().is_empty());
    assert!(parse(&rule.promql()).is_ok() || rule.is_measured(), "{}", rule.promql());
    for (_, text) in &rule.annotations {
        assert!(template::check(text).is_ok(), "a file with this template is refused");
    }
    let _found = labels.get("b");
}

/// A rule says of itself what can be read again.
fn rule(text: &str) {
    let words: Vec<&str> = text.split('|').collect();
    let word = |at: usize| words.get(at).map(|word| (*word).to_owned());
    let given = RuleText {
        when: word(0).unwrap_or_default(),
        r#for: word(1),
        clear: word(2),
        severity: word(3),
        text: word(4),
        ..RuleText::default()
    };
    match Rule::parse(&given) {
        Ok(rule) => about(&rule),
        Err(e) => assert!(!e.message.is_empty() && !e.hint.is_empty()),
    }
}

/// A template that passes the check may fail when it is filled, and ends in any case.
fn fill(text: &str) {
    let labels = Labels::new([("instance", "here:9100"), ("mountpoint", "/")]);
    let found = |expr: &str| {
        let expr: Expr = parse(expr).map_err(|e| e.to_string())?;
        let _unused = expr;
        let one = |n: i32| (Arc::new(Labels::new([("n", n.to_string())])), f64::from(n));
        Ok((0..3).map(one).collect())
    };
    let outside = template::Outside::default();
    let scope = Scope { labels: &labels, value: 93.25, query: &found, outside: &outside };
    let known = template::check(text).is_ok();
    if let Ok(filled) = expand(text, &scope) {
        assert!(known && filled.len() <= 64 << 10);
    }
}

/// A receiver shows none of its secrets.
fn target(text: &str) {
    if text.contains("${") {
        return;
    }
    let _host = host_of_target(text);
    let shown = redacted(text, &SETTINGS);
    assert!(!shown.is_empty());
    let mut kinds = BTreeMap::new();
    match channel_of(text, &SETTINGS) {
        Ok(channel) => {
            kinds.insert(channel.kind(), channel.shown());
        }
        Err(e) => assert!(!e.0.is_empty()),
    }
}
