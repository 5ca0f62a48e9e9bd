//! daemon: how things stand, for every view; and the samples of `ALERTS`.

use std::sync::Arc;

use super::{Alerting, channel_settings};
use crate::alert::files::Recording;
use crate::alert::{
    self, Measure, RecordShown, Rule, RuleShown, Shown, Stand, State, Withheld, host_of,
};
use crate::collect::JOB;
use crate::model::{Identity, Kind, Labels, Series, SeriesRef, Severity, Unit, format_duration};
use crate::notify::ChannelSettings;
use crate::pipeline::{Batch, Source};
use crate::query::matcher::NAME;

impl Alerting {
    /// Shows the views how things stand.
    pub(super) fn show(&self) {
        let now = self.shared.clock.wall_ms();
        let mut alerts: Vec<Shown> = self
            .judge
            .instances()
            .filter(|alert| !matches!(alert.state, State::Inactive | State::Resolved))
            .map(|alert| self.shown(alert))
            .collect();
        alerts.sort_by(|a, b| {
            let key = |s: &Shown| (!s.alert.is_firing(), std::cmp::Reverse(s.alert.severity));
            key(a).cmp(&key(b)).then(a.alert.active_at.cmp(&b.alert.active_at))
        });
        let settings = Arc::new(channel_settings(&self.config, &self.shared.system));
        let silences = self.teller.peace.silences.iter().map(|silence| silence.row.clone());
        let stand = Stand {
            judged_at: self.judge.judged_until(),
            alerts,
            rules: self.judge.reports().map(|report| rule_shown(&report, &settings)).collect(),
            records: self.judge.recordings().map(|report| record_shown(&report)).collect(),
            silences: silences.filter(|row| row.ends_at.is_none_or(|ends| ends > now)).collect(),
            channels: self.post.delivery().stand(),
        };
        self.shared.alerts.set(stand);
    }

    fn shown(&self, alert: &alert::Instance) -> Shown {
        let rule = self.judge.rule(&alert.rule);
        let unit = rule.map_or(Unit::Plain, |rule| rule.unit.clone());
        let withheld = self.given.withheld.iter().find(|(f, _)| *f == alert.fingerprint);
        let acked = self.teller.acked(alert).map(|ack| {
            let why = if ack.why.is_empty() { String::new() } else { format!(": {}", ack.why) };
            format!("{} knows of it{why}", if ack.who.is_empty() { "somebody" } else { &ack.who })
        });
        Shown {
            host: host_of(alert, &self.shared.system).to_owned(),
            value: unit.format(alert.value),
            limit: alert.limit.map(|limit| unit.format(limit)).unwrap_or_default(),
            silenced: withheld.map(|(_, why)| reason(why)),
            acked,
            expr: rule.and_then(Rule::chart_expr).map(str::to_owned),
            alert: alert.clone(),
        }
    }

    /// Hands the samples of `ALERTS` and of recording rules to the writer.
    pub(super) fn keep_samples(&mut self, pass: &alert::Pass) {
        if pass.samples.is_empty() {
            return;
        }
        self.wrote = Some(pass.at);
        let samples: Vec<(SeriesRef, f64)> = pass
            .samples
            .iter()
            .map(|(labels, value)| {
                let name = labels.get(NAME).unwrap_or("ALERTS");
                let alerts = name.starts_with("ALERTS");
                let job = labels.get("job").filter(|_| !alerts).unwrap_or(JOB);
                let others = labels.iter().filter(|(n, _)| ![NAME, "job"].contains(n));
                let (host, others): (Vec<_>, Vec<_>) = others.partition(|(n, _)| *n == "instance");
                let host = host.first().map(|(_, v)| *v).filter(|v| **v != *self.shared.system);
                let mut identity = Identity::local(job, name, Labels::new(others));
                identity.system = host.map(Into::into);
                let series = Series {
                    kind: Kind::Gauge,
                    help: match alerts {
                        true => "1 while the alert is in this state.".into(),
                        false => "Written by a recording rule.".into(),
                    },
                    ..Series::undescribed(identity)
                };
                (self.shared.registry.intern(series), *value)
            })
            .collect();
        self.shared.queue.push(Batch::of(Source::Collect, pass.at, samples));
    }
}

fn reason(why: &Withheld) -> String {
    match why {
        Withheld::Silence { id, who, why, .. } => {
            let who = if who.is_empty() { String::new() } else { format!(" by {who}") };
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            format!("silenced{who} (silence {id}){why}")
        }
        Withheld::Explained { by } => format!("not told by itself, because {by}"),
        Withheld::Quiet { .. } => "it is told when the quiet hours end".to_owned(),
        Withheld::Reboot { .. } => "the machine said that it is being restarted".to_owned(),
    }
}

fn rule_shown(report: &alert::Report<'_>, settings: &Arc<ChannelSettings>) -> RuleShown {
    let rule = report.rule;
    let pairs = |list: &[(Box<str>, Box<str>)]| {
        list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let last = rule.limits.last();
    RuleShown {
        name: rule.name.to_string(),
        alertname: rule.alertname().to_owned(),
        expr: rule.promql(),
        when: when(rule),
        severity: rule.severities().1,
        for_ms: rule.limits.first().map_or(0, |limit| limit.for_ms),
        keep_ms: last.map_or(0, |limit| limit.keep_ms),
        labels: pairs(&rule.labels),
        annotations: pairs(&rule.annotations),
        to: rule.to.iter().map(|to| crate::notify::redacted(to, settings)).collect(),
        file: rule.file.to_string(),
        error: report.error.map(str::to_owned),
        evaluated_at: report.evaluated_at,
        took: report.took.as_secs_f64(),
    }
}

fn record_shown(report: &alert::Report<'_, Recording>) -> RecordShown {
    let rule = report.rule;
    let label = |(name, value): &(Box<str>, Box<str>)| (name.to_string(), value.to_string());
    RecordShown {
        name: rule.name.to_string(),
        expr: rule.query.text.to_string(),
        labels: rule.labels.iter().map(label).collect(),
        file: rule.file.to_string(),
        error: report.error.map(str::to_owned),
        evaluated_at: report.evaluated_at,
        took: report.took.as_secs_f64(),
    }
}

/// When a rule fires, in words.
pub fn when(rule: &Rule) -> String {
    let of = |limit: &alert::Limit| {
        let severity = match limit.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Bad => "bad",
        };
        let value =
            |test: &alert::Test| format!(" {} {}", test.op.sign(), rule.unit.format(test.value));
        let value = limit.fires.as_ref().map(value).unwrap_or_default();
        let time = match limit.for_ms {
            0 => String::new(),
            ms => format!(" for {}", format_duration(ms)),
        };
        format!("{severity}{value}{time}")
    };
    let what = match &rule.measure {
        Measure::Forecast(_) => "time that is left: ",
        _ => "",
    };
    format!("{what}{}", rule.limits.iter().map(of).collect::<Vec<_>>().join(", "))
}
