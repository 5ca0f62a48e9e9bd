//! http: the guard: requests must name a host of this daemon. A page elsewhere whose name is made
//! to point at 127.0.0.1 (DNS rebinding) names another. And nothing may come from a foreign page,
//! neither changes nor reads: a page that can load a picture of an expression learns from its size
//! about the values. Browsers name their page in `Origin` and `Sec-Fetch-Site`; a link to the page
//! works from anywhere. Programs send neither.

use std::sync::{Arc, RwLock};

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Access;
use super::peer::{Line, Unix};

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
        let name = without_port(host);
        LOOPBACK.iter().any(|n| name.eq_ignore_ascii_case(n)) || self.is_set(name)
    }

    /// Whether a name was given in the configuration.
    fn is_set(&self, name: &str) -> bool {
        let names = self.0.read().unwrap_or_else(|e| e.into_inner());
        names.iter().any(|n| name.eq_ignore_ascii_case(n))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// On every answer.
pub(super) const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    // No page of another site gets to see anything, not even the size of a picture.
    ("cross-origin-resource-policy", "same-origin"),
];

/// The paths that a link from anywhere may lead to.
const LINKED: [&str; 6] = ["/", "/alerts", "/explore", "/hosts", "/graph.svg", "/graph.png"];

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
    // A whole address in the first line of a request counts before the header, as HTTP has it.
    let named = request.uri().authority().is_none_or(|name| hosts.answer_to(name.as_str()));
    let known = known && (named || request.extensions().get() == Some(&Unix));
    let mut response = if !known {
        let why = "this name is not one of mine; add it to `hosts` under [http] in plimsoll.toml\n";
        (StatusCode::MISDIRECTED_REQUEST, why).into_response()
    } else if !from_our_page(hosts, access, &request) {
        let why = if request.method().is_safe() {
            "pages of other sites may not load anything from here; fetch it with a program (curl), \
             or put the address into the browser\n"
        } else {
            "pages of other sites may not send anything here\n"
        };
        (StatusCode::FORBIDDEN, why).into_response()
    } else {
        match access.refuse(&mut request) {
            None => next.run(request).await,
            Some(refusal) => refusal.answer().await,
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether no page of another site has sent it; a link that was followed is no page's doing.
fn from_our_page(hosts: &Hosts, access: &Access, request: &Request) -> bool {
    let headers = request.headers();
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|v| v == value);
    let ours = |origin: &HeaderValue| {
        origin.to_str().is_ok_and(|o| is_our_origin(hosts, access, request, o))
    };
    if !headers.get_all(header::ORIGIN).iter().all(ours) {
        return false;
    }
    // Another port of this host is the same site, but not the same origin.
    let here = |site: &HeaderValue| site == "same-origin" || site == "none";
    let elsewhere = !headers.get_all("sec-fetch-site").iter().all(here);
    let link = request.method().is_safe()
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
        && LINKED.contains(&request.uri().path());
    !elsewhere || link
}

/// Whether the page lies where the request goes to: the same scheme, name and port. Behind a proxy,
/// which may ask with other ones, the names of `hosts` are trusted with any.
fn is_our_origin(hosts: &Hosts, access: &Access, request: &Request, origin: &str) -> bool {
    let Some((scheme, origin)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let unix = request.extensions().get() == Some(&Unix);
    if (access.behind_proxy() || unix) && hosts.is_set(without_port(origin)) {
        return true;
    }
    let tls = request.extensions().get::<Line>().is_some_and(|line| line.tls);
    if (scheme == "https") != tls && !access.behind_proxy() && !unix {
        return false;
    }
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    let plain = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    host.is_some_and(|host| plain(host) == plain(origin))
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
