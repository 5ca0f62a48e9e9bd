//! plugin: runs plugins side by side on one thread. Each has a deadline, a bound on its output, its
//! own environment, process group and limits, and leaves no process behind.
//!
//! The caller waits for [`Runner::fd`] and [`Runner::wake`], and then calls [`Runner::step`].
#![allow(unsafe_code, reason = "CommandExt::pre_exec, to become another user and set limits")]

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::event::epoll;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group,
    pidfd_open, setrlimit, waitid,
};

use super::Plugin;
use super::stray::{self, Mark};
use crate::model::Clock;

/// The largest output of a plugin. The largest of Debian's print some 100 kB.
pub(super) const MAX_OUTPUT: usize = 1 << 20;
/// The part of standard error that is kept.
const MAX_ERRORS: usize = 4_096;
/// A program that has ended may have left its output to a child; so long it is waited for.
const LINGER_MS: i64 = 500;
/// Between the request to end and the kill.
const GRACE_MS: i64 = 300;
/// The most processes that a plugin's user may have while it forks.
const PROCESSES: u64 = 4_096;
/// How often ended children are looked for without pidfd_open (Linux before 5.3).
const LOOK_MS: i64 = 20;

/// The action that a plugin is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The description of its fields.
    Config,
    /// Their values.
    Fetch,
    /// Whether it has anything to measure on this machine.
    Autoconf,
    /// The names under which a wildcard plugin can be linked.
    Suggest,
}

impl Action {
    fn argument(self) -> Option<&'static str> {
        match self {
            Self::Config => Some("config"),
            Self::Fetch => None,
            Self::Autoconf => Some("autoconf"),
            Self::Suggest => Some("suggest"),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It ended with this status.
    Exited(i32),
    /// A signal from elsewhere ended it.
    Signalled(i32),
    /// It exceeded its deadline.
    TimedOut,
    /// It printed too much.
    Cut,
    /// It could not be started, for this reason.
    NotStarted(String),
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// How long it took, in ms.
    pub took_ms: i64,
}

impl Output {
    /// Why this is no answer; nothing: it is one. `statuses` are fine.
    pub fn failure(&self, statuses: std::ops::RangeInclusive<i32>) -> Option<String> {
        let said = String::from_utf8_lossy(&self.stderr);
        let said = said.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        match &self.end {
            End::Exited(status) if statuses.contains(status) => None,
            End::Exited(status) => Some(format!("it ended with status {status}{said}")),
            End::Signalled(signal) => Some(format!("it was ended by signal {signal}{said}")),
            End::TimedOut => {
                let after = crate::model::format_duration(self.took_ms / 1000 * 1000);
                Some(format!("it had not ended after {after}, and was killed{said}"))
            }
            End::Cut => {
                Some(format!("it printed more than {} KiB, and was killed", MAX_OUTPUT >> 10))
            }
            End::NotStarted(why) => Some(why.clone()),
        }
    }
}

struct Running {
    tag: usize,
    mark: Option<Mark>,
    child: Child,
    /// Ready when it has ended.
    pidfd: Option<OwnedFd>,
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How much it complained, kept or not.
    complained: usize,
    started: i64,
    deadline: i64,
    /// When it was seen to have ended; it is not buried yet, so its number is still its own.
    exited: Option<i64>,
    /// Why it was killed, when, and whether for good.
    killed: Option<(End, i64, bool)>,
    /// Whether its end was reported although the kernel still holds it.
    told: bool,
}

/// See the module's text.
pub struct Runner {
    epoll: OwnedFd,
    running: Vec<Running>,
    /// Whether a process that did not die yet must be looked for again.
    unswept: bool,
}

impl Runner {
    /// Makes this process the parent of whatever its plugins leave behind.
    pub fn new() -> std::io::Result<Self> {
        stray::adopt()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, running: Vec::new(), unswept: false })
    }

    /// A descriptor that becomes readable when there is work.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// How many run now, those left out that nothing can kill.
    pub fn len(&self) -> usize {
        self.running.iter().filter(|r| !r.told).count()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a run of this tag has not ended.
    pub fn is_running(&self, tag: usize) -> bool {
        self.running.iter().any(|r| r.tag == tag)
    }

    /// When to call [`Runner::step`] at the latest (boot time in ms).
    pub fn wake(&self, now: i64) -> Option<i64> {
        let of = |r: &Running| match (&r.killed, r.exited, &r.pidfd) {
            _ if r.told => now + 1_000,
            (Some((_, at, false)), None, _) => at + GRACE_MS,
            (Some((_, _, true)), None, _) => now + LOOK_MS,
            (_, Some(at), _) => at + LINGER_MS,
            (None, None, None) => r.deadline.min(now + LOOK_MS),
            (None, None, Some(_)) => r.deadline,
        };
        let sweep = self.unswept.then_some(now + 50);
        self.running.iter().map(of).chain(sweep).min()
    }

    /// Starts a run; `now` is boot time in ms. [`Runner::step`] reports its result under `tag`. An
    /// error means that it could not be started.
    pub fn start(
        &mut self,
        tag: usize,
        plugin: &Plugin,
        action: Action,
        now: i64,
    ) -> Result<(), Output> {
        let mark = Mark::new();
        let failed = |what: String| Output {
            stdout: Vec::new(),
            stderr: Vec::new(),
            end: End::NotStarted(what),
            took_ms: 0,
        };
        let mut command = command(plugin, action, &mark);
        let mut child = command.spawn().map_err(|e| {
            failed(format!("{} cannot be run: {}", plugin.program.display(), explain(&e)))
        })?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let pid = Pid::from_child(&child);
        mark.bears(pid);
        let running = Running {
            tag,
            mark: Some(mark),
            pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
            child,
            out,
            err,
            stdout: Vec::new(),
            stderr: Vec::new(),
            complained: 0,
            started: now,
            deadline: now + plugin.timeout_ms,
            exited: None,
            killed: None,
            told: false,
        };
        let fds = [
            running.pidfd.as_ref().map(AsFd::as_fd),
            running.out.as_ref().map(AsFd::as_fd),
            running.err.as_ref().map(AsFd::as_fd),
        ];
        for fd in fds.into_iter().flatten() {
            let data = epoll::EventData::new_u64(fd.as_raw_fd() as u64);
            let added = rustix::io::ioctl_fionbio(fd, true)
                .or(Ok(()))
                .and_then(|()| epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN));
            // Without it, the deadline still works.
            if let Err(e) = added {
                tracing::debug!("plugin {}: {e}", plugin.name);
            }
        }
        self.running.push(running);
        Ok(())
    }

    /// Does all pending work, without waiting; appends the ended runs to `done`.
    pub fn step(&mut self, now: i64, done: &mut Vec<(usize, Output)>) {
        let mut swept = self.unswept;
        let mut at = 0;
        while let Some(r) = self.running.get_mut(at) {
            r.read();
            r.look(now);
            if !r.is_over(now) {
                if let Some(output) = r.give_up(now) {
                    done.push((r.tag, output));
                }
                at += 1;
                continue;
            }
            let r = self.running.remove(at);
            let told = r.told;
            let ended = r.bury(now);
            swept = true;
            if !told {
                done.push(ended);
            }
        }
        if swept {
            self.unswept = stray::sweep();
        }
    }

    /// Ends everything that runs, at once.
    pub fn stop(&mut self) {
        for r in &mut self.running {
            r.kill(End::TimedOut, 0, true);
        }
        for r in self.running.drain(..) {
            let _ended = r.bury(0);
        }
        stray::sweep();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Reads its output. A closed pipe is closed on this side, too.
    fn read(&mut self) {
        if let Some(out) = &mut self.out {
            let room = MAX_OUTPUT + 1 - self.stdout.len().min(MAX_OUTPUT);
            if drain(out, &mut self.stdout, room, &mut 0) {
                self.out = None;
            }
        }
        if let Some(err) = &mut self.err {
            let room = MAX_ERRORS - self.stderr.len().min(MAX_ERRORS);
            if drain(err, &mut self.stderr, room, &mut self.complained) {
                self.err = None;
            }
        }
    }

    fn look(&mut self, now: i64) {
        if self.exited.is_none() {
            let how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if matches!(waitid(WaitId::Pid(self.pid()), how), Ok(Some(_))) {
                self.exited = Some(now);
                self.pidfd = None;
                // The last part of its output.
                self.read();
            }
        }
        if self.stdout.len() > MAX_OUTPUT || self.complained > MAX_OUTPUT {
            // No more is read, so that a flood ends here.
            (self.out, self.err) = (None, None);
            self.kill(End::Cut, now, true);
        }
        match &self.killed {
            None if now >= self.deadline && self.exited.is_none() => {
                self.kill(End::TimedOut, now, false);
            }
            Some((_, at, false)) if now >= at + GRACE_MS => self.kill(End::TimedOut, now, true),
            _ => {}
        }
    }

    fn kill(&mut self, why: End, now: i64, hard: bool) {
        let signal = if hard { Signal::KILL } else { Signal::TERM };
        // Its leader is not buried, so the group's number is still its own.
        let _gone = kill_process_group(self.pid(), signal);
        match &mut self.killed {
            Some((_, _, for_good)) => *for_good |= hard,
            none => *none = Some((why, now, hard)),
        }
    }

    fn is_over(&self, now: i64) -> bool {
        let Some(exited) = self.exited else { return false };
        let closed = self.out.is_none() && self.err.is_none();
        closed || self.killed.is_some() || now >= exited + LINGER_MS
    }

    /// Reports a run although the kernel may still hold its process (a disk that hangs).
    fn give_up(&mut self, now: i64) -> Option<Output> {
        let (why, at, _) = self.killed.as_ref()?;
        if self.told || now < at + GRACE_MS * 3 {
            return None;
        }
        self.told = true;
        (self.out, self.err) = (None, None);
        let stdout = std::mem::take(&mut self.stdout);
        let stderr = std::mem::take(&mut self.stderr);
        Some(Output { stdout, stderr, end: why.clone(), took_ms: now - self.started })
    }

    /// Ends its group and takes its status.
    fn bury(mut self, now: i64) -> (usize, Output) {
        let _gone = kill_process_group(self.pid(), Signal::KILL);
        let status = self.child.wait();
        drop(self.mark.take());
        let end = match (self.killed.take(), status) {
            (Some((why, ..)), _) => why,
            (None, Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => End::Exited(code),
                (None, signal) => End::Signalled(signal.unwrap_or(0)),
            },
            (None, Err(e)) => End::NotStarted(e.to_string()),
        };
        let took_ms = now - self.started;
        (self.tag, Output { stdout: self.stdout, stderr: self.stderr, end, took_ms })
    }
}

/// Reads the available bytes, keeps up to `room` of them and counts all. True at the end of the
/// input.
fn drain(from: &mut impl Read, into: &mut Vec<u8>, mut room: usize, all: &mut usize) -> bool {
    let mut piece = [0u8; 8_192];
    // A limit for each turn, so that a flooding plugin does not delay the others.
    for _ in 0..64 {
        match from.read(&mut piece) {
            Ok(0) => return true,
            Ok(n) => {
                *all += n;
                let kept = n.min(room);
                into.extend_from_slice(&piece[..kept]);
                room -= kept;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
    false
}

fn explain(e: &std::io::Error) -> String {
    match e.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOEXEC) => {
            "its first line does not say what runs it, for example #!/bin/sh".to_owned()
        }
        Some(rustix::io::Errno::NOENT) => {
            "what its first line names is not installed, or the file has gone".to_owned()
        }
        Some(rustix::io::Errno::ACCESS) => {
            "its user may not run it; look at the modes of the file and of the folders above it"
                .to_owned()
        }
        _ => e.to_string(),
    }
}

fn command(plugin: &Plugin, action: Action, mark: &Mark) -> Command {
    let mut command = Command::new(&plugin.program);
    let argument = action.argument().filter(|_| plugin.kind != Some(super::Kind::Nagios));
    let mut words: Vec<OsString> = plugin.arguments.iter().map(OsString::from).collect();
    words.extend(argument.map(OsString::from));
    command.args(words);
    command.env_clear().envs(plugin.env.iter().map(|(n, v)| (n, v))).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let seconds = (plugin.timeout_ms / 1_000 + 5) as u64;
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let limits = [
        mark.limit(),
        // A run that the deadline does not end (plimsoll was killed) ends by this one.
        (Resource::Cpu, limit(seconds)),
        (Resource::Core, limit(0)),
        (Resource::Nofile, limit(1_024)),
        (Resource::Fsize, limit(256 << 20)),
        (Resource::Data, limit(2 << 30)),
        // The limit counts all processes of the user, and stops a plugin that only forks.
        (Resource::Nproc, limit(PROCESSES)),
    ];
    let no_new_privileges = plugin.account.is_default;
    let account = plugin.account.switch.clone();
    let prepare = move || {
        // A session of its own, with a process group: it has no terminal to ask at, and processes
        // that it leaves behind are never taken for plimsoll's own.
        rustix::process::setsid()?;
        for (resource, limit) in &limits {
            // A lower limit stays.
            let _lower = setrlimit(*resource, *limit);
        }
        if let Some((uid, gid, groups)) = &account {
            rustix::thread::set_thread_groups(groups)?;
            rustix::thread::set_thread_res_gid(*gid, *gid, *gid)?;
            rustix::thread::set_thread_res_uid(*uid, *uid, *uid)?;
        }
        // Capabilities from contrib/systemd/plugins.conf are not for plugins. Without that file
        // there is nothing to clear.
        let _nothing = rustix::thread::clear_ambient_capability_set();
        if no_new_privileges {
            rustix::thread::set_no_new_privs(true)?;
        }
        // A plimsoll that is killed takes its plugins along.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls and nothing else: no allocation, no lock.
    unsafe { command.pre_exec(prepare) };
    command
}

/// Runs one plugin and waits for it.
pub fn run_one(plugin: &Plugin, action: Action, clock: &dyn Clock) -> Output {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut done = Vec::new();
    let started = Runner::new().map_err(|e| e.to_string()).and_then(|mut runner| {
        match runner.start(0, plugin, action, clock.boot_ms()) {
            Ok(()) => Ok(runner),
            Err(output) => Err(output.failure(0..=0).unwrap_or_default()),
        }
    });
    let mut runner = match started {
        Ok(runner) => runner,
        Err(why) => {
            let end = End::NotStarted(why);
            return Output { stdout: Vec::new(), stderr: Vec::new(), end, took_ms: 0 };
        }
    };
    loop {
        let now = clock.boot_ms();
        runner.step(now, &mut done);
        if let Some((_, output)) = done.pop() {
            return output;
        }
        let wait = runner.wake(now).map_or(LOOK_MS, |at| (at - now).clamp(1, 60_000));
        let wait = Timespec { tv_sec: wait / 1_000, tv_nsec: wait % 1_000 * 1_000_000 };
        let _woken = poll(&mut [PollFd::new(&runner.fd(), PollFlags::IN)], Some(&wait));
    }
}
