//! alert: who is left in peace, and why: silences, quiet hours, what something worse explains, planned
//! reboots; and when somebody is reminded. Pure functions of the alerts, the time and what people said.

use serde::{Deserialize, Serialize};

use super::silence::Silence;
use super::weekly::Weekly;
use super::{Instance, State};
use crate::model::Severity;
use crate::store::SilenceRow;

const HOUR_MS: i64 = 3_600_000;
/// The first reminder comes after so long; the distance doubles with each.
const REMIND_WARNING_MS: i64 = 24 * HOUR_MS;
const REMIND_BAD_MS: i64 = 4 * HOUR_MS;
/// A machine that said that it is being started again may be silent for so long.
const REBOOT_MS: i64 = 600_000;

/// The rule of a machine that sends nothing any more.
const SILENT: &str = "silent";

/// A rule that explains others while it fires, the rules that it explains, and the label that both have to
/// share besides the machine.
const EXPLAINS: [(&str, &[&str], Option<&str>); 2] =
    [("disk_full", &["disk_fills", "inodes"], Some("mountpoint")), ("oom", &["memory"], None)];

/// Quiet hours of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Quiet {
    /// When.
    pub hours: Vec<Weekly>,
    /// Nobody is told of what is this bad or less; what is worse is told at once.
    pub most: Severity,
}

impl Quiet {
    /// Whether it holds for an alert that bad: then until when, ms since 1970 UTC.
    pub fn until(&self, severity: Severity, now: i64) -> Option<i64> {
        if severity > self.most {
            return None;
        }
        // One window may begin before another ends.
        let mut until = None;
        while let Some(next) =
            (self.hours.iter()).filter_map(|w| w.holds(until.unwrap_or(now))).max()
        {
            until = Some(next);
            if next > now.saturating_add(7 * 24 * HOUR_MS) {
                break;
            }
        }
        until
    }
}

/// Why nobody is told of an alert now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Withheld {
    /// By a silence.
    Silence {
        /// Its number.
        id: i64,
        /// Until when, ms since 1970 UTC, as far as that is known.
        until: Option<i64>,
        /// Who made it.
        who: String,
        /// The reason.
        why: String,
    },
    /// By another alert that explains it.
    Explained {
        /// That alert's sentence.
        by: String,
    },
    /// By quiet hours: it is told at their end.
    Quiet {
        /// When that is, ms since 1970 UTC.
        until: i64,
    },
    /// The machine said that it is being started again.
    Reboot {
        /// Until when that is no surprise, ms since 1970 UTC.
        until: i64,
    },
}

impl Withheld {
    /// The reason as a sentence for the message that comes afterwards.
    pub fn remark(&self) -> String {
        match self {
            Self::Silence { who, why, .. } => {
                let who = if who.is_empty() { String::new() } else { format!(" by {who}") };
                let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                format!("It was silenced{who}{why} until now.")
            }
            Self::Explained { by } => format!("It was not told before because {by}."),
            Self::Quiet { .. } => String::new(),
            Self::Reboot { .. } => "The machine said that it was being restarted.".to_owned(),
        }
    }
}

/// What people said, and what machines announced.
#[derive(Debug, Clone, Default)]
pub struct Peace {
    /// Silences.
    pub silences: Vec<Silence>,
    /// Quiet hours.
    pub quiet: Option<Quiet>,
    /// Machines that announced their end, and when (ms since 1970 UTC).
    pub farewells: Vec<(String, i64)>,
}

/// Whether something is wrong: it fired and is not over.
pub fn fires(alert: &Instance) -> bool {
    match alert.state {
        State::Firing | State::Recovering | State::Flapping => true,
        State::NoData => alert.fired_at.is_some(),
        State::Inactive | State::Pending | State::Resolved => false,
    }
}

/// The machine that an alert is about; `here` is this one.
pub fn host_of<'a>(alert: &'a Instance, here: &'a str) -> &'a str {
    alert.labels.get("instance").or_else(|| alert.labels.get("host")).unwrap_or(here)
}

/// The alerts that may explain others.
#[derive(Debug, Default)]
pub struct Causes<'a> {
    here: &'a str,
    causes: Vec<&'a Instance>,
    bad: std::collections::HashMap<&'a str, Vec<&'a Instance>>,
}

impl<'a> Causes<'a> {
    /// Of all open alerts; `here` is this machine's name.
    pub fn of(alerts: impl Iterator<Item = &'a Instance>, here: &'a str) -> Self {
        let mut out = Self { here, ..Self::default() };
        for alert in alerts.filter(|alert| fires(alert)) {
            if alert.rule == SILENT || EXPLAINS.iter().any(|(rule, ..)| alert.rule == *rule) {
                out.causes.push(alert);
            }
            if alert.severity == Severity::Bad && alert.labels.get("severity").is_some() {
                out.bad.entry(&alert.rule).or_default().push(alert);
            }
        }
        out
    }

    /// The alert that explains this one: the machine is silent, the disk is full already, the same is bad.
    pub fn explains(&self, alert: &Instance) -> Option<&'a Instance> {
        let host = host_of(alert, self.here);
        let other = |cause: &&&'a Instance| cause.fingerprint != alert.fingerprint;
        let found = self.causes.iter().filter(other).find(|cause| {
            host_of(cause, self.here) == host
                && (cause.rule == SILENT && alert.rule != SILENT
                    || EXPLAINS.iter().any(|(rule, explained, shared)| {
                        cause.rule == *rule
                            && explained.contains(&&*alert.rule)
                            && shared.is_none_or(|l| cause.labels.get(l) == alert.labels.get(l))
                    }))
        });
        if found.is_some() || alert.severity >= Severity::Bad {
            return found.copied();
        }
        // Two rules of one name, as rule files have them: a warning, and the same as critical.
        let without = |alert: &'a Instance| alert.labels.iter().filter(|(n, _)| *n != "severity");
        let mine = || alert.labels.iter().filter(|(n, _)| *n != "severity");
        (self.bad.get(&*alert.rule)?.iter().copied()).find(|bad| without(bad).eq(mine()))
    }
}

impl Peace {
    /// Why nobody is to be told of this alert at `now` (ms since 1970 UTC); nothing: they are.
    pub fn withholds(&self, alert: &Instance, causes: &Causes<'_>, now: i64) -> Option<Withheld> {
        let host = host_of(alert, causes.here);
        let silenced = self.silences.iter().find_map(|silence| {
            let until = silence.holds(alert, host, now)?;
            let SilenceRow { id, who, why, .. } = &silence.row;
            Some(Withheld::Silence { id: *id, until, who: who.clone(), why: why.clone() })
        });
        if silenced.is_some() {
            return silenced;
        }
        if let Some(cause) = causes.explains(alert) {
            return Some(Withheld::Explained { by: cause.text.clone() });
        }
        if alert.rule == SILENT {
            let farewell = self.farewells.iter().find(|(who, _)| who == host);
            let until = farewell.map(|(_, at)| at.saturating_add(REBOOT_MS));
            if let Some(until) = until.filter(|until| now < *until) {
                return Some(Withheld::Reboot { until });
            }
        }
        let until = self.quiet.as_ref()?.until(alert.severity, now)?;
        Some(Withheld::Quiet { until })
    }
}

/// When somebody is reminded next, ms since 1970 UTC: of what was told at `told_at` and `reminders` times
/// since. Of what is good to know nobody is.
pub fn next_reminder(severity: Severity, told_at: i64, reminders: u32) -> Option<i64> {
    let first = match severity {
        Severity::Info => return None,
        Severity::Warning => REMIND_WARNING_MS,
        Severity::Bad => REMIND_BAD_MS,
    };
    // 1, 3, 7, 15 … times the first: the distance doubles.
    let times = (1_i64 << (reminders.min(20) + 1)) - 1;
    told_at.checked_add(first.checked_mul(times)?)
}

#[cfg(test)]
pub(super) mod tests;
