//! http: the file as questions need it: readers that stay open, the names of the series kept in
//! memory, and both again when the file is another one.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use super::AT_ONCE;
use super::error::{ApiError, Kind};
use crate::query::{Catalog, Little, StoreSource};
use crate::store::{Head, Kept, Reader};

/// Device and number of a file.
pub(in crate::http) type Inode = (u64, u64);

/// The file, open as often as it is asked at once.
#[derive(Debug)]
pub(in crate::http) struct Files {
    path: PathBuf,
    head: Arc<Head>,
    /// As many as there are questions at once, no more.
    idle: Mutex<Vec<(Inode, Reader)>>,
    /// What they keep of blocks while there are questions.
    kept: Arc<Kept>,
    catalog: Mutex<(Inode, Arc<Catalog>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn failed(e: impl std::fmt::Display) -> ApiError {
    ApiError::new(Kind::Internal, e.to_string())
}

/// Nobody is shown it: the question goes to a thread.
fn not_at_hand() -> ApiError {
    failed("this question takes a thread of its own")
}

impl Files {
    pub(in crate::http) fn new(path: PathBuf, head: Arc<Head>) -> Self {
        Self { path, head, idle: Mutex::default(), kept: Arc::default(), catalog: Mutex::default() }
    }

    /// Lends a reader.
    pub(in crate::http) fn with_reader<T>(
        &self,
        ask: impl FnOnce(&Reader, Inode) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        // A damaged file is set aside and begun anew under the same name.
        let meta = std::fs::metadata(&self.path).map_err(failed)?;
        let inode = (meta.dev(), meta.ino());
        if self.head.is_of_another(inode) {
            // Its write-ahead log and its newest samples are those of the other one.
            let path = self.path.display();
            return Err(failed(format!(
                "{path} was replaced, and plimsoll still writes into the file that was there: restart it"
            )));
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
        if answer.is_ok() && idle.len() < AT_ONCE {
            idle.push((inode, reader));
        }
        answer
    }

    /// Nobody asks: one reader is enough, without its memory.
    pub(in crate::http) fn rest(&self) {
        let mut idle = locked(&self.idle);
        idle.truncate(1);
        idle.iter().for_each(|(_, reader)| reader.rest());
        self.kept.clear();
    }

    /// The names of all series.
    pub(super) fn with_catalog<T>(
        &self,
        ask: impl FnOnce(&Reader, &Catalog) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.with_reader(|reader, inode| {
            let (of, mut catalog) = locked(&self.catalog).clone();
            if of != inode || !catalog.is_current(reader).map_err(failed)? {
                catalog = Arc::new(Catalog::read(reader).map_err(failed)?);
                *locked(&self.catalog) = (inode, Arc::clone(&catalog));
            }
            ask(reader, &catalog)
        })
    }

    /// The same where a reader is open and the names are known, and are no more than this; nothing
    /// where that would have to be done first.
    pub(super) fn with_catalog_at_hand<T>(
        &self,
        most: usize,
        ask: impl FnOnce(&Reader, &Catalog) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        if locked(&self.idle).is_empty() {
            return Err(not_at_hand());
        }
        self.with_reader(|reader, inode| {
            let (of, catalog) = locked(&self.catalog).clone();
            let current = of == inode && catalog.is_current(reader).map_err(failed)?;
            if !current || catalog.len() > most {
                return Err(not_at_hand());
            }
            ask(reader, &catalog)
        })
    }

    /// What is in the file now, as far as it takes little; nothing where it takes more.
    pub(super) fn with_little<T>(
        &self,
        ask: impl FnOnce(&StoreSource<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.with_catalog_at_hand(usize::MAX, |reader, catalog| {
            ask(&StoreSource::new(reader, catalog).at_most(Little::default()))
        })
    }

    /// What is in the file now.
    pub(super) fn with_source<T>(
        &self,
        ask: impl FnOnce(&StoreSource<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.with_catalog(|reader, catalog| ask(&StoreSource::new(reader, catalog)))
    }
}
