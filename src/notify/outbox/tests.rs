//! notify: nothing is lost and nobody is flooded, whatever fails and whenever the process is killed. The
//! outbox works with a clock set by hand, over a database in a file.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::compose::tests::{MINUTE, NIGHT, note};
use super::*;
use crate::model::Severity;
use crate::store::Store;

const SECOND: i64 = 1_000;
const HOUR: i64 = 60 * MINUTE;

/// What a receiver got: when, by which channel, the key and the message.
#[derive(Debug, Clone)]
struct Got {
    at: i64,
    lane: usize,
    message: Message,
}

type Receiver<'r> = Box<dyn FnMut(usize, &Message, i64) -> Outcome + 'r>;

struct Rig<'r> {
    _folder: tempfile::TempDir,
    store: Store,
    outbox: Outbox,
    names: Vec<Name>,
    receiver: Receiver<'r>,
    now: i64,
    attempts: Vec<(i64, usize)>,
    got: Vec<Got>,
    /// The process ends at this step.
    kill_at: Option<usize>,
    steps: usize,
    fates: BTreeMap<&'static str, usize>,
}

fn names(count: usize) -> Vec<Name> {
    ["a", "b", "c"][..count]
        .iter()
        .map(|id| Name { id: (*id).to_owned(), shown: format!("ntfy:{id}") })
        .collect()
}

fn settings() -> Settings {
    Settings { zone: || TimeZone::UTC, group_wait_ms: 10 * SECOND }
}

fn sent() -> Outcome {
    Outcome::Sent { said: "200".into() }
}

fn retry() -> Outcome {
    Outcome::Retry { said: "no route to host".into(), after: None }
}

fn refused() -> Outcome {
    Outcome::Refused { said: "535 wrong password".into() }
}

impl<'r> Rig<'r> {
    fn new(channels: usize, receiver: impl FnMut(usize, &Message, i64) -> Outcome + 'r) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.sqlite");
        let store = Store::open(&path, "web1", Arc::default()).expect("opens");
        let names = names(channels);
        let now = Times { wall: NIGHT, boot: 0 };
        let (outbox, _) = Outbox::new(names.clone(), &AlertStore::default(), now, settings());
        Self {
            _folder: folder,
            store,
            outbox,
            names,
            receiver: Box::new(receiver),
            now: 0,
            attempts: Vec::new(),
            got: Vec::new(),
            kill_at: None,
            steps: 0,
            fates: BTreeMap::new(),
        }
    }

    fn times(&self) -> Times {
        Times { wall: NIGHT + self.now, boot: self.now }
    }

    /// Whether the process ends here: then another one goes on with what is in the file.
    fn killed(&mut self) -> bool {
        self.steps += 1;
        if self.kill_at != Some(self.steps - 1) {
            return false;
        }
        self.reload();
        true
    }

    fn reload(&mut self) {
        let stored = self.store.alerts().expect("reads");
        let (outbox, step) = Outbox::new(self.names.clone(), &stored, self.times(), settings());
        self.outbox = outbox;
        self.keep(step);
    }

    fn keep(&mut self, step: Step) {
        for (_, fate) in &step.fates {
            *self.fates.entry(fate.word()).or_default() += 1;
        }
        self.store.commit_with(&[], &[], &[], &step.ops).expect("commits");
    }

    fn add(&mut self, notes: &[Note]) {
        loop {
            let at = NIGHT + self.now;
            let notes = notes.iter().map(|n| Note { at, ..n.clone() }).collect();
            let step = self.outbox.add(notes, self.times());
            // Before the commit: what was judged is judged again.
            if self.killed() {
                continue;
            }
            self.keep(step);
            let _after_the_commit = self.killed();
            return;
        }
    }

    /// Time passes until then, ms after the start.
    fn until(&mut self, end: i64) {
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 100_000, "it comes to an end");
            let (jobs, step) = self.outbox.take_due(self.times());
            self.keep(step);
            if jobs.is_empty() {
                match self.outbox.next_due(self.times()) {
                    Some(due) if due < end => self.now = due.max(self.now + 1),
                    _ => break,
                }
            }
            for job in jobs {
                // Before anything is sent.
                if self.killed() {
                    break;
                }
                self.attempts.push((self.now, job.lane));
                let outcome = (self.receiver)(job.lane, &job.message, self.now);
                if matches!(outcome, Outcome::Sent { .. }) {
                    self.got.push(Got { at: self.now, lane: job.lane, message: job.message });
                }
                // The receiver has it, and nobody here knows.
                if self.killed() {
                    break;
                }
                let step = self.outbox.finish(job.lane, outcome, self.times());
                // It is known, and not in the file.
                if self.killed() {
                    break;
                }
                self.keep(step);
                // It is in the file.
                if self.killed() {
                    break;
                }
            }
        }
        self.now = end;
    }

    /// Titles as a receiver that drops second copies has them.
    fn read(&self, lane: usize) -> Vec<String> {
        let mut keys = HashSet::new();
        (self.got.iter())
            .filter(|got| got.lane == lane && keys.insert(got.message.key.clone()))
            .map(|got| got.message.title.clone())
            .collect()
    }
}

fn fire(rule: &str, severity: Severity, to: &[&str]) -> Note {
    let text = format!("{rule} is wrong");
    Note {
        severity,
        urgent: severity == Severity::Bad,
        to: to.iter().map(|id| (*id).to_owned()).collect(),
        ..note(Occasion::Fire, rule, &text)
    }
}

fn over(fire: &Note, at: i64) -> Note {
    let mut note = Note { occasion: Occasion::Over, urgent: false, ..fire.clone() };
    note.alert.ends_at = Some(NIGHT + at);
    note.alert.firing = false;
    note
}

/// A warning that ends and something bad that ends, by two channels, of which one fails at first.
fn story(kill_at: Option<usize>) -> (Vec<Vec<String>>, usize, usize) {
    let mut failed = 0;
    let mut rig = Rig::new(2, |lane, _, _| {
        failed += usize::from(lane == 1 && failed < 2);
        if lane == 1 && failed < 2 { retry() } else { sent() }
    });
    rig.kill_at = kill_at;
    let load = fire("load", Severity::Warning, &["a", "b"]);
    let disk = fire("disk", Severity::Bad, &["a", "b"]);
    rig.add(std::slice::from_ref(&load));
    rig.until(4 * MINUTE);
    rig.add(&[over(&load, 4 * MINUTE)]);
    rig.until(20 * MINUTE);
    rig.add(std::slice::from_ref(&disk));
    rig.until(62 * MINUTE);
    rig.add(&[over(&disk, 62 * MINUTE)]);
    rig.until(3 * HOUR);
    assert_eq!(rig.store.alerts().expect("reads").outbox, [], "nothing waits");
    let read = (0..2).map(|lane| rig.read(lane)).collect();
    (read, rig.steps, rig.got.len())
}

#[test]
fn killed_between_any_two_steps_nothing_is_lost() {
    let (wanted, steps, sent) = story(None);
    assert_eq!(wanted[0].len(), 4, "{:?}", wanted[0]);
    assert_eq!(wanted[0], wanted[1]);
    assert_eq!((sent, wanted[0][2].as_str()), (8, "bad: disk on web1 is wrong"));
    let mut copies = 0;
    for kill in 0..steps {
        let (read, _, received) = story(Some(kill));
        assert_eq!(read, wanted, "killed at step {kill}");
        copies += received - sent;
    }
    // Two copies come of each message: killed between the receiver's yes and the commit.
    assert_eq!(copies, 2 * sent);
}

#[test]
fn an_hour_without_network_loses_nothing_and_tells_what_was() {
    let mut rig = Rig::new(1, |_, _, now| if now < HOUR { retry() } else { sent() });
    let (short, long) = (fire("ping", Severity::Bad, &["a"]), fire("disk", Severity::Bad, &["a"]));
    rig.add(std::slice::from_ref(&short));
    rig.until(4 * MINUTE);
    rig.add(&[over(&short, 4 * MINUTE)]);
    rig.until(30 * MINUTE);
    rig.add(&[long]);
    rig.until(2 * HOUR);
    assert_eq!(rig.got.len(), 1, "all that waited is one message");
    let message = &rig.got[0].message;
    assert_eq!(message.title, "bad: disk on web1 is wrong; 1 over");
    assert!(
        message.lines.contains(&"over: ping was wrong from 02:10 to 02:14".to_owned()),
        "{message:?}"
    );
    assert!(message.lines.iter().any(|line| line.contains("late")), "{message:?}");
    assert!(rig.got[0].at < HOUR + 13 * MINUTE, "{:?}", rig.got[0].at);
    let pauses: Vec<i64> = rig.attempts.windows(2).map(|w| (w[1].0 - w[0].0) / SECOND).collect();
    assert_eq!(pauses[..5], [5, 15, 45, 120, 300]);
    assert!(pauses[5..].iter().all(|s| (480..=720).contains(s)), "{pauses:?}");
}

#[test]
fn a_success_elsewhere_is_a_reason_to_try_at_once() {
    let mut rig =
        Rig::new(2, |lane, _, now| if lane == 1 && now < 12 * MINUTE { retry() } else { sent() });
    // Its attempts are at 8 min and at 16 to 20 min.
    rig.add(&[fire("disk", Severity::Bad, &["b"])]);
    rig.until(12 * MINUTE + SECOND);
    assert!(rig.got.is_empty());
    rig.add(&[fire("load", Severity::Bad, &["a"])]);
    rig.until(12 * MINUTE + 3 * SECOND);
    assert_eq!(rig.got.iter().map(|got| got.lane).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn who_asks_to_wait_is_waited_for_up_to_an_hour() {
    for (asked, waited) in [(90, 90), (3 * 3_600, 3_600), (0, 1)] {
        let mut first = true;
        let mut rig = Rig::new(2, move |lane, _, _| {
            if lane == 1 && std::mem::take(&mut first) {
                let after = Some(Duration::from_secs(asked));
                Outcome::Retry { said: "429 slow down".into(), after }
            } else {
                sent()
            }
        });
        rig.add(&[fire("disk", Severity::Bad, &["b"])]);
        rig.until(200);
        // A success elsewhere changes nothing, and neither does a restart.
        rig.add(&[fire("load", Severity::Bad, &["a"])]);
        rig.until(900);
        rig.reload();
        rig.until(2 * HOUR);
        let at: Vec<i64> =
            rig.attempts.iter().filter(|(_, l)| *l == 1).map(|(at, _)| *at).collect();
        assert_eq!(at.len(), 2);
        assert_eq!(at[1] / SECOND, waited, "asked for {asked} s");
    }
}

#[test]
fn who_refuses_is_tried_three_times_and_then_the_next_one_tells_it() {
    let mut rig =
        Rig::new(2, |lane, _, now| if lane == 0 && now < 10 * HOUR { refused() } else { sent() });
    rig.add(&[fire("disk", Severity::Bad, &["a"])]);
    rig.until(HOUR);
    let at: Vec<i64> =
        rig.attempts.iter().filter(|(_, l)| *l == 0).map(|(at, _)| at / MINUTE).collect();
    assert_eq!(at, [0, 10, 30]);
    assert_eq!(rig.read(1), ["bad: disk on web1 is wrong"]);
    let lines = &rig.got[0].message.lines;
    assert!(lines.contains(&"ntfy:a refused this: 535 wrong password".to_owned()), "{lines:?}");
    let trouble = rig.outbox.trouble(0, rig.times()).expect("it is told");
    assert!(trouble.starts_with("ntfy:a refused: 535 wrong password"), "{trouble}");
    // It is still known after a restart: the next message loses no half an hour.
    rig.reload();
    assert!(rig.outbox.trouble(0, rig.times()).is_some());
    rig.add(&[fire("load", Severity::Bad, &["a"])]);
    rig.until(HOUR + MINUTE);
    assert_eq!(rig.read(1).len(), 2);
    let refused = rig.store.alerts().expect("reads").told;
    assert_eq!(refused.iter().filter(|row| row.result == "refused").count(), 2);
    // One that all others know is not told twice; that the channel refuses was told once.
    rig.add(&[fire("swap", Severity::Bad, &["a", "b"])]);
    rig.until(3 * HOUR);
    assert_eq!(rig.read(1).len(), 3, "{:?}", rig.read(1));
    // Mended, it is used again.
    rig.until(10 * HOUR);
    rig.add(&[fire("ping", Severity::Bad, &["a"])]);
    rig.until(11 * HOUR);
    assert_eq!(rig.read(0), ["bad: ping on web1 is wrong"]);
    assert_eq!(rig.outbox.trouble(0, rig.times()), None);
    assert_eq!(rig.store.alerts().expect("reads").outbox, []);
}

#[test]
fn that_a_channel_refuses_is_told_where_all_else_is_known() {
    let mut rig = Rig::new(2, |lane, _, _| if lane == 0 { refused() } else { sent() });
    rig.add(&[fire("disk", Severity::Bad, &["a", "b"])]);
    rig.until(HOUR);
    assert_eq!(
        rig.read(1),
        [
            "bad: disk on web1 is wrong",
            "warning: web1: ntfy:a refuses messages: 535 wrong password"
        ]
    );
    // Where nobody is left, it stands on the board and in the file.
    let mut rig = Rig::new(1, |_, _, _| refused());
    rig.add(&[fire("disk", Severity::Bad, &["a"])]);
    rig.until(HOUR);
    assert!(rig.outbox.trouble(0, rig.times()).is_some());
    let stored = rig.store.alerts().expect("reads");
    assert_eq!((stored.outbox.len(), stored.told[0].result.as_str()), (0, "refused"));
}

#[test]
fn a_channel_that_hangs_delays_no_other() {
    let mut rig = Rig::new(2, |_, _, _| sent());
    rig.add(&[fire("disk", Severity::Bad, &["a", "b"])]);
    let (jobs, _) = rig.outbox.take_due(rig.times());
    assert_eq!(jobs.len(), 2);
    let step = rig.outbox.finish(1, sent(), rig.times());
    rig.keep(step);
    rig.now = 11 * MINUTE;
    rig.add(&[fire("load", Severity::Bad, &["a", "b"])]);
    rig.until(12 * MINUTE);
    assert_eq!(rig.read(1), ["bad: load on web1 is wrong"]);
    assert_eq!(rig.read(0), [""; 0], "it has one message at a time");
    let trouble = rig.outbox.trouble(0, rig.times()).expect("it is told");
    assert_eq!(trouble, "a message to ntfy:a has waited for 12 min: it does not answer");
    assert_eq!(rig.outbox.trouble(1, rig.times()), None);
}

#[test]
fn a_flood_is_one_message() {
    let mut rig = Rig::new(2, |_, _, _| sent());
    let many: Vec<Note> =
        (0..200).map(|n| fire(&format!("disk{n}"), Severity::Warning, &["a", "b"])).collect();
    rig.add(&many);
    rig.until(HOUR);
    assert_eq!(rig.got.len(), 2, "one a channel");
    let message = &rig.got[0].message;
    assert_eq!((rig.got[0].at, message.alerts.len()), (10 * SECOND, 200));
    let bytes = message.title.len() + message.lines.iter().map(|l| l.len() + 1).sum::<usize>();
    assert!(bytes <= 4_096, "{bytes}");
    assert!(rig.store.alerts().expect("reads").outbox.is_empty());
}

#[test]
fn what_is_bad_and_new_is_told_at_once_and_all_else_keeps_its_distance() {
    let mut rig = Rig::new(1, |_, _, _| sent());
    let warn = |name: &str| fire(name, Severity::Warning, &["a"]);
    rig.add(&[warn("one")]);
    rig.until(MINUTE);
    rig.add(&[warn("two")]);
    rig.until(2 * MINUTE);
    rig.add(&[fire("three", Severity::Bad, &["a"])]);
    rig.until(3 * MINUTE);
    let bad = fire("three", Severity::Bad, &["a"]);
    rig.add(&[over(&bad, 3 * MINUTE), bad]);
    rig.until(HOUR);
    let at: Vec<i64> = rig.got.iter().map(|got| got.at / SECOND).collect();
    // The second warning goes with what is bad; the same alert once more keeps the distance.
    assert_eq!(at, [10, 120, 420], "{:?}", rig.read(0));
}

#[test]
fn more_than_ten_messages_an_hour_become_digests() {
    let mut rig = Rig::new(1, |_, _, _| sent());
    for n in 0..180 {
        rig.add(&[Note { host: format!("web{n}"), ..fire("disk", Severity::Bad, &["a"]) }]);
        rig.until((n + 1) * MINUTE);
    }
    rig.until(4 * HOUR);
    let hours: Vec<usize> =
        (0..4).map(|h| rig.got.iter().filter(|got| got.at / HOUR == h).count()).collect();
    // Twelve is one each five minutes.
    assert!(hours[0] <= 20 && hours[1] <= 12 && hours[2] <= 12 && hours[3] <= 1, "{hours:?}");
    assert!(rig.got[15].message.occasion == Occasion::Digest);
    let told: usize = rig.got.iter().map(|got| got.message.alerts.len()).sum();
    assert!(told >= 1, "{told}");
    assert!(rig.store.alerts().expect("reads").outbox.is_empty());
}

#[test]
fn three_days_without_network_are_one_message_with_a_count() {
    let mut rig = Rig::new(1, |_, _, now| if now < 72 * HOUR { retry() } else { sent() });
    for n in 0..60 {
        let one = fire(&format!("disk{n}"), Severity::Warning, &["a"]);
        rig.add(std::slice::from_ref(&one));
        rig.until(n * HOUR + 30 * MINUTE);
        rig.add(&[over(&one, n * HOUR + 30 * MINUTE)]);
        rig.until((n + 1) * HOUR);
        if n % 7 == 0 {
            rig.reload();
        }
    }
    let disk = fire("disk", Severity::Bad, &["a"]);
    rig.add(&[disk]);
    rig.until(80 * HOUR);
    assert_eq!(rig.got.len(), 1);
    let lines = &rig.got[0].message.lines;
    let count =
        lines.iter().find(|line| line.contains("could not be told in time")).expect("it says so");
    // Of 60 that began and ended, those that were over more than a day ago.
    assert!(count.starts_with("48 older alerts"), "{count}");
    assert_eq!(rig.got[0].message.alerts.len(), 13);
    assert_eq!(rig.fates["expired"], 96, "of each the beginning and the end");
    rig.add(&[fire("load", Severity::Bad, &["a"])]);
    rig.until(81 * HOUR);
    let lines = &rig.got[1].message.lines;
    assert!(!lines.iter().any(|line| line.contains("older alerts")), "it is said once: {lines:?}");
}

#[test]
fn what_waits_is_bounded_and_what_goes_is_told() {
    let mut rig = Rig::new(1, |_, _, now| if now < HOUR { retry() } else { sent() });
    rig.add(&[fire("important", Severity::Bad, &["a"])]);
    rig.until(SECOND);
    let many: Vec<Note> =
        (0..700).map(|n| fire(&format!("disk{n}"), Severity::Warning, &["a"])).collect();
    rig.add(&many);
    assert_eq!(rig.outbox.waiting(0, rig.times()).0, MOST_WAITING);
    assert_eq!(rig.store.alerts().expect("reads").outbox.len(), MOST_WAITING);
    assert_eq!(rig.fates["dropped"], 201);
    rig.until(2 * HOUR);
    let message = &rig.got[0].message;
    assert!(message.title.contains("important"), "the mildest go first: {}", message.title);
    assert!(message.lines.iter().any(|l| l.starts_with("201 older alerts")), "{:?}", message.lines);
}

#[test]
fn quiet_hours_end_with_one_message() {
    let mut rig = Rig::new(1, |_, _, _| sent());
    let quiet = |note: Note| Note { not_before: NIGHT + 3 * HOUR, ..note };
    let (ping, load) =
        (fire("ping", Severity::Warning, &["a"]), fire("load", Severity::Warning, &["a"]));
    rig.add(&[quiet(ping.clone()), quiet(load)]);
    rig.until(HOUR);
    rig.add(&[quiet(over(&ping, HOUR))]);
    rig.reload();
    rig.until(2 * HOUR);
    rig.add(&[fire("disk", Severity::Bad, &["a"])]);
    rig.until(6 * HOUR);
    let at: Vec<i64> = rig.got.iter().map(|got| got.at / MINUTE).collect();
    assert_eq!(at, [120, 180]);
    assert_eq!(rig.read(0)[1], "warning: load on web1 is wrong; 1 over");
    let late = |got: &Got| got.message.lines.iter().any(|line| line.contains("late"));
    assert!(!late(&rig.got[1]), "that it waited for the morning is no delay");
}

#[test]
fn changes_of_a_channel_that_is_gone_are_told_by_another() {
    let mut rig = Rig::new(2, |lane, _, _| if lane == 0 { retry() } else { sent() });
    rig.add(&[fire("disk", Severity::Bad, &["a"]), fire("load", Severity::Bad, &["a", "b"])]);
    rig.until(MINUTE);
    rig.names.remove(0);
    rig.receiver = Box::new(|_, _, _| sent());
    rig.reload();
    rig.until(HOUR);
    let last = &rig.got.last().expect("a message").message;
    assert_eq!(last.title, "bad: disk on web1 is wrong");
    assert!(last.lines.contains(&"ntfy:a is not configured any more.".to_owned()), "{last:?}");
    let stored = rig.store.alerts().expect("reads");
    assert_eq!(stored.outbox, []);
    assert_eq!(stored.told.iter().filter(|row| row.result == "dropped").count(), 1, "it was known");
}

/// The configuration is read again while the file cannot be written: what waits is in memory only.
#[test]
fn other_channels_take_over_what_waits_in_memory() {
    let mut rig = Rig::new(2, |lane, _, _| if lane == 0 { retry() } else { sent() });
    let both = [fire("disk", Severity::Bad, &["a"]), fire("load", Severity::Bad, &["b"])];
    let _not_written = rig.outbox.add(both.to_vec(), rig.times());
    let last = rig.outbox.last_note();
    rig.until(SECOND);
    assert_eq!(rig.read(1), ["bad: load on web1 is wrong"]);
    let names = ["c", "b"].map(|id| Name { id: id.into(), shown: format!("ntfy:{id}") }).to_vec();
    let step = rig.outbox.reconfigure(names, settings(), rig.times());
    assert_eq!((step.ops.len(), rig.outbox.last_note()), (1, last));
    rig.receiver = Box::new(|_, _, _| sent());
    rig.got.clear();
    rig.until(HOUR);
    assert_eq!(rig.read(0), ["bad: disk on web1 is wrong"]);
    assert!(rig.got[0].message.lines.contains(&"ntfy:a is not configured any more.".to_owned()));
}

#[test]
fn a_clock_that_is_set_changes_nothing_of_what_waits() {
    for step in [-10 * 365 * DAY_MS, -HOUR, HOUR, 10 * 365 * DAY_MS] {
        let mut rig = Rig::new(1, |_, _, now| if now < 10 * MINUTE { retry() } else { sent() });
        rig.add(&[fire("disk", Severity::Bad, &["a"])]);
        rig.until(5 * MINUTE);
        // Another process, by another clock.
        let stored = rig.store.alerts().expect("reads");
        let times = Times { wall: NIGHT + rig.now + step, boot: rig.now };
        let (mut outbox, _) = Outbox::new(names(1), &stored, times, settings());
        let due = outbox.next_due(times).expect("it waits");
        assert!(due - rig.now <= HOUR, "{due}");
        let later = Times { wall: times.wall + HOUR, boot: times.boot + HOUR };
        assert_eq!(outbox.take_due(later).0.len(), 1, "a step of {step} ms");
    }
}

#[test]
fn who_forgets_is_told_again_and_never_behind_the_end() {
    let mut rig = Rig::new(1, |_, _, now| if now < 8 * MINUTE { sent() } else { retry() });
    let disk = fire("disk", Severity::Bad, &["a"]);
    let elsewhere = Note { host: "web2".into(), ..fire("load", Severity::Bad, &["a"]) };
    rig.add(&[disk.clone(), elsewhere.clone()]);
    rig.until(MINUTE);
    let told = rig.got.len();
    let again = [disk.clone(), elsewhere];
    rig.outbox.again(0, &again, rig.times());
    rig.until(2 * MINUTE);
    assert_eq!(rig.got.len(), told + 2, "one message a machine");
    let hosts: Vec<&str> = rig.got[told..].iter().map(|got| got.message.host.as_str()).collect();
    assert_eq!(hosts, ["web2", "web1"]);
    // It stands in no list, and what is new is not kept back by it.
    assert_eq!(rig.store.alerts().expect("reads").told.len(), told);
    // The end comes before it could be said again.
    rig.outbox.again(0, &again, rig.times());
    rig.add(&[over(&disk, 2 * MINUTE)]);
    rig.until(8 * MINUTE);
    let last = &rig.got.last().expect("a message").message;
    assert!(rig.got.len() == told + 3 && !last.alerts[0].firing, "{last:?}");
    // One that is not reached is not asked again and again, and its words are known.
    rig.until(9 * MINUTE);
    let asked = rig.attempts.len();
    rig.outbox.again(0, &again, rig.times());
    rig.until(25 * MINUTE);
    assert_eq!(rig.attempts.len(), asked + 1);
    assert!(rig.outbox.trouble(0, rig.times()).is_some_and(|what| what.contains("ntfy:a")));
}

#[test]
fn nothing_is_sent_before_it_is_on_its_way_into_the_file() {
    let mut rig = Rig::new(1, |_, _, _| sent());
    rig.outbox.hold(Some(rig.outbox.last_note()));
    rig.add(&[fire("disk", Severity::Bad, &["a"])]);
    rig.until(MINUTE);
    assert!(rig.got.is_empty());
    rig.outbox.hold(None);
    rig.until(2 * MINUTE);
    assert_eq!(rig.got.len(), 1);
}
