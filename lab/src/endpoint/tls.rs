//! The endpoint's own certificate authority, kept in the state directory, and the certificates that the endpoint shows:
//! the right one, and the wrong ones that faults order.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use super::faults::WrongCertificate;
use crate::private_file;

/// Names the endpoint always answers to; QEMU guests reach their host as 10.0.2.2.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "10.0.2.2"];
const OTHER_NAMES: [&str; 1] = ["elsewhere.invalid"];

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
    names: Vec<String>,
    /// Where its certificate lies for clients to trust.
    pub certificate: PathBuf,
}

impl Authority {
    /// The authority kept in `state_dir`; made at the first call. It vouches for `more` names, or addresses, of the endpoint.
    pub fn load_or_create(state_dir: &Path, more: Vec<String>) -> Result<Self, TlsError> {
        let (certificate, key) = (state_dir.join("ca.pem"), state_dir.join("ca-key.pem"));
        if !(certificate.exists() && key.exists()) {
            create_authority(&certificate, &key)?;
        }
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
        };
        let issuer = Issuer::new(authority_params()?, KeyPair::from_pem(&read(&key)?)?);
        let names = NAMES.map(str::to_owned).into_iter().chain(more).collect();
        Ok(Self { issuer, names, certificate })
    }

    /// Acceptors with fresh certificates.
    pub fn acceptors(&self) -> Result<Acceptors, TlsError> {
        let stranger = KeyPair::generate()?;
        let mut expired = certificate_params(self.names.clone())?;
        (expired.not_before, expired.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        Ok(Acceptors {
            right: acceptor(&certificate_params(self.names.clone())?, &self.issuer)?,
            // It bears the name of the right authority; only the key tells that it is not.
            other_authority: acceptor(
                &certificate_params(self.names.clone())?,
                &Issuer::new(authority_params()?, stranger),
            )?,
            expired: acceptor(&expired, &self.issuer)?,
            other_name: acceptor(&certificate_params(OTHER_NAMES.map(str::to_owned).into())?, &self.issuer)?,
        })
    }
}

/// One acceptor for each certificate, so that no session of a right one is resumed under a wrong one.
#[derive(Clone)]
pub struct Acceptors {
    right: TlsAcceptor,
    other_authority: TlsAcceptor,
    expired: TlsAcceptor,
    other_name: TlsAcceptor,
}

impl fmt::Debug for Acceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptors").finish_non_exhaustive()
    }
}

impl Acceptors {
    /// The one whose certificate is wrong in this way, or in none.
    #[must_use]
    pub fn showing(&self, wrong: Option<WrongCertificate>) -> &TlsAcceptor {
        match wrong {
            None => &self.right,
            Some(WrongCertificate::OtherAuthority) => &self.other_authority,
            Some(WrongCertificate::Expired) => &self.expired,
            Some(WrongCertificate::OtherName) => &self.other_name,
        }
    }
}

fn certificate_params(names: Vec<String>) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ssm-lab endpoint");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn acceptor(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<TlsAcceptor, TlsError> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
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

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;

    /// Whether a client that trusts the authority takes the endpoint for `name`.
    async fn is_taken_for(authority: &Authority, name: &'static str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&authority.certificate).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (client, server) = tokio::io::duplex(64 * 1024);
        let acceptors = authority.acceptors().unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let connecting = connector.connect(ServerName::try_from(name).unwrap(), client);
        let (connected, _) = tokio::join!(connecting, acceptors.showing(None).accept(server));
        connected.is_ok()
    }

    #[tokio::test]
    async fn the_certificate_is_good_for_the_loopback_for_guests_and_for_the_names_that_are_given() {
        let directory = tempfile::tempdir().unwrap();
        let more = vec!["192.0.2.7".to_owned(), "lab.example".to_owned()];
        let authority = Authority::load_or_create(directory.path(), more).unwrap();
        for name in ["127.0.0.1", "localhost", "10.0.2.2", "192.0.2.7", "lab.example"] {
            assert!(is_taken_for(&authority, name).await, "{name}");
        }
        assert!(!is_taken_for(&authority, "192.0.2.8").await);
    }
}
