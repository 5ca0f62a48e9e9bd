//! An hour of a real machine with two CPUs on which programs were built, read each ten seconds, as it was
//! recorded; and the same hour again and again through a day.

use crate::scene::Scene;
use crate::world::{SMALL, World};
use crate::{HOUR, SECOND};

/// `tests/fixtures/recorded_hour.csv`: a column a reading.
const HOUR_OF_READINGS: &str = include_str!("../fixtures/recorded_hour.csv");

const ROOT: [(&str, &str); 3] = [("device", "/dev/vda"), ("fstype", "ext4"), ("mountpoint", "/")];

fn put(world: &mut World, row: &[f64]) {
    let [
        _,
        load5,
        available,
        idle0,
        idle1,
        steal0,
        steal1,
        blocked,
        received,
        sent,
        bad_in,
        bad_out,
        files,
        used,
    ] = *row
    else {
        panic!("fourteen columns")
    };
    for (cpu, idle, steal) in [("0", idle0, steal0), ("1", idle1, steal1)] {
        for (mode, jiffies) in [("idle", idle), ("steal", steal)] {
            let labels = [("cpu", cpu), ("mode", mode)];
            world.put("node_cpu_seconds_total", &labels, jiffies / 100.0);
        }
    }
    let eth = [("device", "eth0")];
    world.put("node_network_receive_packets_total", &eth, received);
    world.put("node_network_transmit_packets_total", &eth, sent);
    world.put("node_network_receive_errs_total", &eth, bad_in);
    world.put("node_network_transmit_errs_total", &eth, bad_out);
    world.put("node_load5", &[], load5);
    world.put("node_procs_blocked", &[], blocked);
    world.put("node_memory_MemTotal_bytes", &[], 24_684_096.0 * 1024.0);
    world.put("node_memory_MemAvailable_bytes", &[], available * 1024.0);
    world.put("node_filesystem_device_error", &ROOT, 0.0);
    world.put("node_filesystem_size_bytes", &ROOT, 270e9);
    world.put("node_filesystem_free_bytes", &ROOT, 270e9 - used);
    world.put("node_filesystem_avail_bytes", &ROOT, 257e9 - used);
    world.put("node_filesystem_files", &ROOT, 16_777_216.0);
    world.put("node_filesystem_files_free", &ROOT, 16_777_216.0 - files);
    world.put("node_filesystem_readonly", &ROOT, 0.0);
}

#[test]
fn a_recorded_hour_and_a_day_of_such_hours_are_no_alarm() {
    let rows: Vec<Vec<f64>> = (HOUR_OF_READINGS.lines().skip(1))
        .map(|line| line.split(',').map(|number| number.parse().expect("a number")).collect())
        .collect();
    assert_eq!(rows.len(), 360);
    let begin = 1_795_342_663_000;
    for (beat, hours) in [(10 * SECOND, 1), (60 * SECOND, 24)] {
        let mut scene = Scene::new(SMALL, 1, begin, beat);
        let mut at = 0;
        scene.run_only(hours * HOUR, |world, _, _| {
            put(world, &rows[at % rows.len()]);
            at += (beat / (10 * SECOND)) as usize;
        });
        scene.is_quiet("recorded");
    }
}
