//! reach: TLS of the side that connects: which certificates are trusted, and the handshake. It does
//! not read what is said within.
//!
//! Nodes mostly have a certificate of their own making, with no authority behind it: so a file may
//! name that certificate itself, as well as an authority's. What neither knows is refused; where no
//! file is named, nothing is checked, and TLS only hides what is said from those who listen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::collect::regular;

/// Of a file of certificates: all authorities that Debian trusts take a quarter of it.
const MAX_BYTES: u64 = 1 << 20;

/// How a node is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeTls {
    /// Whether nothing is said without it. Else a node that has no TLS is asked in the clear.
    pub required: bool,
    /// Certificates in PEM that are trusted: authorities', or the node's own. Nothing: any.
    pub ca: Option<PathBuf>,
    /// The name in the node's certificate; nothing: the one that it is asked by.
    pub name: Option<String>,
    /// Certificate and key in PEM of this machine, for nodes that want to see one.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Shakes hands; what is wrong says so in words.
pub(super) async fn shake_hands(
    stream: TcpStream,
    host: &str,
    tls: &NodeTls,
) -> Result<TlsStream<TcpStream>, String> {
    let reading = tls.clone();
    // Files are read where a slow disk holds up nobody.
    let config = tokio::task::spawn_blocking(move || config(&reading)).await;
    let config = config.map_err(|e| e.to_string())??;
    let host = tls.name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        format!("`{host}` cannot be a name in a certificate; `tls_name` says another")
    })?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|e| told(&e, host))
}

/// What the person who reads it can do about it.
fn told(e: &std::io::Error, host: &str) -> String {
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate is not one that `tls_ca` knows, nor signed by one of those".into()
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!(
            "its certificate is not for `{host}`; `tls_name` says another name, or `tls_ca` may \
             name the certificate itself"
        ),
        _ => format!("TLS: {e}"),
    }
}

pub(super) fn config(tls: &NodeTls) -> Result<Arc<ClientConfig>, String> {
    let odd = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let read = |path: &Path| -> Result<Vec<CertificateDer<'static>>, String> {
        let text = regular::read(path, MAX_BYTES).map_err(|e| odd(path, &e))?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|e| odd(path, &e));
        all.and_then(|all| match all.is_empty() {
            true => Err(format!("{}: no certificate is in it", path.display())),
            false => Ok(all),
        })
    };
    // Named, because a process-wide default would be one more thing that starts.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let known = tls.ca.as_deref().map(read).transpose()?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(known.iter().flatten().cloned());
    let chain = match roots.is_empty() {
        true => None,
        false => WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .build()
            .ok(),
    };
    let trust = Trust { known, chain, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust));
    let config = match &tls.own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let text = regular::read(key, MAX_BYTES).map_err(|e| odd(key, &e))?;
            let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|e| odd(key, &e))?;
            builder.with_client_auth_cert(read(cert)?, secret).map_err(|e| odd(cert, &e))?
        }
    };
    Ok(Arc::new(config))
}

/// See the module's text.
#[derive(Debug)]
struct Trust {
    /// Nothing: nothing is checked.
    known: Option<Vec<CertificateDer<'static>>>,
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.known.as_ref().is_none_or(|known| known.contains(end_entity)) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.chain {
            Some(chain) => chain.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_names_it() {
        let missing = NodeTls { ca: Some("/nonexistent/ca.pem".into()), ..NodeTls::default() };
        let said = config(&missing).map(drop).expect_err("there is none");
        assert!(said.starts_with("/nonexistent/ca.pem: "), "{said}");
        let empty = tempfile::NamedTempFile::new().expect("a file");
        let tls = NodeTls { ca: Some(empty.path().to_owned()), ..NodeTls::default() };
        let said = config(&tls).map(drop).expect_err("nothing is in it");
        assert!(said.ends_with("no certificate is in it"), "{said}");
        assert!(config(&NodeTls::default()).is_ok());
    }
}
