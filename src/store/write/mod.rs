//! store: writing: the one open for writing, and the thread that owns it.
//!
//! ```text
//!   orders     what the writer is started with, and what it can be told
//!   open       the checks before the first byte is touched; `Store`
//!   room       what the files may still grow by, asked for before every write
//!   commit     one transaction a beat
//!   keeping    what upkeep remembers between its steps
//!   upkeep     the work behind the samples
//!   spill      the file beside the database that holds samples while a reader keeps the log
//!   spilling   when samples go there, and back
//!   writer     the one thread that writes
//!   place      the files of the open database: which they are, and how long
//!   look       whether they are still where others look for them
//!   told       says on the board when a bound holds
//!   remembered what a series stood at when the process before this one ended
//!   import     takes in samples of a file
//!   history    takes in what another tool remembers
//!   sender     hands samples to a running daemon by way of its inbox
//!   mend       puts right what `doctor` finds
//! ```

pub(super) mod commit;
pub(super) mod history;
pub(super) mod import;
pub(super) mod keeping;
pub(super) mod look;
mod mend;
pub(super) mod open;
pub(super) mod orders;
mod place;
pub(super) mod remembered;
mod room;
pub(super) mod sender;
pub(super) mod spill;
mod spilling;
pub(super) mod told;
mod upkeep;
pub(super) mod writer;

/// What the tests of the whole store look at and change past its methods.
#[cfg(test)]
impl open::Store {
    pub(super) fn conn(&self) -> &rusqlite::Connection {
        &self.conn
    }

    pub(super) fn files(&mut self) -> &mut place::Files {
        &mut self.files
    }

    pub(super) fn peak(&self) -> &std::cell::Cell<u64> {
        &self.peak
    }

    pub(super) fn spill(&self) -> Option<&spill::Spill> {
        self.spill.as_ref()
    }

    pub(super) fn held(&mut self) -> (&mut super::texts::budget::Held, &mut rusqlite::Connection) {
        (&mut self.upkeep.held, &mut self.conn)
    }
}
