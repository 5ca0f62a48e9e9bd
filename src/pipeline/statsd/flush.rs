//! pipeline: from gathered values to one batch of samples. A flush is done in slices, each a
//! fraction of a millisecond, between one round of packets and the next: nothing is locked, nothing
//! is kept twice, and the kernel's buffer never has to bridge more than a slice. A value that comes
//! during a flush counts for the period whose slice has not been closed.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::gather::Gather;
use super::held::{Flush, UNNAMED, next_on_grid, not_written};
use super::legacy;
use super::naming::TIMER_TOTALS;
use super::timer::Summary;
use crate::model::SeriesRef;
use crate::pipeline::{Batch, Source};
use crate::receive::Turn;
use crate::wire::statsd::Type;

/// The longest time of a slice.
const SLICE: Duration = Duration::from_micros(300);
/// The number of names that are closed between two looks at the clock.
const STEP: usize = 32;

/// If a flush frees this much, and the next one less than a quarter, the free memory goes back to
/// the kernel. As long as as much comes again, it is needed again.
const MUCH: usize = 4 << 20;

const ORDER: [Type; 4] = [Type::Counter, Type::Gauge, Type::Set, Type::Timer];

impl Gather {
    /// Does a slice of the work that is due at this moment (ms since 1970).
    pub(super) fn turn_at(&mut self, now: i64) -> Turn {
        let step = self.settings.flush_ms;
        if self.flush.is_none() {
            if self.next - now > step {
                // The clock was set back: the grid continues from there.
                self.next = next_on_grid(now, step);
                self.since = self.since.min(now);
            }
            if now < self.next {
                if self.named < self.timers.len() {
                    self.name_timers(Instant::now() + SLICE);
                    return Turn::Again;
                }
                let wait = u64::try_from(self.next - now).unwrap_or(0);
                return Turn::In(Duration::from_millis(wait));
            }
            // After a long sleep one flush replaces all missed ones.
            self.begin(now.div_euclid(step) * step);
        }
        self.slice(SLICE);
        Turn::Again
    }

    /// Gives the series of new timers their numbers, nine to a timer: that takes longer than all the
    /// arithmetic of a flush, so it is not left to it, nor to the packet that brings the name.
    fn name_timers(&mut self, until: Instant) {
        while self.named < self.timers.len() {
            self.name_timer(self.named);
            self.named += 1;
            if Instant::now() >= until {
                break;
            }
        }
    }

    fn name_timer(&mut self, at: usize) {
        let (timer, totals) = (&self.timers[at], &self.totals[at]);
        let Some(first) = totals.first.filter(|_| timer.series == UNNAMED) else { return };
        self.timers[at].series = self.name_all(Type::Timer, first, UNNAMED);
    }

    fn begin(&mut self, ts: i64) {
        for i in 0..self.own.len() {
            let counts = [self.counts.all_bad(), self.counts.packets, self.counts.lines];
            let (at, before) = self.own[i];
            self.counters[at].sum += (counts[i] - before) as f64;
            self.counters[at].idle = 0;
            self.own[i].1 = counts[i];
        }
        if let Some(at) = self.lag {
            let late = (ts - self.since - self.settings.flush_ms) as f64 / 1e3;
            self.gauges[at].value = late;
            self.gauges[at].idle = 0;
        }
        self.next = next_on_grid(ts, self.settings.flush_ms);
        let mut samples = std::mem::take(&mut self.spare);
        samples.clear();
        self.flush =
            Some(Flush { ts, kind: ORDER[0], at: 0, samples, took: Duration::ZERO, freed: 0 });
    }

    /// Flushes everything at the end of the process, so that values since the last flush are not
    /// lost.
    pub(super) fn finish(&mut self) {
        if self.flush.is_none() {
            // A moment of its own, off the grid: the next process writes the point on it.
            self.begin(self.outlet.clock.wall_ms().max(self.since + 1));
        }
        while self.flush.is_some() {
            self.slice(Duration::MAX);
        }
    }

    fn slice(&mut self, budget: Duration) {
        let Some(mut flush) = self.flush.take() else { return };
        let start = Instant::now();
        loop {
            let (at, all) = (flush.at, self.count_of(flush.kind));
            let end = (at + STEP).min(all);
            self.close(&mut flush, at..end);
            flush.at = end;
            if end == all {
                match ORDER.iter().position(|k| *k == flush.kind).and_then(|i| ORDER.get(i + 1)) {
                    Some(next) => (flush.kind, flush.at) = (*next, 0),
                    None => {
                        flush.took += start.elapsed();
                        return self.hand_over(flush);
                    }
                }
            }
            if start.elapsed() >= budget {
                break;
            }
        }
        flush.took += start.elapsed();
        self.flush = Some(flush);
    }

    pub(super) fn count_of(&self, kind: Type) -> usize {
        match kind {
            Type::Counter => self.counters.len(),
            Type::Gauge => self.gauges.len(),
            Type::Set => self.sets.len(),
            Type::Timer => self.timers.len(),
        }
    }

    fn close(&mut self, flush: &mut Flush, range: std::ops::Range<usize>) {
        let out = &mut flush.samples;
        let ttl = not_written(&self.settings);
        let seconds = self.settings.flush_ms as f64 / 1e3;
        let legacy = self.settings.legacy_names;
        // Whether it is still written; one more flush without word of it.
        let alive = |idle: &mut u32| {
            let alive = *idle < ttl;
            *idle = idle.saturating_add(1);
            alive
        };
        match flush.kind {
            Type::Counter => {
                for counter in &mut self.counters[range] {
                    if !alive(&mut counter.idle) {
                        continue;
                    }
                    let series = counter.series as usize;
                    let sum = std::mem::take(&mut counter.sum);
                    counter.total += sum;
                    if legacy {
                        out.push((self.series[series], sum / seconds));
                        out.push((self.series[series + 1], sum));
                    } else {
                        out.push((self.series[series], counter.held.rise(counter.total)));
                    }
                }
            }
            Type::Gauge => {
                for gauge in &mut self.gauges[range] {
                    if alive(&mut gauge.idle) {
                        out.push((self.series[gauge.series as usize], gauge.value));
                    }
                }
            }
            Type::Set => {
                for set in &mut self.sets[range] {
                    if alive(&mut set.idle) {
                        let (count, bytes) = set.members.close(&mut self.room);
                        flush.freed += bytes;
                        out.push((self.series[set.series as usize], count));
                    }
                }
            }
            Type::Timer => {
                for at in range {
                    flush.freed += self.timers[at].values.bytes();
                    self.close_timer(at, out, &alive, legacy, seconds);
                }
            }
        }
    }

    fn close_timer(
        &mut self,
        at: usize,
        out: &mut Vec<(SeriesRef, f64)>,
        alive: &impl Fn(&mut u32) -> bool,
        legacy: bool,
        seconds: f64,
    ) {
        if !alive(&mut self.timers[at].idle) {
            return;
        }
        self.name_timer(at);
        let (timer, totals) = (&mut self.timers[at], &mut self.totals[at]);
        let closed = timer.values.close(&mut self.bins);
        let weight = std::mem::take(&mut timer.weight);
        let unsent = std::mem::take(&mut timer.unsent);
        let mut series = self.series[timer.series as usize..].iter();
        let summary = closed.summary();
        if legacy {
            legacy::summary(&closed, weight, &self.settings.percentiles, seconds, |value| {
                if let (Some(series), Some(value)) = (series.next(), value) {
                    out.push((*series, value));
                }
            });
            return;
        }
        totals.count += weight;
        totals.sum += summary.map_or(0.0, |s| s.sum) + unsent;
        let stored = [totals.count, totals.held.rise(totals.sum)];
        out.extend(series.by_ref().copied().take(TIMER_TOTALS).zip(stored));
        if let Some(summary) = summary {
            let Summary { min, max, mean, std, .. } = summary;
            out.extend(series.by_ref().copied().zip([min, max, mean, std]));
            self.ranks.clear();
            // The nearest rank: the smallest value that this many per cent do not exceed.
            self.ranks.extend(self.settings.percentiles.iter().map(|p| {
                let inside = (p / 100.0 * summary.count as f64).ceil() as u64;
                inside.clamp(1, summary.count) - 1
            }));
            let series = series.as_slice();
            closed.at_ranks(&self.ranks, |i, value| {
                if let Some(series) = series.get(i) {
                    out.push((*series, value));
                }
            });
        }
    }

    /// The samples go to the store and to where they can be seen at once.
    fn hand_over(&mut self, flush: Flush) {
        let Flush { ts, samples, took, freed, .. } = flush;
        let arrived = ts;
        let batch = |ts, samples| Batch { arrived, ..Batch::of(Source::Statsd, ts, samples) };
        let queue = &self.outlet.queue;
        if !self.fresh.is_empty() {
            // A counter was at zero before it was first sent: otherwise its first value would not
            // be an increase.
            let zeros = self.fresh.drain(..).map(|series| (series, 0.0)).collect();
            drop(queue.push(batch(self.since, zeros)));
        }
        // Before the batch of the flush: of two samples of one moment the later write stays.
        self.timed.retain(|t| !t.total || t.ts <= ts);
        self.timed.sort_by_key(|t| t.ts);
        for moment in self.timed.chunk_by(|a, b| a.ts == b.ts) {
            let samples = moment.iter().map(|t| (t.series, t.value)).collect();
            drop(queue.push(batch(moment[0].ts, samples)));
        }
        self.timed.clear();
        self.outlet.latest.update(self.group, ts, &samples);
        self.spare = if samples.is_empty() { samples } else { queue.push(batch(ts, samples)) };
        self.begin_period(ts);
        let tally = &self.outlet.tally;
        tally.flush_nanos.store(took.as_nanos() as u64, Relaxed);
        if std::mem::replace(&mut self.freed, freed) > MUCH && freed < MUCH / 4 {
            (self.outlet.rested)();
        }
    }
}
