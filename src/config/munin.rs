//! config: the sections `[munin_node]` and `[[munin.node]]`.

use std::net::{IpAddr, SocketAddr};

use super::MuninNode;
use super::raw::{self, Section};
use super::resolve::Resolver;
use super::statsd::address;
use crate::model::Interval;
use crate::receive::{Network, NodeSettings, NodeTls};

/// Where masters expect a node.
const PORT: u16 = 4949;
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), PORT);
/// How long one answer may take.
const TIMEOUT: i64 = 10_000;
/// Masters of Munin themselves wait for three minutes.
const LONGEST: i64 = 600_000;

impl Resolver<'_> {
    pub(super) fn munin_node(&mut self, top: &Section<'_>) -> MuninNode {
        let mut out = MuninNode::default();
        let Some(section) = top.section("munin_node", raw::MUNIN_NODE, &[], self.mistakes) else {
            return out;
        };
        let s = &section;
        for place in s.one_or_more("listen").unwrap_or_default() {
            // Who may connect is what `allow` says, wherever that is from.
            match address(place.value, true, USUAL, "munin-node") {
                Ok(found) => out.node.listen.extend(found),
                Err((message, hint)) => self.tell(s, "listen", place.span, &message, hint),
            }
        }
        if let Some(list) = s.one_or_more("allow") {
            out.node.allow.clear();
            for place in list {
                match Network::parse(place.value) {
                    Ok(network) => out.node.allow.push(network),
                    Err((message, hint)) => self.tell(s, "allow", place.span, &message, hint),
                }
            }
        }
        out.node.host_name = self.node_name(s, "host_name");
        out.node.spool = s.flag("spool").unwrap_or(false);
        out.tls = self.tls(s);
        out
    }

    pub(super) fn munin_peers(&mut self, top: &Section<'_>) -> Vec<NodeSettings> {
        let mut out: Vec<NodeSettings> = Vec::new();
        let Some(section) = top.section("munin", raw::MUNIN, &[], self.mistakes) else {
            return out;
        };
        for section in &section.sections("node", raw::MUNIN_PEER, self.mistakes) {
            if let Some(peer) = self.munin_peer(section, &out) {
                out.push(peer);
            }
        }
        out
    }

    fn munin_peer(&mut self, s: &Section<'_>, before: &[NodeSettings]) -> Option<NodeSettings> {
        if !s.has("host") {
            let hint = "which node is meant, for example `host = \"192.0.2.7:4949\"`";
            self.tell(s, "host", s.span(), "this is missing", hint);
        }
        let host = self.understood(s, "host", |text| {
            let (host, port) = host_and_port(text)?;
            if before.iter().any(|p| p.host == host && p.port == port) {
                return Err((format!("`{text}` is there twice"), "remove one of the two".into()));
            }
            Ok((host, port))
        });
        let name = self.node_name(s, "name");
        let interval = self.interval(s, "interval").unwrap_or(Interval::MINUTE);
        let timeout_ms = self.duration(s, "timeout", 1_000, LONGEST).unwrap_or(TIMEOUT);
        let tls = self.peer_tls(s);
        let (host, port) = host?;
        Some(NodeSettings { host, port, name, interval, timeout_ms, tls })
    }

    /// Munin's own words, where it has some.
    fn peer_tls(&mut self, s: &Section<'_>) -> Option<NodeTls> {
        let mode = self.understood(s, "tls", |text| match text {
            "disabled" => Ok(None),
            "auto" => Ok(Some((false, false))),
            "enabled" => Ok(Some((true, false))),
            "paranoid" => Ok(Some((true, true))),
            _ => Err((
                format!("`{text}` is no way to use TLS"),
                "`paranoid` demands it and checks the node's certificate, `enabled` demands it, \
                 `auto` takes it where there is any, `disabled` never does"
                    .into(),
            )),
        });
        let own = self.tls(s).map(|t| (t.cert, t.key));
        let (ca, name) = (self.path(s, "tls_ca"), self.node_name(s, "tls_name"));
        // Whoever names certificates does not want to speak in the clear.
        let named = ["tls_ca", "tls_name", "tls_cert"].iter().any(|key| s.has(key));
        let (required, checked) = match mode {
            Some(mode) => mode?,
            None if named && !s.has("tls") => (true, false),
            None => return None,
        };
        if checked && !s.has("tls_ca") {
            let hint = "name the node's own certificate, or its authority's: \
                        `tls_ca = \"/etc/plimsoll/munin-ca.pem\"`";
            self.tell(s, "tls", s.span(), "`tls_ca` is missing: what is to be trusted?", hint);
        }
        Some(NodeTls { required, ca, name, own })
    }

    fn node_name(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        self.understood(section, key, |text| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if text.is_empty() || text.len() > 200 || !text.chars().all(fits) {
                return Err((
                    format!("`{text}` is no name for a machine"),
                    "letters, digits, and - . _ are, as in `web1.example.org`".into(),
                ));
            }
            Ok(text.to_owned())
        })
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
