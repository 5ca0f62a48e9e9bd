//! notify: the texts of messages. Read each as if the telephone had woken you up.

use super::*;
use crate::notify::Chart;

pub(crate) const MINUTE: i64 = 60_000;

/// Tuesday 1 December 2026, 03:10 in Berlin.
pub(crate) const NIGHT: i64 = 1_796_091_000_000;

pub(crate) fn note(occasion: Occasion, rule: &str, text: &str) -> Note {
    let over = occasion == Occasion::Over;
    let mut hash = Sha256::new();
    hash.update(text.split(" is ").next().unwrap_or(text));
    let fingerprint: String =
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Note {
        occasion,
        severity: Severity::Bad,
        host: "web1".into(),
        at: NIGHT,
        not_before: 0,
        urgent: occasion == Occasion::Fire,
        text: text.into(),
        value: "98.2 %".into(),
        limit: "97 %".into(),
        peak: "98.4 %".into(),
        alert: Alert {
            fingerprint,
            firing: !over,
            labels: BTreeMap::from([("alertname".into(), rule.into())]),
            annotations: BTreeMap::from([("summary".into(), text.into())]),
            starts_at: NIGHT,
            ends_at: over.then_some(NIGHT + 42 * MINUTE),
            value: 98.2,
            peak: 98.4,
            limit: Some(97.0),
            culprits: Vec::new(),
            generator_url: String::new(),
        },
        began: None,
        also: Vec::new(),
        log: Vec::new(),
        remark: String::new(),
        link: Some("http://web1:9107/alerts".into()),
        chart: None,
        to: vec!["a".into()],
    }
}

fn disk() -> Note {
    Note {
        also: vec!["warning: the unit backup.service has failed".into()],
        chart: Some(Chart {
            expr: "disk{mountpoint=\"/\"}".into(),
            title: "disk /".into(),
            limit: Some(97.0),
            breach: NIGHT,
        }),
        alert: Alert {
            culprits: vec![
                "postgres 4711: 1.20 GiB written in 5 min (postgresql.service)".into(),
                "rsync 812: 210 MiB written in 5 min (backup.service)".into(),
            ],
            ..note(Occasion::Fire, "disk_full", "disk / is 98 % full").alert
        },
        ..note(Occasion::Fire, "disk_full", "disk / is 98 % full, 5.1 GB left, full about 16:40")
    }
}

fn warning(note: Note) -> Note {
    Note { severity: Severity::Warning, urgent: false, ..note }
}

fn said(notes: &[Note], after: i64) -> Message {
    let zone = TimeZone::get("Europe/Berlin").expect("this machine knows it");
    let numbered: Vec<(i64, &Note)> = (1..).zip(notes).collect();
    compose(&numbered, Place { zone: &zone, now: NIGHT + after, untold: None }).expect("a message")
}

fn read(message: &Message) -> String {
    let mut text = format!("{}\n", message.title);
    for line in &message.lines {
        text.push_str(line);
        text.push('\n');
    }
    let bytes = message.title.len() + message.lines.iter().map(|l| l.len() + 1).sum::<usize>();
    assert!(bytes <= LONGEST, "{bytes} bytes: {text}");
    assert!(message.key.len() <= 100 && message.key.is_ascii(), "{}", message.key);
    assert!(message.thread.len() <= 100 && message.thread.is_ascii());
    text
}

#[test]
fn something_is_bad() {
    insta::assert_snapshot!(read(&said(&[disk()], 2_000)));
}

#[test]
fn a_unit_has_failed_and_its_log_says_why() {
    let failed = warning(Note {
        value: String::new(),
        limit: String::new(),
        log: vec![
            "03:09:58 rsync: connection unexpectedly closed (0 bytes received so far)".into(),
            "03:09:58 rsync error: error in rsync protocol data stream (code 12)".into(),
            "03:09:58 backup.service: Main process exited, code=exited, status=12".into(),
        ],
        ..note(Occasion::Fire, "unit_failed", "the unit backup.service has failed")
    });
    insta::assert_snapshot!(read(&said(&[failed], 10_000)));
}

#[test]
fn it_is_over() {
    let over = Note {
        at: NIGHT + 42 * MINUTE,
        value: "84.1 %".into(),
        ..note(Occasion::Over, "disk_full", "disk / is 84 % full, 41 GB left")
    };
    let message = said(&[over], 42 * MINUTE + 10_000);
    assert_eq!((message.occasion, message.alerts[0].firing), (Occasion::Over, false));
    insta::assert_snapshot!(read(&message));
}

#[test]
fn what_began_and_ended_untold_is_one_message() {
    let fire = Note {
        value: String::new(),
        limit: String::new(),
        peak: String::new(),
        ..note(Occasion::Fire, "silent", "web1 is silent")
    };
    let over = Note {
        at: NIGHT + 4 * MINUTE,
        alert: Alert {
            ends_at: Some(NIGHT + 4 * MINUTE),
            ..note(Occasion::Over, "silent", "web1 is silent").alert
        },
        occasion: Occasion::Over,
        ..fire.clone()
    };
    let message = said(&[fire, over], 55 * MINUTE);
    assert_eq!(message.occasion, Occasion::Was);
    insta::assert_snapshot!(read(&message));
}

#[test]
fn it_is_still_bad() {
    let reminder = Note { at: NIGHT + 240 * MINUTE, ..disk() };
    let reminder = Note { occasion: Occasion::Reminder, urgent: false, ..reminder };
    insta::assert_snapshot!(read(&said(&[reminder], 240 * MINUTE)));
}

/// A rule waits before it tells; people want to know since when it is wrong.
#[test]
fn it_is_wrong_for_longer_than_it_has_fired() {
    let fire = Note { began: Some(NIGHT - 5 * MINUTE), ..disk() };
    let message = said(&[fire], 2_000);
    assert_eq!(message.lines[0], "since Tue 1 Dec 03:05:00 +01:00, for 5 min");
    assert_eq!(message.alerts[0].starts_at, NIGHT);
    let over = Note {
        began: Some(NIGHT - 5 * MINUTE),
        ..note(Occasion::Over, "disk_full", "disk / is 84 % full")
    };
    assert!(said(&[over], 42 * MINUTE).title.starts_with("over after 47 min: disk / on web1"));
}

#[test]
fn it_got_worse() {
    let worse = Note { remark: "It was told as warning 2 h 5 min ago.".into(), ..disk() };
    insta::assert_snapshot!(read(&said(&[worse], 0)));
}

#[test]
fn two_hundred_alerts_of_one_machine_are_one_message() {
    let many: Vec<Note> = (0..200)
        .map(|n| {
            let text = format!("disk /srv/data-{n:03} is 9{} % full, {n} GB left", n % 10);
            let one = note(Occasion::Fire, "disk_full", &text);
            if n == 150 { one } else { warning(one) }
        })
        .collect();
    let message = said(&many, 10_000);
    assert_eq!(message.alerts.len(), 200);
    assert!(message.title.contains("/srv/data-150"), "the worst: {}", message.title);
    insta::assert_snapshot!(read(&message));
}

#[test]
fn some_begin_and_some_end() {
    let over = Note {
        at: NIGHT + 42 * MINUTE,
        ..warning(note(Occasion::Over, "load", "the load is 9.1 for each CPU, 36 in all"))
    };
    let memory = warning(note(Occasion::Fire, "memory", "3 % of the memory is available, 240 MB"));
    insta::assert_snapshot!(read(&said(&[memory, over, disk()], 45 * MINUTE)));
}

#[test]
fn many_machines_are_a_digest() {
    let notes: Vec<Note> = (1..=6)
        .flat_map(|n| {
            let host = format!("web{n}");
            let mut fire =
                warning(note(Occasion::Fire, "load", &format!("the load is {n}.5 for each CPU")));
            fire.alert.fingerprint = format!("{n:016x}");
            fire.host.clone_from(&host);
            let mut over = Note { occasion: Occasion::Over, at: NIGHT + MINUTE, ..fire.clone() };
            over.alert.ends_at = Some(NIGHT + MINUTE);
            if n < 4 { vec![fire] } else { vec![fire, over] }
        })
        .collect();
    let message = said(&notes, 20 * MINUTE);
    assert_eq!(message.occasion, Occasion::Digest);
    insta::assert_snapshot!(read(&message));
}

#[test]
fn what_could_not_be_told_in_time_is_counted() {
    let zone = TimeZone::UTC;
    let fire = disk();
    let untold = Some((31, NIGHT - 2_000 * MINUTE, NIGHT - 1_500 * MINUTE));
    let place = Place { zone: &zone, now: NIGHT + 1_450 * MINUTE, untold };
    insta::assert_snapshot!(read(&compose(&[(1, &fire)], place).expect("a message")));
}

/// A second copy has the same key; what came since gives it another one.
#[test]
fn the_key_is_of_the_changes() {
    let notes = [disk(), warning(note(Occasion::Fire, "load", "the load is 9"))];
    assert_eq!(said(&notes[..1], 0).key, said(&notes[..1], 77_000).key);
    assert_ne!(said(&notes[..1], 0).key, said(&notes, 0).key);
    assert!(said(&notes, 0).key.starts_with(&format!("{}/{NIGHT}/", notes[0].alert.fingerprint)));
}

/// The first line is always whole; a text with anything in it stays one line and within the bound.
#[test]
fn whatever_a_text_holds_the_message_stays_within_its_bound() {
    let odd = Note {
        text: format!("disk /{} is\nfull\u{1b}[2J", "ü".repeat(5_000)),
        log: vec!["x\ty".repeat(3_000); 50],
        also: vec!["z".repeat(9_000); 50],
        ..disk()
    };
    let message = said(&[odd], 0);
    read(&message);
    assert!(message.title.starts_with("bad: web1: disk /ü") && message.title.ends_with('…'));
    assert!(message.lines.iter().all(|line| !line.contains(['\n', '\u{1b}'])));
}

#[test]
fn the_machine_stands_in_the_sentence() {
    for (text, said, over) in [
        ("disk / is 98 % full", "disk / on web1 is 98 % full", "disk / on web1"),
        ("web1 is silent", "web1 is silent", "web1"),
        ("was started 2 min ago", "web1 was started 2 min ago", "web1: was started 2 min ago"),
        ("oops", "web1: oops", "web1: oops"),
        ("everything waits for disks", "everything on web1 waits for disks", "everything on web1"),
    ] {
        assert_eq!(on_host(text, "web1"), said);
        assert_eq!(subject_on_host(text, "web1"), over);
    }
    assert_eq!(was("disk / on web1 is 98 % full"), "disk / on web1 was 98 % full");
}
