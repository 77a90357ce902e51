//! The lab's signing key: made once per output directory, with an expiry as AWS's keys have, and renewed before it
//! ends. Verifiers get `signer.asc`; the secret half never leaves its directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgp::composed::{
    ArmorOptions, Deserializable as _, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PacketTrait as _, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, Password, SignedUser, Timestamp};
use rsa::rand_core::OsRng;
use thiserror::Error;

use crate::private_file::{self, WriteError};

const USER_ID: &str = "SSM Lab <lab@localhost>";
const LIFE: Duration = Duration::from_hours(2 * 365 * 24);
/// A key this close to its end is replaced; longer than the warnings of those who check it.
const RENEWED_BEFORE_END: Duration = Duration::from_hours(120 * 24);

/// Why nothing can be signed.
#[derive(Debug, Error)]
pub enum SigningError {
    /// OpenPGP failed.
    #[error("cannot use the lab's signing key")]
    OpenPgp(#[from] pgp::errors::Error),
    /// The parameters of a new key are refused.
    #[error("cannot make a signing key")]
    Parameters(String),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The directory cannot be made.
    #[error("cannot make {}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
}

/// A key that signs packages.
pub struct SigningKey(SignedSecretKey);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.0.fingerprint())
    }
}

impl SigningKey {
    /// Whether the directory holds a key that is good for a while yet, and its public half.
    #[must_use]
    pub fn is_usable(dir: &Path) -> bool {
        dir.join("signer.asc").exists() && Self::load(dir).is_some()
    }

    /// The key kept in `dir`; made at the first call and when the old one nears its end.
    pub fn load_or_create(dir: &Path) -> Result<Self, SigningError> {
        let key = match Self::load(dir) {
            Some(key) => key,
            None => Self::create(dir)?,
        };
        let public = SignedPublicKey::from(key.0.clone()).to_armored_string(ArmorOptions::default())?;
        private_file::replace(&dir.join("signer.asc"), public.as_bytes(), 0o644)?;
        Ok(key)
    }

    /// A detached signature over `content`, binary as AWS's `.sig` files are.
    pub fn sign(&self, content: &[u8]) -> Result<Vec<u8>, SigningError> {
        let key = &self.0.primary_key;
        let signature = DetachedSignature::sign_binary_data(
            OsRng,
            key,
            &Password::empty(),
            HashAlgorithm::Sha256,
            content,
        )?;
        Ok(signature.to_bytes()?)
    }

    fn load(dir: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(secret_path(dir)).ok()?;
        let (key, _) = SignedSecretKey::from_string(&text).ok()?;
        let life = key.details.users.first()?.signatures.first()?.key_expiration_time()?;
        let end = u64::from(key.created_at().as_secs()).checked_add(Duration::from(life).as_secs())?;
        let left = end.checked_sub(u64::from(Timestamp::now().as_secs()))?;
        (left > RENEWED_BEFORE_END.as_secs()).then_some(Self(key))
    }

    fn create(dir: &Path) -> Result<Self, SigningError> {
        let key = generate()?;
        std::fs::create_dir_all(dir)
            .map_err(|source| SigningError::Directory { path: dir.to_owned(), source })?;
        let secret = key.to_armored_string(ArmorOptions::default())?;
        private_file::write(&secret_path(dir), secret.as_bytes())?;
        Ok(Self(key))
    }
}

fn secret_path(dir: &Path) -> PathBuf {
    dir.join("signing-key.asc")
}

fn generate() -> Result<SignedSecretKey, SigningError> {
    let key = SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id(USER_ID.to_owned())
        .build()
        .map_err(|error| SigningError::Parameters(error.to_string()))?
        .generate(OsRng)?;
    with_expiry(key)
}

/// The key builder knows no expiry, so the user id is certified once more, with one.
fn with_expiry(mut key: SignedSecretKey) -> Result<SignedSecretKey, SigningError> {
    let life =
        pgp::types::Duration::try_from(LIFE).map_err(|error| SigningError::Parameters(error.to_string()))?;
    let secret = &key.primary_key;
    let mut users = Vec::new();
    for user in &key.details.users {
        let mut config = SignatureConfig::from_key(OsRng, secret, SignatureType::CertPositive)?;
        if let Some(old) = user.signatures.first().and_then(|signature| signature.config()) {
            config.hashed_subpackets.clone_from(&old.hashed_subpackets);
            config.unhashed_subpackets.clone_from(&old.unhashed_subpackets);
        }
        config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyExpirationTime(life))?);
        let signature = config.sign_certification(
            secret,
            secret.public_key(),
            &Password::empty(),
            user.id.tag(),
            &user.id,
        )?;
        users.push(SignedUser::new(user.id.clone(), vec![signature]));
    }
    key.details.users = users;
    Ok(key)
}
