//! The OpenPGP keys that sign AWS's agent packages, as data.
//!
//! A list, because keys are rotated: two predecessors of today's key expired, and tools that knew only one key
//! stopped installing. A successor is added here as a file of `keys/` and a row; users can add keys without
//! waiting for us.

/// A public key whose signatures on agent packages are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningKey {
    /// Whose it is.
    pub owner: &'static str,
    /// Version 4 fingerprint, upper-case hexadecimal without spaces.
    pub fingerprint: &'static str,
    /// The key, ASCII-armored.
    pub armored: &'static str,
}

/// AWS's keys, the newest first.
pub const KEYS: [SigningKey; 1] = [SigningKey {
    owner: "SSM Agent <ssm-agent-signer@amazon.com>",
    // Made 2026-06-04, expires 2027-11-25; the key itself says so and is asked for it.
    fingerprint: "1C5B395CBE5E74E2F1CA21592784DBF388D19D46",
    armored: include_str!("../keys/ssm-agent-signer.asc"),
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_an_armored_public_key_with_a_full_fingerprint() {
        for key in KEYS {
            assert!(key.armored.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), "{}", key.owner);
            assert!(key.armored.trim_end().ends_with("-----END PGP PUBLIC KEY BLOCK-----"), "{}", key.owner);
            assert_eq!(key.fingerprint.len(), 40);
            assert!(key.fingerprint.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)));
        }
    }
}
