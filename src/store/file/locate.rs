//! store: where the database is when nobody says.

use std::path::{Path, PathBuf};

const NAME: &str = "metrics.sqlite";
/// Where the installed service keeps it.
const INSTALLED: &str = "/var/lib/plimsoll/metrics.sqlite";

fn state_directory() -> Option<PathBuf> {
    // systemd separates several with colons; the first is ours.
    let all = std::env::var_os("STATE_DIRECTORY")?;
    let first = all.to_str().and_then(|a| a.split(':').next()).map(PathBuf::from)?;
    Some(first.join(NAME))
}

/// Lock, control socket and write-ahead log lie beside the file itself, not beside a link to it:
/// otherwise two daemons could write one database by two names.
fn follow(path: PathBuf) -> PathBuf {
    if path.is_symlink() { std::fs::canonicalize(&path).unwrap_or(path) } else { path }
}

/// For the daemon: as told, else in `$STATE_DIRECTORY`, else in the current folder.
pub fn to_write(told: Option<&Path>) -> PathBuf {
    follow(told.map(Path::to_owned).or_else(state_directory).unwrap_or_else(|| NAME.into()))
}

/// For those who only look: as told, else where a daemon would put it, else that of the installed
/// service.
pub fn to_read(told: Option<&Path>) -> PathBuf {
    let usual = to_write(told);
    let installed = Path::new(INSTALLED);
    if told.is_none() && !usual.exists() && installed.exists() {
        return follow(installed.to_owned());
    }
    usual
}
