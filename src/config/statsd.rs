//! config: the section `[statsd]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::Statsd;
use super::raw::{self, Section};
use super::resolve::{Resolver, YEAR};
use crate::pipeline::statsd::Settings as Gather;
use crate::receive::Settings as Receive;

/// Where statsd senders send to, unless they were told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8125);

/// What the kernel keeps while the reader is busy; its own default loses packets above 36,000 a
/// second.
const BUFFER: u64 = 4 << 20;

impl Resolver<'_> {
    pub(super) fn statsd(&mut self, top: &Section<'_>) -> Statsd {
        let mut receive = Receive { udp: Some(LISTEN), buffer: BUFFER, ..Receive::default() };
        let mut gather = Gather::default();
        let Some(section) = top.section("statsd", raw::STATSD, &[], self.mistakes) else {
            return Statsd { receive, gather };
        };
        let s = &section;
        let remote = s.flag("remote").unwrap_or(false);
        let place = |text: &str| address(text, remote, LISTEN, "statsd");
        receive.udp = self.understood(s, "listen", place).unwrap_or(receive.udp);
        receive.tcp = self.understood(s, "tcp", place).unwrap_or(receive.tcp);
        receive.unix_datagram = self.understood(s, "unix", socket).flatten();
        receive.unix_stream = self.understood(s, "unix_stream", socket).flatten();
        receive.buffer = self.size(s, "receive_buffer", 4096).unwrap_or(BUFFER);
        if let (Some(path), true) =
            (&receive.unix_stream, receive.unix_stream == receive.unix_datagram)
        {
            let message = format!("`{}` is the place of `unix` already", path.display());
            let span = s.text("unix_stream").map_or(s.span(), |at| at.span);
            self.tell(s, "unix_stream", span, &message, "give each a path of its own");
        }
        if let Some(flush) = self.interval(s, "flush") {
            gather.flush_ms = flush.as_ms();
        }
        let least = gather.flush_ms;
        gather.ttl_ms =
            self.duration(s, "gauge_ttl", least, YEAR).unwrap_or(gather.ttl_ms.max(least));
        gather.legacy_names = s.flag("legacy_names").unwrap_or(false);
        if let Some(list) = s.numbers("percentiles") {
            gather.percentiles.clear();
            for at in list {
                let p = at.value;
                let message = if p == 0.0 || !(-100.0..=100.0).contains(&p) {
                    format!("{p} is no percentile")
                } else if p < 0.0 && !gather.legacy_names {
                    format!("{p}: the largest values are counted with legacy_names only")
                } else if gather.percentiles.contains(&p) {
                    format!("{p} is there twice")
                } else {
                    gather.percentiles.push(p);
                    continue;
                };
                let hint = "above 0, up to 100, for example [50, 90, 99.9]";
                self.tell(s, "percentiles", at.span, &message, hint);
            }
        }
        Statsd { receive, gather }
    }
}

/// An address of a protocol that has no passwords; `usual` is where it is expected.
pub(super) fn address(
    text: &str,
    remote: bool,
    usual: SocketAddr,
    what: &str,
) -> Result<Option<SocketAddr>, (String, String)> {
    if text == "off" {
        return Ok(None);
    }
    let Ok(address) = text.parse::<SocketAddr>() else {
        let port = text.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or(usual.port());
        let ip = text.parse().unwrap_or(usual.ip());
        return Err((
            format!("`{text}` is not an address with a port"),
            format!("for example `{}`, or `off`", SocketAddr::new(ip, port)),
        ));
    };
    if !remote && !address.ip().to_canonical().is_loopback() {
        return Err((
            format!("`{address}` can be reached from other machines, and {what} has no passwords"),
            "let only those through that may send, by a firewall, and add `remote = true`".into(),
        ));
    }
    Ok(Some(address))
}

/// What fits into the kernel's `sockaddr_un`, with its end.
const LONGEST_PATH: usize = 107;

fn socket(text: &str) -> Result<Option<PathBuf>, (String, String)> {
    match text {
        "off" => Ok(None),
        path if !path.starts_with('/') || path.ends_with('/') || path.len() > LONGEST_PATH => {
            Err((
                format!("`{path}` is no place for a socket"),
                "a path that begins with /, of at most 107 bytes, or `off`".into(),
            ))
        }
        path => Ok(Some(path.into())),
    }
}
