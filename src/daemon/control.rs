//! daemon: the control socket beside the database: `plimsoll interval`, `reload` and `status` talk
//! to the running daemon here. One JSON line in, one JSON line out, `query` with its answer behind it.
//! Who may connect is decided by
//! the file's mode: only its owner and root.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::store::with_short_path;

pub use crate::store::socket_path;

/// Longest line that the daemon accepts.
const MAX_LINE: u64 = 64 << 10;
/// Longest line that comes back: a thousand plugins with their rates or their problems.
const MAX_ANSWER: u64 = 16 << 20;
/// A daemon that does not answer by then is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);
/// The number of long questions at a time.
const LONG: usize = 16;
/// The number of clients that have not sent a question yet.
const SILENT: usize = 64;
/// The size of a piece of a long answer.
const PIECE: usize = 64 << 10;

/// A request to the daemon.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Sets or resets the rate of one collector or all.
    Interval {
        /// One collector, or all.
        collector: Option<String>,
        /// The interval in the words of the configuration; `None` returns to the configured one.
        interval: Option<String>,
        /// The duration; `None`: until the next reload.
        #[serde(rename = "for")]
        for_: Option<String>,
    },
    /// The rates in force.
    Rates,
    /// Says that another machine is gone.
    Forget {
        /// Its name.
        host: String,
    },
    /// Reads the configuration again.
    Reload,
    /// Seals, merges and prunes everything at once.
    Compact,
    /// A person's command about alerts.
    Alert {
        /// Which.
        command: crate::alert::Command,
    },
    /// The current problems, and the addresses.
    Status,
    /// Asks the API of Prometheus: `/query` or `/query_range`, and a form.
    Query {
        /// The path after `/api/v1`.
        path: String,
        /// `query=…&time=…`
        form: String,
    },
}

impl Request {
    /// The longest time for the answer.
    fn patience(&self) -> Duration {
        match self {
            Self::Compact => Duration::from_secs(3600),
            // A test waits for every receiver.
            Self::Alert { .. } => Duration::from_secs(90),
            // The time to wait for its turn, and for its answer.
            Self::Query { .. } => Duration::from_secs(25),
            _ => PATIENCE + Duration::from_secs(1),
        }
    }

    /// Whether the answer may take longer than a moment.
    fn is_long(&self) -> bool {
        matches!(self, Self::Compact | Self::Query { .. })
    }
}

/// The daemon's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Response {
    /// Whether it was done.
    pub ok: bool,
    /// One or more sentences for the user.
    pub message: String,
    /// The requested data, if there is any.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
    /// The number of bytes that follow the line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: usize,
    /// These bytes.
    #[serde(skip)]
    pub body: Vec<u8>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Response {
    /// Done.
    pub fn done(message: impl Into<String>, data: serde_json::Value) -> Self {
        Self { ok: true, message: message.into(), data, bytes: 0, body: Vec::new() }
    }

    /// Not done, and why.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { ok: false, ..Self::done(message, serde_json::Value::Null) }
    }

    /// Adds a long body after the line.
    pub fn with(self, body: Vec<u8>) -> Self {
        Self { bytes: body.len(), body, ..self }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No daemon runs for this database.
    #[error(
        "no plimsoll is collecting into {0}\n  start one with 'plimsoll run', or say which: --db FILE"
    )]
    NotRunning(PathBuf),
    /// The daemon runs as another user.
    #[error(
        "the plimsoll of {0} runs as another user\n  ask as that user or as root, for example with sudo"
    )]
    Denied(PathBuf),
    /// The connection broke.
    #[error("the plimsoll of {0} does not answer: {1}")]
    Broken(PathBuf, std::io::Error),
}

/// Takes the socket's place; only for the holder of the database's lock, so what lies there is a
/// leftover.
pub fn bind(database: &Path) -> std::io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let path = socket_path(database);
    let leftover = |m: &std::fs::Metadata| m.file_type().is_socket() || m.is_symlink();
    match path.symlink_metadata() {
        Ok(meta) if leftover(&meta) => std::fs::remove_file(&path)?,
        Ok(_) => {
            let what = format!("{} is something else than a socket; move it away", path.display());
            return Err(std::io::Error::other(what));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = with_short_path(&path, |p| std::os::unix::net::UnixListener::bind(p))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Asks the daemon of a database.
pub fn ask(database: &Path, request: &Request) -> Result<Response, AskError> {
    use std::io::ErrorKind as E;
    let path = socket_path(database);
    let broken = |e| AskError::Broken(database.to_owned(), e);
    let mut stream = with_short_path(&path, |p| std::os::unix::net::UnixStream::connect(p))
        .map_err(|e| match e.kind() {
            E::NotFound | E::ConnectionRefused => AskError::NotRunning(database.to_owned()),
            E::PermissionDenied => AskError::Denied(database.to_owned()),
            _ => broken(e),
        })?;
    let talk = |stream: &mut std::os::unix::net::UnixStream| -> std::io::Result<Response> {
        stream.set_read_timeout(Some(request.patience()))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        line.clear();
        let mut reader = BufReader::new(stream);
        reader.by_ref().take(MAX_ANSWER).read_line(&mut line)?;
        if line.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut response: Response = serde_json::from_str(&line)?;
        reader.take(response.bytes as u64).read_to_end(&mut response.body)?;
        if response.body.len() != response.bytes {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(response)
    };
    talk(&mut stream).map_err(broken)
}

/// Answers until the runtime ends. Bounds: [`LONG`] questions that take long are worked on at once, one
/// more is refused in words; [`SILENT`] clients have not asked yet, and where one more comes, the one
/// that came first is cut off. So nobody who says nothing keeps `reload` from getting through.
pub async fn serve<F, A>(listener: tokio::net::UnixListener, answer: F)
where
    F: Fn(Request) -> A + Clone + Send + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(LONG));
    let mut silent: JoinSet<std::io::Result<(UnixStream, String)>> = JoinSet::new();
    let mut order = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            asked = silent.join_next(), if !silent.is_empty() => {
                if let Some(Ok(Ok((stream, line)))) = asked {
                    let (places, answer) = (Arc::clone(&places), answer.clone());
                    tokio::spawn(async move {
                        // A client that has gone hears nothing, and nobody else does.
                        let _unused = reply(stream, &line, &places, answer).await;
                    });
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                order.push_back(silent.spawn(question(stream)));
                order.retain(|task| !task.is_finished());
                if order.len() > SILENT
                    && let Some(first) = order.pop_front()
                {
                    first.abort();
                }
            }
            Err(e) => {
                tracing::debug!("control socket: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The line that a client sends. A client that dawdles with it is cut off.
async fn question(stream: UnixStream) -> std::io::Result<(UnixStream, String)> {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt};
    let mut line = String::new();
    let mut read = tokio::io::BufReader::new(stream.take(MAX_LINE));
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    Ok((read.into_inner().into_inner(), line))
}

async fn reply<F, A>(
    mut stream: UnixStream,
    line: &str,
    places: &Semaphore,
    answer: F,
) -> std::io::Result<()>
where
    F: Fn(Request) -> A,
    A: Future<Output = Response>,
{
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let response = match serde_json::from_str::<Request>(line) {
        Ok(request) if !request.is_long() => answer(request).await,
        Ok(request) => match places.try_acquire() {
            Ok(_place) => tokio::select! {
                response = answer(request) => response,
                // The client is gone: dropping this stops the work, too.
                _ = stream.read_u8() => return Ok(()),
            },
            Err(_) => Response::failed(format!(
                "{LONG} questions that take long are being answered; ask again later"
            )),
        },
        Err(e) => Response::failed(format!("this plimsoll does not know the request: {e}")),
    };
    let mut text = serde_json::to_string(&response)?;
    text.push('\n');
    tokio::time::timeout(PATIENCE, stream.write_all(text.as_bytes())).await??;
    // A client that reads slowly is not cut off as long as something goes.
    for piece in response.body.chunks(PIECE) {
        tokio::time::timeout(PATIENCE, stream.write_all(piece)).await??;
    }
    Ok(())
}
