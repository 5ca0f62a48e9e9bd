//! notify: runs another program to hand a message to it: sendmail, Apprise, one of somebody's own. It
//! gets its input as a file, a deadline, and limits as plugins have them. It stays in plimsoll's
//! session, where the sweeper of plugins leaves it alone, in a process group of its own.
#![allow(unsafe_code, reason = "CommandExt::pre_exec, to set limits and hand over a file")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process_group, pidfd_open, setrlimit,
};

/// A program may take as long, whatever the deadline allows.
const LONGEST: Duration = Duration::from_secs(30);
/// What is kept of what it prints.
const MAX_SAID: usize = 4_096;
/// Without pidfd_open (Linux before 5.3) it is looked so often whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A file in memory that a program can read.
pub struct Handed(File);

impl Handed {
    /// It holds these bytes.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(bytes: &[u8]) -> std::io::Result<Self> {
        let mut file = File::from(rustix::fs::memfd_create(c"plimsoll", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(Self(file))
    }

    /// Its path for the program that gets it.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

/// A program to run.
pub struct Program<'a> {
    /// Its absolute path.
    pub path: &'a Path,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(&'static str, String)>,
    /// Its standard input.
    pub input: &'a [u8],
    /// A file that it gets besides; its path stands in the arguments or in the environment.
    pub picture: Option<&'a Handed>,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with a status, and what it printed.
    By(i32, String),
    /// By a signal.
    Signal(i32),
    /// It was ended: it took too long.
    Late(Duration),
    /// It did not begin, and why.
    Not(String),
}

/// Where a program of this name lies.
pub fn found(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

impl Program<'_> {
    /// Runs it to its end, for 30 s and until the deadline at the longest.
    pub fn run(&self, deadline: Instant) -> Ended {
        let began = Instant::now();
        let deadline = deadline.min(began + LONGEST);
        match self.start() {
            Ok((child, output)) => wait(child, output, began, deadline),
            Err(e) => Ended::Not(format!(
                "{} cannot be run: {}",
                self.path.display(),
                e.to_string().split(" (os error").next().unwrap_or_default()
            )),
        }
    }

    fn start(&self) -> std::io::Result<(Child, File)> {
        // The whole input at once: a program that does not read it waits for nobody.
        let input = Handed::new(self.input)?.0;
        let picture = self.picture.map(|picture| picture.0.as_raw_fd());
        let (output, printed) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut command = Command::new(self.path);
        command.args(&self.arguments).env_clear().current_dir("/").process_group(0);
        for (name, value) in &self.environment {
            // An environment holds no zero bytes.
            command.env(name, value.replace('\0', ""));
        }
        command.stdin(Stdio::from(input));
        command.stdout(Stdio::from(printed.try_clone()?)).stderr(Stdio::from(printed));
        let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
        let limits = [
            (Resource::Cpu, limit(LONGEST.as_secs() + 5)),
            (Resource::Core, limit(0)),
            (Resource::Nofile, limit(1_024)),
            (Resource::Fsize, limit(256 << 20)),
            (Resource::Data, limit(2 << 30)),
        ];
        let prepare = move || {
            for (resource, limit) in &limits {
                // One that is lower already stays.
                let _lower = setrlimit(*resource, *limit);
            }
            // Without ambient capabilities there is nothing to clear.
            let _nothing = rustix::thread::clear_ambient_capability_set();
            if let Some(number) = picture {
                // SAFETY: the parent holds the file open while it starts the program.
                let picture = unsafe { BorrowedFd::borrow_raw(number) };
                rustix::io::fcntl_setfd(picture, FdFlags::empty())?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec it makes system calls only: it allocates nothing and takes no
        // lock.
        unsafe { command.pre_exec(prepare) };
        let child = command.spawn()?;
        Ok((child, File::from(output)))
    }
}

fn wait(mut child: Child, mut output: File, began: Instant, deadline: Instant) -> Ended {
    let pid = Pid::from_child(&child);
    let pidfd: Option<OwnedFd> = pidfd_open(pid, PidfdFlags::empty()).ok();
    let mut said = Vec::new();
    let mut open = true;
    let mut late = false;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Err(e) => break Err(e),
            Ok(None) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            late = true;
            // It is not buried yet, so the number of its group is its own.
            let _gone = kill_process_group(pid, Signal::KILL);
            // The kernel may not let go of it (a disk that hangs): it is told all the same.
            break Ok(ExitStatus::default());
        }
        let patience = if pidfd.is_some() { left } else { left.min(LOOK) };
        let mut watched = Vec::new();
        if open {
            watched.push(PollFd::new(&output, PollFlags::IN));
        }
        if let Some(pidfd) = &pidfd {
            watched.push(PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN));
        }
        let timeout = rustix::event::Timespec {
            tv_sec: patience.as_secs().min(3_600) as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        let _interrupted = poll(&mut watched, Some(&timeout));
        let readable = open && watched.first().is_some_and(|w| !w.revents().is_empty());
        drop(watched);
        if readable {
            open = read(&mut output, &mut said);
        }
    };
    // What it printed last. A child that it left behind may hold the pipe open.
    for _ in 0..16 {
        let mut watched = [PollFd::new(&output, PollFlags::IN)];
        let now = rustix::event::Timespec::default();
        if !open || !matches!(poll(&mut watched, Some(&now)), Ok(1)) {
            break;
        }
        open = read(&mut output, &mut said);
    }
    if late {
        bury(&mut child);
        return Ended::Late(began.elapsed());
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    match status {
        Err(e) => Ended::Not(e.to_string()),
        Ok(status) => match status.code() {
            Some(code) => Ended::By(code, said),
            None => Ended::Signal(status.signal().unwrap_or(0)),
        },
    }
}

/// Takes the status of one that was killed, if it comes soon.
fn bury(child: &mut Child) {
    for _ in 0..50 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::park_timeout(LOOK);
    }
}

/// Reads what is there. False: there will be no more.
fn read(output: &mut File, said: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4_096];
    match output.read(&mut piece) {
        Ok(0) => false,
        Ok(n) => {
            said.extend_from_slice(&piece[..n.min(MAX_SAID.saturating_sub(said.len()))]);
            true
        }
        Err(e) => e.kind() == std::io::ErrorKind::Interrupted,
    }
}
