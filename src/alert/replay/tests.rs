//! alert: tests of the replay: it says what judging at each beat says.

use super::*;
use crate::alert::{Judge, RuleText, defaults};
use crate::query::source::MemorySource;

const BEAT: i64 = 10_000;
const START: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

/// Two days: a disk that is full for an hour on each, and a hole of two hours.
fn source() -> MemorySource {
    let mut source = MemorySource::default();
    let labels = |name: &str| {
        let pairs =
            [("mountpoint", "/"), ("fstype", "ext4"), ("device", "a"), ("instance", "web1")];
        Labels::new(pairs.into_iter().chain([("__name__", name)]))
    };
    let beats: Vec<i64> = (0..2 * DAY / BEAT)
        .map(|beat| START + beat * BEAT)
        .filter(|at| !(START + 3 * 3_600_000..START + 5 * 3_600_000).contains(at))
        .collect();
    let full = |at: i64| (8 * 3_600_000..9 * 3_600_000).contains(&((at - START) % DAY));
    let free = |at: i64| if full(at) { 2e9 } else { 50e9 };
    source.add(labels("node_filesystem_size_bytes"), beats.iter().map(|at| (*at, 100e9)));
    for name in ["node_filesystem_free_bytes", "node_filesystem_avail_bytes"] {
        source.add(labels(name), beats.iter().map(|at| (*at, free(*at))));
    }
    source.add(labels("node_filesystem_readonly"), beats.iter().map(|at| (*at, 0.0)));
    source.add(
        Labels::new([("__name__", "node_load1"), ("instance", "web1")]),
        beats.iter().map(|at| (*at, ((at - START) / 60_000 % 90) as f64)),
    );
    source
}

fn rules() -> Vec<Rule> {
    let mut rules = defaults().expect("right");
    let text = RuleText {
        when: "node_load1 > 80".into(),
        r#for: Some("5m".into()),
        clear: Some("10".into()),
        ..RuleText::default()
    };
    rules.push(Rule::parse(&text).expect("right"));
    rules
}

#[test]
fn a_replay_says_what_was_said() {
    let (source, rules) = (source(), rules());
    let span = Span { from: START, to: START + 2 * DAY - BEAT, beat_ms: BEAT, samples_from: START };
    let replayed = replay(&rules, &source, span, Limits::default()).expect("right");
    let disk: Vec<&Incident> =
        replayed.incidents.iter().filter(|i| i.rule == "disk_full").collect();
    assert_eq!(disk.len(), 2, "{disk:?}");
    for (day, incident) in (0..).zip(&disk) {
        let full = START + day * DAY + 8 * 3_600_000;
        assert_eq!((incident.fired_at, incident.severity), (full + 60_000, Severity::Bad));
        assert_eq!(incident.ended_at, Some(full + 3_600_000 + 300_000));
        assert!(
            (incident.peak - 98.0).abs() < 1e-9 && incident.text.contains("disk / is 98 % full")
        );
    }
    let seen = 2 * DAY - 2 * 3_600_000;
    assert!((replayed.seen_ms - seen).abs() < 300_000, "{}", replayed.seen_ms);
    assert!(replayed.skipped.iter().any(|(rule, _)| rule == "silent"));
    assert!(replayed.messages_a_week() > 50.0, "the load's rule is a noisy one");

    // Beat by beat, as it is lived; only the rules that are fast, for a test's time.
    let lived: Vec<Rule> = rules
        .into_iter()
        .filter(|r| r.name.starts_with("node_load1") || &*r.name == "disk_full")
        .collect();
    let mut judge = Judge::new(lived, BEAT);
    judge.load(Vec::new(), Some(START - DAY));
    let mut told = Vec::new();
    let from = START + 6 * 3_600_000;
    let mut at = from;
    while at <= START + 10 * 3_600_000 {
        told.extend(judge.pass_over(at, &source, Limits::default(), &[]).changes);
        at += BEAT;
    }
    let known = |change: &Change| (change.at, change.turn, change.alert.rule.clone());
    let later =
        |change: &&Change| change.at > from + 5_400_000 && change.at <= START + 10 * 3_600_000;
    let lived: Vec<_> = told.iter().filter(later).map(known).collect();
    let again: Vec<_> = replayed.changes.iter().filter(later).map(known).collect();
    assert!(lived.len() >= 4, "{lived:?}");
    assert_eq!(again, lived);
}
