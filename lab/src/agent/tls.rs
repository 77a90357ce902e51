//! Whom the agent trusts: the file named by `SSL_CERT_FILE`, else the system's pool, as Go's programs do.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
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

/// The pool named by `SSL_CERT_FILE` cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the certificates of {}", path.display())]
pub struct PoolError {
    path: PathBuf,
    source: std::io::Error,
}

/// The TLS configuration for one process. A host without any pool trusts nobody, and says so at its first call.
pub fn client_config() -> Result<TlsConfig, PoolError> {
    let pem = match std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        Some(path) => std::fs::read(&path).map_err(|source| PoolError { path: path.into(), source })?,
        None => POOLS.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default(),
    };
    let certificates: Vec<_> = parse_pem(&pem)
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
