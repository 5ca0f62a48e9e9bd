//! daemon: the last lines that a unit wrote into the journal, for the message that it failed. Only members
//! of the group systemd-journal may read them, and plimsoll is none by itself: a log may hold what no
//! receiver should see, so a person has to want it (docs/ALERTS.md).
//!
//! Bound: [`LINES`] lines of [`LONGEST`] bytes, and [`PATIENCE`].

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use crate::notify::program::{Ended, Program, found};

/// The number of lines.
const LINES: usize = 5;
/// The bytes of each.
const LONGEST: usize = 200;
/// The longest time for reading them: other alerts wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last lines of a unit, the oldest first. None where they cannot be read. `path`: where journalctl is
/// looked for.
pub fn last_lines(unit: &str, path: &OsStr) -> Vec<String> {
    let Some(journalctl) = found("journalctl", path) else { return Vec::new() };
    let program = Program {
        path: &journalctl,
        arguments: vec![
            format!("--unit={unit}"),
            format!("--lines={LINES}"),
            "--boot".into(),
            "--quiet".into(),
            "--no-pager".into(),
            "--output=cat".into(),
        ],
        environment: vec![("LC_ALL", "C.UTF-8".into())],
        input: b"",
        picture: None,
    };
    match program.run(Instant::now() + PATIENCE) {
        Ended::By(0, said) => lines(&said),
        _ => Vec::new(),
    }
}

fn lines(said: &str) -> Vec<String> {
    let all: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = all.len().saturating_sub(LINES);
    all[from..].iter().map(|line| cut(line)).collect()
}

fn cut(line: &str) -> String {
    match line.char_indices().find(|(at, c)| at + c.len_utf8() > LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn with(script: &str) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journalctl");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        last_lines("backup.service", dir.path().as_os_str())
    }

    #[test]
    fn the_last_lines_are_those_of_the_unit() {
        assert_eq!(with("echo \"$1 $2\"; echo; echo b"), ["--unit=backup.service --lines=5", "b"]);
        assert_eq!(with("/usr/bin/seq 9"), ["5", "6", "7", "8", "9"]);
        let long = with("/usr/bin/printf 'ä%.0s' $(/usr/bin/seq 500)");
        assert_eq!(long, [format!("{}…", "ä".repeat(LONGEST / 2))]);
    }

    #[test]
    fn a_journal_that_may_not_be_read_is_no_lines() {
        assert_eq!(with("echo 'No journal files were opened'; exit 1"), Vec::<String>::new());
        assert_eq!(last_lines("a.service", OsStr::new("/nowhere")), Vec::<String>::new());
    }
}
