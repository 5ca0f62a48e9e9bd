//! daemon: when each collector is due. Pure: time comes in, decisions go out.
//!
//! Ticks lie on the grid of the wall clock (a 10 s series has timestamps divisible by 10 s) but are
//! waited for on the boot-time clock, which no one can set. A late tick is taken once and stamped
//! with its own grid point; those that were missed altogether are skipped and counted, never
//! made up for in a burst.

use super::rate::Rate;
use crate::model::Interval;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970 UTC.
    pub wall: i64,
    /// Milliseconds since boot.
    pub boot: i64,
}

/// A tick that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which entry.
    pub entry: usize,
    /// Its place on the grid, ms since 1970 UTC.
    pub ts: i64,
}

/// Both clocks are read in whole milliseconds, one after the other: this close is on time.
const CLOCK_GRAIN: i64 = 2;

/// The first reading after a start is stamped with the grid point just past, but not further back
/// than this: a daily series must not claim that noon was midnight.
const FIRST_GRID: i64 = 10_000;

#[derive(Debug, Clone, Copy)]
struct Temporary {
    interval: Interval,
    /// Boot time at which it ends; `None`: at the next reload.
    until: Option<i64>,
}

#[derive(Debug, Clone)]
struct Entry {
    base: Interval,
    asked: Option<Temporary>,
    burst: Option<Temporary>,
    /// The interval that `planned` was computed with.
    interval: Interval,
    planned: Now,
    skipped: u64,
}

impl Entry {
    fn wanted(&self) -> Interval {
        let asked = self.asked.map_or(self.base, |t| t.interval);
        self.burst.map_or(asked, |b| asked.min(b.interval))
    }

    fn plan(&mut self, now: Now, after: i64) {
        self.interval = self.wanted();
        let wall = next(after, self.interval);
        self.planned = Now { wall, boot: now.boot + (wall - now.wall) };
    }

    fn expire(&mut self, boot: i64) {
        let over = |t: &Temporary| t.until.is_none_or(|until| boot < until);
        self.asked = self.asked.filter(over);
        self.burst = self.burst.filter(over);
    }

    fn wake(&self) -> i64 {
        let ends = [self.asked, self.burst].into_iter().flatten().filter_map(|t| t.until);
        ends.fold(self.planned.boot, i64::min)
    }
}

fn floor(wall: i64, interval: Interval) -> i64 {
    wall - wall.rem_euclid(interval.as_ms())
}

fn next(wall: i64, interval: Interval) -> i64 {
    floor(wall, interval) + interval.as_ms()
}

/// The timetable of all collectors; entries are numbered in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    entries: Vec<Entry>,
}

impl Schedule {
    /// Adds an entry; its first tick is the next point of its grid.
    pub fn add(&mut self, base: Interval, now: Now) -> usize {
        let mut entry =
            Entry { base, asked: None, burst: None, interval: base, planned: now, skipped: 0 };
        entry.plan(now, now.wall);
        self.entries.push(entry);
        self.entries.len() - 1
    }

    /// The stamp of a reading taken right after a start.
    pub fn first(&self, entry: usize, now: Now) -> i64 {
        let interval = self.entries[entry].interval.as_ms().min(FIRST_GRID);
        now.wall - now.wall.rem_euclid(interval)
    }

    /// Appends the entries that are due at `now`, and plans the next tick of each.
    pub fn due(&mut self, now: Now, out: &mut Vec<Due>) {
        for (number, entry) in self.entries.iter_mut().enumerate() {
            entry.expire(now.boot);
            if entry.wanted() != entry.interval {
                entry.plan(now, now.wall);
            }
            if now.boot < entry.planned.boot {
                continue;
            }
            let interval = entry.interval;
            let early = entry.planned.wall - now.wall;
            if early > CLOCK_GRAIN {
                // The wall clock was slowed or set back: the grid point is still ahead.
                entry.plan(now, now.wall);
                continue;
            }
            let missed = (now.boot - entry.planned.boot) / interval.as_ms();
            entry.skipped += missed as u64;
            let ts = if -early < interval.as_ms() {
                entry.planned.wall
            } else {
                floor(now.wall, interval)
            };
            out.push(Due { entry: number, ts });
            entry.plan(now, now.wall.max(ts));
        }
    }

    /// The boot time to sleep until.
    pub fn wake(&self) -> Option<i64> {
        self.entries.iter().map(Entry::wake).min()
    }

    /// Moves the grid after the wall clock was set.
    pub fn clock_was_set(&mut self, now: Now) {
        for entry in &mut self.entries {
            entry.plan(now, now.wall);
        }
    }

    /// A rate asked for by hand; `None` as interval returns to the configured one.
    pub fn ask(&mut self, entry: usize, interval: Option<Interval>, for_ms: Option<i64>, now: Now) {
        let until = for_ms.map(|ms| now.boot + ms);
        self.entries[entry].asked = interval.map(|interval| Temporary { interval, until });
        self.replan(entry, now);
    }

    /// A rule fired (again): at least this rate until `for_ms` from now.
    pub fn burst(&mut self, entry: usize, interval: Interval, for_ms: i64, now: Now) {
        let until = now.boot + for_ms;
        let burst = match self.entries[entry].burst {
            Some(b) => Temporary {
                interval: b.interval.min(interval),
                until: b.until.map(|u| u.max(until)),
            },
            None => Temporary { interval, until: Some(until) },
        };
        self.entries[entry].burst = Some(burst);
        self.replan(entry, now);
    }

    /// A rate asked for by hand for an entry of another timetable holds for this one, too.
    pub fn go_on(&mut self, entry: usize, of: &Self, was: usize, now: Now) {
        self.entries[entry].asked = of.entries[was].asked;
        self.replan(entry, now);
    }

    fn replan(&mut self, entry: usize, now: Now) {
        let entry = &mut self.entries[entry];
        entry.expire(now.boot);
        if entry.wanted() != entry.interval {
            entry.plan(now, now.wall);
        }
    }

    /// The configured rate.
    pub fn base(&self, entry: usize) -> Interval {
        self.entries[entry].base
    }

    /// Another configured rate from now on.
    pub fn set_base(&mut self, entry: usize, base: Interval, now: Now) {
        self.entries[entry].base = base;
        self.replan(entry, now);
    }

    /// The rate in force.
    pub fn interval(&self, entry: usize) -> Interval {
        self.entries[entry].interval
    }

    /// The configured rate, and until when (boot time) another is in force: `Some(None)` means
    /// until the next reload.
    pub fn temporary(&self, entry: usize) -> (Interval, Option<Option<i64>>) {
        let e = &self.entries[entry];
        (e.base, e.burst.or(e.asked).map(|t| t.until))
    }

    /// An entry as people see it, by its name.
    pub fn rate(&self, entry: usize, name: String, boot: i64) -> Rate {
        let (base, temporary) = self.temporary(entry);
        Rate {
            collector: name,
            interval_ms: self.interval(entry).as_ms(),
            configured_ms: base.as_ms(),
            ends_in_ms: temporary.flatten().map(|until| until - boot),
        }
    }

    /// Ticks of all entries that were missed since the last call.
    pub fn take_skipped(&mut self) -> u64 {
        self.entries.iter_mut().map(|e| std::mem::take(&mut e.skipped)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, ManualClock};

    const NOON: i64 = 1_500_000_000_000;
    const HOUR: i64 = 3_600_000;

    fn ms(ms: i64) -> Interval {
        Interval::from_ms(ms).expect("in range")
    }

    struct Run {
        clock: ManualClock,
        schedule: Schedule,
    }

    impl Run {
        fn new(offset: i64, intervals: &[i64]) -> Self {
            let clock = ManualClock::at(NOON + offset);
            let mut schedule = Schedule::default();
            for i in intervals {
                schedule.add(ms(*i), now(&clock));
            }
            Self { clock, schedule }
        }

        fn due(&mut self) -> Vec<(usize, i64)> {
            let mut out = Vec::new();
            self.schedule.due(now(&self.clock), &mut out);
            out.iter().map(|d| (d.entry, d.ts - NOON)).collect()
        }

        /// Sleeps as the beat thread does, until the boot clock shows the end.
        fn until(&mut self, end: i64) -> Vec<(usize, i64)> {
            let mut all = Vec::new();
            loop {
                let wake = self.schedule.wake().expect("entries");
                if wake > end {
                    self.clock.advance(end - self.clock.boot_ms());
                    return all;
                }
                self.clock.advance((wake - self.clock.boot_ms()).max(0));
                all.extend(self.due());
            }
        }
    }

    fn now(clock: &ManualClock) -> Now {
        Now { wall: clock.wall_ms(), boot: clock.boot_ms() }
    }

    #[test]
    fn ticks_lie_on_the_wall_clock_s_grid() {
        let mut run = Run::new(3_210, &[10_000, 4_000]);
        assert_eq!(
            run.until(17_000),
            [
                (1, 4_000),
                (1, 8_000),
                (0, 10_000),
                (1, 12_000),
                (1, 16_000),
                (0, 20_000),
                (1, 20_000)
            ]
        );
        assert_eq!(run.schedule.take_skipped(), 0);
    }

    #[test]
    fn every_rate_from_100_ms_to_a_day() {
        let mut run = Run::new(0, &[100]);
        assert_eq!(run.until(1_000).len(), 10);
        let mut run = Run::new(1, &[86_400_000]);
        let ticks = run.until(3 * 86_400_000);
        assert_eq!(ticks.len(), 3);
        assert!(ticks.iter().all(|(_, ts)| (ts + NOON) % 86_400_000 == 0));
    }

    #[test]
    fn a_late_tick_keeps_its_place_and_missed_ones_are_counted() {
        let mut run = Run::new(0, &[1_000]);
        run.clock.advance(1_400);
        assert_eq!(run.due(), [(0, 1_000)], "late, but its own");
        run.clock.advance(3_700); // 5.1 s: 2, 3 and 4 are gone
        assert_eq!(run.due(), [(0, 5_000)]);
        assert_eq!(run.schedule.take_skipped(), 3);
        assert_eq!(run.due(), [], "no burst");
        assert_eq!(run.until(6_000), [(0, 6_000)]);
    }

    #[test]
    fn eight_hours_asleep_are_one_gap() {
        let mut run = Run::new(0, &[10_000]);
        run.until(10_000);
        run.clock.advance(8 * HOUR + 3);
        assert_eq!(run.due(), [(0, 8 * HOUR + 10_000)]);
        assert_eq!(run.schedule.take_skipped(), 8 * 360 - 1);
    }

    #[test]
    fn a_clock_set_forward_or_back_costs_no_skips_and_at_most_one_interval() {
        for step in [HOUR, -HOUR, 10 * 365 * 24 * HOUR, -10 * 365 * 24 * HOUR, -NOON, 7, -7] {
            for told in [true, false] {
                let mut run = Run::new(0, &[10_000]);
                run.until(10_000);
                run.clock.step_wall(step);
                if told {
                    run.schedule.clock_was_set(now(&run.clock));
                }
                let ticks = run.until(40_000);
                assert!((2..=3).contains(&ticks.len()), "{step} {told}: {ticks:?}");
                assert!(ticks.iter().all(|(_, ts)| (ts + NOON) % 10_000 == 0), "{step}: {ticks:?}");
                assert!(ticks.iter().all(|(_, ts)| *ts >= step), "{step}: {ticks:?}");
                assert_eq!(run.schedule.take_skipped(), 0, "{step}");
            }
        }
    }

    #[test]
    fn a_rate_asked_for_ends_by_itself() {
        let mut run = Run::new(0, &[10_000, 10_000]);
        run.schedule.ask(0, Some(ms(1_000)), Some(3_000), now(&run.clock));
        let ticks = run.until(20_000);
        assert_eq!(
            ticks.iter().filter(|(e, _)| *e == 0).map(|(_, t)| *t).collect::<Vec<_>>(),
            [1_000, 2_000, 10_000, 20_000],
            "at 3 s the time is over"
        );
        assert_eq!(ticks.iter().filter(|(e, _)| *e == 1).count(), 2);
    }

    #[test]
    fn a_slower_rate_asked_for_ends_on_time_too() {
        let mut run = Run::new(0, &[1_000]);
        run.schedule.ask(0, Some(ms(86_400_000)), Some(5_500), now(&run.clock));
        assert_eq!(run.until(7_000), [(0, 6_000), (0, 7_000)]);
        run.schedule.ask(0, Some(ms(500)), None, now(&run.clock));
        run.schedule.ask(0, None, None, now(&run.clock));
        assert_eq!(run.until(9_000), [(0, 8_000), (0, 9_000)]);
    }

    #[test]
    fn a_burst_only_ever_quickens_and_lasts_from_its_last_cause() {
        let mut run = Run::new(0, &[1_000]);
        run.schedule.burst(0, ms(10_000), 60_000, now(&run.clock));
        assert_eq!(run.schedule.interval(0), ms(1_000));
        run.schedule.burst(0, ms(500), 1_000, now(&run.clock));
        run.clock.advance(100);
        run.schedule.burst(0, ms(500), 1_000, now(&run.clock));
        assert_eq!(run.schedule.interval(0), ms(500));
    }

    #[test]
    fn the_first_reading_s_stamp() {
        let run = Run::new(123_456, &[1_000, 10_000, 300_000, 86_400_000]);
        let first: Vec<i64> =
            (0..4).map(|e| run.schedule.first(e, now(&run.clock)) - NOON).collect();
        assert_eq!(first, [123_000, 120_000, 120_000, 120_000]);
    }
}
