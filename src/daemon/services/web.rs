//! daemon: the HTTP server: its sockets, what it may be called, and whom it waits for.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use super::listen::{AGAIN, bind, persist, told};
use crate::config::{Config, Http, TlsSettings};
use crate::daemon::memory;
use crate::daemon::service::{Running, Service, Setting, Start, Started};
use crate::daemon::shared::Shared;
use crate::http;
use crate::model::{Metric, Recorder};
use crate::pipeline::Board;
use crate::receive::clear_stream;

static PUT_OFF: Metric = Metric::counter(
    "plimsoll_pushes_put_off_total",
    "",
    "Pushes that were told to come again later, because too much waited to be written.",
);
static PUSHES_REFUSED: Metric = Metric::counter(
    "plimsoll_pushes_refused_total",
    "",
    "Pushes by HTTP of which nothing was taken, as their senders were told.",
);
static TOKENS_REFUSED: Metric = Metric::counter(
    "plimsoll_tokens_refused_total",
    "",
    "Requests by HTTP with a token that is not known here.",
);
static GROUPS_FORGOTTEN: Metric = Metric::counter(
    "plimsoll_push_groups_forgotten_total",
    "",
    "Groups of pushed text that were forgotten, because there were too many.",
);
static VIEWERS: Metric =
    Metric::gauge("plimsoll_viewers", "", "Pages that are being kept up to date.");
static VIEWERS_LOST: Metric = Metric::counter(
    "plimsoll_viewers_dropped_total",
    "",
    "Pages that are no longer kept up to date, or were not from the first: too slow, too many.",
)
.by(&["reason"]);
pub(super) const SERVICE: Service = Service {
    name: "http",
    greeting: "listening",
    subjects: &[HTTP, "tls"],
    settings: &[
        Setting::next_start("http.listen", |a, b| a.http.listen == b.http.listen),
        Setting::next_start("http.socket", |a, b| a.http.socket == b.http.socket),
        Setting::next_start("http.tls_cert", |a, b| a.http.tls == b.http.tls),
        Setting::next_start("http.behind_proxy", |a, b| a.http.behind_proxy == b.http.behind_proxy),
        Setting::at_once("http.hosts", |a, b| a.http.hosts == b.http.hosts),
    ],
    plan,
    json: |config| {
        json!({
            "listen": config.http.listen.map(|a| a.to_string()),
            "socket": config.http.socket.as_ref().map(|path| path.to_string_lossy()),
            "tls": config.http.tls.is_some(),
            "hosts": config.http.hosts,
        })
    },
    start: Start::First(|shared, _| Ok(Some(Started::tasks(start(shared))))),
};

fn plan(config: &Config) -> Vec<String> {
    let http = &config.http;
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    let mut lines: Vec<String> =
        http.listen.iter().map(|address| format!("{scheme}://{address}/")).collect();
    lines.extend(http.socket.iter().map(|socket| format!("unix {}", socket.display())));
    if !http.hosts.is_empty() {
        lines.push(format!("also as {}", http.hosts.join(", ")));
    }
    lines
}

/// The server; without an address it still answers the control socket.
struct Web {
    shared: Shared,
    hosts: http::Hosts,
    /// The socket in the file system, once it is there.
    socket: Arc<OnceLock<PathBuf>>,
    secure: bool,
}

impl Running for Web {
    fn greeting(&self, _: &Config) -> String {
        match self.shared.door.listening.get() {
            Some(address) => {
                format!("{}://{address}  (the page; /metrics, /health, /api/…)", self.scheme())
            }
            None => "nowhere (no HTTP)".into(),
        }
    }

    fn listening(&self) -> Vec<String> {
        let page = self.shared.door.listening.get();
        let page = page.map(|address| format!("{}://{address}", self.scheme()));
        let socket = self.socket.get().map(|path| format!("unix {}", path.display()));
        page.into_iter().chain(socket).collect()
    }

    /// Where it listens stays as it is until the next start.
    fn configure(&self, config: &Arc<Config>) -> Option<oneshot::Receiver<()>> {
        let listen = self.shared.door.listening.get().copied();
        self.hosts.set(names_of(&Http { listen, ..config.http.clone() }));
        None
    }

    fn report(&self, out: &mut Recorder) {
        let c = &self.shared.counters;
        // Most machines never have any of these.
        for (metric, labels, counter) in [
            (&PUT_OFF, &[][..], &c.pushes_put_off),
            (&PUSHES_REFUSED, &[], &c.pushes_refused),
            (&TOKENS_REFUSED, &[], &c.tokens_refused),
            (&GROUPS_FORGOTTEN, &[], &c.groups_forgotten),
            (&VIEWERS, &[], &c.viewers),
            (&VIEWERS_LOST, &["slow"], &c.viewers_dropped),
            (&VIEWERS_LOST, &["full"], &c.viewers_refused),
        ] {
            let count = counter.load(Relaxed);
            if count > 0 {
                out.put_with(metric, labels, count as f64);
            }
        }
    }
}

impl Web {
    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// What requests may call this machine: what the configuration says, and the address it listens on:
/// no name of a stranger's page leads to a page at a bare address.
fn names_of(http: &Http) -> Vec<String> {
    let mut names = http.hosts.clone();
    match http.listen.map(|address| address.ip()) {
        Some(ip) if ip.is_unspecified() => {}
        Some(std::net::IpAddr::V6(ip)) => names.push(format!("[{ip}]")),
        Some(ip) => names.push(ip.to_string()),
        None => {}
    }
    names
}

/// Without the page the main job still goes on; the board says so.
fn start(shared: &Shared) -> Web {
    let config = shared.config().http.clone();
    let hosts = http::Hosts::new(names_of(&config));
    let tokens = Arc::new(http::tokens::Tokens::new(&shared.database));
    let router = router(shared, &hosts, &tokens, config.behind_proxy);
    let secure = config.tls.is_some();
    let web = Web { shared: shared.clone(), hosts, socket: Arc::default(), secure };
    if let Some(path) = config.socket {
        listen_unix(Arc::clone(&shared.board), path, router.clone(), Arc::clone(&web.socket));
    }
    let Some(address) = config.listen else { return web };
    let open = {
        let board = Arc::clone(&shared.board);
        move || open_tcp(address, config.tls.as_ref(), &board)
    };
    let first = told(&shared.board, HTTP, open());
    let at_once = first.is_some();
    if let Some(address) = first.as_ref().and_then(|(l, _)| l.local_addr().ok()) {
        let _first = shared.door.listening.set(address);
    }
    let (board, door, scheme) = (Arc::clone(&shared.board), Arc::clone(&shared.door), web.scheme());
    tokio::spawn(async move {
        let (listener, tls) = persist(&board, HTTP, first, open).await;
        if let Some(address) = listener.local_addr().ok().filter(|_| !at_once) {
            let _first = door.listening.set(address);
            tracing::info!("listening  {scheme}://{address}");
        }
        // The place is taken, but nobody is let in whom no token could tell apart.
        if !address.ip().to_canonical().is_loopback() {
            wait_for_token(&tokens, &board, address).await;
        }
        http::serve(http::Listener::Tcp(listener, tls), router).await;
    });
    web
}

/// All routes; the control socket gets its own.
fn router(
    shared: &Shared,
    hosts: &http::Hosts,
    tokens: &Arc<http::tokens::Tokens>,
    behind_proxy: bool,
) -> axum::Router {
    let access = http::Access::new(
        Arc::clone(tokens),
        behind_proxy,
        Arc::clone(&shared.board),
        Arc::clone(&shared.counters),
    );
    let services = shared.clone();
    let (router, inside) = http::router(http::State {
        flow: shared.flow.clone(),
        desk: Arc::default(),
        database: shared.database.to_path_buf(),
        head: Arc::clone(&shared.head),
        config: shared.config.clone(),
        system: shared.system.to_string(),
        started: shared.started,
        hosts: hosts.clone(),
        access,
        rested: memory::give_back,
        services: Arc::new(move || services.services.serving(&services)),
    });
    let _first = shared.door.inside.set(inside);
    router
}

fn listen_unix(
    board: Arc<Board>,
    path: PathBuf,
    router: axum::Router,
    had: Arc<OnceLock<PathBuf>>,
) {
    let open = move || match bind_unix(&path) {
        Ok(listener) => {
            let _first = had.set(path.clone());
            Ok(listener)
        }
        Err(e) => Err(format!("cannot listen on {}: {e}", path.display())),
    };
    let first = told(&board, SOCKET, open());
    tokio::spawn(async move {
        let listener = persist(&board, SOCKET, first, open).await;
        http::serve(http::Listener::Unix(listener), router).await;
    });
}

const HTTP: &str = "http";
const SOCKET: &str = "http socket";
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
    use std::os::unix::fs::PermissionsExt;
    clear_stream(path)?;
    let listener = tokio::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
