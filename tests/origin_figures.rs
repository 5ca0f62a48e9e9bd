//! tests: the origin's three figures beside what `uptime`, `free` and `df` say.

mod reading;

use std::collections::BTreeMap;
use std::process::Command;

use plimsoll::collect::Settings;

fn said_by(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
    String::from_utf8(output.stdout).unwrap()
}

fn figures() -> BTreeMap<String, f64> {
    reading::Reader::new(&Settings::default()).values()
}

fn numbers(line: &str) -> Vec<f64> {
    line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn cpu_is_the_second_load_average_of_uptime() {
    // It may change between the looks, so theirs must be one of ours around it.
    let fits = (0..5).any(|_| {
        let before = figures()["cpu"];
        let uptime = said_by("uptime", &[]);
        let file = std::fs::read_to_string("/proc/loadavg").unwrap();
        let after = figures()["cpu"];
        let averages = numbers(uptime.split_once("load average:").unwrap().1);
        let second: f64 = file.split(' ').nth(1).unwrap().parse().unwrap();
        let ours = [before, after];
        ours.contains(&averages[1]) && ours.contains(&second)
    });
    assert!(fits, "{} against {}", figures()["cpu"], said_by("uptime", &[]));
}

#[test]
fn memory_is_available_of_total_in_free() {
    let free = said_by("free", &["-b"]);
    let line = free.lines().find(|line| line.starts_with("Mem:")).unwrap();
    let columns = numbers(line);
    let (total, available) = (columns[0], columns[5]);
    let figures = figures();
    assert_eq!(figures["node_memory_MemTotal_bytes"], total);
    assert!((figures["memory"] - available / total).abs() < 0.05, "{figures:?}\n{free}");
    let ratio = figures["node_memory_MemAvailable_bytes"] / total;
    assert_eq!(figures["memory"], ratio);
}

#[test]
fn disk_is_used_of_all_blocks_in_df() {
    let figures = figures();
    let disks: Vec<_> = figures.iter().filter(|(key, _)| key.starts_with("disk_/")).collect();
    assert!(!disks.is_empty());
    for (key, percent) in disks {
        let point = &key["disk_".len()..];
        let df = said_by("df", &["-B1", "--output=size,used", point]);
        let columns = numbers(df.lines().nth(1).unwrap());
        let expected = columns[1] / columns[0] * 100.0;
        assert!((percent - expected).abs() < 1.0, "{key} is {percent}, df says {expected}");
        assert!((0.0..=100.0).contains(percent));
    }
}
