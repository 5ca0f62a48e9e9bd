//! http: TLS, when the configuration names a certificate. Nothing here runs otherwise.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::collect::regular;
use crate::config::TlsSettings;
use crate::pipeline::Board;

/// The largest file of a certificate with its chain, or of a key. A chain is some kilobytes long.
const MAX_BYTES: u64 = 1 << 20;

/// The least interval of checking the files, when a client connects.
const LOOK: Duration = Duration::from_secs(1);

/// A certificate in use, loaded again when its files change. While they do not fit, the old one
/// stays in use.
pub struct Tls {
    settings: TlsSettings,
    /// Its name in messages.
    subject: &'static str,
    board: Arc<Board>,
    kept: Mutex<Kept>,
}

struct Kept {
    stamps: [Option<Stamp>; 2],
    looked: Instant,
    config: Arc<ServerConfig>,
}

type Stamp = (i64, i64, u64, u64);

impl Tls {
    /// Loads the files; an error names the faulty one. `subject` is the name in messages.
    pub fn load(
        settings: &TlsSettings,
        subject: &'static str,
        board: Arc<Board>,
    ) -> Result<Self, String> {
        let stamps = stamps(settings);
        let config = load(settings)?;
        let kept = Mutex::new(Kept { stamps, looked: Instant::now(), config });
        Ok(Self { settings: settings.clone(), subject, board, kept })
    }

    /// For the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        if kept.looked.elapsed() >= LOOK {
            kept.looked = Instant::now();
            let now = stamps(&self.settings);
            if now != kept.stamps {
                match load(&self.settings) {
                    Ok(config) => {
                        tracing::info!("tls: {} was loaded again", self.settings.cert.display());
                        kept.config = config;
                        kept.stamps = now;
                        self.board.ok(self.subject);
                    }
                    Err(e) => {
                        self.board.fail(self.subject, format!("{e}; the one before stays in use"))
                    }
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&kept.config))
    }
}

fn stamps(settings: &TlsSettings) -> [Option<Stamp>; 2] {
    [&settings.cert, &settings.key].map(|path| {
        let m = std::fs::metadata(path).ok()?;
        Some((m.mtime(), m.mtime_nsec(), m.ino(), m.len()))
    })
}

fn load(settings: &TlsSettings) -> Result<Arc<ServerConfig>, String> {
    let odd = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let TlsSettings { cert, key } = settings;
    let read = |path: &Path| regular::read(path, MAX_BYTES).map_err(|e| odd(path, &e));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<_, _>>()
        .map_err(|e| odd(cert, &e))?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|e| odd(key, &e))?;
    // Named, because a process-wide default would be one more thing that starts.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|b| b.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|e| odd(cert, &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}
