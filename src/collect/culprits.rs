//! collect: the processes that take most at one moment, and the units that they belong to. Not a
//! collector: it is asked when something is wrong. It needs no privilege.
//!
//! What a process writes may be read by its own user and by root only. Others can read it of whole units,
//! where systemd counts it (`IOAccounting=`, Docker), and see which processes wait for a disk. Who uses
//! the network is not counted anywhere that plimsoll may read, so nobody is named for it.
//!
//! Bound: the first [`MOST`] processes and units, and 300 ms of reading; for each look at what is read
//! and written, which takes a file more for each process, 20 ms of CPU time: a machine that is busy gives
//! a thread little of each second, and just then somebody is looked for. A process that ends meanwhile is left out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::Settings;
use crate::model::Unit;

/// Processes that are looked at.
const MOST: usize = 10_000;
/// For reading /proc once.
const PATIENCE: Duration = Duration::from_millis(300);
/// CPU time for reading once what processes, or units, have read and written.
const DISK_CPU: Duration = Duration::from_millis(20);
/// Processes that are named.
const NAMED: usize = 3;
/// Who reads and writes less is not named. Bytes per second.
const LEAST: f64 = 65_536.0;

/// What a process may take too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Time of CPUs.
    Cpu,
    /// Memory that is its own or that it shares, in RAM.
    Memory,
    /// What is written to disks.
    Written,
    /// What is read from disks and written to them.
    Disk,
}

/// How much it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Much {
    /// CPUs that it kept busy: 1.5 are one and a half.
    Cpus(f64),
    /// Its memory in RAM, in bytes.
    Memory(u64),
    /// Bytes per second that it wrote.
    Written(f64),
    /// Bytes per second that it read and wrote.
    Disk(f64),
    /// It waits for a disk; how much it reads and writes is not known.
    Waits,
}

/// A process or a unit that takes much.
#[derive(Debug, Clone, PartialEq)]
pub struct Culprit {
    /// The name of the process, at most 15 bytes, and its number: `postgres`, 812. None of a whole unit.
    pub process: Option<(String, u32)>,
    /// The unit of systemd: `postgresql.service`.
    pub unit: Option<String>,
    /// How much.
    pub much: Much,
}

impl Culprit {
    /// In words: `postgres (postgresql.service, pid 812): 3.1 GiB`.
    pub fn words(&self) -> String {
        let who = match (&self.process, &self.unit) {
            (Some((name, pid)), Some(unit)) => format!("{name} ({unit}, pid {pid})"),
            (Some((name, pid)), None) => format!("{name} (pid {pid})"),
            (None, unit) => unit.clone().unwrap_or_default(),
        };
        let rate = |bytes: f64| Unit::BytesPerSecond.format(bytes);
        match self.much {
            Much::Cpus(cpus) => format!("{who}: {} CPU", Unit::Percent.format(cpus * 100.0)),
            Much::Memory(bytes) => format!("{who}: {}", Unit::Bytes.format(bytes as f64)),
            Much::Written(bytes) => format!("{who}: writes {}", rate(bytes)),
            Much::Disk(bytes) => format!("{who}: reads and writes {}", rate(bytes)),
            Much::Waits => format!("{who}: waits for a disk"),
        }
    }
}

/// The processes that take most of this, the greediest first; for disks also units of which no process
/// can be read. Time of CPUs and what is written are measured over `pause`, for which the thread sleeps.
pub fn culprits(settings: &Settings, of: Resource, pause: Duration) -> Vec<Culprit> {
    match of {
        Resource::Cpu | Resource::Memory => by_stat(settings, of, pause),
        Resource::Written | Resource::Disk => by_disk(settings, of, pause),
    }
}

fn by_stat(settings: &Settings, of: Resource, pause: Duration) -> Vec<Culprit> {
    let before: HashMap<u32, u64> = match of {
        Resource::Cpu => {
            processes(settings, Patience::new(PATIENCE)).map(|p| (p.pid, p.ticks)).collect()
        }
        _ => HashMap::new(),
    };
    let begun = Instant::now();
    if of == Resource::Cpu {
        std::thread::park_timeout(pause);
    }
    let mut all: Vec<(u64, Process)> = processes(settings, Patience::new(PATIENCE))
        .filter_map(|p| {
            let much = match of {
                Resource::Cpu => p.ticks.saturating_sub(*before.get(&p.pid)?),
                _ => p.pages,
            };
            (much > 0).then_some((much, p))
        })
        .collect();
    let second = rustix::param::clock_ticks_per_second() as f64 * begun.elapsed().as_secs_f64();
    all.sort_by_key(|(much, p)| (Reverse(*much), p.pid));
    all.truncate(NAMED);
    let named = all.into_iter().map(|(much, p)| {
        let much = match of {
            Resource::Cpu => Much::Cpus(much as f64 / second),
            _ => Much::Memory(p.pages * rustix::param::page_size() as u64),
        };
        p.named(settings, much)
    });
    named.collect()
}

fn by_disk(settings: &Settings, of: Resource, pause: Duration) -> Vec<Culprit> {
    let before = Look::new(settings, of);
    let begun = Instant::now();
    std::thread::park_timeout(pause);
    let seconds = begun.elapsed().as_secs_f64();
    between(settings, of, (&before, Look::new(settings, of)), seconds)
}

/// What was read and written up to one moment.
struct Look {
    /// By number; bytes where they may be read.
    processes: HashMap<u32, (Process, Option<u64>)>,
    units: HashMap<String, u64>,
}

impl Look {
    fn new(settings: &Settings, of: Resource) -> Self {
        let bytes = |p: &Process| {
            let text = fs::read_to_string(settings.proc.join(format!("{}/io", p.pid))).ok()?;
            counted(&text, of)
        };
        let all = processes(settings, Patience::new(DISK_CPU));
        let processes = all.map(|p| (p.pid, bytes(&p), p)).map(|(pid, b, p)| (pid, (p, b)));
        Self { processes: processes.collect(), units: units(settings, of) }
    }
}

/// Who read and wrote most between two looks.
fn between(
    settings: &Settings,
    of: Resource,
    (before, after): (&Look, Look),
    seconds: f64,
) -> Vec<Culprit> {
    let rate = |now: u64, before: u64| Some(now.saturating_sub(before) as f64 / seconds);
    let much = |rate| if of == Resource::Written { Much::Written(rate) } else { Much::Disk(rate) };
    let mut waiting = Vec::new();
    let mut busy: Vec<(f64, Process)> = Vec::new();
    for (pid, (process, bytes)) in after.processes {
        let earlier = before.processes.get(&pid);
        let counts = earlier.and_then(|(_, earlier)| rate(bytes?, (*earlier)?));
        if let Some(rate) = counts {
            busy.push((rate, process));
        // Threads of the kernel have no memory; they wait for what others want.
        } else if process.waits && process.pages > 0 && earlier.is_some_and(|(p, _)| p.waits) {
            waiting.push(process);
        }
    }
    busy.retain(|(rate, _)| *rate >= LEAST);
    busy.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.pid.cmp(&b.1.pid)));
    busy.truncate(NAMED);
    let mut named: Vec<Culprit> =
        busy.into_iter().map(|(rate, p)| p.named(settings, much(rate))).collect();
    let mut units: Vec<(f64, String)> = (after.units.into_iter())
        .filter_map(|(unit, now)| Some((rate(now, *before.units.get(&unit)?)?, unit)))
        .filter(|(rate, _)| *rate >= LEAST)
        .collect();
    units.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for (rate, unit) in units {
        if named.iter().all(|c| c.unit.as_ref() != Some(&unit)) {
            named.push(Culprit { process: None, unit: Some(unit), much: much(rate) });
        }
    }
    if of == Resource::Disk {
        waiting.sort_by_key(|p| p.pid);
        named.extend(waiting.into_iter().take(NAMED).map(|p| p.named(settings, Much::Waits)));
    }
    named.truncate(NAMED);
    named
}

/// The bytes in a text of /proc/PID/io: what really goes to disks and comes from them. What is taken back
/// before it was written (a file that is removed) does not count.
fn counted(io: &str, of: Resource) -> Option<u64> {
    let field = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    let written = field("write_bytes:")?.saturating_sub(field("cancelled_write_bytes:")?);
    let read = if of == Resource::Disk { field("read_bytes:")? } else { 0 };
    Some(written.saturating_add(read))
}

/// The bytes of a text of io.stat of a group, over all disks.
fn counted_of_group(stat: &str, of: Resource) -> u64 {
    let words = stat.split_ascii_whitespace();
    words
        .filter_map(|word| match word.split_once('=')? {
            ("wbytes", bytes) => bytes.parse::<u64>().ok(),
            ("rbytes", bytes) if of == Resource::Disk => bytes.parse().ok(),
            _ => None,
        })
        .fold(0, u64::saturating_add)
}

/// What each unit of systemd has read and written, where that is counted. The units of a user's own
/// systemd stand below `user@1000.service`.
fn units(settings: &Settings, of: Resource) -> HashMap<String, u64> {
    let patience = Patience::new(DISK_CPU);
    let mut folders = vec![settings.sys.join("fs/cgroup")];
    let mut found = HashMap::new();
    while let Some(folder) = folders.pop().filter(|_| patience.lasts() && found.len() < MOST) {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|_| entry.file_type().is_ok_and(|t| t.is_dir()))
            else {
                continue;
            };
            if !is_unit(&name) || name.starts_with("user@") {
                folders.push(entry.path());
            } else if let Ok(stat) = fs::read_to_string(entry.path().join("io.stat")) {
                found.insert(printable(name), counted_of_group(&stat, of));
            }
        }
    }
    found
}

struct Process {
    pid: u32,
    name: String,
    /// It waits for a device, and cannot be interrupted.
    waits: bool,
    /// Of CPU time, its own.
    ticks: u64,
    pages: u64,
}

impl Process {
    /// As one who takes so much.
    fn named(self, settings: &Settings, much: Much) -> Culprit {
        let group = fs::read_to_string(settings.proc.join(format!("{}/cgroup", self.pid))).ok();
        let unit = group.and_then(|text| unit_of(&text).map(printable));
        Culprit { process: Some((self.name, self.pid)), unit, much }
    }
}

/// How long may be read: [`PATIENCE`] by the clock, and so much of this thread's CPU time.
#[derive(Clone, Copy)]
struct Patience {
    until: Instant,
    cpu: Duration,
}

impl Patience {
    fn new(cpu: Duration) -> Self {
        Self { until: Instant::now() + PATIENCE, cpu: cpu_time() + cpu }
    }

    fn lasts(self) -> bool {
        Instant::now() < self.until && cpu_time() < self.cpu
    }
}

/// What this thread has used.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn processes(settings: &Settings, patience: Patience) -> impl Iterator<Item = Process> {
    let entries = fs::read_dir(&settings.proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let proc = settings.proc.clone();
    pids.take(MOST).take_while(move |_| patience.lasts()).filter_map(move |pid| read(&proc, pid))
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
    let waits = rest.trim_start().starts_with('D');
    Some(Process { pid, name: printable(name), waits, ticks, pages })
}

/// A name as people may see it: others choose the names of processes, and those of units below their own.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The unit in a text of /proc/PID/cgroup: the last part of the path that names a service, or the
/// scope of a container or a session.
fn unit_of(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.splitn(3, ':').nth(2).filter(|p| *p != "/"))?;
    path.rsplit('/').find(is_unit)
}

fn is_unit(part: &&str) -> bool {
    part.ends_with(".service") || part.ends_with(".scope")
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
        let bytes = |c: &Culprit| match c.much {
            Much::Memory(bytes) => bytes,
            other => panic!("{other:?}"),
        };
        assert!(all.windows(2).all(|w| bytes(&w[0]) >= bytes(&w[1])), "{all:?}");
        let words = all[0].words();
        let (_, pid) = all[0].process.as_ref().expect("a process");
        assert!(words.contains(&format!("pid {pid}")), "{words}");
    }

    #[test]
    fn bytes_of_a_process_are_those_that_reach_a_disk() {
        let io = "rchar: 999\nwchar: 999\nsyscr: 9\nsyscw: 9\nread_bytes: 4096\nwrite_bytes: 8192\n\
                  cancelled_write_bytes: 1000\n";
        assert_eq!(counted(io, Resource::Written), Some(7192));
        assert_eq!(counted(io, Resource::Disk), Some(7192 + 4096));
        assert_eq!(counted("rchar: 1\n", Resource::Disk), None);
        let stat = "8:0 rbytes=100 wbytes=7 rios=1 wios=1 dbytes=5 dios=0\n8:16 wbytes=3\n7:1\n";
        assert_eq!(counted_of_group(stat, Resource::Written), 10);
        assert_eq!(counted_of_group(stat, Resource::Disk), 110);
    }

    #[test]
    fn the_writer_is_named_and_so_is_a_unit_that_nobody_may_look_into() {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            proc: dir.path().join("proc"),
            sys: dir.path().join("sys"),
            ..Settings::default()
        };
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, text).expect("written");
        };
        let stat = |name: &str, state: &str| {
            format!("1 ({name}) {state} 1 1 1 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 99 1 777 0")
        };
        let io =
            |bytes: u64| format!("read_bytes: 0\nwrite_bytes: {bytes}\ncancelled_write_bytes: 0\n");
        for (pid, name, state) in [(12, "dd", "R"), (13, "idle", "S"), (14, "waiter", "D")] {
            write(&format!("proc/{pid}/stat"), &stat(name, state));
        }
        write("proc/12/cgroup", "0::/system.slice/dd.service\n");
        write("proc/12/io", &io(0));
        write("proc/13/io", &io(0));
        let groups = "sys/fs/cgroup/system.slice";
        for unit in ["dd.service", "db.service", "quiet.service"] {
            write(&format!("{groups}/{unit}/io.stat"), "8:0 rbytes=0 wbytes=0\n");
        }
        // A user's units lie deeper.
        let of_user = "sys/fs/cgroup/user.slice/user@7.service/app.slice/game.service/io.stat";
        write(of_user, "8:0 wbytes=0\n");
        let before = Look::new(&settings, Resource::Disk);
        write("proc/12/io", &io(3 << 30));
        write(&format!("{groups}/dd.service/io.stat"), "8:0 wbytes=3221225472\n");
        write(&format!("{groups}/db.service/io.stat"), "8:0 rbytes=2147483648\n");
        write(of_user, "8:0 wbytes=1073741824\n");
        let after = Look::new(&settings, Resource::Disk);
        let all = between(&settings, Resource::Disk, (&before, after), 2.0);
        let words: Vec<String> = all.iter().map(Culprit::words).collect();
        assert_eq!(
            words,
            [
                "dd (dd.service, pid 12): reads and writes 1.50 GiB/s",
                "db.service: reads and writes 1 GiB/s",
                "game.service: reads and writes 512 MiB/s"
            ]
        );
        // Nobody writes: who waits is named, where reading counts, too.
        let words = |of| {
            let all = culprits(&settings, of, Duration::from_millis(1));
            all.iter().map(Culprit::words).collect::<Vec<_>>()
        };
        assert_eq!(words(Resource::Disk), ["waiter (pid 14): waits for a disk"]);
        assert_eq!(words(Resource::Written), Vec::<String>::new());
    }
}
