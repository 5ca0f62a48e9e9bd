//! A generated machine and what the daemon has around it: a database in a file, the judge with every
//! default rule, the teller, and a outbox with one receiver that takes everything. Both clocks are moved by
//! hand.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use plimsoll::alert::{
    Cause, Change, Extra, Facts, Instance, Judge, Judged, Rule, Teller, Turn, defaults_at,
};
use plimsoll::model::{Labels, Registry, Severity, Unit};
use plimsoll::notify::outbox::{Name, Outbox, Settings, Step};
use plimsoll::notify::{Message, Occasion, Outcome};
use plimsoll::pipeline::{Batch, Source};
use plimsoll::query::Catalog;
use plimsoll::query::eval::Limits;
use plimsoll::store::{AlertOp, Reader, Store, Times};

use crate::world::{Kind, World};
use crate::{MINUTE, SECOND};

/// The machine's own name.
pub const HERE: &str = "web1";
/// The receiver's name.
const RECEIVER: &str = "phone";

/// A message that arrived.
#[derive(Debug, Clone)]
pub struct Got {
    /// When, ms since the scene began, by the boot clock.
    pub after: i64,
    /// The message.
    pub message: Message,
}

impl Got {
    /// Whether somebody is meant to act on it: what is only good to know is not an alarm.
    pub fn is_alarm(&self) -> bool {
        self.message.severity > Severity::Info
    }
}

/// What the daemon knows without the file.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// For how long `web2` has sent nothing, s, once that is too long.
    pub silent: f64,
    /// How old the last commit is, s.
    pub commit: f64,
    /// For how long a message has waited, s.
    pub waits: f64,
    /// How far a plugin is beyond its limits: 0, 1 or 2.
    pub limits: f64,
}

/// See the module.
pub struct Scene {
    folder: tempfile::TempDir,
    registry: Arc<Registry>,
    /// Those of people; nothing: the defaults.
    rules: Option<Vec<Rule>>,
    store: Option<Store>,
    reader: Option<Reader>,
    catalog: Catalog,
    judge: Judge,
    teller: Teller,
    outbox: Outbox,
    /// The machine.
    pub world: World,
    /// What the daemon knows without the file.
    pub given: Given,
    /// Both clocks.
    pub now: Times,
    /// So much time has passed since the scene began, ms.
    passed: i64,
    beat: i64,
    beats: u64,
    /// What arrived.
    pub got: Vec<Got>,
    /// What happened to alerts, whoever was told.
    pub changes: Vec<Change>,
}

/// What the teller asks of rules.
struct OfRules<'a>(&'a Judge);

impl OfRules<'_> {
    fn rule(&self, alert: &Instance) -> Option<&Rule> {
        self.0.rule(&alert.rule)
    }
}

impl Facts for OfRules<'_> {
    fn unit(&self, alert: &Instance) -> Unit {
        self.rule(alert).map(|rule| rule.unit.clone()).unwrap_or_default()
    }

    fn measured(&self, alert: &Instance) -> bool {
        self.rule(alert).is_some_and(Rule::is_measured)
    }

    fn to(&self, _: &Instance) -> Vec<String> {
        vec![RECEIVER.to_owned()]
    }

    fn once(&self, alert: &Instance) -> bool {
        self.rule(alert).is_some_and(|rule| rule.once)
    }

    fn extra(&mut self, _: &Instance) -> Extra {
        Extra::default()
    }
}

fn names() -> Vec<Name> {
    vec![Name { id: RECEIVER.to_owned(), shown: "ntfy:phone".to_owned() }]
}

fn settings(beat: i64) -> Settings {
    Settings { zone: || TimeZone::UTC, group_wait_ms: beat.min(10 * SECOND) }
}

fn rules_of(rules: Option<&[Rule]>, beat: i64) -> Vec<Rule> {
    rules.map_or_else(|| defaults_at(beat).expect("the rules can be read"), <[Rule]>::to_vec)
}

impl Scene {
    /// A machine of this kind at `now` (ms since 1970 UTC), read every `beat` ms.
    pub fn new(kind: Kind, seed: u64, now: i64, beat: i64) -> Self {
        Self::with_rules(kind, seed, now, beat, None)
    }

    /// The same with other rules.
    pub fn with_rules(
        kind: Kind,
        seed: u64,
        now: i64,
        beat: i64,
        rules: Option<Vec<Rule>>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let registry = Arc::new(Registry::default());
        let world = World::new(kind, seed, now, Arc::clone(&registry));
        let now = Times { wall: now, boot: 2 * crate::DAY };
        let store = Store::open(&folder.path().join("m.sqlite"), HERE, Arc::clone(&registry));
        let store = store.expect("a store");
        let stored = store.alerts().expect("readable");
        let (outbox, _) = Outbox::new(names(), &stored, now, settings(beat));
        let (teller, _) = Teller::load(HERE, || TimeZone::UTC, &stored);
        let reader = Reader::open(&folder.path().join("m.sqlite")).expect("a reader");
        let reader = reader.with_head(store.head());
        let judge = Judge::new(rules_of(rules.as_deref(), beat), beat.max(5 * SECOND));
        Self {
            folder,
            registry,
            rules,
            store: Some(store),
            reader: Some(reader),
            catalog: Catalog::default(),
            judge,
            teller,
            outbox,
            world,
            given: Given::default(),
            now,
            passed: 0,
            beat,
            beats: 0,
            got: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// People's wishes: silences, quiet hours.
    pub fn teller(&mut self) -> &mut Teller {
        &mut self.teller
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("it is open")
    }

    /// Beats for so long, ms, with a machine that is not as it usually is.
    pub fn run_with(&mut self, ms: i64, mut change: impl FnMut(&mut World, &mut Given, f64)) {
        let beat = self.beat as f64 / 1e3;
        let mut now = self.now.wall;
        self.run_only(ms, |world, given, seconds| {
            now += (beat * 1e3) as i64;
            world.pass(now, beat);
            change(world, given, seconds);
        });
    }

    /// Beats for so long, ms, in which nothing is read but what is put there.
    pub fn run_only(&mut self, ms: i64, mut put: impl FnMut(&mut World, &mut Given, f64)) {
        let begin = self.now.boot;
        while self.now.boot < begin + ms {
            self.sleep(self.beat);
            self.world.clear();
            put(&mut self.world, &mut self.given, (self.now.boot - begin) as f64 / 1e3);
            self.read();
            self.judge();
        }
    }

    /// Beats for so long, ms.
    pub fn run(&mut self, ms: i64) {
        self.run_with(ms, |_, _, _| ());
    }

    /// Time passes, ms, and nothing is read: the machine sleeps, or plimsoll does not run.
    pub fn sleep(&mut self, ms: i64) {
        self.now.wall += ms;
        self.now.boot += ms;
        self.passed += ms;
    }

    /// Somebody sets the clock.
    pub fn set_clock(&mut self, by: i64) {
        self.now.wall += by;
        self.world.clock_set(by);
    }

    /// The machine is started again; that takes so long, ms.
    pub fn reboot(&mut self, ms: i64) {
        self.sleep(ms);
        self.now.boot = 20 * SECOND;
        self.world.reboot(self.now.wall - self.now.boot);
        self.restart();
    }

    /// plimsoll is killed, and another one goes on with what is in the file.
    pub fn restart(&mut self) {
        self.reader = None;
        self.store = None;
        let path = self.folder.path().join("m.sqlite");
        let store = Store::open(&path, HERE, Arc::clone(&self.registry)).expect("a store");
        let stored = store.alerts().expect("readable");
        let (outbox, step) = Outbox::new(names(), &stored, self.now, settings(self.beat));
        let (teller, open) = Teller::load(HERE, || TimeZone::UTC, &stored);
        let quiet = self.teller.peace.quiet.take();
        (self.outbox, self.teller) = (outbox, teller);
        self.teller.peace.quiet = quiet;
        let rules = rules_of(self.rules.as_deref(), self.beat);
        self.judge = Judge::new(rules, self.beat.max(5 * SECOND));
        let _without_rule = self.judge.load(open, stored.judged_until);
        self.catalog = Catalog::default();
        self.reader = Some(Reader::open(&path).expect("a reader").with_head(store.head()));
        self.store = Some(store);
        self.write(step.ops);
    }

    fn read(&mut self) {
        let samples = self.world.samples();
        let batch = Batch::of(Source::Collect, self.now.wall, samples);
        self.store().commit(&[batch]).expect("a commit");
        self.beats += 1;
        if self.beats.is_multiple_of(64) {
            let now = self.now;
            let upkeep = |store: &mut Store| store.upkeep(now, Duration::from_secs(5));
            while upkeep(self.store()).expect("upkeep") {}
        }
    }

    fn judge(&mut self) {
        let reader = self.reader.as_ref().expect("it is open");
        if !self.catalog.is_current(reader).expect("readable") {
            self.catalog = Catalog::read(reader).expect("readable");
        }
        let here = || Labels::new([("instance", HERE)]);
        let Given { silent, commit, waits, limits } = self.given;
        let given = [
            ("silence", vec![(Labels::new([("instance", "web2")]), silent)]),
            ("commit_age", vec![(here(), commit)]),
            ("waiting", vec![(Labels::new([("channel", "ntfy:other")]), waits)]),
            (
                "limits",
                vec![(Labels::new([("instance", HERE), ("what", "nginx requests")]), limits)],
            ),
        ];
        let at = self.now.wall;
        let pass =
            self.judge.pass(Cause::Beat, at, reader, &self.catalog, Limits::default(), &given);
        let pass = pass.expect("readable");
        assert!(pass.errors.is_empty(), "{:?}", pass.errors);
        let judged = Judged {
            at,
            now: at,
            open: self.judge.instances().filter(|alert| alert.resolved_at.is_none()).collect(),
            changes: &pass.changes,
        };
        let told = self.teller.pass(&judged, &mut OfRules(&self.judge));
        let mut ops = told.ops;
        let step = self.outbox.add(told.notes, self.now);
        ops.extend(step.ops);
        self.changes.extend(pass.changes);
        self.write(ops);
        self.send();
    }

    /// Whatever is due until the next beat arrives.
    fn send(&mut self) {
        let end = self.now.boot + self.beat;
        let mut at = self.now;
        loop {
            let (jobs, step) = self.outbox.take_due(at);
            self.write(step.ops);
            if jobs.is_empty() {
                match self.outbox.next_due(at) {
                    Some(due) if due < end => {
                        let more = (due - at.boot).max(1);
                        at = Times { wall: at.wall + more, boot: at.boot + more };
                        continue;
                    }
                    _ => return,
                }
            }
            for job in jobs {
                self.got.push(Got {
                    after: self.passed + at.boot - self.now.boot,
                    message: job.message,
                });
                let Step { ops, .. } =
                    self.outbox.finish(job.lane, Outcome::Sent { said: String::new() }, at);
                self.write(ops);
            }
        }
    }

    fn write(&mut self, ops: Vec<AlertOp>) {
        if !ops.is_empty() {
            self.store().commit_with(&[], &[], &[], &ops).expect("a commit");
        }
    }

    /// The first lines of what arrived since the last call, each with the minute.
    pub fn take(&mut self) -> Vec<String> {
        let line = |got: &Got| {
            let mark = match got.message.occasion {
                Occasion::Reminder => " again",
                _ => "",
            };
            format!("{}{mark} {}", got.after / MINUTE, got.message.title)
        };
        let lines = self.got.iter().map(line).collect();
        self.got.clear();
        lines
    }

    /// Fails if an alarm arrived, or an alert fired that nobody was told of.
    #[track_caller]
    pub fn is_quiet(&mut self, when: &str) {
        let alarms: Vec<String> = (self.got.iter().filter(|got| got.is_alarm()))
            .map(|got| format!("{} min: {}", got.after / MINUTE, got.message.title))
            .collect();
        assert!(alarms.is_empty(), "{when}: {alarms:#?}");
        let fired: Vec<&str> = (self.changes.iter())
            .filter(|c| c.turn != Turn::Resolves && c.alert.severity > Severity::Info)
            .map(|c| c.alert.text.as_str())
            .collect();
        assert!(fired.is_empty(), "{when}: {fired:#?}");
    }
}
