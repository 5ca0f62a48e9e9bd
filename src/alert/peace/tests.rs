//! alert: who is left in peace, and for how long.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::*;
use crate::model::Labels;

/// An alert that fires and is bad.
pub(in super::super) fn instance(rule: &str, labels: &[(&str, &str)]) -> Instance {
    let labels = Labels::new(labels.iter().copied());
    let mut fingerprint = 7_u64;
    for byte in rule.bytes().chain(labels.iter().flat_map(|(n, v)| n.bytes().chain(v.bytes()))) {
        fingerprint = fingerprint.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte);
    }
    Instance {
        rule: rule.to_owned(),
        labels,
        fingerprint,
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
        text: format!("{rule} is wrong"),
        annotations: BTreeMap::new(),
    }
}

fn warning(rule: &str, labels: &[(&str, &str)]) -> Instance {
    Instance { severity: Severity::Warning, ..instance(rule, labels) }
}

#[test]
fn what_something_worse_explains_is_not_told() {
    let root = [("mountpoint", "/")];
    let home = [("mountpoint", "/home")];
    let web2 = [("instance", "web2")];
    let alerts = [
        instance("silent", &web2),
        instance("disk_full", &root),
        warning("oom", &[]),
        instance("HostDisk", &[("disk", "a"), ("severity", "critical")]),
    ];
    let causes = Causes::of(alerts.iter(), "web1");
    let by = |alert: &Instance| causes.explains(alert).map(|cause| cause.rule.clone());
    for (alert, cause) in [
        (instance("memory", &web2), Some("silent")),
        (instance("memory", &[("instance", "web3")]), None),
        (instance("silent", &[("instance", "web3")]), None),
        (alerts[0].clone(), None),
        (instance("disk_fills", &root), Some("disk_full")),
        (instance("inodes", &root), Some("disk_full")),
        (instance("disk_fills", &home), None),
        (instance("disk_readonly", &root), None),
        (instance("memory", &[]), Some("oom")),
        (warning("HostDisk", &[("disk", "a"), ("severity", "warning")]), Some("HostDisk")),
        (warning("HostDisk", &[("disk", "b"), ("severity", "warning")]), None),
        (instance("HostDisk", &[("disk", "a"), ("severity", "page")]), None),
    ] {
        assert_eq!(by(&alert).as_deref(), cause, "{} {:?}", alert.rule, alert.labels);
    }
    // What only threatens to be wrong explains nothing.
    let pending = Instance { state: State::Pending, fired_at: None, ..alerts[0].clone() };
    assert_eq!(Causes::of([&pending].into_iter(), "web1").explains(&instance("m", &web2)), None);
}

#[test]
fn quiet_hours_let_what_is_bad_pass() {
    let zone = TimeZone::get("Europe/Berlin").expect("this machine knows it");
    let window = |text: &str| Weekly::parse(text, &zone).expect("a window");
    let peace = Peace {
        quiet: Some(Quiet {
            hours: vec![window("daily 22:00-06:30"), window("Sat,Sun 06:00-09:00")],
            most: Severity::Warning,
        }),
        ..Peace::default()
    };
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
    let (none, night) = (Causes::default(), at("2026-01-07T02:00:00+01:00"));
    let quiet = |alert: &Instance, now| peace.withholds(alert, &none, now);
    let until = |text: &str| Some(Withheld::Quiet { until: at(text) });
    assert_eq!(quiet(&warning("load", &[]), night), until("2026-01-07T06:30:00+01:00"));
    assert_eq!(quiet(&instance("load", &[]), night), None, "bad");
    assert_eq!(quiet(&warning("load", &[]), at("2026-01-07T06:30:00+01:00")), None);
    // One window goes over into the other.
    let saturday = at("2026-01-10T02:00:00+01:00");
    assert_eq!(quiet(&warning("load", &[]), saturday), until("2026-01-10T09:00:00+01:00"));
    // The nights on which the clock is moved are an hour shorter and longer.
    let (spring, autumn) = (at("2026-03-29T01:00:00+01:00"), at("2026-10-25T01:00:00+02:00"));
    assert_eq!(quiet(&warning("load", &[]), spring), until("2026-03-29T09:00:00+02:00"));
    assert_eq!(quiet(&warning("load", &[]), autumn), until("2026-10-25T09:00:00+01:00"));
}

#[test]
fn a_machine_that_says_goodbye_is_not_missed_for_ten_minutes() {
    let alert = instance("silent", &[("instance", "web2")]);
    let peace = Peace { farewells: vec![("web2".into(), 1_000)], ..Peace::default() };
    let none = Causes { here: "web1", ..Causes::default() };
    let reboot = Some(Withheld::Reboot { until: 601_000 });
    assert_eq!(peace.withholds(&alert, &none, 2_000), reboot);
    assert_eq!(peace.withholds(&alert, &none, 601_000), None);
    let other = instance("silent", &[("instance", "web3")]);
    assert_eq!(peace.withholds(&other, &none, 2_000), None);
    assert_eq!(peace.withholds(&instance("memory", &[]), &none, 2_000), None);
}

#[test]
fn reminders_double() {
    let hours = |severity| -> Vec<Option<i64>> {
        (0..4).map(|n| next_reminder(severity, 0, n).map(|at| at / HOUR_MS)).collect()
    };
    assert_eq!(hours(Severity::Bad), [4, 12, 28, 60].map(Some));
    assert_eq!(hours(Severity::Warning), [24, 72, 168, 360].map(Some));
    assert_eq!(hours(Severity::Info), [None; 4]);
    assert!(next_reminder(Severity::Bad, 1_700_000_000_000, u32::MAX).is_some());
}
