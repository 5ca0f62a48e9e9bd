//! daemon: the HTTP server's start: its sockets, what it may be called, and whom it waits for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Daemon;
use crate::config::{Http, TlsSettings};
use crate::daemon::memory;
use crate::http;
use crate::pipeline::Board;

/// Tokio's own is 128; in a storm of connections the kernel drops what does not fit, and whoever is
/// dropped waits for a second before the next attempt.
const BACKLOG: u32 = 1024;

/// What requests may call this machine: what the configuration says, and the address it listens on:
/// no name of a stranger's page leads to a page at a bare address.
pub(super) fn names_of(http: &Http) -> Vec<String> {
    let mut names = http.hosts.clone();
    match http.listen.map(|address| address.ip()) {
        Some(ip) if ip.is_unspecified() => {}
        Some(std::net::IpAddr::V6(ip)) => names.push(format!("[{ip}]")),
        Some(ip) => names.push(ip.to_string()),
        None => {}
    }
    names
}

pub(super) fn bind(address: std::net::SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    use tokio::net::TcpSocket;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Without the page the main job still goes on; the board says so.
pub(super) async fn start_http(daemon: &mut Daemon) {
    let config = daemon.config().http.clone();
    let hosts = http::Hosts::new(names_of(&config));
    let shared = &daemon.shared;
    let tokens = Arc::new(http::tokens::Tokens::new(&daemon.database));
    let (router, inside) = http::router(http::State {
        registry: Arc::clone(&shared.registry),
        latest: Arc::clone(&shared.latest),
        board: Arc::clone(&shared.board),
        counters: Arc::clone(&shared.counters),
        queue: Arc::clone(&shared.queue),
        intake: Arc::clone(&shared.intake),
        desk: Arc::default(),
        clock: Arc::clone(&shared.clock),
        database: daemon.database.clone(),
        head: Arc::clone(&daemon.head),
        config: daemon.config.clone(),
        system: daemon.system.clone(),
        started: daemon.started,
        hosts: hosts.clone(),
        access: http::Access::new(
            Arc::clone(&tokens),
            config.behind_proxy,
            Arc::clone(&shared.board),
            Arc::clone(&shared.counters),
        ),
        rested: memory::give_back,
    });
    daemon.inside = Some(inside);
    daemon.http = Some(hosts);
    let board = &shared.board;
    if let Some(path) = config.socket.clone() {
        let open = move || {
            bind_unix(&path).map_err(|e| format!("cannot listen on {}: {e}", path.display()))
        };
        let first = told(board, SOCKET, open());
        let (board, router) = (Arc::clone(board), router.clone());
        tokio::spawn(async move {
            let listener = persist(&board, SOCKET, first, open).await;
            http::serve(http::Listener::Unix(listener), router).await;
        });
    }
    let Some(address) = config.listen else { return };
    daemon.secure = config.tls.is_some();
    let (tls, secure) = (config.tls, daemon.secure);
    let open = {
        let board = Arc::clone(board);
        move || open_tcp(address, tls.as_ref(), &board)
    };
    let first = told(board, HTTP, open());
    let (board, listening) = (Arc::clone(board), Arc::clone(&daemon.listening));
    let at_once = first.is_some();
    if let Some(address) = first.as_ref().and_then(|(l, _)| l.local_addr().ok()) {
        let _first = listening.set(address);
    }
    tokio::spawn(async move {
        let (listener, tls) = persist(&board, HTTP, first, open).await;
        if let Some(address) = listener.local_addr().ok().filter(|_| !at_once) {
            let _first = listening.set(address);
            let scheme = if secure { "https" } else { "http" };
            tracing::info!("listening  {scheme}://{address}");
        }
        // The place is taken, but nobody is let in whom no token could tell apart.
        if !address.ip().to_canonical().is_loopback() {
            wait_for_token(&tokens, &board, address).await;
        }
        http::serve(http::Listener::Tcp(listener, tls), router).await;
    });
}

const HTTP: &str = "http";
const SOCKET: &str = "http socket";
/// How often it is tried to get what could not be had at the start.
const AGAIN: Duration = Duration::from_secs(2);

fn open_tcp(
    address: std::net::SocketAddr,
    tls: Option<&TlsSettings>,
    board: &Arc<Board>,
) -> Result<(tokio::net::TcpListener, Option<http::Tls>), String> {
    let tls = tls
        .map(|t| http::Tls::load(t, "tls", Arc::clone(board)))
        .transpose()
        .map_err(|e| format!("cannot speak TLS: {e}; nothing listens on {address}"))?;
    let listener = bind(address).map_err(|e| {
        format!(
            "cannot listen on {address}: {e}; collecting goes on without, and it is tried again \
             every {} s (or set [http] listen to another address)",
            AGAIN.as_secs()
        )
    })?;
    Ok((listener, tls))
}

/// What could be had at the first attempt, or at a later one: a port may be another program's for a
/// moment, an address or a certificate may come after plimsoll. The board tells until then.
pub(super) async fn persist<T>(
    board: &Board,
    subject: &str,
    first: Option<T>,
    mut again: impl FnMut() -> Result<T, String>,
) -> T {
    if let Some(had) = first {
        return had;
    }
    loop {
        tokio::time::sleep(AGAIN).await;
        match again() {
            Ok(had) => {
                board.ok(subject);
                return had;
            }
            Err(why) => board.fail(subject, why),
        }
    }
}

/// The outcome of the first attempt; why there is none is on the board.
pub(super) fn told<T>(board: &Board, subject: &str, first: Result<T, String>) -> Option<T> {
    first.inspect_err(|why| board.fail(subject, why.clone())).ok()
}

/// Until there is a token, and as long as it cannot be read.
async fn wait_for_token(
    tokens: &http::tokens::Tokens,
    board: &Board,
    address: std::net::SocketAddr,
) {
    loop {
        match tokens.any() {
            Ok(true) => return board.ok(HTTP),
            Ok(false) => board.fail(
                HTTP,
                format!("{address} is not served before there is a token: plimsoll token add NAME --scope read"),
            ),
            Err(e) => board.fail(HTTP, e.to_string()),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn bind_unix(path: &Path) -> std::io::Result<tokio::net::UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    match std::fs::symlink_metadata(path) {
        // A leftover: whoever still listens there would hold the database's lock, too.
        Ok(m) if m.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(std::io::Error::other("this is something else than a socket")),
        Err(_) => {}
    }
    let listener = tokio::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
