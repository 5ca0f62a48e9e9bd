//! daemon: sleeps until a boot time; a command or a change of the clock wakes it earlier.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Far enough to never ring by itself.
const NEVER_SECONDS: i64 = i64::MAX / 4_000_000_000;

/// See the module's text.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    /// Armed far in the future, only to be cancelled when the wall clock jumps.
    jump: OwnedFd,
    bell: Bell,
}

/// Wakes the sleeper from another thread.
#[derive(Debug, Clone)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Rings; the sleeper's current or next sleep ends at once.
    pub fn ring(&self) {
        // Full means it has rung 2^64 times unheard: it still wakes.
        let _unused = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl Alarm {
    /// A new one; needs four descriptors' worth of luck and nothing else.
    pub fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let alarm = Self {
            timer: timerfd_create(TimerfdClockId::Boottime, flags)?,
            jump: timerfd_create(TimerfdClockId::Realtime, flags)?,
            bell: Bell(Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)),
        };
        alarm.watch_jumps()?;
        Ok(alarm)
    }

    /// The bell that ends its sleep.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    fn watch_jumps(&self) -> std::io::Result<()> {
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&self.jump, flags, &once(NEVER_SECONDS, 0))?;
        Ok(())
    }

    /// Sleeps until the boot time in ms, or less. True: the wall clock was set meanwhile.
    pub fn sleep(&self, until_boot_ms: Option<i64>) -> std::io::Result<bool> {
        self.sleep_beside(until_boot_ms, None)
    }

    /// Sleeps like `sleep`, or until another descriptor can be read.
    pub fn sleep_beside(
        &self,
        until_boot_ms: Option<i64>,
        other: Option<BorrowedFd<'_>>,
    ) -> std::io::Result<bool> {
        // All zero disarms the timer; a time gone by rings at once.
        let (s, ns) = until_boot_ms.map_or((0, 0), |ms| {
            let ms = ms.max(1);
            (ms / 1_000, ms % 1_000 * 1_000_000)
        });
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once(s, ns))?;
        let mut fds = [
            PollFd::new(&self.timer, PollFlags::IN),
            PollFd::new(&self.jump, PollFlags::IN),
            PollFd::new(&*self.bell.0, PollFlags::IN),
            PollFd::from_borrowed_fd(other.unwrap_or(self.bell.0.as_fd()), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let rung = fds.each_ref().map(|fd| !fd.revents().is_empty());
        let mut count = [0u8; 8];
        if rung[2] {
            // Only empties it.
            let _unused = rustix::io::read(&*self.bell.0, &mut count);
        }
        let jumped =
            rung[1] && rustix::io::read(&self.jump, &mut count) == Err(rustix::io::Errno::CANCELED);
        if rung[1] {
            self.watch_jumps()?;
        }
        Ok(jumped)
    }
}

fn once(s: i64, ns: i64) -> Itimerspec {
    Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec { tv_sec: s, tv_nsec: ns },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, SystemClock};

    #[test]
    fn it_sleeps_until_the_time_and_a_bell_ends_it() {
        let alarm = Alarm::new().expect("descriptors");
        let until = SystemClock.boot_ms() + 30;
        assert!(!alarm.sleep(Some(until)).expect("sleep"));
        assert!(SystemClock.boot_ms() >= until);
        alarm.bell().ring();
        assert!(!alarm.sleep(None).expect("sleep"), "ends though no time was given");
    }
}
