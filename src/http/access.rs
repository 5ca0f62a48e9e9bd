//! http: who may do what: programs on this machine as they like, everybody else with a token.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::tokens::{Scope, Tokens};
use crate::pipeline::Board;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// This machine: a loopback address, or the unix socket.
    Local,
    /// Another one.
    Remote,
}

/// Who a request comes from, once it was let in; handlers find it among the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// This machine, without being asked.
    Here,
    /// Whoever has the token.
    Elsewhere,
    /// Whoever has the token that is bound to this instance.
    Instance(Box<str>),
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Access {
    tokens: Arc<Tokens>,
    behind_proxy: bool,
    board: Arc<Board>,
}

/// Set by proxies: the request only looks as if it came from this machine.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

const SUBJECT: &str = "tokens";

impl Access {
    /// `behind_proxy`: nobody is local, for everybody comes by way of the proxy.
    pub fn new(tokens: Arc<Tokens>, behind_proxy: bool, board: Arc<Board>) -> Self {
        Self { tokens, behind_proxy, board }
    }

    /// Why it may not pass; nothing: it may, and it carries who it is [`From`].
    pub(super) fn refuse(&self, request: &mut Request) -> Option<Response> {
        let headers = request.headers();
        // The page's own files say nothing about this machine, and dress the refusal too.
        if request.method().is_safe() && request.uri().path().starts_with("/assets/") {
            return None;
        }
        let wanted = wanted(request.uri().path());
        let page = headers
            .get(header::ACCEPT)
            .and_then(|a| a.to_str().ok())
            .is_some_and(|a| a.contains("text/html"));
        let refusal = |status, what: &str| refusal(status, what, page);
        let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::Remote);
        let forwarded =
            wanted == Scope::Push && FORWARDED.iter().any(|name| headers.contains_key(*name));
        if peer == Peer::Local && !self.behind_proxy && !forwarded {
            request.extensions_mut().insert(From::Here);
            return None;
        }
        let Some(secret) = secret(headers) else {
            let what =
                format!("this takes a token: plimsoll token add NAME --scope {}", wanted.name());
            return Some(refusal(StatusCode::UNAUTHORIZED, &what));
        };
        match self.tokens.find(&secret) {
            Ok(Some(token)) if token.scope.opens(wanted) => {
                self.board.ok(SUBJECT);
                let from = token.instance.map_or(From::Elsewhere, |i| From::Instance(i.into()));
                request.extensions_mut().insert(from);
                None
            }
            Ok(Some(token)) => {
                let (has, wanted) = (token.scope.name(), wanted.name());
                let what = format!("this token has the scope `{has}`; this takes `{wanted}`");
                Some(refusal(StatusCode::FORBIDDEN, &what))
            }
            Ok(None) => Some(refusal(StatusCode::UNAUTHORIZED, "this token is not known here")),
            Err(e) => {
                self.board.fail(SUBJECT, e.to_string());
                Some(refusal(StatusCode::UNAUTHORIZED, "the tokens cannot be read; see /health"))
            }
        }
    }
}

/// Every other path is for looking, whatever the method: a long query is sent by POST.
fn wanted(path: &str) -> Scope {
    let pushes = ["/write", "/api/v1/write", "/api/v2/write", "/api/push"].contains(&path)
        || path.starts_with("/metrics/");
    if pushes { Scope::Push } else { Scope::Read }
}

/// `Bearer`, what Influx calls `Token`, or the password of basic authentication; whoever it says
/// it is.
fn secret(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
        // Influx 1 by way of 2: `Token user:password`.
        return Some(rest.rsplit(':').next().unwrap_or(rest).to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(super::base64::decode(rest)?).ok()?;
        return text.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

fn refusal(status: StatusCode, what: &str, page: bool) -> Response {
    let mut response = if page {
        (status, axum::response::Html(super::page::no_permission(what))).into_response()
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
        let access = |proxy| Access::new(Arc::new(Tokens::new(&db)), proxy, Arc::clone(&board));
        let asked = |proxy, peer: Option<Peer>, path: &str, header: Option<(&str, &str)>| {
            let mut request = Request::builder().method("POST").uri(path);
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let mut request = request.body(axum::body::Body::empty()).unwrap();
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            access(proxy).refuse(&mut request).map_or(200, |r| r.status().as_u16())
        };
        let bearer = |token: &str| format!("Bearer {token}");
        let local = Some(Peer::Local);
        assert_eq!(asked(false, local, "/api/push", None), 200);
        assert_eq!(asked(false, local, "/metrics", None), 200);
        // What a proxy on this machine hands on is not from this machine.
        for name in FORWARDED {
            assert_eq!(asked(false, local, "/api/push", Some((name, "203.0.113.5"))), 401);
            assert_eq!(asked(false, local, "/metrics", Some((name, "203.0.113.5"))), 200);
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
        }
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
