//! reach: a node of Munin, asked as its master asks it: one connection, one plugin after the other.
//! Other rooms say what the answers mean.
//!
//! A plugin whose answer does not come costs itself only: the others are asked on a new connection.
//!
//! Bounds: a deadline for each answer, 1 MiB for one, 500 machines, 2,000 plugins, 64 MiB for all of
//! them, 16 connections after the first.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::tls::{NodeTls, shake_hands};
use crate::model::Interval;
use crate::wire::munin::{greeting, listed};

/// Of one answer.
const MAX_ANSWER: usize = 1 << 20;
/// Of all together.
const MAX_ALL: usize = 64 << 20;
const MAX_PLUGINS: usize = 2_000;
/// Machines of which a node tells.
const MAX_HOSTS: usize = 500;
/// Connections after the first, each because of one plugin. With more of such plugins the node's other
/// ones still have their turn: who asks puts the bad ones last the next time.
const MAX_AGAIN: usize = 16;
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
    /// Why it did not answer; there are no values then.
    pub failed: Option<String>,
}

/// How a plugin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Those with a small number come first.
    pub order: u8,
    /// Whether it is asked for `config`, too.
    pub config: bool,
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

/// A plugin of one of its machines (nothing: the node itself), to be asked.
#[derive(Debug)]
struct Task {
    host: Option<String>,
    plugin: String,
    wish: Wish,
}

/// A connection to a node.
enum Reached {
    Plain(Talk<TcpStream>),
    Hidden(Box<Talk<TlsStream<TcpStream>>>),
}

/// What is said on a connection, in the clear or within TLS.
struct Talk<S> {
    stream: BufReader<S>,
    patience: Duration,
}

/// Asks a node everything. `greet` gets what it calls itself, before all else; `wish` says of a plugin
/// of one of its machines (nothing: of itself) how it is asked, if it is; `take` gets what each told.
pub async fn ask_node(
    settings: &NodeSettings,
    mut greet: impl FnMut(&str),
    mut wish: impl FnMut(Option<&str>, &str) -> Option<Wish>,
    mut take: impl FnMut(Told),
) -> Result<(), NodeError> {
    // What is left to be asked, the next one last.
    let mut tasks: Option<Vec<Task>> = None;
    let mut taken = 0;
    for _ in 0..=MAX_AGAIN {
        let (mut reached, name) = reach(settings).await?;
        if tasks.is_none() {
            greet(&name);
        }
        let asked = match &mut reached {
            Reached::Plain(talk) => {
                talk.all(&name, &mut taken, &mut tasks, &mut wish, &mut take).await
            }
            Reached::Hidden(talk) => {
                talk.all(&name, &mut taken, &mut tasks, &mut wish, &mut take).await
            }
        };
        // With TLS 1.3 a node that wants a certificate hangs up when all seems well.
        let hidden = matches!(reached, Reached::Hidden(_));
        let shown = settings.tls.as_ref().is_some_and(|tls| tls.own.is_some());
        if asked.is_err() && tasks.is_none() && hidden && !shown {
            let why = "it hung up once TLS had begun; one with `tls paranoid` wants to see a \
                       certificate of this machine: `tls_cert`, `tls_key`";
            return Err(NodeError::Odd(why.into()));
        }
        asked?;
        if tasks.as_ref().is_none_or(Vec::is_empty) {
            return Ok(());
        }
    }
    let left = tasks.map_or(0, |tasks| tasks.len());
    Err(NodeError::Odd(format!(
        "{} of its plugins did not answer; {left} others are asked the next time",
        MAX_AGAIN + 1
    )))
}

/// Asks a node everything on a connection that is open, in the clear, with so much patience for each
/// answer; see [`ask_node`]. It needs a runtime, and no network.
///
/// # Errors
/// It is no node of Munin, or the talk ended early.
pub async fn ask_node_on(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    patience: Duration,
    greet: impl FnOnce(&str),
    mut wish: impl FnMut(Option<&str>, &str) -> Option<Wish>,
    mut take: impl FnMut(Told),
) -> Result<(), NodeError> {
    let mut talk = Talk { stream: BufReader::new(stream), patience };
    let name = talk.greeted().await?;
    greet(&name);
    talk.all(&name, &mut 0, &mut None, &mut wish, &mut take).await
}

/// Connects, in the clear or within TLS, and hears what the node calls itself.
async fn reach(settings: &NodeSettings) -> Result<(Reached, String), NodeError> {
    let (mut plain, name) = connect(settings).await?;
    let Some(tls) = &settings.tls else {
        return Ok((Reached::Plain(plain), name));
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
        let (plain, name) = connect(settings).await?;
        return Ok((Reached::Plain(plain), name));
    }
    // What came before the handshake could be anybody's.
    if !plain.stream.buffer().is_empty() {
        return Err(NodeError::Odd("it says more before TLS has begun".into()));
    }
    let (patience, stream) = (plain.patience, plain.stream.into_inner());
    let secure = timeout(patience, shake_hands(stream, &settings.host, tls)).await;
    let secure = secure.map_err(|_| late("the handshake of TLS"))?.map_err(NodeError::Odd)?;
    let talk = Talk { stream: BufReader::new(secure), patience };
    Ok((Reached::Hidden(Box::new(talk)), name))
}

async fn connect(settings: &NodeSettings) -> Result<(Talk<TcpStream>, String), NodeError> {
    let patience = Duration::from_millis(settings.timeout_ms.max(1) as u64);
    let connect = TcpStream::connect((&*settings.host, settings.port));
    let stream = timeout(patience, connect).await.map_err(|_| late("connecting"))??;
    let _unused = stream.set_nodelay(true);
    let mut talk = Talk { stream: BufReader::new(stream), patience };
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
    /// Asks what is left to be asked, and at first which plugins there are, until that is done or one
    /// of them has spoiled the connection.
    async fn all(
        &mut self,
        name: &str,
        taken: &mut usize,
        tasks: &mut Option<Vec<Task>>,
        wish: &mut impl FnMut(Option<&str>, &str) -> Option<Wish>,
        take: &mut impl FnMut(Told),
    ) -> Result<(), NodeError> {
        self.say("cap multigraph dirtyconfig").await?;
        let cap = self.line("cap").await?;
        if cap.contains("require TLS") {
            let why = "it demands TLS: `tls = \"paranoid\"` or \"enabled\" speaks it";
            return Err(NodeError::Odd(why.into()));
        }
        // Nodes from before 1.4 do not know the word.
        let dirty = cap.starts_with("cap ") && cap.split_whitespace().any(|w| w == "dirtyconfig");
        let tasks = match tasks {
            Some(tasks) => tasks,
            None => tasks.insert(self.tasks(name, wish).await?),
        };
        while let Some(Task { host, plugin, wish }) = tasks.pop() {
            let mut told = Told { host, plugin, config: None, values: None, failed: None };
            let answered = self.one(&mut told, wish, dirty).await;
            let parts = [&told.config, &told.values];
            *taken += parts.into_iter().flatten().map(Vec::len).sum::<usize>();
            told.failed = answered.err().map(|e| e.to_string());
            let spoiled = told.failed.is_some();
            take(told);
            if *taken > MAX_ALL {
                return Err(NodeError::Odd("its answers have no end".into()));
            }
            if spoiled {
                return Ok(());
            }
        }
        // It may have hung up: there is nothing left to be asked.
        let _unused = self.say("quit").await;
        Ok(())
    }

    /// Which plugins there are, in the order in which they are asked, the first of them last.
    async fn tasks(
        &mut self,
        name: &str,
        wish: &mut impl FnMut(Option<&str>, &str) -> Option<Wish>,
    ) -> Result<Vec<Task>, NodeError> {
        let mut tasks = Vec::new();
        let mut left = MAX_PLUGINS;
        let others = self.others(name).await?;
        for host in std::iter::once(None).chain(others.iter().map(|h| Some(h.as_str()))) {
            self.say(&host.map_or("list".into(), |host| format!("list {host}"))).await?;
            let list = self.line("list").await?;
            for plugin in listed(&list).take(left) {
                left -= 1;
                if let Some(wish) = wish(host, plugin) {
                    let (host, plugin) = (host.map(str::to_owned), plugin.to_owned());
                    tasks.push(Task { host, plugin, wish });
                }
            }
        }
        tasks.sort_by_key(|task| task.wish.order);
        tasks.reverse();
        Ok(tasks)
    }

    /// Asks one plugin.
    async fn one(&mut self, told: &mut Told, wish: Wish, dirty: bool) -> Result<(), NodeError> {
        if wish.config {
            let config = self.ask(&format!("config {}", told.plugin)).await?;
            let whole = dirty && has_values(&config);
            told.config = Some(config);
            if whole {
                return Ok(());
            }
        }
        told.values = Some(self.ask(&format!("fetch {}", told.plugin)).await?);
        Ok(())
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
        Ok(out)
    }
}
