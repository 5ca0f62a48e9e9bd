//! store: in no order of running, importing, compacting, reloading, restarting and repairing is a
//! sample lost that retention would keep: as it is, as a bucket of five minutes, or as an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;

use crate::model::{Identity, Labels, Past, Registry, Series, SeriesRef, Stretch};
use crate::pipeline::{Batch, Source};
use crate::store::keep::stretch::{FIVE_MINUTES_MS, HOUR_MS};
use crate::store::packed::block::Column;
use crate::store::packed::chunk::Scratch;
use crate::store::samples::series;
use crate::store::write::history;
use crate::store::{Limits, Reader, Store, Times};

const START: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;

#[derive(Debug, Clone)]
enum Deed {
    /// This many beats of the series that this machine measures.
    Beats(u8),
    /// A file is imported: which series, how many hours back it begins, samples, straight into
    /// blocks or as rows.
    Import {
        series: u8,
        back: u16,
        samples: u16,
        many: bool,
    },
    /// A sender, or an import beside the daemon, brings old samples.
    Sent {
        series: u8,
        back: u16,
        samples: u8,
    },
    /// The history of another tool.
    History {
        series: u8,
        back: u16,
        rows: u8,
    },
    Upkeep,
    /// This many steps of it, so the next action finds it half done.
    Steps(u8),
    Compact,
    /// The process ends, however far it is, and starts again.
    Reopen,
    Repair,
    /// The configuration is read again: days of samples and of five-minute buckets.
    Reload {
        raw: u8,
        fine: u8,
    },
    /// Nothing for so many hours.
    Pause(u16),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let back = || prop_oneof![0u16..200, 0u16..2400];
    let deed = prop_oneof![
        3 => (1u8..200).prop_map(Deed::Beats),
        4 => (any::<u8>(), back(), 1u16..2000, any::<bool>())
            .prop_map(|(series, back, samples, many)| Deed::Import { series, back, samples, many }),
        2 => (any::<u8>(), back(), 1u8..50)
            .prop_map(|(series, back, samples)| Deed::Sent { series, back, samples }),
        1 => (any::<u8>(), back(), 1u8..200)
            .prop_map(|(series, back, rows)| Deed::History { series, back, rows }),
        3 => Just(Deed::Upkeep),
        3 => (1u8..6).prop_map(Deed::Steps),
        1 => Just(Deed::Compact),
        3 => Just(Deed::Reopen),
        1 => Just(Deed::Repair),
        1 => (1u8..40, 1u8..80).prop_map(|(raw, fine)| Deed::Reload { raw, fine }),
        2 => prop_oneof![1u16..8, 1u16..900].prop_map(Deed::Pause),
    ];
    prop::collection::vec(deed, 1..20)
}

/// What this machine measures, and what only others bring.
const KEYS: [&str; 6] = ["own_0", "own_1", "own_2", "far_0", "far_1", "far_2"];
const OWN: usize = 3;

struct Life {
    path: std::path::PathBuf,
    store: Option<Store>,
    registry: Arc<Registry>,
    own: Vec<SeriesRef>,
    now: i64,
    limits: Limits,
    /// Samples, and five-minute buckets, that end before this may be gone.
    raw_gone: i64,
    fine_gone: i64,
    /// Of two samples of one moment any may stay.
    truth: BTreeMap<(usize, i64), Vec<f64>>,
}

impl Life {
    fn new(dir: &Path) -> Self {
        let registry = Arc::new(Registry::default());
        let own = KEYS[..OWN].iter().map(|name| {
            let identity = Identity::local("node", name, Labels::default());
            registry.intern(Series::undescribed(identity))
        });
        let mut life = Self {
            path: dir.join("metrics.sqlite"),
            store: None,
            own: own.collect(),
            registry,
            now: START,
            limits: Limits { plain_rows: 0, ..Limits::default() },
            raw_gone: i64::MIN,
            fine_gone: i64::MIN,
            truth: BTreeMap::new(),
        };
        life.open();
        life
    }

    fn open(&mut self) {
        self.store = None;
        let mut store = Store::open(&self.path, "here", Arc::clone(&self.registry)).expect("opens");
        store.set_limits(self.limits);
        self.store = Some(store);
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("open")
    }

    /// What may be gone once upkeep has been at work.
    fn age(&mut self) -> Times {
        self.raw_gone = self.raw_gone.max(self.now - self.limits.raw_ms);
        self.fine_gone = self.fine_gone.max(self.now - self.limits.five_minutes_ms);
        Times { wall: self.now, boot: self.now - START }
    }

    /// From so many hours back on, one a minute or one in five minutes, none in the future.
    fn times(&self, back: u16, samples: usize, step: i64) -> Vec<i64> {
        let from = self.now - i64::from(back) * HOUR_MS;
        (0..samples as i64).map(|i| from + i * step).filter(|ts| *ts <= self.now).collect()
    }

    fn given(&mut self, key: usize, at: i64, value: f64) {
        self.truth.entry((key, at)).or_default().push(value);
    }

    fn live(&mut self, deed: &Deed) {
        match deed {
            Deed::Beats(n) => {
                for _ in 0..*n {
                    self.now += MINUTE;
                    let (now, value) = (self.now, (self.now / MINUTE % 97) as f64);
                    let samples = self.own.iter().map(|s| (*s, value)).collect();
                    (0..OWN).for_each(|i| self.given(i, now, value));
                    self.store().commit(&[Batch::of(Source::Collect, now, samples)]).expect("ok");
                }
            }
            Deed::Import { series, back, samples, many } => {
                let key = usize::from(*series) % KEYS.len();
                let times = self.times(*back, usize::from(*samples), FIVE_MINUTES_MS);
                times.iter().for_each(|ts| self.given(key, *ts, f64::from(*back)));
                let mut import = self.store().begin_import();
                if *many {
                    import.many = 1;
                }
                import.put(times.iter().map(|ts| (KEYS[key], *ts, f64::from(*back)))).expect("ok");
                import.finish().expect("imported");
            }
            Deed::Sent { series, back, samples } => {
                let key = usize::from(*series) % KEYS.len();
                let times = self.times(*back, usize::from(*samples), MINUTE);
                let client = Connection::open(&self.path).expect("opens");
                for ts in times {
                    let insert = "INSERT INTO metrics (key, value, timestamp) VALUES (?1, 5.5, ?2)";
                    client.execute(insert, (KEYS[key], ts)).expect("inserted");
                    self.given(key, ts, 5.5);
                }
                drop(client);
                self.store().commit(&[]).expect("commits");
            }
            Deed::History { series, back, rows } => {
                let span = 6 * FIVE_MINUTES_MS;
                let first_end = self.now - self.now % span - i64::from(*back) * HOUR_MS;
                let rows = i64::from(*rows).min((self.now - first_end) / span);
                let mean = vec![3.25; rows.max(0) as usize];
                let until = i64::MAX;
                let (min, max) = (mean.clone(), mean.clone());
                let stretches = vec![Stretch { span, first_end, until, mean, min, max }];
                let past = Past { stretches, step: FIVE_MINUTES_MS, anchor: None };
                let name = format!("past_{}", series % 20);
                let named = Series::undescribed(Identity::local("rrd", &name, Labels::default()));
                let now = self.now;
                let mut history = self.store().begin_history(now).expect("begins");
                let places = history.places(&[named]).expect("placed");
                if let Some(prepared) = history::prepare(vec![(places[0], past)]) {
                    history.put(&prepared).expect("written");
                }
            }
            Deed::Upkeep => {
                let now = self.age();
                while self.store().upkeep(now, Duration::from_secs(1)).expect("upkeep") {}
            }
            Deed::Steps(n) => {
                let now = self.age();
                for _ in 0..*n {
                    self.store().upkeep(now, Duration::ZERO).expect("upkeep");
                }
            }
            Deed::Compact => {
                let now = self.age();
                self.store().compact(now).expect("compacts");
            }
            Deed::Reopen => self.open(),
            Deed::Repair => {
                let now = Times { wall: self.now, boot: self.now - START };
                self.store().mend(now).expect("mends");
            }
            Deed::Reload { raw, fine } => {
                self.limits.raw_ms = i64::from(*raw) * DAY;
                self.limits.five_minutes_ms = i64::from(*fine) * DAY;
                let limits = self.limits;
                self.store().set_limits(limits);
            }
            Deed::Pause(hours) => self.now += i64::from(*hours) * HOUR_MS,
        }
    }

    fn check(&self) {
        let reader = Reader::open(&self.path).expect("opens");
        let held: Vec<Held> = (reader.series().expect("series").iter())
            .map(|known| Held::read(&reader, &self.path, known.id, &known.key))
            .collect();
        for ((key, at), values) in &self.truth {
            // What was imported before it was measured here is a series of its own.
            let held: Vec<&Held> = held.iter().filter(|h| h.key == KEYS[*key]).collect();
            if held.iter().any(|h| h.samples.get(at).is_some_and(|v| values.contains(v))) {
                continue;
            }
            let days = (self.now - at) as f64 / DAY as f64;
            let what = format!("{} of {days:.2} days ago", KEYS[*key]);
            assert!(*at <= self.raw_gone, "the sample of {what} is lost");
            let (five, hour) = (at - at.rem_euclid(FIVE_MINUTES_MS), at - at.rem_euclid(HOUR_MS));
            let fine = held.iter().any(|h| h.fine.contains(&five));
            assert!(fine || five <= self.fine_gone, "the five minutes of {what} are lost");
            assert!(held.iter().any(|h| h.hours.contains(&hour)), "the hour of {what} is lost");
        }
        for finding in reader.examine(self.now) {
            assert_eq!(finding.wrong, Vec::<String>::new(), "{}", finding.check);
        }
    }
}

/// What the file holds of a series.
struct Held {
    key: String,
    samples: BTreeMap<i64, f64>,
    fine: BTreeSet<i64>,
    hours: BTreeSet<i64>,
}

impl Held {
    fn read(reader: &Reader, path: &Path, id: i64, key: &str) -> Self {
        let conn = Connection::open(path).expect("opens");
        let (ts, values) = reader.samples(id, i64::MIN, i64::MAX).expect("reads");
        let mut fine = [Column { series: id, ..Column::default() }];
        let scratch = &mut Scratch::default();
        let (from, to) = (i64::MIN, i64::MAX);
        series::sealed(&conn, FIVE_MINUTES_MS, from, to, scratch, &mut fine).expect("reads");
        let hours = conn
            .prepare("SELECT ts FROM rollup_1h WHERE series_id = ?1")
            .expect("SQL")
            .query_map([id], |r| r.get(0))
            .expect("runs")
            .collect::<Result<_, _>>()
            .expect("rows");
        Self {
            key: key.to_owned(),
            samples: ts.into_iter().zip(values).collect(),
            fine: fine[0].ts.iter().copied().collect(),
            hours,
        }
    }
}

fn lived(deeds: &[Deed]) {
    // In memory where there is such a place: what a disk does to all this is tested elsewhere.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let dir = dir.expect("a folder");
    let mut life = Life::new(dir.path());
    for deed in deeds {
        life.live(deed);
        if matches!(deed, Deed::Steps(_) | Deed::Reopen) {
            life.check();
        }
    }
    life.check();
    // Whatever was left undone is done, and what is too old is deleted.
    life.live(&Deed::Pause(3));
    life.live(&Deed::Upkeep);
    life.live(&Deed::Reopen);
    life.live(&Deed::Compact);
    life.check();
}

/// Somebody tries plimsoll for some seconds and stops it, imports, and runs it again.
#[test]
fn an_import_after_a_short_run_keeps_its_hours() {
    let all =
        [0, 1, 2, 3].map(|series| Deed::Import { series, back: 1440, samples: 17_000, many: true });
    let mut deeds = vec![Deed::Beats(3), Deed::Reopen];
    deeds.extend(all);
    deeds.extend([Deed::Reopen, Deed::Beats(2), Deed::Upkeep]);
    lived(&deeds);
}

/// A file in which an older version deleted samples without making their hours says so.
#[test]
fn doctor_tells_of_samples_that_went_without_their_hours() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut life = Life::new(dir.path());
    life.live(&Deed::Import { series: 3, back: 1440, samples: 1_000, many: true });
    let gone = "DELETE FROM blocks WHERE id = (SELECT min(id) FROM blocks);
                INSERT INTO state VALUES ('pruned_until', 1695000000000)";
    life.store().conn().execute_batch(gone).expect("deleted");
    let told = |life: &Life| -> Vec<String> {
        let reader = Reader::open(&life.path).expect("opens");
        reader.examine(life.now).into_iter().flat_map(|f| f.wrong).collect()
    };
    let found = told(&life);
    assert!(found[0].contains("were deleted before rollups were made of them"), "{found:?}");
    life.live(&Deed::Repair);
    assert_eq!(told(&life), Vec::<String>::new());
}

/// A seal of many series that is cut off leaves alone what an import brought before it.
#[test]
fn a_seal_that_is_cut_off_takes_no_import_with_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let registry = Arc::new(Registry::default());
    let own: Vec<SeriesRef> = (0..40_000)
        .map(|i| {
            let identity = Identity::local("node", &format!("own_{i}"), Labels::default());
            registry.intern(Series::undescribed(identity))
        })
        .collect();
    let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
    let mut import = store.begin_import();
    import.many = 1;
    import.put((0..100).map(|i| ("far", START + i * MINUTE, 1.0))).expect("taken");
    import.finish().expect("imported");
    let at = START + DAY;
    for i in 0..3 {
        let samples = own.iter().map(|s| (*s, 1.0)).collect();
        store.commit(&[Batch::of(Source::Collect, at + i * MINUTE, samples)]).expect("commits");
    }
    let now = Times { wall: at + 3 * HOUR_MS, boot: 0 };
    store.upkeep(now, Duration::ZERO).expect("upkeep");
    let sealing = "SELECT EXISTS (SELECT 1 FROM state WHERE name LIKE 'sealing%')";
    let cut: bool = store.conn().query_row(sealing, [], |r| r.get(0)).expect("a number");
    assert!(cut, "the seal was done in one step: the test shows nothing");
    drop(store);
    drop(Store::open(&path, "here", registry).expect("opens"));
    let reader = Reader::open(&path).expect("opens");
    let far = reader.series().expect("series").into_iter().find(|s| s.key == "far").expect("there");
    assert_eq!(reader.samples(far.id, i64::MIN, i64::MAX).expect("reads").0.len(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn no_order_of_deeds_loses_what_retention_keeps(deeds in deeds()) {
        lived(&deeds);
    }
}
