//! store: series that are not written any more are forgotten by the process, and not by the file.

use std::sync::Arc;

use crate::model::{Registry, SystemClock};
use crate::pipeline::{Batch, Counters, Intake, Latest, Names, Origin, Queue, Sender, Source};
use crate::store::Store;

struct Rig {
    _dir: tempfile::TempDir,
    store: Store,
    registry: Arc<Registry>,
    names: Arc<Names>,
    queue: Arc<Queue>,
    intake: Intake,
    now: i64,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (registry, counters) = (Arc::new(Registry::default()), Arc::new(Counters::default()));
        let names = Arc::new(Names::new(100));
        let path = dir.path().join("metrics.sqlite");
        let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
        store.share_names(Arc::clone(&names));
        let queue = Arc::new(Queue::new(900_000, 1_000_000, Arc::clone(&counters)));
        let (r, q, n) = (Arc::clone(&registry), Arc::clone(&queue), Arc::clone(&names));
        let intake = Intake::new(r, q, counters, n, "here").beside(Arc::new(Latest::default()));
        let now = crate::model::Clock::wall_ms(&SystemClock);
        Self { _dir: dir, store, registry, names, queue, intake, now }
    }

    /// A push of these keys, written, a minute after the last.
    fn push(&mut self, keys: &[&str]) {
        self.now += 60_000;
        let origin = Origin::new(Source::Json, "json", false);
        let mut push = self.intake.begin(Origin { sender: Sender::Here, ..origin }, self.now);
        for key in keys {
            push.put(key, self.now, 1.0, None).expect("taken");
        }
        push.finish().expect("there is room");
        let mut batches = Vec::new();
        self.queue.take(&mut batches, std::time::Instant::now());
        let written = self.store.commit(&batches).expect("written");
        self.queue.recycle(&mut batches);
        assert_eq!(written.samples[Source::Json as usize], keys.len() as u64);
    }

    fn rows(&self, name: &str) -> Vec<i64> {
        let sql = "SELECT series_id FROM samples WHERE series_id IN
                   (SELECT id FROM series_dict WHERE name = ?1) ORDER BY ts";
        let mut rows = self.store.conn().prepare(sql).expect("a statement");
        let ids = rows.query_map([name], |row| row.get(0)).expect("asks");
        ids.collect::<Result<_, _>>().expect("rows")
    }
}

#[test]
fn they_give_their_memory_and_their_places_back_and_come_back_as_the_same() {
    let mut rig = Rig::new();
    rig.push(&["stays", "goes{pod=\"a\"}"]);
    let goes = rig.registry.all().pop().expect("two").0;
    for _ in 0..4 {
        rig.push(&["stays"]);
        rig.store.sweep();
    }
    assert!(rig.registry.live().has(goes), "four minutes are no long time");
    for _ in 0..3 {
        rig.push(&["stays"]);
        rig.store.sweep();
    }
    assert_eq!((rig.registry.len(), rig.registry.get(goes)), (1, None));
    assert_eq!(rig.names.used(), 1);
    // Another has its number, and then it comes back.
    rig.push(&["stays", "new"]);
    let new = rig.registry.all().pop().expect("two").0;
    assert_eq!(new.place(), goes.place());
    // Somebody still has the old one, and it is not written as the new one.
    let batch = Batch::of(Source::Json, rig.now + 1, vec![(goes, 9.0)]);
    assert_eq!(rig.store.commit(&[batch]).expect("written").nameless[Source::Json as usize], 1);
    rig.push(&["stays", "goes{pod=\"a\"}"]);
    assert_eq!(rig.names.used(), 3);
    let ids = rig.rows("goes");
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "the same series in the file");
    assert_eq!(rig.rows("new").len(), 1);
    assert_eq!(rig.rows("stays").len(), 10);
}

#[test]
fn names_that_come_and_go_never_use_up_the_places() {
    let mut rig = Rig::new();
    for round in 0..60 {
        let names: Vec<String> = (0..10).map(|i| format!("n{}", round * 10 + i)).collect();
        rig.push(&names.iter().map(String::as_str).collect::<Vec<_>>());
        rig.store.sweep();
    }
    // Six hundred of them, where a hundred are allowed.
    assert!(rig.registry.len() <= 80, "{}", rig.registry.len());
    let places = rig.registry.all().into_iter().map(|(number, _)| number.place()).max();
    assert!(places.expect("some") < 80);
}
