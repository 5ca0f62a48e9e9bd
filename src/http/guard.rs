//! http: who may ask: requests that name a host this daemon goes by. A page elsewhere whose name is
//! made to point at 127.0.0.1 (DNS rebinding) names another. And what changes something may not come
//! from a page that is not ours: browsers say in `Origin` whose it is.

use std::sync::{Arc, RwLock};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Access;

/// Marks what came by the unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unix;

/// The names that are answered to, beside the loopback's own.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Arc<RwLock<Vec<String>>>);

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Hosts {
    /// These names and the loopback's.
    pub fn new(names: Vec<String>) -> Self {
        Self(Arc::new(RwLock::new(names)))
    }

    /// Other names from now on.
    pub fn set(&self, names: Vec<String>) {
        *self.0.write().unwrap_or_else(|e| e.into_inner()) = names;
    }

    /// Whether a Host header (`name`, `name:port`) is one of ours.
    pub fn answer_to(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        LOOPBACK.iter().any(|n| name.eq_ignore_ascii_case(n))
            || self
                .0
                .read()
                .unwrap_or_else(|e| e.into_inner())
                .iter()
                .any(|n| name.eq_ignore_ascii_case(n))
    }
}

/// Refuses strangers' names, and strangers, and puts the security headers on every answer.
pub(super) async fn check(
    hosts: &Hosts,
    access: &Access,
    mut request: Request,
    next: Next,
) -> Response {
    let mut names = request.headers().get_all(header::HOST).iter();
    let known = match (names.next(), names.next()) {
        // No page is brought to a unix socket, and clients put there whatever they like.
        (Some(_), None) if request.extensions().get() == Some(&Unix) => true,
        (Some(host), None) => host.to_str().is_ok_and(|h| hosts.answer_to(h)),
        _ => false,
    };
    let mut response = if !known {
        let why = "this name is not one of mine; add it to `hosts` under [http] in plimsoll.toml\n";
        (StatusCode::MISDIRECTED_REQUEST, why).into_response()
    } else if !request.method().is_safe() && !from_our_page(hosts, request.headers()) {
        let why = "pages of other sites may not send anything here\n";
        (StatusCode::FORBIDDEN, why).into_response()
    } else {
        match access.refuse(&mut request) {
            None => next.run(request).await,
            Some(refusal) => refusal,
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Programs send no `Origin`; pages cannot help it.
fn from_our_page(hosts: &Hosts, headers: &HeaderMap) -> bool {
    let elsewhere = headers.get("sec-fetch-site").is_some_and(|s| s == "cross-site");
    let ours = |origin: &HeaderValue| {
        let host = origin.to_str().ok().and_then(|o| o.split_once("://"));
        host.is_some_and(|(_, host)| hosts.answer_to(host))
    };
    !elsewhere && headers.get_all(header::ORIGIN).iter().all(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names() {
        let hosts = Hosts::new(vec!["monitor.example".into()]);
        for ours in [
            "localhost",
            "LOCALHOST:1876",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:1876",
            "monitor.example:80",
        ] {
            assert!(hosts.answer_to(ours), "{ours}");
        }
        for strange in
            ["", "evil.example", "localhost.evil.example", "::1", "127.0.0.1:80:x", ":1876"]
        {
            assert!(!hosts.answer_to(strange), "{strange}");
        }
    }
}
