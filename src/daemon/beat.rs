//! daemon: the thread that keeps the beat: sleeps until something is due, reads it, hands the
//! readings to the queue, looks at the burst rules. It never touches the database.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::oneshot;

use super::alarm::{Alarm, Bell};
use super::burst::Bursts;
use super::outcome;
use super::own::Own;
use super::rate::Rate;
use super::schedule::{Due, Now, Schedule};
use super::shared::Shared;
use crate::collect::{CollectError, Collector, Entry, JOB};
use crate::config::Config;
use crate::model::{Interval, Recorder, SeriesRef};
use crate::pipeline::{Batch, Group, Source};

/// What the beat thread can be told.
pub enum Command {
    /// Reads at another rate.
    Rate {
        /// One collector, or all.
        collector: Option<String>,
        /// `None` returns to the configured one.
        interval: Option<Interval>,
        /// How long; `None`: until the next reload.
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

/// The running thread, to be told things.
#[derive(Clone)]
pub struct Beat {
    mailbox: Arc<Mutex<Vec<Command>>>,
    bell: Bell,
}

struct Running {
    name: &'static str,
    /// `Err`: the daemon's own readings.
    what: Result<(&'static Entry, Box<dyn Collector>), Own>,
    recorder: Recorder,
    group: Group,
}

struct Beater {
    shared: Shared,
    config: Arc<Config>,
    alarm: Alarm,
    mailbox: Arc<Mutex<Vec<Command>>>,
    schedule: Schedule,
    running: Vec<Running>,
    bursts: Bursts,
    spare: Vec<(SeriesRef, f64)>,
}

impl Beat {
    /// Starts the thread. Its first reading is taken at once, unless the database already holds
    /// that moment (`newest_ts`, ms since 1970 UTC).
    pub fn spawn(
        shared: Shared,
        newest_ts: Option<i64>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let alarm = Alarm::new()?;
        let beat = Self { mailbox: Arc::default(), bell: alarm.bell() };
        let (config, ending) = (shared.config(), shared.ending());
        let mut beater = Beater {
            bursts: Bursts::new(&config.bursts),
            shared,
            config,
            alarm,
            mailbox: Arc::clone(&beat.mailbox),
            schedule: Schedule::default(),
            running: Vec::new(),
            spare: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("beat".into()).stack_size(256 << 10).spawn(
            move || {
                let _held = ending;
                beater.run(newest_ts);
            },
        )?;
        Ok((beat, thread))
    }

    /// Tells the thread something; it answers through the command's channel.
    pub fn tell(&self, command: Command) {
        self.mailbox.lock().unwrap_or_else(|e| e.into_inner()).push(command);
        self.bell.ring();
    }
}

impl Beater {
    fn now(&self) -> Now {
        Now { wall: self.shared.clock.wall_ms(), boot: self.shared.clock.boot_ms() }
    }

    fn run(&mut self, newest_ts: Option<i64>) {
        self.set_up();
        let now = self.now();
        let mut due: Vec<Due> = (0..self.running.len())
            .map(|entry| Due { entry, ts: self.schedule.first(entry, now) })
            // What the database holds is not read again: it would get another value. An hourly
            // series has no value for this moment, unless it is a full hour.
            .filter(|d| {
                let on_grid = d.ts % self.schedule.interval(d.entry).as_ms() == 0;
                !on_grid || newest_ts.is_none_or(|newest| newest < d.ts || newest > now.wall)
            })
            .collect();
        self.read(&mut due);
        loop {
            if self.obey() {
                return;
            }
            let until = self.schedule.wake();
            self.shared.board.pulse().sleeps(until);
            match self.alarm.sleep(until) {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!("the clock was set; readings go on at the new time");
                    let now = self.now();
                    self.schedule.clock_was_set(now);
                }
                Err(e) => {
                    self.shared.board.fail("timer of the beat", e.to_string());
                    std::thread::park_timeout(std::time::Duration::from_millis(100));
                }
            }
            due.clear();
            let now = self.now();
            self.schedule.due(now, &mut due);
            let skipped = self.schedule.take_skipped();
            if skipped > 0 {
                self.shared
                    .counters
                    .ticks_skipped
                    .fetch_add(skipped, std::sync::atomic::Ordering::Relaxed);
            }
            self.read(&mut due);
        }
    }

    /// Makes the collectors that the configuration asks for.
    fn set_up(&mut self) {
        // A collector that goes on keeps its values until its next beat, which may be a day away.
        let mut before: Vec<(&str, Group, Recorder)> = Vec::new();
        for old in self.running.drain(..) {
            before.push((old.name, old.group, old.recorder));
            self.shared.board.forget(&subject(old.name));
        }
        self.schedule = Schedule::default();
        let now = self.now();
        let filter = Arc::new(self.config.filter.clone());
        let mut add = |name, interval, what| {
            self.schedule.add(interval, now);
            let registry = Arc::clone(&self.shared.registry);
            let recorder = Recorder::new(registry, JOB, Arc::clone(&filter));
            let (group, recorder) = match before.iter().position(|(old, ..)| *old == name) {
                Some(at) => {
                    let (_, group, old) = before.swap_remove(at);
                    (group, recorder.after(old))
                }
                None => (self.shared.latest.group(), recorder),
            };
            self.running.push(Running { name, what, recorder, group });
        };
        for wanted in &self.config.collectors {
            let entry = crate::collect::COLLECTORS.iter().find(|e| e.name == wanted.name);
            if let Some(entry) = entry {
                let collector = (entry.make)(&self.config.collect);
                add(entry.name, wanted.interval, Ok((entry, collector)));
            }
        }
        let own = Own::new(self.shared.clone());
        add(Own::NAME, self.config.interval, Err(own));
        for (_, gone, _) in before {
            self.shared.latest.retire(gone);
        }
    }

    /// Reads what is due, one batch for each moment.
    fn read(&mut self, due: &mut [Due]) {
        due.sort_by_key(|d| d.ts);
        for moment in due.chunk_by(|a, b| a.ts == b.ts) {
            let mut samples = std::mem::take(&mut self.spare);
            for d in moment {
                self.read_one(d.entry, d.ts);
                samples.extend_from_slice(self.running[d.entry].recorder.samples());
            }
            if samples.is_empty() {
                self.spare = samples;
                continue;
            }
            self.spare = self.shared.queue.push(Batch::of(Source::Collect, moment[0].ts, samples));
        }
        if !due.is_empty() {
            self.look_at_rules();
        }
    }

    fn read_one(&mut self, number: usize, ts: i64) {
        let interval = self.schedule.interval(number);
        let Running { name, what, recorder, group } = &mut self.running[number];
        self.shared.board.pulse().reads(name, self.shared.clock.boot_ms());
        recorder.begin();
        match what {
            Err(own) => own.collect(recorder),
            Ok((entry, collector)) => {
                let start = Instant::now();
                let result =
                    std::panic::catch_unwind(AssertUnwindSafe(|| collector.collect(recorder)));
                let took = start.elapsed().as_secs_f64();
                let subject = || subject(name);
                let odd = recorder.take_odd();
                if odd > 0 {
                    let counter = &self.shared.counters.odd_lines;
                    counter.fetch_add(odd, std::sync::atomic::Ordering::Relaxed);
                    for what in recorder.take_told() {
                        tracing::warn!("{}: {what}", subject());
                    }
                }
                let success = match result {
                    Ok(Ok(())) => {
                        self.shared.board.ok_with(subject);
                        true
                    }
                    Ok(Err(CollectError::Absent)) => {
                        recorder.begin();
                        self.shared.board.ok_with(subject);
                        return self.shared.latest.update(*group, ts, &[]);
                    }
                    Ok(Err(e)) => {
                        self.shared.board.fail(&subject(), e.to_string());
                        false
                    }
                    Err(_) => {
                        *collector = (entry.make)(&self.config.collect);
                        self.shared
                            .board
                            .fail(&subject(), "it panicked; please report this".into());
                        false
                    }
                };
                outcome::report(recorder, name, success, took, interval);
            }
        }
        self.shared.latest.update(*group, ts, recorder.samples());
    }

    fn look_at_rules(&mut self) {
        let now = self.now();
        let (schedule, running) = (&mut self.schedule, &self.running);
        self.bursts.look(&self.shared.registry, &self.shared.latest, |rule| {
            for (number, r) in running.iter().enumerate() {
                if rule.collectors.is_empty() || rule.collectors.contains(&r.name) {
                    schedule.burst(number, rule.interval, rule.duration_ms, now);
                }
            }
        });
    }

    /// Does what it was told. True: it shall end.
    fn obey(&mut self) -> bool {
        let commands = std::mem::take(&mut *self.mailbox.lock().unwrap_or_else(|e| e.into_inner()));
        for command in commands {
            // Whoever asked may have gone: then nobody needs the answer.
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

    /// A name that is not there does nothing: whoever asks has looked at the rates before.
    fn rate(&mut self, collector: Option<&str>, interval: Option<Interval>, for_ms: Option<i64>) {
        let now = self.now();
        for (number, r) in self.running.iter().enumerate() {
            if collector.is_none_or(|c| c == r.name) {
                self.schedule.ask(number, interval, for_ms, now);
            }
        }
    }

    fn rates(&self) -> Vec<Rate> {
        let boot = self.shared.clock.boot_ms();
        let all = self.running.iter().enumerate();
        all.map(|(number, r)| self.schedule.rate(number, r.name.to_owned(), boot)).collect()
    }
}

fn subject(collector: &str) -> String {
    format!("collector {collector}")
}
