//! reach: asks a server by HTTP/1.1: one request, one answer, then the connection is closed.
//!
//! Bounds: one deadline for all of it, 64 KiB of the answer, 100 of its headers. No redirect is
//! followed. A proxy is used for `https` only, and only where `HTTPS_PROXY` names one.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connect::{ReachError, Stream, Trusted, before, connect, hide, plain};
use crate::wire::base64;

/// Of an answer. What comes behind is not read.
const MAX_ANSWER: usize = 64 << 10;
/// What a proxy may say before it connects.
const MAX_PROXY: usize = 8 << 10;

/// The way to all servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpWay {
    /// A file in PEM with the certificates that are trusted; nothing: the system's authorities.
    pub ca: Option<PathBuf>,
    /// The proxy for `https`: `http://user:password@host:port`.
    pub proxy: Option<String>,
    /// Hosts that are asked without it, and what ends in them; `*` is all.
    pub no_proxy: Vec<String>,
}

impl HttpWay {
    /// The proxy of the environment: `HTTPS_PROXY` and `NO_PROXY`, in large or small letters.
    pub fn of_environment() -> Self {
        let either = |large: &str| {
            let small = large.to_ascii_lowercase();
            let named = [large, &small].into_iter().find_map(|name| std::env::var(name).ok());
            named.filter(|value| !value.is_empty())
        };
        let hosts = either("NO_PROXY").unwrap_or_default();
        let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
        Self {
            ca: None,
            proxy: either("HTTPS_PROXY"),
            no_proxy: hosts.map(str::to_owned).collect(),
        }
    }

    pub(super) fn proxy_for(&self, host: &str) -> Option<&str> {
        let without = |name: &String| {
            let name = name.trim_start_matches('.');
            let before = host.strip_suffix(name);
            name == "*" || before.is_some_and(|b| b.is_empty() || b.ends_with('.'))
        };
        self.proxy.as_deref().filter(|_| !self.no_proxy.iter().any(without))
    }
}

/// A request.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, `PUT`.
    pub method: &'static str,
    /// `https://user:password@host:port/path?query`. User and password become a header.
    pub url: String,
    /// Beside `Host`, `User-Agent` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A POST.
    pub fn post(url: impl Into<String>, content: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content.to_owned())];
        Self { method: "POST", url: url.into(), headers, body: body.into() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    /// 200.
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// The beginning of what was sent back.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// What was sent back, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends the request and waits for the answer, until the deadline at the latest. Not to be called
/// within a runtime.
///
/// # Errors
/// Nobody answered, or the request cannot be sent.
pub fn ask_http(
    request: &HttpRequest,
    way: &HttpWay,
    deadline: Instant,
) -> Result<HttpAnswer, ReachError> {
    before(deadline, ask(request, way))
}

/// Who is asked, out of a URL.
struct Asked {
    secure: bool,
    host: String,
    port: u16,
    /// As it stands in the header `Host`.
    authority: String,
    /// Path and query.
    path: String,
    /// `user:password`.
    login: Option<String>,
}

impl Asked {
    /// No error repeats the URL: it may hold secrets.
    fn of(url: &str) -> Result<Self, ReachError> {
        let lasting = |what: &str| ReachError::Lasting(what.to_owned());
        // What is behind `#` is not sent.
        let url = url.split('#').next().unwrap_or_default();
        let uri: Uri = url
            .parse()
            .map_err(|_| lasting("this is no address of a web server: https://host/path"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(lasting("the address has to begin with https:// or http://")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).unwrap_or_default().to_owned();
        if host.is_empty() {
            return Err(lasting("the address names no host"));
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let whole = uri.authority().map(|a| a.as_str()).unwrap_or_default();
        let (login, authority) = match whole.rsplit_once('@') {
            Some((login, authority)) => (Some(login), authority),
            None => (None, whole),
        };
        let login = login.map(|login| {
            percent_encoding::percent_decode_str(login).decode_utf8_lossy().into_owned()
        });
        let path = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        Ok(Self { secure, host, port, authority: authority.to_owned(), path, login })
    }
}

async fn ask(request: &HttpRequest, way: &HttpWay) -> Result<HttpAnswer, ReachError> {
    let asked = Asked::of(&request.url)?;
    let stream: Box<dyn Stream> = if asked.secure {
        let trusted = way.ca.as_deref().map_or(Trusted::System, Trusted::File);
        let stream = match way.proxy_for(&asked.host) {
            Some(proxy) => through(proxy, &asked).await?,
            None => connect(&asked.host, asked.port).await?,
        };
        hide(stream, &asked.host, trusted).await?
    } else {
        Box::new(connect(&asked.host, asked.port).await?)
    };
    talk(stream, request, &asked).await
}

/// One request and its answer on a connection that is open; see [`ask_http`]. It needs a runtime, and
/// no network.
///
/// # Errors
/// What comes back is no answer, or the request cannot be sent.
pub async fn ask_http_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: &HttpRequest,
) -> Result<HttpAnswer, ReachError> {
    talk(Box::new(stream), request, &Asked::of(&request.url)?).await
}

async fn talk(
    stream: Box<dyn Stream>,
    request: &HttpRequest,
    asked: &Asked,
) -> Result<HttpAnswer, ReachError> {
    let host = asked.host.as_str();
    let broken = |e: hyper::Error| ReachError::Passing(format!("{host}: {}", reason(&e)));
    let head =
        |e: hyper::http::Error| ReachError::Lasting(format!("the request cannot be sent: {e}"));
    let mut builder = hyper::Request::builder()
        .method(request.method)
        .uri(&asked.path)
        .header("Host", &asked.authority)
        .header("User-Agent", concat!("plimsoll/", env!("CARGO_PKG_VERSION")))
        .header("Connection", "close");
    if let Some(login) = &asked.login {
        builder = builder.header("Authorization", basic(login));
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value.as_bytes());
    }
    let ready = builder.body(Full::new(Bytes::copy_from_slice(&request.body))).map_err(head)?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let mut connection = pin!(connection);
    let talk = async {
        let answer = sender.send_request(ready).await.map_err(broken)?;
        let status = answer.status().as_u16();
        let named = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let headers = answer.headers().iter().map(named).collect();
        let mut rest = answer.into_body();
        let mut body = Vec::new();
        while let Some(frame) = rest.frame().await {
            // The status says how it went, also where the end of the text is missing.
            let Ok(frame) = frame else { break };
            if let Some(piece) = frame.data_ref() {
                body.extend_from_slice(&piece[..piece.len().min(MAX_ANSWER - body.len())]);
            }
            if body.len() == MAX_ANSWER {
                break;
            }
        }
        Ok(HttpAnswer { status, headers, body })
    };
    let mut talk = pin!(talk);
    // The connection does the work; it ends first where it breaks.
    tokio::select! {
        biased;
        answer = &mut talk => answer,
        _ended = &mut connection => talk.await,
    }
}

/// The header `Authorization` of `user:password`.
pub fn basic(login: &str) -> String {
    format!("Basic {}", base64::encode(login.as_bytes()))
}

fn reason(e: &hyper::Error) -> String {
    let source = std::error::Error::source(e);
    match source.and_then(|s| s.downcast_ref::<std::io::Error>()) {
        Some(io) => plain(io),
        None if e.is_incomplete_message() => {
            "the connection was closed before an answer came".into()
        }
        None if e.is_parse() => "the answer is not HTTP".into(),
        None => e.to_string(),
    }
}

/// A connection by a proxy.
async fn through(proxy: &str, asked: &Asked) -> Result<TcpStream, ReachError> {
    let address = Asked::of(proxy)
        .ok()
        .filter(|proxy| !proxy.secure)
        .ok_or_else(|| ReachError::Lasting("HTTPS_PROXY has to be http://host:port".into()))?;
    let stream = connect(&address.host, address.port).await?;
    let to = format!("{}:{}", asked.host, asked.port);
    pass_proxy(stream, &address.host, address.login.as_deref(), &to).await
}

/// Asks the proxy at the other end to connect with `to` (host and port). What is said on the stream
/// that comes back is said to that server.
///
/// # Errors
/// The proxy refuses, or what it says is no answer.
pub async fn pass_proxy<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    proxy: &str,
    login: Option<&str>,
    to: &str,
) -> Result<S, ReachError> {
    let said = |what: &str| ReachError::Passing(format!("the proxy {proxy}: {what}"));
    let login =
        login.map_or_else(String::new, |l| format!("Proxy-Authorization: {}\r\n", basic(l)));
    let wish = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{login}\r\n");
    stream.write_all(wish.as_bytes()).await.map_err(|e| said(&plain(&e)))?;
    // Byte by byte: what follows is TLS.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_PROXY {
            return Err(said("its answer has no end"));
        }
        head.push(stream.read_u8().await.map_err(|e| said(&plain(&e)))?);
    }
    let first = String::from_utf8_lossy(&head);
    let first = first.lines().next().unwrap_or_default();
    match first.split(' ').nth(1) {
        Some("200") => Ok(stream),
        _ => Err(said(&first.chars().filter(|c| !c.is_control()).take(100).collect::<String>())),
    }
}
