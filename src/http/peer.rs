//! http: the other side of a connection, as handlers find it among a request's extensions.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::Notify;

use crate::query::turns::Client;

/// The origin of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// This machine: a loopback address, or the unix socket.
    Local,
    /// Another one.
    Remote,
}

/// The connection of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Whether it is local.
    pub(super) peer: Peer,
    /// The address of the other side; none on a unix socket.
    pub(super) from: Option<IpAddr>,
    /// Whether it is TLS.
    pub(super) tls: bool,
}

/// Ends the connection that a request came on, whatever is still to be sent on it. A client that does
/// not read would hold up even the last word for ever.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut(Arc<Notify>);

impl Cut {
    /// Ends it now.
    pub(super) fn now(&self) {
        self.0.notify_one();
    }

    /// Returns when the connection is to be cut.
    pub(super) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// Marks what came by the unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unix;

/// A client without a network has no address.
impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}
