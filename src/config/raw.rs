//! config: what may be written in plimsoll.toml: a table of keys, and sections checked against it.
//! Nothing is interpreted here; that is `resolve`.
//!
//! Sections are read off toml's spanned tree and not through serde's derive: serde stops at the
//! first unknown key and at the first wrong type, and a person wants to see all of them at once.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{Mistake, nearest};

/// What kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text in quotes.
    Text,
    /// A list of texts.
    Texts,
    /// A text, or a list of them.
    OneOrMore,
    /// true or false.
    Flag,
    /// A number.
    Number,
    /// A list of numbers.
    Numbers,
    /// `[name]`
    Section,
    /// `[[name]]`
    Sections,
}

/// A key that may be written.
#[derive(Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// A value that is right, for error messages; empty for sections.
    pub example: &'static str,
}

const fn key(name: &'static str, shape: Shape, example: &'static str) -> Key {
    Key { name, shape, example }
}

/// Before the first section.
pub static TOP: &[Key] = &[
    key("db", Shape::Text, r#""/var/lib/plimsoll/metrics.sqlite""#),
    key("interval", Shape::Text, r#""10s""#),
    key("system", Shape::Text, r#""web1""#),
    key("collect", Shape::Section, ""),
    key("http", Shape::Section, ""),
    key("store", Shape::Section, ""),
    key("statsd", Shape::Section, ""),
    key("graphite", Shape::Section, ""),
    key("push", Shape::Section, ""),
    key("plugins", Shape::Section, ""),
    key("plugin", Shape::Sections, ""),
    key("munin_node", Shape::Section, ""),
    key("munin", Shape::Section, ""),
    key("burst", Shape::Sections, ""),
];

/// In `[collect]`, beside one section for each collector.
pub static COLLECT: &[Key] = &[
    key("collectors", Shape::Texts, r#"["loadavg", "meminfo", "filesystem"]"#),
    key("keep", Shape::Texts, r#"["cpu", "memory", "disk_*"]"#),
    key("drop", Shape::Texts, r#"["node_hwmon_*"]"#),
];

const INTERVAL: Key = key("interval", Shape::Text, r#""10s""#);
const ENABLED: Key = key("enabled", Shape::Flag, "false");

/// In `[collect.NAME]` of any collector.
pub static COLLECTOR: &[Key] = &[INTERVAL, ENABLED];

/// In `[collect.filesystem]`.
pub static FILESYSTEM: &[Key] = &[
    INTERVAL,
    ENABLED,
    key("mounts", Shape::Texts, r#"["/", "/srv*"]"#),
    key("exclude_mounts", Shape::Texts, r#"["/media/*"]"#),
    key("exclude_types", Shape::Texts, r#"["nfs*"]"#),
];

/// In `[collect.diskstats]` and `[collect.netdev]`.
pub static DEVICES: &[Key] =
    &[INTERVAL, ENABLED, key("exclude_devices", Shape::Texts, r#"["veth*"]"#)];

/// In `[collect.textfile]`.
pub static TEXTFILE: &[Key] =
    &[INTERVAL, ENABLED, key("dir", Shape::Text, r#""/var/lib/plimsoll/textfile""#)];

/// In `[http]`.
pub static HTTP: &[Key] = &[
    key("listen", Shape::Text, r#""127.0.0.1:1876""#),
    key("hosts", Shape::Texts, r#"["monitor.example.org"]"#),
    key("socket", Shape::Text, r#""/run/plimsoll/http.sock""#),
    key("tls_cert", Shape::Text, r#""/etc/plimsoll/cert.pem""#),
    key("tls_key", Shape::Text, r#""/etc/plimsoll/key.pem""#),
    key("behind_proxy", Shape::Flag, "true"),
];

/// In `[store]`.
pub static STORE: &[Key] = &[
    key("max_size", Shape::Text, r#""1GiB""#),
    key("plain_rows", Shape::Text, r#""64MB""#),
    key("raw", Shape::Text, r#""30d""#),
    key("five_minutes", Shape::Text, r#""400d""#),
    key("hours", Shape::Text, r#""10y""#),
    key("queue", Shape::Text, r#""15m""#),
];

/// In `[graphite]`.
pub static GRAPHITE: &[Key] =
    &[key("listen", Shape::Text, r#""127.0.0.1:2003""#), key("remote", Shape::Flag, "true")];

/// In `[plugins]`.
pub static PLUGINS: &[Key] = &[
    key("enabled", Shape::Flag, "false"),
    key("dir", Shape::Text, r#""/etc/munin/plugins""#),
    key("conf_dir", Shape::Text, r#""/etc/munin/plugin-conf.d""#),
    key("libdir", Shape::Text, r#""/usr/share/munin""#),
    key("interval", Shape::Text, r#""1m""#),
    key("timeout", Shape::Text, r#""10s""#),
    key("parallel", Shape::Number, "8"),
    key("user", Shape::Text, r#""nobody""#),
];

/// In each `[[plugin]]`.
pub static PLUGIN: &[Key] = &[
    key("name", Shape::Text, r#""df""#),
    ENABLED,
    INTERVAL,
    key("timeout", Shape::Text, r#""30s""#),
    key("user", Shape::Text, r#""munin""#),
    key("command", Shape::Texts, r#"["/usr/lib/nagios/plugins/check_load", "-w", "5,4,3"]"#),
    key("kind", Shape::Text, r#""nagios""#),
];

/// In `[munin_node]`.
pub static MUNIN_NODE: &[Key] = &[
    key("listen", Shape::OneOrMore, r#""127.0.0.1:4949""#),
    key("allow", Shape::OneOrMore, r#"["127.0.0.0/8", "::1"]"#),
    key("host_name", Shape::Text, r#""web1.example.org""#),
    key("spool", Shape::Flag, "true"),
    key("tls_cert", Shape::Text, r#""/etc/plimsoll/cert.pem""#),
    key("tls_key", Shape::Text, r#""/etc/plimsoll/key.pem""#),
];

/// In `[munin]`.
pub static MUNIN: &[Key] = &[key("node", Shape::Sections, "")];

/// In each `[[munin.node]]`.
pub static MUNIN_PEER: &[Key] = &[
    key("host", Shape::Text, r#""192.0.2.7:4949""#),
    key("name", Shape::Text, r#""web7""#),
    INTERVAL,
    key("timeout", Shape::Text, r#""10s""#),
    key("tls", Shape::Text, r#""enabled""#),
    key("tls_ca", Shape::Text, r#""/etc/plimsoll/munin-ca.pem""#),
    key("tls_name", Shape::Text, r#""web7""#),
    key("tls_cert", Shape::Text, r#""/etc/plimsoll/cert.pem""#),
    key("tls_key", Shape::Text, r#""/etc/plimsoll/key.pem""#),
];

/// In `[push]`.
pub static PUSH: &[Key] = &[key("max_names", Shape::Number, "20000")];

/// In `[statsd]`.
pub static STATSD: &[Key] = &[
    key("listen", Shape::Text, r#""127.0.0.1:8125""#),
    key("tcp", Shape::Text, r#""127.0.0.1:8125""#),
    key("unix", Shape::Text, r#""/run/plimsoll/statsd.sock""#),
    key("unix_stream", Shape::Text, r#""/run/plimsoll/statsd-stream.sock""#),
    key("remote", Shape::Flag, "true"),
    key("flush", Shape::Text, r#""10s""#),
    key("percentiles", Shape::Numbers, "[50, 90, 99]"),
    key("gauge_ttl", Shape::Text, r#""1h""#),
    key("legacy_names", Shape::Flag, "true"),
    key("receive_buffer", Shape::Text, r#""4MiB""#),
];

/// In each `[[burst]]`.
pub static BURST: &[Key] = &[
    key("when", Shape::Text, r#""cpu > 8""#),
    key("interval", Shape::Text, r#""1s""#),
    key("for", Shape::Text, r#""5m""#),
    key("collectors", Shape::Texts, r#"["loadavg", "cpu"]"#),
];

/// Every section with its keys, as an operator would look for them.
pub static SECTIONS: &[(&str, &[Key])] = &[
    ("", TOP),
    ("collect", COLLECT),
    ("collect.filesystem", FILESYSTEM),
    ("collect.diskstats", DEVICES),
    ("collect.netdev", DEVICES),
    ("collect.textfile", TEXTFILE),
    ("http", HTTP),
    ("store", STORE),
    ("statsd", STATSD),
    ("graphite", GRAPHITE),
    ("push", PUSH),
    ("plugins", PLUGINS),
    ("plugin", PLUGIN),
    ("munin_node", MUNIN_NODE),
    ("munin", MUNIN),
    ("munin.node", MUNIN_PEER),
    ("burst", BURST),
];

/// The keys of one collector's section.
pub fn collector_keys(name: &str) -> &'static [Key] {
    match name {
        "filesystem" => FILESYSTEM,
        "diskstats" | "netdev" => DEVICES,
        "textfile" => TEXTFILE,
        _ => COLLECTOR,
    }
}

/// A value and where it stands in the file.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Bytes from the beginning of the file.
    pub span: Range<usize>,
}

/// A section whose keys are known and whose values have the right shape; what was wrong has been
/// told, and is left out.
pub struct Section<'t> {
    path: String,
    span: Range<usize>,
    table: &'t DeTable<'t>,
    keys: &'static [Key],
    values: Vec<(&'t str, &'t Spanned<DeValue<'t>>)>,
}

impl<'t> Section<'t> {
    /// Checks a table. `names` are further sections that may stand in it, beside `keys`.
    pub fn read(
        path: &str,
        table: &'t Spanned<DeTable<'t>>,
        keys: &'static [Key],
        names: &[&'static str],
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        Self::of(path, table.get_ref(), table.span(), keys, names, mistakes)
    }

    fn of(
        path: &str,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        keys: &'static [Key],
        names: &[&'static str],
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let mut section = Section { path: path.into(), span, table, keys, values: Vec::new() };
        for (name, value) in table {
            let known = keys.iter().find(|k| k.name == &**name.get_ref());
            let (shape, example) = match known {
                Some(key) => (key.shape, key.example),
                None if names.contains(&&**name.get_ref()) => (Shape::Section, ""),
                None => {
                    let span = name.span();
                    mistakes.push(section.unknown(name.get_ref(), value, span, names));
                    continue;
                }
            };
            match misfit(shape, value) {
                None => section.values.push((name.get_ref(), value)),
                Some((span, found)) => {
                    mistakes.push(section.wrong(name.get_ref(), shape, example, span, &found));
                }
            }
        }
        section
    }

    /// The section's own place: where to point when something is missing in it.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The full name of a key in it: `collect.cpu.interval`.
    pub fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    /// Whether a key stands there, right or wrong.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Texts are trimmed: a blank too many is nobody's intention.
    pub fn text(&self, name: &str) -> Option<At<&'t str>> {
        let value = self.get(name, Shape::Text)?;
        value.get_ref().as_str().map(|s| At { value: s.trim(), span: value.span() })
    }

    /// Nothing if the key is absent: an empty list can be meant.
    pub fn texts(&self, name: &str) -> Option<Vec<At<&'t str>>> {
        let list = self.get(name, Shape::Texts)?.get_ref().as_array()?;
        Some(list.iter().filter_map(text).collect())
    }

    /// Nothing if the key is absent: an empty list can be meant.
    pub fn one_or_more(&self, name: &str) -> Option<Vec<At<&'t str>>> {
        let value = self.get(name, Shape::OneOrMore)?;
        match value.get_ref().as_array() {
            Some(list) => Some(list.iter().filter_map(text).collect()),
            None => text(value).map(|one| vec![one]),
        }
    }

    /// true or false, as written.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name, Shape::Flag)?.get_ref().as_bool()
    }

    /// A whole number or one with decimals, as written.
    pub fn number(&self, name: &str) -> Option<At<f64>> {
        let value = self.get(name, Shape::Number)?;
        Some(At { value: number(value.get_ref())?, span: value.span() })
    }

    /// Nothing if the key is absent: an empty list can be meant.
    pub fn numbers(&self, name: &str) -> Option<Vec<At<f64>>> {
        let list = self.get(name, Shape::Numbers)?.get_ref().as_array()?;
        let item =
            |v: &Spanned<DeValue<'t>>| Some(At { value: number(v.get_ref())?, span: v.span() });
        Some(list.iter().filter_map(item).collect())
    }

    /// A section in this one. `names` as in [`Section::read`].
    pub fn section(
        &self,
        name: &str,
        keys: &'static [Key],
        names: &[&'static str],
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Section<'t>> {
        let (_, value) = self.values.iter().find(|(n, _)| *n == name)?;
        let table = value.get_ref().as_table()?;
        Some(Self::of(&self.full(name), table, value.span(), keys, names, mistakes))
    }

    /// The sections of a list.
    pub fn sections(
        &self,
        name: &str,
        keys: &'static [Key],
        mistakes: &mut Vec<Mistake>,
    ) -> Vec<Section<'t>> {
        let Some(list) = self.get(name, Shape::Sections).and_then(|v| v.get_ref().as_array())
        else {
            return Vec::new();
        };
        let path = self.full(name);
        list.iter()
            .filter_map(|v| Some((v.get_ref().as_table()?, v.span())))
            .map(|(table, span)| Self::of(&path, table, span, keys, &[], mistakes))
            .collect()
    }

    fn get(&self, name: &str, shape: Shape) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert!(
            self.keys.iter().any(|k| k.name == name && k.shape == shape),
            "{} is not in the table of keys",
            self.full(name)
        );
        self.values.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }

    fn unknown(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        span: Range<usize>,
        names: &[&'static str],
    ) -> Mistake {
        let is_table = value.get_ref().is_table();
        let what = if is_table && !names.is_empty() {
            "collector"
        } else if is_table && self.path.is_empty() {
            "section"
        } else {
            "key"
        };
        let here = || self.keys.iter().map(|k| k.name).chain(names.iter().copied());
        let hint = if let Some(better) = nearest(name, here()) {
            format!("did you mean `{better}`?")
        } else if let Some((section, _)) =
            SECTIONS.iter().find(|(_, keys)| keys.iter().any(|k| k.name == name))
        {
            match *section {
                "" => "this belongs at the top of the file, before the first [section]".into(),
                "burst" => "this belongs in a `[[burst]]`".into(),
                "plugin" => "this belongs in a `[[plugin]]`".into(),
                "munin.node" => "this belongs in a `[[munin.node]]`".into(),
                section => format!("this belongs in `[{section}]`"),
            }
        } else {
            format!("known here: {}", here().collect::<Vec<_>>().join(", "))
        };
        let place = match &*self.path {
            "" => String::new(),
            "burst" => " in `[[burst]]`".into(),
            "plugin" => " in `[[plugin]]`".into(),
            "munin.node" => " in `[[munin.node]]`".into(),
            path => format!(" in `[{path}]`"),
        };
        let message = format!("unknown {what} `{name}`{place}");
        Mistake { key: self.full(name), message, hint, span }
    }

    fn wrong(
        &self,
        name: &str,
        shape: Shape,
        example: &str,
        span: Range<usize>,
        found: &str,
    ) -> Mistake {
        let full = self.full(name);
        let (wanted, hint) = match shape {
            Shape::Text => ("text in quotes", format!("for example `{name} = {example}`")),
            Shape::Texts => ("a list of texts", format!("for example `{name} = {example}`")),
            Shape::OneOrMore => {
                ("text in quotes or a list of texts", format!("for example `{name} = {example}`"))
            }
            Shape::Flag => ("true or false", format!("for example `{name} = {example}`")),
            Shape::Number => ("a number", format!("for example `{name} = {example}`")),
            Shape::Numbers => ("a list of numbers", format!("for example `{name} = {example}`")),
            Shape::Section => ("a section", format!("write `[{full}]` and its keys below")),
            Shape::Sections => {
                ("a list of sections", format!("write `[[{full}]]` and its keys below"))
            }
        };
        let message = format!("`{full}` must be {wanted}, {found}");
        Mistake { key: full, message, hint, span }
    }
}

fn text<'t>(value: &'t Spanned<DeValue<'t>>) -> Option<At<&'t str>> {
    value.get_ref().as_str().map(|s| At { value: s.trim(), span: value.span() })
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        // Hexadecimal and underscores are toml's affair; it has checked the digits.
        DeValue::Integer(i) => {
            i64::from_str_radix(i.as_str(), i.radix()).ok().map(|whole| whole as f64)
        }
        DeValue::Float(f) => f.as_str().parse().ok(),
        _ => None,
    }
}

/// What does not have the shape, and where.
fn misfit(shape: Shape, value: &Spanned<DeValue<'_>>) -> Option<(Range<usize>, String)> {
    let odd = |list: &DeArray<'_>, fits: fn(&DeValue<'_>) -> bool| {
        let odd = list.iter().find(|v| !fits(v.get_ref()))?;
        Some((odd.span(), format!("there is {} in it", called(odd.get_ref()))))
    };
    match (shape, value.get_ref()) {
        (Shape::Text | Shape::OneOrMore, DeValue::String(_))
        | (Shape::Flag, DeValue::Boolean(_))
        | (Shape::Number, DeValue::Integer(_) | DeValue::Float(_))
        | (Shape::Section, DeValue::Table(_)) => None,
        (Shape::Texts | Shape::OneOrMore, DeValue::Array(list)) => odd(list, |v| v.is_str()),
        (Shape::Numbers, DeValue::Array(list)) => odd(list, |v| number(v).is_some()),
        (Shape::Sections, DeValue::Array(list)) => odd(list, |v| v.is_table()),
        (_, other) => Some((value.span(), format!("this is {}", called(other)))),
    }
}

fn called(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
