//! pipeline: the treatment of pushed values.

use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::pipeline::MAX_SAMPLES;

struct Rig {
    intake: Intake,
    registry: Arc<Registry>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
}

fn rig(names: u64, max_samples: usize) -> Rig {
    let counters = Arc::new(Counters::default());
    let registry = Arc::new(Registry::default());
    let queue = Arc::new(Queue::new(900_000, max_samples, Arc::clone(&counters)));
    let intake = Intake::new(
        Arc::clone(&registry),
        Arc::clone(&queue),
        Arc::clone(&counters),
        Arc::new(Names::new(names)),
        "here",
    );
    Rig { intake, registry, queue, counters }
}

/// A moment in 2023.
const NOW: i64 = 1_700_000_000_000;

const INFLUX: fn() -> Origin<'static> = || Origin::new(Source::Influx, "influx", true);

impl Rig {
    /// `system/job/key` of each series that was taken.
    fn put(&self, origin: Origin<'_>, keys: &[&str]) -> Vec<String> {
        let mut push = self.intake.begin(origin, NOW);
        for key in keys {
            let _counted = push.put(key, NOW, 1.0, None);
        }
        let series: Vec<_> = push.taken().filter_map(|s| self.registry.get(s)).collect();
        push.finish().expect("there is room");
        let shown = |s: &Arc<Series>| {
            let system = s.identity.system.as_deref().unwrap_or("-");
            format!("{system}/{}/{}", s.identity.job, s.identity.key())
        };
        series.iter().map(shown).collect()
    }
}

#[test]
fn instance_and_job_are_no_labels() {
    let rig = rig(100, MAX_SAMPLES);
    let keys = [
        "a{host=\"web2\",instance=\"web1\",job=\"x\",b=\"c\"}",
        "a{host=\"web2\"}",
        "a{host=\"here\"}",
        "a{instance=\"here\",job=\"\"}",
    ];
    let taken = rig.put(INFLUX(), &keys);
    let expected = ["web1/x/a{b=\"c\",host=\"web2\"}", "web2/influx/a", "-/influx/a", "-/influx/a"];
    assert_eq!(taken, expected);
    let remote = Origin::new(Source::RemoteWrite, "remote_write", false);
    assert_eq!(rig.put(remote, &keys[1..2]), ["-/remote_write/a{host=\"web2\"}"]);
    let labels = [("job".to_owned(), "backup".to_owned()), ("b".to_owned(), "own".to_owned())];
    let group = Origin { labels: &labels, ..Origin::new(Source::Text, "none", false) };
    assert_eq!(rig.put(group, &["a{b=\"c\",job=\"x\"}"]), ["-/backup/a{b=\"own\"}"]);
    // The same text from another origin is another series.
    assert_eq!(rig.put(INFLUX(), &["a{b=\"c\",job=\"x\"}"]), ["-/x/a{b=\"c\"}"]);
}

#[test]
fn known_names_go_on_when_new_ones_are_refused() {
    let rig = rig(2, MAX_SAMPLES);
    let taken = rig.put(INFLUX(), &["a", "b", "c", "a", "a{job=\"influx\"}", "d"]);
    assert_eq!(taken, ["-/influx/a", "-/influx/b", "-/influx/a", "-/influx/a"]);
    assert_eq!(rig.counters.lost_by(Source::Influx, Reason::SeriesLimit), 2);
    // A name that came another way needs no further place.
    rig.registry.intern(Series::undescribed(Identity::local("sql", "load", Labels::default())));
    assert_eq!(rig.put(INFLUX(), &["load{job=\"sql\"}"]), ["-/sql/load"]);
}

#[test]
fn what_this_machine_measures_is_not_written_by_senders() {
    let latest = Arc::new(Latest::default());
    let mut rig = rig(100, MAX_SAMPLES);
    rig.intake = std::mem::replace(&mut rig.intake, self::rig(1, 1).intake).beside(latest.clone());
    // A plugin's series, in no table, is measured at present.
    let plugin = Identity::local("nginx", "requests", Labels::default());
    let plugin = rig.registry.intern(Series::undescribed(plugin));
    latest.update(latest.group(), 1, &[(plugin, 1.0)]);
    let local = ["cpu", "x{job=\"node\"}", "cpu{host=\"here\"}", "requests{job=\"nginx\"}"];
    assert_eq!(rig.put(INFLUX(), &local), [""; 0]);
    assert_eq!(rig.counters.lost_by(Source::Influx, Reason::Forbidden), 4);
    assert_eq!(rig.intake.names.used(), 0, "what is refused takes no place");
    let others = ["cpu{host=\"web\"}", "x{job=\"node\",host=\"web\"}", "requests"];
    let taken = rig.put(INFLUX(), &others);
    assert_eq!(taken, ["web/influx/cpu", "web/node/x", "-/influx/requests"]);
}

#[test]
fn a_label_of_prometheus_own_makes_no_other_series() {
    let rig = rig(100, MAX_SAMPLES);
    assert_eq!(rig.put(INFLUX(), &["cpu{__name__=\"x\"}"]), [""; 0], "it is this machine's cpu");
    assert_eq!(rig.counters.lost_by(Source::Influx, Reason::Forbidden), 1);
    let keys = ["a{__name__=\"cpu\",b=\"c\"}", "a{__replica__=\"1\",b=\"c\"}", "a{_b=\"c\"}"];
    let taken = rig.put(INFLUX(), &keys);
    assert_eq!(taken, ["-/influx/a{b=\"c\"}", "-/influx/a{b=\"c\"}", "-/influx/a{_b=\"c\"}"]);
}

#[test]
fn nobody_speaks_for_another_machine() {
    let rig = rig(100, MAX_SAMPLES);
    let keys = ["a", "a{host=\"here\"}", "a{host=\"web\"}", "a{host=\"db\"}"];
    let sent = |sender| rig.put(Origin { sender, ..INFLUX() }, &keys);
    assert_eq!(
        sent(Sender::Here),
        ["-/influx/a", "-/influx/a", "web/influx/a", "db/influx/a"],
        "a program here may bring values of all"
    );
    assert_eq!(sent(Sender::Elsewhere), ["-/influx/a", "web/influx/a", "db/influx/a"]);
    assert_eq!(sent(Sender::Bound("web")), ["web/influx/a", "web/influx/a"]);
    assert_eq!(sent(Sender::Bound("here")), ["-/influx/a", "-/influx/a"]);
    assert_eq!(rig.counters.lost_by(Source::Influx, Reason::Forbidden), 1 + 2 + 2);
}

#[test]
fn a_time_before_the_century_takes_no_place() {
    let rig = rig(100, MAX_SAMPLES);
    let mut push = rig.intake.begin(INFLUX(), NOW);
    let refused = push.put("a", OLDEST_MS - 1, 1.0, None).unwrap_err().to_string();
    assert!(refused.contains("1999-12-31 23:59:59.999 lies before 2000-01-01"), "{refused}");
    push.put("b", OLDEST_MS, 1.0, None).unwrap();
    assert_eq!(rig.intake.names.used(), 1);
}

#[test]
fn names_that_cannot_be_kept_say_why() {
    let rig = rig(100, MAX_SAMPLES);
    let many: Vec<String> = (0..65).map(|i| format!("l{i}=\"1\"")).collect();
    let mut push = rig.intake.begin(INFLUX(), 0);
    for (key, why) in [
        (format!("a{{{}}}", many.join(",")), "65 labels"),
        ("x".repeat(201), "a metric's name of 201 bytes"),
        (String::new(), "no metric's name"),
        ("a\nb".to_owned(), "a control character in a metric's name"),
        (format!("a{{b=\"{}\"}}", "x".repeat(1_001)), "label `b` has 1001 bytes"),
        (format!("a{{host=\"{}\"}}", "x".repeat(201)), "a system's name of 201 bytes"),
    ] {
        let refused = push.put(&key, NOW, 1.0, None).unwrap_err();
        assert!(refused.to_string().starts_with(why), "{refused}");
    }
    assert!(push.put("a", i64::MAX, 1.0, None).is_err());
    assert_eq!(rig.counters.lost_by(Source::Influx, Reason::Invalid), 7);
}

#[test]
fn a_full_queue_takes_nothing_and_says_so() {
    let rig = rig(100, 3);
    rig.put(INFLUX(), &["a", "b"]);
    let mut push = rig.intake.begin(INFLUX(), NOW);
    push.put("a", NOW, 1.0, None).unwrap();
    push.put("b", NOW, 2.0, None).unwrap();
    assert_eq!(push.finish(), Err(Busy));
    let mut batches = Vec::new();
    rig.queue.take(&mut batches, Instant::now());
    assert_eq!(batches.iter().map(|b| b.samples.len()).sum::<usize>(), 2);
    assert_eq!((batches[0].ts, &*batches[0].times), (NOW, &[NOW, NOW][..]));
}

#[test]
fn the_arrival_of_each_other_system_is_kept() {
    let rig = rig(100, MAX_SAMPLES);
    let push = |now: i64, samples: &[(&str, i64)]| {
        let origin = Origin::new(Source::RemoteWrite, "prometheus", false);
        let mut push = rig.intake.begin(origin, now);
        for (key, ts) in samples {
            push.put(key, *ts, 1.0, None).expect("a sample");
        }
        push.finish().expect("there is room");
    };
    // One machine is two minutes ahead, one pushes old values, and this machine is not listed.
    let (web, db, here) = ("a{instance=\"web\"}", "a{instance=\"db\"}", "a{instance=\"here\"}");
    for beat in 1..5 {
        let now = NOW + beat * 10_000;
        push(now, &[(db, now - 9_000), (web, now + 120_000), (db, now - 1_000), (here, now)]);
    }
    push(NOW + 60_000, &[(web, NOW + 180_000)]);
    let of = |system| rig.intake.arrival(system).map(|a| (a.at - NOW, a.every, a.ahead));
    assert_eq!(of("web"), Some((60_000, 10_000, 120_000)));
    assert_eq!(of("db"), Some((40_000, 10_000, -1_000)));
    assert_eq!((of("here"), of("other")), (None, None));
}
