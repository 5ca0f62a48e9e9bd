//! daemon: the HTTP server: its sockets, its host names, and its tokens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use super::listen::{AGAIN, Places, bind, persist, told};
use crate::config::{Config, Http, TlsSettings};
use crate::daemon::memory;
use crate::daemon::running::{Running, Started};
use crate::daemon::service::{Service, Setting, Start};
use crate::daemon::shared::Shared;
use crate::http;
use crate::model::{Metric, Recorder};
use crate::pipeline::Board;
use crate::receive::clear_stream;

static PUT_OFF: Metric = Metric::counter(
    "plimsoll_pushes_put_off_total",
    "",
    "Pushes answered with 503, because too much waited to be written.",
);
static PUSHES_REFUSED: Metric = Metric::counter(
    "plimsoll_pushes_refused_total",
    "",
    "Pushes by HTTP without any accepted value, as their senders were told.",
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
    "Viewers of live values that were disconnected or refused, because they were too slow or too many.",
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
    socket: Option<PathBuf>,
    /// The address, until it can be had.
    place: Places,
}

impl Running for Web {
    fn greeting(&self, _: &Config) -> String {
        match &*self.place.all() {
            [] => "nowhere (no HTTP)".into(),
            [place, ..] => format!("{place}  (the page; /metrics, /health, /api/…)"),
        }
    }

    fn listening(&self) -> Vec<String> {
        let socket = self.socket.as_ref().map(|path| format!("unix {}", path.display()));
        self.place.all().into_iter().chain(socket).collect()
    }

    /// Applies a reload, except for the address, which stays until the next start.
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

/// The host names of this machine in requests: those of the configuration, and the listening
/// address, because no stranger's name leads to a bare address.
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

/// Starts the server. If that fails, everything else continues, and the board reports it.
fn start(shared: &Shared) -> Web {
    let config = shared.config().http.clone();
    let hosts = http::Hosts::new(names_of(&config));
    let tokens = Arc::new(http::tokens::Tokens::new(&shared.database));
    let router = router(shared, &hosts, &tokens, config.behind_proxy);
    let place = Places::default();
    let web =
        Web { shared: shared.clone(), hosts, socket: config.socket.clone(), place: place.clone() };
    if let Some(path) = config.socket {
        listen_unix(Arc::clone(&shared.board), path, router.clone());
    }
    let Some(address) = config.listen else { return web };
    let url = {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        move |address: SocketAddr| format!("{scheme}://{address}")
    };
    place.wait_for(&url(address));
    let open = {
        let board = Arc::clone(&shared.board);
        move || open_tcp(address, config.tls.as_ref(), &board)
    };
    let first = told(&shared.board, HTTP, open());
    let at_once = first.is_some();
    let note = {
        let door = Arc::clone(&shared.door);
        move |listener: &tokio::net::TcpListener| {
            let found = listener.local_addr().unwrap_or(address);
            let _first = door.listening.set(found);
            place.opened(&url(address), &url(found));
            url(found)
        }
    };
    if let Some((listener, _)) = &first {
        note(listener);
    }
    let board = Arc::clone(&shared.board);
    tokio::spawn(async move {
        let (listener, tls) = persist(&board, HTTP, first, open).await;
        if !at_once {
            tracing::info!("listening  {}", note(&listener));
        }
        // The address is taken, but without tokens nobody from outside is accepted.
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
    let (router, inside) = http::router(http::AppState {
        flow: shared.flow.clone(),
        pushes: Arc::default(),
        desk: Arc::clone(&shared.desk),
        database: shared.database.to_path_buf(),
        alerts: Arc::clone(&shared.alerts),
        config: shared.config.clone(),
        system: shared.system.to_string(),
        started: shared.started,
        hosts: hosts.clone(),
        access,
        rested: memory::give_back,
        services: Arc::new(move || services.services.serving(&services.board)),
    });
    let _first = shared.door.inside.set(inside);
    router
}

fn listen_unix(board: Arc<Board>, path: PathBuf, router: axum::Router) {
    let open =
        move || bind_unix(&path).map_err(|e| format!("cannot listen on {}: {e}", path.display()));
    let first = told(&board, SOCKET, open());
    tokio::spawn(async move {
        let listener = persist(&board, SOCKET, first, open).await;
        http::serve(http::Listener::Unix(listener), router).await;
    });
}

const HTTP: &str = "http";
const SOCKET: &str = "http socket";
fn open_tcp(
    address: SocketAddr,
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
async fn wait_for_token(tokens: &http::tokens::Tokens, board: &Board, address: SocketAddr) {
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
