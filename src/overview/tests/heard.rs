//! overview: verdicts about a machine with a wrong clock, about its mounts, and about events long
//! ago.

use super::*;
use crate::pipeline::Arrival;

/// Silence of another machine is judged by arrivals, whatever its clock says.
#[test]
fn a_clock_that_is_wrong_is_no_silence_and_hides_none() {
    let started = NOW - 2 * HOUR;
    // Its clock is ahead by this much; its samples end at its own now.
    let judged = |ahead: i64, ago: i64| {
        let machine = Machine::new(DAY, |name, labels, t| match name {
            "node_load5" if t > 80_000.0 => Some(6.0),
            _ => at_rest(name, labels, t),
        });
        let now = NOW - ahead;
        let arrival = Some(Arrival { at: now - ago, every: 60_000, ahead: ahead - 60_000 });
        let ear = Some(Ear { started, arrival });
        verdict(&machine.reader(), &machine.charts(), now, &[], Whose::Other("web1", ear))
            .expect("reads")
    };
    let load = "warning: Load is 6 on 2 CPUs";
    assert_eq!(said(&judged(0, 50_000)), [load]);
    let ahead = judged(10 * 60_000, 50_000);
    assert_eq!(said(&ahead), ["warning: Its clock is 9 min ahead of this machine's", load]);
    // The begin by this machine's clock.
    let since = ahead.findings[1].since.expect("a time");
    assert!((since - (NOW - DAY + 80_000_000 - 9 * 60_000)).abs() < 300_000, "{since}");
    // Days ahead: its samples are in the future.
    let words = ["warning: Its clock is 9 days ahead of this machine's", load];
    assert_eq!(said(&judged(10 * DAY, 50_000)), words);
    let behind = said(&judged(-10 * 60_000, 50_000));
    let words =
        "warning: Its clock may be behind: the newest samples are 11 min old when they arrive";
    assert_eq!(behind, [words, load]);
    // It died, whatever its clock says.
    for ahead in [-10 * 60_000, 0, 10 * 60_000, 10 * DAY] {
        let dead = judged(ahead, 10 * 60_000);
        assert_eq!(said(&dead), ["bad: No sample received"], "{ahead}");
        assert_eq!(dead.newest, Some(NOW - ahead - 10 * 60_000));
    }
}

#[test]
fn after_a_start_a_machine_is_given_time_to_be_heard_of() {
    let machine = Machine::new(DAY, at_rest);
    let judged = |now: i64, started: i64| {
        let ear = Some(Ear { started, arrival: None });
        let found =
            verdict(&machine.reader(), &machine.charts(), now, &[], Whose::Other("web1", ear))
                .expect("reads");
        (said(&found), found.newest)
    };
    let silent = vec!["bad: No sample received".to_owned()];
    // The newest sample is a minute old when the daemon starts.
    assert_eq!(judged(NOW + 10_000, NOW), (vec![], Some(NOW)));
    assert_eq!(judged(NOW + HOUR, NOW), (silent.clone(), Some(NOW)));
    // It was silent for long before.
    assert_eq!(judged(NOW + DAY, NOW + DAY - 1_000), (silent.clone(), Some(NOW - 60_000)));
    // Its samples are in the future: nothing but an arrival tells that it lives.
    let now = NOW - 3_000 * DAY;
    assert_eq!(judged(now, now - 10_000), (vec![], Some(now - 10_000)));
    assert_eq!(judged(now, now - 3 * HOUR), (silent, Some(now - 3 * HOUR)));
}

/// Also while its last sample is between one hour and two old.
#[test]
fn a_machine_that_fell_silent_stays_silent() {
    let machine = Machine::new(DAY, at_rest);
    for ago in [5 * 60_000, HOUR + 60_000, 90 * 60_000, 5 * HOUR] {
        let now = NOW + ago;
        let found =
            verdict(&machine.reader(), &machine.charts(), now, &[], Whose::Ours).expect("reads");
        assert_eq!(said(&found), ["bad: No sample received"], "{ago}");
    }
}

#[test]
fn a_disk_without_inodes_and_one_that_became_read_only() {
    let judged = |days: i64, free: f64, read_only: fn(f64) -> f64| {
        let verdict = Machine::new(days * DAY, |name, labels, t| match name {
            "node_filesystem_files" => Some(1e6),
            "node_filesystem_files_free" => Some(if t < 3_600.0 { 9e5 } else { free }),
            "node_filesystem_readonly" if labels.get("fstype") == Some("squashfs") => Some(1.0),
            "node_filesystem_readonly" => Some(read_only(t)),
            _ => at_rest(name, labels, t),
        })
        .verdict();
        let since = verdict.findings.first().and_then(|f| f.since);
        let chart = verdict.findings.first().and_then(|f| f.chart.clone());
        (said(&verdict), since.map(|s| (s - (NOW - days * DAY)) / 1_000), chart)
    };
    assert_eq!(judged(1, 5e5, |_| 0.0).0, Vec::<String>::new());
    let disk = Some("disk:/".to_owned());
    let warning = vec!["warning: Disk / 92 % of its inodes used".to_owned()];
    assert_eq!(judged(1, 8e4, |_| 0.0), (warning, Some(3_600), disk.clone()));
    let bad = vec!["bad: Disk / 100 % of its inodes used".to_owned()];
    assert_eq!(judged(1, 0.0, |_| 0.0), (bad, Some(3_600), disk.clone()));
    // An error has made it read-only; today, or two days ago.
    let turned = vec!["bad: Disk / has become read-only".to_owned()];
    let at = |t: f64| f64::from(u8::from(t >= 72_000.0));
    assert_eq!(judged(1, 5e5, at), (turned.clone(), Some(72_000), disk.clone()));
    let found = judged(4, 5e5, |t| f64::from(u8::from(t >= 86_400.0 * 1.5)));
    assert_eq!((found.0, found.2), (turned, disk));
    // One that was always read-only, and one that is writable for an hour now and then.
    assert_eq!(judged(1, 5e5, |_| 1.0).0, Vec::<String>::new());
    let now_and_then = |t: f64| f64::from(u8::from(!(40_000.0..43_600.0).contains(&t)));
    assert_eq!(judged(1, 5e5, now_and_then).0, Vec::<String>::new());
    // It is writable again.
    let over = |t: f64| f64::from(u8::from((20_000.0..80_000.0).contains(&t)));
    assert_eq!(judged(1, 5e5, over).0, Vec::<String>::new());
}

/// node_exporter's counters are untyped; the file of an older plimsoll has them as gauges.
#[test]
fn a_process_that_was_killed_long_ago_is_over() {
    for (killed, expected) in
        [(-1.0, &[][..]), (86_000.0, &["bad: Memory ran out: the kernel ended 1 process"])]
    {
        let machine = Machine::new(DAY, |name, labels, t| match name {
            "node_vmstat_oom_kill" => Some(if t > killed { 3.0 } else { 2.0 }),
            _ => at_rest(name, labels, t),
        });
        assert_eq!(said(&machine.verdict()), expected);
        let mut charts = machine.charts();
        let lines = charts.iter_mut().filter(|c| c.title == "node_vmstat_oom_kill");
        lines.flat_map(|c| &mut c.lines).for_each(|l| l.rate = false);
        let old = verdict(&machine.reader(), &charts, NOW, &[], Whose::Ours).expect("reads");
        assert_eq!(said(&old), expected);
    }
}

#[test]
fn a_sensor_that_shows_nonsense_is_no_alarm() {
    let of = |value: f64| {
        let machine = Machine::new(HOUR, |name, labels, t| {
            if name == "node_load1" { Some(value) } else { at_rest(name, labels, t) }
        });
        let mut charts = machine.charts();
        charts[0].id = "temperature".to_owned();
        charts[0].unit = "celsius".to_owned();
        said(&verdict(&machine.reader(), &charts, NOW, &[], Whose::Ours).expect("reads"))
    };
    assert_eq!(of(95.0), ["warning: Load 1 min is at 95 °C"]);
    assert_eq!(of(3_892_313.9), Vec::<String>::new());
}
