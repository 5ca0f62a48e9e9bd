//! munin_node: one connection: lines come in and answers go out until one side closes it. It knows
//! nothing about the commands.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::Node;
use super::answer::{Answer, Caps};
use super::spool::Failure;
use crate::query::desk::Purpose;
use crate::query::turns::Client;

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For each line, and for sending each answer.
    pub(super) idle: Duration,
    /// For the whole connection.
    pub(super) total: Duration,
    /// Bytes of a line.
    pub(super) line: usize,
}

/// A master writes its pictures between two questions; munin-node gives it a quarter of an hour.
pub(super) const LIMITS: Limits =
    Limits { idle: Duration::from_secs(120), total: Duration::from_secs(900), line: 1_024 };

/// Why a connection ended otherwise than by its master's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Slow,
    Long,
    Tls,
    Gone,
}

impl From<io::Error> for Cut {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Serves one connection to its end.
pub(super) async fn run<S>(node: &Arc<Node>, stream: S, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let told = timeout(limits.total, both(node, stream, limits)).await;
    let count = &node.from.counters.munin_node;
    match told.unwrap_or(Err(Cut::Slow)) {
        Ok(()) | Err(Cut::Gone) => return,
        Err(Cut::Slow) => &count.timed_out,
        Err(Cut::Long) => &count.long_lines,
        Err(Cut::Tls) => &count.tls_failed,
    }
    .fetch_add(1, Relaxed);
}

/// Plain, and then with TLS if that is asked for.
async fn both<S>(node: &Arc<Node>, mut stream: S, limits: Limits) -> Result<(), Cut>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting = node.greeting();
    send(&mut stream, greeting.as_bytes(), true, limits).await?;
    if !talk(node, &mut stream, limits, true).await? {
        return Ok(());
    }
    let Some(tls) = &node.tls else { return Ok(()) };
    let secure = timeout(limits.idle, tls().accept(stream)).await;
    let mut secure = secure.map_err(|_| Cut::Slow)?.map_err(|_| Cut::Tls)?;
    talk(node, &mut secure, limits, false).await?;
    // A client that has closed already does not miss it.
    let _unused = timeout(limits.idle, secure.shutdown()).await;
    Ok(())
}

/// Answers lines, `plain` or within TLS. True: TLS is to begin, and the master knows it.
async fn talk<S>(node: &Arc<Node>, stream: &mut S, limits: Limits, plain: bool) -> Result<bool, Cut>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut caps = Caps::default();
    let mut waiting: Vec<u8> = Vec::with_capacity(256);
    loop {
        while let Some(end) = waiting.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            if line.len() > limits.line {
                return too_long(stream, plain, limits).await;
            }
            node.from.counters.munin_node.commands.fetch_add(1, Relaxed);
            match node.answer(&mut caps, &line) {
                Answer::Text(text) => send(stream, &text, plain, limits).await?,
                Answer::Close => return Ok(false),
                Answer::Spool(since) => spool(node, stream, plain, limits, since).await?,
                Answer::StartTls if plain => {
                    // Bytes from before the handshake could come from anybody.
                    if !waiting.is_empty() {
                        return Err(Cut::Tls);
                    }
                    send(stream, b"TLS OK\n", plain, limits).await?;
                    return Ok(true);
                }
                Answer::StartTls => {
                    send(stream, b"# TLS is on already\n", plain, limits).await?;
                }
            }
        }
        if waiting.len() > limits.line {
            return too_long(stream, plain, limits).await;
        }
        let read = timeout(limits.idle, stream.read_buf(&mut waiting)).await;
        if read.map_err(|_| Cut::Slow)?? == 0 {
            return Ok(false);
        }
    }
}

async fn too_long<S>(stream: &mut S, plain: bool, limits: Limits) -> Result<bool, Cut>
where
    S: AsyncWrite + Unpin,
{
    let text = format!("# A line may have {} bytes. Closing.\n", limits.line);
    send(stream, text.as_bytes(), plain, limits).await?;
    Err(Cut::Long)
}

/// Sends each line by itself: munin-update takes a record of TLS for a line, whatever is in it.
/// Without TLS that gains nothing, and `whole` is true.
async fn send<S>(stream: &mut S, text: &[u8], whole: bool, limits: Limits) -> Result<(), Cut>
where
    S: AsyncWrite + Unpin,
{
    let sent = timeout(limits.idle, async {
        if whole {
            stream.write_all(text).await?;
        } else {
            for line in text.split_inclusive(|b| *b == b'\n') {
                stream.write_all(line).await?;
            }
        }
        stream.flush().await
    });
    sent.await.map_err(|_| Cut::Slow)?.map_err(Cut::from)
}

/// Reads from the store a piece at a time, as fast as the master takes them.
async fn spool<S>(
    node: &Arc<Node>,
    stream: &mut S,
    plain: bool,
    limits: Limits,
    since: i64,
) -> Result<(), Cut>
where
    S: AsyncWrite + Unpin,
{
    let mut spool = node.spool(since);
    loop {
        // A turn for each piece: a master that reads slowly keeps no place.
        let reading = Arc::clone(node);
        let turn = node.from.desk.turn(Purpose::Any, Client::default(), move |_| {
            let piece = reading.next_piece(&mut spool)?;
            Ok::<_, Failure>((spool, piece))
        });
        match turn.await {
            Ok((_, None)) => break,
            Ok((rest, Some(piece))) => {
                spool = rest;
                if !piece.is_empty() {
                    send(stream, &piece, plain, limits).await?;
                }
            }
            Err(e) => {
                tracing::warn!("munin_node: spoolfetch: {e}");
                break;
            }
        }
    }
    send(stream, b".\n", plain, limits).await
}

#[cfg(test)]
mod tests;
