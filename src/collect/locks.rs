//! collect: which process holds a lock of a file, from /proc/locks. A pid that the holder once wrote
//! down may be that of another program by now.

use std::fs::Metadata;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::regular;

/// A machine with many databases has some thousand lines of 60 bytes.
const MOST: u64 = 16 << 20;

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// The name of its program; the kernel keeps 15 characters.
    pub name: String,
}

impl Holder {
    /// The process with this number, if it exists.
    pub fn of(pid: u32) -> Option<Self> {
        let name = regular::read(Path::new(&format!("/proc/{pid}/comm")), 4_096).ok()?;
        let name = String::from_utf8_lossy(&name);
        // A process may choose any name.
        let name = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        Some(Self { pid, name })
    }
}

/// The process that holds a lock by flock(2) of this file. `None` if there is none, or none that is
/// visible from here (it may be in another container).
pub fn holder(file: &Metadata) -> Option<Holder> {
    let locks = regular::read(Path::new("/proc/locks"), MOST).ok()?;
    let pid = find(&String::from_utf8_lossy(&locks), file.dev(), file.ino())?;
    Some(Holder::of(pid).unwrap_or(Holder { pid, name: String::new() }))
}

/// The processes other than this one that hold a lock by fcntl(2) on any of these bytes of the
/// file, each once. Processes in other containers are not visible.
pub fn holders_of_bytes(file: &Metadata, bytes: RangeInclusive<u64>) -> Vec<Holder> {
    let Ok(locks) = regular::read(Path::new("/proc/locks"), MOST) else { return Vec::new() };
    let mut pids = find_bytes(&String::from_utf8_lossy(&locks), file.dev(), file.ino(), &bytes);
    pids.retain(|pid| *pid != std::process::id());
    pids.into_iter()
        .map(|pid| Holder::of(pid).unwrap_or(Holder { pid, name: String::new() }))
        .collect()
}

/// `1: POSIX  ADVISORY  READ 707 08:01:1048 123 123`
fn find_bytes(locks: &str, dev: u64, ino: u64, bytes: &RangeInclusive<u64>) -> Vec<u32> {
    let place = place(dev, ino);
    let mut pids: Vec<u32> = locks
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [_, "POSIX" | "OFDLCK", _, _, pid, at, first, last] = words.as_slice() else {
                return None;
            };
            let first: u64 = first.parse().ok()?;
            let last = if *last == "EOF" { u64::MAX } else { last.parse().ok()? };
            let meets = *at == place && first <= *bytes.end() && last >= *bytes.start();
            pid.parse().ok().filter(|_| meets)
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn place(dev: u64, ino: u64) -> String {
    format!("{:02x}:{:02x}:{ino}", rustix::fs::major(dev), rustix::fs::minor(dev))
}

/// `1: FLOCK  ADVISORY  WRITE 707 08:01:1048 0 EOF`; a line with `->` only waits.
fn find(locks: &str, dev: u64, ino: u64) -> Option<u32> {
    let place = place(dev, ino);
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, _, pid, at, ..] if *at == place => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_file_counts() {
        let locks = "1: POSIX  ADVISORY  WRITE 1 08:01:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 2 08:02:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 3 08:01:78 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 4 08:01:77 0 EOF\n\
                     4: -> FLOCK  ADVISORY  WRITE 5 08:01:77 0 EOF\n";
        let dev = rustix::fs::makedev(8, 1);
        assert_eq!(find(locks, dev, 77), Some(4));
        assert_eq!(find(locks, dev, 79), None);
        assert_eq!(find("no\nsuch: FLOCK\n", dev, 77), None);
    }

    #[test]
    fn the_bytes_count() {
        let locks = "1: POSIX  ADVISORY  READ  9 08:01:77 123 123\n\
                     2: POSIX  ADVISORY  READ  9 08:01:77 125 125\n\
                     3: POSIX  ADVISORY  READ  3 08:01:77 128 128\n\
                     4: POSIX  ADVISORY  WRITE 4 08:01:78 123 123\n\
                     5: OFDLCK ADVISORY  READ  -1 08:01:77 124 124\n\
                     6: POSIX  ADVISORY  WRITE 6 08:01:77 0 EOF\n\
                     6: -> POSIX  ADVISORY  WRITE 7 08:01:77 123 123\n";
        let dev = rustix::fs::makedev(8, 1);
        assert_eq!(find_bytes(locks, dev, 77, &(123..=127)), [6, 9]);
    }

    #[test]
    fn a_process_has_a_name() {
        let own = Holder::of(std::process::id()).unwrap();
        assert!(!own.name.is_empty() && own.pid == std::process::id());
        assert_eq!(Holder::of(u32::MAX), None);
    }
}
