//! config: the sections `[munin_node]` and `[[munin.node]]`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::MuninNode;
use super::claim::Place;
use super::raw::Section;
use super::resolver::Resolver;
use super::values::{MachineName, Places};
use crate::model::Interval;
use crate::model::options::{Given, Ms, Shape, Value, Wrong, options, quote};
use crate::reach::{NodeSettings, NodeTls};
use crate::receive::Network;

/// The port of munin-node.
const PORT: u16 = 4949;
/// The longest timeout. Munin's own masters wait for three minutes.
const LONGEST: i64 = 600_000;

/// Addresses of the node, and the masters it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuninNodeSettings {
    /// Listening addresses; none by default.
    pub listen: Vec<SocketAddr>,
    /// Allowed masters; others are disconnected.
    pub allow: Vec<Network>,
    /// The name of this machine, if it differs from `system`.
    pub host_name: Option<String>,
    /// Whether masters can fetch values that they missed.
    pub spool: bool,
}

impl Default for MuninNodeSettings {
    fn default() -> Self {
        let allow = Network::LOOPBACK.to_vec();
        Self { listen: Vec::new(), allow, host_name: None, spool: false }
    }
}

options! {
    /// Answers Munin masters as munin-node does.
    pub struct NodeOptions {
        /// Address and port, usually "127.0.0.1:4949", or a list of them. None by default.
        listen: Places<PORT> = Places(Vec::new()), like r#""127.0.0.1:4949""#;
        /// Allowed masters. The protocol has no passwords: every address listed here can read all
        /// values, so list only masters: `["127.0.0.0/8", "192.0.2.10", "2001:db8::/64"]`.
        allow: Vec<Network> = MuninNodeSettings::default().allow, like r#"["127.0.0.0/8", "::1"]"#;
        /// Name of this machine in the master's configuration (or set `use_node_name yes` there).
        /// Default: `system`.
        host_name: Option<String> = None, in MachineName, like r#""web1.example.org""#;
        /// Whether masters can fetch the values that they missed. They then use only the spool, with
        /// a value for each five minutes.
        spool: bool = false, like "true";
        /// Certificate, in PEM, for masters that use TLS. It is read again when it changes.
        tls_cert: Option<PathBuf> = None, like r#""/etc/plimsoll/cert.pem""#;
        /// Key of the certificate, in PEM.
        tls_key: Option<PathBuf> = None, like r#""/etc/plimsoll/key.pem""#;
    }
}

options! {
    /// A munin-node that plimsoll polls; repeat the section for more.
    pub struct PeerOptions {
        /// Name or address, with the port if it is not 4949.
        host: Option<Host> = None, like r#""192.0.2.7:4949""#;
        /// Label `instance` of its series. Default: the node's own name.
        name: Option<String> = None, in MachineName, like r#""web7""#;
        /// Interval of polling.
        interval: Interval = Interval::MINUTE, like r#""1m""#;
        /// Longest time for each answer.
        timeout: Ms = Ms(10_000), in 1_000..=LONGEST, like r#""10s""#;
        /// TLS mode, in Munin's words: paranoid (always TLS, and tls_ca must verify the node's
        /// certificate), enabled (always TLS), auto (TLS if the node offers it), disabled. Default:
        /// disabled, or enabled if one of the following options is set.
        tls: Option<Mode> = None, like r#""paranoid""#;
        /// Trusted certificates, in PEM: that of an authority, or the node's own.
        tls_ca: Option<PathBuf> = None, like r#""/etc/plimsoll/munin-ca.pem""#;
        /// Name in the node's certificate, if it is not `host`.
        tls_name: Option<String> = None, in MachineName, like r#""web7""#;
        /// Certificate of this machine, for nodes that require one.
        tls_cert: Option<PathBuf> = None, like r#""/etc/plimsoll/cert.pem""#;
        /// Key of that certificate.
        tls_key: Option<PathBuf> = None, like r#""/etc/plimsoll/key.pem""#;
    }
}

/// A machine and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    host: String,
    port: u16,
    text: String,
}

impl Value for Host {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let text = given.text().to_owned();
        match host_and_port(&text) {
            Ok((host, port)) => Ok(Self { host, port, text }),
            Err((message, hint)) => Err(vec![Wrong::new(message, hint)]),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.text))
    }
}

/// A TLS mode, in Munin's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Disabled,
    Auto,
    Enabled,
    Paranoid,
}

const MODES: [(&str, Mode); 4] = [
    ("disabled", Mode::Disabled),
    ("auto", Mode::Auto),
    ("enabled", Mode::Enabled),
    ("paranoid", Mode::Paranoid),
];

impl Value for Mode {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let mode = MODES.iter().find(|(word, _)| *word == given.text()).map(|(_, mode)| *mode);
        let wrong = || {
            vec![Wrong::new(
                format!("`{}` is not a TLS mode", given.text()),
                "`paranoid` requires TLS and checks the node's certificate, `enabled` requires TLS, \
                 `auto` uses it if the node offers it, `disabled` never does",
            )]
        };
        mode.ok_or_else(wrong)
    }

    fn show(&self) -> Option<String> {
        MODES.iter().find(|(_, mode)| mode == self).map(|(word, _)| quote(word))
    }
}

impl Resolver<'_> {
    pub(super) fn munin_node(&mut self, top: &Section<'_>) -> MuninNode {
        let section = top.section("munin_node", self.mistakes);
        let options: NodeOptions = self.fill(section.as_ref());
        self.list("munin_node", &options);
        for (at, address) in options.listen.0.iter().enumerate() {
            let item = ("listen", Some(at));
            self.claim(section.as_ref(), "munin_node", item, Place::Tcp(*address));
        }
        let (cert, key) = (&options.tls_cert, &options.tls_key);
        let tls = section.as_ref().and_then(|s| self.tls(s, cert, key));
        let node = MuninNodeSettings {
            listen: options.listen.0,
            allow: options.allow,
            host_name: options.host_name,
            spool: options.spool,
        };
        MuninNode { node, tls }
    }

    pub(super) fn munin_peers(&mut self, top: &Section<'_>) -> Vec<NodeSettings> {
        let mut out: Vec<NodeSettings> = Vec::new();
        let Some(section) = top.section("munin", self.mistakes) else { return out };
        for (section, number) in section.sections("node", self.mistakes).iter().zip(1..) {
            if let Some(peer) = self.munin_peer(section, number, &out) {
                out.push(peer);
            }
        }
        out
    }

    fn munin_peer(
        &mut self,
        s: &Section<'_>,
        number: usize,
        before: &[NodeSettings],
    ) -> Option<NodeSettings> {
        if !s.has("host") {
            let hint = "which node is meant, for example `host = \"192.0.2.7:4949\"`";
            self.tell(s, "host", s.span(), "this is missing", hint);
        }
        let options: PeerOptions = self.fill(Some(s));
        self.list(&format!("munin.node {number}"), &options);
        if let Some(Host { host, port, text }) = &options.host
            && before.iter().any(|p| p.host == *host && p.port == *port)
        {
            let message = format!("`{text}` is listed twice");
            self.tell(s, "host", s.place("host", None), &message, "remove one of the two");
        }
        let tls = self.peer_tls(s, &options);
        let Host { host, port, .. } = options.host?;
        let (name, interval, timeout_ms) = (options.name, options.interval, options.timeout.0);
        Some(NodeSettings { host, port, name, interval, timeout_ms, tls })
    }

    fn peer_tls(&mut self, s: &Section<'_>, options: &PeerOptions) -> Option<NodeTls> {
        let own = self.tls(s, &options.tls_cert, &options.tls_key).map(|t| (t.cert, t.key));
        // An operator who names certificates does not want plain text.
        let named = ["tls_ca", "tls_name", "tls_cert"].iter().any(|key| s.has(key));
        let usual = if named { Mode::Enabled } else { Mode::Disabled };
        let (required, checked) = match options.tls.unwrap_or(usual) {
            Mode::Disabled => return None,
            Mode::Auto => (false, false),
            Mode::Enabled => (true, false),
            Mode::Paranoid => (true, true),
        };
        if checked && !s.has("tls_ca") {
            let hint = "name the node's own certificate, or its authority's: \
                        `tls_ca = \"/etc/plimsoll/munin-ca.pem\"`";
            self.tell(s, "tls", s.span(), "`tls_ca` is missing: no certificate is trusted", hint);
        }
        let (ca, name) = (options.tls_ca.clone(), options.tls_name.clone());
        Some(NodeTls { required, ca, name, own })
    }
}

/// `host`, `host:port`, `::1`, `[::1]:4949`.
fn host_and_port(text: &str) -> Result<(String, u16), (String, String)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((ip.to_string(), PORT));
    }
    let wrong = || {
        let hint = "write for example `192.0.2.7`, `web7.example.org:4949` or `[2001:db8::7]:4949`";
        (format!("`{text}` is neither a name nor an address"), hint.to_owned())
    };
    let (host, port) = match text.split_once(':') {
        None => (text, PORT),
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.is_empty() || port == 0 || host.len() > 253 || !host.chars().all(fits) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, host, port) in [
            ("web7", "web7", 4949),
            ("web7.example.org:5000", "web7.example.org", 5000),
            ("192.0.2.7", "192.0.2.7", 4949),
            ("192.0.2.7:1", "192.0.2.7", 1),
            ("2001:db8::7", "2001:db8::7", 4949),
            ("[2001:db8::7]:50", "2001:db8::7", 50),
        ] {
            assert_eq!(host_and_port(text), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":4949", "a:", "a:b", "a:0", "a:70000", "a b", "http://a", "a/b"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
    }
}
