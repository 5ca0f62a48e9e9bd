//! model: time as an argument. Rooms take a [`Clock`], so tests never sleep.

use std::sync::atomic::{AtomicI64, Ordering};

/// The source of the current time.
pub trait Clock: Send + Sync {
    /// The wall clock: milliseconds since 1970-01-01 00:00 UTC. It jumps when the clock is set.
    fn wall_ms(&self) -> i64;
    /// Milliseconds since boot, time asleep included (`CLOCK_BOOTTIME`); never jumps.
    fn boot_ms(&self) -> i64;
}

/// The kernel's clocks.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

fn ms(t: rustix::time::Timespec) -> i64 {
    t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        ms(rustix::time::clock_gettime(rustix::time::ClockId::Realtime))
    }

    fn boot_ms(&self) -> i64 {
        ms(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
    }
}

/// A clock for tests, which moves only when a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: AtomicI64,
    boot: AtomicI64,
}

impl ManualClock {
    /// A clock showing `wall_ms`, booted just now.
    pub fn at(wall_ms: i64) -> Self {
        Self { wall: AtomicI64::new(wall_ms), boot: AtomicI64::new(0) }
    }

    /// Time passes on both clocks.
    pub fn advance(&self, ms: i64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
        self.boot.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the wall clock; the boot clock stays.
    pub fn step_wall(&self, ms: i64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> i64 {
        self.wall.load(Ordering::Relaxed)
    }

    fn boot_ms(&self) -> i64 {
        self.boot.load(Ordering::Relaxed)
    }
}

/// The earliest possible start of a machine (2000-01-01, s since 1970 UTC). A machine without a
/// battery clock reports 1970.
const OLDEST_BOOT: f64 = 946_684_800.0;

/// How long a machine that reports its start as `booted` (s since 1970 UTC) has been up at `now`
/// (ms since 1970 UTC), in ms. `None` if the report is impossible: not a number, before 2000, or
/// further in the future than clocks differ.
pub fn uptime_ms(booted: f64, now: i64) -> Option<i64> {
    let plausible = booted >= OLDEST_BOOT && booted * 1e3 <= now as f64 + 60_000.0;
    plausible.then(|| (now - (booted * 1e3) as i64).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_time_that_cannot_be_is_no_uptime() {
        let now = 1_700_000_000_000;
        assert_eq!(uptime_ms(1_699_999_000.0, now), Some(1_000_000));
        assert_eq!(uptime_ms(1_700_000_030.0, now), Some(0));
        for odd in [f64::NAN, 0.0, 12.0, 1_700_000_100.0, f64::INFINITY, -1.0] {
            assert_eq!(uptime_ms(odd, now), None, "{odd}");
        }
    }
}
