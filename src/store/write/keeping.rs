//! store: the memory of upkeep between its steps.

use crate::store::Limits;
use crate::store::keep::prune::Pruner;
use crate::store::keep::seal::Sealing;
use crate::store::packed::chunk::Scratch;
use crate::store::texts::budget::Held;

/// What upkeep remembers between steps; all of it can be found again.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    pub(super) scratch: Scratch,
    pub(super) pruner: Pruner,
    pub(super) limits: Limits,
    /// What names, events and descriptions take.
    pub(super) held: Held,
    /// Groups whose blocks may be worth merging, once somebody looked.
    pub(super) groups: Option<Vec<(i64, i64)>>,
    pub(super) pruned_at: Option<i64>,
    pub(super) worked: bool,
    pub(super) sealing: Option<Sealing>,
}

impl Upkeep {
    /// After an error nothing that was remembered of the database is certain.
    pub(super) fn forget(&mut self) {
        *self = Self { limits: self.limits, ..Self::default() };
    }
}

/// Both clocks, as upkeep needs them.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Milliseconds since 1970 UTC.
    pub wall: i64,
    /// Milliseconds since boot.
    pub boot: i64,
}
