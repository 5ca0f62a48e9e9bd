//! store: the names that SQL clients bring count together with everybody else's.

use std::path::Path;
use std::sync::Arc;

use crate::model::{Identity, Labels};
use crate::pipeline::Names;
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
    // What the file knows goes on after a restart, whoever took all the places meanwhile.
    let allowed = Arc::new(Names::new(0));
    let mut store = open(&path, &allowed);
    insert(&path, &["a", "e"]);
    let written = store.commit(&[]).expect("commits");
    assert_eq!((written.samples.iter().sum::<u64>(), written.refused), (1, 1));
}
