//! pipeline: when samples of other systems last arrived, by this machine's clock. The times of the
//! samples are those of the senders' clocks: they cannot tell whether a sender is silent. Kept in
//! memory, one entry a system; nothing is written.

use std::collections::HashMap;

/// How far a clock is off is judged by the pushes of this and of the last stretch, ms.
const STRETCH_MS: i64 = 300_000;

/// How one system was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When its samples last arrived, ms since 1970 UTC by this machine's clock.
    pub at: i64,
    /// The usual time between two arrivals, ms; 0: it has come once.
    pub every: i64,
    /// How far its newest samples were ahead of this machine's clock when they arrived, ms;
    /// negative if they were behind. The largest value of the last minutes, because samples that
    /// are sent late do not mean a slow clock.
    pub ahead: i64,
}

#[derive(Debug)]
struct Entry {
    at: i64,
    /// The last two times between arrivals, ms.
    gaps: [i64; 2],
    /// The begin of the current stretch, and the largest `ahead` in it and in the one before.
    since: i64,
    ahead: [i64; 2],
}

/// All systems that sent since the start.
#[derive(Debug, Default)]
pub(super) struct Arrivals(HashMap<Box<str>, Entry>);

impl Arrivals {
    /// Samples of a system have arrived at `now`; the newest of them is of `newest`. Both in ms since
    /// 1970 UTC.
    pub(super) fn note(&mut self, system: &str, now: i64, newest: i64) {
        let ahead = newest.saturating_sub(now);
        let Some(entry) = self.0.get_mut(system) else {
            let entry = Entry { at: now, gaps: [0; 2], since: now, ahead: [ahead; 2] };
            self.0.insert(system.into(), entry);
            return;
        };
        let gap = now.saturating_sub(entry.at);
        // Several pushes that arrive together are one; a clock that was set back is no time at all.
        if gap > 0 {
            entry.gaps = [gap, entry.gaps[0]];
        }
        entry.at = now;
        if now.saturating_sub(entry.since) >= STRETCH_MS || now < entry.since {
            entry.since = now;
            entry.ahead = [ahead, entry.ahead[0]];
        } else {
            entry.ahead[0] = entry.ahead[0].max(ahead);
        }
    }

    /// How all systems were heard of.
    pub(super) fn all(&self) -> Vec<(Box<str>, Arrival)> {
        let systems = self.0.keys();
        systems.filter_map(|system| Some((system.clone(), self.of(system)?))).collect()
    }

    /// How a system was heard of; nothing if it was not since the start.
    pub(super) fn of(&self, system: &str) -> Option<Arrival> {
        let entry = self.0.get(system)?;
        Some(Arrival {
            at: entry.at,
            // One long pause does not make it slow.
            every: entry.gaps[0].min(entry.gaps[1]),
            ahead: entry.ahead[0].max(entry.ahead[1]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_and_a_late_batch_do_not_mislead() {
        let mut all = Arrivals::default();
        assert_eq!(all.of("web"), None);
        for beat in 1..=10 {
            all.note("web", beat * 10_000, beat * 10_000 - 500);
        }
        let usual = Arrival { at: 100_000, every: 10_000, ahead: -500 };
        assert_eq!(all.of("web"), Some(usual));
        // Samples that it kept while the connection was cut.
        all.note("web", 160_000, 101_000);
        assert_eq!(all.of("web"), Some(Arrival { at: 160_000, ..usual }));
        assert_eq!(all.of("db"), None);
    }

    #[test]
    fn a_clock_that_is_set_right_is_right_after_two_stretches() {
        let mut all = Arrivals::default();
        for second in (0..60).map(|s| s * 10_000) {
            all.note("web", second, second + 120_000);
        }
        assert_eq!(all.of("web").map(|a| a.ahead), Some(120_000));
        for second in (60..125).map(|s| s * 10_000) {
            all.note("web", second, second);
        }
        assert_eq!(all.of("web").map(|a| a.ahead), Some(0));
    }
}
