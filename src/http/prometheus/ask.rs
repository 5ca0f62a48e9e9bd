//! http: the file as questions need it: readers that stay open, the names of the series kept in
//! memory, and both again when the file is another one.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use super::error::{ApiError, Kind};
use super::{AT_ONCE, PAGES, Task};
use crate::query::{Catalog, StoreSource};
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
    /// Held by who reads the names.
    making: Mutex<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn failed(e: impl std::fmt::Display) -> ApiError {
    ApiError::new(Kind::Internal, e.to_string())
}

impl Files {
    pub(in crate::http) fn new(path: PathBuf, head: Arc<Head>) -> Self {
        let (idle, catalog, making) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { path, head, idle, kept: Arc::default(), catalog, making }
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
        if answer.is_ok() && idle.len() < AT_ONCE + PAGES {
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
                // One makes it and the others wait: each would take as much memory.
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

    /// What is in the file now, within the limits of a question.
    pub(super) fn with_source<T>(
        &self,
        task: &Task,
        ask: impl FnOnce(&StoreSource<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.with_catalog(|reader, catalog| {
            ask(&StoreSource::new(reader, catalog).within(task.limits()))
        })
    }
}
