//! store: a look at the files of the open database: whether they are still those that others find under
//! their names, and as long as they were. Somebody may delete, replace or cut them at any moment, and
//! SQLite notices none of that by itself.

use super::open::Store;
use super::place::length;
use crate::store::SqlError;
use crate::store::damage::repair;
use crate::store::samples::head::identity;

/// What a look at the files found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Look {
    /// Nothing that anybody has to be told.
    Well,
    /// The database is not where others look for it; what is to be done is in the sentence.
    Gone(String),
    /// Something is wrong with a file beside it, as the sentence says.
    Trouble(String),
    /// The database was damaged: [`Store::reopen`] begins a new one.
    Damaged,
}

impl Store {
    /// Looks whether somebody has deleted, replaced or cut a file. `usable`: the connection is.
    pub(in crate::store) fn look_at_files(&mut self, usable: bool) -> Look {
        let path = self.path().display().to_string();
        if !self.is_in_place() {
            // A new file is not begun without being asked: a second daemon may have taken the place,
            // and its lock, in the meantime.
            return Look::Gone(format!(
                "{path} was deleted or replaced: what is measured is lost until plimsoll is restarted"
            ));
        }
        if !usable || self.files.main.is_none() {
            return Look::Well;
        }
        if self.files.is_shorter(self.path()) {
            return self.look_at_length();
        }
        for (suffix, known) in [("-wal", self.files.log), ("-shm", self.files.index)] {
            if known.is_some() && identity(&repair::with(self.path(), suffix)) != known {
                // What this process still has of the log is safe then, however it ends.
                self.files.astray = true;
                let moved = self.move_log();
                let moved =
                    moved.map_or_else(|e| format!("not moved yet: {e}"), |()| "moved".into());
                return Look::Trouble(format!(
                    "{path}{suffix} was deleted or replaced while it is in use; restart plimsoll, and \
                     let no other program write to the database until then, for that would damage it \
                     (what was measured is moved into the database at each commit; {moved})"
                ));
            }
        }
        match self.keep_lock() {
            Ok(()) => Look::Well,
            Err(e) => {
                // Without what to do about it where a program is to be started.
                let why = e.to_string();
                let why = why.lines().next().unwrap_or_default();
                Look::Trouble(format!(
                    "the lock was deleted and cannot be taken again: {why}; where two plimsolls write \
                     to one database, stop one of them"
                ))
            }
        }
    }

    /// The file is shorter than it was. A vacuum of somebody else makes it so, too.
    fn look_at_length(&mut self) -> Look {
        let (path, now) = (self.path().to_owned(), length(self.path()));
        // The newest pages are in the log, perhaps the first page as well.
        let _seen_by_the_check = self.move_log();
        let check = self.conn.query_row("PRAGMA quick_check(1)", [], |r| r.get::<_, String>(0));
        let found = match check {
            Ok(said) if said == "ok" => {
                self.files.set_length(&path);
                return Look::Well;
            }
            Ok(said) => said,
            Err(e) => e.to_string(),
        };
        self.damaged(format!("{} was cut to {now} bytes: {found}", path.display()));
        Look::Damaged
    }

    fn move_log(&self) -> Result<(), SqlError> {
        self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }
}
