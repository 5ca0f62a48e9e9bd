//! pipeline: packets in, samples out, with a clock that only moves by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::model::{Clock, Labels, ManualClock};
use crate::pipeline::{Flow, Names, Reason, Source};
use crate::receive::{Carrier, Sink, Turn};

const START: i64 = 1_700_000_003_500;

struct Rig {
    gather: Gather,
    outlet: Outlet,
    clock: Arc<ManualClock>,
}

impl Rig {
    fn new(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let flow = Flow::new(clock.clone(), "here", 900_000, 1_000_000, Names::default());
        let outlet = Outlet { flow, tally: Arc::default(), rested: || () };
        Self { gather: Gather::new(settings, outlet.clone()), outlet, clock }
    }

    fn send(&mut self, text: &str) {
        self.gather.take(Carrier::Datagram, text.as_bytes());
    }

    /// Moves to the next flush; returns its samples by time (seconds after 1.7e9) and key.
    fn flush(&mut self) -> BTreeMap<String, f64> {
        // New timers are given their series first.
        let wait = loop {
            if let Turn::In(wait) = self.gather.turn() {
                break wait;
            }
        };
        self.clock.advance(wait.as_millis() as i64);
        while self.gather.turn() == Turn::Again {}
        self.written()
    }

    fn written(&mut self) -> BTreeMap<String, f64> {
        let mut batches = Vec::new();
        self.outlet.queue.take(&mut batches, Instant::now());
        let mut out = BTreeMap::new();
        for batch in batches {
            assert_eq!(batch.source, Source::Statsd);
            for (series, value) in batch.samples {
                let series = self.outlet.registry.get(series).expect("known");
                assert_eq!(&*series.identity.job, "statsd");
                let at = (batch.ts - 1_700_000_000_000) as f64 / 1e3;
                out.insert(format!("{at} {series}"), value);
            }
        }
        out
    }

    fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.outlet.tally.refused().filter(|(_, n)| *n > 0).collect()
    }
}

fn map<const N: usize>(rows: [(&str, f64); N]) -> BTreeMap<String, f64> {
    rows.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

#[test]
fn each_type_becomes_its_series() {
    let mut rig = Rig::new(Settings { percentiles: vec![50.0, 99.9], ..Settings::default() });
    rig.send("req:1|c\nreq:2|c|@0.5\nload:7|g\nload:-2|g\nwho:a|s:b|s:a|s\n");
    rig.send("lat:10:30|ms|#env:prod\nlat:20|h|@0.5|#env:prod");
    assert_eq!(
        rig.flush(),
        map([
            ("3.5 req", 0.0),
            ("10 req", 5.0),
            ("10 load", 5.0),
            ("10 who", 2.0),
            (r#"3.5 lat_count{env="prod"}"#, 0.0),
            (r#"3.5 lat_sum{env="prod"}"#, 0.0),
            (r#"10 lat_count{env="prod"}"#, 4.0),
            (r#"10 lat_sum{env="prod"}"#, 80.0),
            (r#"10 lat_min{env="prod"}"#, 10.0),
            (r#"10 lat_max{env="prod"}"#, 30.0),
            (r#"10 lat_mean{env="prod"}"#, 20.0),
            (r#"10 lat_std{env="prod"}"#, (200.0f64 / 3.0).sqrt()),
            (r#"10 lat{env="prod",quantile="0.5"}"#, 20.0),
            (r#"10 lat{env="prod",quantile="0.999"}"#, 30.0),
        ])
    );
    // Totals continue, descriptions of values need values.
    rig.send("req:1|c\nnew:3|c");
    assert_eq!(
        rig.flush(),
        map([
            ("20 req", 6.0),
            ("10 new", 0.0),
            ("20 new", 3.0),
            ("20 load", 5.0),
            ("20 who", 0.0),
            (r#"20 lat_count{env="prod"}"#, 4.0),
            (r#"20 lat_sum{env="prod"}"#, 80.0),
        ])
    );
    assert_eq!(rig.outlet.latest.all().len(), 6, "what can be seen is the last flush");
    assert_eq!((rig.outlet.tally.values(), rig.outlet.tally.packets()), (12, 3));
}

#[test]
fn a_counter_that_is_decremented_stands_until_it_has_been_passed() {
    let mut rig = Rig::new(Settings::default());
    let mut flush = |text: &str| {
        rig.send(text);
        let flushed = rig.flush();
        let newest = |wanted| {
            let all = flushed.iter().map(|(key, value)| (key.split_once(' ').unwrap(), *value));
            let of = all.filter(|((_, key), _)| *key == wanted);
            let when = |at: &str| at.parse::<f64>().unwrap();
            of.max_by(|a, b| when(a.0.0).total_cmp(&when(b.0.0))).map(|(_, value)| value)
        };
        (newest("conns"), newest("temp_sum"))
    };
    assert_eq!(flush("conns:10|c\nconns:5|c\ntemp:5|d"), (Some(15.0), Some(5.0)));
    assert_eq!(flush("conns:-3|c\ntemp:-4|d"), (Some(15.0), Some(5.0)));
    // Nearly nothing is left of it, and still it has not begun again.
    assert_eq!(flush("conns:-11|c"), (Some(15.0), Some(5.0)));
    assert_eq!(flush("conns:15|c\ntemp:8|d"), (Some(16.0), Some(9.0)));
}

#[test]
fn what_is_not_sent_any_more_ends() {
    let settings = Settings { ttl_ms: 30_000, ..Settings::default() };
    let mut rig = Rig::new(settings);
    rig.send("g:5|g\nc:1|c");
    for _ in 0..3 {
        assert_eq!(rig.flush().iter().filter(|(k, _)| !k.starts_with("3.5")).count(), 2);
    }
    assert_eq!(rig.flush(), map([]));
    // A change of a forgotten gauge is a first value; a total is not forgotten.
    rig.send("g:+2|g\nc:1|c");
    assert_eq!(rig.flush(), map([("50 g", 2.0), ("50 c", 2.0)]));
}

#[test]
fn gauges_survive_a_restart_and_steps_go_on_from_there() {
    let mut rig = Rig::new(Settings { ttl_ms: 40_000, ..Settings::default() });
    let labels = Labels::new([("env", "x")]);
    let known = [("a".to_owned(), labels, 40.0), ("b".to_owned(), Labels::default(), 1.0)];
    rig.gather.restore(known.into_iter(), 25_000);
    rig.send("a:+2|g|#env:x");
    assert_eq!(rig.flush(), map([(r#"10 a{env="x"}"#, 42.0), ("10 b", 1.0)]));
    assert_eq!(rig.flush().len(), 2);
    assert_eq!(rig.flush(), map([(r#"30 a{env="x"}"#, 42.0)]), "its age counts");
}

#[test]
fn new_names_beyond_the_limit_are_refused_and_known_ones_go_on() {
    let mut rig = Rig::new(Settings::default());
    rig.outlet.names.set_most(2);
    rig.send("a:1|c\nb:1|ms\nc:1|c\nc:1|c\nd:1|g\na:1|c\n a :1|c");
    let flushed = rig.flush();
    assert_eq!(flushed.get("10 a"), Some(&2.0), "{flushed:?}");
    assert_eq!(rig.refused(), BTreeMap::from([("series_limit", 4)]));
    assert_eq!(rig.outlet.counters.lost_by(Source::Statsd, Reason::SeriesLimit), 4);
    assert_eq!(rig.outlet.tally.names(), 2);
    // Another way to write it is the same name.
    rig.send("b;:5|ms\n%a:1|c");
    let flushed = rig.flush();
    assert_eq!((flushed["20 a"], flushed["20 b_count"]), (3.0, 2.0));
}

#[test]
fn a_name_of_two_types_is_one_series_and_the_first_has_it() {
    let mut rig = Rig::new(Settings::default());
    rig.send("x:1|c\nx:9|g\nx:9|s\nx:3|ms");
    let flushed = rig.flush();
    assert_eq!((flushed["10 x"], flushed["10 x_count"]), (1.0, 1.0));
    assert_eq!(rig.refused(), BTreeMap::from([("type_conflict", 2)]));
}

#[test]
fn every_line_is_taken_refused_or_bad() {
    let mut rig = Rig::new(Settings::default());
    rig.outlet.names.set_most(3);
    let lines = ["a:1|c", "b:2|g", "x", "c:1|q", "d:1|ms", "e:1|s", "a:1|g", "%:1|c", "a:z|c", ""];
    rig.send(&lines.join("\n"));
    rig.flush();
    let tally = &rig.outlet.tally;
    let bad: BTreeMap<_, _> = tally.bad().filter(|(_, n)| *n > 0).collect();
    assert_eq!(bad, BTreeMap::from([("form", 1), ("type", 1), ("name", 1), ("value", 1)]));
    let refused: u64 = rig.refused().values().sum();
    assert_eq!((tally.values(), refused, tally.lines()), (3, 2, 9));
}

#[test]
fn values_with_a_time_of_their_own() {
    let mut rig = Rig::new(Settings::default());
    rig.clock.advance(3_000);
    rig.send("g:5|g|T1600000000\ng:6|g|T1700000004");
    rig.send("c:10|c\nc:2|c|T1700000005\nc:3|c|T1700000004\nc:4|c|T1700000006\nc:5|c|T1800000000");
    assert_eq!(
        rig.flush(),
        map([
            ("-100000000 g", 5.0),
            ("4 g", 6.0),
            ("3.5 c", 0.0),
            ("5 c", 2.0),
            ("6 c", 6.0),
            ("10 c", 24.0),
        ]),
        "a total never falls with time, whatever the order"
    );
    assert_eq!(rig.flush(), map([("20 c", 24.0)]), "a gauge with a time is not repeated");
}

#[test]
fn events_and_checks_are_told() {
    let mut rig = Rig::new(Settings::default());
    rig.send(
        "_e{5,7}:Title|a\\nb cd|t:error|p:low|s:cron|h:web|k:key|#x:y\n_sc|redis|2|#a:b|m:down",
    );
    rig.send("_sc|redis|2|#a:b|m:down\n_sc|redis|0|#a:b|d:5|m:up");
    let events = rig.outlet.queue.take_events();
    let told: Vec<String> = (events.iter())
        .map(|e| {
            let tags: Vec<_> = e.tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let (level, tags) = (e.level, tags.join(" "));
            format!(
                "{} {level} {:?} {:?} {tags} {} {}",
                e.kind, e.title, e.text, e.priority, e.source
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"event error "Title" "a\nb cd" aggregation_key=key x=y low cron"#,
            r#"check error "redis: CRITICAL" "down" a=b normal statsd"#,
            r#"check success "redis: OK" "up" a=b normal statsd"#,
        ]
    );
    assert_eq!(events[0].system.as_deref(), Some("web"));
    assert_eq!((events[0].ts, events[1].ts), (START, START));
    assert_eq!(rig.flush(), map([(r#"10 redis{a="b"}"#, 0.0)]));
}

#[test]
fn the_end_is_a_flush_and_the_clock_may_be_set() {
    let mut rig = Rig::new(Settings::default());
    rig.send("c:1|c");
    // An hour back: the grid continues there, and nothing is lost.
    rig.clock.step_wall(-3_600_000);
    assert!(matches!(rig.gather.turn(), Turn::In(wait) if wait.as_millis() == 6_500));
    assert_eq!(rig.flush()["-3590 c"], 1.0);
    // A day ahead, as after sleep: one flush for all that were missed.
    rig.send("c:1|c");
    rig.clock.advance(86_400_000);
    let flushed = {
        while rig.gather.turn() == Turn::Again {}
        rig.written()
    };
    assert_eq!(flushed, map([("82810 c", 2.0)]));
    rig.send("c:1|c");
    rig.clock.advance(1_234);
    rig.gather.end();
    assert_eq!(rig.written(), map([("82811.234 c", 3.0)]));
    assert_eq!(rig.clock.wall_ms(), 1_700_082_811_234);
}

#[test]
fn a_flush_comes_in_slices_and_loses_nothing_between_them() {
    let mut rig = Rig::new(Settings::default());
    let names = 5_000;
    for i in 0..names {
        rig.send(&format!("c{i}:1|c\nt{i}:1:2:3|ms"));
    }
    // There was no time to name the timers before.
    rig.clock.advance(6_500);
    let mut slices = 0;
    while rig.gather.turn() == Turn::Again {
        slices += 1;
        rig.send("c0:1|c\nc4999:1|c\nt4999:1|ms");
    }
    assert!(slices > 3, "{slices}");
    rig.written();
    let flushed = rig.flush();
    let sent = f64::from(slices);
    assert_eq!((flushed["20 c0"], flushed["20 c4999"]), (1.0 + sent, 1.0 + sent));
    assert_eq!(flushed["20 t4999_count"], 3.0 + sent);
}

#[test]
fn a_timer_has_its_series_before_the_flush_that_writes_them() {
    let mut rig = Rig::new(Settings::default());
    for i in 0..2_000 {
        rig.send(&format!("t{i}:1|ms"));
    }
    assert_eq!(rig.outlet.registry.len(), 2_000, "the packet does not wait for all of them");
    let mut turns = 0;
    while rig.gather.turn() == Turn::Again {
        turns += 1;
        rig.send("t0:1|ms");
    }
    assert!(turns > 1, "in slices, between packets");
    assert_eq!(rig.outlet.registry.len(), 9 * 2_000);
    let flushed = rig.flush();
    assert_eq!(rig.outlet.registry.len(), 9 * 2_000);
    assert_eq!((flushed["10 t0_count"], flushed["3.5 t0_sum"]), (1.0 + f64::from(turns), 0.0));
}

/// By hand from the reference's source; ci/conformance/statsd.js compares with the program itself.
#[test]
fn legacy_names_and_arithmetic() {
    let settings = Settings {
        legacy_names: true,
        percentiles: vec![90.0, -20.0, 99.9],
        ..Settings::default()
    };
    let mut rig = Rig::new(settings);
    rig.send("c:5|c|@0.1\nt:1:2:3:4:5|ms\nt:4|ms|@0.5\ng:3|g\ns:a|s:b|s\nx|y");
    let flushed = rig.flush();
    let right = map([
        ("10 stats.counters.c.count", 50.0),
        ("10 stats.counters.c.rate", 5.0),
        ("10 stats.gauges.g", 3.0),
        ("10 stats.sets.s.count", 2.0),
        ("10 stats.timers.t.count", 7.0),
        ("10 stats.timers.t.count_ps", 0.7),
        ("10 stats.timers.t.lower", 1.0),
        ("10 stats.timers.t.upper", 5.0),
        ("10 stats.timers.t.sum", 19.0),
        ("10 stats.timers.t.sum_squares", 71.0),
        ("10 stats.timers.t.mean", 19.0 / 6.0),
        ("10 stats.timers.t.median", 3.5),
        ("10 stats.timers.t.count_90", 5.0),
        ("10 stats.timers.t.mean_90", 14.0 / 5.0),
        ("10 stats.timers.t.upper_90", 4.0),
        ("10 stats.timers.t.sum_90", 14.0),
        ("10 stats.timers.t.sum_squares_90", 46.0),
        ("10 stats.timers.t.count_top20", 1.0),
        ("10 stats.timers.t.mean_top20", 5.0),
        ("10 stats.timers.t.lower_top20", 5.0),
        ("10 stats.timers.t.sum_top20", 5.0),
        ("10 stats.timers.t.sum_squares_top20", 25.0),
        ("10 stats.timers.t.upper_99_9", 5.0),
        ("10 stats.counters.statsd.bad_lines_seen.count", 1.0),
        ("10 stats.counters.statsd.packets_received.count", 1.0),
        ("10 stats.counters.statsd.metrics_received.count", 6.0),
    ]);
    for (key, value) in &right {
        assert_eq!(flushed.get(key), Some(value), "{key} in {flushed:#?}");
    }
    // Idle: counters are 0, gauges stay, timers have no value.
    let flushed = rig.flush();
    assert_eq!(flushed["20 stats.counters.c.count"], 0.0);
    assert_eq!(flushed["20 stats.gauges.g"], 3.0);
    assert_eq!(flushed["20 stats.timers.t.count"], 0.0);
    assert!(!flushed.contains_key("20 stats.timers.t.mean"));
    rig.gather.restore([("stats.gauges.old".into(), Labels::default(), 8.0)].into_iter(), 0);
    assert_eq!(rig.flush()["30 stats.gauges.old"], 8.0);
}

#[test]
fn what_plimsoll_measures_itself_is_not_taken_from_senders() {
    let mut rig = Rig::new(Settings::default());
    rig.send("cpu:666|g\ndisk:1|g|#mountpoint:/\ncpu:2|g|#room:1");
    assert_eq!(rig.flush(), map([("10 cpu{room=\"1\"}", 2.0)]));
    assert_eq!(rig.refused(), BTreeMap::from([("forbidden", 2)]));
    assert_eq!(rig.outlet.counters.lost_by(Source::Statsd, Reason::Forbidden), 2);
}

#[test]
fn a_counter_that_is_called_as_a_timers_count_is_refused_and_counted() {
    let mut rig = Rig::new(Settings::default());
    rig.send("miss:5|d\nmiss:6|d\nmiss_count:70|g");
    assert_eq!(rig.flush().get("10 miss_count"), Some(&2.0));
    assert_eq!(rig.refused(), BTreeMap::from([("type_conflict", 1)]));
}

#[test]
fn names_that_are_not_sent_any_more_are_forgotten_and_their_places_used_again() {
    let settings = Settings { flush_ms: 60_000, ttl_ms: 120_000, ..Settings::default() };
    let mut rig = Rig::new(settings);
    let named = |rig: &Rig| (rig.outlet.tally.names(), rig.outlet.names.used());
    let sent = "c:3|c\ng:1|g\nt:5|ms\ns:a|s";
    rig.send(sent);
    rig.flush();
    let (series, held) = (rig.outlet.registry.len(), rig.gather.series.len());
    rig.gather.turn();
    assert_eq!(named(&rig), (4, 4));
    for _ in 0..14 {
        rig.send("stays:1|c");
        rig.flush();
    }
    rig.gather.turn();
    assert_eq!(named(&rig).0, 1, "two minutes, and ten more");
    // Nothing holds their series now.
    let idle = |registry: &crate::model::Registry| {
        let stays = registry.all().into_iter().find(|(_, s)| &*s.identity.name == "stays");
        let stays = stays.expect("it is sent").0;
        registry.retire(|series| series != stays);
        registry.release(|series| series != stays).len()
    };
    assert_eq!(idle(&rig.outlet.registry), series);
    // Another counter, gauge, timer and set have their places.
    rig.send("c2:3|c\ng2:1|g\nt2:5|ms\ns2:a|s\nstays:1|c");
    let written = rig.flush();
    assert_eq!(rig.gather.series.len(), held + 1);
    assert_eq!(rig.outlet.registry.len(), series + 1);
    let values: Vec<f64> = ["c2", "g2", "t2_sum", "t2_max", "s2", "stays"]
        .iter()
        .filter_map(|name| written.iter().rev().find(|(key, _)| key.ends_with(&format!(" {name}"))))
        .map(|(_, value)| *value)
        .collect();
    assert_eq!(values, [3.0, 1.0, 5.0, 5.0, 1.0, 15.0]);
    // The first comes back and begins at zero.
    rig.send("c:4|c");
    let written = rig.flush();
    let mut of_c: Vec<f64> =
        written.iter().filter(|(key, _)| key.ends_with(" c")).map(|(_, value)| *value).collect();
    // The order of the texts is not that of time.
    of_c.sort_by(f64::total_cmp);
    assert_eq!(of_c, [0.0, 4.0]);
}
