//! alert: decides which judged alerts are written and told. It compares the alerts that fire with the
//! messages that were sent, and not only changes: an alert that was withheld is told when the reason has
//! gone, if it still fires. A pass depends on the alerts, the file and the time, so the pass after a kill
//! comes to the same result.

use std::collections::{HashMap, HashSet};

use jiff::tz::TimeZone;

use super::message::{Beside, note};
use super::peace::{Causes, Peace, Withheld, fires, host_of, next_reminder};
use super::record::{Extra, Record};
use super::silence::Silence;
use super::{Change, Instance, State, Turn};
use crate::model::unit::duration;
use crate::model::{Event, Labels, Severity, Unit};
use crate::notify::{Note, Occasion};
use crate::store::{AckRow, AlertOp, AlertStore, SilenceRow};

/// What others know of alerts and their rules.
pub trait Facts {
    /// What the values of the alert are measured in.
    fn unit(&self, alert: &Instance) -> Unit;
    /// Whether they are an amount: of a yes or no nobody wants to read the number.
    fn measured(&self, alert: &Instance) -> bool;
    /// The names (in the file) of the channels that are told.
    fn to(&self, alert: &Instance) -> Vec<String>;
    /// Whether it just happens, so that no message says that it is over.
    fn once(&self, alert: &Instance) -> bool;
    /// What is to be known at the breach: processes, log, chart. Called once an episode.
    fn extra(&mut self, alert: &Instance) -> Extra;
}

/// What was judged at one moment.
#[derive(Debug)]
pub struct Judged<'j> {
    /// The time of the newest sample that was judged, ms since 1970 UTC.
    pub at: i64,
    /// The present, ms since 1970 UTC.
    pub now: i64,
    /// All alerts that are open: pending, firing, recovering, without data, flapping.
    pub open: Vec<&'j Instance>,
    /// What happened, in its order.
    pub changes: &'j [Change],
}

/// What comes of a pass.
#[derive(Debug, Default)]
pub struct Pass {
    /// For the file, in one transaction with the notes.
    pub ops: Vec<AlertOp>,
    /// For the channels.
    pub notes: Vec<Note>,
    /// Of what nobody is told, and why, by fingerprint.
    pub withheld: Vec<(u64, Withheld)>,
}

/// See the module.
#[derive(Debug)]
pub struct Teller {
    here: String,
    zone: fn() -> TimeZone,
    /// Silences, quiet hours, farewells.
    pub peace: Peace,
    known: HashMap<u64, Record>,
    acks: HashMap<u64, AckRow>,
    last_silence: i64,
}

/// One pass at work.
struct Work<'w, 'j> {
    judged: &'w Judged<'j>,
    causes: Causes<'w>,
    firing: Vec<&'w Instance>,
    out: Pass,
}

impl Teller {
    /// Goes on where the process before stopped. `here` is this machine's name; `zone` gives the zone of
    /// windows that name none, and is asked only for these, because the list of all zones is large. The open alerts come back for the judge.
    pub fn load(here: &str, zone: fn() -> TimeZone, stored: &AlertStore) -> (Self, Vec<Instance>) {
        let known: HashMap<u64, Record> = (stored.open.iter())
            .filter_map(|row| Some((row.fingerprint, Record::of_row(row)?)))
            .collect();
        let open = known.values().map(|record| record.alert.clone()).collect();
        let silences = (stored.silences.iter())
            .filter_map(|row| Silence::new(row.clone(), &zone()).ok())
            .collect();
        let teller = Self {
            here: here.to_owned(),
            peace: Peace { silences, ..Peace::default() },
            zone,
            known,
            acks: stored.acks.iter().map(|ack| (ack.fingerprint, ack.clone())).collect(),
            last_silence: stored.silences.iter().map(|row| row.id).max().unwrap_or(0),
        };
        (teller, open)
    }

    /// Judged alerts -> rows, and what is to be told.
    pub fn pass(&mut self, judged: &Judged<'_>, facts: &mut dyn Facts) -> Pass {
        let here = self.here.clone();
        let firing: Vec<&Instance> = judged.open.iter().copied().filter(|a| fires(a)).collect();
        let causes = Causes::of(judged.open.iter().copied(), &here);
        let mut work = Work { judged, causes, firing, out: Pass::default() };
        let mut there: HashSet<u64> = HashSet::new();
        for change in judged.changes {
            self.happened(change, &mut work);
            match change.turn {
                Turn::Fires | Turn::Rises | Turn::Flaps => {
                    self.consider(&change.alert, Some(change.turn), &mut work, facts);
                }
                Turn::Resolves | Turn::Gone => {
                    let remark = if change.turn == Turn::Gone {
                        "Nothing was measured of it for a day."
                    } else {
                        ""
                    };
                    self.over(&change.alert, remark, &mut work, facts);
                }
            }
        }
        for alert in &judged.open {
            if matches!(alert.state, State::Inactive | State::Resolved) {
                continue;
            }
            there.insert(alert.fingerprint);
            self.consider(alert, None, &mut work, facts);
        }
        let gone: Vec<Instance> = (self.known.iter())
            .filter(|(fingerprint, _)| !there.contains(fingerprint))
            .map(|(_, record)| record.alert.clone())
            .collect();
        for mut alert in gone {
            if alert.fired_at.is_some() {
                alert.resolved_at = Some(judged.at);
                alert.state = State::Resolved;
                self.over(&alert, "Its rule is not judged any more.", &mut work, facts);
            } else {
                self.known.remove(&alert.fingerprint);
                work.out.ops.push(AlertOp::Forget(alert.fingerprint));
            }
        }
        let mut out = work.out;
        out.ops.push(AlertOp::JudgedUntil(judged.at));
        out
    }

    /// An open alert: what is told of it, and its row if that is another one.
    fn consider(
        &mut self,
        alert: &Instance,
        turn: Option<Turn>,
        work: &mut Work<'_, '_>,
        facts: &mut dyn Facts,
    ) {
        let before = self.known.get(&alert.fingerprint);
        // Another episode of it: the one before ended unseen.
        let before =
            before.filter(|b| b.alert.fired_at.is_none() || b.alert.fired_at == alert.fired_at);
        let mut record = before.cloned().unwrap_or_else(|| Record::new(alert.clone()));
        let changed = before.is_none_or(|b| b.alert != *alert);
        record.alert.clone_from(alert);
        let told = fires(alert) && self.tell(&mut record, turn, work, facts);
        if changed || told {
            work.out.ops.push(AlertOp::Put(record.row()));
            self.known.insert(alert.fingerprint, record);
        }
    }

    /// Tells of an alert that fires, if there is anything to tell. True: the record is another one.
    fn tell(
        &self,
        record: &mut Record,
        turn: Option<Turn>,
        work: &mut Work<'_, '_>,
        facts: &mut dyn Facts,
    ) -> bool {
        let alert = record.alert.clone();
        let now = work.judged.now;
        let mut changed = false;
        if record.extra.is_none() {
            record.extra = Some(facts.extra(&alert));
            changed = true;
        }
        let worse = record.told.severity.is_none_or(|told| told < alert.severity);
        let flaps = turn == Some(Turn::Flaps) && !record.told.flaps;
        let reminded = !worse && !flaps && self.reminds(record, now);
        if !(worse || flaps || reminded) {
            return changed;
        }
        let mut not_before = 0;
        match self.peace.withholds(&alert, &work.causes, now) {
            None => {}
            // Of what is quiet nobody is reminded; the rest waits in the outbox.
            Some(Withheld::Quiet { .. }) if reminded => return changed,
            Some(Withheld::Quiet { until }) => {
                work.out.withheld.push((alert.fingerprint, Withheld::Quiet { until }));
                not_before = until;
            }
            Some(why) => {
                let remark = why.remark();
                changed |= worse && record.told.at.is_none() && record.told.withheld != remark;
                if worse && record.told.at.is_none() {
                    record.told.withheld = remark;
                }
                work.out.withheld.push((alert.fingerprint, why));
                return changed;
            }
        }
        let to = if record.told.to.is_empty() { facts.to(&alert) } else { record.told.to.clone() };
        let remark = remark_of(record, flaps, now);
        let occasion = if reminded { Occasion::Reminder } else { Occasion::Fire };
        let (unit, measured) = (facts.unit(&alert), facts.measured(&alert));
        let beside = Beside { here: &self.here, unit: &unit, measured, now, firing: &work.firing };
        let mut note = note(occasion, record, beside, remark, to.clone());
        note.not_before = not_before;
        if !to.is_empty() {
            work.out.notes.push(note);
        }
        let told = &mut record.told;
        told.to = to;
        told.withheld.clear();
        told.flaps |= flaps;
        if reminded {
            told.reminders += 1;
        } else {
            (told.at, told.reminders) = (Some(now), 0);
        }
        told.severity = told.severity.max(Some(alert.severity));
        true
    }

    fn reminds(&self, record: &Record, now: i64) -> bool {
        let alert = &record.alert;
        let acked = |ack: &AckRow| alert.fired_at == Some(ack.fired_at);
        if alert.state == State::NoData || self.acks.get(&alert.fingerprint).is_some_and(acked) {
            return false;
        }
        (record.told.at)
            .and_then(|at| next_reminder(alert.severity, at, record.told.reminders))
            .is_some_and(|next| now >= next)
    }

    /// It is over. Those who were told that it fires are told that.
    fn over(
        &mut self,
        alert: &Instance,
        remark: &str,
        work: &mut Work<'_, '_>,
        facts: &mut dyn Facts,
    ) {
        let mut record =
            self.known.remove(&alert.fingerprint).unwrap_or_else(|| Record::new(alert.clone()));
        record.alert.clone_from(alert);
        record.alert.resolved_at = alert.resolved_at.or(Some(work.judged.at));
        record.alert.state = State::Resolved;
        if record.alert.text.is_empty() {
            record.alert.text.clone_from(&record.alert.rule);
        }
        self.acks.remove(&alert.fingerprint);
        if !record.told.to.is_empty() && !facts.once(alert) {
            let (unit, measured) = (facts.unit(alert), facts.measured(alert));
            let now = work.judged.now;
            let beside =
                Beside { here: &self.here, unit: &unit, measured, now, firing: &work.firing };
            let to = record.told.to.clone();
            let mut note = note(Occasion::Over, &record, beside, remark.to_owned(), to);
            if let Some(quiet) = &self.peace.quiet {
                note.not_before = quiet.until(alert.severity, now).unwrap_or(0);
            }
            work.out.notes.push(note);
        }
        work.out.ops.push(AlertOp::Put(record.row()));
    }

    /// Writes the change to the event log, no matter who is told.
    fn happened(&self, change: &Change, work: &mut Work<'_, '_>) {
        let alert = &change.alert;
        let host = host_of(alert, &self.here);
        let (level, title) = match change.turn {
            Turn::Resolves | Turn::Gone => {
                let since = alert.fired_at.unwrap_or(alert.active_at);
                ("success", format!("over after {}: {}", duration(change.at - since), alert.rule))
            }
            Turn::Flaps => (level(alert.severity), format!("{} (comes and goes)", alert.text)),
            Turn::Fires | Turn::Rises => (level(alert.severity), alert.text.clone()),
        };
        let tags = alert.labels.iter().chain([("alertname", alert.rule.as_str())]);
        work.out.ops.push(AlertOp::Event(Event {
            ts: change.at,
            system: (host != self.here).then(|| host.into()),
            kind: "alert",
            level,
            title: if title.is_empty() { alert.rule.as_str().into() } else { title.into() },
            text: "".into(),
            tags: Labels::new(tags),
            priority: "normal",
            source: "plimsoll".into(),
        }));
    }

    /// A new silence: from `now` on (ms since 1970 UTC) for `for_ms`, or in a weekly window, or until
    /// somebody ends it. An error says what cannot be read.
    pub fn silence(
        &mut self,
        what: &str,
        every: &str,
        for_ms: Option<i64>,
        (who, why): (&str, &str),
        now: i64,
    ) -> Result<(SilenceRow, AlertOp), String> {
        super::silence::check_length("what is to be silent", what)?;
        super::silence::check_length("the person", who)?;
        super::silence::check_length("the reason", why)?;
        self.peace.silences.retain(|s| s.row.ends_at.is_none_or(|ends| ends > now));
        if self.peace.silences.len() >= super::silence::MOST {
            return Err(format!(
                "there are {} silences already; end some of them (`plimsoll silence` lists them)",
                super::silence::MOST
            ));
        }
        let row = SilenceRow {
            id: self.last_silence + 1,
            what: what.trim().to_owned(),
            every: every.trim().to_owned(),
            starts_at: now,
            ends_at: for_ms.map(|ms| now.saturating_add(ms)),
            who: who.to_owned(),
            why: why.to_owned(),
        };
        let silence = Silence::new(row.clone(), &(self.zone)())?;
        self.last_silence = row.id;
        self.peace.silences.push(silence);
        Ok((row.clone(), AlertOp::Silence(row)))
    }

    /// Ends a silence now. Nothing: there is none of this number that has not ended.
    pub fn end_silence(&mut self, id: i64, now: i64) -> Option<AlertOp> {
        let silence = self.peace.silences.iter_mut().find(|s| s.row.id == id)?;
        if silence.row.ends_at.is_some_and(|ends| ends <= now) {
            return None;
        }
        silence.row.ends_at = Some(now);
        Some(AlertOp::EndSilence { id, at: now })
    }

    /// Acknowledges the alerts that fire and are meant: by the beginning of the fingerprint, or as
    /// [`What::parse`](super::silence::What::parse) reads it. Their sentences, and what is to be written.
    /// An error says that there is none.
    pub fn ack(
        &mut self,
        which: &str,
        (who, why): (&str, &str),
        now: i64,
    ) -> Result<(Vec<String>, Vec<AlertOp>), String> {
        super::silence::check_length("the alert", which)?;
        super::silence::check_length("the person", who)?;
        super::silence::check_length("the reason", why)?;
        let what = super::silence::What::parse(which)?;
        let is_id = which.len() >= 4 && which.chars().all(|c| c.is_ascii_hexdigit());
        let meant = |record: &&Record| {
            let id = format!("{:016x}", record.alert.fingerprint);
            let named = is_id && id.starts_with(&which.to_ascii_lowercase());
            named || what.matches(&record.alert, host_of(&record.alert, &self.here))
        };
        let rows: Vec<(String, AckRow)> = (self.known.values())
            .filter(|record| fires(&record.alert))
            .filter(meant)
            .filter_map(|record| {
                let row = AckRow {
                    fingerprint: record.alert.fingerprint,
                    fired_at: record.alert.fired_at?,
                    at: now,
                    who: who.to_owned(),
                    why: why.to_owned(),
                };
                Some((record.alert.text.clone(), row))
            })
            .collect();
        if rows.is_empty() {
            return Err(format!(
                "no alert that fires is meant by `{which}`; `plimsoll alert` lists them"
            ));
        }
        let mut out = (Vec::new(), Vec::new());
        for (text, row) in rows {
            self.acks.insert(row.fingerprint, row.clone());
            out.0.push(text);
            out.1.push(AlertOp::Ack(row));
        }
        Ok(out)
    }

    /// The acknowledgement of an alert, while it stands.
    pub fn acked(&self, alert: &Instance) -> Option<&AckRow> {
        self.acks.get(&alert.fingerprint).filter(|ack| alert.fired_at == Some(ack.fired_at))
    }

    /// All that this channel was told to fire, and that still does: for a receiver that forgets it.
    pub fn standing(&self, to: &str, judged: &Judged<'_>, facts: &dyn Facts) -> Vec<Note> {
        let firing: Vec<&Instance> = judged.open.iter().copied().filter(|a| fires(a)).collect();
        let told = |record: &&Record| record.told.to.iter().any(|id| id == to);
        let mut records: Vec<&Record> =
            self.known.values().filter(|record| fires(&record.alert)).filter(told).collect();
        records.sort_unstable_by_key(|record| record.alert.fingerprint);
        let one = |record: &Record| {
            let (unit, measured) = (facts.unit(&record.alert), facts.measured(&record.alert));
            let (here, now) = (&*self.here, judged.now);
            let beside = Beside { here, unit: &unit, measured, now, firing: &firing };
            note(Occasion::Reminder, record, beside, String::new(), vec![to.to_owned()])
        };
        records.into_iter().map(one).collect()
    }

    /// The open alerts with what was told of them.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.known.values()
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Bad => "error",
    }
}

/// What the message says besides.
fn remark_of(record: &Record, flaps: bool, now: i64) -> String {
    let told = &record.told;
    if flaps {
        return "It comes and goes: no more is told before it has been quiet for long.".to_owned();
    }
    match (told.severity, told.at) {
        (Some(before), Some(at)) if before < record.alert.severity => {
            format!("It was told as {} {} ago.", before.word(), duration(now - at))
        }
        _ => told.withheld.clone(),
    }
}

#[cfg(test)]
mod tests;
