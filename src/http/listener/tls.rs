//! TLS of our own, for whoever has no proxy in front. The certificate is read again when its files change, so that its
//! renewal needs no restart.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

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

/// How often the files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A certificate with its key.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    files: config::Tls,
    now: Mutex<Now>,
}

struct Now {
    acceptor: TlsAcceptor,
    marks: [Mark; 2],
}

/// What tells a file from another at the same place: when it was written, and how long it is.
type Mark = Option<(SystemTime, u64)>;

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or is not what it should be.
    #[error("{what} {path} cannot be used: {why}")]
    File {
        /// Certificate or key.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The two do not belong together.
    #[error("the certificate and the key in [tls] do not go together: {0}")]
    Pair(#[from] rustls::Error),
}

impl Tls {
    /// Reads the files, and from now on looks whether they changed.
    ///
    /// # Errors
    /// [`Error`]: at the start; what is wrong with them later is logged, and the old ones serve on.
    pub fn open(files: &config::Tls) -> Result<Self, Error> {
        let marks = marks(files);
        let now = Now {
            acceptor: acceptor(files)?,
            marks,
        };
        let inner = Arc::new(Inner {
            files: files.clone(),
            now: Mutex::new(now),
        });
        tokio::spawn(watch(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Shakes hands with a caller.
    ///
    /// # Errors
    /// When that comes to nothing.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.inner.lock().acceptor.clone();
        acceptor.accept(stream).await
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        // Nothing under this lock can panic half-way.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes new files, once both are there and go together.
    fn look(&self) {
        let marks = marks(&self.files);
        if self.lock().marks == marks {
            return;
        }
        let read = acceptor(&self.files);
        let mut now = self.lock();
        now.marks = marks;
        match read {
            Ok(acceptor) => {
                now.acceptor = acceptor;
                tracing::info!("the certificate was renewed");
            }
            // Perhaps one of the two is not written yet: it is looked at again when it changes.
            Err(error) => {
                tracing::error!(%error, "the certificate is not renewed, the old one serves on");
            }
        }
    }
}

/// Looks again and again, as long as anybody listens.
async fn watch(inner: std::sync::Weak<Inner>) {
    let mut times = interval(LOOK_AGAIN);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        // Two files of a few kilobytes, and only when they changed.
        inner.look();
    }
}

fn marks(files: &config::Tls) -> [Mark; 2] {
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
