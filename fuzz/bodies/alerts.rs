//! wire, alert, notify: any text as what people write about alerts: a rule file of Prometheus, a test of
//! one, a rule of ours, a template, a silence, times of the week, the target of a receiver.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use plimsoll::alert::template::{self, Scope, expand};
use plimsoll::alert::weekly::Weekly;
use plimsoll::alert::when::RuleText;
use plimsoll::alert::{Rule, What, check, files, unittest};
use plimsoll::model::Labels;
use plimsoll::notify::{ChannelSettings, channel_of, host_of_target, redacted};
use plimsoll::query::ast::Expr;
use plimsoll::query::parse;

const KEPT_MS: i64 = 30 * 86_400_000;
/// A test that takes more work than this is read, and not run.
const SAMPLES: usize = 1_000;

static SETTINGS: LazyLock<Arc<ChannelSettings>> = LazyLock::new(|| {
    let settings = ChannelSettings::of_environment("here");
    // No program of this machine is found, and no file of it read.
    Arc::new(ChannelSettings { credentials: None, path: "/nowhere".into(), ..settings })
});

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    rule_file(&text);
    tests(&text);
    template(&text);
    for line in text.lines().take(8) {
        rule(line);
        let _silence = What::parse(line);
        if let Ok(times) = Weekly::parse(line, &jiff::tz::TimeZone::UTC) {
            let at = 1_700_000_000_000;
            assert!(times.holds(at).is_none_or(|until| until > at), "it ends");
        }
        target(line);
    }
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

fn tests(text: &str) {
    let Ok(tests) = unittest::read(text) else { return };
    if text.len() < SAMPLES {
        let _failures = unittest::run(&tests, &[]);
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
fn template(text: &str) {
    let labels = Labels::new([("instance", "here:9100"), ("mountpoint", "/")]);
    let found = |expr: &str| {
        let expr: Expr = parse(expr).map_err(|e| e.to_string())?;
        let _unused = expr;
        let one = |n: i32| (Arc::new(Labels::new([("n", n.to_string())])), f64::from(n));
        Ok((0..3).map(one).collect())
    };
    let scope = Scope { labels: &labels, value: 93.25, query: &found };
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
