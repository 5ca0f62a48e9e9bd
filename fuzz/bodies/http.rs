//! http: any bytes as a request: method, address, headers and body, past the guard and through every
//! route. No handler panics, and each request is answered.
//!
//! The first line is `METHOD ADDRESS`, then come lines `NAME: VALUE`, an empty line, and the body.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use plimsoll::config::Running;
use plimsoll::daemon::control;
use plimsoll::http::tokens::{Scope, Tokens, add};
use plimsoll::http::{Access, AppState, Hosts, Inside, router};
use plimsoll::model::{Identity, Labels, Registry, Series, SystemClock};
use plimsoll::pipeline::{Batch, Flow, Names, Queue, Source};
use plimsoll::query::desk::Desk;
use plimsoll::store::Store;

/// A server of this thread alone. Its database is in memory where there is such a place, and goes
/// with the thread.
struct Server {
    runtime: tokio::runtime::Runtime,
    router: axum::Router,
    inside: Inside,
    queue: Arc<Queue>,
    folder: PathBuf,
    token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.queue.close();
        let _unused = std::fs::remove_dir_all(&self.folder);
    }
}

fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    place.join(format!("plimsoll-fuzz-http-{}-{number}", std::process::id()))
}

/// The samples of one minute.
fn beat(registry: &Registry, ts: i64) -> Batch {
    let sample = |i: i64| {
        let labels = Labels::new([("n", i.to_string())]);
        let series = Series::undescribed(Identity::local("node", "a_total", labels));
        (registry.intern(series), (ts / 1_000 * i) as f64)
    };
    Batch::of(Source::Collect, ts, (1..4).map(sample).collect())
}

impl Server {
    fn new() -> Self {
        let folder = folder();
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        let database = folder.join("metrics.sqlite");
        let clock = Arc::new(SystemClock);
        let now = plimsoll::model::Clock::wall_ms(&*clock);
        let flow = Flow::new(clock, "here", 900_000, 100_000, Names::new(10_000));
        let registry = Arc::clone(&flow.registry);
        let mut store = Store::open(&database, "here", Arc::clone(&registry)).expect("fresh");
        for minute in 0..60 {
            store.commit(&[beat(&registry, now - minute * 60_000)]).expect("writable");
        }
        let head = store.head();
        drop(store);
        let token = add(&database, "fuzz", Scope::Admin, None, now).expect("writable");
        let queue = Arc::clone(&flow.queue);
        let tokens = Arc::new(Tokens::new(&database));
        let state = AppState {
            alerts: Default::default(),
            pushes: Arc::default(),
            desk: Arc::new(Desk::new(database.clone(), head, Arc::clone(&flow.counters))),
            database,
            config: Running::new(Arc::default(), now),
            system: "here".to_owned(),
            started: now,
            hosts: Hosts::default(),
            access: Access::new(tokens, false, Arc::clone(&flow.board), Arc::clone(&flow.counters)),
            rested: || (),
            services: Arc::new(Vec::new),
            flow,
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (router, inside) = runtime.block_on(async { router(state) });
        // In place of the writer: what was pushed counts as written.
        let taken = Arc::clone(&queue);
        std::thread::spawn(move || {
            let mut batches = Vec::new();
            while taken.take(&mut batches, Instant::now() + Duration::from_secs(1)) {
                taken.recycle(&mut batches);
                drop((taken.take_events(), taken.take_graphs()));
            }
        });
        Self { runtime, router, inside, queue, folder, token }
    }

    /// The status of the answer, once all of it has come.
    fn ask(&self, request: Request<Body>) -> u16 {
        self.runtime.block_on(async {
            let answer = TowerToHyperService::new(self.router.clone()).call(request).await;
            let Ok(response) = answer;
            assert!(response.headers().contains_key("content-security-policy"));
            let status = response.status();
            let _cut_short = response.into_body().collect().await.is_err();
            status.as_u16()
        })
    }
}

thread_local! {
    static SERVER: Server = Server::new();
}

/// The request that the bytes describe, if they describe any.
fn request(data: &[u8], token: &str) -> Option<Request<Body>> {
    let mut rest = data;
    let mut line = || {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        std::str::from_utf8(line).ok()
    };
    let (method, address) = line()?.split_once(' ')?;
    let mut request = Request::builder()
        .method(method)
        .uri(address)
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    while let Some((name, value)) = line().and_then(|l| l.split_once(": ")) {
        // An unknown token is held up for a while.
        if !name.eq_ignore_ascii_case("authorization") {
            request = request.header(name, value);
        }
    }
    request.body(Body::from(rest.to_vec())).ok()
}

/// One input, as a request or as what comes on the control socket. The status of the answer; none if
/// it was neither.
pub fn run(data: &[u8]) -> Option<u16> {
    let status = SERVER.with(|server| match serde_json::from_slice(data) {
        Ok(control::Request::Query { path, form }) => {
            Some(server.runtime.block_on(server.inside.ask(&path, &form)).0)
        }
        _ => Some(server.ask(request(data, &server.token)?)),
    })?;
    // A handler that panics on a thread of its own is answered with 500.
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR.as_u16());
    Some(status)
}
