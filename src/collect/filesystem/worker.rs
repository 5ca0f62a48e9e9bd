//! collect: a thread that asks a file system which may never answer. There is one for each such
//! mount, kept between beats. A thread that is stuck in the kernel cannot be ended, so there is
//! never a second one for its mount.

use std::ffi::{CStr, CString};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// The figures of a file system, in the units of the series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Space {
    /// The total size, in bytes.
    pub size: f64,
    /// The unused bytes.
    pub free: f64,
    /// The unused bytes that are not reserved for root.
    pub avail: f64,
    /// How many files it can hold.
    pub files: f64,
    /// How many more.
    pub files_free: f64,
    /// Used percent as `(blocks - bfree) / blocks * 100`; `None` for a file system without blocks.
    pub used_percent: Option<f64>,
}

/// Asks for the figures: the system call, or a test's substitute.
pub type Statvfs = Arc<dyn Fn(&CStr) -> io::Result<Space> + Send + Sync>;

/// The system call. The unit of blocks is the fragment: FUSE file systems tell two sizes.
pub fn statvfs(path: &CStr) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    let unit = stat.f_frsize as f64;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree) as f64;
    Ok(Space {
        size: stat.f_blocks as f64 * unit,
        free: stat.f_bfree as f64 * unit,
        avail: stat.f_bavail as f64 * unit,
        files: stat.f_files as f64,
        files_free: stat.f_ffree as f64,
        used_percent: (stat.f_blocks > 0).then(|| used / stat.f_blocks as f64 * 100.0),
    })
}

/// Deep enough for one system call.
const STACK: usize = 64 * 1024;

/// A parked thread that asks about one path on request. When it is dropped, the thread ends at
/// once, or when the kernel releases it; nothing waits for that.
#[derive(Debug)]
pub struct Worker(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    turned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asked: bool,
    answer: Option<io::Result<Space>>,
    dismissed: bool,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn serve(&self, path: &CStr, statvfs: &Statvfs) {
        loop {
            let mut state = self.lock();
            while !state.asked && !state.dismissed {
                state = self.turned.wait(state).unwrap_or_else(|e| e.into_inner());
            }
            if state.dismissed {
                return;
            }
            drop(state);
            let answer = statvfs(path);
            let mut state = self.lock();
            state.asked = false;
            state.answer = Some(answer);
            drop(state);
            self.turned.notify_all();
        }
    }
}

impl Worker {
    /// Starts a thread for this path. It holds `alive` as long as it lives.
    pub fn start(path: CString, statvfs: Statvfs, alive: Arc<()>) -> io::Result<Self> {
        let slot = Arc::<Slot>::default();
        let its = Arc::clone(&slot);
        let thread = std::thread::Builder::new().name("statvfs".into()).stack_size(STACK);
        thread.spawn(move || {
            its.serve(&path, &statvfs);
            drop(alive);
        })?;
        Ok(Self(slot))
    }

    /// Takes the answer since the last call, and asks again; `Err` if the last question is still
    /// open.
    pub fn ask(&self) -> Result<Option<io::Result<Space>>, Open> {
        let mut state = self.0.lock();
        if state.asked {
            return Err(Open);
        }
        state.asked = true;
        let late = state.answer.take();
        drop(state);
        self.0.turned.notify_all();
        Ok(late)
    }

    /// The answer, if it comes before `until`.
    pub fn wait(&self, until: Instant) -> Option<io::Result<Space>> {
        let mut state = self.0.lock();
        while state.asked {
            let left = until.checked_duration_since(Instant::now())?;
            state = match self.0.turned.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.answer.take()
    }

    /// Waits for the answer without taking it.
    #[cfg(test)]
    pub fn until_idle(&self) {
        let mut state = self.0.lock();
        while state.asked {
            state = self.0.turned.wait(state).unwrap();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.lock().dismissed = true;
        self.0.turned.notify_all();
    }
}

/// A question has not been answered yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Open;
