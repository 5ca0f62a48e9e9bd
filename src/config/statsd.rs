//! config: the section `[statsd]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Statsd;
use super::raw::Section;
use super::resolver::Resolver;
use super::values::Listen;
use crate::model::Interval;
use crate::model::options::{Bytes, Given, Ms, Shape, Value, Wrong, options, quote};
use crate::pipeline::statsd::Settings as Gather;
use crate::receive::Settings as Receive;

/// Size of the kernel's buffer. Its own default loses packets above 36,000 a second.
pub(super) const BUFFER: u64 = 4 << 20;

options! {
    /// The receiver of statsd and DogStatsD.
    pub struct StatsdOptions {
        /// UDP address and port, or "off".
        listen: Listen<8125> = Listen::USUAL, like r#""127.0.0.1:8125""#;
        /// TCP address and port, for one value a line, for example "127.0.0.1:8125".
        tcp: Listen<8125> = Listen::OFF, like r#""127.0.0.1:8125""#;
        /// A unix socket for datagrams, for example "/run/plimsoll/statsd.sock".
        unix: Socket = Socket(None), like r#""/run/plimsoll/statsd.sock""#;
        /// A unix socket for lines, for example "/run/plimsoll/statsd-stream.sock".
        unix_stream: Socket = Socket(None), like r#""/run/plimsoll/statsd-stream.sock""#;
        /// Allows addresses that other machines can reach. statsd has no passwords, so use a
        /// firewall.
        remote: bool = false, like "true";
        /// How often values are written.
        flush: Interval = Interval::DEFAULT, like r#""10s""#;
        /// Percentiles of timers and histograms that are written, besides count, sum, min, max, mean
        /// and std.
        percentiles: Vec<f64> = Gather::default().percentiles, like "[50, 90, 99]";
        /// How long an idle gauge or other metric is still written after it was last sent: from
        /// `flush` to 1y.
        gauge_ttl: Ms = Ms(Gather::default().ttl_ms), like r#""1h""#;
        /// Use names and arithmetic of the reference statsd: stats.timers.NAME.upper_90,
        /// stats.counters.NAME.rate.
        legacy_names: bool = false, like "true";
        /// Size of the kernel's buffer for packets while the receiver is busy.
        receive_buffer: Bytes = Bytes(BUFFER), in 4096.., like r#""4MiB""#;
    }
}

/// A path of a unix socket, or `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket(pub Option<PathBuf>);

/// The longest path that fits into the kernel's `sockaddr_un` with its terminator.
const LONGEST_PATH: usize = 107;

impl Value for Socket {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        match given.text() {
            "off" => Ok(Self(None)),
            path if !path.starts_with('/') || path.ends_with('/') || path.len() > LONGEST_PATH => {
                Err(vec![Wrong::new(
                    format!("`{path}` is not a usable path for a socket"),
                    "a path that begins with /, of at most 107 bytes, or `off`",
                )])
            }
            path => Ok(Self(Some(path.into()))),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.as_ref().map_or_else(|| quote("off"), |path| quote(&path.to_string_lossy())))
    }
}

impl Resolver<'_> {
    pub(super) fn statsd(&mut self, top: &Section<'_>) -> Statsd {
        let section = top.section("statsd", self.mistakes);
        let mut options: StatsdOptions = self.fill(section.as_ref());
        let least = options.flush.as_ms();
        if let Some(s) = &section {
            let open = [("listen", options.listen), ("tcp", options.tcp)];
            for (key, listen) in open.into_iter().filter(|_| !options.remote) {
                self.no_passwords(s, key, listen.open(), "statsd");
            }
            self.percentiles(s, &options);
            self.at_least(s, "gauge_ttl", least);
        }
        options.gauge_ttl.0 = options.gauge_ttl.0.max(least);
        self.list("statsd", &options);
        let s = section.as_ref();
        self.claim_udp(s, "statsd", "listen", options.listen.0);
        self.claim_tcp(s, "statsd", "tcp", options.tcp.0);
        self.claim_path(s, "statsd", "unix", options.unix.0.as_deref());
        self.claim_path(s, "statsd", "unix_stream", options.unix_stream.0.as_deref());
        let receive = Receive {
            udp: options.listen.0,
            tcp: options.tcp.0,
            unix_datagram: options.unix.0,
            unix_stream: options.unix_stream.0,
            buffer: options.receive_buffer.0,
        };
        let gather = Gather {
            flush_ms: least,
            percentiles: options.percentiles,
            ttl_ms: options.gauge_ttl.0,
            legacy_names: options.legacy_names,
        };
        Statsd { receive, gather }
    }

    fn percentiles(&mut self, s: &Section<'_>, options: &StatsdOptions) {
        let list = &options.percentiles;
        for (at, p) in list.iter().enumerate() {
            let message = if *p == 0.0 || !(-100.0..=100.0).contains(p) {
                format!("{p} is not a percentile")
            } else if *p < 0.0 && !options.legacy_names {
                format!("{p}: negative percentiles need legacy_names")
            } else if list[..at].contains(p) {
                format!("{p} is listed twice")
            } else {
                continue;
            };
            let hint = "above 0, up to 100, for example [50, 90, 99.9]";
            self.tell(s, "percentiles", s.place("percentiles", Some(at)), &message, hint);
        }
    }

    /// Tells of an address that other machines can reach, in a protocol that has no passwords.
    pub(super) fn no_passwords(
        &mut self,
        s: &Section<'_>,
        key: &str,
        open: Option<SocketAddr>,
        what: &str,
    ) {
        let Some(address) = open else { return };
        let message = format!("other machines can reach `{address}`, and {what} has no passwords");
        let hint = "let only your senders through a firewall, and add `remote = true`";
        self.tell(s, key, s.place(key, None), &message, hint);
    }
}
