//! Whom the agent trusts: the file named by `SSL_CERT_FILE`, else the system's pool, as Go's programs do. And the trap of the real
//! agent: where it asks for its role, `AWS_CA_BUNDLE` takes the place of both, so that a registration succeeds and the daemon fails.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use thiserror::Error;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Where Linux distributions keep the pool, in Go's order.
const POOLS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What `AWS_CA_BUNDLE` means to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bundle {
    /// Nothing.
    Ignored,
    /// The only pool.
    Trusted,
}

/// The pool named by a variable cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the certificates of {}", path.display())]
pub struct PoolError {
    path: PathBuf,
    source: std::io::Error,
}

/// Why there is no TLS for websockets.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Nobody to trust.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The library refuses.
    #[error("cannot set up TLS")]
    Rustls(#[from] rustls::Error),
}

/// The TLS configuration of HTTP calls. A host without any pool trusts nobody, and says so at its first call.
pub fn client_config(bundle: Bundle) -> Result<TlsConfig, PoolError> {
    let certificates: Vec<_> = parse_pem(&pool(bundle)?)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

/// The TLS configuration of websockets, with the same trust.
pub fn socket_config() -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        CertificateDer::pem_slice_iter(&pool(Bundle::Ignored)?).filter_map(Result::ok),
    );
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn pool(bundle: Bundle) -> Result<Vec<u8>, PoolError> {
    let named = |variable| std::env::var_os(variable).filter(|path| !path.is_empty());
    let bundle = named("AWS_CA_BUNDLE").filter(|_| bundle == Bundle::Trusted);
    Ok(match bundle.or_else(|| named("SSL_CERT_FILE")) {
        Some(path) => std::fs::read(&path).map_err(|source| PoolError { path: path.into(), source })?,
        None => POOLS.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default(),
    })
}
