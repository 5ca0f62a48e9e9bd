//! store: the names that SQL clients bring count together with everybody else's.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::model::{Identity, Labels, Registry, Series};
use crate::pipeline::{Batch, Names, Source};
use crate::store::Store;

fn insert(path: &Path, keys: &[&str]) {
    let conn = rusqlite::Connection::open(path).expect("opens");
    for key in keys {
        let sql = "INSERT INTO metrics (key, value) VALUES (?1, 1)";
        conn.execute(sql, [key]).expect("anybody may insert");
    }
}

fn open(path: &Path, allowed: &Arc<Names>) -> Store {
    let mut store = Store::open(path, "here", Arc::default()).expect("opens");
    store.share_names(Arc::clone(allowed));
    store
}

#[test]
fn places_are_shared_and_a_transaction_that_failed_gives_its_own_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let allowed = Arc::new(Names::new(3));
    let mut store = open(&path, &allowed);
    let other = Identity::local("json", "x", Labels::default());
    assert!(allowed.take(&other, 1, 0).is_ok(), "somebody else's");
    insert(&path, &["a", "b", "a"]);
    {
        // A trigger stops the transaction after the names were made.
        let conn = rusqlite::Connection::open(&path).expect("opens");
        let stop =
            "CREATE TRIGGER stop BEFORE DELETE ON inbox BEGIN SELECT raise(ABORT, 'no'); END";
        conn.execute_batch(stop).expect("made");
        for _ in 0..5 {
            assert!(store.commit(&[]).is_err());
            assert_eq!(allowed.used(), 1, "what was rolled back takes no place");
        }
        conn.execute_batch("DROP TRIGGER stop").expect("dropped");
    }
    let written = store.commit(&[]).expect("commits");
    assert_eq!((written.samples.iter().sum::<u64>(), written.refused, allowed.used()), (3, 0, 3));
    insert(&path, &["c", "b", "d"]);
    let written = store.commit(&[]).expect("commits");
    assert_eq!((written.samples.iter().sum::<u64>(), written.refused), (1, 2));
    allowed.set_most(4);
    insert(&path, &["c", "d"]);
    let written = store.commit(&[]).expect("commits");
    assert_eq!((written.samples.iter().sum::<u64>(), written.refused), (1, 1));
    drop(store);
    // Names that the file knows are accepted after a restart, although all places were taken meanwhile.
    let allowed = Arc::new(Names::new(0));
    let mut store = open(&path, &allowed);
    insert(&path, &["a", "e"]);
    let written = store.commit(&[]).expect("commits");
    assert_eq!((written.samples.iter().sum::<u64>(), written.refused), (1, 1));
}

/// A batch with one new name of each of these machines.
fn of_machines(registry: &Registry, machines: impl Iterator<Item = u32>) -> Batch {
    let samples = machines.map(|i| {
        let identity = Identity::local("json", "x", Labels::default());
        let identity = Identity { system: Some(format!("m{i}").into()), ..identity };
        (registry.intern(Series::undescribed(identity)), f64::from(i))
    });
    Batch::of(Source::Json, 1_700_000_000_000, samples.collect())
}

#[test]
fn the_number_of_a_machine_is_right_after_a_transaction_that_failed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
    store
        .conn()
        .execute_batch("INSERT INTO metrics (key, value) VALUES ('a', 1)")
        .expect("inserts");
    let stop = "CREATE TRIGGER stop BEFORE DELETE ON inbox BEGIN SELECT raise(ABORT, 'no'); END";
    store.conn().execute_batch(stop).expect("made");
    let first = of_machines(&registry, 0..3);
    assert!(store.commit(&[first]).is_err());
    store.conn().execute_batch("DROP TRIGGER stop").expect("dropped");
    // The machines come in another order, so the numbers that were rolled back are other ones'.
    for order in [[2, 1, 0], [0, 1, 2]] {
        store.commit(&[of_machines(&registry, order.into_iter())]).expect("commits");
    }
    let systems: String = store
        .conn()
        .query_row(
            "SELECT group_concat(s.name || '=' || p.value, ' ' ORDER BY s.id)
             FROM series_dict d JOIN system_dict s ON s.id = d.system_id
             JOIN samples p ON p.series_id = d.id WHERE d.name = 'x'",
            [],
            |r| r.get(0),
        )
        .expect("reads");
    assert_eq!(systems, "m2=2.0 m1=1.0 m0=0.0");
}

/// Counted in steps of SQLite's own machine, so that no clock decides.
#[test]
fn a_new_machine_costs_no_look_at_all_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
    let mut steps = |machines: std::ops::Range<u32>| {
        let counted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&counted);
        let each = move || {
            count.fetch_add(1, Relaxed);
            false
        };
        store.held().1.progress_handler(100, Some(each)).expect("set");
        store.commit(&[of_machines(&registry, machines)]).expect("commits");
        counted.load(Relaxed)
    };
    let first = steps(0..500);
    steps(500..4_500);
    let last = steps(4_500..5_000);
    assert!(last < 2 * first, "{first} hundred steps at first, {last} beside 4,500 machines");
}
