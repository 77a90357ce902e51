//! What people compare: the short form of a public key. Apart, because keys of hosts, of users and
//! of files are all shown the same way, the way of `ssh-keygen -l`.

use std::fmt;

use russh::keys::{Algorithm, HashAlg, PublicKey};

/// SHA-256 fingerprint and type of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    sha256: String,
    algorithm: Algorithm,
}

impl Fingerprint {
    /// The fingerprint of a key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self { sha256: key.fingerprint(HashAlg::Sha256).to_string(), algorithm: key.algorithm() }
    }

    /// Whether it is of a key that is used with this algorithm; RSA keys sign with several hashes.
    pub(super) fn is_of(&self, algorithm: &Algorithm) -> bool {
        same_key_type(&self.algorithm, algorithm)
    }

    /// `SHA256:` and 43 characters of unpadded base64.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.algorithm {
            Algorithm::Ed25519 => "ED25519",
            Algorithm::Rsa { .. } => "RSA",
            Algorithm::Ecdsa { .. } => "ECDSA",
            Algorithm::Dsa => "DSA",
            other => other.as_str(),
        };
        write!(f, "{} ({kind})", self.sha256)
    }
}

/// Whether two algorithms use keys of one type.
pub(super) fn same_key_type(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || (matches!(one, Algorithm::Rsa { .. }) && matches!(other, Algorithm::Rsa { .. }))
}
