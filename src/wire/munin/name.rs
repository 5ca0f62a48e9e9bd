//! wire: names: which files are plugins, how a field is called, which series it is.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::model::{Identity, Labels};

/// The job of every series that a plugin brings.
pub const JOB: &str = "munin";

/// Whether a file of this name can be a plugin: `[-\w@.:]+`, no dotfile, no `*.conf`; and none of
/// the copies that editors and dpkg leave behind.
pub fn is_plugin_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_@.:".contains(c);
    let left = [".conf", ".bak", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".swp"];
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name.chars().all(fits)
        && !left.iter().any(|end| name.ends_with(end))
}

/// A field's name as Munin takes it: `[A-Za-z_][A-Za-z0-9_]*`; each other character becomes `_`.
pub fn clean_field(name: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !digit && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    let mut out: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if digit {
        out.replace_range(..1, "_");
    }
    Cow::Owned(out)
}

/// Names of fields for a master, clean and each another. Each comes with the text that it was made of:
/// of names that are alike once clean the first keeps that one, and each other one gets a number made
/// of its text behind it.
pub fn clean_fields<'a>(names: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let (mut taken, mut out) = (HashSet::new(), Vec::new());
    for (name, text) in names {
        let mut clean = clean_field(name).into_owned();
        let mut number = crc32fast::hash(text.as_bytes());
        while !taken.insert(clean.clone()) {
            clean = format!("{}_{:04x}", clean_field(name), number & 0xffff);
            number = number.wrapping_add(1);
        }
        out.push(clean);
    }
    out
}

/// The series of a field: `munin_<plugin>{field="…"}`. A graph of a multigraph adds `graph`, unless
/// it has the name of the plugin. If the plugin's name is not allowed in a metric (`if_eth0.100`),
/// the label `plugin` has the full name, so that no two plugins share a series.
pub fn identity(plugin: &str, graph: &str, field: &str) -> Identity {
    let mut name = String::with_capacity(6 + plugin.len());
    name.push_str("munin_");
    name.extend(plugin.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    let mut labels = vec![("field", field)];
    if graph != plugin {
        labels.push(("graph", graph));
    }
    if name.get(6..) != Some(plugin) {
        labels.push(("plugin", plugin));
    }
    Identity::local(JOB, &name, Labels::new(labels))
}
