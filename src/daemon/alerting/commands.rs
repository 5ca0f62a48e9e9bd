//! daemon: commands of people to the alerts: silences, acknowledgements, tests.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::Alerting;
use crate::alert::Command;
use crate::model::{format_duration, parse_duration};
use crate::store::AlertOp;

/// So long a person waits for the database.
const COMMIT: Duration = Duration::from_secs(2);

impl Alerting {
    /// Carries a command out. Tests do not come here: they wait for a receiver.
    pub(super) fn obey(&mut self, command: Command) -> Result<String, String> {
        let now = self.shared.clock.wall_ms();
        match command {
            Command::Silence { what, for_, every, who, why } => {
                let what = self.named(&what);
                let every = every.unwrap_or_default();
                let for_ms = match for_.as_deref() {
                    None if every.is_empty() => {
                        return Err(
                            "say for how long: --for 2h, or --every \"Sun 02:00-04:00\"".into()
                        );
                    }
                    None => None,
                    Some(text) => {
                        let wrong =
                            |e: crate::model::DurationError| format!("{}; {}", e.message, e.hint);
                        Some(parse_duration(text).map_err(wrong)?)
                    }
                };
                let (row, op) = self.teller.silence(&what, &every, for_ms, (&who, &why), now)?;
                self.write(op);
                let when = match (every.is_empty(), for_ms) {
                    (true, Some(ms)) => format!("for {}", format_duration(ms)),
                    (false, None) => format!("every {every}"),
                    (_, ms) => {
                        let ms = ms
                            .map_or_else(String::new, |ms| format!(" for {}", format_duration(ms)));
                        format!("every {every}{ms}")
                    }
                };
                Ok(format!("silence {}: nobody is told of {what} {when}", row.id))
            }
            Command::End { what } => {
                let id = what.trim().parse::<i64>().map_err(|_| {
                    format!("`{what}` is no number of a silence; `plimsoll silence` lists them")
                })?;
                let op = self.teller.end_silence(id, now).ok_or_else(|| {
                    format!("there is no silence {id}; `plimsoll silence` lists them")
                })?;
                self.write(op);
                Ok(format!("silence {id} has ended"))
            }
            Command::Ack { what, who, why } => {
                let (texts, ops) = self.teller.ack(&what, (&who, &why), now)?;
                self.write_all(ops);
                Ok(format!("no more reminders of: {}", texts.join("; ")))
            }
            Command::Test { .. } => Err("a test is not for this thread".into()),
        }
    }

    /// A fingerprint stands for its alert: the silence names rule and labels, so that it can be read.
    fn named(&self, what: &str) -> String {
        let alert = u64::from_str_radix(what, 16).ok().filter(|_| what.len() == 16);
        let alert = alert.and_then(|f| self.judge.instances().find(|a| a.fingerprint == f));
        let Some(alert) = alert else { return what.to_owned() };
        let labels = alert
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={}", crate::query::quote::quoted(value)));
        let rule =
            std::iter::once(format!("alertname={}", crate::query::quote::quoted(&alert.rule)));
        format!("{{{}}}", rule.chain(labels).collect::<Vec<_>>().join(", "))
    }

    fn write(&self, op: AlertOp) {
        self.write_all(vec![op]);
    }

    /// Writes at once, and waits for it: the list that somebody asks for next is read out of the file.
    fn write_all(&self, ops: Vec<AlertOp>) {
        let (done, in_file) = sync_channel(1);
        self.shared.orders.alerts_now(ops, Some(done));
        self.shared.queue.nudge();
        let _late = in_file.recv_timeout(COMMIT);
    }
}
