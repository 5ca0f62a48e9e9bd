//! daemon: facts for the rules that are not in the file: silent machines, the age of the last
//! commit, the age of waiting messages, and values outside the limits of plugins. Ages are counted while
//! this machine is awake: what came while it slept was not heard.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::still::{Still, written};
use crate::alert::{Instance, Withheld};
use crate::daemon::shared::Shared;
use crate::model::{Field, Graph, Kind, Labels, Range, SeriesRef};
use crate::notify::{ChannelStand, Delivery};
use crate::query::files::{Files, Unreadable};
use crate::store::SqlError;

/// The rule of silent machines.
const SILENT: &str = "silent";
/// A machine is silent after so many of its own beats, and after this at least.
const SILENT_BEATS: i64 = 4;
const SILENT_MS: i64 = 120_000;
/// Readings that are not written for so many intervals, and for this long at least, are late.
const LATE_BEATS: u32 = 4;
const LATE: Duration = Duration::from_secs(60);

/// A field of a chart that has limits.
struct Limited {
    system: Option<Box<str>>,
    key: Box<str>,
    labels: Labels,
    rate: bool,
    warning: Range,
    critical: Range,
    /// Its series, once it is known.
    series: Option<SeriesRef>,
    /// The value before the newest one, for a rate.
    before: Option<(i64, f64)>,
    level: f64,
}

/// What is kept from pass to pass.
#[derive(Default)]
pub struct Given {
    /// Charts that were told so far, as the file numbers them.
    told: Option<i64>,
    /// Series that there were when the fields were looked up.
    made: u64,
    limited: Vec<Limited>,
    /// Machines that were silent when the process before ended, and since when, ms since 1970 UTC.
    silent: HashMap<Box<str>, i64>,
    /// The last arrival of each other machine.
    heard: HashMap<Box<str>, Still>,
    /// The last readings that were written.
    written: Still,
    /// Of what nobody was told in the last pass, and why.
    pub withheld: Vec<(u64, Withheld)>,
}

type Values = Vec<(Labels, f64)>;

impl Given {
    /// `open`: the alerts of the process before.
    pub fn new(open: &[Instance]) -> Self {
        let silent = open.iter().filter(|alert| alert.rule == SILENT).filter_map(|alert| {
            let machine = alert.labels.get("instance")?;
            Some((machine.into(), alert.fired_at.unwrap_or(alert.active_at) - SILENT_MS))
        });
        Self { silent: silent.collect(), ..Self::default() }
    }

    /// What there is to say now (ms since 1970 UTC), by the names that the rules use.
    pub fn look(
        &mut self,
        shared: &Shared,
        files: &Files,
        delivery: &Delivery,
        now: i64,
    ) -> Vec<(&'static str, Values)> {
        vec![
            ("silence", self.silence(shared, now)),
            ("commit_age", self.commit_age(shared)),
            ("waiting", waiting(delivery)),
            ("limits", self.limits(shared, files)),
        ]
    }

    /// For how many seconds other machines have sent nothing, once that is too long.
    fn silence(&mut self, shared: &Shared, now: i64) -> Values {
        let arrivals = shared.intake.arrivals();
        self.silent.retain(|machine, _| !arrivals.iter().any(|(system, _)| system == machine));
        self.heard.retain(|machine, _| arrivals.iter().any(|(system, _)| system == machine));
        let awake = Instant::now();
        let mut out: Values = Vec::with_capacity(arrivals.len() + self.silent.len());
        for (system, arrival) in arrivals {
            let still = self.heard.entry(system.clone()).or_default();
            let age = still.age(arrival.at, awake).as_millis() as i64;
            let longest = (SILENT_BEATS * arrival.every).max(SILENT_MS);
            let silent = if age > longest { age as f64 / 1e3 } else { 0.0 };
            out.push((Labels::new([("instance", &*system)]), silent));
        }
        for (machine, since) in &self.silent {
            // The clock may have been set back since.
            let age = (now - since).max(SILENT_MS) as f64 / 1e3;
            out.push((Labels::new([("instance", &**machine)]), age));
        }
        out
    }

    /// For how many seconds nothing has been written, once that is too long.
    fn commit_age(&mut self, shared: &Shared) -> Values {
        let age = self.written.age(written(shared), Instant::now());
        let longest = LATE.max(shared.config().interval.as_duration() * LATE_BEATS);
        let late = if age > longest { age.as_secs_f64() } else { 0.0 };
        vec![(Labels::new([("instance", &*shared.system)]), late)]
    }

    fn limits(&mut self, shared: &Shared, files: &Files) -> Values {
        self.find_fields(shared, files);
        let values = self.limited.iter_mut().filter_map(|one| {
            let (ts, value) = shared.latest.get(one.series?)?;
            one.look(ts, value);
            Some((one.labels.clone(), one.level))
        });
        values.collect()
    }

    /// Looks for limits again where charts were told since, and for series where there are new ones.
    fn find_fields(&mut self, shared: &Shared, files: &Files) {
        let before = self.told;
        let found = files.with_reader(|reader, _| {
            let failed = |e: SqlError| Unreadable(e.to_string());
            let told = reader.graphs_told().map_err(failed)?;
            let graphs =
                if before == Some(told) { None } else { Some(reader.graphs().map_err(failed)?) };
            Ok::<_, Unreadable>((told, graphs))
        });
        let Ok((told, graphs)) = found else { return };
        if let Some(graphs) = graphs {
            self.told = Some(told);
            self.made = 0;
            self.limited = graphs
                .iter()
                .flat_map(|(system, graph)| graph.fields.iter().map(move |f| (system, graph, f)))
                .filter(|(_, _, f)| !f.warning.is_empty() || !f.critical.is_empty())
                .map(|(system, graph, field)| Limited::new(system, graph, field, shared))
                .collect();
        }
        let made = shared.registry.made();
        if made == self.made || self.limited.is_empty() {
            return;
        }
        self.made = made;
        let mut wanted: HashMap<(Option<&str>, &str), usize> = HashMap::new();
        let mut found = Vec::new();
        for (at, one) in self.limited.iter().enumerate() {
            wanted.insert((one.system.as_deref(), &one.key), at);
        }
        for (number, series) in shared.registry.all() {
            let identity = &series.identity;
            let key = identity.key();
            if let Some(at) = wanted.get(&(identity.system.as_deref(), &*key)) {
                found.push((*at, number));
            }
        }
        for (at, number) in found {
            self.limited[at].series = Some(number);
        }
    }
}

impl Limited {
    fn new(system: &str, graph: &Graph, field: &Field, shared: &Shared) -> Self {
        let what = format!("{} {}", graph.title, field.label);
        Self {
            system: (*system != *shared.system).then(|| system.into()),
            key: field.series.clone(),
            labels: Labels::new([("instance", system), ("what", &what)]),
            rate: field.kind != Kind::Gauge,
            warning: field.warning,
            critical: field.critical,
            series: None,
            before: None,
            level: 0.0,
        }
    }

    /// The level at the newest value; a counter's is that of its rate.
    fn look(&mut self, ts: i64, newest: f64) {
        let before = self.before.replace((ts, newest));
        let value = match before {
            _ if !self.rate => newest,
            Some((before, _)) if before == ts => return,
            Some((before, from)) if ts > before && newest >= from => {
                (newest - from) * 1e3 / (ts - before) as f64
            }
            _ => f64::NAN,
        };
        self.level = match value {
            v if !self.critical.holds(v) => 2.0,
            v if !self.warning.holds(v) => 1.0,
            _ => 0.0,
        };
    }
}

fn waiting(delivery: &Delivery) -> Values {
    let wait =
        |c: ChannelStand| (Labels::new([("channel", c.shown.as_str())]), c.oldest_ms as f64 / 1e3);
    delivery.stand().into_iter().map(wait).collect()
}
