//! daemon: the metrics about each reading, of a collector, a plugin or another machine.

use crate::model::{
    Identity, Interval, KeyFilter, Kind, Labels, Metric, Recorder, Registry, Series, SeriesRef,
};

static SUCCESS: Metric = Metric::gauge(
    "plimsoll_collect_success",
    "",
    "Whether the collector's last reading succeeded (1) or not (0).",
)
.by(&["collector"]);
static DURATION: Metric = Metric::gauge(
    "plimsoll_collect_duration_seconds",
    "seconds",
    "How long the collector's last reading took.",
)
.by(&["collector"]);
static INTERVAL: Metric = Metric::gauge(
    "plimsoll_collect_interval_seconds",
    "seconds",
    "How often the collector is read at present.",
)
.by(&["collector"]);

/// Reports one reading of `collector`: whether it succeeded, how long it took, in seconds, and how
/// often it is read.
pub fn report(out: &mut Recorder, collector: &str, success: bool, took: f64, every: Interval) {
    out.put_with(&SUCCESS, &[collector], f64::from(u8::from(success)));
    out.put_with(&DURATION, &[collector], took);
    out.put_with(&INTERVAL, &[collector], every.as_ms() as f64 / 1e3);
}

/// `up` of a source that was asked: another machine, a plugin, or a program that prints as an exporter
/// does. `None`: the filter leaves it out.
pub fn up(
    registry: &Registry,
    filter: &KeyFilter,
    system: Option<&str>,
    job: &str,
    labels: Labels,
) -> Option<SeriesRef> {
    let mut identity = Identity::local(job, "up", labels);
    identity.system = system.map(Into::into);
    if !filter.wants(&identity.key()) {
        return None;
    }
    let help = "Whether it could be asked (1) or not (0).".into();
    Some(registry.intern(Series { identity, kind: Kind::Gauge, unit: "".into(), help }))
}
