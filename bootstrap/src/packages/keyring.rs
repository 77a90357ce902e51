//! The OpenPGP keys that packages may be signed with, each with the validity that its own certificate states.
//!
//! Certificates are evaluated when they are added: only self-signatures that verify count, the newest decides, also
//! between two copies of one key, and a subkey may sign only if it and its primary key vouch for each other.

use super::limits::KEY_FILE_BYTES;
use jiff::{SignedDuration, Timestamp};
use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{KeyFlags, PublicKey, PublicSubkey, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};
use std::collections::BTreeMap;
use std::fmt;

/// How long before its end a key is warned of.
const WARNING_DAYS: i64 = 90;

/// The fingerprint of a primary key, in upper-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    pub(super) fn of(key: &impl KeyDetails) -> Self {
        Self(format!("{:X}", key.fingerprint()))
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A signing key that ends soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWarning {
    /// The primary key.
    pub fingerprint: Fingerprint,
    /// Whose it is, as the key says.
    pub owner: String,
    /// When it ends.
    pub expires: Timestamp,
    /// Whole days until then.
    pub days_left: i64,
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fingerprint, owner, expires, days_left } = self;
        let date = expires.strftime("%Y-%m-%d");
        write!(
            f,
            "signing key {fingerprint} of {owner} expires on {date}, in {days_left} days; packages will then be \
             refused unless bootstrap is newer or the successor is in `keys`"
        )
    }
}

/// Why a file of public keys is not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is not an OpenPGP public key.
    #[error("{origin} is not an OpenPGP public key")]
    Unreadable {
        /// Which file.
        origin: String,
        /// What the parser says.
        #[source]
        source: Box<pgp::errors::Error>,
    },
    /// It is larger than any key.
    #[error("{origin} is larger than {KEY_FILE_BYTES} bytes, so it is no public key")]
    TooLarge {
        /// Which file.
        origin: String,
    },
    /// None of its keys could ever verify a package.
    #[error("key {fingerprint} in {origin} cannot sign, or has no valid signature of its own")]
    CannotSign {
        /// Which file.
        origin: String,
        /// Its primary key.
        fingerprint: Fingerprint,
    },
    /// It holds no key at all.
    #[error("{origin} holds no key")]
    Empty {
        /// Which file.
        origin: String,
    },
}

impl KeyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        "export the public key with `gpg --armor --export FINGERPRINT > key.asc` and name that file in `keys`"
            .to_owned()
    }
}

/// The two kinds of key packets, of which either may have made a signature.
#[derive(Debug, Clone)]
pub(super) enum KeyPacket {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

/// A key that may sign packages.
#[derive(Debug, Clone)]
pub(super) struct KnownKey {
    pub(super) packet: KeyPacket,
    pub(super) primary: Fingerprint,
    pub(super) owner: String,
    pub(super) created: Timestamp,
    /// What was said of a subkey itself, besides what holds for its primary key.
    binding: Option<Statement>,
}

/// What an owner said of a key, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    made: Timestamp,
    pub(super) expires: Option<Timestamp>,
    pub(super) revoked: bool,
}

/// The keys that packages may be signed with.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    pub(super) keys: Vec<KnownKey>,
    /// What was last said of every primary key, which holds for its subkeys too, whichever file those are from.
    primaries: BTreeMap<Fingerprint, Statement>,
}

impl Keyring {
    /// A keyring without keys: it verifies nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// AWS's keys.
    pub fn aws() -> Result<Self, KeyError> {
        let mut keyring = Self::new();
        for key in targets::signing::KEYS {
            keyring.add(key.owner, key.armored.as_bytes())?;
        }
        Ok(keyring)
    }

    /// Adds every key of a file, ASCII-armored or binary. `origin` names the file in errors.
    pub fn add(&mut self, origin: &str, file: &[u8]) -> Result<(), KeyError> {
        let origin = || origin.to_owned();
        if file.len() > KEY_FILE_BYTES {
            return Err(KeyError::TooLarge { origin: origin() });
        }
        let unreadable = |error| KeyError::Unreadable { origin: origin(), source: Box::new(error) };
        let (certificates, _) = SignedPublicKey::from_reader_many(file).map_err(unreadable)?;
        let mut empty = true;
        for certificate in certificates {
            let certificate = certificate.map_err(unreadable)?;
            empty = false;
            let (fingerprint, said) = (Fingerprint::of(&certificate.primary_key), said_of(&certificate));
            let signing = signing_keys(&certificate);
            // One that only revokes is worth having.
            if signing.is_empty() && !said.revoked {
                return Err(KeyError::CannotSign { origin: origin(), fingerprint });
            }
            self.primaries.entry(fingerprint).and_modify(|known| known.hear(said)).or_insert(said);
            for key in signing {
                self.learn(key);
            }
        }
        if empty { Err(KeyError::Empty { origin: origin() }) } else { Ok(()) }
    }

    fn learn(&mut self, key: KnownKey) {
        match self.keys.iter_mut().find(|known| known.packet.fingerprint() == key.packet.fingerprint()) {
            Some(known) => {
                if let (Some(known), Some(said)) = (&mut known.binding, key.binding) {
                    known.hear(said);
                }
            }
            None => self.keys.push(key),
        }
    }

    /// What counts of a key: a subkey ends with its primary key at the latest, and is revoked with it.
    pub(super) fn standing(&self, key: &KnownKey) -> Statement {
        let all = self.primaries.get(&key.primary).into_iter().chain(&key.binding);
        let none = Statement { made: Timestamp::MIN, expires: None, revoked: false };
        all.fold(none, |one, other| Statement {
            made: one.made.max(other.made),
            expires: one.expires.into_iter().chain(other.expires).min(),
            revoked: one.revoked || other.revoked,
        })
    }

    /// Warns of a key that ends soon.
    pub(super) fn warning(&self, key: &KnownKey, now: Timestamp) -> Option<KeyWarning> {
        let expires = self.standing(key).expires?;
        let days_left = expires.duration_since(now).as_hours() / 24;
        let (fingerprint, owner) = (key.primary.clone(), key.owner.clone());
        (days_left < WARNING_DAYS).then_some(KeyWarning { fingerprint, owner, expires, days_left })
    }
}

impl Statement {
    /// An owner may give a key that is known already a longer life, or revoke it. A revocation is never taken back.
    fn hear(&mut self, other: Self) {
        let revoked = self.revoked || other.revoked;
        if other.made >= self.made {
            *self = other;
        }
        self.revoked = revoked;
    }
}

impl KeyPacket {
    fn fingerprint(&self) -> pgp::types::Fingerprint {
        match self {
            Self::Primary(key) => key.fingerprint(),
            Self::Subkey(key) => key.fingerprint(),
        }
    }
}

impl KnownKey {
    pub(super) fn matches(&self, signature: &Signature) -> bool {
        let id = match &self.packet {
            KeyPacket::Primary(key) => key.legacy_key_id(),
            KeyPacket::Subkey(key) => key.legacy_key_id(),
        };
        signature.issuer_fingerprint().contains(&&self.packet.fingerprint())
            || signature.issuer_key_id().iter().any(|issuer| **issuer == id)
    }

    pub(super) fn verifies(&self, signature: &Signature, content: &[u8]) -> bool {
        match &self.packet {
            KeyPacket::Primary(key) => signature.verify(key, content),
            KeyPacket::Subkey(key) => signature.verify(key, content),
        }
        .is_ok()
    }
}

/// What a certificate says of its primary key.
fn said_of(certificate: &SignedPublicKey) -> Statement {
    let primary = &certificate.primary_key;
    let own = newest_self_signature(certificate);
    Statement {
        made: own.map_or(Timestamp::MIN, made),
        expires: own.and_then(|own| expiry(primary, own)),
        revoked: certificate.details.revocation_signatures.iter().any(|s| s.verify_key(primary).is_ok()),
    }
}

/// All keys of a certificate that may sign.
fn signing_keys(certificate: &SignedPublicKey) -> Vec<KnownKey> {
    let primary = &certificate.primary_key;
    let Some(own) = newest_self_signature(certificate) else { return Vec::new() };
    let owner = certificate.details.users.first().map_or_else(String::new, |user| {
        // Shown to the operator: no control characters of a stranger's key on their terminal.
        String::from_utf8_lossy(user.id.id()).chars().filter(|c| !c.is_control()).take(200).collect()
    });
    let known = KnownKey {
        packet: KeyPacket::Primary(primary.clone()),
        primary: Fingerprint::of(primary),
        owner,
        created: timestamp(primary.created_at()),
        binding: None,
    };
    let mut keys: Vec<_> = certificate
        .public_subkeys
        .iter()
        .filter_map(|subkey| signing_subkey(&known, primary, subkey))
        .collect();
    // A certificate without flags leaves the uses to the algorithm.
    if own.key_flags().sign() || own.key_flags() == KeyFlags::default() {
        keys.insert(0, known);
    }
    keys
}

fn newest_self_signature(certificate: &SignedPublicKey) -> Option<&Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate.details.direct_signatures.iter();
    let direct = direct.filter(|s| s.typ() == Some(SignatureType::Key) && s.verify_key(primary).is_ok());
    let of_users = certificate.details.users.iter().flat_map(|user| {
        let certifies = |s: &&Signature| {
            s.is_certification() && s.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(certifies)
    });
    direct.chain(of_users).max_by_key(|signature| signature.created())
}

fn signing_subkey(known: &KnownKey, primary: &PublicKey, subkey: &SignedPublicSubKey) -> Option<KnownKey> {
    let bound = |typ| {
        subkey.signatures.iter().filter(move |signature| {
            signature.typ() == Some(typ) && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        })
    };
    let binding = bound(SignatureType::SubkeyBinding).max_by_key(|signature| signature.created())?;
    let vouches = binding
        .embedded_signature()
        .is_some_and(|s| s.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !binding.key_flags().sign() || !vouches {
        return None;
    }
    Some(KnownKey {
        packet: KeyPacket::Subkey(subkey.key.clone()),
        created: timestamp(subkey.key.created_at()),
        binding: Some(Statement {
            made: made(binding),
            expires: expiry(&subkey.key, binding),
            revoked: bound(SignatureType::SubkeyRevocation).next().is_some(),
        }),
        ..known.clone()
    })
}

fn expiry(key: &impl KeyDetails, signature: &Signature) -> Option<Timestamp> {
    let life = std::time::Duration::from(signature.key_expiration_time()?);
    let life = SignedDuration::try_from(life).ok().filter(SignedDuration::is_positive)?;
    timestamp(key.created_at()).checked_add(life).ok()
}

fn made(signature: &Signature) -> Timestamp {
    signature.created().map_or(Timestamp::MIN, timestamp)
}

/// OpenPGP's seconds since 1970, of 32 bits, all fit.
pub(super) fn timestamp(time: pgp::types::Timestamp) -> Timestamp {
    Timestamp::from_second(i64::from(time.as_secs())).unwrap_or(Timestamp::MAX)
}
