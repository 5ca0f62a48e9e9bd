//! daemon: for how long a number has not changed, by a clock that stands still while the machine sleeps.
//! Neither a suspend nor a clock that is set makes anything old.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::daemon::shared::Shared;

/// A number, and when it was seen first.
#[derive(Debug, Default)]
pub struct Still(Option<(i64, Instant)>);

impl Still {
    /// For how long it has been the same at `now`. Zero: it is another one.
    pub fn age(&mut self, number: i64, now: Instant) -> Duration {
        match self.0 {
            Some((before, since)) if before == number => now.saturating_duration_since(since),
            _ => {
                self.0 = Some((number, now));
                Duration::ZERO
            }
        }
    }
}

/// A number that changes whenever readings get into the database, or beside it while it cannot be
/// written. The times of the readings would not do: they stop when the clock is set back.
pub fn written(shared: &Shared) -> i64 {
    let spilled = shared.counters.spilled.load(Relaxed);
    shared.committed.readings().wrapping_add(spilled).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gets_old_until_it_changes() {
        let begin = Instant::now();
        let at = |minutes: u64| begin + Duration::from_secs(60 * minutes);
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let mut still = Still::default();
        assert_eq!(still.age(1, at(0)), Duration::ZERO);
        assert_eq!(still.age(2, at(1)), Duration::ZERO);
        assert_eq!(still.age(2, at(2)), minutes(1));
        assert_eq!(still.age(2, at(4)), minutes(3));
        assert_eq!(still.age(1, at(5)), Duration::ZERO, "less is a change, too");
        assert_eq!(still.age(1, at(4)), Duration::ZERO);
    }
}
