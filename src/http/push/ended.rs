//! http: the groups of pushes that are remembered, so that what a group no longer has gets its end.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::model::{Pinned, SeriesRef};

/// Groups that are remembered.
const MAX_GROUPS: usize = 10_000;

/// Bytes of all their labels, and of the numbers of their series.
const MAX_BYTES: usize = 8 << 20;

/// The series of each group, by its labels and by the machine that its sender is bound to: the same path
/// from two of them means two groups.
///
/// Bound: [`MAX_GROUPS`] and [`MAX_BYTES`]. Policy: the group with the oldest push is forgotten;
/// its samples stay, but its missing series get no stale marker. Counter:
/// `plimsoll_push_groups_forgotten_total`.
#[derive(Debug, Default)]
pub(super) struct Groups(pub(super) Mutex<Kept>);

#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) groups: BTreeMap<Whose, Group>,
    bytes: usize,
    /// Counts pushes.
    pushes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    /// Pinned: that a group has ended is said of its series, however long ago they were written.
    pub(super) series: BTreeMap<SeriesRef, Pinned>,
    /// The number of the last push.
    push: u64,
}

pub(super) type Labels = Vec<(String, String)>;

/// A group: the machine that its sender is bound to, and its labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whose {
    bound: Option<Box<str>>,
    labels: Labels,
}

impl Whose {
    /// That of a sender.
    pub(super) fn of(bound: Option<&str>, labels: &Labels) -> Self {
        Self { bound: bound.map(Box::from), labels: labels.clone() }
    }
}

impl Kept {
    fn size(whose: &Whose, group: &Group) -> usize {
        let labels: usize = whose.labels.iter().map(|(n, v)| n.len() + v.len() + 64).sum();
        let bound = whose.bound.as_ref().map_or(0, |bound| bound.len());
        bound + labels + group.series.len() * 40 + 128
    }

    pub(super) fn remove(&mut self, whose: &Whose) {
        if let Some(group) = self.groups.remove(whose) {
            self.bytes -= Self::size(whose, &group);
        }
    }

    /// Stores a group; returns the number of others that were forgotten for it.
    pub(super) fn insert(&mut self, whose: Whose, series: BTreeMap<SeriesRef, Pinned>) -> u64 {
        self.remove(&whose);
        self.pushes += 1;
        let group = Group { series, push: self.pushes };
        self.bytes += Self::size(&whose, &group);
        self.groups.insert(whose, group);
        let mut forgotten = 0;
        while self.groups.len() > MAX_GROUPS || self.bytes > MAX_BYTES && self.groups.len() > 1 {
            let oldest = self.groups.iter().min_by_key(|(_, group)| group.push);
            let Some(whose) = oldest.map(|(whose, _)| whose.clone()) else { break };
            self.remove(&whose);
            forgotten += 1;
        }
        forgotten
    }
}
