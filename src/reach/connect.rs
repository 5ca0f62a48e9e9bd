//! reach: a connection that opens before a deadline, in the clear or within TLS, and the reasons why
//! one does not.
//!
//! Nothing is kept between two connections: no thread, no session, no certificates.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls::{self, NodeTls};
use crate::collect::regular;

/// Of a file of certificates: all authorities that Debian trusts take a quarter of it.
const MAX_BYTES: u64 = 1 << 20;

/// An address that does not answer costs this much, where another one is left to try.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where distributions keep the certificates of the authorities that they trust: Debian and most
/// others, Fedora, openSUSE, Alpine.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why somebody could not be reached, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReachError {
    /// It may be better the next time: the network, a name, a certificate, the time.
    Passing(String),
    /// Somebody has to change something first.
    Lasting(String),
}

impl fmt::Display for ReachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passing(said) | Self::Lasting(said) => f.write_str(said),
        }
    }
}

impl std::error::Error for ReachError {}

/// Whose certificates are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trusted<'a> {
    /// Those of the system's authorities.
    System,
    /// Those in a file in PEM, or signed by one of those.
    File(&'a Path),
    /// Any: TLS only hides what is said from those who listen.
    Any,
}

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Runs it on this thread to its end or to the deadline.
pub(super) fn before<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, ReachError>>,
) -> Result<T, ReachError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|e| ReachError::Passing(format!("no connection can be opened here: {e}")))?;
    let late = || Err(ReachError::Passing("no answer in time".into()));
    let done = runtime.block_on(async {
        let deadline = tokio::time::Instant::from_std(deadline);
        tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| late())
    });
    // A name server that does not answer holds up nobody.
    runtime.shutdown_background();
    done
}

/// Connects to the first of its addresses that answers.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, ReachError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let passing = |what: String| ReachError::Passing(what);
    let found = tokio::net::lookup_host((bare, port))
        .await
        .map_err(|e| passing(format!("the name {host} cannot be looked up: {}", plain(&e))))?;
    let mut left: Vec<_> = found.collect();
    left.reverse();
    let mut why = format!("the name {host} has no address");
    while let Some(address) = left.pop() {
        let opening = TcpStream::connect(address);
        let opened = match left.is_empty() {
            true => opening.await.map_err(|e| plain(&e)),
            false => match tokio::time::timeout(PATIENCE, opening).await {
                Ok(opened) => opened.map_err(|e| plain(&e)),
                Err(_) => Err("no answer".into()),
            },
        };
        match opened {
            Ok(stream) => {
                let _slower = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(e) => why = format!("{host} port {port} cannot be reached: {e}"),
        }
    }
    Err(passing(why))
}

/// Shakes hands.
pub(super) async fn hide<S: Stream + 'static>(
    stream: S,
    host: &str,
    trusted: Trusted<'_>,
) -> Result<Box<dyn Stream>, ReachError> {
    let config = config(trusted)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| ReachError::Lasting(format!("{host} cannot be a name in a certificate")))?;
    let hidden = TlsConnector::from(config).connect(name, stream).await;
    hidden.map(|s| Box::new(s) as Box<dyn Stream>).map_err(|e| told(&e, host))
}

fn told(e: &std::io::Error, host: &str) -> ReachError {
    use rustls::Error::InvalidCertificate;
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    ReachError::Passing(match inner {
        // The second is how a certificate of somebody's own making is often made.
        Some(InvalidCertificate(why))
            if *why == CertificateError::UnknownIssuer
                || e.to_string().contains("CaUsedAsEndEntity") =>
        {
            format!(
                "no authority that is trusted here signed the certificate of {host}: where that is \
             right, `ca` names a file with its certificate"
            )
        }
        Some(InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("the certificate of {host} is for another name"),
        Some(InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => format!("the certificate of {host} has expired, or the clock here is wrong"),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("{host} does not speak TLS at this port")
        }
        _ => format!("TLS with {host}: {}", plain(e)),
    })
}

fn config(trusted: Trusted<'_>) -> Result<Arc<ClientConfig>, ReachError> {
    let ca = match trusted {
        Trusted::System => return system(),
        Trusted::File(path) => Some(path.to_owned()),
        Trusted::Any => None,
    };
    tls::config(&NodeTls { ca, ..NodeTls::default() }).map_err(ReachError::Lasting)
}

fn system() -> Result<Arc<ClientConfig>, ReachError> {
    let lasting = |what: String| ReachError::Lasting(what);
    let named = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let mut paths = named.into_iter().chain(SYSTEM.iter().map(std::path::PathBuf::from));
    let path = paths.find(|path| path.exists()).ok_or_else(|| {
        lasting(
            "no certificates of authorities are on this machine: install the package \
             ca-certificates, or name a file by `ca`"
                .into(),
        )
    })?;
    let text =
        regular::read(&path, MAX_BYTES).map_err(|e| lasting(format!("{}: {e}", path.display())))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
    if roots.is_empty() {
        return Err(lasting(format!("{}: no certificate is in it", path.display())));
    }
    // Named, because a process-wide default would be one more thing that starts.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| lasting(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What an error of the system says, without its number.
pub(super) fn plain(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
