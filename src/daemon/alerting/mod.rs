//! daemon: the thread that judges. The writer wakes it after each commit of readings, and of pushed samples
//! where people have rules of their own. It judges them by the rules, writes the new state of the alerts,
//! and hands the messages to the delivery.
//!
//! ```text
//!   writer -> Committed -> judge: rules -> changes -> teller: notes -> delivery -> receivers
//!                          facts: processes, chart, link        given: silence, limits
//! ```
//!
//! Bound: one pass at a time, with a deadline and a share of memory. A commit that comes meanwhile is
//! judged with the next one.

mod commands;
mod facts;
mod given;
pub mod heartbeat;
mod journal;
mod rules;
mod show;
mod still;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use super::shared::Shared;
use crate::alert::names::Watched;
use crate::alert::{Cause, Command, Judge, Judged, Quiet, Shelf, Teller, Way, Weekly};
use crate::config::Config;
use crate::model::Severity;
use crate::notify::{Delivery, DeliverySettings};
use crate::pipeline::News;
use crate::query::budget::Budget;
use crate::query::eval::Limits;
use crate::query::files::Unreadable;
use crate::store::AlertStore;

pub use rules::{Compiled, LEFT_OUT, channel_settings, compile, rules};
pub use show::when;

/// What the board calls it.
pub const SUBJECT: &str = "rules of alerts";
/// A pass over all rules may take so long.
const PASS: Duration = Duration::from_secs(5);
/// And so much memory, in bytes.
const MEMORY: u64 = 32 << 20;
/// Without a commit for so long, time is judged all the same: that nothing is written is what has to be
/// told.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two passes, by the times of the readings: of faster beats every few are judged.
const LEAST_MS: i64 = 5_000;
/// After a pass for pushed samples the next one waits for so long: pushes may come a thousand a second.
const PUSHES: Duration = Duration::from_secs(1);
/// Beats that were committed and not judged when the process before ended: so much of them is judged.
const CATCH_UP_MS: i64 = 15 * 60_000;
/// In this many passes at most.
const CATCH_UP_PASSES: i64 = 90;

/// What the thread is told.
pub enum Letter {
    /// Other rules and receivers, and who waits until they are in force.
    Configure(Arc<Config>, oneshot::Sender<()>),
    /// A person's command, and where the answer goes.
    Do(Command, SyncSender<Result<String, String>>),
    /// The end.
    Stop,
}

/// What others hold of the thread.
#[derive(Clone)]
pub struct Post {
    letters: Arc<Mutex<Vec<Letter>>>,
    shared: Shared,
    /// The delivery that runs.
    pub delivery: Arc<Mutex<Arc<Delivery>>>,
}

impl Post {
    /// Tells the thread something.
    pub fn send(&self, letter: Letter) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        self.shared.committed.wake();
    }

    /// What all services share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The delivery that runs.
    pub fn delivery(&self) -> Arc<Delivery> {
        Arc::clone(&self.delivery.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The thread's own things.
pub struct Alerting {
    shared: Shared,
    config: Arc<Config>,
    judge: Judge,
    /// The rule files as they were read last.
    shelf: Shelf,
    teller: Teller,
    post: Post,
    given: given::Given,
    /// The series in the file that rules may look at.
    watched: Watched,
    /// The time that was judged last.
    last: Option<i64>,
    /// The time of the readings that were judged last.
    read: Option<i64>,
    /// The time of the last samples of `ALERTS` that were written: their commit is none of readings.
    wrote: Option<i64>,
    /// Whether people have rules of their own: only those look at what is pushed.
    heeds_pushes: bool,
    /// When receivers that forget what fires were told it last, ms since boot.
    said_again: HashMap<String, i64>,
}

impl Alerting {
    /// Goes on where the process before stopped.
    pub fn new(shared: &Shared, stored: &AlertStore) -> Self {
        let config = shared.config();
        let (teller, open) = Teller::load(&shared.system, TimeZone::system, stored);
        let delivery = delivery(shared, &config, stored);
        let post = Post {
            letters: Arc::default(),
            shared: shared.clone(),
            delivery: Arc::new(Mutex::new(delivery)),
        };
        let mut shelf = Shelf::default();
        let compiled = rules(&config, &shared.board, &mut shelf);
        let mut judge = Judge::new(compiled.rules, between(&config)).with_records(compiled.records);
        let heeds_pushes = heeds_pushes(&config, &judge);
        let watched = judge.watched();
        let given = given::Given::new(&open);
        // The teller tells of those whose rule has gone.
        let _without_rule = judge.load(open, stored.judged_until);
        let mut this = Self {
            shared: shared.clone(),
            config,
            judge,
            shelf,
            teller,
            post,
            given,
            watched,
            last: stored.judged_until,
            read: stored.judged_until,
            wrote: None,
            heeds_pushes,
            said_again: HashMap::new(),
        };
        this.teller.peace.quiet = this.quiet();
        this
    }

    /// How others reach the thread.
    pub fn post(&self) -> Post {
        self.post.clone()
    }

    /// Judges until it is told to stop. `newest`: the time of the newest sample in the file, ms since 1970 UTC.
    pub fn run(mut self, newest: Option<i64>) {
        self.start_sending();
        self.catch_up(newest);
        self.show();
        let mut seen = News::default();
        let mut judged = Instant::now();
        loop {
            let since = judged.elapsed();
            let heeds = self.heeds_pushes && since >= PUSHES;
            let next = if self.heeds_pushes && !heeds { PUSHES } else { PATIENCE };
            let patience = next.saturating_sub(since);
            let Some(news) = self.shared.committed.wait(seen, patience, heeds) else { break };
            let pushed = heeds && news.pushes != seen.pushes;
            let quiet = news.commits == seen.commits;
            seen = if heeds { news } else { News { pushes: seen.pushes, ..news } };
            if !self.read_letters() {
                break;
            }
            let beat = news.at.filter(|at| Some(*at) != self.wrote && is_due(self.read, *at));
            match beat {
                Some(at) => {
                    self.read = Some(at);
                    self.pass(Cause::Beat, onward(self.last, at));
                }
                None if pushed => self.pass(Cause::Push, self.now()),
                None if quiet && judged.elapsed() >= PATIENCE => self.pass(Cause::Beat, self.now()),
                None => continue,
            }
            judged = Instant::now();
            // Nobody looks at a page: what was read is not kept until the next pass.
            if self.shared.counters.viewers.load(Relaxed) == 0 {
                self.shared.desk.files().rest();
            }
        }
        self.post.delivery().stop(Instant::now() + Duration::from_millis(300));
    }

    /// Whether to go on.
    fn read_letters(&mut self) -> bool {
        let letters = {
            let mut letters = self.post.letters.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *letters)
        };
        for letter in letters {
            match letter {
                Letter::Stop => return false,
                Letter::Configure(config, done) => {
                    self.configure(config);
                    let _gone = done.send(());
                }
                Letter::Do(command, reply) => {
                    let done = self.obey(command);
                    let _gone = reply.send(done);
                    self.show();
                }
            }
        }
        true
    }

    /// Judges what was committed and not judged before the process before ended; `newest` is the time of
    /// the newest sample then.
    fn catch_up(&mut self, newest: Option<i64>) {
        let (Some(judged), Some(newest)) = (self.last, newest) else { return };
        // A sender's clock may be wrong.
        let newest = newest.min(self.shared.clock.wall_ms());
        let missed = missed(judged, newest, self.config.interval.as_ms());
        missed.for_each(|at| self.pass(Cause::Beat, at));
    }

    /// Now, and no step back behind what was judged.
    fn now(&self) -> i64 {
        onward(self.last, self.shared.clock.wall_ms())
    }

    fn pass(&mut self, cause: Cause, at: i64) {
        let cancel = AtomicBool::new(false);
        let budget = Budget::new(MEMORY);
        let limits = Limits {
            deadline: Some(Instant::now() + PASS),
            cancel: Some(&cancel),
            budget: Some(&budget),
            ..Limits::default()
        };
        let now = self.shared.clock.wall_ms();
        let given =
            self.given.look(&self.shared, self.shared.desk.files(), &self.post.delivery(), now);
        let judge = &mut self.judge;
        let watched = &mut self.watched;
        let pass = self.shared.desk.files().with_reader(|reader, inode| {
            let catalog = watched.look(reader, inode).map_err(|e| Unreadable(e.to_string()))?;
            let pass = judge.pass(cause, at, reader, catalog, limits, &given);
            pass.map_err(|e| Unreadable(e.to_string()))
        });
        let pass = match pass {
            Ok(pass) => pass,
            Err(Unreadable(why)) => {
                self.shared.board.fail(SUBJECT, format!("the rules cannot be judged: {why}"));
                return;
            }
        };
        match pass.errors.first() {
            None => self.shared.board.ok(SUBJECT),
            Some((rule, why)) => {
                let more = match pass.errors.len() - 1 {
                    0 => String::new(),
                    more => format!(" ({more} more rules cannot be judged)"),
                };
                self.shared.board.fail(SUBJECT, format!("rule {rule}: {why}{more}"));
            }
        }
        self.last = Some(at);
        // `ALERTS` is written at each beat, and in between where it changes.
        if cause == Cause::Beat || !pass.changed.is_empty() || !pass.gone.is_empty() {
            self.keep_samples(&pass);
        }
        let judged = Judged {
            at,
            now,
            open: self.judge.instances().filter(|alert| alert.resolved_at.is_none()).collect(),
            changes: &pass.changes,
        };
        let delivery = self.post.delivery();
        let mut facts = facts::Found {
            judge: &self.judge,
            config: &self.config,
            delivery: &delivery,
            system: &self.shared.system,
        };
        let told = self.teller.pass(&judged, &mut facts);
        for (id, every) in delivery.forgetful() {
            let last = self.said_again.entry(id.to_owned()).or_insert(i64::MIN);
            let boot = self.shared.clock.boot_ms();
            if boot >= last.saturating_add(every.as_millis() as i64) {
                *last = boot;
                delivery.again(id, &self.teller.standing(id, &judged, &facts));
            }
        }
        let _written = delivery.submit(told.ops, told.notes);
        self.given.withheld = told.withheld;
        self.show();
    }

    fn configure(&mut self, config: Arc<Config>) {
        let others = config.alerts.receivers() != self.config.alerts.receivers();
        self.config = config;
        let compiled = rules(&self.config, &self.shared.board, &mut self.shelf);
        self.judge.set_records(compiled.records);
        let _without_rule = self.judge.reload(compiled.rules, between(&self.config));
        self.heeds_pushes = heeds_pushes(&self.config, &self.judge);
        self.watched = self.judge.watched();
        self.teller.peace.quiet = self.quiet();
        if others {
            self.post.delivery().stop(Instant::now() + Duration::from_secs(1));
            // What waits for receivers that stay is sent by the next delivery.
            let ways = rules::ways(&self.config, &self.shared.system, &self.shared.board);
            let next = self.post.delivery().after(ways, delivery_settings(&self.config));
            *self.post.delivery.lock().unwrap_or_else(PoisonError::into_inner) = next;
            self.start_sending();
        }
        self.show();
    }

    fn quiet(&self) -> Option<Quiet> {
        let text = self.config.alerts.options.quiet.as_ref()?;
        let hours = Weekly::parse(text, &TimeZone::system()).ok()?;
        Some(Quiet { hours: vec![hours], most: Severity::Warning })
    }

    fn start_sending(&self) {
        let delivery = self.post.delivery();
        if delivery.ids().next().is_none() {
            return;
        }
        let thread = std::thread::Builder::new().name("notifying".into()).stack_size(256 << 10);
        if let Err(e) = thread.spawn(move || delivery.run()) {
            self.shared.board.fail(SUBJECT, format!("no message can be sent: no thread: {e}"));
        }
    }
}

/// The time between two passes, ms. The judge counts at most two of these as seen from one pass to the
/// next: with the interval of a faster beat, `for` would last several times as long as it says.
fn between(config: &Config) -> i64 {
    config.interval.as_ms().max(LEAST_MS)
}

/// Whether there are rules beside the defaults.
fn heeds_pushes(config: &Config, judge: &Judge) -> bool {
    !config.alerts.own.is_empty() || judge.rules().any(|rule| rule.way == Way::Prometheus)
}

fn delivery_settings(config: &Config) -> DeliverySettings {
    DeliverySettings { zone: TimeZone::system, group_wait_ms: config.interval.as_ms().min(10_000) }
}

/// The delivery to the receivers of a configuration.
fn delivery(shared: &Shared, config: &Config, stored: &AlertStore) -> Arc<Delivery> {
    let settings = delivery_settings(config);
    let ways = rules::ways(config, &shared.system, &shared.board);
    let draw = facts::draw(shared);
    Delivery::new(ways, stored, settings, shared.flow.clone(), Arc::clone(&shared.orders), draw)
}

/// Whether readings of this time are to be judged, where those of `read` were last. A clock that was set
/// back is no reason to wait.
fn is_due(read: Option<i64>, at: i64) -> bool {
    read.is_none_or(|read| at < read || at - read >= LEAST_MS)
}

/// The time at which readings are judged. Those that were late, so that time was judged without them, are
/// no step back of the clock.
fn onward(last: Option<i64>, at: i64) -> i64 {
    let late = last.filter(|last| (0..=2 * PATIENCE.as_millis() as i64).contains(&(last - at)));
    late.unwrap_or(at)
}

/// The moments between the last pass and the newest sample at which the rules are judged again after a
/// start: the newest sample's own is the last, and they reach back for a quarter of an hour at most.
fn missed(judged: i64, newest: i64, interval_ms: i64) -> impl Iterator<Item = i64> {
    let step = interval_ms.max(CATCH_UP_MS / CATCH_UP_PASSES);
    let span = (newest - judged).clamp(0, CATCH_UP_MS);
    let count = (span + step - 1) / step;
    (0..count).rev().map(move |back| newest - back * step)
}

#[cfg(test)]
mod tests {
    use super::{is_due, missed, onward};

    /// Of an interval of five minutes, time is judged in between, and the readings are not judged again.
    #[test]
    fn readings_are_judged_once_and_time_goes_on() {
        assert!(is_due(None, 7) && is_due(Some(0), 5_000) && !is_due(Some(0), 4_999));
        assert!(!is_due(Some(300_000), 300_000), "nothing came since");
        assert!(is_due(Some(300_000), 200_000), "the clock was set back");
        assert_eq!(onward(None, 7), 7);
        assert_eq!(onward(Some(300_000), 310_000), 310_000);
        assert_eq!(onward(Some(330_000), 300_000), 330_000, "it was late");
        assert_eq!(onward(Some(3_900_000), 300_000), 300_000, "the clock was set back");
    }

    #[test]
    fn what_was_not_judged_before_the_end_is_judged_at_the_start() {
        let all = |judged, newest, interval_ms| -> Vec<i64> {
            missed(judged, newest, interval_ms).collect()
        };
        assert!(all(1_000, 1_000, 1_000).is_empty());
        assert!(all(2_000, 1_000, 1_000).is_empty(), "the clock was set back");
        assert_eq!(all(1_000, 1_500, 1_000), [1_500], "a breach since the last pass is seen");
        assert_eq!(all(0, 25_000, 1_000), [5_000, 15_000, 25_000]);
        assert_eq!(all(0, 25_000, 20_000), [5_000, 25_000]);
        let days = all(0, 86_400_000, 10_000);
        assert_eq!((days.len(), days[89]), (90, 86_400_000));
        assert!(days[0] > 86_400_000 - 900_000);
    }
}
