//! config: the section `[collect]` and those of the collectors in it.

use super::CollectorConfig;
use super::error::nearest;
use super::raw::Section;
use super::resolve::Resolver;
use super::sections;
use super::values::each;
use crate::collect::{COLLECTORS, Settings};
use crate::model::options::{Given, Shape, Value, Wrong, list, options, quote};
use crate::model::{Glob, Interval, KeyFilter};

options! {
    /// The collectors, which read this machine.
    pub struct CollectOptions {
        /// Collectors that run. Default: all of them.
        collectors: Names = Names(all()), like r#"["loadavg", "meminfo", "filesystem"]"#;
        /// Keys of the series to keep, with * and ?, for example `["cpu", "memory", "disk_*"]`. An
        /// empty list keeps all.
        keep: Vec<Glob> = Vec::new(), like r#"["cpu", "memory", "disk_*"]"#;
        /// Keys of the series to drop, for example `["node_hwmon_*"]`. This wins over `keep`.
        drop: Vec<Glob> = Vec::new(), like r#"["node_hwmon_*"]"#;
    }
}

options! {
    /// A section [collect.NAME] gives a collector its own interval, and switches it on or off
    /// regardless of `collectors`.
    pub struct CollectorOptions {
        /// Interval of this collector. Default: the interval at the top of the file.
        interval: Interval = Interval::DEFAULT, like r#""10s""#;
        /// Whether the collector runs.
        enabled: bool = true, like "false";
    }
}

fn all() -> Vec<&'static str> {
    COLLECTORS.iter().map(|entry| entry.name).collect()
}

/// Names of collectors, in the order in which they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub Vec<&'static str>);

impl Value for Names {
    const SHAPE: Shape = Shape::Texts;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let named = each(given, |text| {
            let hint = || match nearest(text, all().into_iter()) {
                Some(better) => format!("did you mean `{better}`?"),
                None => format!("there are: {}", all().join(", ")),
            };
            let known = all().into_iter().find(|name| *name == text);
            known.ok_or_else(|| (format!("unknown collector `{text}`"), hint()))
        })?;
        Ok(Self(all().into_iter().filter(|name| named.contains(name)).collect()))
    }

    fn show(&self) -> Option<String> {
        Some(list(self.0.iter().map(|name| quote(name))))
    }
}

impl Resolver<'_> {
    /// Which collectors run, what they look at, and which series are kept.
    pub(super) fn collect(
        &mut self,
        top: &Section<'_>,
        interval: Interval,
    ) -> (Vec<CollectorConfig>, Settings, KeyFilter) {
        let section = top.section("collect", self.mistakes);
        let chosen: CollectOptions = self.fill(section.as_ref());
        self.list("collect", &chosen);
        let (mut collectors, mut settings) = (Vec::new(), Settings::default());
        for entry in COLLECTORS {
            let own = section.as_ref().and_then(|s| s.section(entry.name, self.mistakes));
            let enabled = chosen.collectors.0.contains(&entry.name);
            let usual = CollectorOptions { interval, enabled };
            let mut options = usual.clone();
            let path = format!("collect.{}", entry.name);
            if let Some(own) = &own {
                self.set(own, &mut options);
            }
            self.listed.extend(sections::list(&path, &options, &usual));
            if let Some(make) = entry.options {
                let (mut options, usual) = (make(), make());
                if let Some(own) = &own {
                    self.set(own, &mut *options);
                }
                self.listed.extend(sections::list(&path, &*options, &*usual));
                settings.options.push(options.into());
            }
            if options.enabled {
                collectors.push(CollectorConfig { name: entry.name, interval: options.interval });
            }
        }
        (collectors, settings, KeyFilter { keep: chosen.keep, drop: chosen.drop })
    }
}
