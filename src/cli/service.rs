//! cli: the common part of `install` and `uninstall`: paths, and steps that are first planned, then
//! shown or done. Planning changes nothing, so `--dry-run` shows exactly the steps.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::config::{Config, DEFAULT_PATH};

/// The service's unit; the only copy.
pub const UNIT: &str = include_str!("../../contrib/systemd/plimsoll.service");

/// The service's user and group.
pub const USER: &str = "plimsoll";
/// Its name for systemctl.
pub const SERVICE: &str = "plimsoll.service";
/// The path of the binary; the unit has the same.
pub const BINARY: &str = "/usr/local/bin/plimsoll";
/// The path of the unit.
pub const UNIT_PATH: &str = "/etc/systemd/system/plimsoll.service";
/// The folder of changes by `systemctl edit`.
pub const DROP_INS: &str = "/etc/systemd/system/plimsoll.service.d";
/// The path of the configuration.
pub const CONFIG: &str = DEFAULT_PATH;
/// The unit's StateDirectory.
pub const STATE: &str = "/var/lib/plimsoll";

/// The paths of a package; plimsoll then belongs to the package manager.
const PACKAGED: [&str; 2] =
    ["/usr/lib/systemd/system/plimsoll.service", "/lib/systemd/system/plimsoll.service"];

/// The machine for which is planned.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The prefix of all paths.
    pub root: PathBuf,
    /// Whether commands are run: on the running system, not in a directory that is to become one.
    pub commands: bool,
    /// The binary that is to be installed.
    pub exe: PathBuf,
    /// Whether this process may do it.
    pub is_root: bool,
    /// Whether systemd runs the machine.
    pub systemd: bool,
    /// Whether the service's user exists.
    pub user: bool,
}

impl Machine {
    /// This one, or a directory that is to become one.
    pub fn this(root: Option<&Path>) -> anyhow::Result<Self> {
        let exe = std::env::current_exe().context("cannot find the running binary")?;
        let Some(root) = root.filter(|root| *root != Path::new("/")) else {
            let id = Command::new("id").args(["-u", USER]).output();
            return Ok(Self {
                root: "/".into(),
                commands: true,
                exe,
                is_root: rustix::process::geteuid().is_root(),
                // The path that sd_booted(3) checks.
                systemd: Path::new("/run/systemd/system").is_dir(),
                user: id.is_ok_and(|out| out.status.success()),
            });
        };
        let root = root.into();
        Ok(Self { root, commands: false, exe, is_root: true, systemd: true, user: true })
    }

    /// A path of the machine as seen from here.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether something is there, be it a link that leads nowhere.
    pub fn has(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// Whether the service's unit is there, from `install` or from a package.
    pub fn has_unit(&self) -> bool {
        PACKAGED.iter().chain([&UNIT_PATH]).any(|unit| self.has(unit))
    }

    /// Refuses to work as another user than root, or on files of a package.
    pub fn check(&self, verb: &str, dry_run: bool) -> anyhow::Result<()> {
        if let Some(unit) = PACKAGED.iter().find(|unit| self.has(unit)) {
            bail!(
                "plimsoll came as a package here ({}); use the package manager, for example: \
                 sudo apt {} plimsoll",
                self.at(unit).display(),
                if verb == "install" { "install --only-upgrade" } else { "remove" },
            );
        }
        if !self.is_root && !dry_run {
            let installed = self.exe == Path::new(BINARY);
            let exe = if installed { "plimsoll".into() } else { self.exe.display().to_string() };
            bail!("root is needed to {verb} the service: sudo {exe} {verb}");
        }
        Ok(())
    }

    /// The configuration in place, if there is one.
    pub fn config(&self) -> Option<Result<Config, crate::config::ConfigError>> {
        self.has(CONFIG).then(|| Config::load(&self.at(CONFIG)))
    }
}

/// One step. Its text is an order, alone or after `would`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A message without action.
    Say(String),
    /// A command of the system.
    Run {
        /// The command and its arguments.
        argv: Vec<&'static str>,
        /// Its purpose.
        why: &'static str,
        /// A hint for the case of failure.
        hint: &'static str,
    },
    /// A file with this content.
    Write {
        /// Which.
        path: PathBuf,
        /// All of it.
        content: Cow<'static, str>,
    },
    /// A copy of the binary.
    Copy {
        /// The running one.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// A file or a whole directory less.
    Remove(PathBuf),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Say(text) => f.write_str(text),
            Self::Run { argv, why, .. } => write!(f, "{why}: {}", argv.join(" ")),
            Self::Write { path, .. } => write!(f, "write {}", path.display()),
            Self::Copy { from, to } => write!(f, "copy {} to {}", from.display(), to.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
        }
    }
}

impl Step {
    /// Does it.
    pub(super) fn perform(&self) -> anyhow::Result<()> {
        match self {
            Self::Say(_) => Ok(()),
            Self::Run { argv, hint, .. } => {
                let status = Command::new(argv[0]).args(&argv[1..]).status();
                let status = status.with_context(|| format!("cannot run {}\n{hint}", argv[0]))?;
                if !status.success() {
                    bail!("`{}` failed ({status})\n{hint}", argv.join(" "));
                }
                Ok(())
            }
            Self::Write { path, content } => {
                put(path, 0o644, |file| file.write_all(content.as_bytes()))
            }
            Self::Copy { from, to } => {
                put(to, 0o755, |file| std::io::copy(&mut fs::File::open(from)?, file).map(drop))
            }
            Self::Remove(path) => {
                let removed = match path.symlink_metadata() {
                    Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
                    Ok(_) => fs::remove_file(path),
                    Err(e) => Err(e),
                };
                match removed {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        Err(e).with_context(|| format!("cannot remove {}", path.display()))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// A file that is there whole or not at all. Renaming also spares a running binary, which cannot
/// be written to ("text file busy").
fn put(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut fs::File) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let new = path.with_extension("new");
    let written = fs::create_dir_all(dir)
        .and_then(|()| {
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)
        })
        .and_then(|mut file| {
            fill(&mut file)?;
            // The umask took away what others may need, and an old file may have had other modes.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
        .with_context(|| format!("cannot write {}; is the disk full or read-only?", path.display()))
}

/// Shows every step as a sentence and, unless it is only to be shown, does it.
pub fn carry_out(steps: &[Step], dry_run: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    for step in steps {
        match step {
            Step::Say(text) => writeln!(out, "{text}")?,
            step if dry_run => writeln!(out, "Would {step}")?,
            step => {
                let text = step.to_string();
                let (first, rest) = text.split_at(1);
                writeln!(out, "{}{rest}", first.to_uppercase())?;
                out.flush()?;
                step.perform()?;
            }
        }
    }
    Ok(())
}
