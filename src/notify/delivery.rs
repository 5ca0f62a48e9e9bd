//! notify: delivery while the daemon runs. The thread that calls [`Delivery::run`] looks at what is due,
//! and starts one thread for each message that is sent, which ends with it: at most one a channel, so at
//! most as many as there are channels, and a channel that hangs holds its own thread and nothing else.
//!
//! ```text
//!   alerting: submit(rows of alerts, notes) -> one transaction -> lanes of the outbox
//!   notifying: run -> due? -> thread: Channel::send -> outcome -> outbox -> a transaction
//! ```
//!
//! At least once: a change is deleted from the file after the receiver's yes. Where the database cannot be
//! written, messages are sent all the same: a full disk is what one has to hear of.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::outbox::{Job, Name, Outbox, Settings, Step, test_row};
use super::tally::Tally;
use super::{Channel, Chart, Message, Note, Outcome, Picture};
use crate::model::Clock;
use crate::pipeline::Flow;
use crate::store::{AlertOp, AlertStore, Orders, Times};

/// A channel may take so long for one message.
const SEND: Duration = Duration::from_secs(30);
/// So long the way into the file may take before messages are sent without it.
const COMMIT: Duration = Duration::from_secs(2);
/// The thread looks at what waits at least this often.
const LOOK: Duration = Duration::from_secs(30);
/// Enough for TLS.
const STACK: usize = 512 << 10;

/// Draws a chart for a message; nothing: it cannot be drawn.
pub type Draw = Arc<dyn Fn(&Chart) -> Option<Picture> + Send + Sync>;

/// One of the channels.
#[derive(Clone)]
pub struct Way {
    /// Its name in the file: the same over restarts, and another one for each target. No secret.
    pub id: String,
    /// The way to its receiver.
    pub channel: Arc<dyn Channel>,
}

/// See the module.
pub struct Delivery {
    ways: Vec<Way>,
    flow: Flow,
    orders: Arc<Orders>,
    draw: Option<Draw>,
    tally: Tally,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    outbox: Outbox,
    stopped: bool,
    /// Messages on their way.
    flying: usize,
}

/// What a person may want to know of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStand {
    /// Its name in the file.
    pub id: String,
    /// Its target without secrets.
    pub shown: String,
    /// Changes that wait.
    pub waiting: usize,
    /// For how long the oldest has, ms.
    pub oldest_ms: i64,
    /// What it said last, while it does not take messages.
    pub said: Option<String>,
    /// What is wrong with it, in a sentence.
    pub trouble: Option<String>,
}

impl Delivery {
    /// Goes on where the process before stopped. `ways` in the order in which one stands in for another;
    /// without any, nothing is sent and nothing waits. `draw` is asked for pictures.
    pub fn new(
        ways: Vec<Way>,
        stored: &AlertStore,
        settings: Settings,
        flow: Flow,
        orders: Arc<Orders>,
        draw: Option<Draw>,
    ) -> Arc<Self> {
        let names: Vec<Name> =
            ways.iter().map(|w| Name { id: w.id.clone(), shown: w.channel.shown() }).collect();
        let tally = Tally::new(names.iter());
        let (outbox, step) = Outbox::new(names, stored, times(&flow), settings);
        let state = Mutex::new(State { outbox, stopped: false, flying: 0 });
        let this = Arc::new(Self { ways, flow, orders, draw, tally, state, wake: Condvar::new() });
        this.write(step);
        this
    }

    /// Goes on with other channels after the configuration was read again. `self` has to be stopped. What
    /// waits is taken over from memory, so it does not matter what of it is in the file yet.
    pub fn after(&self, ways: Vec<Way>, settings: Settings) -> Arc<Self> {
        let names: Vec<Name> =
            ways.iter().map(|w| Name { id: w.id.clone(), shown: w.channel.shown() }).collect();
        let now = times(&self.flow);
        let (nobody, _) = Outbox::new(Vec::new(), &AlertStore::default(), now, settings.clone());
        let mut outbox = std::mem::replace(&mut self.lock().outbox, nobody);
        let tally = Tally::after(names.iter(), &self.tally);
        let step = outbox.reconfigure(names, settings, now);
        let this = Arc::new(Self {
            ways,
            flow: self.flow.clone(),
            orders: Arc::clone(&self.orders),
            draw: self.draw.clone(),
            tally,
            state: Mutex::new(State { outbox, stopped: false, flying: 0 }),
            wake: Condvar::new(),
        });
        this.write(step);
        // What was said of the channels before is said again by those that stay.
        for name in self.ways.iter().map(|way| way.channel.shown()) {
            self.flow.board.forget(&subject(&name));
        }
        this
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Writes rows of alerts and what is to be told of them in one transaction, then lets it be sent.
    /// Where nothing is to be told, the rows wait for the next commit. Blocks for two seconds at most.
    /// False: it is not in the file yet, and is told and written all the same.
    pub fn submit(&self, mut ops: Vec<AlertOp>, notes: Vec<Note>) -> bool {
        if notes.is_empty() || self.ways.is_empty() {
            self.orders.alerts(ops);
            return true;
        }
        let step = {
            let mut state = self.lock();
            let before = state.outbox.last_note();
            state.outbox.hold(Some(before));
            state.outbox.add(notes, times(&self.flow))
        };
        for (at, fate) in &step.fates {
            self.tally.count(*at, *fate);
        }
        ops.extend(step.ops);
        let (done, in_file) = sync_channel(1);
        self.orders.alerts_now(ops, Some(done));
        self.flow.queue.nudge();
        let written = in_file.recv_timeout(COMMIT).is_ok();
        self.lock().outbox.hold(None);
        self.wake.notify_all();
        written
    }

    /// The channels whose receivers forget what fires, and after how long.
    pub fn forgetful(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.ways.iter().filter_map(|way| Some((way.id.as_str(), way.channel.repeats()?)))
    }

    /// Tells one of them again what fires: all that it was told before. It stands in no outbox and in no
    /// list of messages.
    pub fn again(&self, id: &str, notes: &[Note]) {
        let Some(at) = self.ways.iter().position(|way| way.id == id) else { return };
        self.lock().outbox.again(at, notes, times(&self.flow));
        self.wake.notify_all();
    }

    /// Sends what is due until [`Delivery::stop`] is called; for a thread of its own, named `notifying`.
    /// Without channels it returns at once.
    pub fn run(self: &Arc<Self>) {
        if self.ways.is_empty() {
            return;
        }
        let mut state = self.lock();
        while !state.stopped {
            let now = times(&self.flow);
            let (jobs, step) = state.outbox.take_due(now);
            state.flying += jobs.len();
            self.look(&state.outbox, now);
            if !jobs.is_empty() || !step.ops.is_empty() {
                drop(state);
                self.write(step);
                for job in jobs {
                    self.start(job);
                }
                state = self.lock();
                continue;
            }
            let wait = match state.outbox.next_due(now) {
                Some(due) => Duration::from_millis((due - now.boot).max(1) as u64).min(LOOK),
                None => LOOK,
            };
            state = match self.wake.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Ends [`Delivery::run`], and waits until `deadline` for messages that are on their way. One that is
    /// not through by then is sent again by the next process.
    pub fn stop(&self, deadline: Instant) {
        let mut state = self.lock();
        state.stopped = true;
        self.wake.notify_all();
        while state.flying > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = match self.wake.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Looks at what is due, after a clock was set by hand.
    pub fn look_again(&self) {
        self.wake.notify_all();
    }

    fn start(self: &Arc<Self>, job: Job) {
        let this = Arc::clone(self);
        let lane = job.lane;
        let thread = std::thread::Builder::new().name("notify".into()).stack_size(STACK);
        let started = thread.spawn(move || {
            let outcome = this.send(lane, &job.message, SEND);
            this.finish(lane, outcome);
        });
        if let Err(e) = started {
            self.finish(lane, Outcome::Retry { said: format!("no thread: {e}"), after: None });
        }
    }

    fn send(&self, lane: usize, message: &Message, patience: Duration) -> Outcome {
        let Some(way) = self.ways.get(lane) else {
            return Outcome::Refused { said: "there is no such channel".to_owned() };
        };
        let deadline = Instant::now() + patience;
        let sent = catch_unwind(AssertUnwindSafe(|| {
            let chart = message.chart.as_ref().filter(|_| way.channel.takes_picture());
            let picture = chart.zip(self.draw.as_ref()).and_then(|(chart, draw)| draw(chart));
            way.channel.send(message, picture.as_ref(), deadline)
        }));
        sent.unwrap_or_else(|_| Outcome::Retry {
            said: "plimsoll itself failed on this message; its log says how".to_owned(),
            after: None,
        })
    }

    fn finish(&self, lane: usize, outcome: Outcome) {
        let now = times(&self.flow);
        let sent = matches!(outcome, Outcome::Sent { .. });
        let step = {
            let mut state = self.lock();
            state.flying = state.flying.saturating_sub(1);
            let step = state.outbox.finish(lane, outcome, now);
            self.look(&state.outbox, now);
            // The order is given before anybody can see that the message is not on its way any more.
            self.write_as(step, sent)
        };
        for (at, fate) in step {
            self.tally.count(at, fate);
        }
        self.wake.notify_all();
    }

    fn write(&self, step: Step) {
        for (at, fate) in self.write_as(step, false) {
            self.tally.count(at, fate);
        }
    }

    /// A message that was taken is not sent once more: that is written at once.
    fn write_as(&self, step: Step, at_once: bool) -> Vec<(usize, super::outbox::Fate)> {
        if at_once {
            self.orders.alerts_now(step.ops, None);
            self.flow.queue.nudge();
        } else if !step.ops.is_empty() {
            self.orders.alerts(step.ops);
        }
        step.fates
    }

    /// Counters and board.
    fn look(&self, outbox: &Outbox, now: Times) {
        for (at, name) in outbox.names().enumerate() {
            self.tally.wait(at, outbox.waiting(at, now));
            match outbox.trouble(at, now) {
                Some(what) => self.flow.board.fail(&subject(&name.shown), what),
                None => self.flow.board.ok_with(|| subject(&name.shown)),
            }
        }
    }

    /// Sends a test message by one channel, past its queue, and returns the outcome with the receiver's
    /// own words. It is listed among the messages that were told. `id`: see [`Way::id`]. Nothing: there
    /// is no such channel.
    pub fn test(&self, id: &str, message: &Message) -> Option<Outcome> {
        let at = self.ways.iter().position(|way| way.id == id)?;
        let outcome = self.send(at, message, SEND);
        let name = Name { id: id.to_owned(), shown: self.ways[at].channel.shown() };
        let row = test_row(&name, message, &outcome, times(&self.flow));
        self.orders.alerts([AlertOp::Told { ids: Vec::new(), row }]);
        Some(outcome)
    }

    /// What is to be said of each channel.
    pub fn stand(&self) -> Vec<ChannelStand> {
        let (state, now) = (self.lock(), times(&self.flow));
        (state.outbox.names().enumerate())
            .map(|(at, name)| {
                let (waiting, oldest_ms) = state.outbox.waiting(at, now);
                ChannelStand {
                    id: name.id.clone(),
                    shown: name.shown.clone(),
                    waiting,
                    oldest_ms,
                    said: state.outbox.last_words(at).map(|(_, said)| said.clone()),
                    trouble: state.outbox.trouble(at, now),
                }
            })
            .collect()
    }

    /// The counters.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The channels' names in the file, in their order: what [`Note::to`] may name.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ways.iter().map(|way| way.id.as_str())
    }
}

/// What the board calls a channel.
fn subject(shown: &str) -> String {
    format!("notifications by {shown}")
}

fn times(flow: &Flow) -> Times {
    let clock: &dyn Clock = &*flow.clock;
    Times { wall: clock.wall_ms(), boot: clock.boot_ms() }
}

#[cfg(test)]
mod tests;
