//! daemon: the longest time that one collector may delay the beat. A timer runs while collectors
//! are read; it costs two system calls a beat, and rings only when one of them hangs.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A collector takes some milliseconds. After this the others are read without it.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// See the module's text. Time during which the machine sleeps does not count.
#[derive(Debug)]
pub struct Patience(OwnedFd);

impl Patience {
    /// A timer that is not running.
    pub fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Rings after this; zero stops it.
    pub fn start(&self, after: Duration) {
        let after = Timespec { tv_sec: after.as_secs() as _, tv_nsec: after.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: after };
        // It fails only for invalid times and descriptors.
        let _unused = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once);
    }

    /// Stops it.
    pub fn stop(&self) {
        self.start(Duration::ZERO);
    }

    /// Calls `ring` each time it rings. Ends only with an error.
    #[allow(unsafe_code, reason = "tokio waits for a timerfd in no safe way")]
    pub async fn each(&self, ring: impl Fn()) -> std::io::Result<()> {
        // SAFETY: the descriptor is open, and the same one, for as long as `self` is borrowed.
        let timer =
            unsafe { AsyncFd::register_with_interest(self.0.as_raw_fd(), Interest::READABLE) }?;
        loop {
            let mut ready = timer.readable().await?;
            let mut count = [0; 8];
            // Stopped in the meantime, there is nothing to read.
            let rung = rustix::io::read(&self.0, &mut count).is_ok();
            ready.clear_ready();
            drop(ready);
            if rung {
                ring();
            }
        }
    }
}
