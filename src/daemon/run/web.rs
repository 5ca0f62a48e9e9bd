//! daemon: the HTTP server's start: its sockets, what it may be called, and whom it waits for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Daemon;
use crate::config::Http;
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
    let fail = |what: String| shared.board.fail(HTTP, what);
    if let Some(path) = &config.socket {
        match bind_unix(path) {
            Ok(listener) => {
                let listener = http::Listener::Unix(listener);
                tokio::spawn(http::serve(listener, router.clone()));
                daemon.http = Some(hosts.clone());
            }
            Err(e) => fail(format!("cannot listen on {}: {e}", path.display())),
        }
    }
    let Some(address) = config.listen else { return };
    let tls =
        match config.tls.map(|t| http::Tls::load(&t, "tls", Arc::clone(&shared.board))).transpose()
        {
            Ok(tls) => tls,
            Err(e) => return fail(format!("cannot speak TLS: {e}; nothing listens on {address}")),
        };
    daemon.secure = tls.is_some();
    match bind(address) {
        Ok(listener) => {
            daemon.listening = listener.local_addr().ok();
            daemon.http = Some(hosts);
            let board = Arc::clone(&shared.board);
            tokio::spawn(async move {
                // The place is taken, but nobody is let in whom no token could tell apart.
                if !address.ip().to_canonical().is_loopback() {
                    wait_for_token(&tokens, &board, address).await;
                }
                http::serve(http::Listener::Tcp(listener, tls), router).await;
            });
        }
        Err(e) => fail(format!(
            "cannot listen on {address}: {e}; collecting goes on without (set [http] listen to another address)"
        )),
    }
}

const HTTP: &str = "http";

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
