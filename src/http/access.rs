//! http: access: programs on this machine need no token, all others do.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::peer::{Line, Peer};
use super::tokens::{Scope, Token, Tokens};
use crate::pipeline::{Board, Counters};

/// The origin of an accepted request; handlers find it among the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// This machine, without being asked.
    Here,
    /// Another machine with a token.
    Elsewhere,
    /// Another machine with a token that is bound to this instance.
    Instance(Box<str>),
}

/// The token of an accepted request; long answers check it again. A request that needs no token has
/// no pass.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    tokens: Arc<Tokens>,
    token: Token,
}

impl Pass {
    /// Whether the token is still there as it was; false where the tokens cannot be read.
    pub(super) fn holds(&self) -> bool {
        self.tokens.knows(&self.token).unwrap_or(false)
    }
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Access {
    tokens: Arc<Tokens>,
    behind_proxy: bool,
    board: Arc<Board>,
    counters: Arc<Counters>,
    unknown: Arc<Unknown>,
}

/// Requests with a token that is not known here.
#[derive(Debug)]
struct Unknown {
    /// When the log said so last, and how many there were since.
    told: Mutex<(Option<Instant>, u64)>,
    /// Places for delayed answers; beyond them, the answer is immediate.
    places: tokio::sync::Semaphore,
}

/// The log has one line in this time at the most, however many come.
const QUIET: Duration = Duration::from_secs(60);

/// The delay of the answer to an unknown token. Nobody can guess 256 bits; this slows down a sender
/// with an old token.
const HELD_UP: Duration = Duration::from_millis(200);

/// The number of delayed answers at a time.
const PLACES: usize = 32;

/// The answer to a refused request.
#[derive(Debug)]
pub(super) struct Refusal {
    response: Response,
    /// Holds it up, where that is due.
    held_up: Option<Arc<Unknown>>,
}

impl Refusal {
    /// The answer, after a moment where it is one to a token that is not known.
    pub(super) async fn answer(self) -> Response {
        if let Some(unknown) = &self.held_up
            && let Ok(_place) = unknown.places.try_acquire()
        {
            tokio::time::sleep(HELD_UP).await;
        }
        self.response
    }
}

/// Set by proxies: the request only looks as if it came from this machine.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

const SUBJECT: &str = "tokens";

impl Access {
    /// With `behind_proxy` no request is local, because all come through the proxy.
    pub fn new(
        tokens: Arc<Tokens>,
        behind_proxy: bool,
        board: Arc<Board>,
        counters: Arc<Counters>,
    ) -> Self {
        let places = tokio::sync::Semaphore::new(PLACES);
        let unknown = Arc::new(Unknown { told: Mutex::default(), places });
        Self { tokens, behind_proxy, board, counters, unknown }
    }

    /// Whether everybody comes by way of a proxy.
    pub(super) fn behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    /// Counts a token that is not known, and says so in the log now and then.
    fn count_unknown(&self, from: Option<IpAddr>) {
        self.counters.tokens_refused.fetch_add(1, Relaxed);
        let mut told = self.unknown.told.lock().unwrap_or_else(|e| e.into_inner());
        let now = Instant::now();
        told.1 += 1;
        if told.0.is_some_and(|last| now - last < QUIET) {
            return;
        }
        let from = from.map_or_else(String::new, |ip| format!(", the last from {ip}"));
        tracing::warn!("http: refused requests with a token that is not known: {}{from}", told.1);
        *told = (Some(now), 0);
    }

    /// The reason why a request is refused; `None` if it is accepted, and then it carries its
    /// [`From`].
    pub(super) fn refuse(&self, request: &mut Request) -> Option<Refusal> {
        let headers = request.headers();
        // The page's own files say nothing about this machine, and dress the refusal too.
        if request.method().is_safe() && request.uri().path().starts_with("/assets/") {
            return None;
        }
        let wanted = wanted(request.method(), request.uri().path());
        let page = headers
            .get(header::ACCEPT)
            .and_then(|a| a.to_str().ok())
            .is_some_and(|a| a.contains("text/html"));
        let refusal = |status, what: &str| {
            let response = refusal(status, what, page);
            Refusal { response, held_up: None }
        };
        let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::Remote);
        let forwarded = FORWARDED.iter().find(|name| headers.contains_key(**name));
        if peer == Peer::Local && !self.behind_proxy && forwarded.is_none() {
            request.extensions_mut().insert(From::Here);
            return None;
        }
        let Some(secret) = secret(headers) else {
            let mut what =
                format!("this takes a token: plimsoll token add NAME --scope {}", wanted.name());
            if let (Some(header), Peer::Local, false) = (forwarded, peer, self.behind_proxy) {
                what += &format!(
                    "; it comes by way of a proxy (its header {header} says so), so it is not \
                     taken for a program of this machine: set `behind_proxy = true` under [http]"
                );
            }
            return Some(refusal(StatusCode::UNAUTHORIZED, &what));
        };
        let found = self.tokens.find(&secret);
        if found.is_ok() {
            self.board.ok(SUBJECT);
        }
        match found {
            // Senders of Influx' protocol ask first whether anybody is there.
            Ok(Some(token)) if token.scope.opens(wanted) || request.uri().path() == "/ping" => {
                let bound = token.instance.as_deref();
                let from = bound.map_or(From::Elsewhere, |i| From::Instance(i.into()));
                request.extensions_mut().insert(from);
                request.extensions_mut().insert(Pass { tokens: Arc::clone(&self.tokens), token });
                None
            }
            Ok(Some(token)) => {
                let (has, wanted) = (token.scope.name(), wanted.name());
                let what = format!("this token has the scope `{has}`; this takes `{wanted}`");
                Some(refusal(StatusCode::FORBIDDEN, &what))
            }
            Ok(None) => {
                self.count_unknown(request.extensions().get::<Line>().and_then(|line| line.from));
                let refused = refusal(StatusCode::UNAUTHORIZED, "this token is not known here");
                Some(Refusal { held_up: Some(Arc::clone(&self.unknown)), ..refused })
            }
            Err(e) => {
                self.board.fail(SUBJECT, e.to_string());
                Some(refusal(StatusCode::UNAUTHORIZED, "the tokens cannot be read; see /health"))
            }
        }
    }
}

/// Every other path is for looking, whatever the method: a long query is sent by POST.
fn wanted(method: &Method, path: &str) -> Scope {
    if path == "/api/alerts" && !method.is_safe() {
        return Scope::Admin;
    }
    let pushes = ["/write", "/api/v1/write", "/api/v2/write", "/api/push"].contains(&path)
        || path.starts_with("/metrics/");
    if pushes { Scope::Push } else { Scope::Read }
}

/// The secret: after `Bearer`, after `Token` (Influx), or the password of basic authentication with
/// any user name.
fn secret(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
        // Influx 1 by way of 2: `Token user:password`.
        return Some(rest.rsplit(':').next().unwrap_or(rest).to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(crate::wire::base64::decode(rest)?).ok()?;
        return text.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

fn refusal(status: StatusCode, what: &str, page: bool) -> Response {
    let mut response = if page {
        (status, axum::response::Html(super::page::assets::no_permission(what))).into_response()
    } else {
        let body = serde_json::json!({"code": "unauthorized", "message": what, "error": what});
        (status, axum::Json(body)).into_response()
    };
    if status == StatusCode::UNAUTHORIZED {
        let schemes =
            HeaderValue::from_static("Bearer realm=\"plimsoll\", Basic realm=\"plimsoll\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, schemes);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_here_are_free_and_strangers_need_the_right_token() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("metrics.sqlite");
        let add =
            |scope| super::super::tokens::add(&db, Scope::name(scope), scope, None, 0).unwrap();
        let [read, push, admin] = Scope::ALL.map(add);
        let board = Arc::new(Board::new(Arc::new(crate::model::ManualClock::at(0))));
        let counters = Arc::new(Counters::default());
        let access = |proxy| {
            let tokens = Arc::new(Tokens::new(&db));
            Access::new(tokens, proxy, Arc::clone(&board), Arc::clone(&counters))
        };
        let asked = |proxy, peer: Option<Peer>, path: &str, header: Option<(&str, &str)>| {
            let mut request = Request::builder().method("POST").uri(path);
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let mut request = request.body(axum::body::Body::empty()).unwrap();
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            access(proxy).refuse(&mut request).map_or(200, |r| r.response.status().as_u16())
        };
        let bearer = |token: &str| format!("Bearer {token}");
        let local = Some(Peer::Local);
        assert_eq!(asked(false, local, "/api/push", None), 200);
        assert_eq!(asked(false, local, "/metrics", None), 200);
        // A request from a proxy on this machine is not local.
        for name in FORWARDED {
            assert_eq!(asked(false, local, "/api/push", Some((name, "203.0.113.5"))), 401);
            assert_eq!(asked(false, local, "/metrics", Some((name, "203.0.113.5"))), 401);
            assert_eq!(asked(false, local, "/api/sql", Some((name, "203.0.113.5"))), 401);
        }
        for (proxy, peer) in [(true, local), (false, Some(Peer::Remote)), (false, None)] {
            for (path, good) in [
                ("/api/push", [&push, &admin]),
                ("/write", [&push, &admin]),
                ("/api/v1/write", [&push, &admin]),
                ("/metrics/job/a", [&push, &admin]),
                ("/metrics", [&read, &admin]),
                ("/health", [&read, &admin]),
                ("/nothing", [&read, &admin]),
            ] {
                assert_eq!(asked(proxy, peer, path, None), 401, "{path}");
                let wrong = bearer("plimsoll_0");
                assert_eq!(asked(proxy, peer, path, Some(("authorization", &wrong))), 401);
                for token in [&read, &push, &admin] {
                    let expected = if good.contains(&token) { 200 } else { 403 };
                    let header = bearer(token);
                    let status = asked(proxy, peer, path, Some(("authorization", &header)));
                    assert_eq!(status, expected, "{path} {token}");
                }
            }
            for token in [&read, &push, &admin] {
                let header = bearer(token);
                assert_eq!(asked(proxy, peer, "/ping", Some(("authorization", &header))), 200);
            }
            assert_eq!(asked(proxy, peer, "/ping", None), 401);
        }
        assert_eq!(counters.tokens_refused.load(Relaxed), 21, "7 paths in 3 ways");
    }

    #[test]
    fn a_pass_ends_with_its_token_and_a_file_that_is_gone_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("metrics.sqlite");
        let secret = super::super::tokens::add(&db, "web", Scope::Read, None, 0).unwrap();
        let board = Arc::new(Board::new(Arc::new(crate::model::ManualClock::at(0))));
        let tokens = Arc::new(Tokens::new(&db));
        let access = Access::new(tokens, false, Arc::clone(&board), Arc::default());
        let ask = || {
            let header = format!("Bearer {secret}");
            let request = Request::builder().uri("/api/live").header("authorization", header);
            let mut request = request.body(axum::body::Body::empty()).unwrap();
            let refused = access.refuse(&mut request).is_some();
            (refused, request.extensions_mut().remove::<Pass>())
        };
        let (refused, pass) = ask();
        let pass = pass.unwrap();
        assert!(!refused && pass.holds());
        super::super::tokens::revoke(&db, "web").unwrap();
        assert!(!pass.holds());
        super::super::tokens::add(&db, "web", Scope::Read, None, 0).unwrap();
        assert!(!pass.holds(), "another token of the same name");
        let file = super::super::tokens::tokens_path(&db);
        std::fs::write(&file, "what is this").unwrap();
        assert!(ask().0 && board.problems().iter().any(|(subject, _)| subject == SUBJECT));
        std::fs::remove_file(&file).unwrap();
        assert!(ask().0 && board.problems().is_empty());
    }

    #[test]
    fn secrets_as_clients_send_them() {
        let found = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::try_from(value).unwrap());
            secret(&headers)
        };
        for value in ["Bearer abc", "bearer  abc", "Token abc", "Token me:abc", "Basic bWU6YWJj"] {
            assert_eq!(found(value).as_deref(), Some("abc"), "{value}");
        }
        for value in ["abc", "Digest abc", "Basic ###", "Basic YWJj"] {
            assert_eq!(found(value), None, "{value}");
        }
    }
}
