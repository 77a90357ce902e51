//! A mirror with a certificate authority of its own, over real TLS.

use crate::packages::{Keyring, PackageSource, PackageStore, StoreSettings, Verify, http_client};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use std::time::Duration;
use targets::{Arch, PackageFormat};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Starts a TLS server that answers everything with 404, and gives its port and its authority's certificate.
async fn tls_server() -> (u16, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();

    let chain = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ =
                stream.write_all(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    (port, authority_pem)
}

#[tokio::test]
async fn a_mirror_with_its_own_authority_is_reached_with_the_bundle_and_refused_without() {
    http_client(None).unwrap();
    let (port, authority) = tls_server().await;
    let directory = TempDir::new().unwrap();
    for (bundle, kind) in [(Some(authority.as_bytes()), "package-not-found"), (None, "package-network")] {
        let source =
            PackageSource::parse(&format!("https://127.0.0.1:{port}/agent.deb"), "eu-west-1").unwrap();
        let mut settings = StoreSettings::new(source).unwrap();
        (settings.keyring, settings.verify) = (Keyring::new(), Verify::Off);
        (settings.limits.tries, settings.limits.back_off) = (1, Duration::ZERO);
        let store = PackageStore::new(directory.path().to_owned(), settings, http_client(bundle).unwrap());
        let error = store.package(Arch::X86_64, PackageFormat::Deb).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}

#[test]
fn a_bundle_that_is_no_certificate_is_refused() {
    let error =
        http_client(Some(b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")).unwrap_err();
    assert!(error.hint().unwrap().contains("PEM"), "{error}");
}
