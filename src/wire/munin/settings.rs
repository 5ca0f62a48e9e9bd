//! wire: plugin-conf.d: how plugins are run. Files are read elsewhere, in the order of their names.

use std::collections::BTreeMap;

use crate::wire::shown;

/// A line of a settings file that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The fault.
    pub reason: String,
}

/// The sections of one settings file, or of several.
#[derive(Debug, Clone, Default)]
pub struct SettingsFile {
    /// The sections by the name between the brackets.
    sections: BTreeMap<String, PluginSettings>,
}

/// The settings of a plugin; `None` where a file names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginSettings {
    /// The user: a name or a number.
    pub user: Option<String>,
    /// The groups; the first is the primary one. True: the group is optional.
    pub groups: Option<Vec<(String, bool)>>,
    /// The words of the command that is run in its place; `%c` among them is the plugin's file.
    pub command: Option<Vec<String>>,
    /// The host that its values are of.
    pub host_name: Option<String>,
    /// How long it may take, in seconds.
    pub timeout: Option<u64>,
    /// How often it is asked, in ms.
    pub update_rate: Option<i64>,
    /// Additions to its environment.
    pub env: BTreeMap<String, String>,
}

impl PluginSettings {
    /// Fills settings that are missing here from another section.
    fn fill(&mut self, from: &PluginSettings) {
        let Self { user, groups, command, host_name, timeout, update_rate, env } = self;
        *user = user.take().or_else(|| from.user.clone());
        *groups = groups.take().or_else(|| from.groups.clone());
        *command = command.take().or_else(|| from.command.clone());
        *host_name = host_name.take().or_else(|| from.host_name.clone());
        *timeout = timeout.or(from.timeout);
        *update_rate = update_rate.or(from.update_rate);
        for (name, value) in &from.env {
            env.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

impl SettingsFile {
    /// Reads one more file. Its settings override earlier ones of the same section.
    pub fn read(&mut self, text: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut section: Option<String> = None;
        for (at, line) in text.lines().enumerate() {
            let line = without_comment(line);
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let mut fault = |reason: String| faults.push(Fault { line: at + 1, reason });
            if let Some(name) = line.strip_prefix('[') {
                let name = name.strip_suffix(']').map(str::trim).filter(|n| is_section(n));
                section = name.map(str::to_owned);
                match name {
                    Some(name) => drop(self.sections.entry(name.to_owned()).or_default()),
                    None => fault(format!(
                        "`{}` names no plugin; a * may stand at one end",
                        shown(line)
                    )),
                }
                continue;
            }
            let Some(name) = &section else {
                fault("the line is before the first [plugin]".to_owned());
                continue;
            };
            let settings = self.sections.entry(name.clone()).or_default();
            if let Err(reason) = setting(settings, line) {
                fault(reason);
            }
        }
        faults
    }

    /// The settings of this plugin: those of its own section, then those of the longest matching
    /// pattern, patterns with the * at their end first.
    pub fn of(&self, plugin: &str) -> PluginSettings {
        let mut out = self.sections.get(plugin).cloned().unwrap_or_default();
        let mut fitting: Vec<(bool, usize, &PluginSettings)> = (self.sections.iter())
            .filter_map(|(name, settings)| {
                if let Some(start) = name.strip_suffix('*') {
                    return plugin.starts_with(start).then_some((true, name.len(), settings));
                }
                let end = name.strip_prefix('*')?;
                plugin.ends_with(end).then_some((false, name.len(), settings))
            })
            .collect();
        fitting.sort_by_key(|(trailing, length, _)| std::cmp::Reverse((*trailing, *length)));
        for (_, _, settings) in fitting {
            out.fill(settings);
        }
        out
    }
}

/// The line up to the first `#` without a backslash before it; backslashes before `#` are removed.
fn without_comment(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'#') => {
                out.push('#');
                chars.next();
            }
            '#' => break,
            c => out.push(c),
        }
    }
    out
}

fn is_section(name: &str) -> bool {
    let inside = name.strip_suffix('*').or_else(|| name.strip_prefix('*')).unwrap_or(name);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_@.:".contains(c);
    !name.is_empty() && inside.chars().all(fits)
}

/// The settings besides the environment.
const KNOWN: [&str; 6] = ["user", "group", "command", "host_name", "timeout", "update_rate"];

fn setting(settings: &mut PluginSettings, line: &str) -> Result<(), String> {
    let (name, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let value = value.trim();
    // Old files are written like this: env NAME=value.
    if let Some((name, value)) = value.split_once('=').filter(|_| name == "env") {
        return environment(settings, name.trim(), value.trim());
    }
    if let Some(name) = name.strip_prefix("env.") {
        return environment(settings, name, value);
    }
    if value.is_empty() {
        // If a line was broken in two, this may be half a password.
        let known = KNOWN.contains(&name);
        let name = if known { shown(name) } else { "…".to_owned() };
        return Err(format!("`{name}` has no value"));
    }
    match name {
        "user" => settings.user = Some(value.to_owned()),
        "group" => settings.groups = Some(groups(value)?),
        "command" => {
            settings.command = Some(value.split_whitespace().map(str::to_owned).collect());
        }
        "host_name" => settings.host_name = Some(value.to_owned()),
        "timeout" => {
            let seconds = value.parse().ok().filter(|s| (1..=3_600).contains(s));
            let say = || format!("`{}` is not a number of seconds from 1 to 3600", shown(value));
            settings.timeout = Some(seconds.ok_or_else(say)?);
        }
        "update_rate" => {
            let say = || format!("`{}` is not a rate; say for example 60 or 1m", shown(value));
            settings.update_rate = Some(super::update_rate(value).ok_or_else(say)?);
        }
        name => return Err(format!("unknown setting `{}`", shown(name))),
    }
    Ok(())
}

fn environment(settings: &mut PluginSettings, name: &str, value: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || !name.chars().all(fits) || value.contains('\0') {
        // The text after the name may be a password in shell syntax.
        let name = name.split(['=', ':']).next().unwrap_or_default();
        return Err(format!(
            "what begins with `{}` is not a name for the environment",
            shown(name)
        ));
    }
    settings.env.insert(name.to_owned(), value.to_owned());
    Ok(())
}

/// `adm, (optional)`
fn groups(text: &str) -> Result<Vec<(String, bool)>, String> {
    let one = |word: &str| {
        let inside = word.strip_prefix('(').and_then(|w| w.strip_suffix(')'));
        match inside.unwrap_or(word).trim() {
            "" => Err(format!("`{}` names no group", shown(text))),
            name => Ok((name.to_owned(), inside.is_some())),
        }
    };
    text.split(',').map(|word| one(word.trim())).collect()
}
