//! notify: the queue of one channel.

use std::collections::HashMap;
use std::time::Duration;

use super::super::{Message, Note, Occasion, Outcome};
use super::pace::{self, HOUR_MS, MINUTE_MS};
use super::{Fate, MOST_BYTES, MOST_HOSTS, MOST_WAITING, Name, Sent, Settings, Step};
use crate::model::Severity;
use crate::model::unit::duration;
use crate::store::{AlertOp, OutboxRow, Times, ToldRow};

/// A message that waits for longer is trouble.
const PATIENCE_MS: i64 = 10 * MINUTE_MS;

/// One change that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) note: Note,
    /// When it came, ms since boot.
    pub(super) added: i64,
}

/// A message on its way.
#[derive(Debug)]
pub(super) struct Busy {
    pub(super) ids: Vec<i64>,
    pub(super) made_at: i64,
    pub(super) since: i64,
    pub(super) message: Message,
    /// What it says of alerts that could not be told.
    pub(super) untold: Option<(u64, i64, i64)>,
    /// It says what was said before: it stands in no outbox.
    pub(super) again: bool,
}

/// What is due, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// When, ms since boot.
    pub(super) at: i64,
    /// The change that decides it.
    first: i64,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: Name,
    pub(super) waiting: Vec<Entry>,
    /// What fires, for a receiver that forgets it: a message a machine. Only in memory.
    pub(super) again: Vec<Message>,
    pub(super) busy: Option<Busy>,
    pub(super) held_after: Option<i64>,
    /// Alerts that began and ended and were not told: how many, from when, until when.
    pub(super) untold: Option<(u64, i64, i64)>,
    /// What it says of every message since.
    pub(super) parked: Option<String>,
    pub(super) last_words: Option<(i64, String)>,
    attempts: u32,
    refusals: u32,
    /// Not before this, ms since boot.
    next: i64,
    /// The receiver asked for that.
    asked: bool,
    /// Since when nothing gets through, ms since boot.
    failing: Option<i64>,
    sent: Sent,
    /// What was due at this time need not keep the distance: it is of another machine.
    round: i64,
    /// What was told of an alert, and when, ms since boot.
    told: HashMap<String, (Severity, i64)>,
}

impl Lane {
    pub(super) fn new(name: Name, told: &[ToldRow], now: Times) -> Self {
        let ours = || told.iter().filter(|row| row.channel == name.id);
        let boot = |row: &ToldRow| now.boot - (now.wall - row.at).max(0);
        let mut sent: Sent = (ours().filter(|row| row.result == Fate::Sent.word()))
            .map(boot)
            .filter(|at| now.boot - at < HOUR_MS)
            .collect();
        sent.make_contiguous().sort_unstable();
        let untold = (ours().take_while(|row| row.result != Fate::Sent.word()))
            .filter(|row| [Fate::Expired.word(), Fate::Dropped.word()].contains(&&*row.result))
            .fold(None, |all, row| {
                let counts =
                    row.result != Fate::Expired.word() || row.occasion != Occasion::Over.word();
                add_untold(all, row.made_at, counts)
            });
        let parked = (ours().find(|row| row.occasion != Occasion::Test.word()))
            .filter(|row| row.result == Fate::Refused.word())
            .map(|row| row.said.clone());
        Self {
            refusals: if parked.is_some() { pace::REFUSALS } else { 0 },
            waiting: Vec::new(),
            again: Vec::new(),
            busy: None,
            held_after: None,
            untold,
            parked,
            last_words: None,
            attempts: 0,
            next: i64::MIN,
            asked: false,
            failing: None,
            sent,
            round: i64::MIN,
            told: HashMap::new(),
            name,
        }
    }

    /// This channel after the configuration was read again.
    pub(super) fn again(self, name: Name) -> Self {
        Self { name, busy: None, again: Vec::new(), held_after: None, ..self }
    }

    /// A change of the process before.
    pub(super) fn load(&mut self, row: &OutboxRow, note: Note, now: Times) {
        if row.attempts > 0 {
            self.attempts = self.attempts.max(row.attempts);
            // The clock may have been set meanwhile.
            let left = (row.due_at - now.wall).clamp(0, HOUR_MS);
            self.next = self.next.max(now.boot + left);
            self.failing = Some(now.boot);
            self.last_words = Some((now.boot, row.said.clone()));
        }
        self.waiting.push(Entry { id: row.id, note, added: now.boot });
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() > MOST_WAITING
            || self.waiting.iter().map(|e| e.note.bytes()).sum::<usize>() > MOST_BYTES
    }

    /// Whether it is on its way.
    fn flies(&self, id: i64) -> bool {
        self.busy.as_ref().is_some_and(|busy| busy.ids.contains(&id))
    }

    fn is_urgent(&self, note: &Note, now: Times) -> bool {
        let lately = self.told.get(&note.alert.fingerprint);
        let lately = lately.filter(|(_, at)| now.boot - at < HOUR_MS);
        note.urgent && lately.is_none_or(|(severity, _)| *severity < note.severity)
    }

    /// From when on it may be sent, ms since boot, but for the distance from the message before.
    fn ready(&self, entry: &Entry, now: Times, settings: &Settings) -> i64 {
        let wait = if self.is_urgent(&entry.note, now) { 0 } else { settings.group_wait_ms };
        let quiet = (entry.note.not_before - now.wall).max(0);
        if quiet > 0 { now.boot + quiet } else { entry.added + wait }
    }

    pub(super) fn due(&self, now: Times, settings: &Settings) -> Option<Due> {
        if self.busy.is_some() {
            return None;
        }
        let lately = self.sent.iter().filter(|at| now.boot - **at < HOUR_MS).count();
        let held = |entry: &&Entry| self.held_after.is_none_or(|last| entry.id <= last);
        (self.waiting.iter().filter(held))
            .map(|entry| {
                let ready = self.ready(entry, now, settings);
                let gap = pace::gap(self.is_urgent(&entry.note, now), lately);
                let apart = self.sent.back().map_or(i64::MIN, |last| last.saturating_add(gap));
                let at = if ready <= self.round { ready } else { ready.max(apart) };
                Due { at: at.max(self.next), first: entry.id }
            })
            .min_by_key(|due| due.at)
    }

    /// What is to be said again now: nothing else is due, and the receiver did not ask to wait.
    pub(super) fn say_again(&mut self, now: Times) -> Option<Message> {
        if self.busy.is_some() || self.asked && self.next > now.boot {
            return None;
        }
        let message = self.again.pop()?;
        self.busy = Some(Busy {
            ids: Vec::new(),
            made_at: message.at,
            since: now.boot,
            message: message.clone(),
            untold: None,
            again: true,
        });
        Some(message)
    }

    /// What was said again was heard, or not: an attempt that nobody waits for.
    pub(super) fn said_again(&mut self, busy: &Busy, outcome: Outcome, now: Times) {
        match outcome {
            Outcome::Sent { .. } => {
                (self.failing, self.parked, self.last_words) = (None, None, None);
                self.refusals = 0;
                self.try_now(now);
            }
            Outcome::Retry { said, .. } | Outcome::Refused { said } => {
                self.failing.get_or_insert(busy.since);
                self.last_words = Some((now.boot, said));
                self.again.clear();
            }
        }
    }

    /// What goes into the message: all of that machine, or of all machines when they are many or the
    /// channel gets digests.
    pub(super) fn batch(&mut self, due: Due, now: Times) -> Vec<i64> {
        while self.sent.front().is_some_and(|at| now.boot - at >= HOUR_MS) {
            self.sent.pop_front();
        }
        self.told.retain(|_, (_, at)| now.boot - *at < HOUR_MS);
        let held = self.held_after;
        let may =
            |e: &&Entry| e.note.not_before <= now.wall && held.is_none_or(|last| e.id <= last);
        let all = || self.waiting.iter().filter(may);
        let mut hosts: Vec<&str> = all().map(|e| e.note.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let together = hosts.len() > MOST_HOSTS || self.sent.len() >= pace::MOST_AN_HOUR;
        let host = all().find(|e| e.id == due.first).map(|e| e.note.host.clone());
        let ids: Vec<i64> = all()
            .filter(|e| together || Some(&e.note.host) == host.as_ref())
            .map(|e| e.id)
            .collect();
        if due.at > self.round {
            self.round = now.boot;
        }
        ids
    }

    /// Removes them.
    pub(super) fn take(&mut self, ids: &[i64]) -> Vec<Entry> {
        let (gone, stay) =
            std::mem::take(&mut self.waiting).into_iter().partition(|e| ids.contains(&e.id));
        self.waiting = stay;
        gone
    }

    pub(super) fn told(&self, busy: &Busy, fate: Fate, said: String, now: Times) -> ToldRow {
        row(&self.name, busy, fate, said, self.attempts + 1, now)
    }

    pub(super) fn sent(&mut self, busy: &Busy, now: Times) {
        for entry in self.take(&busy.ids) {
            self.told.insert(entry.note.alert.fingerprint, (entry.note.severity, now.boot));
        }
        self.sent.push_back(now.boot);
        (self.attempts, self.refusals, self.next) = (0, 0, i64::MIN);
        (self.asked, self.failing, self.parked) = (false, None, None);
        if self.untold == busy.untold {
            self.untold = None;
        }
        self.last_words = None;
    }

    pub(super) fn retry(
        &mut self,
        busy: &Busy,
        said: String,
        after: Option<Duration>,
        now: Times,
        step: &mut Step,
    ) {
        self.attempts += 1;
        self.asked = after.is_some();
        self.wait(busy, pace::pause(self.attempts, after, &self.name.id), said, now, step);
    }

    /// True: it is not tried again.
    pub(super) fn refused(&mut self, busy: &Busy, said: &str, now: Times, step: &mut Step) -> bool {
        self.refusals += 1;
        // It may have been mended since the last message; then this one was taken.
        match pace::refused_pause(self.refusals).filter(|_| self.parked.is_none()) {
            Some(pause) => {
                self.attempts += 1;
                self.asked = true;
                self.wait(busy, pause, said.to_owned(), now, step);
                false
            }
            None => {
                self.last_words = Some((now.boot, said.to_owned()));
                self.next = i64::MIN;
                true
            }
        }
    }

    /// Whether it refuses for the first time. Remembers that it does.
    pub(super) fn refusal_is_news(&mut self) -> bool {
        let said = self.last_words.as_ref().map_or_else(String::new, |(_, said)| said.clone());
        self.attempts = 0;
        self.failing = None;
        self.parked.replace(said).is_none()
    }

    fn wait(&mut self, busy: &Busy, pause: i64, said: String, now: Times, step: &mut Step) {
        self.next = now.boot + pause;
        self.failing.get_or_insert(busy.since);
        self.last_words = Some((now.boot, said.clone()));
        step.ops.push(AlertOp::Tried {
            ids: busy.ids.clone(),
            attempts: self.attempts,
            due_at: now.wall + pause,
            said,
        });
    }

    /// Something got through elsewhere.
    pub(super) fn try_now(&mut self, now: Times) {
        if self.attempts > 0 && !self.asked {
            self.next = self.next.min(now.boot);
        }
    }

    /// Takes alerts out that were over before `until` and of which nothing was told; also reminders that
    /// old. True: there were some.
    pub(super) fn expire(&mut self, now: Times, until: i64, at: usize, step: &mut Step) -> bool {
        let over: Vec<i64> = (self.waiting.iter())
            .filter(|e| e.note.at < until && !self.flies(e.id))
            .filter(|e| match e.note.occasion {
                Occasion::Over => self.of_episode(e).any(|o| o.note.occasion == Occasion::Fire),
                Occasion::Reminder => self.of_episode(e).any(|o| o.id > e.id),
                _ => false,
            })
            .map(|e| e.id)
            .collect();
        let mut ids: Vec<i64> = Vec::new();
        for entry in self.waiting.iter().filter(|e| over.contains(&e.id)) {
            match entry.note.occasion {
                Occasion::Over => ids.extend(self.of_episode(entry).map(|e| e.id)),
                _ => ids.push(entry.id),
            }
        }
        ids.retain(|id| !self.flies(*id));
        self.give_up(&ids, Fate::Expired, "nobody could be told in time", now, at, step)
    }

    fn of_episode<'l>(&'l self, entry: &'l Entry) -> impl Iterator<Item = &'l Entry> {
        self.waiting.iter().filter(|e| e.note.episode() == entry.note.episode())
    }

    /// Takes the mildest and oldest out. False: there is none that can go.
    pub(super) fn drop_least(&mut self, now: Times, at: usize, step: &mut Step) -> bool {
        let least = (self.waiting.iter())
            .filter(|e| !self.flies(e.id))
            .min_by_key(|e| (e.note.severity, e.id))
            .map(|e| e.id);
        let why = "too many changes waited for this channel";
        least.is_some_and(|id| self.give_up(&[id], Fate::Dropped, why, now, at, step))
    }

    fn give_up(
        &mut self,
        ids: &[i64],
        fate: Fate,
        why: &str,
        now: Times,
        at: usize,
        step: &mut Step,
    ) -> bool {
        let gone = self.take(ids);
        for entry in &gone {
            let counts = fate != Fate::Expired || entry.note.occasion != Occasion::Over;
            self.untold = add_untold(self.untold, entry.note.at, counts);
            let row = of_note(&self.name, &entry.note, fate, why, self.attempts, now);
            step.ops.push(AlertOp::Told { ids: vec![entry.id], row });
            step.fates.push((at, fate));
        }
        !gone.is_empty()
    }

    pub(super) fn waits(&self, now: Times, settings: &Settings) -> (usize, i64) {
        let since = self.waiting.iter().map(|e| now.boot - self.ready(e, now, settings)).max();
        (self.waiting.len(), since.unwrap_or(0).max(0))
    }

    pub(super) fn trouble(&self, now: Times) -> Option<String> {
        let shown = &self.name.shown;
        if let Some(said) = &self.parked {
            return Some(format!(
                "{shown} refused: {said}; put it right, then try it with `plimsoll alert test`"
            ));
        }
        let since = self.failing.or(self.busy.as_ref().map(|busy| busy.since))?;
        let waited = now.boot - since;
        if waited <= PATIENCE_MS {
            return None;
        }
        let said = self.last_words.as_ref().map_or("it does not answer", |(_, said)| said.as_str());
        Some(format!("a message to {shown} has waited for {}: {said}", duration(waited)))
    }
}

/// The end of an alert that began before is not counted once more.
fn add_untold(before: Option<(u64, i64, i64)>, at: i64, counts: bool) -> Option<(u64, i64, i64)> {
    let (count, from, to) = before.unwrap_or((0, at, at));
    Some((count + u64::from(counts), from.min(at), to.max(at)))
}

pub(super) fn row(
    name: &Name,
    busy: &Busy,
    fate: Fate,
    said: String,
    attempts: u32,
    now: Times,
) -> ToldRow {
    let message = &busy.message;
    ToldRow {
        channel: name.id.clone(),
        shown: name.shown.clone(),
        made_at: busy.made_at,
        at: now.wall,
        severity: message.severity,
        occasion: message.occasion.word().to_owned(),
        host: message.host.clone(),
        key: message.key.clone(),
        title: message.title.clone(),
        text: message.lines.join("\n"),
        result: fate.word().to_owned(),
        said,
        attempts,
    }
}

fn of_note(name: &Name, note: &Note, fate: Fate, why: &str, attempts: u32, now: Times) -> ToldRow {
    ToldRow {
        channel: name.id.clone(),
        shown: name.shown.clone(),
        made_at: note.at,
        at: now.wall,
        severity: note.severity,
        occasion: note.occasion.word().to_owned(),
        host: note.host.clone(),
        key: String::new(),
        title: note.text.clone(),
        text: String::new(),
        result: fate.word().to_owned(),
        said: why.to_owned(),
        attempts,
    }
}

fn of_row(row: &OutboxRow, why: &str, now: Times) -> AlertOp {
    let told = ToldRow {
        channel: row.channel.clone(),
        shown: row.shown.clone(),
        made_at: row.made_at,
        at: now.wall,
        severity: row.severity,
        occasion: row.occasion.clone(),
        host: row.host.clone(),
        key: String::new(),
        title: row.title.clone(),
        text: String::new(),
        result: Fate::Dropped.word().to_owned(),
        said: why.to_owned(),
        attempts: row.attempts,
    };
    AlertOp::Told { ids: vec![row.id], row: told }
}

/// A row that somebody else wrote.
pub(super) fn unreadable(row: &OutboxRow, now: Times) -> AlertOp {
    of_row(row, "its text cannot be read", now)
}

/// A change for a channel that is not configured any more, and that all others know.
pub(super) fn orphan(row: &OutboxRow, now: Times) -> AlertOp {
    of_row(row, "the channel is not configured any more", now)
}
