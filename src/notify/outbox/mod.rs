//! notify: the outbox: it decides which message goes to which channel, and when. Each channel has one
//! queue and one order. No I/O. A stuck channel delays no other.
//!
//! ```text
//!   note -> lane (a channel's queue) -> due? -> one message of all that waits -> outcome
//!        group wait, gap, digest               told | tried again | parked, and the next channel tells it
//! ```
//!
//! Bounds: [`MOST_WAITING`] changes and [`MOST_BYTES`] a channel. Beyond them, alerts that began and ended
//! are dropped first, then the mildest and oldest. A dropped change is counted and listed in the table
//! `told`, and the next message says so.
//! Times are those of the boot clock while the process runs, and of the wall clock in the file.

mod lane;
mod pace;

use std::collections::VecDeque;

use jiff::tz::TimeZone;

pub use pace::{DAY_MS, HOUR_MS, MINUTE_MS};

use self::lane::{Busy, Entry, Lane};
use super::compose::{Place, compose};
use super::{Message, Note, Occasion, Outcome};
use crate::store::{AlertOp, AlertStore, Times, ToldRow};

/// Changes that wait for one channel.
pub const MOST_WAITING: usize = 500;
/// Bytes of these.
pub const MOST_BYTES: usize = 1 << 20;
/// More machines than these at a time are told of in one message.
const MOST_HOSTS: usize = 3;

/// The settings of the outbox.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Gives the zone of the times in messages. It is asked when there is a message, because the list of
    /// all zones is large.
    pub zone: fn() -> TimeZone,
    /// How long a change waits for others of its machine, ms: one beat, at most ten seconds. A change to
    /// bad does not wait.
    pub group_wait_ms: i64,
}

/// A channel as the outbox knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Its id, which stays the same over restarts; each target has another one.
    pub id: String,
    /// The target without its secrets.
    pub shown: String,
}

/// A message that is to be sent now.
#[derive(Debug, Clone)]
pub struct Job {
    /// The channel: its place in the list of channels.
    pub lane: usize,
    /// The message.
    pub message: Message,
}

/// What became of messages, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has taken it.
    Sent,
    /// It is tried again.
    Retried,
    /// The receiver refuses it.
    Refused,
    /// It is too old.
    Expired,
    /// There was no room for it.
    Dropped,
}

impl Fate {
    /// Every fate, in the order of their counters.
    pub const ALL: [Self; 5] =
        [Self::Sent, Self::Retried, Self::Refused, Self::Expired, Self::Dropped];

    /// The word in the table `told` and in the label `result`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Retried => "retried",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
        }
    }
}

/// The rows to write and the counts to add after a step.
#[derive(Debug, Default)]
pub struct Step {
    /// For the file, in one transaction.
    pub ops: Vec<AlertOp>,
    /// For the counters: the channel, and what became of a message.
    pub fates: Vec<(usize, Fate)>,
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    settings: Settings,
    lanes: Vec<Lane>,
    last_note: i64,
}

impl Outbox {
    /// Goes on where the process before stopped. The first step holds what has to be written of changes
    /// whose channel is not configured any more.
    pub fn new(
        names: Vec<Name>,
        stored: &AlertStore,
        now: Times,
        settings: Settings,
    ) -> (Self, Step) {
        let lanes = names.into_iter().map(|name| Lane::new(name, &stored.told, now)).collect();
        let mut outbox = Self { settings, lanes, last_note: stored.last_note };
        let mut step = Step::default();
        for row in &stored.outbox {
            outbox.last_note = outbox.last_note.max(row.id);
            let Some(note) = Note::of_row(row) else {
                step.ops.push(lane::unreadable(row, now));
                continue;
            };
            match outbox.lanes.iter().position(|lane| lane.name.id == row.channel) {
                Some(at) => outbox.lanes[at].load(row, note, now),
                None => outbox.rehouse(row, note, now, &mut step),
            }
        }
        (outbox, step)
    }

    /// Goes on with other channels: those that stay keep what waits for them, and their state. A message
    /// that is on its way is sent once more.
    pub fn reconfigure(&mut self, names: Vec<Name>, settings: Settings, now: Times) -> Step {
        let mut before = std::mem::take(&mut self.lanes);
        self.settings = settings;
        self.lanes = (names.into_iter())
            .map(|name| match before.iter().position(|lane| lane.name.id == name.id) {
                Some(at) => before.swap_remove(at).again(name),
                None => Lane::new(name, &[], now),
            })
            .collect();
        let mut step = Step::default();
        for lane in before {
            for Entry { id, note, .. } in lane.waiting {
                let row = note.row(id, &lane.name.id, &lane.name.shown);
                self.rehouse(&row, note, now, &mut step);
            }
        }
        step
    }

    /// The channel of a stored change is gone: the first one that did not get it tells it.
    fn rehouse(
        &mut self,
        row: &crate::store::OutboxRow,
        mut note: Note,
        now: Times,
        step: &mut Step,
    ) {
        let other = self.lanes.iter().position(|lane| !note.to.contains(&lane.name.id));
        match other {
            Some(at) => {
                note.to.push(self.lanes[at].name.id.clone());
                note.remark =
                    joined(&note.remark, &format!("{} is not configured any more.", row.shown));
                self.put(at, row.id, note, now, step);
            }
            None => step.ops.push(lane::orphan(row, now)),
        }
    }

    /// Takes changes in, each for all channels that it names. What has to be written with them comes
    /// back; until that is in the file, [`Outbox::hold`] keeps them from being sent.
    pub fn add(&mut self, notes: Vec<Note>, now: Times) -> Step {
        let mut step = Step::default();
        for note in notes {
            for at in 0..self.lanes.len() {
                if note.to.contains(&self.lanes[at].name.id) {
                    self.last_note += 1;
                    let id = self.last_note;
                    self.put(at, id, note.clone(), now, &mut step);
                }
            }
        }
        step
    }

    /// What a channel was told before and what still fires, for a receiver that forgets it. It is sent
    /// once, as soon as nothing else is due, and replaces what was not sent of the last such list.
    pub fn again(&mut self, at: usize, notes: &[Note], now: Times) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let mut hosts: Vec<&str> = notes.iter().map(|note| note.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let zone = (self.settings.zone)();
        let place = Place { zone: &zone, now: now.wall, untold: None };
        let of_host = |host: &&str| {
            let notes: Vec<(i64, &Note)> =
                notes.iter().filter(|note| note.host == **host).map(|note| (0, note)).collect();
            compose(&notes, place)
        };
        lane.again = hosts.iter().filter_map(of_host).collect();
    }

    fn put(&mut self, at: usize, id: i64, note: Note, now: Times, step: &mut Step) {
        let lane = &mut self.lanes[at];
        if note.occasion == Occasion::Over {
            // What is said again must not come behind the end of it.
            lane.again.clear();
        }
        step.ops.push(AlertOp::Note(note.row(id, &lane.name.id, &lane.name.shown)));
        lane.waiting.push(Entry { id, note, added: now.boot });
        while lane.is_full() {
            if !lane.expire(now, i64::MAX, at, step) && !lane.drop_least(now, at, step) {
                break;
            }
        }
    }

    /// Nothing that came after `last` (a number in the outbox) is sent until this is called again with
    /// `None`: it is on its way into the file.
    pub fn hold(&mut self, last: Option<i64>) {
        for lane in &mut self.lanes {
            lane.held_after = last;
        }
    }

    /// The largest number that a change has.
    pub fn last_note(&self) -> i64 {
        self.last_note
    }

    /// What is to be sent now: at most one message a channel. Each has to be followed by
    /// [`Outbox::finish`].
    pub fn take_due(&mut self, now: Times) -> (Vec<Job>, Step) {
        let mut step = Step::default();
        let mut jobs = Vec::new();
        for at in 0..self.lanes.len() {
            let lane = &mut self.lanes[at];
            lane.expire(now, now.wall - DAY_MS, at, &mut step);
            let Some(due) = lane.due(now, &self.settings).filter(|due| due.at <= now.boot) else {
                jobs.extend(lane.say_again(now).map(|message| Job { lane: at, message }));
                continue;
            };
            let ids = lane.batch(due, now);
            let notes: Vec<(i64, &Note)> = (lane.waiting.iter())
                .filter(|e| ids.contains(&e.id))
                .map(|e| (e.id, &e.note))
                .collect();
            let zone = (self.settings.zone)();
            let place = Place { zone: &zone, now: now.wall, untold: lane.untold };
            let Some(message) = compose(&notes, place) else { continue };
            let made_at = notes.iter().map(|(_, n)| n.at).min().unwrap_or(now.wall);
            let untold = lane.untold;
            let sent = message.clone();
            lane.busy =
                Some(Busy { ids, made_at, since: now.boot, message: sent, untold, again: false });
            jobs.push(Job { lane: at, message });
        }
        (jobs, step)
    }

    /// When something is due next, ms since boot; nothing: not before something comes.
    pub fn next_due(&self, now: Times) -> Option<i64> {
        self.lanes.iter().filter_map(|lane| lane.due(now, &self.settings)).map(|due| due.at).min()
    }

    /// A message was sent, or not.
    pub fn finish(&mut self, at: usize, outcome: Outcome, now: Times) -> Step {
        let mut step = Step::default();
        let Some(lane) = self.lanes.get_mut(at) else { return step };
        let Some(busy) = lane.busy.take() else { return step };
        if busy.again {
            lane.said_again(&busy, outcome, now);
            return step;
        }
        match outcome {
            Outcome::Sent { said } => {
                let row = lane.told(&busy, Fate::Sent, said, now);
                lane.sent(&busy, now);
                step.fates.push((at, Fate::Sent));
                step.ops.push(AlertOp::Told { ids: busy.ids, row });
                // The network is there: others need not wait for their next attempt.
                for (other, lane) in self.lanes.iter_mut().enumerate() {
                    if other != at {
                        lane.try_now(now);
                    }
                }
            }
            Outcome::Retry { said, after } => {
                lane.retry(&busy, said, after, now, &mut step);
                step.fates.push((at, Fate::Retried));
            }
            Outcome::Refused { said } => {
                step.fates.push((at, Fate::Refused));
                if lane.refused(&busy, &said, now, &mut step) {
                    self.pass_on(at, busy, &said, now, &mut step);
                }
            }
        }
        step
    }

    /// The channel refuses for good: the next one tells it, and says why.
    fn pass_on(&mut self, at: usize, busy: Busy, said: &str, now: Times, step: &mut Step) {
        let lane = &mut self.lanes[at];
        let shown = lane.name.shown.clone();
        let row = lane.told(&busy, Fate::Refused, said.to_owned(), now);
        let gone = lane.take(&busy.ids);
        step.ops.push(AlertOp::Told { ids: busy.ids, row });
        let why = format!("{shown} refused this: {said}");
        let news = lane.refusal_is_news();
        let count = self.lanes.len();
        let after = |skip: &[String]| {
            (1..count)
                .map(|n| (at + n) % count)
                .find(|other| !skip.contains(&self.lanes[*other].name.id))
        };
        let mut passed: Vec<(usize, Note)> = Vec::new();
        let mut told = false;
        for entry in gone {
            if let Some(other) = after(&entry.note.to) {
                let mut note = entry.note;
                note.to.push(self.lanes[other].name.id.clone());
                note.remark = joined(&note.remark, &why);
                told = true;
                passed.push((other, note));
            }
        }
        // All others know of it: one of them still has to know that this one does not.
        if news
            && !told
            && let Some(other) = after(std::slice::from_ref(&self.lanes[at].name.id))
            && self.lanes[other].parked.is_none()
        {
            let id = self.lanes[other].name.id.clone();
            passed.push((other, pace::about_channel(&busy.message, &shown, said, id, now.wall)));
        }
        for (other, note) in passed {
            self.last_note += 1;
            let id = self.last_note;
            self.put(other, id, note, now, step);
        }
    }

    /// Changes that wait for this channel, and how long the oldest has, ms.
    pub fn waiting(&self, at: usize, now: Times) -> (usize, i64) {
        self.lanes.get(at).map_or((0, 0), |lane| lane.waits(now, &self.settings))
    }

    /// What is wrong with this channel, in a sentence: it refuses, or a message has waited for more than
    /// ten minutes. Nothing: all is well.
    pub fn trouble(&self, at: usize, now: Times) -> Option<String> {
        self.lanes.get(at)?.trouble(now)
    }

    /// The channels.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.lanes.iter().map(|lane| &lane.name)
    }

    /// The newest words of each channel: when (ms since boot), and what it said.
    pub fn last_words(&self, at: usize) -> Option<&(i64, String)> {
        self.lanes.get(at)?.last_words.as_ref()
    }
}

fn joined(before: &str, more: &str) -> String {
    if before.is_empty() { more.to_owned() } else { format!("{before} {more}") }
}

/// The row of a test message, which stands in no outbox.
pub(super) fn test_row(name: &Name, message: &Message, outcome: &Outcome, now: Times) -> ToldRow {
    let (fate, said) = match outcome {
        Outcome::Sent { said } => (Fate::Sent, said),
        Outcome::Retry { said, .. } | Outcome::Refused { said } => (Fate::Refused, said),
    };
    let busy = Busy {
        ids: Vec::new(),
        made_at: now.wall,
        since: now.boot,
        message: Message { occasion: Occasion::Test, ..message.clone() },
        untold: None,
        again: false,
    };
    lane::row(name, &busy, fate, said.clone(), 1, now)
}

/// Boot times of the messages of the last hour.
type Sent = VecDeque<i64>;

#[cfg(test)]
mod tests;
