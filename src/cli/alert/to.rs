//! cli: `plimsoll alert to`: writes a receiver into the configuration, puts it to use, and sends a test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::super::{Global, outward, stdout};
use crate::alert::Command;
use crate::config::{Config, DEFAULT_PATH, edit, host_name};
use crate::daemon::channel_settings;
use crate::daemon::control::{AskError, Request, ask};
use crate::model::options::{list, quote};
use crate::notify::{self, Outcome, channel_of};

/// Where systemd keeps the secrets of the running service.
const CREDENTIALS: &str = "/run/credentials/plimsoll.service";

/// `plimsoll alert to`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Receivers, such as me@example.org, ntfy:my-topic, tgram://TOKEN/CHAT
    #[arg(required = true, value_name = "RECEIVER")]
    to: Vec<String>,
    /// Keep the receivers that there are
    #[arg(long)]
    add: bool,
    /// Send no test
    #[arg(long)]
    no_test: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let path = global.config().map_or_else(|| PathBuf::from(DEFAULT_PATH), Path::to_path_buf);
    let config = match path.exists() {
        true => Config::load(&path)?,
        false => Config::default(),
    };
    let mut settings = channel_settings(&config, &host(&config));
    // Those of the running service, where root writes down what it is to read.
    let credentials = || Some(PathBuf::from(CREDENTIALS)).filter(|folder| folder.is_dir());
    settings.credentials = settings.credentials.or_else(credentials);
    let settings = Arc::new(settings);
    let mut all: Vec<String> =
        if args.add { config.alerts.options.to.0.clone() } else { Vec::new() };
    for target in &args.to {
        channel_of(target, &settings).map_err(|e| anyhow::anyhow!("{e}"))?;
        if !all.contains(target) {
            all.push(target.clone());
        }
    }
    let value = match &*all {
        [one] => quote(one),
        some => list(some.iter().map(|to| quote(to))),
    };
    let text = edit::set(&config.text, &path.to_string_lossy(), "alerts", "to", &value)?;
    write(&path, &text).with_context(|| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let hint = if folder.is_some_and(|folder| !folder.exists()) {
            "there is no such folder: `plimsoll install` makes that of the service, and --config names \
             another file"
        } else {
            "run this as a user who may, for example with sudo"
        };
        format!("cannot write {}; {hint}", path.display())
    })?;
    let mut out = stdout();
    let shown: Vec<String> = all.iter().map(|to| notify::redacted(to, &settings)).collect();
    writeln!(out, "{} now has: alerts go to {}", path.display(), shown.join(", "))?;
    if let Some(path) = outward::adjust(&path, &Config::parse(&text, &path.to_string_lossy())?)? {
        writeln!(out, "{} now has: what of other machines the service may reach", path.display())?;
    }
    out.flush()?;
    let database = global.database()?;
    match ask(&database, &Request::Reload) {
        Ok(response) => anyhow::ensure!(response.ok, "{}", response.message),
        Err(AskError::NotRunning(_)) => {
            writeln!(out, "plimsoll does not run; it tells them when it does")?;
        }
        Err(e) => return Err(e.into()),
    }
    if args.no_test {
        out.flush()?;
        return Ok(());
    }
    let mut failed = false;
    for target in &args.to {
        let shown = notify::redacted(target, &settings);
        let command = Command::Test { what: shown.clone() };
        let (sent, said) = match ask(&database, &Request::Alert { command }) {
            Ok(response) => (response.ok, response.message),
            Err(AskError::NotRunning(_)) => {
                let (sent, said) = by_hand(target, &config, &settings)?;
                (sent, format!("{shown}: {said}"))
            }
            Err(e) => return Err(e.into()),
        };
        failed |= !sent;
        writeln!(out, "{said}")?;
    }
    out.flush()?;
    anyhow::ensure!(!failed, "a test was not sent; the receiver stays in {}", path.display());
    Ok(())
}

fn host(config: &Config) -> String {
    config.system.clone().unwrap_or_else(host_name)
}

/// Sends a test without a daemon.
fn by_hand(
    target: &str,
    config: &Config,
    settings: &Arc<notify::ChannelSettings>,
) -> anyhow::Result<(bool, String)> {
    let channel = channel_of(target, settings).map_err(|e| anyhow::anyhow!("{e}"))?;
    let message = notify::test_message(&host(config), super::now_ms());
    let deadline = Instant::now() + Duration::from_secs(30);
    Ok(match channel.send(&message, None, deadline) {
        Outcome::Sent { said } if said.is_empty() => (true, "sent".into()),
        Outcome::Sent { said } => (true, format!("sent; it said: {said}")),
        Outcome::Retry { said, .. } | Outcome::Refused { said } => {
            (false, format!("not sent: {said}"))
        }
    })
}

/// Writes a file beside the old one and puts it in its place, with the same owner and mode.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    // A link stays a link.
    let path = match path.canonicalize() {
        Ok(real) => real,
        Err(_) => path.to_path_buf(),
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let old = std::fs::metadata(&path).ok();
    // It may hold secrets.
    let mut file = crate::collect::regular::create(&fresh, 0o640)?;
    file.write_all(text.as_bytes())?;
    if let Some(old) = old {
        file.set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o7777))?;
        // Only root can give a file away, and for another user it is not needed.
        let _not_root = chown(&fresh, Some(old.uid()), Some(old.gid()));
    }
    file.sync_all()?;
    std::fs::rename(&fresh, &path)
}
