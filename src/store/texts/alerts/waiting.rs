//! store: orders on alerts on their way to the writer. A pass that changed nothing worth telling waits
//! for the next commit, so that it costs none of its own; a pass that did asks for one at once.
//!
//! Bound: [`MOST`] orders. An alert or a time that is set again before it was written takes the place of
//! what waited, and a change that was told before it was written leaves its message only. So the bound is
//! reached only where nothing was committed for days: then events go first, and messages that were told
//! and stood in no outbox. Everything that goes is counted.

use std::sync::mpsc::SyncSender;

use super::AlertOp;

/// Orders that wait at most.
const MOST: usize = 20_000;

/// See the module's text.
#[derive(Debug, Default)]
pub(in crate::store) struct Waiting {
    pub(in crate::store) ops: Vec<AlertOp>,
    /// Who waits to hear that they are in the file.
    pub(in crate::store) tell: Vec<SyncSender<()>>,
    /// Somebody waits for the commit.
    pub(in crate::store) urgent: bool,
    /// Orders that were given up.
    pub(in crate::store) dropped: u64,
}

impl Waiting {
    /// Takes more orders in.
    pub(in crate::store) fn add(&mut self, ops: impl IntoIterator<Item = AlertOp>) {
        for op in ops {
            self.place(op);
        }
        while self.ops.len() > MOST {
            let least = |op: &AlertOp| match op {
                AlertOp::Event(_) => true,
                AlertOp::Told { ids, .. } => ids.is_empty(),
                _ => false,
            };
            let at = self.ops.iter().position(least).unwrap_or(0);
            self.ops.remove(at);
            self.dropped += 1;
        }
    }

    fn place(&mut self, mut op: AlertOp) {
        match &mut op {
            AlertOp::Put(new) => {
                let before = self.ops.iter().rposition(|op| match op {
                    AlertOp::Put(old) => old.fingerprint == new.fingerprint,
                    AlertOp::Forget(old) => *old == new.fingerprint,
                    _ => false,
                });
                // An episode that is over stays: the next one is another row.
                if let Some(at) = before
                    && let AlertOp::Put(old) = &self.ops[at]
                    && old.resolved_at.is_none()
                {
                    self.ops.remove(at);
                }
            }
            AlertOp::Forget(gone) => self.ops.retain(|op| {
                !matches!(op, AlertOp::Put(old) if old.fingerprint == *gone && old.resolved_at.is_none())
            }),
            AlertOp::JudgedUntil(_) => {
                self.ops.retain(|op| !matches!(op, AlertOp::JudgedUntil(_)));
            }
            AlertOp::Told { ids, .. } => {
                let ops = &mut self.ops;
                ops.retain(|op| match op {
                    AlertOp::Note(note) => !ids.contains(&note.id),
                    AlertOp::Tried { ids: tried, .. } => !tried.iter().all(|id| ids.contains(id)),
                    _ => true,
                });
            }
            AlertOp::Tried { ids, .. } => self.ops.retain(|op| {
                !matches!(op, AlertOp::Tried { ids: old, .. } if old.iter().all(|id| ids.contains(id)))
            }),
            AlertOp::Note(_)
            | AlertOp::Silence(_)
            | AlertOp::EndSilence { .. }
            | AlertOp::Ack(_)
            | AlertOp::Event(_) => {}
        }
        self.ops.push(op);
    }

    /// Puts orders back that could not be written, in front.
    pub(in crate::store) fn give_back(&mut self, before: Self) {
        let newer = std::mem::replace(self, before);
        self.add(newer.ops);
        self.tell.extend(newer.tell);
        self.urgent |= newer.urgent;
        self.dropped += newer.dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;
    use crate::store::{AlertRow, ToldRow};

    fn row(fingerprint: u64, resolved_at: Option<i64>, seen_at: i64) -> AlertOp {
        AlertOp::Put(AlertRow {
            fingerprint,
            rule: "r".into(),
            labels: crate::model::Labels::default(),
            state: "firing".into(),
            frozen: String::new(),
            severity: Severity::Bad,
            active_at: 0,
            held_ms: 0,
            fired_at: None,
            clear_since: None,
            resolved_at,
            seen_at,
            value: 1.0,
            peak: 1.0,
            threshold: None,
            flaps: "[]".into(),
            text: String::new(),
            more: "{}".into(),
        })
    }

    fn told(n: i64) -> ToldRow {
        ToldRow {
            channel: "a".into(),
            shown: "a".into(),
            made_at: 0,
            at: n,
            severity: Severity::Info,
            occasion: "fire".into(),
            host: "h".into(),
            key: "k".into(),
            title: "t".into(),
            text: String::new(),
            result: "sent".into(),
            said: String::new(),
            attempts: 1,
        }
    }

    #[test]
    fn what_is_set_again_takes_the_place_of_what_waited() {
        let mut waiting = Waiting::default();
        for at in 0..1_000 {
            waiting.add([row(1, None, at), row(2, None, at), AlertOp::JudgedUntil(at)]);
        }
        assert_eq!(waiting.ops, [row(1, None, 999), row(2, None, 999), AlertOp::JudgedUntil(999)]);
        waiting.add([row(1, Some(7), 1_000), row(1, None, 1_001), row(1, None, 1_002)]);
        assert_eq!(waiting.ops[2..], [row(1, Some(7), 1_000), row(1, None, 1_002)]);
        waiting.add([AlertOp::Forget(1)]);
        assert_eq!(waiting.ops[2..], [row(1, Some(7), 1_000), AlertOp::Forget(1)]);
    }

    #[test]
    fn more_than_the_bound_is_counted() {
        let mut waiting = Waiting::default();
        waiting.add([row(1, None, 5)]);
        waiting.add((0..MOST as i64 + 9).map(|n| AlertOp::Told { ids: Vec::new(), row: told(n) }));
        assert_eq!((waiting.ops.len(), waiting.dropped), (MOST, 10));
        assert_eq!(waiting.ops[0], row(1, None, 5), "what is open is not what goes first");
    }
}
