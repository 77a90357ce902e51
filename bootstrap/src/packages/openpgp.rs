//! Verifies detached OpenPGP signatures of packages, in process: no `gpg` on the controller, no trust database.
//!
//! A signature counts if a key of the keyring made it, over exactly these bytes, while the key was valid, and the
//! key is valid now. An expired key is refused and not merely warned of: whoever gets hold of it later can set
//! the signature's date at will.

use super::keyring::{Fingerprint, KeyWarning, Keyring, KnownKey, timestamp};
use jiff::{SignedDuration, Timestamp};
use pgp::composed::{Deserializable, DetachedSignature};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};

/// Packets looked at in one signature file.
const MAX_SIGNATURES: usize = 16;

/// How far a signature may lie in the future: clocks differ.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// A good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The primary key of its maker.
    pub by: Fingerprint,
    /// When it was made.
    pub made: Timestamp,
    /// What the operator should know about the key.
    pub warning: Option<KeyWarning>,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The file holds no signature that can be read.
    #[error("the signature cannot be read: {0}")]
    Malformed(String),
    /// It is of a kind that does not cover every byte, or of a broken digest.
    #[error("the signature is not acceptable: {0}")]
    Weak(String),
    /// No key of the keyring made it.
    #[error("it is signed by {issuer}, which is not among the known keys")]
    UnknownKey {
        /// Fingerprint or key id, as the signature says.
        issuer: String,
    },
    /// The content is not what was signed.
    #[error("the signature of key {fingerprint} does not match the package: one of the two has been changed")]
    Bad {
        /// The key that the signature claims.
        fingerprint: Fingerprint,
    },
    /// The key has ended.
    #[error("signing key {fingerprint} of {owner} expired on {}", expired.strftime("%Y-%m-%d"))]
    KeyExpired {
        /// The primary key.
        fingerprint: Fingerprint,
        /// Whose it is.
        owner: String,
        /// When it ended.
        expired: Timestamp,
    },
    /// The key was revoked.
    #[error("signing key {fingerprint} of {owner} was revoked")]
    KeyRevoked {
        /// The primary key.
        fingerprint: Fingerprint,
        /// Whose it is.
        owner: String,
    },
    /// The signature itself has ended.
    #[error("the signature expired on {}", expired.strftime("%Y-%m-%d"))]
    Expired {
        /// When it ended.
        expired: Timestamp,
    },
    /// It was made later than now, or before its key.
    #[error("the signature was made on {}, which cannot be: it is now {}", made.strftime("%Y-%m-%d"), now.strftime("%Y-%m-%d"))]
    Time {
        /// When it says it was made.
        made: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
}

impl SignatureError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Malformed(_) | Self::Weak(_) => {
                "a detached signature as of `gpg --detach-sign` must lie beside the package; download both again"
            }
            Self::UnknownKey { .. } => {
                "if you trust this key, add its armored public key to `keys`; otherwise do not install this package"
            }
            Self::Bad { .. } => {
                "download package and signature again; if that does not help, the mirror cannot be trusted"
            }
            Self::KeyExpired { .. } => {
                "use a newer bootstrap, which knows the successor, or add the owner's new or renewed key to `keys = [...]`; \
                 check this machine's clock too"
            }
            Self::KeyRevoked { .. } => {
                "do not install this package; get one that is signed by the owner's new key"
            }
            Self::Expired { .. } => "get a newer package, or one that is signed anew",
            Self::Time { .. } => "set this machine's clock, then try again",
        }
        .to_owned()
    }
}

impl Keyring {
    /// Verifies a detached signature, ASCII-armored or binary, over `content`. Of several signatures one good one
    /// suffices.
    pub fn verify(&self, content: &[u8], signature: &[u8], now: Timestamp) -> Result<Signed, SignatureError> {
        let malformed = |error: pgp::errors::Error| SignatureError::Malformed(error.to_string());
        let (signatures, _) = DetachedSignature::from_reader_many(signature).map_err(malformed)?;
        let mut failure = SignatureError::Malformed("there is none in the file".to_owned());
        for signature in signatures.take(MAX_SIGNATURES) {
            match signature.map_err(malformed).and_then(|s| self.verify_one(content, &s.signature, now)) {
                Ok(signed) => return Ok(signed),
                // What a known key's signature fails for says more than that another key is unknown.
                Err(SignatureError::UnknownKey { .. })
                    if !matches!(failure, SignatureError::Malformed(_)) => {}
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn verify_one(
        &self,
        content: &[u8],
        signature: &Signature,
        now: Timestamp,
    ) -> Result<Signed, SignatureError> {
        // Text signatures ignore line endings, so some bytes of a package could be changed under them.
        if signature.typ() != Some(SignatureType::Binary) {
            return Err(SignatureError::Weak("it is not a signature of binary content".to_owned()));
        }
        // As gpg does: SHA-1 still has no second preimages, MD5 is beyond hope.
        match signature.hash_alg() {
            Some(HashAlgorithm::Md5) | None => {
                return Err(SignatureError::Weak("its digest is broken or unknown".to_owned()));
            }
            Some(_) => {}
        }
        let mut claimed = self.keys.iter().filter(|key| key.matches(signature)).peekable();
        let Some(first) = claimed.peek().copied() else {
            return Err(SignatureError::UnknownKey { issuer: issuer(signature) });
        };
        let bad = SignatureError::Bad { fingerprint: first.primary.clone() };
        let key = claimed.find(|key| key.verifies(signature, content)).ok_or(bad)?;
        self.judge(key, signature, now)
    }

    /// Whether a signature that is mathematically good may be believed at `now`.
    fn judge(&self, key: &KnownKey, signature: &Signature, now: Timestamp) -> Result<Signed, SignatureError> {
        let made = signature
            .created()
            .map(timestamp)
            .ok_or_else(|| SignatureError::Weak("it has no date".to_owned()))?;
        let (fingerprint, owner) = (key.primary.clone(), key.owner.clone());
        let standing = self.standing(key);
        if standing.revoked {
            return Err(SignatureError::KeyRevoked { fingerprint, owner });
        }
        if let Some(expired) = standing.expires.filter(|expires| *expires <= now || *expires <= made) {
            return Err(SignatureError::KeyExpired { fingerprint, owner, expired });
        }
        let latest = now.checked_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX);
        if made > latest || made < key.created {
            return Err(SignatureError::Time { made, now });
        }
        let life = signature.signature_expiration_time().map(std::time::Duration::from);
        let life =
            life.and_then(|life| SignedDuration::try_from(life).ok()).filter(SignedDuration::is_positive);
        if let Some(expired) = life.and_then(|life| made.checked_add(life).ok()).filter(|end| *end <= now) {
            return Err(SignatureError::Expired { expired });
        }
        Ok(Signed { by: fingerprint, made, warning: self.warning(key, now) })
    }
}

fn issuer(signature: &Signature) -> String {
    let fingerprint =
        signature.issuer_fingerprint().first().map(|fingerprint| format!("key {fingerprint:X}"));
    let key_id =
        || signature.issuer_key_id().first().map(|id| format!("key {}", id.to_string().to_uppercase()));
    fingerprint.or_else(key_id).unwrap_or_else(|| "a key it does not name".to_owned())
}
