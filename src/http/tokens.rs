//! http: tokens, and the file that keeps them: `metrics.sqlite.tokens`, beside the database.
//!
//! The tokens are not a table of the database: a backup of it carries no credentials, a damaged or
//! full database locks no sender out, and the times of one file tell the daemon about changes. Only
//! hashes are kept. A token is 256 random bits, so one round of SHA-256 is as good as many: it
//! cannot be guessed.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::collect::regular;

/// The largest file: some ten thousand tokens.
const MAX_BYTES: u64 = 1 << 20;

/// The scope of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Looking.
    Read,
    /// Sending values in.
    Push,
    /// Both, and what else there will be.
    Admin,
}

impl Scope {
    /// All scopes, for help texts.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Push, Scope::Admin];

    /// The name on the command line and in the file.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Push => "push",
            Scope::Admin => "admin",
        }
    }

    /// The reverse of [`Scope::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Whether a token of this scope opens what wants that one.
    pub fn opens(self, wanted: Scope) -> bool {
        self == Scope::Admin || self == wanted
    }
}

/// The record of a token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The name that the operator chose.
    pub name: String,
    /// The scope.
    pub scope: Scope,
    /// When it was made, ms since 1970 UTC.
    pub created: i64,
    /// The only instance whose values it may send; `None`: all except this machine.
    pub instance: Option<String>,
    hash: [u8; 32],
}

/// Why the tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file could not be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The file holds something else.
    #[error("{0}, line {1}: not a token; remove the line, and add the token again")]
    Line(PathBuf, usize),
    /// There is one of that name.
    #[error("there is a token `{0}` already; revoke it first, or choose another name")]
    Taken(String),
    /// There is no token of that name.
    #[error("there is no token `{0}`; `plimsoll token list` shows all")]
    Unknown(String),
    /// Not a name.
    #[error("`{0}` cannot be a token's name: 1 to 64 letters, digits, `.`, `_` or `-`")]
    Name(String),
    /// Not an instance.
    #[error("`{0}` cannot be an instance: 1 to 200 letters, without spaces")]
    Instance(String),
    /// The kernel gave no random bits.
    #[error("no random bits: {0}")]
    Random(getrandom::Error),
}

/// `metrics.sqlite.tokens` for `metrics.sqlite`.
pub fn tokens_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".tokens");
    name.into()
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(out)
}

/// The tokens in a file's text. `path` is named in the error.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Token>, TokenError> {
    let mut tokens = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let token = match words.as_slice() {
            [name, scope, created, hash, rest @ ..] if rest.len() <= 1 => Scope::from_name(scope)
                .and_then(|scope| {
                    let (created, hash) = (created.parse().ok()?, unhex(hash)?);
                    let instance = rest.first().map(|i| (*i).to_owned());
                    Some(Token { name: (*name).to_owned(), scope, created, instance, hash })
                }),
            _ => None,
        };
        tokens.push(token.ok_or_else(|| TokenError::Line(path.to_owned(), number + 1))?);
    }
    Ok(tokens)
}

/// All tokens of a database; none without a file.
pub fn load(database: &Path) -> Result<Vec<Token>, TokenError> {
    let path = tokens_path(database);
    match regular::read_text(&path, MAX_BYTES) {
        Ok(text) => parse(&path, &text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(TokenError::File(path, e)),
    }
}

/// Longest name of an instance, in bytes, as for senders.
const MAX_INSTANCE: usize = 200;

/// Makes a token; what comes back is shown once and kept nowhere. `instance`: the only one whose
/// values it may send. `now`: ms since 1970 UTC.
pub fn add(
    database: &Path,
    name: &str,
    scope: Scope,
    instance: Option<&str>,
    now: i64,
) -> Result<String, TokenError> {
    let fits = |i: &str| {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        !i.is_empty() && i.len() <= MAX_INSTANCE && !i.contains(odd)
    };
    if let Some(odd) = instance.filter(|i| !fits(i)) {
        return Err(TokenError::Instance(odd.to_owned()));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(TokenError::Name(name.to_owned()));
    }
    let mut bits = [0; 32];
    getrandom::getrandom(&mut bits).map_err(TokenError::Random)?;
    // A token that leaks into a log or a repository is recognised by its first letters.
    let secret = format!("plimsoll_{}", hex(&bits));
    change(database, |tokens| {
        if tokens.iter().any(|t| t.name == name) {
            return Err(TokenError::Taken(name.to_owned()));
        }
        let hash = hash(&secret);
        let instance = instance.map(str::to_owned);
        tokens.push(Token { name: name.to_owned(), scope, created: now, instance, hash });
        Ok(())
    })?;
    Ok(secret)
}

/// Revokes the token from now on.
pub fn revoke(database: &Path, name: &str) -> Result<(), TokenError> {
    change(database, |tokens| {
        let before = tokens.len();
        tokens.retain(|t| t.name != name);
        if tokens.len() == before { Err(TokenError::Unknown(name.to_owned())) } else { Ok(()) }
    })
}

/// Replaces the file as a whole, one at a time.
fn change(
    database: &Path,
    how: impl FnOnce(&mut Vec<Token>) -> Result<(), TokenError>,
) -> Result<(), TokenError> {
    let path = tokens_path(database);
    let failed = |e: std::io::Error| TokenError::File(path.clone(), e);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let lock = std::fs::File::open(folder).map_err(failed)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|e| failed(e.into()))?;
    let mut tokens = load(database)?;
    how(&mut tokens)?;
    let mut text = String::from(
        "# Tokens of plimsoll: name, scope, made when (ms), SHA-256, instance. See `plimsoll token`.\n",
    );
    for Token { name, scope, created, instance, hash } in &tokens {
        text.push_str(&format!("{name} {} {created} {}", scope.name(), hex(hash)));
        if let Some(instance) = instance {
            text.push(' ');
            text.push_str(instance);
        }
        text.push('\n');
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let write = || -> std::io::Result<()> {
        // A leftover of a killed process is removed; the lock ensures that no process uses it.
        let mut file = regular::create(&fresh, 0o600)?;
        file.write_all(text.as_bytes())?;
        // root makes tokens for a daemon that is not root.
        let owner = std::fs::metadata(database).or_else(|_| std::fs::metadata(folder))?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        lock.sync_all()
    };
    write().map_err(failed)
}

/// The tokens of a running daemon: read again when the file has changed.
pub struct Tokens {
    database: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    stamp: Option<(i64, i64, u64, u64)>,
    tokens: Vec<Token>,
}

impl Tokens {
    /// The tokens of this database.
    pub fn new(database: &Path) -> Self {
        Self { database: database.to_owned(), kept: Mutex::default() }
    }

    fn with<T>(&self, look: impl FnOnce(&[Token]) -> T) -> Result<T, TokenError> {
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        let stamp = std::fs::metadata(tokens_path(&self.database))
            .map(|m| (m.mtime(), m.mtime_nsec(), m.ino(), m.len()))
            .ok();
        if stamp != kept.stamp || stamp.is_none() {
            // Until it can be read, no token opens anything.
            *kept = Kept::default();
            *kept = Kept { tokens: load(&self.database)?, stamp };
        }
        Ok(look(&kept.tokens))
    }

    /// The token of a secret; `None` for an unknown one. All hashes are compared, in full, so that
    /// the time reveals nothing.
    pub fn find(&self, secret: &str) -> Result<Option<Token>, TokenError> {
        let hash = hash(secret);
        self.with(|tokens| {
            let mut found = None;
            for token in tokens {
                if bool::from(token.hash.ct_eq(&hash)) {
                    found = Some(token);
                }
            }
            found.cloned()
        })
    }

    /// Whether a token that was found is still there, with nothing changed.
    pub fn knows(&self, token: &Token) -> Result<bool, TokenError> {
        self.with(|tokens| tokens.contains(token))
    }

    /// Whether there is any.
    pub fn any(&self) -> Result<bool, TokenError> {
        self.with(|tokens| !tokens.is_empty())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("database", &self.database).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_shown_once_and_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("metrics.sqlite");
        let daemon = Tokens::new(&db);
        assert!(!daemon.any().unwrap());
        let scope = |secret: &str| daemon.find(secret).unwrap().map(|t| t.scope);
        let web = add(&db, "web", Scope::Push, None, 5).unwrap();
        let second = add(&db, "second", Scope::Read, Some("db1"), 6).unwrap();
        assert_eq!(web.len(), "plimsoll_".len() + 64);
        assert_ne!(web, second);
        assert_eq!(scope(&web), Some(Scope::Push));
        assert_eq!(scope(&second), Some(Scope::Read));
        for wrong in ["", "plimsoll_", &web[1..], &web.to_uppercase()] {
            assert_eq!(scope(wrong), None, "{wrong}");
        }
        let instance = |secret: &str| daemon.find(secret).unwrap().and_then(|t| t.instance);
        assert_eq!((instance(&web), instance(&second).as_deref()), (None, Some("db1")));
        let odd = add(&db, "odd", Scope::Push, Some("a b"), 7);
        assert!(matches!(odd, Err(TokenError::Instance(_))));
        let text = std::fs::read_to_string(tokens_path(&db)).unwrap();
        assert!(!text.contains(&web["plimsoll_".len()..]), "only its hash is kept");
        let mode = std::fs::metadata(tokens_path(&db)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(add(&db, "web", Scope::Push, None, 7), Err(TokenError::Taken(_))));
        assert!(matches!(add(&db, "a b", Scope::Push, None, 7), Err(TokenError::Name(_))));
        revoke(&db, "web").unwrap();
        assert!(matches!(revoke(&db, "web"), Err(TokenError::Unknown(_))));
        assert_eq!(scope(&web), None);
        assert_eq!(load(&db).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("metrics.sqlite");
        let daemon = Tokens::new(&db);
        let secret = add(&db, "a", Scope::Admin, None, 0).unwrap();
        assert!(daemon.find(&secret).unwrap().unwrap().scope.opens(Scope::Push));
        let path = tokens_path(&db);
        let text = std::fs::read_to_string(&path).unwrap() + "b admin 0 12\n";
        std::fs::write(&path, text).unwrap();
        let error = daemon.find(&secret).unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
    }
}
