//! The RSA key pair of a managed node: made by the agent, known to the endpoint by its public half, and proof
//! of identity when the node asks for role credentials.
//!
//! A node signs the ordinary `SigV4` string-to-sign with RSASSA-PSS (SHA-256, MGF1 with SHA-256, 32 bytes of
//! salt) instead of an HMAC.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _};
use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use rsa::pss::{Signature, SigningKey, VerifyingKey};
use rsa::rand_core::OsRng;
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Verifier as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

/// Key length of the agent's `Rsa` key type.
const BITS: usize = 2048;
const SALT_BYTES: usize = 32;

/// A key that cannot be made, read or used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The random source or the arithmetic failed.
    #[error("cannot make an RSA key pair")]
    Generate(#[source] rsa::Error),
    /// The text is not base64.
    #[error("the key is not base64")]
    Base64(#[from] base64::DecodeError),
    /// The bytes are not a PKCS#1 private key.
    #[error("the private key is not PKCS#1 DER")]
    Private(#[from] rsa::pkcs1::Error),
    /// The bytes are not a public key.
    #[error("the public key is not SubjectPublicKeyInfo DER of an RSA key")]
    Public(#[from] rsa::pkcs8::spki::Error),
    /// The key has another length than 2048 bits.
    #[error("the public key has {0} bits, not 2048")]
    Length(usize),
    /// Signing failed.
    #[error("cannot sign with the node key")]
    Sign(#[from] rsa::signature::Error),
}

/// The private half, as the agent's vault keeps it.
pub struct NodeKey(RsaPrivateKey);

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

impl NodeKey {
    /// Makes a new RSA-2048 key pair.
    pub fn generate() -> Result<Self, KeyError> {
        RsaPrivateKey::new(&mut OsRng, BITS).map(Self).map_err(KeyError::Generate)
    }

    /// Reads base64 of PKCS#1 DER, the form in the vault.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        Ok(Self(RsaPrivateKey::from_pkcs1_der(&STANDARD.decode(text)?)?))
    }

    /// Writes base64 of PKCS#1 DER, the form in the vault.
    pub fn to_base64(&self) -> Result<String, KeyError> {
        Ok(STANDARD.encode(self.0.to_pkcs1_der()?.as_bytes()))
    }

    /// The public half as base64 of `SubjectPublicKeyInfo` DER, the form on the wire.
    pub fn public_base64(&self) -> Result<String, KeyError> {
        Ok(STANDARD.encode(self.0.to_public_key().to_public_key_der()?.as_bytes()))
    }

    /// Signs a string-to-sign; the result is base64, as it stands in the `Authorization` header.
    pub fn sign(&self, string_to_sign: &str) -> Result<String, KeyError> {
        let signer = SigningKey::<Sha256>::new_with_salt_len(self.0.clone(), SALT_BYTES);
        let signature = signer.try_sign_with_rng(&mut OsRng, string_to_sign.as_bytes())?;
        Ok(STANDARD.encode(signature.to_bytes()))
    }
}

/// The public half, as the endpoint knows it; serialized as it is on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodePublicKey(RsaPublicKey);

impl TryFrom<String> for NodePublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::from_base64(&text)
    }
}

impl From<NodePublicKey> for String {
    fn from(key: NodePublicKey) -> Self {
        // Encoding fails for no RSA key; an empty text would be refused where it is read.
        key.0.to_public_key_der().map(|der| STANDARD.encode(der.as_bytes())).unwrap_or_default()
    }
}

impl NodePublicKey {
    /// Reads base64 of `SubjectPublicKeyInfo` DER; only RSA-2048 is accepted.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let key = RsaPublicKey::from_public_key_der(&STANDARD.decode(text)?)?;
        match key.n().bits() {
            BITS => Ok(Self(key)),
            other => Err(KeyError::Length(other)),
        }
    }

    /// Whether `signature` (base64) is this node's over `string_to_sign`.
    #[must_use]
    pub fn verifies(&self, string_to_sign: &str, signature: &str) -> bool {
        let verifier = VerifyingKey::<Sha256>::new_with_salt_len(self.0.clone(), SALT_BYTES);
        STANDARD
            .decode(signature)
            .ok()
            .and_then(|bytes| Signature::try_from(bytes.as_slice()).ok())
            .is_some_and(|signature| verifier.verify(string_to_sign.as_bytes(), &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::{NodeKey, NodePublicKey};

    #[test]
    fn a_signature_holds_for_its_text_and_its_key_only() {
        let (key, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
        let public = NodePublicKey::from_base64(&key.public_base64().unwrap()).unwrap();
        let signature = key.sign("text").unwrap();
        assert_eq!(signature.len(), 344, "facts: a 344-character base64 signature");
        assert!(public.verifies("text", &signature));
        assert!(!public.verifies("other text", &signature));
        assert!(!public.verifies("text", &other.sign("text").unwrap()));
        assert!(!public.verifies("text", "not base64!"));
        let kept = serde_json::to_string(&public).unwrap();
        assert!(serde_json::from_str::<NodePublicKey>(&kept).unwrap().verifies("text", &signature));
    }

    #[test]
    fn a_key_survives_the_vault() {
        let key = NodeKey::generate().unwrap();
        let again = NodeKey::from_base64(&key.to_base64().unwrap()).unwrap();
        assert_eq!(key.public_base64().unwrap(), again.public_base64().unwrap());
    }

    #[test]
    fn what_is_no_rsa_2048_key_is_refused() {
        // RSA-1024, made with `openssl genrsa 1024 | openssl rsa -pubout`.
        let short = concat!(
            "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCpeAOVCyKjE93GbN1cTZpP2tqr",
            "mQfnH1rt0UKjtkhDFQD4PTFNeC7uBa7LTJnI4RNaH9sNt7dNzlbp2jpFqpx2Togu",
            "W0OXziuAL4Vqb31p17bVKTJf+4VI0QGhpwcucvHJ51xFZ1eS4MH0nn9EmakddKnX",
            "qw0u+P3AAnuSxQdM5QIDAQAB",
        );
        assert!(matches!(NodePublicKey::from_base64(short), Err(super::KeyError::Length(1024))));
        assert!(NodePublicKey::from_base64("AAAA").is_err());
        assert!(NodePublicKey::from_base64("?").is_err());
    }
}
