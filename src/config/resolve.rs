//! config: from sections to settings: defaults filled in, contradictions told. Each section has a
//! file of its own beside this one. Nothing is read from disk here.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::Config;
use super::error::{ConfigError, Mistake};
use super::places::Claim;
use super::raw::Section;
use super::sections::{self, Listed, Row};
use crate::model::Interval;
use crate::model::options::{Given, Limit, Ms, Options, Shape, Value, Wrong, options, quote};

const MINUTE: i64 = 60_000;
pub(super) const DAY: i64 = 1_440 * MINUTE;
pub(super) const YEAR: i64 = 365 * DAY;

options! {
    /// plimsoll.toml: everything that can be set. All of it is optional.
    ///
    /// Every option is shown with its default (or, where there is none, with an example) behind a
    /// #; remove that # to change it. `plimsoll check-config` tells whether the file is right,
    /// `plimsoll reload` (or systemctl reload plimsoll) puts it to use.
    ///
    /// Lengths of time: a number and ms, s, m, h, d, w or y; also 1.5s and 1m30s.
    pub struct TopOptions {
        /// The database. Default: metrics.sqlite in /var/lib/plimsoll as a service, else in the
        /// current folder. As a service it may lie elsewhere only after
        /// `systemctl edit plimsoll` with `[Service]` and `ReadWritePaths=/that/folder`.
        db: Option<Database> = None, like r#""/var/lib/plimsoll/metrics.sqlite""#;
        /// How often to look. Each collector can have its own interval, below.
        interval: Interval = Interval::DEFAULT, like r#""10s""#;
        /// What this machine is called. Default: its host name.
        system: Option<String> = None, in SystemName, like r#""web1""#;
    }
}

/// The path of the database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database(PathBuf);

impl Value for Database {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        match given.text() {
            "" => Err(vec![Wrong::new("there is no path", "remove the line to use the default")]),
            path if path.ends_with('/') => Err(vec![Wrong::new(
                "this is a directory",
                format!("name the file too: `{path}metrics.sqlite`"),
            )]),
            path => Ok(Self(path.into())),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0.to_string_lossy()))
    }
}

/// What this machine may be called.
struct SystemName;

impl Limit<String> for SystemName {
    fn check(&self, name: &String, _: &Given<'_>) -> Vec<Wrong> {
        if name.is_empty() {
            let hint = "remove the line to use the host name";
            return vec![Wrong::new("there is no name", hint)];
        }
        if name.chars().any(char::is_control) || name.len() > 200 {
            let hint = "at most 200 bytes, without control characters";
            return vec![Wrong::new("this is not usable as a name", hint)];
        }
        Vec::new()
    }

    fn range(&self) -> Option<String> {
        None
    }
}

/// What the text means.
pub fn resolve(text: &str, origin: &str) -> Result<Config, ConfigError> {
    read(text, origin).map(|(config, _)| config)
}

/// What the text means, and what every option amounts to.
pub fn read(text: &str, origin: &str) -> Result<(Config, Vec<Listed>), ConfigError> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        return Err(ConfigError::content(origin, text, syntax_mistakes(text, &syntax)));
    }
    let mut mistakes = Vec::new();
    let (mut config, listed) = settings(&table, &sections::sections(), &mut mistakes);
    if !mistakes.is_empty() {
        return Err(ConfigError::content(origin, text, mistakes));
    }
    config.text = text.into();
    Ok((config, listed))
}

/// The settings of an empty file.
pub fn defaults() -> Config {
    let empty = Spanned::new(0..0, DeTable::new());
    settings(&empty, &sections::sections(), &mut Vec::new()).0
}

/// One a line: what follows on a line after the first error is mostly its echo.
fn syntax_mistakes(text: &str, errors: &[toml::de::Error]) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut last_line = None;
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let line = text.as_bytes()[..span.start.min(text.len())].iter().filter(|b| **b == b'\n');
        let line = Some(line.count());
        if line == last_line {
            continue;
        }
        last_line = line;
        let found = text.get(span.clone()).unwrap_or_default();
        let said = error.message();
        let (message, hint) = match said.split_once(", expected ") {
            Some(("string values must be quoted", _)) if found.is_empty() => {
                ("there is no value".into(), "write one behind the =".into())
            }
            Some(("string values must be quoted", _)) => {
                (format!("`{found}` is neither text nor a number"), format!("write \"{found}\""))
            }
            Some((message, expected)) if !expected.is_empty() => {
                (message.into(), format!("expected {expected}"))
            }
            None if said == "duplicate key" => {
                let hint = "it was already set above; remove one of the two".into();
                (format!("`{found}` is set twice"), hint)
            }
            _ => (said.into(), "this is not TOML".into()),
        };
        mistakes.push(Mistake { key: String::new(), message, hint, span });
    }
    mistakes
}

fn settings(
    table: &Spanned<DeTable<'_>>,
    rows: &[Row],
    mistakes: &mut Vec<Mistake>,
) -> (Config, Vec<Listed>) {
    let top = Section::top(rows, table, mistakes);
    let mut r = Resolver { mistakes, listed: Vec::new(), claims: Vec::new() };
    let options: TopOptions = r.fill(Some(&top));
    r.list("", &options);
    let interval = options.interval;
    let (collectors, collect, filter) = r.collect(&top, interval);
    let (queue_ms, limits) = r.store(&top);
    let config = Config {
        source: None,
        text: String::new(),
        db: options.db.map(|db| db.0),
        system: options.system,
        interval,
        alerts: r.alerts(&top),
        bursts: r.bursts(&top, &collectors),
        collectors,
        collect,
        filter,
        http: r.http(&top),
        statsd: r.statsd(&top),
        plugins: r.plugins(&top),
        graphite: r.graphite(&top),
        munin_node: r.munin_node(&top),
        munin_peers: r.munin_peers(&top),
        options: r.plain(&top),
        queue_ms,
        limits,
    };
    r.clashes();
    (config, r.listed)
}

pub(super) struct Resolver<'a> {
    pub(super) mistakes: &'a mut Vec<Mistake>,
    /// Every option so far, with what it amounts to.
    pub(super) listed: Vec<Listed>,
    /// Where what has been read so far is to listen.
    pub(super) claims: Vec<Claim>,
}

impl Resolver<'_> {
    pub(super) fn tell(
        &mut self,
        section: &Section<'_>,
        name: &str,
        span: Range<usize>,
        message: &str,
        hint: impl Into<String>,
    ) {
        let key = section.full(name);
        let message = format!("`{key}`: {message}");
        self.mistakes.push(Mistake { key, message, hint: hint.into(), span });
    }

    /// The options of a section, if it is there, over their defaults.
    pub(super) fn fill<O: Options + Default>(&mut self, section: Option<&Section<'_>>) -> O {
        let mut options = O::default();
        if let Some(section) = section {
            self.set(section, &mut options);
        }
        options
    }

    /// Sets what a section says of these options.
    pub(super) fn set(&mut self, section: &Section<'_>, options: &mut dyn Options) {
        for key in options.keys() {
            let Some(given) = section.given(key.name) else { continue };
            for wrong in options.set(key.name, &given) {
                let span = section.place(key.name, wrong.item);
                self.tell(section, key.name, span, &wrong.message, wrong.hint);
            }
        }
    }

    /// Tells of a length of time that is shorter than another option allows.
    pub(super) fn at_least(&mut self, section: &Section<'_>, name: &str, least: i64) {
        let Some(given) = section.given(name) else { return };
        let Ok(value) = Ms::read(&given) else { return };
        let range = least..=YEAR;
        for wrong in range.check(&value, &given) {
            let hint = Limit::<Ms>::range(&range).unwrap_or_default();
            self.tell(section, name, section.place(name, None), &wrong.message, hint);
        }
    }

    /// The options of all plain sections.
    fn plain(&mut self, top: &Section<'_>) -> Vec<Arc<dyn Options>> {
        let mut all: Vec<Arc<dyn Options>> = Vec::new();
        for (path, make) in sections::PLAIN {
            let (mut options, usual) = (make(), make());
            if let Some(section) = top.section(path, self.mistakes) {
                self.set(&section, &mut *options);
            }
            self.listed.extend(sections::list(path, &*options, &*usual));
            all.push(options.into());
        }
        all
    }

    /// Lists what options amount to.
    pub(super) fn list<O: Options + Default>(&mut self, section: &str, options: &O) {
        self.listed.extend(sections::list(section, options, &O::default()));
    }
}
