//! config: the addresses and sockets that options name.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Path(PathBuf),
}

/// An option that names a place.
#[derive(Debug)]
pub(super) struct Claim {
    /// Its full name: `http.listen`.
    pub(super) option: String,
    /// The address or the socket.
    pub(super) place: Place,
    /// Where it is written; nothing: it is a default.
    pub(super) span: Option<Range<usize>>,
}

impl Place {
    /// Whether only one of the two can be had.
    pub(super) fn clashes(&self, other: &Self) -> bool {
        match (self, other) {
            (Place::Tcp(a), Place::Tcp(b)) | (Place::Udp(a), Place::Udp(b)) => {
                // The kernel chooses a free one for each.
                a.port() != 0 && a.port() == b.port() && meet(a, b)
            }
            (Place::Path(a), Place::Path(b)) => a == b,
            _ => false,
        }
    }

    pub(super) fn shown(&self) -> String {
        match self {
            Place::Tcp(address) => format!("tcp {address}"),
            Place::Udp(address) => format!("udp {address}"),
            Place::Path(path) => path.display().to_string(),
        }
    }
}

/// Whether two addresses have an interface in common: all of them, for `0.0.0.0` and `[::]`; what
/// listens at `[::]` also gets what is sent by IPv4.
fn meet(a: &SocketAddr, b: &SocketAddr) -> bool {
    let (a, b) = (a.ip().to_canonical(), b.ip().to_canonical());
    let all = |ip: std::net::IpAddr, other: std::net::IpAddr| {
        ip.is_unspecified() && (ip.is_ipv6() || other.is_ipv4())
    };
    a == b || all(a, b) || all(b, a)
}
