//! http: the results of a body's records, and the answer about them.

use serde_json::{Value, json};

use super::body::Watch;
use axum::http::StatusCode;

use crate::pipeline::{Push, Reason, Refused};
use crate::wire::{Record, Records};

/// Bad records that are told one by one; the others are only counted.
const TOLD: usize = 100;
/// After this many bad records, the rest of a body is not read: its format must be another one.
/// Names beyond the bound do not count, because known names may follow.
const MOST_BAD: u64 = 1_000;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Records that were not taken.
    pub(super) refused: u64,
    bad: u64,
    forbidden: bool,
    told: Vec<Complaint>,
    /// The record, counted from 0, and the line where reading stopped.
    stopped: Option<(u64, Option<u64>)>,
}

#[derive(Debug)]
struct Complaint {
    /// Which record, counted from 0.
    index: u64,
    /// The line, from 1, if the record could not be read.
    line: Option<u64>,
    reason: String,
}

impl Tally {
    pub(super) fn refuse(
        &mut self,
        index: u64,
        line: Option<u64>,
        reason: impl FnOnce() -> String,
    ) {
        self.refused += 1;
        if self.told.len() < TOLD {
            self.told.push(Complaint { index, line, reason: reason() });
        }
    }

    /// A record that was read and refused. `key`: the name of its series.
    pub(super) fn refuse_for(&mut self, index: u64, why: &Refused, key: &str) {
        match why {
            Refused::TooMany(_) => {}
            Refused::Invalid(_) => self.bad += 1,
            Refused::Forbidden(_) => (self.bad, self.forbidden) = (self.bad + 1, true),
        }
        self.refuse(index, None, || match key {
            "" => why.to_string(),
            key => format!("{why}: `{}`", short(key)),
        });
    }

    /// The status of the answer to a body with bad records: 403 if one of them was of a machine for
    /// which the sender may not send, else 400.
    pub(super) fn status(&self) -> StatusCode {
        if self.forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST }
    }

    /// The place where reading stopped after too many faults; `None` if it went on to the end.
    pub(super) fn stopped(&self) -> Option<String> {
        let (index, line) = self.stopped?;
        let at =
            line.map_or_else(|| format!("record {}", index + 1), |line| format!("line {line}"));
        Some(format!("stopped at {at}, after {MOST_BAD} bad ones: nothing behind it was read"))
    }

    /// `line 2: no field; record 7: one name too many`: the first few.
    pub(super) fn summary(&self) -> String {
        let mut out = String::new();
        for Complaint { index, line, reason } in self.told.iter().take(5) {
            if !out.is_empty() {
                out.push_str("; ");
            }
            match line {
                Some(line) => out.push_str(&format!("line {line}: {reason}")),
                None => out.push_str(&format!("record {}: {reason}", index + 1)),
            }
        }
        let more = self.refused.saturating_sub(self.told.len().min(5) as u64);
        if more > 0 {
            out.push_str(&format!("; and {more} more"));
        }
        if let Some(stopped) = self.stopped() {
            out.push_str(&format!("; {stopped}"));
        }
        out
    }

    pub(super) fn complaints(&self) -> Vec<Value> {
        let one = |c: &Complaint| match c.line {
            Some(line) => json!({"index": c.index, "line": line, "reason": c.reason}),
            None => json!({"index": c.index, "reason": c.reason}),
        };
        self.told.iter().map(one).collect()
    }
}

/// Puts all records into the push. An error: reading was given up, and nothing of it is to be taken.
pub(super) fn take(
    push: &mut Push<'_>,
    records: &mut impl Records,
    watch: &Watch,
) -> Result<Tally, super::Failure> {
    let mut tally = Tally::default();
    let mut record = Record::default();
    let mut index = 0;
    while let Some(result) = records.next(&mut record) {
        let mut line = None;
        match result {
            Ok(()) => {
                let put = push.put(&record.key, record.ts, record.value, records.about());
                if let Err(refused) = put {
                    tally.refuse_for(index, &refused, &record.key);
                }
            }
            Err(e) => {
                push.lost(Reason::Invalid, 1);
                line = Some(e.line);
                tally.bad += 1;
                tally.refuse(index, line, || e.reason);
            }
        }
        if tally.bad >= MOST_BAD {
            tally.stopped = Some((index, line));
            break;
        }
        index += 1;
    }
    watch.check()?;
    Ok(tally)
}

fn short(key: &str) -> String {
    key.chars().take(80).collect()
}
