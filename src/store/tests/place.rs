//! store: somebody deletes, replaces or cuts files under the writer.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use crate::model::{Identity, Labels, Registry, Series};
use crate::pipeline::{Batch, Source};
use crate::store::damage::repair;
use crate::store::write::look::Look;
use crate::store::{Lock, OpenError, Reader, Store, lock_path};

const START: i64 = 1_700_000_000_000;
const SERIES: i64 = 200;

struct Rig {
    dir: tempfile::TempDir,
    path: PathBuf,
    registry: Arc<Registry>,
    store: Store,
    written: i64,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.expect("a folder");
        let path = dir.path().join("metrics.sqlite");
        let registry = Arc::new(Registry::default());
        let store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
        let mut rig = Self { dir, path, registry, store, written: 0 };
        (0..40).for_each(|_| rig.commit());
        let all = "PRAGMA wal_checkpoint(TRUNCATE)";
        rig.store.conn().execute_batch(all).expect("all is in the file");
        rig.store.files().set_length(&rig.path);
        assert_eq!(rig.store.look_at_files(true), Look::Well);
        rig
    }

    fn commit(&mut self) {
        let series = |n: i64| {
            let labels = Labels::new([("n", n.to_string())]);
            Series::undescribed(Identity::local("node", "a", labels))
        };
        let samples = (0..SERIES).map(|n| (self.registry.intern(series(n)), 1.0)).collect();
        let ts = START + self.written * 1_000;
        self.store.commit(&[Batch::of(Source::Collect, ts, samples)]).expect("commits");
        self.store.checkpoint().expect("checks");
        self.written += 1;
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        repair::with(&self.path, suffix)
    }

    fn cut(&self, bytes: u64) {
        let file = std::fs::OpenOptions::new().write(true).open(&self.path).expect("writable");
        assert!(file.metadata().expect("there").len() > bytes);
        file.set_len(bytes).expect("can be cut");
    }
}

/// Moments of one series in a file.
fn moments(path: &std::path::Path) -> i64 {
    let reader = Reader::open(path).expect("opens");
    let known = reader.series().expect("names");
    let id = known.iter().find(|s| s.key == "a{n=\"7\"}").expect("known").id;
    reader.samples(id, i64::MIN, i64::MAX).expect("reads").0.len() as i64
}

#[test]
fn a_file_that_was_cut_is_noticed_at_once_and_set_aside() {
    for bytes in [0, 5 * 4_096] {
        let mut rig = Rig::new();
        rig.cut(bytes);
        assert_eq!(rig.store.look_at_files(true), Look::Damaged, "{bytes}");
        rig.store.reopen().expect("begins a new one");
        assert!(rig.store.salvaging().is_some(), "{bytes}");
        assert_eq!(rig.store.look_at_files(true), Look::Well);
        rig.commit();
    }
}

#[test]
fn a_checkpoint_does_not_hide_that_it_was_cut() {
    let mut rig = Rig::new();
    rig.cut(5 * 4_096);
    // As if enough had come together in the log.
    rig.store.files().astray = true;
    rig.store.checkpoint().expect("nothing is done");
    assert_eq!(std::fs::metadata(&rig.path).expect("there").len(), 5 * 4_096);
    assert_eq!(rig.store.look_at_files(true), Look::Damaged);
}

#[test]
fn a_file_that_somebody_made_smaller_in_order_is_well() {
    let mut rig = Rig::new();
    let other = Connection::open(&rig.path).expect("opens");
    other.execute_batch("CREATE TABLE filler (b BLOB)").expect("takes it");
    other.execute_batch("INSERT INTO filler VALUES (randomblob(4000000))").expect("takes it");
    rig.commit();
    let large = std::fs::metadata(&rig.path).expect("there").len();
    assert!(large > 4_000_000, "{large}");
    other.execute_batch("DROP TABLE filler; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").expect("ok");
    assert!(std::fs::metadata(&rig.path).expect("there").len() < large - 3_000_000);
    rig.commit();
    assert_eq!(rig.store.look_at_files(true), Look::Well);
    assert_eq!(moments(&rig.path), rig.written);
}

#[test]
fn what_the_log_held_is_safe_when_somebody_deletes_it() {
    for suffix in ["-wal", "-shm"] {
        let mut rig = Rig::new();
        rig.commit();
        std::fs::remove_file(rig.beside(suffix)).expect("there");
        for _ in 0..3 {
            rig.commit();
            let Look::Trouble(told) = rig.store.look_at_files(true) else { panic!("{suffix}") };
            assert!(told.contains(suffix) && told.contains("restart plimsoll"), "{told}");
        }
        // As after a kill: the file alone.
        let copy = rig.dir.path().join("copy.sqlite");
        std::fs::copy(&rig.path, &copy).expect("copies");
        assert_eq!(moments(&copy), rig.written, "{suffix}");
    }
}

#[test]
fn a_lock_that_somebody_deleted_is_taken_again() {
    let mut rig = Rig::new();
    std::fs::remove_file(lock_path(&rig.path)).expect("there");
    assert_eq!(rig.store.look_at_files(true), Look::Well);
    let second = Lock::take(&rig.path);
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    // Another one was quicker.
    std::fs::remove_file(lock_path(&rig.path)).expect("there");
    let second = Lock::take(&rig.path).expect("free");
    let Look::Trouble(told) = rig.store.look_at_files(true) else { panic!("not told") };
    assert!(told.contains("in use by") && told.contains("stop one of them"), "{told}");
    drop(second);
    assert_eq!(rig.store.look_at_files(true), Look::Well);
}

#[test]
fn a_lock_is_not_free_where_somebody_still_answers() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("metrics.sqlite");
    let socket = crate::store::socket_path(&path);
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let refused = Lock::take(&path);
    let told = refused.expect_err("somebody answers").to_string();
    assert!(told.contains("a plimsoll whose lock was deleted"), "{told}");
    drop(listener);
    // The socket of one that is gone.
    assert!(socket.exists());
    Lock::take(&path).expect("free");
}
