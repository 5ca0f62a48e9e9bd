//! alert: tests of the states: each row of the table, and what has to hold whatever comes.

use proptest::prelude::*;

use super::*;
use crate::alert::rule::{Measure, Query, Test};
use crate::model::{Op, Severity, Unit};

const BEAT: i64 = 10_000;
const MINUTE: i64 = 60_000;
const START: i64 = 1_700_000_000_000;

fn limit(severity: Severity, value: f64, for_ms: i64, clear: f64) -> Limit {
    Limit {
        severity,
        fires: Some(Test { op: Op::AtLeast, value }),
        and: None,
        for_ms,
        clears: Some(Test { op: Op::Below, value: clear }),
        clear_unless: None,
        keep_ms: for_ms.max(300_000),
    }
}

/// Warning from 90 on for 5 min, over below 88; bad from 97 on for 1 min, over below 95.
fn rule() -> Rule {
    Rule {
        name: "disk_full".into(),
        measure: Measure::Query(Query::parse("used").expect("an expression")),
        limits: vec![
            limit(Severity::Warning, 90.0, 5 * MINUTE, 88.0),
            limit(Severity::Bad, 97.0, MINUTE, 95.0),
        ],
        unit: Unit::Percent,
        text: "".into(),
        exists: None,
        also: Vec::new(),
        labels: Vec::new(),
        annotations: Vec::new(),
        to: Vec::new(),
        file: "".into(),
        once: false,
        way: Way::Plimsoll,
        every_ms: 0,
        offset_ms: 0,
        most: 0,
    }
}

fn sight(limit: &Limit, value: f64) -> Sight {
    match (limit.fires.expect("one").holds(value), limit.clears.expect("one").holds(value)) {
        (true, _) => Sight::Fires,
        (false, true) => Sight::Clear,
        (false, false) => Sight::Stays,
    }
}

/// A rule, its alert, and a clock.
struct Scene {
    rule: Rule,
    machine: Machine,
    at: i64,
    told: Vec<(Turn, i64)>,
}

impl Scene {
    fn new(rule: Rule) -> Self {
        Self { rule, machine: Machine::default(), at: START, told: Vec::new() }
    }

    /// One beat later, or `after` ms later.
    fn see_after(&mut self, after: i64, value: Option<f64>) -> Option<State> {
        self.at += after;
        let elements: Vec<Element> = value
            .map(|value| {
                let worse = self.rule.limits.get(1).map_or(Sight::Clear, |l| sight(l, value));
                let mild = sight(&self.rule.limits[0], value).max(worse);
                let labels = Labels::new([("mountpoint", "/")]);
                Element { labels, result: Arc::default(), value, mild, worse }
            })
            .into_iter()
            .collect();
        let now = Moment { at: self.at, interval_ms: BEAT, had_data: value.is_some() };
        let step = self.machine.step(&self.rule, now, &elements);
        self.told.extend(step.turns.into_iter().map(|(turn, _)| (turn, self.at - START)));
        self.state()
    }

    fn see(&mut self, value: f64) -> Option<State> {
        self.see_after(BEAT, Some(value))
    }

    fn beats(&mut self, count: usize, value: f64) -> Option<State> {
        for _ in 0..count {
            self.see(value);
        }
        self.state()
    }

    fn silence(&mut self, ms: i64) -> Option<State> {
        for _ in 0..ms / BEAT {
            self.see_after(BEAT, None);
        }
        self.state()
    }

    fn alert(&self) -> &Instance {
        self.machine.alerts().next().expect("an alert")
    }

    fn state(&self) -> Option<State> {
        self.machine.alerts().next().map(|alert| alert.state)
    }

    fn turns(&self) -> Vec<Turn> {
        self.told.iter().map(|(turn, _)| *turn).collect()
    }
}

#[test]
fn it_fires_after_it_held_for_long_enough_and_is_over_after_it_was_clear_for_as_long() {
    let mut scene = Scene::new(rule());
    assert_eq!(scene.see(89.0), None, "between the limits nothing begins");
    assert_eq!(scene.see(91.0), Some(State::Pending));
    assert_eq!(scene.beats(29, 91.0), Some(State::Pending));
    assert_eq!(scene.see(91.0), Some(State::Firing));
    assert_eq!(scene.told, [(Turn::Fires, 2 * BEAT + 5 * MINUTE)]);
    assert_eq!((scene.alert().severity, scene.alert().limit), (Severity::Warning, Some(90.0)));
    assert_eq!(scene.beats(3, 89.0), Some(State::Firing), "between the limits it goes on");
    assert_eq!(scene.see(87.0), Some(State::Recovering));
    assert_eq!(scene.beats(29, 87.0), Some(State::Recovering));
    assert_eq!(scene.see(87.0), Some(State::Resolved));
    assert_eq!(scene.turns(), [Turn::Fires, Turn::Resolves]);
    assert_eq!(scene.alert().peak, 91.0);
    // It is kept for its flaps, for a day.
    assert_eq!(scene.beats(8_639, 10.0), Some(State::Resolved));
    assert_eq!(scene.beats(2, 10.0), None);
}

#[test]
fn a_short_peak_is_nothing() {
    let mut scene = Scene::new(rule());
    assert_eq!(scene.beats(30, 96.0), Some(State::Pending));
    assert_eq!(scene.see(89.0), None);
    assert_eq!(scene.beats(30, 96.0), Some(State::Pending), "it begins from nothing");
    assert!(scene.told.is_empty());
}

#[test]
fn it_gets_worse_and_better() {
    let mut scene = Scene::new(rule());
    scene.beats(31, 91.0);
    assert_eq!(scene.alert().severity, Severity::Warning);
    scene.beats(6, 98.0);
    assert_eq!(scene.turns(), [Turn::Fires]);
    scene.see(98.0);
    assert_eq!(scene.turns(), [Turn::Fires, Turn::Rises]);
    assert_eq!((scene.alert().severity, scene.alert().limit), (Severity::Bad, Some(97.0)));
    // Between the two it is a warning again after a while, and nobody is told.
    scene.beats(30, 93.0);
    assert_eq!(scene.alert().severity, Severity::Bad);
    scene.see(93.0);
    assert_eq!(scene.alert().severity, Severity::Warning);
    assert_eq!(scene.turns().len(), 2);
    // What is bad at once is told as such.
    let mut scene = Scene::new(rule());
    scene.beats(7, 99.0);
    assert_eq!(scene.told, [(Turn::Fires, 7 * BEAT)]);
    assert_eq!(scene.alert().severity, Severity::Bad);
}

#[test]
fn holes_do_not_count() {
    let mut scene = Scene::new(rule());
    scene.beats(10, 91.0);
    // A suspend of eight hours counts as two beats.
    scene.see_after(8 * 3_600_000, Some(91.0));
    assert_eq!(scene.state(), Some(State::Pending));
    assert_eq!(scene.alert().held_ms, 9 * BEAT + 2 * BEAT);
    scene.beats(19, 91.0);
    assert_eq!(scene.state(), Some(State::Firing));
    // Nor do they while it is clear.
    scene.see(80.0);
    scene.see_after(8 * 3_600_000, Some(80.0));
    assert_eq!(scene.state(), Some(State::Recovering));
    assert_eq!(scene.beats(28, 80.0), Some(State::Resolved));
}

#[test]
fn without_data_nothing_goes_on() {
    let mut scene = Scene::new(rule());
    scene.beats(5, 91.0);
    assert_eq!(scene.silence(MINUTE), Some(State::Pending));
    assert_eq!(scene.silence(MINUTE), None, "what was pending is dropped");
    scene.beats(31, 91.0);
    assert_eq!(scene.silence(110_000), Some(State::Firing));
    assert_eq!(scene.silence(BEAT), Some(State::NoData));
    assert_eq!(scene.alert().frozen, Some(State::Firing));
    assert!(scene.alert().is_firing());
    assert_eq!(scene.silence(3 * 3_600_000), Some(State::NoData));
    assert_eq!(scene.see(91.0), Some(State::Firing), "as it was");
    scene.see(80.0);
    scene.beats(20, 80.0);
    scene.silence(3_600_000);
    assert_eq!(scene.alert().frozen, Some(State::Recovering));
    assert_eq!(scene.see(80.0), Some(State::Recovering), "its time stood still");
    assert_eq!(scene.beats(10, 80.0), Some(State::Resolved));
    assert_eq!(scene.turns(), [Turn::Fires, Turn::Resolves]);
}

#[test]
fn what_is_gone_for_a_day_is_over() {
    let mut scene = Scene::new(rule());
    scene.beats(31, 91.0);
    scene.silence(GONE_MS - BEAT);
    assert_eq!(scene.state(), Some(State::NoData));
    assert_eq!(scene.silence(BEAT), Some(State::Resolved));
    assert_eq!(scene.turns(), [Turn::Fires, Turn::Gone]);
    assert_eq!(scene.silence(25 * 3_600_000), None);
}

#[test]
fn what_crosses_its_limit_all_day_is_told_few_times() {
    // With every beat, without `for`: recovering and firing by turns.
    let mut each = rule();
    each.limits.truncate(1);
    each.limits[0].for_ms = 0;
    let mut scene = Scene::new(each.clone());
    for beat in 0..8_640 {
        scene.see(if beat % 2 == 0 { 95.0 } else { 50.0 });
    }
    assert_eq!(scene.turns(), [Turn::Fires, Turn::Flaps]);
    assert_eq!(scene.state(), Some(State::Flapping));
    scene.beats(361, 50.0);
    assert_eq!(scene.turns(), [Turn::Fires, Turn::Flaps, Turn::Resolves]);
    // So slowly that it is over each time.
    let mut scene = Scene::new(each);
    for _ in 0..110 {
        scene.beats(40, 95.0);
        scene.beats(38, 50.0);
    }
    assert!(scene.told.len() <= 12, "{:?}", scene.told);
    assert_eq!(scene.state(), Some(State::Flapping));
    // It holds for an hour: it is an alert like any other.
    assert_eq!(scene.beats(361, 95.0), Some(State::Firing));
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    for step in [-3_600_000, 3_600_000, -10 * 31_536_000_000_i64, 10 * 31_536_000_000] {
        let mut scene = Scene::new(rule());
        scene.beats(31, 91.0);
        let now = Moment { at: scene.at, interval_ms: BEAT, had_data: true };
        scene.machine.is_in_grace(&scene.rule, now);
        scene.see_after(step, Some(91.0));
        assert_eq!(scene.state(), Some(State::Firing), "{step}");
        scene.see(80.0);
        assert_eq!(scene.beats(29, 80.0), Some(State::Recovering), "{step}");
        assert_eq!(scene.see(80.0), Some(State::Resolved), "{step}");
        let now = Moment { at: scene.at, ..now };
        assert!(scene.machine.is_in_grace(&scene.rule, now), "{step}");
    }
}

#[test]
fn a_start_a_suspend_and_a_step_of_the_clock_have_their_grace() {
    let (rule, mut machine) = (rule(), Machine::default());
    let mut at = START;
    let mut graceful = |machine: &mut Machine, passed: i64| {
        at += passed;
        machine.is_in_grace(&rule, Moment { at, interval_ms: BEAT, had_data: true })
    };
    let first: Vec<bool> = (0..8).map(|_| graceful(&mut machine, BEAT)).collect();
    assert_eq!(first, [true, true, true, true, true, true, false, false]);
    assert!(!graceful(&mut machine, MINUTE), "a restart that took a minute is none");
    for jump in [8 * 3_600_000, -3_600_000] {
        assert!(graceful(&mut machine, jump));
        assert!((0..5).all(|_| graceful(&mut machine, BEAT)));
        assert!(!graceful(&mut machine, BEAT), "{jump}");
    }
    // It depends on the times alone: a process that begins again comes to the same.
    let mut other = Machine::default();
    other.load([], Some(at));
    assert!(!other.is_in_grace(&rule, Moment { at: at + BEAT, interval_ms: BEAT, had_data: true }));
}

#[test]
fn an_event_is_told_once() {
    let mut event = rule();
    (event.once, event.limits[0].for_ms) = (true, 0);
    let mut scene = Scene::new(event);
    scene.see(91.0);
    scene.beats(40, 10.0);
    assert_eq!((scene.state(), scene.turns()), (Some(State::Resolved), vec![Turn::Fires]));
}

fn values() -> impl Strategy<Value = Vec<(Option<f64>, i64)>> {
    let value = prop_oneof![
        4 => (80.0..100.0_f64).prop_map(Some),
        1 => Just(Some(99.0)),
        1 => Just(Some(50.0)),
        1 => Just(None),
    ];
    let after = prop_oneof![20 => Just(BEAT), 1 => Just(30 * MINUTE), 1 => Just(-MINUTE)];
    let run = (value, after, 1..60_usize);
    let runs = prop::collection::vec(run, 1..30);
    runs.prop_map(|runs| {
        let each = |(value, after, count)| {
            std::iter::once((value, after)).chain(std::iter::repeat_n((value, BEAT), count))
        };
        runs.into_iter().flat_map(each).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes: what is told makes sense, and nothing fires before its time.
    #[test]
    fn turns_make_sense(values in values()) {
        let mut scene = Scene::new(rule());
        let mut firing = false;
        for (value, after) in values {
            let told = scene.told.len();
            scene.see_after(after, value);
            let turns: Vec<Turn> = scene.told[told..].iter().map(|(turn, _)| *turn).collect();
            for turn in turns {
                match turn {
                    Turn::Fires => {
                        prop_assert!(!firing);
                        let alert = scene.alert();
                        let bad = alert.worse_ms.is_some_and(|held| held >= MINUTE);
                        prop_assert!(alert.held_ms >= 5 * MINUTE || bad);
                        firing = true;
                    }
                    Turn::Flaps => firing = true,
                    Turn::Rises => prop_assert!(firing),
                    Turn::Resolves | Turn::Gone => {
                        prop_assert!(firing);
                        firing = false;
                    }
                }
            }
            let active = scene.machine.alerts().any(Instance::is_firing);
            prop_assert_eq!(active, firing);
            if let Some(alert) = scene.machine.alerts().next() {
                prop_assert!(alert.flaps.len() <= MOST_FLAPS);
                prop_assert!(alert.seen_at <= scene.at);
                prop_assert!(alert.clear_since.is_none_or(|since| since <= scene.at));
            }
        }
    }

    /// A process that is killed and begins again from what was kept comes to the same.
    #[test]
    fn a_restart_changes_nothing(values in values(), cut in 0.0..1.0_f64) {
        let cut = (values.len() as f64 * cut) as usize;
        let mut whole = Scene::new(rule());
        let mut parts = Scene::new(rule());
        for (at, (value, after)) in values.into_iter().enumerate() {
            whole.see_after(after, value);
            parts.see_after(after, value);
            if at == cut {
                let kept: Vec<Instance> = parts.machine.alerts().cloned().collect();
                parts.machine = Machine::default();
                parts.machine.load(kept, Some(parts.at));
            }
        }
        prop_assert_eq!(whole.told, parts.told);
    }
}
