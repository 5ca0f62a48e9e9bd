//! alert: every message of the default rules, as a phone shows it. Read the snapshot as if it had woken
//! you up.

use jiff::tz::TimeZone;

use super::*;
use crate::alert::{Rule, State, defaults};
use crate::model::Labels;
use crate::notify::{Message, Place, compose};

/// Tuesday 1 December 2026, 03:10 in Berlin.
const NIGHT: i64 = 1_796_091_000_000;
const MINUTE: i64 = 60_000;
/// Letters in a line of a phone.
const PHONE: usize = 40;

/// A value as it may be when the rule fires, by its name.
fn value(rule: &str) -> f64 {
    match rule {
        "disk_full" => 98.2,
        "disk_fills" => 52_200.0,
        "inodes" => 1.7,
        "memory" => 3.1,
        "pressure_io" => 55.0,
        "pressure_memory" => 31.0,
        "load" => 5.2,
        "steal" => 14.0,
        "hot" => 101.0,
        "conntrack" => 88.0,
        "file_descriptors" => 93.0,
        "net_errors" => 2.4,
        "rebooted" | "crashed" => 95.0,
        "silent" | "store" => 130.0,
        "unsent" => 660.0,
        "oom" | "unit_loops" => 3.0,
        _ => 1.0,
    }
}

fn sentence(rule: &Rule, value: f64) -> String {
    let filled = |text: String, (name, with): (&str, &str)| text.replace(name, with);
    let shown = rule.unit.format(value);
    [
        ("{value}", &*shown),
        ("{left}", "5.1 GB"),
        ("{mountpoint}", "/"),
        ("{load}", "41.6"),
        ("{sensor}", "temp1"),
        ("{chip}", "coretemp"),
        ("{device}", if &*rule.name == "net_errors" { "eth0" } else { "md0" }),
        ("{disk}", ""),
        ("{zpool}", "tank"),
        ("{state}", "degraded"),
        ("{name}", "backup.service"),
        ("{instance}", "web2"),
        ("{collector}", "diskstats"),
        ("{channel}", "ntfy:ops"),
        ("{what}", "Disk usage of /srv"),
    ]
    .into_iter()
    .fold(rule.text.to_string(), filled)
}

fn firing(rule: &Rule) -> Instance {
    let worst = &rule.limits[rule.limits.len() - 1];
    let value = value(&rule.name);
    Instance {
        rule: rule.name.to_string(),
        labels: match rule.name.as_ref() {
            "silent" => Labels::new([("instance", "web2")]),
            _ => Labels::default(),
        },
        fingerprint: 0x00c0_ffee_00c0_ffee,
        state: State::Firing,
        frozen: None,
        severity: worst.severity,
        active_at: NIGHT - worst.for_ms,
        held_ms: 0,
        worse_ms: None,
        worse_clear_since: None,
        fired_at: Some(NIGHT),
        clear_since: None,
        resolved_at: None,
        ended_at: None,
        seen_at: NIGHT,
        value,
        peak: value,
        limit: worst.fires.as_ref().map(|test| test.value),
        flaps: Vec::new(),
        text: sentence(rule, value),
        annotations: BTreeMap::new(),
    }
}

fn told(rule: &Rule, occasion: Occasion, after: i64) -> Message {
    let mut record = Record::new(firing(rule));
    if occasion == Occasion::Over {
        record.alert.resolved_at = Some(NIGHT + after);
    }
    let now = NIGHT + after;
    let measured = rule.is_measured();
    let beside = Beside { here: "web1", unit: &rule.unit, measured, now, firing: &[] };
    let note = note(occasion, &record, beside, String::new(), vec!["a".into()]);
    let zone = TimeZone::get("Europe/Berlin").expect("this machine knows it");
    compose(&[(1, &note)], Place { zone: &zone, now, untold: None }).expect("a message")
}

/// In lines as long as a phone's.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let wide = word.chars().count();
        if length > 0 && length + 1 + wide > PHONE {
            out.push('\n');
            length = 0;
        } else if length > 0 {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += wide;
    }
    out
}

#[test]
fn every_message_of_the_default_rules() {
    let mut all = String::new();
    for rule in defaults().expect("they can be read") {
        all.push_str(&format!("── {}\n", rule.name));
        let mut occasions = vec![
            (Occasion::Fire, 2_000),
            (Occasion::Reminder, 240 * MINUTE),
            (Occasion::Over, 42 * MINUTE),
        ];
        if rule.once {
            occasions.truncate(1);
        }
        for (occasion, after) in occasions {
            let message = told(&rule, occasion, after);
            assert!(!message.title.contains(['{', '}']), "{}: {}", rule.name, message.title);
            for line in std::iter::once(&message.title).chain(&message.lines) {
                all.push_str(&wrapped(line));
                all.push('\n');
            }
            all.push('\n');
        }
    }
    insta::assert_snapshot!(all);
}
