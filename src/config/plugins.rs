//! config: the section `[plugins]` and the `[[plugin]]`s.

use super::raw::{self, Section};
use super::resolve::Resolver;
use crate::model::Interval;
use crate::plugin::{Kind, Said, Settings};

const SECOND: i64 = 1_000;
/// Longer than an hour no plugin works.
const LONGEST: i64 = 3_600 * SECOND;
/// More at once are a load of their own.
const MOST_PARALLEL: f64 = 64.0;

impl Resolver<'_> {
    pub(super) fn plugins(&mut self, top: &Section<'_>) -> Settings {
        let mut out = Settings::default();
        if let Some(section) = top.section("plugins", raw::PLUGINS, &[], self.mistakes) {
            let s = &section;
            out.enabled = s.flag("enabled").unwrap_or(true);
            out.dir = self.path(s, "dir");
            if let Some(dir) = self.path(s, "conf_dir") {
                out.conf_dirs = vec![dir];
            }
            out.libdir = self.path(s, "libdir").unwrap_or(out.libdir);
            out.interval = self.interval(s, "interval").unwrap_or(out.interval);
            out.timeout_ms = self.duration(s, "timeout", SECOND, LONGEST).unwrap_or(out.timeout_ms);
            if let Some(at) = s.number("parallel") {
                if (1.0..=MOST_PARALLEL).contains(&at.value) && at.value.fract() == 0.0 {
                    out.parallel = at.value as usize;
                } else {
                    let message = format!("{} is no number of plugins", at.value);
                    let hint = "a whole number from 1 to 64";
                    self.tell(s, "parallel", at.span, &message, hint);
                }
            }
            if let Some(user) = s.text("user") {
                out.user = user.value.to_owned();
            }
        }
        for section in &top.sections("plugin", raw::PLUGIN, self.mistakes) {
            if let Some(said) = self.plugin(section, &out.said) {
                out.said.push(said);
            }
        }
        out
    }

    fn plugin(&mut self, section: &Section<'_>, before: &[Said]) -> Option<Said> {
        let name = self.understood(section, "name", |text| {
            if !crate::wire::munin::is_plugin_name(text) {
                return Err((
                    format!("`{text}` is no name for a plugin"),
                    "letters, digits, - _ . : and @ are".into(),
                ));
            }
            if before.iter().any(|s| s.name == text) {
                return Err((format!("`{text}` is there twice"), "remove one of the two".into()));
            }
            Ok(text.to_owned())
        });
        if name.is_none() && !section.has("name") {
            let hint = "which plugin is meant, for example `name = \"df\"`";
            self.tell(section, "name", section.span(), "this is missing", hint);
        }
        let command: Vec<String> = section
            .texts("command")
            .unwrap_or_default()
            .iter()
            .map(|t| t.value.to_owned())
            .collect();
        if let Some(first) = command.first().filter(|c| !c.starts_with('/')) {
            let message = format!("`{first}` depends on where plimsoll is started");
            let hint =
                "write the whole path, beginning with /, and each argument as a text of its own";
            self.tell(section, "command", section.span(), &message, hint);
        }
        let kind = self.understood(section, "kind", |text| {
            let hint =
                || ("there is no such kind".to_owned(), "munin, simple or nagios".to_owned());
            Kind::from_word(text).ok_or_else(hint)
        });
        let interval: Option<Interval> = self.interval(section, "interval");
        let timeout_ms = self.duration(section, "timeout", SECOND, LONGEST);
        Some(Said {
            name: name?,
            enabled: section.flag("enabled").unwrap_or(true),
            command,
            kind,
            interval,
            timeout_ms,
            user: section.text("user").map(|u| u.value.to_owned()),
        })
    }
}
