//! alert: the messages of any number of passes and kills, compared with those before.

use super::super::peace::Quiet;
use super::super::peace::tests::instance;
use super::super::weekly::Weekly;
use super::*;

const START: i64 = 1_796_091_000_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Facts that are the same for all.
struct Plain {
    asked: usize,
    once: bool,
}

impl Facts for Plain {
    fn measured(&self, _: &Instance) -> bool {
        true
    }
    fn unit(&self, _: &Instance) -> Unit {
        Unit::Percent
    }
    fn to(&self, _: &Instance) -> Vec<String> {
        vec!["ntfy".into(), "mail".into()]
    }
    fn once(&self, _: &Instance) -> bool {
        self.once
    }
    fn extra(&mut self, _: &Instance) -> Extra {
        self.asked += 1;
        Extra { culprits: vec!["postgres".into()], ..Extra::default() }
    }
}

/// A teller with what it has written, so that it can be killed.
struct Rig {
    teller: Teller,
    stored: AlertStore,
    facts: Plain,
}

impl Rig {
    fn new() -> Self {
        let stored = AlertStore::default();
        let (teller, _) = Teller::load("web1", || TimeZone::UTC, &stored);
        Self { teller, stored, facts: Plain { asked: 0, once: false } }
    }

    /// What was told, in words.
    fn pass(&mut self, now: i64, open: &[&Instance], changes: &[(Turn, &Instance)]) -> Vec<String> {
        let changes: Vec<Change> = (changes.iter())
            .map(|(turn, alert)| Change { turn: *turn, at: now, alert: (*alert).clone() })
            .collect();
        let judged = Judged { at: now, now, open: open.to_vec(), changes: &changes };
        let pass = self.teller.pass(&judged, &mut self.facts);
        for op in pass.ops {
            self.keep(op);
        }
        let said = |note: &Note| {
            let quiet = if note.not_before > 0 { " later" } else { "" };
            let remark = if note.remark.is_empty() { "" } else { ": " };
            format!(
                "{} {} {}{quiet}{remark}{}",
                note.occasion.word(),
                note.severity.word(),
                note.alert.labels["alertname"],
                note.remark
            )
        };
        let said: Vec<String> = pass.notes.iter().map(said).collect();
        let withheld = pass.withheld.iter().map(|(_, why)| match why {
            Withheld::Silence { .. } => "silenced".to_owned(),
            Withheld::Explained { by } => format!("because {by}"),
            Withheld::Quiet { .. } => "quiet".to_owned(),
            Withheld::Reboot { .. } => "reboot".to_owned(),
        });
        let mut all: Vec<String> = said.into_iter().chain(withheld).collect();
        all.dedup();
        all
    }

    fn keep(&mut self, op: AlertOp) {
        match op {
            AlertOp::Put(row) => {
                self.stored.open.retain(|old| old.fingerprint != row.fingerprint);
                if row.resolved_at.is_none() {
                    self.stored.open.push(row);
                }
            }
            AlertOp::Forget(gone) => self.stored.open.retain(|old| old.fingerprint != gone),
            AlertOp::Silence(row) => self.stored.silences.push(row),
            AlertOp::Ack(row) => self.stored.acks.push(row),
            AlertOp::JudgedUntil(at) => self.stored.judged_until = Some(at),
            _ => {}
        }
    }

    /// The process ends, and another one begins.
    fn kill(&mut self) {
        let peace = std::mem::take(&mut self.teller.peace);
        let (teller, _) = Teller::load("web1", || TimeZone::UTC, &self.stored);
        self.teller = teller;
        self.teller.peace.quiet = peace.quiet;
    }
}

fn firing(rule: &str, severity: Severity) -> Instance {
    Instance { severity, fired_at: Some(START), ..instance(rule, &[]) }
}

fn over(alert: &Instance, at: i64) -> Instance {
    Instance { state: State::Resolved, resolved_at: Some(at), ..alert.clone() }
}

#[test]
fn each_thing_is_told_once_whatever_is_killed_between() {
    for kill in [false, true] {
        let mut rig = Rig::new();
        let mut pass = |now: i64, open: &[&Instance], changes: &[(Turn, &Instance)]| {
            if kill {
                rig.kill();
            }
            rig.pass(START + now, open, changes)
        };
        let pending = Instance {
            state: State::Pending,
            fired_at: None,
            ..firing("disk_full", Severity::Warning)
        };
        let mild = firing("disk_full", Severity::Warning);
        let bad = firing("disk_full", Severity::Bad);
        let ended = over(&bad, START + HOUR);
        assert_eq!(pass(0, &[&pending], &[]), [""; 0]);
        assert_eq!(pass(10, &[&mild], &[(Turn::Fires, &mild)]), ["fire warning disk_full"]);
        assert_eq!(pass(20, &[&mild], &[]), [""; 0]);
        assert_eq!(
            pass(5 * MINUTE + 10, &[&bad], &[(Turn::Rises, &bad)]),
            ["fire bad disk_full: It was told as warning 5 min ago."]
        );
        assert_eq!(pass(6 * MINUTE, &[&mild], &[]), [""; 0], "milder again");
        assert_eq!(pass(7 * MINUTE, &[&bad], &[]), [""; 0]);
        assert_eq!(pass(HOUR, &[], &[(Turn::Resolves, &ended)]), ["over bad disk_full"]);
        assert_eq!(pass(HOUR + 10, &[], &[]), [""; 0]);
        assert_eq!(rig.stored.open, [], "nothing is left open");
        assert_eq!(rig.facts.asked, 1, "processes are read once, at the breach");
    }
}

/// A pass that was not committed is made again and comes to the same, with the same rows.
#[test]
fn a_pass_that_was_lost_comes_to_the_same() {
    let mild = firing("load", Severity::Warning);
    let changes = [Change { turn: Turn::Fires, at: START, alert: mild.clone() }];
    let judged = Judged { at: START, now: START, open: vec![&mild], changes: &changes };
    let passes: Vec<Pass> = (0..2)
        .map(|_| {
            let mut rig = Rig::new();
            rig.teller.pass(&judged, &mut rig.facts)
        })
        .collect();
    assert_eq!(passes[0].ops, passes[1].ops);
    assert_eq!(passes[0].notes, passes[1].notes);
    assert!(passes[0].ops.contains(&AlertOp::JudgedUntil(START)));
}

#[test]
fn what_still_burns_at_the_end_of_a_silence_is_told() {
    let mut rig = Rig::new();
    let (row, op) = rig
        .teller
        .silence("load", "", Some(2 * HOUR), ("anna", "moving house"), START)
        .expect("a silence");
    assert_eq!((row.id, row.ends_at), (1, Some(START + 2 * HOUR)));
    rig.keep(op);
    let (load, memory) = (firing("load", Severity::Bad), firing("memory", Severity::Bad));
    let fires = [(Turn::Fires, &load), (Turn::Fires, &memory)];
    assert_eq!(rig.pass(START, &[&load, &memory], &fires), ["fire bad memory", "silenced"]);
    rig.kill();
    let open = [&load, &memory];
    assert_eq!(rig.pass(START + HOUR, &open, &[]), ["silenced"]);
    rig.kill();
    assert_eq!(
        rig.pass(START + 2 * HOUR, &open, &[]),
        ["fire bad load: It was silenced by anna (moving house) until now."]
    );
    // Of what began and ended meanwhile nobody hears; of what was told before they hear the end.
    rig.teller.silence("*", "", None, ("", ""), START + 2 * HOUR).expect("a silence");
    let swap = firing("swap", Severity::Bad);
    let later = START + 3 * HOUR;
    assert_eq!(
        rig.pass(later, &[&load, &swap], &[(Turn::Resolves, &over(&memory, later))]),
        ["over bad memory", "silenced"]
    );
    assert_eq!(rig.pass(later + 10, &[&load], &[(Turn::Resolves, &over(&swap, later))]), [""; 0]);
    assert!(rig.teller.end_silence(2, later + 20).is_some());
    assert_eq!(rig.teller.end_silence(2, later + 30), None, "it has ended");
    assert_eq!(rig.teller.end_silence(77, later + 30), None);
}

#[test]
fn silences_are_bounded_in_number_and_length() {
    let mut rig = Rig::new();
    let long = "x".repeat(1_001);
    for (what, who, why) in [(&*long, "", ""), ("load", &*long, ""), ("load", "", &*long)] {
        let said = rig.teller.silence(what, "", Some(HOUR), (who, why), START).expect_err("long");
        assert!(said.ends_with("has 1001 bytes; 1000 is the most"), "{said}");
        let said = rig.teller.ack(what, (who, why), START).expect_err("long");
        assert!(said.ends_with("has 1001 bytes; 1000 is the most"), "{said}");
    }
    for n in 0..1_000 {
        rig.teller.silence("load", "", Some(HOUR), ("", ""), START + n).expect("one more");
    }
    let said = rig.teller.silence("load", "", Some(HOUR), ("", ""), START + 1_000);
    assert!(said.expect_err("full").starts_with("there are 1000 silences already"));
    // Those that have ended make room.
    rig.teller.silence("load", "", Some(HOUR), ("", ""), START + HOUR).expect("room");
}

#[test]
fn quiet_hours_put_off_and_lose_nothing() {
    let mut rig = Rig::new();
    let hours = vec![Weekly::parse("daily 00:00-06:00", &TimeZone::UTC).expect("a window")];
    rig.teller.peace.quiet = Some(Quiet { hours, most: Severity::Warning });
    let (load, disk) = (firing("load", Severity::Warning), firing("disk", Severity::Bad));
    let fires = [(Turn::Fires, &load), (Turn::Fires, &disk)];
    assert_eq!(
        rig.pass(START, &[&load, &disk], &fires),
        ["fire warning load later", "fire bad disk", "quiet"]
    );
    // Its end waits with it, so that both become one message.
    let ends = [(Turn::Resolves, &over(&load, START + HOUR))];
    assert_eq!(rig.pass(START + HOUR, &[&disk], &ends), ["over warning load later"]);
}

#[test]
fn what_explains_comes_first_and_what_is_left_is_told() {
    let mut rig = Rig::new();
    let mount = [("mountpoint", "/")];
    let full = instance("disk_full", &mount);
    let inodes = instance("inodes", &mount);
    assert_eq!(
        rig.pass(START, &[&full, &inodes], &[(Turn::Fires, &full), (Turn::Fires, &inodes)]),
        ["fire bad disk_full", "because disk_full is wrong"]
    );
    assert_eq!(
        rig.pass(START + HOUR, &[&inodes], &[(Turn::Resolves, &over(&full, START + HOUR))]),
        [
            "over bad disk_full",
            "fire bad inodes: It was not told before because disk_full is wrong."
        ]
    );
}

#[test]
fn reminders_double_and_end_with_an_acknowledgement() {
    let mut rig = Rig::new();
    let bad = firing("disk_full", Severity::Bad);
    let mut told = Vec::new();
    for minute in 0..=40 * 60 {
        if !rig.pass(START + minute * MINUTE, &[&bad], &[]).is_empty() {
            told.push(minute / 60);
        }
        if minute % 97 == 0 {
            rig.kill();
        }
    }
    assert_eq!(told, [0, 4, 12, 28]);
    let now = START + 41 * HOUR;
    assert!(rig.teller.ack("memory", ("anna", ""), now).is_err());
    let (texts, ops) = rig.teller.ack("disk_full", ("anna", "on it"), now).expect("it fires");
    assert_eq!(texts, ["disk_full is wrong"]);
    ops.into_iter().for_each(|op| rig.keep(op));
    rig.kill();
    assert!(rig.teller.acked(&bad).is_some_and(|ack| ack.who == "anna"));
    assert_eq!(rig.pass(START + 400 * HOUR, &[&bad], &[]), [""; 0]);
    // Another episode of it is another matter.
    let again = Instance { fired_at: Some(START + 401 * HOUR), ..bad.clone() };
    let now = START + 401 * HOUR;
    let changes = [(Turn::Resolves, &over(&bad, now)), (Turn::Fires, &again)];
    assert_eq!(rig.pass(now, &[&again], &changes), ["over bad disk_full", "fire bad disk_full"]);
    assert_eq!(rig.pass(now + 4 * HOUR, &[&again], &[]), ["reminder bad disk_full"]);
    let id = format!("{:016x}", bad.fingerprint);
    assert!(rig.teller.ack(&id[..8], ("", ""), now).is_ok(), "by the beginning of its number");
}

#[test]
fn flapping_is_told_once() {
    let mut rig = Rig::new();
    let bad = firing("load", Severity::Bad);
    let flaps = Instance { state: State::Flapping, ..bad.clone() };
    assert_eq!(rig.pass(START, &[&bad], &[(Turn::Fires, &bad)]), ["fire bad load"]);
    let said = rig.pass(START + HOUR, &[&flaps], &[(Turn::Flaps, &flaps)]);
    assert!(said[0].starts_with("fire bad load: It comes and goes"), "{said:?}");
    assert_eq!(rig.pass(START + 2 * HOUR, &[&flaps], &[(Turn::Flaps, &flaps)]), [""; 0]);
}

#[test]
fn what_begins_and_ends_in_one_pass_and_what_loses_its_rule() {
    let mut rig = Rig::new();
    let boot = firing("rebooted", Severity::Warning);
    let changes = [(Turn::Fires, &boot), (Turn::Resolves, &over(&boot, START))];
    assert_eq!(rig.pass(START, &[], &changes), ["fire warning rebooted", "over warning rebooted"]);
    rig.facts.once = true;
    assert_eq!(rig.pass(START + HOUR, &[], &changes), ["fire warning rebooted"]);
    rig.facts.once = false;
    let load = firing("load", Severity::Bad);
    rig.pass(START + HOUR, &[&load], &[(Turn::Fires, &load)]);
    rig.kill();
    assert_eq!(
        rig.pass(START + 2 * HOUR, &[], &[]),
        ["over bad load: Its rule is not judged any more."]
    );
    assert_eq!(rig.stored.open, []);
}

#[test]
fn what_happened_stands_in_the_event_log() {
    let mut rig = Rig::new();
    let load = instance("load", &[("instance", "web2")]);
    let changes = [
        Change { turn: Turn::Fires, at: START, alert: load.clone() },
        Change { turn: Turn::Resolves, at: START + HOUR, alert: over(&load, START + HOUR) },
    ];
    let judged = Judged { at: START, now: START, open: Vec::new(), changes: &changes };
    let pass = rig.teller.pass(&judged, &mut rig.facts);
    let events: Vec<(i64, Option<&str>, &str, &str)> = (pass.ops.iter())
        .filter_map(|op| match op {
            AlertOp::Event(e) => Some((e.ts, e.system.as_deref(), e.level, &*e.title)),
            _ => None,
        })
        .collect();
    assert_eq!(events[0], (START, Some("web2"), "error", "load is wrong"));
    assert_eq!((events[1].0, events[1].2), (START + HOUR, "success"));
}
