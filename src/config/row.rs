//! config: a row of the table of sections: a section with its options; and an option with what it
//! amounts to.

use crate::model::options::{Key, Options, Shown};

/// A section of the file.
pub struct Row {
    /// Its name: empty for the top of the file, `collect.cpu`, `munin.node`.
    pub path: String,
    /// Whether it may be repeated: `[[plugin]]`.
    pub list: bool,
    /// Whether it is one collector's. The first of its options are then those of all collectors.
    pub collector: bool,
    /// Its options, at their defaults.
    pub options: Vec<Box<dyn Options>>,
}

impl Row {
    /// A section with one set of options.
    pub fn of<O: Options + Default>(path: &str, list: bool) -> Self {
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

/// The section `name` that lies in the one at `path`.
pub fn child<'r>(rows: &'r [Row], path: &str, name: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.below(path) == Some(name))
}

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
pub fn listed(section: &str, options: &dyn Options, default: &dyn Options) -> Vec<Listed> {
    let values = options.shown().into_iter().zip(default.shown());
    let one = |(key, (shown, default)): (&Key, (Shown, Shown))| Listed {
        section: section.into(),
        key: key.name,
        value: shown.value,
        default: default.value,
        range: shown.range,
        about: key.about.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    options.keys().iter().zip(values).map(one).collect()
}
