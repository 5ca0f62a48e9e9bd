//! store: random lives of a database against a map in memory that cannot go wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::model::{Identity, Labels, Registry, Series, SeriesRef};
use crate::pipeline::{Batch, Source};
use crate::store::packed::block::Column;
use crate::store::packed::chunk::Scratch;
use crate::store::{Kept, Limits, Reader, Store, Times};

const START: i64 = 1_700_000_000_000;
const STEP: i64 = 10_000;

#[derive(Debug, Clone)]
enum Deed {
    /// This many beats of all series.
    Beats(u16),
    /// One series, so many steps back, so many samples.
    Late { series: u8, back: u16, samples: u8 },
    /// As much upkeep as is due.
    Upkeep,
    /// This many steps of it, so the next action finds it half done.
    Steps(u8),
    /// All of it, due or not.
    Compact,
    /// The process ends and starts again.
    Reopen,
    /// A clock far ahead writes one beat.
    Future,
    /// Nothing for so many steps.
    Pause(u16),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => (1u16..600).prop_map(Deed::Beats),
        3 => (any::<u8>(), 1u16..3000, 1u8..50)
            .prop_map(|(series, back, samples)| Deed::Late { series, back, samples }),
        2 => Just(Deed::Upkeep),
        3 => (1u8..6).prop_map(Deed::Steps),
        1 => Just(Deed::Compact),
        1 => Just(Deed::Reopen),
        1 => Just(Deed::Future),
        1 => (1u16..5000).prop_map(Deed::Pause),
    ];
    prop::collection::vec(deed, 1..25)
}

struct Life {
    path: std::path::PathBuf,
    store: Option<Store>,
    series: Vec<SeriesRef>,
    registry: Arc<Registry>,
    now: i64,
    truth: BTreeMap<(usize, i64), f64>,
    noise: u64,
    kept: Arc<Kept>,
}

impl Life {
    fn new(dir: &Path, series: usize) -> Self {
        let mut life = Self {
            path: dir.join("metrics.sqlite"),
            store: None,
            series: Vec::new(),
            registry: Arc::default(),
            now: START,
            truth: BTreeMap::new(),
            noise: 1,
            kept: Arc::default(),
        };
        for i in 0..series {
            let identity = Identity::local("node", &format!("s{i}_total"), Labels::default());
            life.series.push(life.registry.intern(Series::undescribed(identity)));
        }
        life.open();
        life
    }

    fn open(&mut self) {
        self.store = None;
        let registry = Arc::clone(&self.registry);
        self.store = Some(Store::open(&self.path, "here", registry).expect("opens"));
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("open")
    }

    /// A value that is sometimes odd.
    fn value(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        match (self.noise >> 33) % 40 {
            0 => f64::from_bits(0x7ff0_0000_0000_0002),
            1 => -0.0,
            2 => f64::INFINITY,
            3 => (self.noise >> 11) as f64 / 1e3,
            n => n as f64,
        }
    }

    fn write(&mut self, ts: i64, series: &[usize]) {
        let mut samples = Vec::new();
        for i in series {
            let value = self.value();
            self.truth.insert((*i, ts), value);
            samples.push((self.series[*i], value));
        }
        let batch = Batch::of(Source::Collect, ts, samples);
        self.store().commit(&[batch]).expect("commits");
    }

    fn live(&mut self, deed: &Deed) {
        let all: Vec<usize> = (0..self.series.len()).collect();
        match deed {
            Deed::Beats(n) => {
                for _ in 0..*n {
                    self.now += STEP;
                    self.write(self.now, &all);
                }
            }
            Deed::Late { series, back, samples } => {
                let series = usize::from(*series) % self.series.len();
                for i in 0..i64::from(*samples) {
                    // Some fall on times that exist, some between.
                    let ts = self.now - i64::from(*back) * STEP + i * (STEP / 2);
                    self.write(ts, &[series]);
                }
            }
            Deed::Upkeep => {
                let now = Times { wall: self.now, boot: self.now - START };
                while self.store().upkeep(now, Duration::ZERO).expect("upkeep") {}
            }
            Deed::Steps(n) => {
                let now = Times { wall: self.now, boot: self.now - START };
                for _ in 0..*n {
                    self.store().upkeep(now, Duration::ZERO).expect("upkeep");
                }
            }
            Deed::Compact => {
                let now = Times { wall: self.now, boot: self.now - START };
                self.store().compact(now).expect("compacts");
            }
            Deed::Reopen => self.open(),
            Deed::Future => self.write(self.now + 10 * 365 * 86_400_000, &all),
            Deed::Pause(n) => self.now += i64::from(*n) * STEP,
        }
    }

    /// Every sample is there once with its value, and nothing else.
    fn check(&self) {
        let reader = || Reader::open(&self.path).expect("opens");
        self.check_with(&reader());
        // The same as the process that writes reads it.
        let head = self.store.as_ref().expect("open").head();
        self.check_with(&reader().with_head(head));
        self.check_with(&reader().load_head().expect("reads"));
        // What it kept of blocks may be of blocks that are gone since, and whose numbers are used again.
        for _ in 0..2 {
            self.check_with(&reader().with_kept(Arc::clone(&self.kept)));
        }
    }

    /// The last samples of all series in windows that end where something begins or ends.
    fn check_last(&self, reader: &Reader) {
        let known = reader.series().expect("series");
        let mut numbers: Vec<(i64, usize)> = known
            .iter()
            .map(|k| (k.id, k.name[1..k.name.len() - 6].parse().expect("our name")))
            .collect();
        numbers.sort_unstable();
        for back in [0, 1, 7, 60, 400, 2000] {
            let to = self.now - back * STEP;
            let from = to - 30 * STEP + 1;
            let series: Vec<i64> = numbers.iter().map(|(series, _)| *series).collect();
            let fetched = reader.fetch(&series, from, to, true).expect("reads");
            for (fetched, (_, i)) in fetched.iter().zip(&numbers) {
                let mut column = Column::default();
                fetched.unpack(from, to, &mut Scratch::default(), &mut column);
                let last = column.ts.last().zip(column.values.last().map(|v| v.to_bits()));
                let mut all = self.truth.range((*i, from)..=(*i, to));
                let want = all.next_back().map(|((_, ts), v)| (*ts, v.to_bits()));
                assert!(last.map(|(ts, v)| (*ts, v)) == want, "s{i} {back} steps ago");
            }
        }
    }

    fn check_with(&self, reader: &Reader) {
        self.check_last(reader);
        for known in reader.series().expect("series") {
            let i: usize = known.name[1..known.name.len() - 6].parse().expect("our name");
            let (ts, values) = reader.samples(known.id, i64::MIN, i64::MAX).expect("reads");
            let got: Vec<(i64, u64)> =
                ts.into_iter().zip(values.into_iter().map(f64::to_bits)).collect();
            let want: Vec<(i64, u64)> = self
                .truth
                .range((i, i64::MIN)..=(i, i64::MAX))
                .map(|((_, ts), v)| (*ts, v.to_bits()))
                .collect();
            assert_eq!(got.len(), want.len(), "{}", known.name);
            assert!(got == want, "{}", known.name);
            let (from, to) = (START + 700 * STEP, START + 900 * STEP);
            let (ts, _) = reader.samples(known.id, from, to).expect("reads");
            let want = self.truth.range((i, from)..=(i, to)).map(|((_, ts), _)| *ts);
            assert!(ts.into_iter().eq(want), "{} in part", known.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_database_keeps_what_it_was_given(deeds in deeds(), series in 1usize..40) {
        // In memory where there is such a place: what a disk does to all this is tested elsewhere.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.expect("a folder");
        let mut life = Life::new(dir.path(), series);
        // Plain rows go as soon as they may, so that blocks are all there is to read.
        life.store().set_limits(Limits { plain_rows: 0, raw_ms: i64::MAX / 4, ..Limits::default() });
        for deed in &deeds {
            life.live(deed);
            if matches!(deed, Deed::Steps(_)) {
                life.check();
            }
        }
        life.check();
        life.live(&Deed::Compact);
        life.check();
    }
}
