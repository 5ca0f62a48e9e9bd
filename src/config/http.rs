//! config: the section `[http]`.

use std::path::PathBuf;

use super::Http;
use super::raw::Section;
use super::resolver::Resolver;
use super::values::{Listen, each};
use crate::model::options::{Given, Shape, Value, Wrong, list, options, quote};

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate with its intermediate ones, in PEM.
    pub cert: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

options! {
    /// The page and the API. Programs on this machine need no token.
    pub struct HttpOptions {
        /// Address and port, or "off". Other addresses than a loopback's need tokens (`plimsoll token
        /// add`) and TLS: either the two files below, which are read again when they change, or a
        /// proxy.
        listen: Listen<1876> = Listen::USUAL, like r#""127.0.0.1:1876""#;
        /// Certificate, in PEM. None by default.
        tls_cert: Option<PathBuf> = None, like r#""/etc/plimsoll/cert.pem""#;
        /// Key of the certificate, in PEM.
        tls_key: Option<PathBuf> = None, like r#""/etc/plimsoll/key.pem""#;
        /// Whether plimsoll is behind a proxy. Then every client needs a token, because the proxy
        /// hides who it is. Without this option, requests with X-Forwarded-For and similar headers
        /// need a token, too.
        behind_proxy: bool = false, like "true";
        /// An additional unix socket. Programs that may open it need no token. None by default.
        socket: Option<PathBuf> = None, like r#""/run/plimsoll/http.sock""#;
        /// Additional host names of the page, for example behind a reverse proxy:
        /// `["monitor.example.org"]`.
        hosts: Hosts = Hosts(Vec::new()), like r#"["monitor.example.org"]"#;
    }
}

/// Host names as in a Host header, in lower case and without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(pub Vec<String>);

impl Value for Hosts {
    const SHAPE: Shape = Shape::Texts;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        each(given, host_name).map(Self)
    }

    fn show(&self) -> Option<String> {
        Some(list(self.0.iter().map(|name| quote(name))))
    }
}

fn host_name(text: &str) -> Result<String, (String, String)> {
    let name = text.to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !name.is_empty() && (name.chars().all(plain) || name.parse::<std::net::IpAddr>().is_ok()) {
        return Ok(name);
    }
    Err((
        format!("`{text}` is not a host name"),
        "write the bare name, without http:// and port, for example `monitor.example.org`".into(),
    ))
}

impl Resolver<'_> {
    pub(super) fn http(&mut self, top: &Section<'_>) -> Http {
        let section = top.section("http", self.mistakes);
        let options: HttpOptions = self.fill(section.as_ref());
        let mut tls = None;
        if let Some(s) = &section {
            tls = self.tls(s, &options.tls_cert, &options.tls_key);
            // A mistake in these keys is told once, not here again.
            let safe = options.behind_proxy || s.has("tls_cert") || s.has("tls_key");
            if let Some(address) = options.listen.open().filter(|_| !safe) {
                let message =
                    format!("other machines can reach `{address}`, and nothing protects it");
                let hint = format!(
                    "set `tls_cert` and `tls_key`, or `behind_proxy = true` if a proxy does TLS; \
                     or listen on `127.0.0.1:{}`",
                    address.port()
                );
                self.tell(s, "listen", s.place("listen", None), &message, hint);
            }
        }
        self.list("http", &options);
        self.claim_tcp(section.as_ref(), "http", "listen", options.listen.0);
        self.claim_path(section.as_ref(), "http", "socket", options.socket.as_deref());
        Http {
            listen: options.listen.0,
            socket: options.socket,
            tls,
            behind_proxy: options.behind_proxy,
            hosts: options.hosts.0,
        }
    }

    /// The two files of a certificate: both or none.
    pub(super) fn tls(
        &mut self,
        section: &Section<'_>,
        cert: &Option<PathBuf>,
        key: &Option<PathBuf>,
    ) -> Option<TlsSettings> {
        let pair = [("tls_cert", "tls_key"), ("tls_key", "tls_cert")];
        for (one, other) in pair.into_iter().filter(|(one, _)| section.has(one)) {
            if !section.has(other) {
                let hint = format!("add `{other} = \"/etc/plimsoll/{}.pem\"`", &other[4..]);
                self.tell(section, one, section.span(), &format!("`{other}` is missing"), hint);
            }
        }
        Some(TlsSettings { cert: cert.clone()?, key: key.clone()? })
    }
}
