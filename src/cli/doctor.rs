//! cli: `plimsoll doctor`: checks the database and the files around it, one line a check, and
//! repairs them on request.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::Global;
use crate::daemon::control::socket_path;
use crate::model::{Clock, SystemClock, Unit};
use crate::store::{Finding, Limits, Lock, OpenError, Reader, Store, Times, is_repairable, sizes};

/// Less room than this is trouble soon.
const LITTLE_ROOM: u64 = 64 << 20;

/// `plimsoll doctor`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Repair the database; plimsoll must not run
    #[arg(long)]
    repair: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let path = global.database()?;
    let limits = global.config_in_force(&path)?.limits;
    let moved = if args.repair { repair(&path, limits)? } else { None };
    let findings = examine(&path, limits)?;
    let wrong = findings.iter().filter(|f| !f.wrong.is_empty()).count();
    let mut out = super::stdout();
    if args.json {
        let one = |f: &Finding| json!({ "check": f.check, "wrong": f.wrong, "remedy": f.remedy });
        let all: Vec<_> = findings.iter().map(one).collect();
        let all = json!({ "ok": wrong == 0, "checks": all, "moved": moved });
        serde_json::to_writer_pretty(&mut out, &all)?;
        writeln!(out)?;
    } else {
        if let Some(moved) = moved {
            writeln!(out, "{moved}")?;
        }
        print(&mut out, &findings)?;
    }
    out.flush()?;
    let hint = if args.repair { "" } else { "\n  'plimsoll doctor --repair' does these repairs" };
    anyhow::ensure!(
        wrong == 0,
        "{}: {wrong} of {} checks found something{hint}",
        path.display(),
        findings.len()
    );
    Ok(())
}

fn print(out: &mut impl Write, findings: &[Finding]) -> std::io::Result<()> {
    for f in findings {
        if f.wrong.is_empty() {
            writeln!(out, "{:<20} ok", f.check)?;
            continue;
        }
        for line in &f.wrong {
            writeln!(out, "{:<20} {line}", f.check)?;
        }
        writeln!(out, "{:<20} --repair would: {}", "", f.remedy)?;
    }
    Ok(())
}

/// The rows that were moved into a new file, if that was necessary.
fn repair(path: &Path, limits: Limits) -> anyhow::Result<Option<String>> {
    // A missing database is not created.
    anyhow::ensure!(path.exists(), OpenError::Missing { path: path.to_owned() });
    let mut store = match Store::open(path, &crate::config::host_name(), Arc::default()) {
        Err(e @ (OpenError::InUse { .. } | OpenError::Locked { .. })) => {
            return Err(e).context("the database is in use and cannot be repaired");
        }
        other => other?,
    };
    store.set_limits(limits);
    let clock = SystemClock;
    let moved = store.mend(Times { wall: clock.wall_ms(), boot: clock.boot_ms() })?;
    drop(store);
    let socket = socket_path(path);
    if socket.exists() && Lock::owner(path).is_none() {
        std::fs::remove_file(&socket).with_context(|| socket.display().to_string())?;
    }
    for file in writable_by_others(path) {
        // Through a link the rights of another file would change.
        if !std::fs::symlink_metadata(&file)?.is_file() {
            continue;
        }
        let mode = std::fs::metadata(&file)?.mode() & 0o7775;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))
            .with_context(|| file.display().to_string())?;
    }
    Ok(moved)
}

fn examine(path: &Path, limits: Limits) -> anyhow::Result<Vec<Finding>> {
    let mut findings = match Reader::open(path) {
        Ok(reader) => {
            let mut findings = reader.examine(SystemClock.wall_ms());
            findings.push(Finding {
                check: "waiting samples",
                wrong: reader.spilled(path).into_iter().collect(),
                remedy: "take them into the database",
            });
            findings
        }
        Err(e) if is_repairable(&e) => vec![Finding {
            check: "SQLite's own check",
            wrong: vec![e.to_string()],
            remedy: "set the file aside and move all readable rows into a new one",
        }],
        Err(e) => return Err(e.into()),
    };
    let mut leftovers = Vec::new();
    if socket_path(path).exists() && Lock::owner(path).is_none() {
        leftovers
            .push(format!("{} is left over from an earlier plimsoll", socket_path(path).display()));
    }
    findings.push(Finding { check: "leftovers", wrong: leftovers, remedy: "remove them" });
    findings.push(Finding {
        check: "disk space",
        wrong: room(path, limits),
        remedy: "nothing: make room there, or lower max_size in [store]",
    });
    findings.push(Finding {
        check: "permissions",
        wrong: writable_by_others(path)
            .iter()
            .map(|file| format!("every user may write to {}", file.display()))
            .chain(Lock::obstacle(path))
            .collect(),
        remedy: "remove that right; as root, give the lock to the owner of the database",
    });
    Ok(findings)
}

/// Whether the database can still grow to its bound, or at least for a while.
fn room(path: &Path, limits: Limits) -> Vec<String> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Vec::new() };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let used: u64 = sizes(path).iter().map(|(_, bytes)| bytes).sum();
    let grows = limits.max_size.saturating_sub(used);
    if free >= grows.min(LITTLE_ROOM) {
        return Vec::new();
    }
    vec![format!(
        "{} are free, and the database may grow by {}",
        Unit::Bytes.format(free as f64),
        Unit::Bytes.format(grows as f64)
    )]
}

fn writable_by_others(path: &Path) -> Vec<PathBuf> {
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    ["", "-wal", "-shm", "-spill"]
        .into_iter()
        .map(named)
        .filter(|file| std::fs::metadata(file).is_ok_and(|meta| meta.mode() & 0o002 != 0))
        .collect()
}
