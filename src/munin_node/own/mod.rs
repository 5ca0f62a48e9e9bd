//! munin_node: the values of plimsoll's own collectors in the form of Munin's plugins: the same
//! fields of the same types, so that a master continues its graphs. Text and numbers only; no
//! sockets, no store.

mod disks;
mod filesystems;
mod interfaces;
mod tables;

use std::fmt::Write;
use std::path::Path;

pub(super) use disks::History;

use super::picture::Picture;
use tables::PLAIN;

/// The data that answers need.
pub(super) struct Own<'a> {
    pub(super) picture: Picture<'a>,
    /// `/sys`: an interface's speed, a disk's other name.
    pub(super) sys: &'a Path,
    /// The counts of disks at earlier requests.
    pub(super) disks: &'a mut History,
}

/// A plugin without parts that come and go.
struct Plain {
    name: &'static str,
    /// The lines about the graph, without `graph_`.
    graph: &'static [&'static str],
    fields: &'static [Field],
}

/// A field of a plugin.
struct Field {
    name: &'static str,
    /// Its attributes, each with its word.
    about: &'static [&'static str],
    /// Whether it is a counter: those are whole numbers for RRD.
    counter: bool,
    /// Its value, see [`Picture::one`].
    value: fn(&Picture<'_>) -> Option<f64>,
}

/// A number in RRD's form; an unknown one is `U`.
fn number(value: f64, counter: bool) -> String {
    if !value.is_finite() {
        "U".to_owned()
    } else if counter {
        format!("{:.0}", value.max(0.0))
    } else {
        format!("{value}")
    }
}

fn put(out: &mut String, field: &str, value: f64, counter: bool) {
    let _unused = writeln!(out, "{field}.value {}", number(value, counter));
}

fn lines(out: &mut String, before: &str, lines: &[&str]) {
    for line in lines {
        let _unused = writeln!(out, "{before}{line}");
    }
}

impl Own<'_> {
    /// Those for which this machine has anything.
    pub(super) fn names(&self) -> Vec<String> {
        let has = |p: &&Plain| p.fields.iter().any(|f| (f.value)(&self.picture).is_some());
        let mut out: Vec<String> = PLAIN.iter().filter(has).map(|p| p.name.to_owned()).collect();
        filesystems::names(&self.picture, &mut out);
        interfaces::names(&self.picture, &mut out);
        disks::names(&self.picture, &mut out);
        out.sort();
        out
    }

    /// The answer to `config`; `None` if there is no such plugin.
    pub(super) fn config(&self, name: &str) -> Option<String> {
        let mut out = String::new();
        if let Some(plain) = PLAIN.iter().find(|p| p.name == name) {
            lines(&mut out, "graph_", plain.graph);
            tables::config_more(name, &self.picture, &mut out);
            let mut any = false;
            for field in plain.fields.iter().filter(|f| (f.value)(&self.picture).is_some()) {
                lines(&mut out, &format!("{}.", field.name), field.about);
                any = true;
            }
            return any.then_some(out);
        }
        let found = filesystems::config(&self.picture, name, &mut out)
            || interfaces::config(&self.picture, self.sys, name, &mut out)
            || disks::config(&self.picture, self.sys, name, &mut out);
        found.then_some(out)
    }

    /// The values; `None` if there is no such plugin.
    pub(super) fn values(&mut self, name: &str) -> Option<String> {
        let mut out = String::new();
        if let Some(plain) = PLAIN.iter().find(|p| p.name == name) {
            for field in plain.fields {
                if let Some(value) = (field.value)(&self.picture) {
                    put(&mut out, field.name, value, field.counter);
                }
            }
            return (!out.is_empty()).then_some(out);
        }
        let found = filesystems::values(&self.picture, name, &mut out)
            || interfaces::values(&self.picture, self.sys, name, &mut out)
            || disks::values(&self.picture, self.sys, self.disks, name, &mut out);
        found.then_some(out)
    }
}

#[cfg(test)]
mod tests;
