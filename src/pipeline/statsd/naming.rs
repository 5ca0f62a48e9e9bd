//! pipeline: which series a name makes. Unless legacy names are asked for (`legacy`):
//!
//! | sent | series | kind |
//! |---|---|---|
//! | counter | `name`: what was counted since plimsoll started | counter |
//! | gauge | `name` | gauge |
//! | set | `name`: different members since the last flush | gauge |
//! | timer | `name_count`, `name_sum`: since plimsoll started | counter |
//! | | `name_min`, `name_max`, `name_mean`, `name_std`, `name{quantile="0.9"}`: since the last flush | gauge |

use super::{GAUGE_HELP, JOB, legacy};
use crate::model::{Identity, Kind, Labels, Registry, Series, SeriesRef};
use crate::wire::statsd::Type;

/// The number of a timer's series, from the first, that are still written while it is idle.
pub(super) const TIMER_TOTALS: usize = 2;

/// How series are named.
#[derive(Debug)]
pub(super) struct Naming {
    percentiles: Vec<f64>,
    legacy: bool,
}

impl Naming {
    pub(super) fn new(percentiles: &[f64], legacy: bool) -> Self {
        Self { percentiles: percentiles.to_vec(), legacy }
    }

    /// The series that represents a name. A timer has further ones.
    pub(super) fn first(&self, kind: Type, name: &str, labels: Labels) -> Series {
        if self.legacy {
            let name = match kind {
                Type::Counter => legacy::counter(name)[0].clone(),
                Type::Gauge => legacy::gauge(name),
                Type::Set => legacy::set(name),
                Type::Timer => legacy::timer(name, legacy::COUNT),
            };
            let help = if kind == Type::Gauge { GAUGE_HELP } else { "" };
            return series(name, labels, Kind::Gauge, help);
        }
        match kind {
            Type::Counter => series(name.to_owned(), labels, Kind::Counter, ""),
            Type::Gauge => series(name.to_owned(), labels, Kind::Gauge, GAUGE_HELP),
            Type::Set => series(name.to_owned(), labels, Kind::Gauge, ""),
            Type::Timer => series(format!("{name}_count"), labels, Kind::Counter, ""),
        }
    }

    /// The number of series of a name.
    pub(super) fn series_of(&self, kind: Type) -> u64 {
        match (kind, self.legacy) {
            (Type::Timer, true) => legacy::timer_parts(&self.percentiles).len() as u64,
            (Type::Timer, false) => 6 + self.percentiles.len() as u64,
            (Type::Counter, true) => 2,
            _ => 1,
        }
    }

    /// All series of a name, from the first.
    pub(super) fn all(
        &self,
        kind: Type,
        first: SeriesRef,
        registry: &Registry,
        out: &mut Vec<SeriesRef>,
    ) {
        out.push(first);
        let Some(described) = registry.get(first) else { return };
        let Identity { name, labels, .. } = &described.identity;
        let mut add = |name: String, labels: Labels, kind| {
            out.push(registry.intern(series(name, labels, kind, "")));
        };
        match (kind, self.legacy) {
            (Type::Counter, true) => {
                let base = legacy::base(name);
                let [_, count] = legacy::counter(base);
                add(count, labels.clone(), Kind::Gauge);
            }
            (Type::Timer, true) => {
                let base = legacy::base(name);
                for part in legacy::timer_parts(&self.percentiles).into_iter().skip(1) {
                    add(legacy::timer(base, &part), labels.clone(), Kind::Gauge);
                }
            }
            (Type::Timer, false) => {
                let base = name.strip_suffix("_count").unwrap_or(name);
                add(format!("{base}_sum"), labels.clone(), Kind::Counter);
                for part in ["min", "max", "mean", "std"] {
                    add(format!("{base}_{part}"), labels.clone(), Kind::Gauge);
                }
                for percentile in &self.percentiles {
                    // 99.9 / 100 is not 0.999 to the last bit.
                    let quantile = format!("{}", (percentile * 1e9).round() / 1e11);
                    let pairs = labels.iter().chain([("quantile", &*quantile)]);
                    add(base.to_owned(), Labels::new(pairs), Kind::Gauge);
                }
            }
            _ => {}
        }
    }

    /// A gauge that the store remembers: the name it was sent by.
    pub(super) fn gauge_name<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.legacy { name.strip_prefix(legacy::GAUGES) } else { Some(name) }
    }
}

/// Whether a stored series of this job represents a sent name. Sets look like parts of a timer and
/// are not counted.
pub fn stands_for_a_name(name: &str, kind: Kind, help: &str) -> bool {
    help == GAUGE_HELP || kind == Kind::Counter && !name.ends_with("_sum") || legacy::is_first(name)
}

fn series(name: String, labels: Labels, kind: Kind, help: &str) -> Series {
    Series {
        identity: Identity::local(JOB, &name, labels),
        kind,
        unit: "".into(),
        help: help.into(),
    }
}
