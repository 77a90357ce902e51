//! Whom [`AwsControlPlane`] trusts: an endpoint with a certificate of the operator's own authority.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    test_endpoint::{Endpoint, PATIENCE, control_plane, credentials, environment},
    *,
};

struct TlsListener(TcpListener, TlsAcceptor);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            // A client that doesn't trust us hangs up here.
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// An authority, in PEM, and a server whose certificate it signed for 127.0.0.1.
async fn endpoint_of_own_authority() -> (String, Endpoint) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = names.signed_by(&key, &authority).unwrap().into();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(config)));
    (authority.pem(), Endpoint::serve(listener, address, |_| std::future::ready((200, json!({})))))
}

fn bundle(content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

#[tokio::test]
async fn an_authority_of_the_ca_bundle_is_trusted() {
    let (authority, endpoint) = endpoint_of_own_authority().await;
    let (_folder, path) = bundle(&format!("# our own\n{authority}"));
    let mut dev = environment(&format!("https://{}", endpoint.address));
    dev.ca_bundle = Some(path);
    assert_eq!(control_plane(&dev).await.activations().await, Ok(Vec::new()));
}

#[tokio::test]
async fn an_unknown_authority_is_named_as_the_cause() {
    let (_, endpoint) = endpoint_of_own_authority().await;
    let (other_authority, _other) = endpoint_of_own_authority().await;
    let (_folder, path) = bundle(&other_authority);
    let url = format!("https://{}", endpoint.address);
    let mut dev = environment(&url);
    dev.ca_bundle = Some(path);
    let failed = control_plane(&dev).await.activations().await.unwrap_err();
    assert_eq!((failed.kind, failed.is_transient()), (FailureKind::Untrusted, false), "{failed}");
    assert!(
        failed.to_string().starts_with(&format!("DescribeActivations: {url} is not trusted: ")),
        "{failed}"
    );
    assert!(failed.hint().contains("ca_bundle"), "{}", failed.hint());
    assert!(endpoint.asked().is_empty());
}

async fn refused(content: &str) -> (ConnectError, PathBuf) {
    let (_folder, path) = bundle(content);
    let mut dev = environment("https://127.0.0.1:1");
    dev.ca_bundle = Some(path.clone());
    let refused = AwsControlPlane::connect(&dev, &PATIENCE, Some(credentials())).await.unwrap_err();
    (refused, path)
}

#[tokio::test]
async fn a_ca_bundle_without_a_certificate_is_refused() {
    for content in ["", "not PEM at all", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        let (error, path) = refused(content).await;
        assert_eq!(error.to_string(), format!("ca_bundle {} holds no PEM certificate", path.display()));
    }
}

#[tokio::test]
async fn a_broken_certificate_in_a_ca_bundle_is_counted() {
    let (authority, _endpoint) = endpoint_of_own_authority().await;
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let (error, _) = refused(&format!("{authority}{broken}")).await;
    assert!(matches!(error, ConnectError::BrokenCertificate { number: 2, .. }), "{error}");
    let (cut, _) = refused(authority.lines().take(3).collect::<Vec<_>>().join("\n").as_str()).await;
    assert!(matches!(cut, ConnectError::BrokenCertificate { number: 1, .. }), "{cut}");
}

#[tokio::test]
async fn a_ca_bundle_that_is_not_there_is_named() {
    let mut dev = environment("https://127.0.0.1:1");
    dev.ca_bundle = Some("/nonexistent/ca.pem".into());
    let refused = AwsControlPlane::for_environment(&dev).await.unwrap_err();
    assert_eq!(refused.to_string(), "cannot read ca_bundle /nonexistent/ca.pem");
}
