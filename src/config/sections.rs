//! config: the table of sections with their options, and what is made of it: the sample file, and
//! the list of all options with their values.

use std::fmt::Write as _;

use super::{alerts, burst, collect, http, munin, plugins, push, resolve, statsd, store};
use crate::collect::COLLECTORS;
use crate::model::options::{Key, Options, Shown};

/// A section of the file.
pub struct Row {
    /// Its name: empty for the top of the file, `collect.cpu`, `munin.node`.
    pub path: String,
    /// Whether it may be repeated: `[[plugin]]`.
    pub list: bool,
    /// Whether it is one collector's. The first of its options are then those of all collectors.
    collector: bool,
    /// Its options, at their defaults.
    pub options: Vec<Box<dyn Options>>,
}

impl Row {
    fn of<O: Options + Default>(path: &str, list: bool) -> Self {
        let options: Vec<Box<dyn Options>> = vec![Box::new(O::default())];
        Self { path: path.into(), list, collector: false, options }
    }

    /// Its keys, without sections.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.options.iter().flat_map(|options| options.keys())
    }

    /// The option of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// Whether this is an option of every collector.
    pub fn is_common(&self, name: &str) -> bool {
        self.collector && self.options[0].keys().iter().any(|key| key.name == name)
    }

    /// Its heading: `[http]`, `[[plugin]]`.
    pub fn brackets(&self) -> String {
        if self.list { format!("[[{}]]", self.path) } else { format!("[{}]", self.path) }
    }

    /// Its name within the section at `path`, if it lies directly in that.
    pub fn below(&self, path: &str) -> Option<&str> {
        let rest = match path {
            "" => &self.path,
            _ => self.path.strip_prefix(path)?.strip_prefix('.')?,
        };
        (!rest.is_empty() && !rest.contains('.')).then_some(rest)
    }
}

/// Makes options at their defaults.
type Make = fn() -> Box<dyn Options>;

/// Sections whose options need only their own rules; their users get them by [`super::Config::of`].
pub static PLAIN: &[(&str, Make)] = &[("push", || Box::<push::PushOptions>::default())];

/// Every section, as an operator would look for them; the first is the top of the file.
pub fn sections() -> Vec<Row> {
    let mut rows = vec![
        Row::of::<resolve::TopOptions>("", false),
        Row::of::<collect::CollectOptions>("collect", false),
    ];
    rows.extend(COLLECTORS.iter().map(|entry| {
        let mut row = Row::of::<collect::CollectorOptions>("", false);
        row.path = format!("collect.{}", entry.name);
        row.collector = true;
        row.options.extend(entry.options.map(|options| options()));
        row
    }));
    rows.extend([
        Row::of::<http::HttpOptions>("http", false),
        Row::of::<store::StoreOptions>("store", false),
        Row::of::<statsd::StatsdOptions>("statsd", false),
        Row::of::<push::GraphiteOptions>("graphite", false),
    ]);
    rows.extend(PLAIN.iter().map(|(path, options)| Row {
        path: (*path).into(),
        list: false,
        collector: false,
        options: vec![options()],
    }));
    rows.extend([
        Row::of::<plugins::PluginsOptions>("plugins", false),
        Row::of::<plugins::PluginOptions>("plugin", true),
        Row::of::<munin::NodeOptions>("munin_node", false),
        Row { path: "munin".into(), list: false, collector: false, options: Vec::new() },
        Row::of::<munin::PeerOptions>("munin.node", true),
        Row::of::<burst::BurstOptions>("burst", true),
        Row::of::<alerts::AlertsOptions>("alerts", false),
        Row::of::<alerts::SmtpOptions>("smtp", false),
        Row::of::<alerts::AlertOptions>("alert", true),
    ]);
    rows
}

/// The section `name` that lies in the one at `path`.
pub fn child<'r>(rows: &'r [Row], path: &str, name: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.below(path) == Some(name))
}

/// The longest line of prose in the sample file.
const WIDTH: usize = 100;

/// An option with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its section: empty for the top of the file; with a number, counted from 1, for those that
    /// are repeated: `plugin 1`.
    pub section: String,
    /// Its name.
    pub key: &'static str,
    /// The value in force, as it would be written; `None`: nothing is set.
    pub value: Option<String>,
    /// Its default.
    pub default: Option<String>,
    /// Which values it can have, such as `from 1s to 1d`; `None`: the sentences say it.
    pub range: Option<String>,
    /// Its meaning, in whole sentences on one line.
    pub about: String,
}

/// Each of these options, beside its default.
pub fn list(section: &str, options: &dyn Options, default: &dyn Options) -> Vec<Listed> {
    let values = options.shown().into_iter().zip(default.shown());
    let listed = |(key, (shown, default)): (&Key, (Shown, Shown))| Listed {
        section: section.into(),
        key: key.name,
        value: shown.value,
        default: default.value,
        range: shown.range,
        about: key.about.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    options.keys().iter().zip(values).map(listed).collect()
}

/// A configuration file that shows every option with its default, or with an example where there is
/// none.
pub fn sample() -> String {
    let mut out = String::new();
    let mut told = false;
    for row in sections() {
        if row.collector {
            if row.options.len() == 1 {
                continue;
            }
            if !told {
                told = true;
                prose(&mut out, "\n", row.options[0].about());
            }
            out.push_str(&format!("\n#{}\n", row.brackets()));
            for (key, shown) in row.options[0].keys().iter().zip(row.options[0].shown()) {
                value(&mut out, key, &shown);
            }
            row.options[1..].iter().for_each(|own| values(&mut out, "", &**own));
            continue;
        }
        for options in &row.options {
            match &*row.path {
                "" => prose(&mut out, "", options.about()),
                _ if row.list => {
                    prose(&mut out, "\n\n", options.about());
                    out.push_str(&format!("#{}\n", row.brackets()));
                }
                _ => {
                    out.push_str(&format!("\n\n{}\n", row.brackets()));
                    prose(&mut out, "", options.about());
                }
            }
            values(&mut out, if row.list { "" } else { "\n" }, &**options);
        }
    }
    out
}

fn prose(out: &mut String, before: &str, about: &str) {
    out.push_str(before);
    for line in about.lines() {
        let _ = writeln!(out, "#{line}");
    }
}

/// Each option with its sentences, its range behind them, and its value; `before` parts them.
fn values(out: &mut String, before: &str, options: &dyn Options) {
    for (key, shown) in options.keys().iter().zip(options.shown()) {
        prose(out, before, key.about);
        if let Some(range) = &shown.range {
            let (first, rest) = range.split_at(1);
            let range = format!(" {}{rest}.", first.to_uppercase());
            let last = key.about.lines().last().unwrap_or_default();
            if "#".len() + last.len() + range.len() <= WIDTH {
                out.truncate(out.len() - "\n".len());
            } else {
                out.push('#');
            }
            let _ = writeln!(out, "{range}");
        }
        value(out, key, &shown);
    }
}

fn value(out: &mut String, key: &Key, shown: &Shown) {
    let value = shown.value.as_deref().unwrap_or(key.example);
    let _ = writeln!(out, "#{} = {value}", key.name);
}
