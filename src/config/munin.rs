//! config: the sections `[munin_node]` and `[[munin.node]]`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::MuninNode;
use super::places::Place;
use super::raw::Section;
use super::resolve::Resolver;
use super::values::{MachineName, Places};
use crate::model::Interval;
use crate::model::options::{Given, Ms, Shape, Value, Wrong, options, quote};
use crate::reach::{NodeSettings, NodeTls};
use crate::receive::Network;

/// Where masters expect a node.
const PORT: u16 = 4949;
/// Masters of Munin themselves wait for three minutes.
const LONGEST: i64 = 600_000;

/// Where it listens, and who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuninNodeSettings {
    /// Nowhere by default.
    pub listen: Vec<SocketAddr>,
    /// Others are hung up on.
    pub allow: Vec<Network>,
    /// What this machine is called; nothing: as everywhere.
    pub host_name: Option<String>,
    /// Whether masters are offered what they missed.
    pub spool: bool,
}

impl Default for MuninNodeSettings {
    fn default() -> Self {
        let allow = Network::LOOPBACK.to_vec();
        Self { listen: Vec::new(), allow, host_name: None, spool: false }
    }
}

options! {
    /// Masters of Munin are answered as munin-node answers them.
    pub struct NodeOptions {
        /// Where: an address and a port, usually "127.0.0.1:4949", or a list of those. Nowhere by
        /// default.
        listen: Places<PORT> = Places(Vec::new()), like r#""127.0.0.1:4949""#;
        /// Who may ask. The protocol has no passwords: everybody who is let in can read every
        /// value, so name the masters and nobody else:
        /// `["127.0.0.0/8", "192.0.2.10", "2001:db8::/64"]`.
        allow: Vec<Network> = MuninNodeSettings::default().allow, like r#"["127.0.0.0/8", "::1"]"#;
        /// What this machine is called there. It has to be the name that the master knows it by
        /// (or set `use_node_name yes` there). Default: `system`.
        host_name: Option<String> = None, in MachineName, like r#""web1.example.org""#;
        /// Whether masters are offered what they missed while they were away. They then ask for
        /// that alone, and get values of every five minutes.
        spool: bool = false, like "true";
        /// With a certificate and its key, in PEM, masters that ask for TLS get it. The files are
        /// read again when they change.
        tls_cert: Option<PathBuf> = None, like r#""/etc/plimsoll/cert.pem""#;
        /// The key.
        tls_key: Option<PathBuf> = None, like r#""/etc/plimsoll/key.pem""#;
    }
}

options! {
    /// A node of Munin that is asked, as a master asks it; repeat the section for more.
    pub struct PeerOptions {
        /// A name or an address, and a port if it is not 4949.
        host: Option<Host> = None, like r#""192.0.2.7:4949""#;
        /// The label `instance` of its series. Default: what it calls itself.
        name: Option<String> = None, in MachineName, like r#""web7""#;
        /// How often it is asked.
        interval: Interval = Interval::MINUTE, like r#""1m""#;
        /// How long one of its answers may take.
        timeout: Ms = Ms(10_000), in 1_000..=LONGEST, like r#""10s""#;
        /// As Munin has it: paranoid (nothing is said without TLS, and tls_ca has to know the
        /// node's certificate), enabled (nothing is said without TLS), auto (TLS where the node
        /// speaks it), disabled. Default: disabled, or enabled if one of the following is there.
        tls: Option<Mode> = None, like r#""paranoid""#;
        /// Certificates that are trusted, in PEM: an authority's, or the node's own.
        tls_ca: Option<PathBuf> = None, like r#""/etc/plimsoll/munin-ca.pem""#;
        /// The name in its certificate, if that is not `host`.
        tls_name: Option<String> = None, in MachineName, like r#""web7""#;
        /// The certificate that this machine shows to nodes that want to see one.
        tls_cert: Option<PathBuf> = None, like r#""/etc/plimsoll/cert.pem""#;
        /// Its key.
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

/// How TLS is used, in Munin's own words.
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
                format!("`{}` is not a way to use TLS", given.text()),
                "`paranoid` demands it and checks the node's certificate, `enabled` demands it, \
                 `auto` takes it where there is any, `disabled` never does",
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
            let message = format!("`{text}` is there twice");
            self.tell(s, "host", s.place("host", None), &message, "remove one of the two");
        }
        let tls = self.peer_tls(s, &options);
        let Host { host, port, .. } = options.host?;
        let (name, interval, timeout_ms) = (options.name, options.interval, options.timeout.0);
        Some(NodeSettings { host, port, name, interval, timeout_ms, tls })
    }

    fn peer_tls(&mut self, s: &Section<'_>, options: &PeerOptions) -> Option<NodeTls> {
        let own = self.tls(s, &options.tls_cert, &options.tls_key).map(|t| (t.cert, t.key));
        // Those who name certificates do not want to speak in the clear.
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
            self.tell(s, "tls", s.span(), "`tls_ca` is missing: what is to be trusted?", hint);
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
