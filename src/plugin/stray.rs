//! plugin: processes that a plugin leaves behind: a child in a session of its own, a daemon that it
//! forked. Such orphans become plimsoll's own children (plimsoll is their "subreaper"). The run of
//! a process is known by a mark, a limit on POSIX message queues (getrlimit(2)) of the run's own,
//! or by its session, which each run begins. A plugin could empty an environment, leave a session,
//! and lower the limit: a process that then belongs to no known run is killed as well. Other
//! children of plimsoll are in its own session, which no plugin can enter.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions};

/// The first mark. Marks lie below Linux' default of 819,200 bytes, because a limit can only be
/// lowered.
const FIRST: u32 = 100_000;
const MARKS: u32 = 600_000;

/// The marks of the runs that have not ended, each with the run's session once that has begun.
type Active = BTreeMap<u32, Option<Pid>>;

static ACTIVE: Mutex<(u32, Active)> = Mutex::new((0, BTreeMap::new()));

fn active() -> MutexGuard<'static, (u32, Active)> {
    ACTIVE.lock().unwrap_or_else(|e| e.into_inner())
}

/// The mark of a run. While it lives, processes with this mark are left alone.
#[derive(Debug)]
pub(super) struct Mark(u32);

impl Mark {
    /// A mark that no run has now.
    pub(super) fn new() -> Self {
        let mut state = active();
        let (last, marks) = &mut *state;
        loop {
            *last = (*last + 1) % MARKS;
            if !marks.contains_key(last) {
                marks.insert(*last, None);
                return Self(*last);
            }
        }
    }

    /// The run has begun; `pid` leads its session.
    pub(super) fn bears(&self, pid: Pid) {
        active().1.insert(self.0, Some(pid));
    }

    /// The limit that a child takes on.
    pub(super) fn limit(&self) -> (Resource, Rlimit) {
        let bytes = Some(u64::from(FIRST + self.0));
        (Resource::Msgqueue, Rlimit { current: bytes, maximum: bytes })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        active().1.remove(&self.0);
    }
}

/// Takes in the orphans of children from now on.
pub(super) fn adopt() -> std::io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(Into::into)
}

/// Kills and reaps processes of ended runs. True if one of them did not die yet.
pub(super) fn sweep() -> bool {
    for _ in 0..20 {
        let mut found = false;
        for pid in children() {
            if !is_stray(pid) {
                continue;
            }
            found = true;
            // Its children are ours as soon as it is dead: that is the next round.
            let _gone = rustix::process::kill_process(pid, Signal::KILL);
            let _buried = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        if !found {
            return false;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    true
}

/// Whether a child belongs to no current run, and is not one of plimsoll's own.
fn is_stray(pid: Pid) -> bool {
    // A process without a session to be read has gone.
    let Some(session) = session_of(&pid.as_raw_pid().to_string()) else { return false };
    if session_of("self") == Some(session) {
        return false;
    }
    let marks = &active().1;
    let marked = mark_of(pid).is_some_and(|mark| marks.contains_key(&mark));
    let led = |leader: &Option<Pid>| leader.is_some_and(|l| l.as_raw_pid() == session);
    !marked && !marks.values().any(led)
}

/// The session of a process from /proc/PID/stat: the process id of its leader, or 0 if the leader
/// is outside of this process id namespace, as for a daemon in a container.
/// `rustix::process::getsid` does not work here: it panics at the 0.
fn session_of(process: &str) -> Option<i32> {
    stat_field(process, SESSION)?.parse().ok()
}

/// Fields of /proc/PID/stat, counted from the first one after the command (proc(5)).
const PARENT: usize = 1;
const SESSION: usize = 3;

fn stat_field(process: &str, field: usize) -> Option<String> {
    let stat = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    // The command may hold anything: brackets, and bytes that are no text.
    let stat = String::from_utf8_lossy(&stat);
    let after = stat.get(stat.rfind(')')? + 1..)?;
    after.split_ascii_whitespace().nth(field).map(str::to_owned)
}

/// This process' children, those of all its threads.
fn children() -> Vec<Pid> {
    let mut out = Vec::new();
    let mut listed = false;
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        if let Ok(text) = std::fs::read_to_string(task.path().join("children")) {
            listed = true;
            out.extend(text.split_ascii_whitespace().filter_map(pid));
        }
    }
    // A kernel without CONFIG_PROC_CHILDREN.
    if !listed {
        out.extend(all_children());
    }
    out
}

fn all_children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    names
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
        .filter(|name| stat_field(name, PARENT).as_deref() == Some(&own))
        .filter_map(|name| pid(&name))
        .collect()
}

fn pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}

/// The mark that a process bears.
fn mark_of(pid: Pid) -> Option<u32> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_pid())).ok()?;
    let line = limits.lines().find_map(|l| l.strip_prefix("Max msgqueue size"))?;
    let limit: u32 = line.split_ascii_whitespace().next()?.parse().ok()?;
    limit.checked_sub(FIRST).filter(|mark| *mark < MARKS)
}
