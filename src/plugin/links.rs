//! plugin: which of the installed plugins are run: links in the plugin folder.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Action, End, Found, Output, Plugin, Runner, Settings, one};
use crate::collect::regular;
use crate::model::Clock;
use crate::wire::munin::is_plugin_name;

/// The part of a plugin that is searched for its capabilities, which are near the top.
const HEAD: u64 = 64 << 10;

/// A link that could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The name of the link.
    pub name: String,
    /// The target of the link.
    pub file: PathBuf,
    /// Whether a plugin of that name is there already.
    pub there: bool,
}

/// All plugins of Munin's library, which can be enabled, in the order of their names.
pub fn installed(settings: &Settings) -> std::io::Result<Vec<PathBuf>> {
    let dir = settings.libdir.join("plugins");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.is_file() && p.file_name().and_then(|n| n.to_str()).is_some_and(is_plugin))
        .collect();
    files.sort();
    Ok(files)
}

fn is_plugin(name: &str) -> bool {
    is_plugin_name(name) && !name.ends_with(".sh") && !name.ends_with(".jar")
}

/// Links a plugin of the library (or any file, by its path) into the plugin folder, under its own
/// name or another. A name that begins like a wildcard plugin (`if_eth0`) links that. Returns the
/// link, or an error that says what to do.
pub fn enable(settings: &Settings, name: &str, as_: Option<&str>) -> Result<PathBuf, String> {
    let dir = folder(settings)?;
    let library = settings.libdir.join("plugins");
    let file = if name.contains('/') {
        std::path::absolute(name).map_err(|e| e.to_string())?
    } else {
        library.join(name)
    };
    let (file, link) = if file.is_file() {
        let own = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        (file, as_.map_or(own, str::to_owned))
    } else {
        let wild = wildcard(settings, name).ok_or_else(|| {
            format!(
                "there is no plugin `{name}` in {}\n  'plimsoll plugin suggest' shows what could be enabled; a path names any file",
                library.display()
            )
        })?;
        (wild, as_.unwrap_or(name).to_owned())
    };
    if file.to_string_lossy().ends_with('_') && link.ends_with('_') {
        return Err(format!(
            "`{link}` is a wildcard plugin: its name must end with its subject, for example {link}eth0\n  'plimsoll plugin suggest' lists them"
        ));
    }
    if !is_plugin_name(&link) {
        return Err(format!(
            "`{link}` is not a name for a plugin; letters, digits, - _ . : and @ are"
        ));
    }
    let place = dir.join(&link);
    if place.symlink_metadata().is_ok() {
        return Err(format!("{} is there already", place.display()));
    }
    std::os::unix::fs::symlink(&file, &place)
        .map_err(|e| format!("{} cannot be made: {e}{}", place.display(), as_root(&e)))?;
    Ok(place)
}

/// The longest wildcard plugin that a name begins with.
fn wildcard(settings: &Settings, name: &str) -> Option<PathBuf> {
    let files = installed(settings).ok()?;
    let start = |f: &PathBuf| {
        let wild = f.file_name()?.to_str()?;
        (wild.ends_with('_') && name.starts_with(wild)).then_some(wild.len())
    };
    files.into_iter().max_by_key(|f| start(f).unwrap_or(0)).filter(|f| start(f).is_some())
}

/// Removes a plugin's link. A file that is not a link stays.
pub fn disable(settings: &Settings, name: &str) -> Result<PathBuf, String> {
    let place = settings.folder().join(name);
    if !is_plugin_name(name) || place.symlink_metadata().is_err() {
        let hint = "'plimsoll plugin list' shows those there are";
        return Err(format!("there is no plugin `{name}`\n  {hint}"));
    }
    let is_link = place.symlink_metadata().is_ok_and(|m| m.file_type().is_symlink());
    if !is_link {
        return Err(format!(
            "{} is a file, not a link: it is not deleted\n  move it elsewhere, or switch it off in the configuration: [[plugin]] with name = \"{name}\" and enabled = false",
            place.display()
        ));
    }
    std::fs::remove_file(&place)
        .map_err(|e| format!("{} cannot be removed: {e}{}", place.display(), as_root(&e)))?;
    Ok(place)
}

fn as_root(e: &std::io::Error) -> &'static str {
    if e.kind() == std::io::ErrorKind::PermissionDenied { "\n  try again with sudo" } else { "" }
}

fn folder(settings: &Settings) -> Result<PathBuf, String> {
    let dir = settings.folder();
    if !dir.is_dir() {
        return Err(format!(
            "there is no folder {}\n  make it, or name another: `dir` in [plugins]",
            dir.display()
        ));
    }
    Ok(dir)
}

/// Asks each installed plugin with autoconf whether it works here, and wildcard plugins for their
/// names, as `munin-node-configure` does. `found` are the plugins that run already.
pub fn suggest(
    settings: &Settings,
    state: &Path,
    host: &str,
    found: &Found,
    clock: &dyn Clock,
) -> Result<Vec<Suggestion>, String> {
    let files = installed(settings).map_err(|e| {
        let dir = settings.libdir.join("plugins");
        format!(
            "{} cannot be read: {e}\n  apt install munin-plugins-core brings plugins",
            dir.display()
        )
    })?;
    let mut asked: Vec<(Plugin, bool)> = Vec::new();
    for file in files {
        let Some(can) = capabilities(&file) else { continue };
        let Ok(plugin) = one(settings, state, host, &file.to_string_lossy()) else { continue };
        // State files from this run are useless.
        let _unused = plugin.prepare();
        asked.push((plugin, can));
    }
    let plugins: Vec<&Plugin> = asked.iter().map(|(p, _)| p).collect();
    let said = all(&plugins, Action::Autoconf, settings.parallel, clock)?;
    let yes = |o: &Output| o.end == End::Exited(0) && o.stdout.trim_ascii().starts_with(b"yes");
    let (mut wild, mut out) = (Vec::new(), Vec::new());
    let there = |name: &str| {
        found.plugins.iter().any(|p| p.name == name) || found.refused.iter().any(|(n, _)| n == name)
    };
    for ((plugin, suggests), _) in asked.iter().zip(&said).filter(|(_, o)| yes(o)) {
        if *suggests {
            wild.push(plugin);
        } else if !plugin.name.ends_with('_') {
            let (name, file) = (plugin.name.clone(), plugin.file.clone());
            out.push(Suggestion { there: there(&name), name, file });
        }
    }
    let said = all(&wild, Action::Suggest, settings.parallel, clock)?;
    for (plugin, output) in wild.iter().zip(said).filter(|(_, o)| o.end == End::Exited(0)) {
        for word in String::from_utf8_lossy(&output.stdout).lines() {
            let name = format!("{}{}", plugin.name, word.trim());
            if name.len() > plugin.name.len() && is_plugin_name(&name) {
                out.push(Suggestion { there: there(&name), name, file: plugin.file.clone() });
            }
        }
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out.dedup();
    Ok(out)
}

/// Whether a plugin can be asked to `autoconf`, and if so whether it suggests names: its magic
/// words, `#%# family=auto` and `#%# capabilities=autoconf suggest`.
fn capabilities(file: &Path) -> Option<bool> {
    let mut text = Vec::new();
    regular::open(file).ok()?.take(HEAD).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let said = |what: &str| {
        text.lines().find_map(|l| {
            let (name, value) = l.trim().strip_prefix("#%#")?.split_once('=')?;
            (name.trim() == what).then(|| value.trim().to_owned())
        })
    };
    let can = said("capabilities")?;
    let has = |word: &str| can.split_whitespace().any(|w| w == word);
    (said("family")? == "auto" && has("autoconf")).then(|| has("suggest"))
}

/// Asks several plugins the same, some at a time; the answers are in the plugins' order.
fn all(
    plugins: &[&Plugin],
    action: Action,
    parallel: usize,
    clock: &dyn Clock,
) -> Result<Vec<Output>, String> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut runner = Runner::new().map_err(|e| e.to_string())?;
    let mut out: Vec<Option<Output>> = vec![None; plugins.len()];
    let (mut next, mut done) = (0, Vec::new());
    while out.iter().any(Option::is_none) {
        while next < plugins.len() && runner.len() < parallel.max(1) {
            if let (Some(plugin), Some(place)) = (plugins.get(next), out.get_mut(next)) {
                *place = runner.start(next, plugin, action, clock.boot_ms()).err();
            }
            next += 1;
        }
        let now = clock.boot_ms();
        let wait = runner.wake(now).map_or(0, |at| (at - now).clamp(0, 60_000));
        let wait = Timespec { tv_sec: wait / 1_000, tv_nsec: wait % 1_000 * 1_000_000 };
        let _woken = poll(&mut [PollFd::new(&runner.fd(), PollFlags::IN)], Some(&wait));
        runner.step(clock.boot_ms(), &mut done);
        for (tag, output) in done.drain(..) {
            if let Some(place) = out.get_mut(tag) {
                *place = Some(output);
            }
        }
    }
    Ok(out.into_iter().flatten().collect())
}
