//! The endpoint's own certificate authority, kept in the state directory, and a listener that speaks TLS with it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::private_file;

/// Names the endpoint answers to; QEMU guests reach their host as 10.0.2.2.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "10.0.2.2"];
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const WAITING_CONNECTIONS: usize = 64;

/// Why TLS cannot be served.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file of the authority cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file of the authority cannot be written.
    #[error(transparent)]
    Write(#[from] private_file::WriteError),
    /// A certificate cannot be made or read.
    #[error(
        "the lab's certificate authority is damaged; remove ca.pem and ca-key.pem from the state directory"
    )]
    Certificate(#[from] rcgen::Error),
    /// rustls refused key or certificate.
    #[error("cannot use the lab's certificate")]
    Config(#[from] rustls::Error),
}

/// The lab's certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Where its certificate lies for clients to trust.
    pub certificate: PathBuf,
}

impl Authority {
    /// The authority kept in `state_dir`; made at the first call.
    pub fn load_or_create(state_dir: &Path) -> Result<Self, TlsError> {
        let (certificate, key) = (state_dir.join("ca.pem"), state_dir.join("ca-key.pem"));
        if !(certificate.exists() && key.exists()) {
            create_authority(&certificate, &key)?;
        }
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
        };
        let issuer = Issuer::new(authority_params()?, KeyPair::from_pem(&read(&key)?)?);
        Ok(Self { issuer, certificate })
    }

    /// A server's configuration with a fresh certificate of this authority.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "ssm-lab endpoint");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(config)
    }
}

/// What the authority's certificate says; with its key it is all that signing needs, so none is ever parsed.
fn authority_params() -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ssm-lab certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn create_authority(certificate: &Path, key: &Path) -> Result<(), TlsError> {
    let pair = KeyPair::generate()?;
    let authority = authority_params()?.self_signed(&pair)?;
    private_file::write(key, pair.serialize_pem().as_bytes())?;
    private_file::replace(certificate, authority.pem().as_bytes(), 0o644)?;
    Ok(())
}

/// Connections whose TLS handshake is done. Handshakes run beside each other, so a slow client delays nobody.
#[derive(Debug)]
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Starts to accept on `listener`.
    pub fn start(listener: TcpListener, config: ServerConfig) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(WAITING_CONNECTIONS);
        tokio::spawn(accept_all(listener, TlsAcceptor::from(Arc::new(config)), sender));
        Ok(Self { address, ready })
    }
}

async fn accept_all(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = sender.closed() => return,
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            // A failed handshake is the client's affair; it sees the alert.
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                let _ = sender.send((stream, peer)).await;
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task ends only after this listener; until then there is nothing to give.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
