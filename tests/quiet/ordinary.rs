//! What happens on machines that are well: nobody is told anything that needs them.

use std::time::Instant;

use crate::scene::Scene;
use crate::world::{Kind, OLD, SERVER, SMALL};
use crate::{DAY, HOUR, MINUTE, SECOND};

/// Tuesday, 24 March 2026, 20:00 in Berlin: before the night from Saturday to Sunday the clock is set.
const TUESDAY: i64 = 1_774_378_800_000;
/// Friday, 27 March 2026, 20:00 in Berlin.
const FRIDAY: i64 = TUESDAY + 3 * DAY;
/// Saturday, 28 March 2026, 20:00 in Berlin: in the night, two o'clock is three.
const SPRING: i64 = TUESDAY + 4 * DAY;
/// Saturday, 24 October 2026, 20:00 in Berlin: in the night, there are two o'clock twice.
const AUTUMN: i64 = 1_792_864_800_000;

fn number(name: &str, default: i64) -> i64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn days(kind: Kind, seed: u64, begin: i64, days: i64, beat: i64) {
    let begun = Instant::now();
    let mut scene = Scene::new(kind, seed, begin, beat);
    for day in 0..days {
        scene.run(DAY);
        scene.is_quiet(&format!("day {day} of seed {seed} on {kind:?}"));
    }
    let took = begun.elapsed();
    println!("{days} days at {} s, seed {seed}, {} CPUs: {took:.1?}", beat / SECOND, kind.cpus);
}

/// A weekend of the small machine and a day of the others; `ci/torture/false-alarms` makes it thirty days.
#[test]
fn ordinary_days_of_a_small_server() {
    let seed = number("QUIET_SEED", 7) as u64;
    days(SMALL, seed, FRIDAY, number("QUIET_DAYS", 2), number("QUIET_BEAT", 120) * SECOND);
}

#[test]
fn ordinary_days_of_a_large_server() {
    let seed = number("QUIET_SEED", 8) as u64;
    days(SERVER, seed, TUESDAY, number("QUIET_DAYS", 1), number("QUIET_BEAT", 120) * SECOND);
}

#[test]
fn ordinary_days_of_an_old_machine() {
    let seed = number("QUIET_SEED", 9) as u64;
    days(OLD, seed, TUESDAY, number("QUIET_DAYS", 1), number("QUIET_BEAT", 120) * SECOND);
}

#[test]
fn a_reboot_is_no_alarm() {
    let mut scene = Scene::new(SMALL, 1, TUESDAY, 10 * SECOND);
    scene.run(20 * MINUTE);
    for minutes in [1, 5] {
        scene.reboot(minutes * MINUTE);
        scene.run(25 * MINUTE);
        let told = scene.got.len();
        assert_eq!(told, 1, "that it was started, {minutes}: {:?}", scene.take());
        scene.got.clear();
        scene.is_quiet("reboot");
    }
}

#[test]
fn a_laptop_that_sleeps_is_no_alarm() {
    let mut scene = Scene::new(SMALL, 2, TUESDAY, 10 * SECOND);
    scene.run(20 * MINUTE);
    for night in 0..3 {
        scene.sleep(8 * HOUR);
        // Until the next beat, the last commit is as old as the night, and `web2` sent while nobody heard.
        let old = (8 * HOUR) as f64 / 1e3;
        scene.run_with(SECOND, |_, given, _| (given.commit, given.waits) = (old, old));
        (scene.given.commit, scene.given.waits) = (0.0, 0.0);
        scene.run(25 * MINUTE);
        scene.is_quiet(&format!("night {night}"));
    }
}

#[test]
fn a_clock_that_is_set_is_no_alarm() {
    let mut scene = Scene::new(SMALL, 3, TUESDAY, 10 * SECOND);
    scene.run(20 * MINUTE);
    for step in [HOUR, -HOUR, 3_653 * DAY, -3_653 * DAY, -3_653 * DAY, 3_653 * DAY] {
        scene.set_clock(step);
        scene.run(25 * MINUTE);
        scene.is_quiet(&format!("a step of {step} ms"));
    }
}

#[test]
fn the_nights_in_which_the_clock_on_the_wall_is_set_are_no_alarm() {
    for begin in [SPRING, AUTUMN] {
        let mut scene = Scene::new(SMALL, 4, begin, MINUTE);
        scene.run(11 * HOUR);
        scene.is_quiet(&format!("the night after {begin}"));
    }
}

#[test]
fn a_hundred_restarts_are_no_alarm() {
    let mut scene = Scene::new(SMALL, 5, TUESDAY, 10 * SECOND);
    scene.run(5 * MINUTE);
    for restart in 0..100 {
        scene.sleep((restart % 7) * 15 * SECOND);
        scene.restart();
        scene.run((restart % 5 + 1) * 10 * SECOND);
    }
    scene.is_quiet("restarts");
}

#[test]
fn gaps_and_counters_that_begin_again_are_no_alarm() {
    let mut scene = Scene::new(SMALL, 6, TUESDAY, 10 * SECOND);
    scene.run(20 * MINUTE);
    for seconds in [20, 45, 70, 110, 150, 290, 600, 1_800] {
        scene.sleep(seconds * SECOND);
        scene.run(8 * MINUTE);
        scene.world.reset();
        scene.run(8 * MINUTE);
        scene.is_quiet(&format!("a gap of {seconds} s"));
    }
}

#[test]
fn a_disk_that_is_taken_out_and_put_back_is_no_alarm() {
    let mut scene = Scene::new(SMALL, 7, TUESDAY, 10 * SECOND);
    scene.run(15 * MINUTE);
    for _ in 0..4 {
        scene.run_with(7 * MINUTE, |world, _, _| world.lose("mountpoint", "/backup"));
        scene.run(7 * MINUTE);
    }
    // And one that comes back read-only, as people mount old disks.
    scene.run_with(15 * MINUTE, |world, _, _| world.lose("mountpoint", "/backup"));
    scene.run_with(15 * MINUTE, |world, _, _| {
        world.of_mount("node_filesystem_readonly", "/backup", 1.0);
    });
    scene.is_quiet("disks");
}

/// A new installation knows nothing of the time before, whenever it begins: in a backup, behind a start,
/// before the clock is right.
#[test]
fn the_first_minutes_are_no_alarm() {
    for hours in [0, 6, 8] {
        let mut scene = Scene::new(SMALL, 8, TUESDAY + hours * HOUR + 10 * MINUTE, 10 * SECOND);
        scene.run(25 * MINUTE);
        scene.is_quiet(&format!("{hours} h"));
    }
    let mut scene = Scene::new(SMALL, 8, TUESDAY, 10 * SECOND);
    scene.world.reboot(TUESDAY - 20 * SECOND);
    scene.run(25 * MINUTE);
    scene.is_quiet("just started");
    assert!(scene.got.is_empty(), "{:?}", scene.take());
}

#[test]
fn slow_and_fast_beats_are_no_alarm() {
    let mut slow = Scene::new(SMALL, 9, TUESDAY, 5 * MINUTE);
    slow.run(30 * HOUR);
    slow.is_quiet("every five minutes");
    let mut fast = Scene::new(SMALL, 10, TUESDAY + 5 * HOUR + 50 * MINUTE, SECOND);
    fast.run(25 * MINUTE);
    fast.is_quiet("every second");
}
