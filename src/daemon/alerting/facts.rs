//! daemon: facts that are added to an alert when it begins to fire: the processes that take most,
//! the chart, the link to the page.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::alert::{Extra, Facts, Instance, Judge, Measure, Rule};
use crate::collect::Settings;
use crate::collect::culprits::{Culprit, Resource, culprits};
use crate::config::Config;
use crate::daemon::alerting::journal::last_lines;
use crate::daemon::alerting::rules::id_of;
use crate::daemon::shared::Shared;
use crate::draw::{self, Ask, Frame, Mark, Theme};
use crate::model::Unit;
use crate::notify::{Chart, Delivery, Draw, Picture};
use crate::query::budget::Budget;
use crate::query::eval::Limits;
use crate::query::files::Unreadable;
use crate::query::quote::quoted;

/// For this long is measured what processes use of CPUs and disks.
const PAUSE: Duration = Duration::from_millis(250);
/// What a chart of a message shows, ms.
const SHOWN_MS: i64 = 3 * 3_600_000;
/// Its size. A phone shows it some 350 wide, and the words in it have to be large enough then.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 280;
/// Pixels in each direction for one of these, as phones have them.
const SCALE: f32 = 2.0;
/// Memory and time for one, in bytes.
const MEMORY: u64 = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// See [`Facts`].
pub struct Found<'f> {
    /// The rules.
    pub judge: &'f Judge,
    /// The configuration in force.
    pub config: &'f Config,
    /// The receivers.
    pub delivery: &'f Delivery,
    /// This machine's name.
    pub system: &'f str,
}

impl Facts for Found<'_> {
    fn unit(&self, alert: &Instance) -> Unit {
        self.judge.rule(&alert.rule).map_or(Unit::Plain, |rule| rule.unit.clone())
    }

    fn measured(&self, alert: &Instance) -> bool {
        self.judge.rule(&alert.rule).is_none_or(Rule::is_measured)
    }

    fn to(&self, alert: &Instance) -> Vec<String> {
        let own = self.judge.rule(&alert.rule).map(|rule| &*rule.to).unwrap_or_default();
        let all = self.delivery.ids().map(str::to_owned);
        match own {
            // Receivers that only some rules name are told of nothing else.
            [] => {
                let usual: Vec<String> =
                    self.config.alerts.options.to.0.iter().map(|to| id_of(to)).collect();
                all.filter(|id| usual.contains(id)).collect()
            }
            some => {
                let named: Vec<String> = some.iter().map(|to| id_of(to)).collect();
                all.filter(|id| named.contains(id)).collect()
            }
        }
    }

    fn once(&self, alert: &Instance) -> bool {
        self.judge.rule(&alert.rule).is_some_and(|rule| rule.once)
    }

    fn extra(&mut self, alert: &Instance) -> Extra {
        let page = self.config.alerts.options.page.as_deref();
        let page = page.map(|page| page.trim_end_matches('/'));
        let rule = self.judge.rule(&alert.rule);
        let chart = rule.and_then(|rule| {
            let expr = match &rule.measure {
                Measure::Given(_) => return None,
                Measure::Query(query) | Measure::Forecast(query) => &*query.text,
            };
            Some(Chart {
                expr: only(expr, alert, &rule.labels),
                title: alert.text.clone(),
                limit: alert.limit.filter(|_| matches!(rule.measure, Measure::Query(_))),
                breach: alert.active_at,
            })
        });
        let here = alert.labels.get("instance").is_none_or(|name| name == self.system);
        let culprits = match resource(&alert.rule).filter(|_| here) {
            Some(of) => {
                culprits(&Settings::default(), of, PAUSE).iter().map(Culprit::words).collect()
            }
            None => Vec::new(),
        };
        let log = match alert.labels.get("name").filter(|_| here && of_unit(&alert.rule)) {
            Some(unit) => last_lines(unit, &std::env::var_os("PATH").unwrap_or_default()),
            None => Vec::new(),
        };
        Extra {
            culprits,
            log,
            link: page.map(|page| format!("{page}/alerts")),
            generator_url: page.map(|page| format!("{page}/alerts")).unwrap_or_default(),
            chart,
        }
    }
}

/// What the processes to be named take too much of.
fn resource(rule: &str) -> Option<Resource> {
    match rule {
        "memory" | "oom" | "pressure_memory" => Some(Resource::Memory),
        "load" | "hot" | "steal" => Some(Resource::Cpu),
        "disk_full" | "disk_fills" => Some(Resource::Written),
        "pressure_io" => Some(Resource::Disk),
        _ => None,
    }
}

/// Whether a rule is about a unit of systemd, which its label `name` names.
fn of_unit(rule: &str) -> bool {
    matches!(rule, "unit_failed" | "unit_loops")
}

/// An expression with nothing in its answer but the label set of one alert.
fn only(expr: &str, alert: &Instance, added: &[(Box<str>, Box<str>)]) -> String {
    let own: Vec<(&str, &str)> = alert
        .labels
        .iter()
        .filter(|(name, _)| *name != "alertname" && !added.iter().any(|(n, _)| **n == **name))
        .collect();
    if own.is_empty() {
        return expr.to_owned();
    }
    let mut labels = "vector(1)".to_owned();
    for (name, value) in &own {
        // `$` begins the name of a group in the replacement.
        let value = quoted(&value.replace('$', "$$"));
        labels = format!("label_replace({labels}, {}, {value}, \"\", \"\")", quoted(name));
    }
    let names: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
    format!("({expr}) and on ({}) {labels}", names.join(", "))
}

/// Draws the charts of messages.
pub fn draw(shared: &Shared) -> Option<Draw> {
    let desk = Arc::clone(&shared.desk);
    let clock = Arc::clone(&shared.clock);
    Some(Arc::new(move |chart: &Chart| {
        let budget = Budget::new(MEMORY);
        let limits = Limits {
            deadline: Some(std::time::Instant::now() + PATIENCE),
            budget: Some(&budget),
            ..Limits::default()
        };
        let now = clock.wall_ms();
        // The breach stays in the picture of a message that is late.
        let from = (now - SHOWN_MS).min(chart.breach - SHOWN_MS / 6);
        let ask = Ask { expression: &chart.expr, from, to: now, points: WIDTH, limits };
        let drawn = desk.files().with_catalog(|reader, catalog| {
            draw::gather(reader, catalog, &ask).map_err(|e| Unreadable(e.to_string()))
        });
        let png = draw::png(&painted(drawn.ok()?, chart, TimeZone::system()), SCALE)?;
        Some(Picture { png, alt: chart.title.clone() })
    }))
}

/// The chart with its limit and the moment of the breach.
fn marked(mut drawn: draw::Chart, chart: &Chart) -> draw::Chart {
    drawn.title.clone_from(&chart.title);
    drawn.thresholds.extend(chart.limit);
    drawn.marks.push(Mark { ts: chart.breach, text: "from here".to_owned(), bad: true });
    drawn
}

fn painted(drawn: draw::Chart, chart: &Chart, zone: TimeZone) -> draw::Picture {
    let frame = Frame { width: WIDTH, height: Some(HEIGHT), theme: Theme::Light, zone };
    draw::picture(&marked(drawn, chart), &frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Line;

    /// Three hours of a disk that fills, over its limit for the last twenty minutes.
    fn fills() -> (draw::Chart, Chart) {
        let begin = 1_796_091_000_000;
        let minutes = 180;
        let at = |minute: i64| begin + minute * 60_000;
        let mean: Vec<f64> =
            (0..=minutes).map(|m| 80.0 + 18.0 * m as f64 / minutes as f64).collect();
        let drawn = draw::Chart {
            unit: Unit::Percent,
            from: begin,
            to: at(minutes),
            lines: vec![Line {
                name: "/".into(),
                ts: (0..=minutes).map(at).collect(),
                gap: 180_000,
                last: 98.0,
                least: 80.0,
                average: 89.0,
                most: 98.0,
                mean,
                ..Line::default()
            }],
            ..draw::Chart::default()
        };
        let chart = Chart {
            expr: String::new(),
            title: "disk / is 98 % full, 5.1 GB left".into(),
            limit: Some(96.0),
            breach: at(160),
        };
        (drawn, chart)
    }

    #[test]
    fn the_picture_shows_the_limit_and_the_breach() {
        let (drawn, chart) = fills();
        let picture = painted(drawn, &chart, TimeZone::UTC);
        insta::assert_snapshot!(draw::svg(&picture));
        let png = draw::png(&picture, SCALE).expect("a picture");
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
        // Width and height stand at a fixed place.
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four"));
        assert_eq!((number(16), number(20)), (2 * WIDTH, 2 * HEIGHT));
        if let Some(path) = std::env::var_os("PLIMSOLL_SHOW_PICTURE") {
            std::fs::write(path, &png).expect("written");
        }
    }
}
