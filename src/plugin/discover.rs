//! plugin: finds the plugins: the files in the plugin folders and those of the configuration, each
//! with its settings. Files that must not run are listed with the reason.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::{Kind, Said, Settings};
use crate::collect::regular;
use crate::model::Interval;
use crate::wire::munin::{PluginSettings, SettingsFile, is_plugin_name};

/// The PATH of all plugins, independent of plimsoll's own.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// The address of the master that plugins are told; their state files are named after it.
const MASTER: &str = "127.0.0.1";
/// A file in plugin-conf.d that is larger was not written by a person.
const MAX_CONF: u64 = 1 << 20;

/// A plugin, ready to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its name: that of its file, or the one in the configuration.
    pub name: String,
    /// The file in the plugin folder; for one with a command, the program.
    pub file: PathBuf,
    /// The program to run.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<String>,
    /// The kind of program; `None` if it is not known yet.
    pub kind: Option<Kind>,
    /// The user it runs as.
    pub account: Account,
    /// How long it may take, in ms.
    pub timeout_ms: i64,
    /// The interval; `None` for the plugin's own.
    pub interval: Option<Interval>,
    /// The complete environment.
    pub env: Vec<(String, String)>,
    /// The host that its values are of; nothing: this machine.
    pub host: Option<String>,
}

/// The plugins of this machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The plugins, in the order of their names.
    pub plugins: Vec<Plugin>,
    /// Plugins that do not run, with the reason, in the order of their names.
    pub refused: Vec<(String, String)>,
    /// Lines of plugin-conf.d that were not understood (file, line and reason in one text), and
    /// users who cannot reach the state of their plugins.
    pub faults: Vec<String>,
}

/// All plugins to run. `state` is the folder for their state; `host` is this machine's name.
pub fn find(settings: &Settings, state: &Path, host: &str) -> Found {
    let mut found = Found::default();
    let nothing = settings.said.is_empty() && !settings.folder().exists();
    if !settings.enabled || nothing {
        return found;
    }
    let conf = read_conf(settings, &mut found.faults);
    let dir = settings.folder();
    // A missing folder has no plugins; an unreadable one is reported.
    let entries = match std::fs::read_dir(&dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            found.refused.push((dir.display().to_string(), format!("it cannot be read: {e}")));
            None
        }
        entries => entries.ok(),
    };
    for entry in entries.into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let said = settings.said.iter().find(|s| s.name == name);
        if !is_plugin_name(&name) || said.is_some_and(|s| !s.enabled || !s.command.is_empty()) {
            continue;
        }
        let said = said.cloned().unwrap_or_default();
        match make(&name, &entry.path(), &said, &conf, settings, state, host) {
            Ok(plugin) => found.plugins.push(plugin),
            Err(why) => found.refused.push((name, why)),
        }
    }
    for said in settings.said.iter().filter(|s| s.enabled && !s.command.is_empty()) {
        let program = said.command.first().map(PathBuf::from).unwrap_or_default();
        match make(&said.name, &program, said, &conf, settings, state, host) {
            Ok(plugin) => found.plugins.push(plugin),
            Err(why) => found.refused.push((said.name.clone(), why)),
        }
    }
    found.plugins.sort_by(|a, b| a.name.cmp(&b.name));
    found.refused.sort();
    let shut_out = |p: &Plugin| {
        let (who, folder) = (&p.account.name, p.account.stopped_at(state)?.display());
        Some(format!(
            "{who}, as whom plugins run, may not enter {folder}, where the database is: those that keep \
             something between runs will fail; put it elsewhere with --db, or run 'plimsoll install'"
        ))
    };
    let shut_out: BTreeSet<String> = found.plugins.iter().filter_map(shut_out).collect();
    found.faults.extend(shut_out);
    found
}

/// One plugin, by its name among those of [`find`], by a file of Munin's library, or by a path.
pub fn one(settings: &Settings, state: &Path, host: &str, name: &str) -> Result<Plugin, String> {
    let mut found = find(&Settings { enabled: true, ..settings.clone() }, state, host);
    if let Some(at) = found.plugins.iter().position(|p| p.name == name) {
        return Ok(found.plugins.swap_remove(at));
    }
    if let Some((_, why)) = found.refused.into_iter().find(|(n, _)| n == name) {
        return Err(why);
    }
    let path = Path::new(name);
    let file = if name.contains('/') {
        std::path::absolute(path).map_err(|e| e.to_string())?
    } else {
        settings.libdir.join("plugins").join(name)
    };
    if !file.exists() {
        return Err(format!(
            "there is no plugin `{name}`\n  'plimsoll plugin list' shows those there are; a path names any file"
        ));
    }
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let said = settings.said.iter().find(|s| s.name == name).cloned().unwrap_or_default();
    let conf = read_conf(settings, &mut Vec::new());
    make(&name, &file, &said, &conf, settings, state, host)
}

fn read_conf(settings: &Settings, faults: &mut Vec<String>) -> SettingsFile {
    let mut conf = SettingsFile::default();
    for dir in &settings.conf_dirs {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.sort();
        for file in files {
            let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let left = [".dpkg-old", ".dpkg-new", ".dpkg-dist", ".bak", ".rpmnew", "~"];
            if name.starts_with('.') || left.iter().any(|end| name.ends_with(end)) {
                continue;
            }
            match regular::read_text(&file, MAX_CONF) {
                // Packages keep further files in folders beside these.
                Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => {}
                Ok(text) => {
                    let wrong = conf.read(&text);
                    let shown = file.display();
                    faults
                        .extend(wrong.iter().map(|f| format!("{shown}:{}: {}", f.line, f.reason)));
                }
                Err(e) => faults.push(format!("{}: {e}", file.display())),
            }
        }
    }
    conf
}

fn make(
    name: &str,
    file: &Path,
    said: &Said,
    conf: &SettingsFile,
    settings: &Settings,
    state: &Path,
    host: &str,
) -> Result<Plugin, String> {
    is_safe(file)?;
    let conf = conf.of(name);
    let user = said.user.as_deref().or(conf.user.as_deref());
    let account = Account::resolve(user, conf.groups.as_deref(), &settings.user)?;
    let (program, arguments) = match (&conf.command, said.command.get(1..)) {
        (_, Some(arguments)) => (file.to_owned(), arguments.to_vec()),
        (Some(words), None) => {
            let shown = file.display().to_string();
            let mut words = words.iter().map(|w| w.replace("%c", &shown));
            (words.next().unwrap_or_default().into(), words.collect())
        }
        (None, None) => (file.to_owned(), Vec::new()),
    };
    let is_check = |name: &str| name.starts_with("check_");
    let check =
        is_check(name) || program.file_name().and_then(|n| n.to_str()).is_some_and(is_check);
    let kind = match said.kind {
        None if check => Some(Kind::Nagios),
        None if !said.command.is_empty() => Some(Kind::Simple),
        kind => kind,
    };
    let timeout_ms = said.timeout_ms.or(conf.timeout.map(|s| s as i64 * 1_000));
    Ok(Plugin {
        name: name.to_owned(),
        file: file.to_owned(),
        program,
        arguments,
        kind,
        timeout_ms: timeout_ms.unwrap_or(settings.timeout_ms),
        interval: said.interval.or(conf.update_rate.and_then(Interval::from_ms)),
        env: environment(name, &conf, &account, settings, state, host),
        host: conf.host_name.filter(|h| h != host),
        account,
    })
}

/// Checks that no other user can write to the program or replace it: such a user would have the
/// rights of the plugin.
fn is_safe(file: &Path) -> Result<(), String> {
    let real = file.canonicalize().map_err(|e| format!("{} leads nowhere: {e}", file.display()))?;
    let own = rustix::process::geteuid().as_raw();
    let meta = std::fs::metadata(&real).map_err(|e| format!("{}: {e}", real.display()))?;
    regular::check(meta.file_type()).map_err(|e| match file == real {
        true => format!("{}: {e}; remove it", file.display()),
        false => format!("{} leads to {}: {e}; remove the link", file.display(), real.display()),
    })?;
    // A file elsewhere may have its mode for good reasons, and may not even be a program. So no
    // change of it is advised.
    let told = |path: &Path, what: &str, how: &str| {
        let shown = path.display();
        if file.parent().is_some_and(|folder| path == folder || path.parent() == Some(folder)) {
            return Err(format!("{shown} {what}; change that with: {how} {shown}"));
        }
        Err(format!(
            "{shown} {what}, and {} leads there; if it is to run, copy it into a folder that only root \
             can change, make it executable there, and link that",
            file.display()
        ))
    };
    let dirs = [file.parent(), real.parent()];
    for path in std::iter::once(&*real).chain(dirs.into_iter().flatten()) {
        let meta = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
        if ![0, own].contains(&meta.uid()) {
            return told(path, "belongs neither to root nor to plimsoll's user", "chown root");
        }
        // In a sticky folder users cannot replace the files of others.
        let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
        if meta.mode() & 0o022 != 0 && !sticky {
            return told(path, "can be changed by others than its owner", "chmod go-w");
        }
    }
    if meta.mode() & 0o111 == 0 {
        return told(&real, "is not executable", "chmod +x");
    }
    Ok(())
}

fn environment(
    name: &str,
    conf: &PluginSettings,
    account: &Account,
    settings: &Settings,
    state: &Path,
    host: &str,
) -> Vec<(String, String)> {
    let state = state.join(account.name.replace('/', "_"));
    let host = conf.host_name.as_deref().unwrap_or(host);
    let path = |p: &Path| p.to_string_lossy().into_owned();
    let mut env = vec![
        ("PATH".to_owned(), PATH.to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
        ("FQDN".to_owned(), host.to_owned()),
        ("MUNIN_CAP_DIRTYCONFIG".to_owned(), "1".to_owned()),
        ("MUNIN_CAP_MULTIGRAPH".to_owned(), "1".to_owned()),
        ("MUNIN_DEBUG".to_owned(), "0".to_owned()),
        ("MUNIN_LIBDIR".to_owned(), path(&settings.libdir)),
        ("MUNIN_MASTER_IP".to_owned(), MASTER.to_owned()),
        ("MUNIN_PLUGSTATE".to_owned(), path(&state)),
        ("MUNIN_STATEFILE".to_owned(), path(&state.join(format!("{name}-{MASTER}")))),
    ];
    env.extend(conf.env.iter().map(|(n, v)| (n.clone(), v.clone())));
    env
}

impl Plugin {
    /// Makes the folder for the plugin's state, which only its user can write.
    pub fn prepare(&self) -> std::io::Result<()> {
        let Some((_, state)) = self.env.iter().find(|(n, _)| n == "MUNIN_PLUGSTATE") else {
            return Ok(());
        };
        let state = Path::new(state);
        if state.is_dir() {
            return Ok(());
        }
        if let Some(all) = state.parent().filter(|all| !all.is_dir()) {
            // A folder that root makes by hand must be usable by the daemon.
            let of = all.parent().and_then(|p| std::fs::metadata(p).ok());
            make_folder(all, of.map(|m| (m.uid(), m.gid())), 0o755)?;
        }
        let owner = self.account.switch.as_ref().map(|(u, g, _)| (u.as_raw(), g.as_raw()));
        make_folder(state, owner, 0o750)
    }
}

/// Makes one folder with this mode, whatever the umask, and gives it to its owner if allowed. It
/// works on a descriptor and follows no link, because the folders above may belong to others.
fn make_folder(path: &Path, owner: Option<(u32, u32)>, mode: u32) -> std::io::Result<()> {
    use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, open};
    std::fs::create_dir(path)?;
    let how = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let folder = open(path, how, Mode::empty())?;
    fchmod(&folder, Mode::from_raw_mode(mode))?;
    if let Some((uid, gid)) = owner.filter(|_| super::account::may_switch()) {
        fchown(&folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(())
}
