//! daemon: `[[burst]]` rules: look closer while something is the matter.

use crate::config::Burst;
use crate::model::{Identity, Registry, SeriesRef, parse_key};
use crate::pipeline::Latest;

/// The rules, and which of them hold at present.
#[derive(Debug)]
pub struct Bursts {
    rules: Vec<(Burst, Option<SeriesRef>, bool)>,
}

impl Bursts {
    /// None holds yet.
    pub fn new(rules: &[Burst]) -> Self {
        Self { rules: rules.iter().map(|r| (r.clone(), None, false)).collect() }
    }

    /// Calls `fire` for every rule whose condition holds now; says so in the log when that begins
    /// and when it ends.
    pub fn look(&mut self, registry: &Registry, latest: &Latest, mut fire: impl FnMut(&Burst)) {
        for (rule, series, held) in &mut self.rules {
            if series.is_none() {
                let (name, labels) = parse_key(&rule.when.key);
                *series = registry.find(&Identity::local(crate::collect::JOB, &name, labels));
            }
            let Some((_, value)) = series.and_then(|s| latest.get(s)) else {
                // The series may come back with another number.
                *series = None;
                continue;
            };
            let holds = rule.when.holds(value);
            if holds {
                fire(rule);
            }
            if holds != *held {
                *held = holds;
                let (text, interval) = (&rule.text, rule.interval);
                if holds {
                    tracing::info!("burst: {text} ({value}): reading every {interval} from now");
                } else {
                    tracing::info!("burst: {text} no longer holds ({value})");
                }
            }
        }
    }
}
