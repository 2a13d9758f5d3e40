//! TLS without a proxy in front. The certificate is read again when its files change, so that its renewal needs no restart.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

use crate::config;

const CHECK_FILES_EVERY: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.inner.files)
            .finish_non_exhaustive()
    }
}

struct Inner {
    files: config::Tls,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    versions: [FileVersion; 2],
}

/// When a file was written, and how long it is: another one at the same path differs in that.
type FileVersion = Option<(SystemTime, u64)>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} {path} cannot be used: {why}")]
    File {
        what: &'static str,
        path: PathBuf,
        why: String,
    },
    #[error("the certificate and the key in [tls] do not go together: {0}")]
    Pair(#[from] rustls::Error),
}

impl Tls {
    /// Reads the files, and reads them again when they change. What is wrong with them then is logged, and the old ones
    /// serve on.
    pub fn open(files: &config::Tls) -> Result<Self, Error> {
        // The versions first: a file that changes meanwhile is read again.
        let current = Current {
            versions: versions(files),
            acceptor: acceptor(files)?,
        };
        let inner = Arc::new(Inner {
            files: files.clone(),
            current: Mutex::new(current),
        });
        tokio::spawn(watch(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.inner.current.lock().acceptor.clone();
        acceptor.accept(stream).await
    }
}

impl Inner {
    /// Takes new files, once both are there and go together.
    fn reload_if_changed(&self) {
        let versions = versions(&self.files);
        if self.current.lock().versions == versions {
            return;
        }
        let read = acceptor(&self.files);
        let mut current = self.current.lock();
        current.versions = versions;
        match read {
            Ok(acceptor) => {
                current.acceptor = acceptor;
                tracing::info!("the certificate was renewed");
            }
            // Perhaps one of the two is not written yet: it is read again when it changes.
            Err(error) => {
                tracing::error!(%error, "the certificate is not renewed, the old one serves on");
            }
        }
    }
}

/// Checks the files as long as anybody listens.
async fn watch(inner: Weak<Inner>) {
    let mut times = interval(CHECK_FILES_EVERY);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        // Two files of a few kilobytes, and only when they changed.
        inner.reload_if_changed();
    }
}

fn versions(files: &config::Tls) -> [FileVersion; 2] {
    [&files.cert, &files.key].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn acceptor(files: &config::Tls) -> Result<TlsAcceptor, Error> {
    let unusable = |what, path: &Path, why: String| Error::File {
        what,
        path: path.to_owned(),
        why,
    };
    let certificate = |why: String| unusable("the certificate", &files.cert, why);
    let certificates = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| certificate(error.to_string()))?;
    if certificates.is_empty() {
        return Err(certificate("there is no certificate in it".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable("the key", &files.key, error.to_string()))?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
