//! daemon: the thread that keeps the beat: sleeps until something is due, reads it, hands the
//! readings to the queue, looks at the burst rules. It never touches the database.
//!
//! A collector that hangs does not stop it: after [`PATIENCE`] another thread takes over, with all
//! state but that collector, and reads the others. There is no such thread before one hangs.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::alarm::Alarm;
use super::burst::Bursts;
use super::outcome;
use super::own::Own;
use super::patience::{PATIENCE, Patience};
use super::rate::Rate;
use super::schedule::{Due, Now, Schedule};
use super::shared::{Ending, Shared};
use crate::collect::{CollectError, Collector, Entry, JOB};
use crate::config::Config;
use crate::model::{Interval, KeyFilter, Recorder, SeriesRef};
use crate::pipeline::{BEAT, Batch, Group, Source};

/// The subject on the board if the timer itself fails.
const TIMER: &str = "timer of the beat";

/// A command to the beat thread.
pub enum Command {
    /// Reads at another rate.
    Rate {
        /// One collector, or all.
        collector: Option<String>,
        /// `None` returns to the configured one.
        interval: Option<Interval>,
        /// The duration; `None`: until the next reload.
        for_ms: Option<i64>,
        /// Comes when it is done.
        reply: oneshot::Sender<()>,
    },
    /// Works by another configuration from now on.
    Configure(Arc<Config>, oneshot::Sender<()>),
    /// Says that it is alive, and the rates in force.
    Report(oneshot::Sender<Vec<Rate>>),
    /// Ends.
    Stop,
}

/// The running beat: its threads share it, and others tell it things.
#[derive(Clone)]
pub struct Beat(Arc<Stage>);

struct Stage {
    /// Locked while the beat works, and free while it sleeps or a collector reads.
    beater: Mutex<Beater>,
    alarm: Alarm,
    patience: Patience,
    mailbox: Mutex<Vec<Command>>,
    over: AtomicBool,
    panicked: AtomicBool,
}

/// A collector, or the daemon's own readings.
enum Origin {
    Collector(&'static Entry, Box<dyn Collector>),
    Own(Own),
}

/// The collectors, and the way of their readings. The thread that reads has it, so a thread that
/// hangs holds nothing else.
struct Instrument {
    what: Origin,
    recorder: Recorder,
}

struct Slot {
    name: &'static str,
    group: Group,
    /// `None` while it reads, which for one that hangs is long.
    reader: Option<Box<Instrument>>,
    /// For the word that it hangs; made when that is first said.
    aside: Option<Recorder>,
}

/// A reading under way.
struct Reading {
    slot: usize,
    /// The configuration to which the slot belongs.
    epoch: u64,
    name: &'static str,
    ts: i64,
    interval: Interval,
    reader: Box<Instrument>,
    took: f64,
    /// `None`: it panicked.
    result: Option<Result<(), CollectError>>,
}

/// A collector whose thread has been left behind.
struct Hung {
    name: &'static str,
    since: Instant,
    /// Whether a later moment has passed without it.
    missed: bool,
}

struct Beater {
    shared: Shared,
    config: Arc<Config>,
    schedule: Schedule,
    slots: Vec<Slot>,
    /// Goes up with each configuration.
    epoch: u64,
    filter: Arc<KeyFilter>,
    bursts: Bursts,
    /// The readings that are due, in the order of their moments; up to `at` they were begun.
    due: Vec<Due>,
    at: usize,
    /// The samples of the current moment so far.
    samples: Vec<(SeriesRef, f64)>,
    /// Which slot is being read, and since when.
    reading: Option<(usize, Instant)>,
    /// At most one for each collector, because a collector is not read again before its thread is
    /// back.
    hung: Vec<Hung>,
    /// The number of the thread that keeps the beat. A thread that returns and finds another number
    /// has been replaced, and ends.
    turn: u64,
    /// Dropped when the beat ends.
    held: Option<Ending>,
}

/// A thread's turn. When it ends while it is still its own, the beat is over.
struct Turn(Arc<Stage>, u64);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut beater = self.0.lock();
        if beater.turn == self.1 {
            let held = beater.held.take();
            drop(beater);
            self.0.panicked.store(std::thread::panicking(), Ordering::Relaxed);
            self.0.over.store(true, Ordering::Release);
            drop(held);
        }
    }
}

impl Beat {
    /// Starts the thread. Its first reading is taken at once, unless the database already holds
    /// that moment (`newest_ts`, ms since 1970 UTC).
    pub fn spawn(shared: Shared, newest_ts: Option<i64>) -> std::io::Result<Self> {
        let (config, ending) = (shared.config(), shared.ending());
        let beater = Beater {
            bursts: Bursts::new(&config.bursts),
            shared,
            config,
            schedule: Schedule::default(),
            slots: Vec::new(),
            epoch: 0,
            filter: Arc::default(),
            due: Vec::new(),
            at: 0,
            samples: Vec::new(),
            reading: None,
            hung: Vec::new(),
            turn: 0,
            held: Some(ending),
        };
        let stage = Arc::new(Stage {
            beater: Mutex::new(beater),
            alarm: Alarm::new()?,
            patience: Patience::new()?,
            mailbox: Mutex::default(),
            over: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        });
        stage.start(0, move |beater| beater.first(newest_ts))?;
        Ok(Self(stage))
    }

    /// Tells the thread something; it answers through the command's channel.
    pub fn tell(&self, command: Command) {
        self.0.mailbox.lock().unwrap_or_else(|e| e.into_inner()).push(command);
        self.0.alarm.bell().ring();
    }

    /// Whether it has ended, by [`Command::Stop`] or by a panic.
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }

    /// Whether it has ended by a panic.
    pub fn panicked(&self) -> bool {
        self.0.panicked.load(Ordering::Relaxed)
    }

    /// Has the beat go on without a collector that hangs: another thread takes over, and the one
    /// that hangs ends when it comes back. Runs for ever.
    pub async fn guard(self) {
        if let Err(e) = self.0.patience.each(|| self.0.relieve()).await {
            self.0.lock().shared.board.fail(TIMER, e.to_string());
        }
    }
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, Beater> {
        self.beater.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Starts a thread whose turn has this number.
    fn start(
        self: &Arc<Self>,
        number: u64,
        first: impl FnOnce(&mut Beater) + Send + 'static,
    ) -> std::io::Result<()> {
        let stage = Arc::clone(self);
        let thread = std::thread::Builder::new().name("beat".into()).stack_size(256 << 10);
        thread.spawn(move || {
            let turn = Turn(stage, number);
            turn.0.keep(number, first);
        })?;
        Ok(())
    }

    fn keep(&self, number: u64, first: impl FnOnce(&mut Beater)) {
        let mut beater = self.lock();
        first(&mut beater);
        loop {
            if !beater.due.is_empty() {
                self.patience.start(PATIENCE);
            }
            while let Some(mut reading) = beater.next() {
                drop(beater);
                reading.read();
                beater = self.lock();
                if beater.turn != number {
                    return beater.came_back(reading);
                }
                beater.finish(reading);
            }
            self.patience.stop();
            let told = std::mem::take(&mut *self.mailbox.lock().unwrap_or_else(|e| e.into_inner()));
            if beater.obey(told) {
                return;
            }
            let until = beater.schedule.wake();
            beater.shared.board.beat().sleeps(until);
            beater.shared.board.look_at_writer();
            drop(beater);
            let slept = self.alarm.sleep(until);
            if slept.is_err() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            beater = self.lock();
            beater.wake(slept);
        }
    }

    /// Called when the beat reads for longer than it should.
    fn relieve(self: &Arc<Self>) {
        let mut beater = match self.beater.try_lock() {
            Ok(beater) => beater,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            // The thread works, so it does not hang, and the caller must not wait.
            Err(TryLockError::WouldBlock) => return self.patience.start(PATIENCE / 8),
        };
        let Some((slot, since)) = beater.reading else { return };
        let left = PATIENCE.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return self.patience.start(left);
        }
        let number = beater.turn + 1;
        // It begins when this lock is free.
        if let Err(e) = self.start(number, |_| {}) {
            beater.shared.board.fail(BEAT, format!("no thread for it: {e}"));
            return self.patience.start(PATIENCE);
        }
        beater.turn = number;
        beater.reading = None;
        let name = beater.slots[slot].name;
        beater.hung.push(Hung { name, since, missed: false });
        beater.tell_hung(name);
    }
}

impl Reading {
    /// Reads. This may take for ever.
    fn read(&mut self) {
        let Instrument { what, recorder } = &mut *self.reader;
        recorder.begin();
        match what {
            Origin::Own(own) => own.collect(recorder),
            Origin::Collector(_, collector) => {
                let start = Instant::now();
                self.result =
                    std::panic::catch_unwind(AssertUnwindSafe(|| collector.collect(recorder))).ok();
                self.took = start.elapsed().as_secs_f64();
            }
        }
    }
}

impl Beater {
    fn now(&self) -> Now {
        Now { wall: self.shared.clock.wall_ms(), boot: self.shared.clock.boot_ms() }
    }

    /// Reads everything that is due at the start.
    fn first(&mut self, newest_ts: Option<i64>) {
        self.set_up();
        let now = self.now();
        let first = (0..self.slots.len())
            .map(|entry| Due { entry, ts: self.schedule.first(entry, now) })
            // Values that the database has already are not read again, because they would differ.
            // An hourly series has no value for this moment, unless it is a full hour.
            .filter(|d| {
                let on_grid = d.ts % self.schedule.interval(d.entry).as_ms() == 0;
                !on_grid || newest_ts.is_none_or(|newest| newest < d.ts || newest > now.wall)
            });
        self.due = first.collect();
        self.due.sort_by_key(|d| d.ts);
    }

    /// Finds out which collectors are due after a sleep.
    fn wake(&mut self, slept: std::io::Result<bool>) {
        match slept {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("the clock was set; readings go on at the new time");
                let now = self.now();
                self.schedule.clock_was_set(now);
            }
            Err(e) => self.shared.board.fail(TIMER, e.to_string()),
        }
        let now = self.now();
        self.schedule.due(now, &mut self.due);
        self.due.sort_by_key(|d| d.ts);
        let skipped = self.schedule.take_skipped();
        if skipped > 0 {
            self.shared.counters.ticks_skipped.fetch_add(skipped, Ordering::Relaxed);
        }
    }

    /// Makes the collectors that the configuration asks for.
    fn set_up(&mut self) {
        // A collector that stays keeps its values until its next beat, which may be a day away.
        let mut before: Vec<(&str, Group, Option<Recorder>)> = Vec::new();
        for old in self.slots.drain(..) {
            before.push((old.name, old.group, old.reader.map(|reader| reader.recorder)));
            self.shared.board.forget(&subject(old.name));
        }
        self.epoch += 1;
        self.schedule = Schedule::default();
        let now = self.now();
        self.filter = Arc::new(self.config.filter.clone());
        let mut add = |name, interval, what| {
            self.schedule.add(interval, now);
            let registry = Arc::clone(&self.shared.registry);
            let mut recorder = Recorder::new(registry, JOB, Arc::clone(&self.filter));
            let group = match before.iter().position(|(old, ..)| *old == name) {
                Some(at) => {
                    let (_, group, old) = before.swap_remove(at);
                    if let Some(old) = old {
                        recorder = recorder.after(old);
                    }
                    group
                }
                None => self.shared.latest.group(),
            };
            let reader = Some(Box::new(Instrument { what, recorder }));
            self.slots.push(Slot { name, group, reader, aside: None });
        };
        for wanted in &self.config.collectors {
            let entry = crate::collect::COLLECTORS.iter().find(|e| e.name == wanted.name);
            if let Some(entry) = entry {
                let collector = (entry.make)(&self.config.collect);
                add(entry.name, wanted.interval, Origin::Collector(entry, collector));
            }
        }
        let own = Own::new(self.shared.clone());
        add(Own::NAME, self.config.interval, Origin::Own(own));
        for (_, gone, _) in before {
            self.shared.latest.retire(gone);
        }
    }

    /// The next reading that is due. With none left, the last moment goes to the queue.
    fn next(&mut self) -> Option<Reading> {
        while let Some(due) = self.due.get(self.at) {
            let (slot, ts) = (due.entry, due.ts);
            if self.at > 0 && self.due[self.at - 1].ts != ts {
                self.push();
            }
            self.at += 1;
            let interval = self.schedule.interval(slot);
            let name = self.slots[slot].name;
            if self.hung.iter().any(|hung| hung.name == name) {
                self.pass_over(slot, ts);
            } else if let Some(reader) = self.slots[slot].reader.take() {
                self.shared.board.beat().works(name, self.shared.clock.boot_ms());
                self.reading = Some((slot, Instant::now()));
                let (epoch, result) = (self.epoch, Some(Ok(())));
                return Some(Reading {
                    slot,
                    epoch,
                    name,
                    ts,
                    interval,
                    reader,
                    took: 0.0,
                    result,
                });
            }
        }
        if self.at > 0 {
            self.push();
            self.due.clear();
            self.at = 0;
            self.look_at_rules();
        }
        None
    }

    /// Hands over the samples of a moment.
    fn push(&mut self) {
        if !self.samples.is_empty() {
            let samples = std::mem::take(&mut self.samples);
            let ts = self.due[self.at - 1].ts;
            self.samples = self.shared.queue.push(Batch::of(Source::Collect, ts, samples));
        }
    }

    /// Takes a reading that came in time.
    fn finish(&mut self, mut reading: Reading) {
        self.reading = None;
        self.judge(&mut reading);
        self.samples.extend_from_slice(reading.reader.recorder.samples());
        self.slots[reading.slot].reader = Some(reading.reader);
    }

    /// Takes a reading of a thread that had been left behind.
    fn came_back(&mut self, mut reading: Reading) {
        let hung = self.hung.iter().position(|hung| hung.name == reading.name);
        let missed = hung.is_none_or(|at| self.hung.swap_remove(at).missed);
        if reading.epoch != self.epoch {
            // A reload has made another one.
            return;
        }
        // A late reading is as good as others until its next moment has passed.
        if !missed || reading.result.is_none() {
            self.judge(&mut reading);
        }
        let samples = reading.reader.recorder.samples().to_vec();
        if !missed && !samples.is_empty() {
            self.shared.queue.push(Batch::of(Source::Collect, reading.ts, samples));
        }
        let slot = &mut self.slots[reading.slot];
        (slot.reader, slot.aside) = (Some(reading.reader), None);
    }

    /// Says of a collector that hangs that it has no values.
    fn pass_over(&mut self, slot: usize, ts: i64) {
        let interval = self.schedule.interval(slot);
        let Slot { name, group, aside, .. } = &mut self.slots[slot];
        let name = *name;
        let recorder = aside.get_or_insert_with(|| {
            Recorder::new(Arc::clone(&self.shared.registry), JOB, Arc::clone(&self.filter))
        });
        recorder.begin();
        let hung = self.hung.iter_mut().find(|hung| hung.name == name);
        let hung = hung.map(|hung| {
            hung.missed = true;
            &*hung
        });
        if name != Own::NAME {
            let lasts = hung.map_or(0.0, |hung| hung.since.elapsed().as_secs_f64());
            outcome::report(recorder, name, false, lasts, interval);
        }
        self.shared.latest.update(*group, ts, recorder.samples());
        self.samples.extend_from_slice(recorder.samples());
        self.tell_hung(name);
    }

    fn tell_hung(&self, name: &'static str) {
        let Some(hung) = self.hung.iter().find(|hung| hung.name == name) else { return };
        let message = format!(
            "it has not come back for {} s: a file system, a disk or a driver hangs; the others are \
             read without it",
            hung.since.elapsed().as_secs()
        );
        self.shared.board.fail(&subject(name), message);
    }

    /// Says how a reading went, and shows its values.
    fn judge(&mut self, reading: &mut Reading) {
        let Reading { slot, name, ts, interval, reader, took, result, .. } = reading;
        let group = self.slots[*slot].group;
        let Instrument { what, recorder } = &mut **reader;
        if let Origin::Collector(entry, collector) = what {
            let subject = || subject(name);
            let odd = recorder.take_odd();
            if odd > 0 {
                self.shared.counters.odd_lines.fetch_add(odd, Ordering::Relaxed);
                for what in recorder.take_told() {
                    tracing::warn!("{}: {what}", subject());
                }
            }
            let success = match result {
                Some(Ok(())) => {
                    self.shared.board.ok_with(subject);
                    true
                }
                Some(Err(CollectError::Absent)) => {
                    recorder.begin();
                    self.shared.board.ok_with(subject);
                    return self.shared.latest.update(group, *ts, &[]);
                }
                Some(Err(e)) => {
                    self.shared.board.fail(&subject(), e.to_string());
                    false
                }
                None => {
                    *collector = (entry.make)(&self.config.collect);
                    let message = "it panicked; please report this";
                    self.shared.board.fail(&subject(), message.into());
                    false
                }
            };
            outcome::report(recorder, name, success, *took, *interval);
        } else {
            // Stopping cannot fail, but a collector may hang.
            self.shared.board.ok_with(|| subject(name));
        }
        self.shared.latest.update(group, *ts, recorder.samples());
    }

    fn look_at_rules(&mut self) {
        let now = self.now();
        let (schedule, slots) = (&mut self.schedule, &self.slots);
        self.bursts.look(&self.shared.registry, &self.shared.latest, |rule| {
            for (number, r) in slots.iter().enumerate() {
                if rule.collectors.is_empty() || rule.collectors.contains(&r.name) {
                    schedule.burst(number, rule.interval, rule.duration_ms, now);
                }
            }
        });
    }

    /// Executes commands. True if the thread shall end.
    fn obey(&mut self, commands: Vec<Command>) -> bool {
        for command in commands {
            // The caller may be gone, and then the answer is not needed.
            match command {
                Command::Stop => return true,
                Command::Report(reply) => drop(reply.send(self.rates())),
                Command::Configure(config, reply) => {
                    self.bursts = Bursts::new(&config.bursts);
                    self.config = config;
                    self.set_up();
                    let _unused = reply.send(());
                }
                Command::Rate { collector, interval, for_ms, reply } => {
                    self.rate(collector.as_deref(), interval, for_ms);
                    let _unused = reply.send(());
                }
            }
        }
        false
    }

    /// Changes a rate. An unknown name does nothing, because the caller has checked it.
    fn rate(&mut self, collector: Option<&str>, interval: Option<Interval>, for_ms: Option<i64>) {
        let now = self.now();
        for (number, r) in self.slots.iter().enumerate() {
            if collector.is_none_or(|c| c == r.name) {
                self.schedule.ask(number, interval, for_ms, now);
            }
        }
    }

    fn rates(&self) -> Vec<Rate> {
        let boot = self.shared.clock.boot_ms();
        let all = self.slots.iter().enumerate();
        all.map(|(number, r)| self.schedule.rate(number, r.name.to_owned(), boot)).collect()
    }
}

fn subject(collector: &str) -> String {
    format!("collector {collector}")
}
