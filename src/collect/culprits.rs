//! collect: the processes that take most at one moment, and the units that they belong to. Not a
//! collector: it is asked when something is wrong. It needs no privilege.
//!
//! Bound: the first [`MOST`] processes, and 300 ms of reading. A process that ends meanwhile is left out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Settings;
use crate::model::Unit;

/// Processes that are looked at.
const MOST: usize = 10_000;
/// For reading /proc once.
const PATIENCE: Duration = Duration::from_millis(300);
/// Processes that are named.
const NAMED: usize = 3;

/// What a process may take too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Time of CPUs.
    Cpu,
    /// Memory that is its own or that it shares, in RAM.
    Memory,
}

/// A process that takes much.
#[derive(Debug, Clone, PartialEq)]
pub struct Culprit {
    /// Its name, at most 15 bytes: `postgres`.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// Its unit of systemd: `postgresql.service`.
    pub unit: Option<String>,
    /// CPUs that it kept busy: 1.5 are one and a half.
    pub cpus: f64,
    /// Its memory in RAM, in bytes.
    pub memory: u64,
}

impl Culprit {
    /// In words: `postgres (postgresql.service, pid 812): 3.1 GiB`.
    pub fn words(&self, of: Resource) -> String {
        let Self { name, pid, unit, .. } = self;
        let place = unit.as_ref().map_or_else(String::new, |unit| format!("{unit}, "));
        let share = match of {
            Resource::Cpu => format!("{} CPU", Unit::Percent.format(self.cpus * 100.0)),
            Resource::Memory => Unit::Bytes.format(self.memory as f64),
        };
        format!("{name} ({place}pid {pid}): {share}")
    }
}

/// The processes that take most of this, the greediest first. Time of CPUs is measured over `pause`,
/// for which the thread sleeps.
pub fn culprits(settings: &Settings, of: Resource, pause: Duration) -> Vec<Culprit> {
    let before: HashMap<u32, u64> = match of {
        Resource::Memory => HashMap::new(),
        Resource::Cpu => processes(settings).map(|p| (p.pid, p.ticks)).collect(),
    };
    let begun = Instant::now();
    if of == Resource::Cpu {
        std::thread::park_timeout(pause);
    }
    let mut all: Vec<(u64, Process)> = processes(settings)
        .filter_map(|p| {
            let much = match of {
                Resource::Memory => p.pages,
                Resource::Cpu => p.ticks.saturating_sub(*before.get(&p.pid)?),
            };
            (much > 0).then_some((much, p))
        })
        .collect();
    let second = rustix::param::clock_ticks_per_second() as f64 * begun.elapsed().as_secs_f64();
    all.sort_by_key(|(much, p)| (Reverse(*much), p.pid));
    all.truncate(NAMED);
    let named = all.into_iter().map(|(much, p)| Culprit {
        unit: fs::read_to_string(settings.proc.join(format!("{}/cgroup", p.pid)))
            .ok()
            .and_then(|text| unit_of(&text).map(printable)),
        cpus: if of == Resource::Cpu { much as f64 / second } else { 0.0 },
        memory: p.pages * rustix::param::page_size() as u64,
        pid: p.pid,
        name: p.name,
    });
    named.collect()
}

struct Process {
    pid: u32,
    name: String,
    /// Of CPU time, its own.
    ticks: u64,
    pages: u64,
}

fn processes(settings: &Settings) -> impl Iterator<Item = Process> {
    let until = Instant::now() + PATIENCE;
    let entries = fs::read_dir(&settings.proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let proc = settings.proc.clone();
    pids.take(MOST)
        .take_while(move |_| Instant::now() < until)
        .filter_map(move |pid| read(&proc, pid))
}

fn read(proc: &Path, pid: u32) -> Option<Process> {
    // A name may hold any bytes.
    let bytes = fs::read(proc.join(format!("{pid}/stat"))).ok()?;
    parse(pid, &String::from_utf8_lossy(&bytes))
}

/// A line of /proc/PID/stat, as proc(5) has it. The name stands in brackets and may hold brackets.
fn parse(pid: u32, line: &str) -> Option<Process> {
    let (name, rest) = line.split_once('(')?.1.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let ticks = next()?.saturating_add(next()?);
    // Of the fields from utime (14) to rss (24), counted from 1 in proc(5).
    let pages = rest.split_ascii_whitespace().nth(21)?.parse::<u64>().ok()?;
    Some(Process { pid, name: printable(name), ticks, pages })
}

/// A name as people may see it: others choose the names of processes, and those of units below their own.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The unit in a text of /proc/PID/cgroup: the last part of the path that names a service, or the
/// scope of a container or a session.
fn unit_of(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.splitn(3, ':').nth(2).filter(|p| *p != "/"))?;
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    path.rsplit('/').find(is_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let line = "812 (a) (b c) S 1 812 812 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 99 1 777 0";
        let p = parse(812, line).expect("a line");
        assert_eq!((&*p.name, p.ticks, p.pages), ("a) (b c", 300, 777));
        assert!(parse(1, "1 (cut) S 1 2").is_none());
        assert!(parse(1, "").is_none());
    }

    #[test]
    fn the_unit_is_the_last_of_the_path() {
        let unit = |text| unit_of(text);
        assert_eq!(unit("0::/system.slice/nginx.service\n"), Some("nginx.service"));
        assert_eq!(
            unit("0::/user.slice/user-0.slice/user@0.service/app.slice/x.service/sub\n"),
            Some("x.service")
        );
        assert_eq!(
            unit("12:cpu:/\n1:name=systemd:/system.slice/docker-1f.scope\n"),
            Some("docker-1f.scope")
        );
        assert_eq!(unit("0::/\n"), None);
        assert_eq!(unit("0::/init\n"), None);
        let own = unit("0::/user@7.service/\u{1b}[31m.service\n").map(printable);
        assert_eq!(own.as_deref(), Some("?[31m.service"));
    }

    #[test]
    fn this_machine_names_at_most_three() {
        let all = culprits(&Settings::default(), Resource::Memory, Duration::ZERO);
        assert!((1..=NAMED).contains(&all.len()), "{all:?}");
        assert!(all.windows(2).all(|w| w[0].memory >= w[1].memory), "{all:?}");
        let words = all[0].words(Resource::Memory);
        assert!(words.contains(&format!("pid {}", all[0].pid)), "{words}");
    }
}
