//! Whom TLS believes where we call others: targets, a collector of spans.

use std::{
    fmt::Display,
    path::Path,
    sync::{Arc, LazyLock},
};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file with authorities that cannot be used.
    #[error("{0}")]
    Authorities(String),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// The authorities in that file, in PEM, or else the public ones.
pub fn authorities(file: Option<&Path>) -> Result<TlsConnector, Error> {
    // One for all: the authorities take kilobytes, and there may be thousands of targets.
    static PUBLIC: LazyLock<Result<TlsConnector, rustls::Error>> = LazyLock::new(|| {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        connector(roots.collect())
    });
    let Some(file) = file else {
        return Ok(PUBLIC.clone()?);
    };
    let wrong = |error: &dyn Display| Error::Authorities(format!("{}: {error}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        let none = format!("there is no certificate in {}", file.display());
        return Err(Error::Authorities(none));
    }
    Ok(connector(roots)?)
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
