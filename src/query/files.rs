//! query: the file as questions need it. Readers stay open, the names of the series are kept in
//! memory, and both are read again when another file lies at the path.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Catalog, StoreSource};
use crate::query::eval::Limits;
use crate::store::{Head, Kept, Reader};

/// Device and number of a file.
pub type Inode = (u64, u64);

/// The file, open as often as it is asked at once.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    head: Arc<Head>,
    /// Idle readers, at most `most` of them.
    idle: Mutex<Vec<(Inode, Reader)>>,
    most: usize,
    /// The cache of blocks while there are questions.
    kept: Arc<Kept>,
    catalog: Mutex<(Inode, Arc<Catalog>)>,
    /// Held by the thread that reads the names.
    making: Mutex<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// The file cannot be read now: a sentence that says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

fn failed(e: impl std::fmt::Display) -> Unreadable {
    Unreadable(e.to_string())
}

impl Files {
    /// The file at `path`, whose newest samples are in `head`; at most `most` readers stay open.
    pub fn new(path: PathBuf, head: Arc<Head>, most: usize) -> Self {
        let (idle, catalog, making) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { path, head, idle, most, kept: Arc::default(), catalog, making }
    }

    /// Lends a reader, and says which file it has open. Fails with [`Unreadable`] where the file does
    /// not open, or was replaced while the daemon writes into the one before.
    pub fn with_reader<T, E: From<Unreadable>>(
        &self,
        ask: impl FnOnce(&Reader, Inode) -> Result<T, E>,
    ) -> Result<T, E> {
        // A damaged file is set aside, and a new one has the same name.
        let meta = std::fs::metadata(&self.path).map_err(failed)?;
        let inode = (meta.dev(), meta.ino());
        if self.head.is_of_another(inode) {
            // Its write-ahead log and its newest samples are those of the other one.
            let path = self.path.display();
            let why = format!(
                "{path} was replaced, and plimsoll still writes into the file that was there: restart it"
            );
            return Err(Unreadable(why).into());
        }
        let known = {
            let mut idle = locked(&self.idle);
            idle.retain(|(of, _)| *of == inode);
            idle.pop()
        };
        let reader = match known {
            Some((_, reader)) => reader,
            None => {
                let reader = Reader::open(&self.path).map_err(failed)?;
                reader.with_head(Arc::clone(&self.head)).with_kept(Arc::clone(&self.kept))
            }
        };
        let answer = ask(&reader, inode);
        let mut idle = locked(&self.idle);
        if answer.is_ok() && idle.len() < self.most {
            idle.push((inode, reader));
        }
        answer
    }

    /// Drops all but one reader, without its memory, when there are no questions. Drops the names if
    /// the file has new ones: the next question has to read them again anyway. Where names come and go,
    /// the file has many times the names that are in use.
    pub fn rest(&self) {
        let mut idle = locked(&self.idle);
        idle.truncate(1);
        let current = {
            let (of, catalog) = locked(&self.catalog).clone();
            let known = idle.first().filter(|(inode, _)| *inode == of);
            known.is_some_and(|(_, reader)| catalog.is_current(reader).unwrap_or(false))
        };
        if !current {
            *locked(&self.catalog) = Default::default();
        }
        idle.iter().for_each(|(_, reader)| reader.rest());
        self.kept.clear();
    }

    /// Lends a reader and the names of all series.
    pub fn with_catalog<T, E: From<Unreadable>>(
        &self,
        ask: impl FnOnce(&Reader, &Catalog) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with_reader(|reader, inode| {
            let (of, mut catalog) = locked(&self.catalog).clone();
            if of != inode || !catalog.is_current(reader).map_err(failed)? {
                // One thread reads the names and the others wait, because each would take as much
                // memory.
                let _one = locked(&self.making);
                let (of, made) = locked(&self.catalog).clone();
                catalog = made;
                if of != inode || !catalog.is_current(reader).map_err(failed)? {
                    catalog = Arc::new(Catalog::read(reader).map_err(failed)?);
                    *locked(&self.catalog) = (inode, Arc::clone(&catalog));
                }
            }
            ask(reader, &catalog)
        })
    }

    /// Calls `ask` with the contents of the file, within the limits of a question.
    pub fn with_source<T, E: From<Unreadable>>(
        &self,
        limits: Limits<'_>,
        ask: impl FnOnce(&StoreSource<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with_catalog(|reader, catalog| ask(&StoreSource::new(reader, catalog).within(limits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identity, Labels, Registry, Series};
    use crate::pipeline::{Batch, Source};
    use crate::store::Store;

    #[test]
    fn names_stay_between_questions_only_while_there_are_no_new_ones() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, registry) = (dir.path().join("m.sqlite"), Arc::new(Registry::default()));
        let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
        let mut write = |name: &str| {
            let series = Identity::local("x", name, Labels::default());
            let series = registry.intern(Series::undescribed(series));
            let batch = Batch::of(Source::Json, 1_700_000_000_000, vec![(series, 1.0)]);
            store.commit(&[batch]).expect("written");
            store.head()
        };
        let files = Files::new(path, write("one"), 1);
        let known = || {
            let count = |_: &Reader, catalog: &Catalog| Ok(catalog.matching(&[]).len());
            files.with_catalog::<_, Unreadable>(count).expect("answers")
        };
        let kept = || locked(&files.catalog).1.matching(&[]).len();
        assert_eq!((known(), kept()), (1, 1));
        files.rest();
        assert_eq!(kept(), 1, "they are those of the file");
        write("two");
        files.rest();
        assert_eq!(kept(), 0, "they have to be read again");
        assert_eq!((known(), kept()), (2, 2));
    }
}
