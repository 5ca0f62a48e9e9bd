//! config: the `[[burst]]` sections.

use super::collect::Names;
use super::raw::Section;
use super::resolve::Resolver;
use super::{Burst, CollectorConfig};
use crate::model::options::{Given, Ms, Shape, Value, Wrong, options, quote};
use crate::model::{Condition, Interval};

options! {
    /// Shorter intervals while a condition holds; repeat the section for more rules.
    pub struct BurstOptions {
        /// Condition: KEY OPERATOR NUMBER, with the operators > >= < <= == !=. Keys are those of
        /// `plimsoll status --all` and the database: cpu (load average), memory (free share, 0 to
        /// 1), disk_/ (used percent), node_network_receive_errs_total{device="eth0"}, ...
        when: Option<When> = None, like r#""cpu > 8""#;
        /// Interval while the condition holds.
        interval: Option<Interval> = None, like r#""1s""#;
        /// How long the interval lasts after the condition last held: from `interval` to 1y.
        r#for: Ms = Ms(5 * 60_000), like r#""5m""#;
        /// Collectors that the rule applies to; an empty list means all.
        collectors: Names = Names(Vec::new()), like r#"["loadavg", "cpu"]"#;
    }
}

/// A condition, and the text that it was written as.
#[derive(Debug, Clone, PartialEq)]
pub struct When(Condition, String);

impl Value for When {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let wrong = |(message, hint): (String, String)| vec![Wrong::new(message, hint)];
        Ok(Self(Condition::parse(given.text()).map_err(wrong)?, given.text().into()))
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.1))
    }
}

impl Resolver<'_> {
    pub(super) fn bursts(&mut self, top: &Section<'_>, enabled: &[CollectorConfig]) -> Vec<Burst> {
        let sections = top.sections("burst", self.mistakes);
        let numbered = sections.iter().zip(1..);
        numbered.filter_map(|(section, number)| self.burst(section, number, enabled)).collect()
    }

    fn burst(
        &mut self,
        s: &Section<'_>,
        number: usize,
        enabled: &[CollectorConfig],
    ) -> Option<Burst> {
        for (name, example) in [("when", "cpu > 8"), ("interval", "1s")] {
            if !s.has(name) {
                let hint = format!("add `{name} = \"{example}\"`");
                self.tell(s, name, s.span(), "this is missing in a [[burst]]", hint);
            }
        }
        let mut options: BurstOptions = self.fill(Some(s));
        let least = options.interval.unwrap_or(Interval::MIN).as_ms();
        self.at_least(s, "for", least);
        options.r#for.0 = options.r#for.0.max(least);
        for name in &options.collectors.0 {
            if !enabled.iter().any(|c| c.name == *name) {
                let message = format!("`{name}` is switched off");
                let hint = "switch it on in [collect], or leave it out here";
                let at = s.position("collectors", name);
                self.tell(s, "collectors", s.place("collectors", at), &message, hint);
            }
        }
        self.list(&format!("burst {number}"), &options);
        let When(when, text) = options.when?;
        Some(Burst {
            when,
            text,
            interval: options.interval?,
            duration_ms: options.r#for.0,
            collectors: options.collectors.0,
        })
    }
}
