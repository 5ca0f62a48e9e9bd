//! How many messages come of much that is wrong, and when: flapping, floods, reminders, digests, quiet
//! hours, silences, and what something worse explains. Counted where they arrive.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plimsoll::alert::{Quiet, Rule, RuleText, Weekly};
use plimsoll::model::Severity;
use plimsoll::notify::Occasion;

use crate::scene::Scene;
use crate::world::SERVER;
use crate::{DAY, HOUR, MINUTE, SECOND};

/// Tuesday, 24 March 2026, 17:00 in Berlin.
const BEGIN: i64 = 1_774_368_000_000;
/// Sunday, 29 March 2026, and Sunday, 25 October 2026, 00:00 in Berlin: two o'clock is three, and there
/// are two o'clock twice.
const SPRING: i64 = 1_774_738_800_000;
const AUTUMN: i64 = 1_792_879_200_000;

fn rule(when: &str, held: &str, severity: &str) -> Rule {
    Rule::parse(&RuleText {
        name: Some("often".to_owned()),
        when: when.to_owned(),
        r#for: Some(held.to_owned()),
        severity: Some(severity.to_owned()),
        ..RuleText::default()
    })
    .expect("a rule")
}

fn scene(now: i64, beat: i64, rules: Vec<Rule>) -> Scene {
    let mut scene = Scene::with_rules(SERVER, 2, now, beat, Some(rules));
    scene.run_only(4 * beat.max(MINUTE), |world, _, _| world.put("x", &[], 1.0));
    assert_eq!(scene.take(), [""; 0]);
    scene
}

/// A series that is beyond its limit for so many beats and inside for as many, for a day.
fn crossing(beats: i64, held: &str) -> usize {
    let mut scene = scene(BEGIN, MINUTE, vec![rule("x > 5", held, "warning")]);
    let mut at = 0;
    scene.run_only(DAY, |world, _, _| {
        world.put("x", &[], if at / beats % 2 == 0 { 9.0 } else { 1.0 });
        at += 1;
    });
    scene.got.len()
}

#[test]
fn a_series_that_crosses_its_limit_with_each_beat_is_four_messages_a_day_at_most() {
    for (beats, held) in [(1, "0s"), (1, "1m"), (4, "0s"), (4, "2m")] {
        let messages = crossing(beats, held);
        assert!((1..=4).contains(&messages), "{beats} beats, for {held}: {messages} messages");
    }
    // So slowly that it is over each time: five times, and then it is known that it comes again.
    for (beats, held) in [(15, "0s"), (33, "2m"), (90, "0s")] {
        let messages = crossing(beats, held);
        assert!(messages <= 12, "{beats} beats, for {held}: {messages} messages");
    }
}

#[test]
fn two_hundred_series_of_one_host_are_one_message() {
    let mut scene = scene(BEGIN, 10 * SECOND, vec![rule("x > 5", "0s", "bad")]);
    let names: Vec<String> = (0..200).map(|n| format!("part-{n}")).collect();
    scene.run_only(10 * MINUTE, |world, _, s| {
        for name in &names {
            world.put("x", &[("part", name)], if s > 60.0 { 9.0 } else { 1.0 });
        }
    });
    assert_eq!(scene.got.len(), 1, "{:?}", scene.take());
    let message = &scene.got[0].message;
    assert_eq!(message.alerts.len(), 200);
    let bytes = message.title.len() + message.lines.iter().map(|l| l.len() + 1).sum::<usize>();
    assert!(bytes <= 4096, "{bytes}");
    assert!(message.title.contains("200 alerts on web1"), "{}", message.title);
}

/// Five times, and then until it has been quiet for an hour.
#[test]
fn what_flaps_is_told_three_times() {
    let mut scene = scene(BEGIN, 10 * SECOND, vec![rule("x > 5", "0s", "warning")]);
    scene.run_only(3 * HOUR, |world, _, s| {
        let on = s < 3_600.0 && s % 240.0 < 120.0;
        world.put("x", &[], if on { 9.0 } else { 1.0 });
    });
    let kinds: Vec<Occasion> = scene.got.iter().map(|got| got.message.occasion).collect();
    assert_eq!(kinds, [Occasion::Fire, Occasion::Fire, Occasion::Over], "{:?}", scene.take());
    let flaps = &scene.got[1].message;
    assert!(flaps.lines.iter().any(|l| l.contains("comes and goes")), "{:?}", flaps.lines);
    assert!(scene.got[2].after > 115 * MINUTE, "{}", scene.got[2].after / MINUTE);
}

#[test]
fn reminders_double_until_somebody_says_that_they_know() {
    let mut scene = scene(BEGIN, 5 * MINUTE, vec![rule("x > 5", "0s", "bad")]);
    let wrong = |scene: &mut Scene, ms| {
        scene.run_only(ms, |world, _, _| {
            world.put("x", &[], 9.0);
        });
    };
    wrong(&mut scene, 70 * HOUR);
    let first = scene.got[0].after;
    let hours: Vec<i64> = scene.got.iter().map(|got| (got.after - first + 1) / HOUR).collect();
    assert_eq!(hours, [0, 4, 12, 28, 60]);
    let now = scene.now.wall;
    scene.teller().ack("often", ("anna", "on it"), now).expect("it fires");
    scene.got.clear();
    wrong(&mut scene, 100 * HOUR);
    assert_eq!(scene.take(), [""; 0]);
}

/// One new alert each two minutes: ten messages in the first hour, then digests.
#[test]
fn more_than_ten_messages_an_hour_become_digests() {
    let names: Vec<String> = (0..200).map(|n| format!("part-{n}")).collect();
    let mut scene = scene(BEGIN, 10 * SECOND, vec![rule("x > 5", "0s", "warning")]);
    scene.run_only(6 * HOUR, |world, _, s| {
        for (n, name) in names.iter().enumerate() {
            let on = s > (n * 120) as f64;
            world.put("x", &[("part", name)], if on { 9.0 } else { 1.0 });
        }
    });
    let of_hour = |hour: i64| {
        let within = |after: i64| (hour * HOUR..(hour + 1) * HOUR).contains(&after);
        scene.got.iter().filter(|got| within(got.after)).count()
    };
    let hours: Vec<usize> = (0..6).map(of_hour).collect();
    println!("messages in each hour: {hours:?}");
    assert!(hours.iter().all(|count| *count <= 12), "{hours:?}");
    let told: usize = scene.got.iter().map(|got| got.message.alerts.len()).sum();
    assert!(told >= 165, "each alert is told of: {told}");
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("this machine knows it")
}

fn local(at: i64) -> String {
    let at = Timestamp::from_millisecond(at).expect("a time").to_zoned(berlin());
    at.strftime("%a %H:%M %:z").to_string()
}

/// When what began at midnight is told, by the clock on the wall.
fn told_at(midnight: i64, severity: &str, wish: impl FnOnce(&mut Scene)) -> Vec<String> {
    let mut scene = scene(midnight - 10 * MINUTE, MINUTE, vec![rule("x > 5", "0s", severity)]);
    wish(&mut scene);
    let start = scene.now.wall;
    scene.run_only(11 * HOUR, |world, _, s| {
        let now = start + (s * 1e3) as i64;
        world.put("x", &[], if now >= midnight + 150 * MINUTE { 9.0 } else { 1.0 });
    });
    let begin = midnight - 10 * MINUTE;
    scene.got.iter().map(|got| local(begin + got.after)).collect()
}

/// Half past three in spring and half past two, the second time, in autumn: both are in the night, and
/// bad ones do not wait.
#[test]
fn quiet_hours_end_by_the_clock_on_the_wall() {
    let quiet = |scene: &mut Scene| {
        let hours = Weekly::parse("daily 22:00-06:30 Europe/Berlin", &TimeZone::UTC);
        let hours = vec![hours.expect("hours")];
        scene.teller().peace.quiet = Some(Quiet { hours, most: Severity::Warning });
    };
    assert_eq!(told_at(SPRING, "warning", quiet), ["Sun 06:30 +02:00"]);
    assert_eq!(told_at(AUTUMN, "warning", quiet), ["Sun 06:30 +01:00"]);
    assert_eq!(told_at(SPRING, "bad", quiet)[0], "Sun 03:30 +02:00");
    assert_eq!(told_at(AUTUMN, "bad", quiet)[0], "Sun 02:30 +02:00");
}

#[test]
fn a_weekly_silence_ends_by_the_clock_on_the_wall() {
    let silence = |scene: &mut Scene| {
        let now = scene.now.wall;
        let every = "Sun 02:00-04:00 Europe/Berlin";
        let who = ("anna", "the backup");
        scene.teller().silence("often", every, None, who, now).expect("a silence");
    };
    assert_eq!(told_at(SPRING, "bad", silence)[0], "Sun 04:00 +02:00");
    assert_eq!(told_at(AUTUMN, "bad", silence)[0], "Sun 04:00 +01:00");
}

/// A machine that is silent, a disk that is full, something bad: each explains what comes of it.
#[test]
fn what_is_explained_by_something_worse_is_not_told() {
    let mut scene = Scene::new(SERVER, 2, BEGIN, 30 * SECOND);
    scene.run(20 * MINUTE);
    // The disk is full, and has no inodes left either.
    scene.run_with(40 * MINUTE, |world, _, _| {
        world.left("/", 1e9);
        world.of_mount("node_filesystem_files_free", "/", 0.0);
    });
    let told = scene.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("disk / on web1 is 98.9 % full"), "{told:?}");
}
