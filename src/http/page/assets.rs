//! http: the page's own files, as built by `dashboard/`: packed, and under a name that changes with
//! them, so that browsers keep them for good. The page names its first requests, so a browser sends
//! them while it still fetches the script.

use std::io::Read;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::http::params::Params;
use crate::query::number::parse_duration;

/// A file in the two packings that browsers take. Over plain HTTP they do not take brotli.
struct Asset {
    name: &'static str,
    kind: &'static str,
    brotli: &'static [u8],
    gzip: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $kind:literal) => {
        Asset {
            name: $name,
            kind: $kind,
            brotli: include_bytes!(concat!("../../../dashboard/dist/", $name, ".br")),
            gzip: include_bytes!(concat!("../../../dashboard/dist/", $name, ".gz")),
        }
    };
}

static INDEX: Asset = asset!("index.html", "text/html; charset=utf-8");
static ASSETS: [Asset; 3] = [
    asset!("page.js", "text/javascript; charset=utf-8"),
    asset!("page.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
];

/// The version of all files together; part of their addresses.
static VERSION: &str = include_str!("../../../dashboard/dist/version.txt");

/// The default range of the page, ms.
const USUAL_RANGE_MS: i64 = 3_600_000;
/// And nothing shorter.
const SHORTEST_MS: i64 = 10_000;

/// What the page at this address asks first, as part of a `Link` header: letter by letter as `start` in
/// `dashboard/src/store.ts` does, or it is asked twice. Nothing for another host or for a time that
/// was chosen: those are asked by the script.
fn first_questions(address: &Uri) -> String {
    let params = Params::new(address.query().unwrap_or_default().as_bytes(), b"");
    let given = |name: &str| !params.get(name).is_empty();
    let mut out = String::new();
    if given("host") {
        return out;
    }
    let mut ask = |what: &str, media: &str| {
        let comma = if out.is_empty() { "" } else { ", " };
        out.push_str(&format!("{comma}<{what}>; rel=preload; as=fetch; crossorigin{media}"));
    };
    ask("/api/overview", "");
    if address.path() != "/" || given("from") {
        return out;
    }
    let range = match params.get("range") {
        "all" => "all".to_owned(),
        text => parse_duration(text).unwrap_or(USUAL_RANGE_MS).max(SHORTEST_MS).to_string(),
    };
    if !given("chart") {
        for (points, media) in [(180, "(max-width: 699.98px)"), (300, "(min-width: 700px)")] {
            for id in ["first", "rest"] {
                let what = format!("/api/chart?range={range}&points={points}&id={id}");
                ask(&what, &format!("; media=\"{media}\""));
            }
        }
    }
    ask(&format!("/api/events?range={range}"), "");
    out
}

/// The `Link` header: the script and the style sheet, which a browser would otherwise ask for when it
/// has read the page, behind all questions; then these.
fn first_of_all(address: &Uri) -> String {
    let mut out = format!(
        "</assets/{VERSION}/page.js>; rel=modulepreload, \
         </assets/{VERSION}/page.css>; rel=preload; as=style; crossorigin"
    );
    let questions = first_questions(address);
    if !questions.is_empty() {
        out.push_str(", ");
        out.push_str(&questions);
    }
    out
}

/// `/` and the page's other views: one file, asked for again each time, which costs nothing while
/// it is the same.
pub(super) async fn index(address: Uri, headers: HeaderMap) -> Response {
    let tag = format!("\"{VERSION}\"");
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|t| t.as_bytes() == tag.as_bytes());
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { INDEX.answer(&headers) };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    let cache = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    if let Ok(first) = HeaderValue::try_from(first_of_all(&address)) {
        response.headers_mut().insert(header::LINK, first);
    }
    response
}

/// `/assets/VERSION/NAME`
pub(super) async fn asset(
    Path((version, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(asset) = ASSETS.iter().find(|a| a.name == name && version == VERSION) else {
        // The page of another plimsoll: loaded again, it asks for the right one.
        return (StatusCode::NOT_FOUND, "there is no such file here\n").into_response();
    };
    let mut response = asset.answer(&headers);
    let cache = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

/// A file of the page as text, for use without a daemon; `None` for an unknown name.
pub fn unpacked(name: &str) -> Option<String> {
    let asset = ASSETS.iter().find(|a| a.name == name)?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(asset.gzip).read_to_string(&mut text).ok()?;
    Some(text)
}

impl Asset {
    fn answer(&self, headers: &HeaderMap) -> Response {
        let taken: Vec<&str> = headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .filter(|one| !one.replace(' ', "").ends_with(";q=0"))
            .map(|one| one.split(';').next().unwrap_or_default().trim())
            .collect();
        let (body, packing) = if taken.contains(&"br") {
            (self.brotli.to_vec(), Some("br"))
        } else if taken.contains(&"gzip") {
            (self.gzip.to_vec(), Some("gzip"))
        } else {
            let mut plain = Vec::new();
            if let Err(e) = flate2::read::GzDecoder::new(self.gzip).read_to_end(&mut plain) {
                return (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response();
            }
            (plain, None)
        };
        let mut response = ([(header::CONTENT_TYPE, self.kind)], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Some(packing) = packing {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(packing));
        }
        response
    }
}

/// The page for a browser without permission: the needed token, and how to get one.
pub(in crate::http) fn no_permission(what: &str) -> String {
    let mut text = String::new();
    for c in what.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            c => text.push(c),
        }
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>plimsoll: no permission</title>\
         <link rel=\"stylesheet\" href=\"/assets/{VERSION}/page.css\">\
         <main class=\"state\"><h1>Not for everybody</h1>\
         <p>This plimsoll shows its figures to who has a token. On its machine, run</p>\
         <pre>plimsoll token add NAME --scope read</pre>\
         <p>then load this page again; any user name will do, and the token is the password.</p>\
         <p class=\"dim\">{text}</p></main></html>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_first_goes_with_the_address() {
        let asked = |address: &'static str| first_questions(&Uri::from_static(address));
        let plain = "; rel=preload; as=fetch; crossorigin";
        assert_eq!(
            asked("/"),
            format!(
                "</api/overview>{plain}, \
                 </api/chart?range=3600000&points=180&id=first>{plain}; \
                 media=\"(max-width: 699.98px)\", \
                 </api/chart?range=3600000&points=180&id=rest>{plain}; \
                 media=\"(max-width: 699.98px)\", \
                 </api/chart?range=3600000&points=300&id=first>{plain}; \
                 media=\"(min-width: 700px)\", \
                 </api/chart?range=3600000&points=300&id=rest>{plain}; \
                 media=\"(min-width: 700px)\", </api/events?range=3600000>{plain}"
            )
        );
        assert!(asked("/?range=1y").contains("</api/events?range=31536000000>"));
        assert!(asked("/?range=all&open=a").contains("/api/chart?range=all&points"));
        assert!(asked("/?range=2s").contains("range=10000&"));
        assert!(asked("/?range=%3E%0D%0AX").contains("range=3600000&"), "nothing is passed on");
        assert!(!asked("/?chart=load").contains("/api/chart"));
        assert_eq!(asked("/explore?expr=a"), format!("</api/overview>{plain}"));
        assert_eq!(asked("/?from=2026-01-01&to=2026-01-02"), format!("</api/overview>{plain}"));
        assert_eq!(asked("/?host=db2"), "");
        let files = first_of_all(&Uri::from_static("/?host=db2"));
        assert_eq!(files.matches(&format!("/assets/{VERSION}/page.")).count(), 2);
        let all = first_of_all(&Uri::from_static("/"));
        assert_eq!(all, format!("{files}, {}", asked("/")));
    }
}
