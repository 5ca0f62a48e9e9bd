//! pipeline: the bounds on names from senders, for all ways in.
//!
//! Each new name costs memory while it is sent, and bytes for the life of the file, and a sender
//! that puts a number into a name makes a new one each time. Bounds: a number of names
//! ([`MAX_PUSHED_NAMES`] by default), bytes of their text in memory, and bytes in the file
//! (reported by the store), of at most [`MAX_MACHINES`] machines. One machine cannot take all
//! places: see [`Full::Share`]. A name that is not sent any more frees its place
//! ([`Names::leave`]); its bytes in the file stay taken. Policy: known names are accepted, new ones
//! are refused. Counter: `plimsoll_samples_dropped_total{source, reason="series_limit"}`; the board
//! names the bound.
//!
//! A name takes one place, however many series it makes: a statsd timer is one name with nine
//! series. The bounds hold over restarts: at the start the store reports the names of the file
//! ([`Names::found`]). Their places are kept for them for some minutes ([`Names::free_unsent`]).

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use hashbrown::HashMap;

use crate::model::Identity;
use crate::model::unit::bytes;

/// The default number of names that all senders together may use.
pub const MAX_PUSHED_NAMES: u64 = 20_000;

/// How many other machines senders may name, all of them together.
pub const MAX_MACHINES: u64 = 1_000;

/// Bytes of text for each allowed name; all names together may use the sum, and at least
/// [`LEAST_TEXT`]. Memory takes two to three times as much.
const TEXT_A_NAME: u64 = 400;
const LEAST_TEXT: u64 = 8 << 20;
/// The reserve of places, one for each four, that this machine's own senders cannot use, so that
/// others always find room.
const RESERVE: u64 = 4;
/// A machine with fewer names than this, or than one in [`FEW`] of all places, gets a place as long
/// as there is one.
const ALWAYS: u64 = 16;
const FEW: u64 = 80;

/// Why a new name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All places are taken.
    #[error("one name too many: {0} are known; known ones go on (see `max_names` under [push])")]
    Names(u64),
    /// Another machine that has as many names as there are free places gets no more, so that a new
    /// machine finds room.
    #[error(
        "one name too many from {sender}: it has {own}, and only {left} places are left, which are \
         kept for others; known ones go on (see `max_names` under [push])"
    )]
    Share {
        /// Which machine.
        sender: Box<str>,
        /// How many names it has.
        own: u64,
        /// How many places are left.
        left: u64,
    },
    /// Too many machines have names already.
    #[error(
        "one machine too many: values of {0} machines are known, and {MAX_MACHINES} are allowed; \
         known ones go on (does a sender put something into `instance` or `host` that changes?)"
    )]
    Machines(u64),
    /// The text of all names would take too much memory.
    #[error(
        "names too long: those that are known have {} of labels and names together, {} are allowed; \
         known ones go on (see `max_names` under [push])", bytes(*.0), bytes(*.1)
    )]
    Memory(u64, u64),
    /// Names would take more of the file than `max_size` leaves them.
    #[error(
        "no room for new names in the database: names take {} of it, and an eighth of `max_size` is \
         {}; known ones go on (see `max_size` under [store])", bytes(*.0), bytes(*.1)
    )]
    File(u64, u64),
}

/// A place that was taken; see [`Names::give_back`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    sender: Box<str>,
    text: u64,
    bytes: u64,
    counts: bool,
}

/// A name that the file has.
#[derive(Debug)]
pub struct Found<'a> {
    /// The machine; `None` is this one.
    pub system: Option<&'a str>,
    /// The job, as in [`Identity`].
    pub job: &'a str,
    /// See [`Identity::key`].
    pub key: &'a str,
    /// Whether it takes a place, or comes with one that does.
    pub counts: bool,
}

/// See the module's text. Shared by everything that takes names in.
#[derive(Debug)]
pub struct Names {
    used: AtomicU64,
    most: AtomicU64,
    refused: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of the names that are known.
    text: u64,
    /// Bytes of the names in the file, of those that are not there yet, and of all that are
    /// allowed.
    file: u64,
    pending: u64,
    budget: Option<u64>,
    /// Places by machine; an empty name is this one.
    senders: HashMap<Box<str>, u64, foldhash::quality::RandomState>,
    /// Hashes of names that the file had at the start and that were not sent since.
    known: HashMap<u64, Taken>,
    hasher: foldhash::quality::RandomState,
    why: Option<Full>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(MAX_PUSHED_NAMES)
    }
}

/// The size of a page of the file, and of an overflow page of a long row.
const PAGE: u64 = 4_096;
const MORE: u64 = PAGE - 4;

/// The bytes of a long row that stay in its page, at most `most`, and those of its overflow pages.
fn spilled(bytes: u64, most: u64) -> (u64, u64) {
    const LEAST: u64 = 489;
    if bytes <= most {
        return (bytes, 0);
    }
    let rest = LEAST + (bytes - LEAST) % MORE;
    let here = if rest <= most { rest } else { LEAST };
    (here, (bytes - here).div_ceil(MORE) * PAGE)
}

/// The bytes that a row of this length takes in a table of the file, with its share of the pages'
/// free ends.
pub fn row_bytes(bytes: u64) -> u64 {
    let (here, more) = spilled(bytes + 8, PAGE - 35);
    // Rows come in order, so pages are as full as they can be.
    PAGE / ((PAGE - 8) / here).max(1) + more
}

/// The bytes that an entry of this length takes in an index, where entries come in any order and a
/// third of a page is free.
pub fn entry_bytes(bytes: u64) -> u64 {
    let (here, more) = spilled(bytes + 8, 1_002);
    here * 3 / 2 + more
}

/// Bytes that a name takes in the file: its row, which has it twice (labels and key), and its two
/// indexes.
pub fn file_bytes(row: u64, by_name: u64, by_key: u64) -> u64 {
    row_bytes(row + 8) + entry_bytes(by_name) + entry_bytes(by_key)
}

/// The bytes that the row of a machine takes in the file, by the length of its name.
pub fn machine_bytes(name: u64) -> u64 {
    row_bytes(name + 8)
}

/// The bytes that a new name takes in the file without its machine's row, and the bytes of its text
/// (names and values of labels, and the machine's name).
pub fn file_bytes_of(identity: &Identity, about: usize) -> (u64, u64) {
    let pairs: usize = identity.labels.iter().map(|(n, v)| n.len() + v.len()).sum();
    let name = identity.name.len();
    // Quotes, colons, commas.
    let labels = pairs + 6 * identity.labels.len() + 2;
    let (by_name, by_key) = (identity.job.len() + name + labels, name + labels);
    let row = by_name + by_key + about + 16;
    let machine = identity.system.as_deref().map_or(0, str::len);
    let text = (machine + name + pairs) as u64;
    (file_bytes(row as u64, by_name as u64, by_key as u64), text)
}

impl Names {
    /// Room for this many names.
    pub fn new(most: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            most: AtomicU64::new(most),
            refused: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Another cap from now on; names beyond it that are known already stay.
    pub fn set_most(&self, most: u64) {
        self.most.store(most, Relaxed);
        self.lock().why = None;
    }

    /// Takes a place for a name that is new in this process. `series` is the number of series that
    /// it makes, `about` the bytes of its description. A name that the file had at the start has
    /// its place already.
    pub fn take(&self, identity: &Identity, series: u64, about: usize) -> Result<Taken, Full> {
        let (bytes, text) = file_bytes_of(identity, about);
        // The series of a timer share most of their labels in memory, but not in the file.
        let (bytes, text) = (bytes * series, text * series.min(2));
        let sender = identity.system.as_deref().unwrap_or_default();
        let mut state = self.lock();
        if !state.known.is_empty() {
            let hash = state.hash(identity.system.as_deref(), &identity.job, &identity.key());
            if state.known.remove(&hash).is_some() {
                return Ok(Taken { sender: sender.into(), text: 0, bytes: 0, counts: false });
            }
        }
        let most = self.most.load(Relaxed);
        let used = self.used.load(Relaxed);
        let own = state.senders.get(sender).copied().unwrap_or(0);
        let (machines, is_new) = (state.machines(), own == 0 && !sender.is_empty());
        let bytes = bytes + if is_new { machine_bytes(sender.len() as u64) } else { 0 };
        // This machine's senders leave the reserve alone. Another machine gets as many places as it
        // leaves to the others.
        let all = if sender.is_empty() { most } else { most.saturating_add(most / RESERVE) };
        let left = all.saturating_sub(used);
        let greedy = own >= ALWAYS.max(most / FEW) && own >= left;
        let text_most = LEAST_TEXT.max(most.saturating_mul(TEXT_A_NAME));
        let file = state.file + state.pending;
        let full = if left == 0 {
            Some(Full::Names(most))
        } else if is_new && machines >= MAX_MACHINES {
            Some(Full::Machines(machines))
        } else if greedy && !sender.is_empty() {
            Some(Full::Share { sender: sender.into(), own, left })
        } else if state.text + text > text_most {
            Some(Full::Memory(state.text, text_most))
        } else {
            state.budget.filter(|most| file + bytes > *most).map(|most| Full::File(file, most))
        };
        if let Some(full) = full {
            self.refused.fetch_add(1, Relaxed);
            state.why = Some(full.clone());
            return Err(full);
        }
        self.used.store(used + 1, Relaxed);
        state.text += text;
        state.pending += bytes;
        *state.own(sender) += 1;
        Ok(Taken { sender: sender.into(), text, bytes, counts: true })
    }

    /// Gives places back: of names that were not kept after all, as those of a transaction that was
    /// rolled back.
    pub fn give_back(&self, taken: impl IntoIterator<Item = Taken>) {
        let mut state = self.lock();
        for Taken { sender, text, bytes, counts } in taken {
            state.text = state.text.saturating_sub(text);
            state.pending = state.pending.saturating_sub(bytes);
            if counts {
                self.used.store(self.used.load(Relaxed).saturating_sub(1), Relaxed);
                if let Some(own) = state.senders.get_mut(&sender) {
                    *own = own.saturating_sub(1);
                    if *own == 0 {
                        state.senders.remove(&sender);
                    }
                }
            }
        }
    }

    /// Frees the place of a name that is not sent any more; see [`Names::take`], which took it for
    /// this many series. Its bytes in the file stay taken.
    pub fn leave(&self, identity: &Identity, series: u64) {
        let (_, text) = file_bytes_of(identity, 0);
        let sender = identity.system.as_deref().unwrap_or_default().into();
        let text = text * series.min(2);
        self.give_back([Taken { sender, text, bytes: 0, counts: true }]);
    }

    /// Records that all sent names are in the file, so none on its way needs room there.
    pub fn settle(&self) {
        self.lock().pending = 0;
    }

    /// Names that the file has, before anybody sends one.
    pub fn found<'a>(&self, names: impl IntoIterator<Item = Found<'a>>) {
        let mut state = self.lock();
        for Found { system, job, key, counts } in names {
            let hash = state.hash(system, job, key);
            let text = (key.len() + system.map_or(0, str::len)) as u64;
            let sender = system.unwrap_or_default().into();
            let place = Taken { sender, text, bytes: 0, counts };
            if state.known.insert(hash, place).is_none() && counts {
                state.text += text;
                self.used.store(self.used.load(Relaxed) + 1, Relaxed);
                *state.own(system.unwrap_or_default()) += 1;
            }
        }
    }

    /// Frees the places of names that the file had at the start and that were not sent since.
    pub fn free_unsent(&self) {
        let unsent = std::mem::take(&mut self.lock().known);
        self.give_back(unsent.into_values());
    }

    /// Records that names take this many bytes of the file, of at most `most`; `new` of them were
    /// not there the last time.
    pub fn in_file(&self, bytes: u64, new: u64, most: u64) {
        let mut state = self.lock();
        (state.file, state.budget) = (bytes, Some(most));
        state.pending = state.pending.saturating_sub(new);
    }

    /// Records the refusal of a name whose sender could not be told.
    pub fn refuse(&self, why: Full) {
        self.refused.fetch_add(1, Relaxed);
        self.lock().why = Some(why);
    }

    /// How often a new name was refused since the start, and why the last time.
    pub fn refused(&self) -> (u64, Option<Full>) {
        match self.refused.load(Relaxed) {
            0 => (0, None),
            refused => (refused, self.lock().why.clone()),
        }
    }

    /// The machines with the most names, most first: at most `how_many`.
    pub fn largest(&self, how_many: usize) -> Vec<(Box<str>, u64)> {
        let state = self.lock();
        let mut all: Vec<_> = state.senders.iter().map(|(s, n)| (s.clone(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(how_many);
        for (sender, _) in &mut all {
            if sender.is_empty() {
                *sender = "this machine".into();
            }
        }
        all
    }

    /// How many are taken.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// How many there can be.
    pub fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }
}

impl State {
    /// The places of a machine.
    fn own(&mut self, sender: &str) -> &mut u64 {
        self.senders.entry(sender.into()).or_insert(0)
    }

    /// How many other machines have names.
    fn machines(&self) -> u64 {
        (self.senders.len() - usize::from(self.senders.contains_key(""))) as u64
    }

    fn hash(&self, system: Option<&str>, job: &str, key: &str) -> u64 {
        self.hasher.hash_one((system, job, key))
    }
}

#[cfg(test)]
mod tests;
