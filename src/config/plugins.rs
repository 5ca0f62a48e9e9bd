//! config: the section `[plugins]` and the `[[plugin]]`s.

use std::path::PathBuf;

use super::raw::Section;
use super::resolve::Resolver;
use crate::model::Interval;
use crate::model::options::{Given, Limit, Ms, Shape, Value, Wrong, options, quote};
use crate::plugin::{Kind, Said, Settings};

const SECOND: i64 = 1_000;
/// The longest timeout, an hour.
const LONGEST: i64 = 3_600 * SECOND;

options! {
    /// Munin's plugins, and programs that print `key value`. `plimsoll plugin list` shows which run,
    /// and why others do not.
    pub struct PluginsOptions {
        /// Whether plugins run.
        enabled: bool = true, like "false";
        /// Folder of the plugins that run: all files in it. Default: /etc/munin/plugins.
        dir: Option<PathBuf> = None, like r#""/etc/munin/plugins""#;
        /// Folder with the settings of plugins (user, environment, timeout), in Munin's format.
        conf_dir: PathBuf = "/etc/munin/plugin-conf.d".into(), like r#""/etc/munin/plugin-conf.d""#;
        /// Folder of Munin; all installed plugins are in its folder `plugins`.
        libdir: PathBuf = Settings::default().libdir, like r#""/usr/share/munin""#;
        /// Interval of plugins that do not set their own.
        interval: Interval = Settings::default().interval, like r#""1m""#;
        /// Longest run of a plugin.
        timeout: Ms = Ms(Settings::default().timeout_ms), in SECOND..=LONGEST, like r#""10s""#;
        /// Number of plugins that run at once.
        parallel: u64 = Settings::default().parallel as u64, in 1..=64, like "8";
        /// User of plugins whose settings name none. Only used if plimsoll is root.
        user: String = Settings::default().user, like r#""nobody""#;
    }
}

options! {
    /// Settings of one plugin; repeat the section for more.
    pub struct PluginOptions {
        /// Name of its file, or any name for a plugin with a command.
        name: Option<String> = None, in PluginName, like r#""check_load""#;
        /// Whether the plugin runs.
        enabled: bool = true, like "false";
        /// Interval; it overrides that of the plugin.
        interval: Option<Interval> = None, like r#""1m""#;
        /// Longest run of this plugin.
        timeout: Option<Ms> = None, in SECOND..=LONGEST, like r#""30s""#;
        /// User of the plugin. It runs as root only if root is named here or in `conf_dir`.
        user: Option<String> = None, like r#""nobody""#;
        /// Program and arguments, instead of a file in the folder.
        command: Option<Vec<String>> = None,
            like r#"["/usr/lib/nagios/plugins/check_load", "-w", "5,4,3", "-c", "10,8,6"]"#;
        /// munin, simple (prints `key value`, JSON or Prometheus text) or nagios. Default:
        /// recognised by its output.
        kind: Option<Kind> = None, like r#""nagios""#;
    }
}

/// Allowed names of plugins.
struct PluginName;

impl Limit<String> for PluginName {
    fn check(&self, name: &String, _: &Given<'_>) -> Vec<Wrong> {
        if crate::wire::munin::is_plugin_name(name) {
            return Vec::new();
        }
        let hint = "use letters, digits and - _ . : @";
        vec![Wrong::new(format!("`{name}` is not a name for a plugin"), hint)]
    }

    fn range(&self) -> Option<String> {
        None
    }
}

impl Value for Kind {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let wrong = || vec![Wrong::new("there is no such kind", "munin, simple or nagios")];
        Self::from_word(given.text()).ok_or_else(wrong)
    }

    fn show(&self) -> Option<String> {
        Some(quote(self.as_str()))
    }
}

impl Resolver<'_> {
    pub(super) fn plugins(&mut self, top: &Section<'_>) -> Settings {
        let section = top.section("plugins", self.mistakes);
        let options: PluginsOptions = self.fill(section.as_ref());
        self.list("plugins", &options);
        let mut out = Settings {
            enabled: options.enabled,
            dir: options.dir,
            conf_dirs: vec![options.conf_dir],
            libdir: options.libdir,
            interval: options.interval,
            timeout_ms: options.timeout.0,
            parallel: options.parallel as usize,
            user: options.user,
            said: Vec::new(),
        };
        for (section, number) in top.sections("plugin", self.mistakes).iter().zip(1..) {
            if let Some(said) = self.plugin(section, number, &out.said) {
                out.said.push(said);
            }
        }
        out
    }

    fn plugin(&mut self, s: &Section<'_>, number: usize, before: &[Said]) -> Option<Said> {
        let options: PluginOptions = self.fill(Some(s));
        self.list(&format!("plugin {number}"), &options);
        if !s.has("name") {
            let hint = "which plugin is meant, for example `name = \"df\"`";
            self.tell(s, "name", s.span(), "this is missing", hint);
        }
        if let Some(name) = &options.name
            && before.iter().any(|said| said.name == *name)
        {
            let message = format!("`{name}` is listed twice");
            self.tell(s, "name", s.place("name", None), &message, "remove one of the two");
        }
        let command = options.command.unwrap_or_default();
        if let Some(first) = command.first().filter(|c| !c.starts_with('/')) {
            let message = format!("`{first}` depends on where plimsoll is started");
            let hint =
                "write the whole path, beginning with /, and each argument as a text of its own";
            self.tell(s, "command", s.place("command", Some(0)), &message, hint);
        }
        Some(Said {
            name: options.name?,
            enabled: options.enabled,
            command,
            kind: options.kind,
            interval: options.interval,
            timeout_ms: options.timeout.map(|timeout| timeout.0),
            user: options.user,
        })
    }
}
