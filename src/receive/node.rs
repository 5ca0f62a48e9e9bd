//! receive: a node of Munin, asked as its master asks it: one connection, one machine that it tells of
//! after the other, one plugin after the other.
//! What the answers mean is nobody's affair here.
//!
//! Bounds: a deadline for each answer, 1 MiB for one, 500 machines, 2,000 plugins, 64 MiB for all of
//! them.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::secure::{NodeTls, shake_hands};
use crate::model::Interval;
use crate::wire::munin::{greeting, listed};

/// Of one answer.
const MAX_ANSWER: usize = 1 << 20;
/// Of all together.
const MAX_ALL: usize = 64 << 20;
const MAX_PLUGINS: usize = 2_000;
/// Machines of which a node tells.
const MAX_HOSTS: usize = 500;
/// Lines that may come before the greeting: what a login by ssh says.
const MAX_CHATTER: usize = 100;

/// Which node is asked, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The label `instance`; nothing: what it calls itself.
    pub name: Option<String>,
    /// How often.
    pub interval: Interval,
    /// How long one answer may take, in ms.
    pub timeout_ms: i64,
    /// Whether what is said is hidden from others.
    pub tls: Option<NodeTls>,
}

/// What a plugin of a node told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The machine that it tells of; nothing: the node's own.
    pub host: Option<String>,
    /// The plugin.
    pub plugin: String,
    /// Its answer to `config`; nothing: it was not asked.
    pub config: Option<Vec<u8>>,
    /// Its values; nothing: they stand in `config`.
    pub values: Option<Vec<u8>>,
}

/// Why a node could not be asked.
#[derive(Debug)]
pub enum NodeError {
    /// The connection.
    Io(io::Error),
    /// No answer in time, to what.
    Late(String),
    /// It is no node of Munin, or a strange one.
    Odd(String),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) => write!(f, "{e}"),
            Self::Late(what) => write!(f, "no answer in time to `{what}`"),
            Self::Odd(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for NodeError {}

impl From<io::Error> for NodeError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// A connection to a node, in the clear or within TLS.
struct Talk<S> {
    stream: BufReader<S>,
    patience: Duration,
    taken: usize,
}

/// Asks a node everything. `greet` gets what it calls itself, before all else; `wants_config` says of
/// a plugin of one of its machines (nothing: of itself) whether it is asked for `config`, too;
/// `take` gets what each told. What it calls itself comes back, too.
pub async fn ask_node(
    settings: &NodeSettings,
    mut greet: impl FnMut(&str),
    wants_config: impl FnMut(Option<&str>, &str) -> bool,
    take: impl FnMut(Told),
) -> Result<String, NodeError> {
    let (mut plain, name) = connect(settings).await?;
    greet(&name);
    let Some(tls) = &settings.tls else {
        plain.all(&name, wants_config, take).await?;
        return Ok(name);
    };
    plain.say("STARTTLS").await?;
    let answer = plain.line("STARTTLS").await?;
    // A node that shows no certificate (`TLS MAYBE`) could be anybody.
    if !answer.trim().eq_ignore_ascii_case("TLS OK") {
        if tls.required {
            let said: String = answer.chars().take(100).collect();
            let why = format!("it does not speak TLS (it said `{said}`), and `tls` demands it");
            return Err(NodeError::Odd(why));
        }
        // What it makes of this line from now on is not to be guessed.
        drop(plain);
        let (mut plain, name) = connect(settings).await?;
        plain.all(&name, wants_config, take).await?;
        return Ok(name);
    }
    // What came before the handshake could be anybody's.
    if !plain.stream.buffer().is_empty() {
        return Err(NodeError::Odd("it says more before TLS has begun".into()));
    }
    let (patience, stream) = (plain.patience, plain.stream.into_inner());
    let secure = timeout(patience, shake_hands(stream, &settings.host, tls)).await;
    let secure = secure.map_err(|_| late("the handshake of TLS"))?.map_err(NodeError::Odd)?;
    let mut talk = Talk { stream: BufReader::new(secure), patience, taken: 0 };
    let asked = talk.all(&name, wants_config, take).await;
    // With TLS 1.3 a node that wants a certificate hangs up when all seems well.
    if asked.is_err() && talk.taken == 0 && tls.own.is_none() {
        let why = "it hung up once TLS had begun; one with `tls paranoid` wants to see a certificate of \
                   this machine: `tls_cert`, `tls_key`";
        return Err(NodeError::Odd(why.into()));
    }
    asked.map(|()| name)
}

async fn connect(settings: &NodeSettings) -> Result<(Talk<TcpStream>, String), NodeError> {
    let patience = Duration::from_millis(settings.timeout_ms.max(1) as u64);
    let connect = TcpStream::connect((&*settings.host, settings.port));
    let stream = timeout(patience, connect).await.map_err(|_| late("connecting"))??;
    let _unused = stream.set_nodelay(true);
    let mut talk = Talk { stream: BufReader::new(stream), patience, taken: 0 };
    let name = talk.greeted().await?;
    Ok((talk, name))
}

fn has_values(config: &[u8]) -> bool {
    let value = |line: &[u8]| {
        line.split(u8::is_ascii_whitespace).next().is_some_and(|head| head.ends_with(b".value"))
    };
    config.split(|b| *b == b'\n').any(value)
}

/// What a node lists as a machine can be asked for by that name.
fn is_host(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !name.is_empty() && name.len() <= 200 && name.chars().all(fits)
}

fn late(what: &str) -> NodeError {
    NodeError::Late(what.to_owned())
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn all(
        &mut self,
        name: &str,
        mut wants_config: impl FnMut(Option<&str>, &str) -> bool,
        mut take: impl FnMut(Told),
    ) -> Result<(), NodeError> {
        self.say("cap multigraph dirtyconfig").await?;
        let cap = self.line("cap").await?;
        if cap.contains("require TLS") {
            let why = "it demands TLS: `tls = \"paranoid\"` or \"enabled\" speaks it";
            return Err(NodeError::Odd(why.into()));
        }
        // Nodes from before 1.4 do not know the word.
        let dirty = cap.starts_with("cap ") && cap.split_whitespace().any(|w| w == "dirtyconfig");
        let mut left = MAX_PLUGINS;
        let others = self.others(name).await?;
        for host in std::iter::once(None).chain(others.iter().map(|h| Some(h.as_str()))) {
            self.say(&host.map_or("list".into(), |host| format!("list {host}"))).await?;
            let list = self.line("list").await?;
            for plugin in listed(&list).take(left) {
                left -= 1;
                let (host, plugin) = (host.map(str::to_owned), plugin.to_owned());
                let mut told = Told { host, plugin, config: None, values: None };
                let mut whole = false;
                if wants_config(told.host.as_deref(), &told.plugin) {
                    let config = self.ask(&format!("config {}", told.plugin)).await?;
                    whole = dirty && has_values(&config);
                    told.config = Some(config);
                }
                if !whole {
                    told.values = Some(self.ask(&format!("fetch {}", told.plugin)).await?);
                }
                take(told);
            }
        }
        self.say("quit").await
    }

    /// The machines that it tells of beside itself.
    async fn others(&mut self, own: &str) -> Result<Vec<String>, NodeError> {
        self.say("nodes").await?;
        let mut out: Vec<String> = Vec::new();
        loop {
            let line = self.line("nodes").await?;
            let host = line.trim();
            // Those from before 1.2 do not know the word, and say so in one line.
            if host == "." || host.starts_with('#') {
                return Ok(out);
            }
            if out.len() >= MAX_HOSTS {
                return Err(NodeError::Odd(format!("it tells of more than {MAX_HOSTS} machines")));
            }
            if is_host(host) && !host.eq_ignore_ascii_case(own) {
                out.push(host.to_owned());
            }
        }
    }

    async fn greeted(&mut self) -> Result<String, NodeError> {
        for _ in 0..MAX_CHATTER {
            if let Some(name) = greeting(&self.line("its greeting").await?) {
                return Ok(name.to_owned());
            }
        }
        Err(NodeError::Odd("it does not greet as a node of Munin does".into()))
    }

    async fn say(&mut self, what: &str) -> Result<(), NodeError> {
        let line = format!("{what}\n");
        let sent = timeout(self.patience, self.stream.write_all(line.as_bytes())).await;
        Ok(sent.map_err(|_| late(what))??)
    }

    /// One line, without its end.
    async fn line(&mut self, what: &str) -> Result<String, NodeError> {
        let mut line = Vec::new();
        let room = MAX_ANSWER as u64;
        let read = async { (&mut self.stream).take(room).read_until(b'\n', &mut line).await };
        let read = timeout(self.patience, read).await.map_err(|_| late(what))??;
        if read == 0 {
            return Err(NodeError::Odd(format!(
                "it hung up before it answered {what}; does it allow this machine?"
            )));
        }
        if line.last() != Some(&b'\n') {
            return Err(NodeError::Odd(format!("its answer to {what} has no end")));
        }
        let text = String::from_utf8_lossy(&line);
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    /// All lines up to the one that is only a dot.
    async fn ask(&mut self, what: &str) -> Result<Vec<u8>, NodeError> {
        self.say(what).await?;
        let mut out = Vec::new();
        let patience = self.patience;
        let stream = &mut self.stream;
        let reading = async {
            loop {
                let from = out.len();
                let room = (MAX_ANSWER - from.min(MAX_ANSWER)) as u64;
                let read = (&mut *stream).take(room).read_until(b'\n', &mut out).await?;
                let line = out.get(from..).unwrap_or_default();
                if line == b".\n" || line == b".\r\n" {
                    out.truncate(from);
                    return Ok(());
                }
                if line.last() != Some(&b'\n') {
                    let why = if read == 0 && room > 0 { "it hung up" } else { "it does not end" };
                    return Err(NodeError::Odd(format!("in its answer to `{what}`, {why}")));
                }
            }
        };
        timeout(patience, reading).await.map_err(|_| late(what))??;
        self.taken += out.len();
        if self.taken > MAX_ALL {
            return Err(NodeError::Odd("its answers have no end".into()));
        }
        Ok(out)
    }
}
