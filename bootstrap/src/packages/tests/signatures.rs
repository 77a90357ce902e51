//! Signatures of gpg are judged as an operator would want it, at any time.

use super::fixtures::Gpg;
use crate::packages::{Fingerprint, KeyError, Keyring, SignatureError};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use std::sync::LazyLock;

const CONTENT: &[u8] = b"a package";

fn ed25519() -> Gpg {
    Gpg::new("ed25519", "sign,cert", "0", "")
}

fn keyring_of(files: &[&Vec<u8>]) -> Keyring {
    let mut keyring = Keyring::new();
    for file in files {
        keyring.add("test.asc", file).unwrap();
    }
    keyring
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn aws_key_is_the_published_one_and_says_when_it_ends() {
    let keyring = Keyring::aws().unwrap();
    let key = &keyring.keys[0];
    assert_eq!(key.primary.as_str(), targets::signing::KEYS[0].fingerprint);
    assert_eq!(key.owner, targets::signing::KEYS[0].owner);
    // As `gpg --show-keys` prints it.
    assert_eq!(keyring.standing(key).expires.unwrap().strftime("%Y-%m-%d").to_string(), "2027-11-25");
    assert_eq!(key.created.strftime("%Y-%m-%d").to_string(), "2026-06-04");
    assert_eq!(keyring.warning(key, at("2027-08-01T00:00:00Z")), None);
    let warning = keyring.warning(key, at("2027-11-01T00:00:00Z")).unwrap();
    assert_eq!(warning.days_left, 24);
    assert!(warning.to_string().contains("expires on 2027-11-25"), "{warning}");
    assert!(keyring.warning(key, at("2027-08-30T00:00:00Z")).is_some());
}

#[test]
fn good_signatures_of_both_usual_algorithms_are_verified() {
    let eddsa = ed25519();
    let rsa = Gpg::new("rsa4096", "sign,cert", "0", "");
    for gpg in [&eddsa, &rsa] {
        for more in [&[][..], &["--armor"], &["--digest-algo", "SHA512"]] {
            let signed = gpg.keyring().verify(CONTENT, &gpg.sign(CONTENT, more), Timestamp::now()).unwrap();
            assert_eq!(signed.by.as_str(), gpg.fingerprint());
            assert_eq!(signed.warning, None);
        }
    }
}

#[test]
fn a_changed_package_is_told_from_an_unknown_key() {
    let gpg = ed25519();
    let signature = gpg.sign(CONTENT, &[]);
    let tampered = gpg.keyring().verify(b"a package!", &signature, Timestamp::now()).unwrap_err();
    assert!(
        matches!(&tampered, SignatureError::Bad { fingerprint } if fingerprint.as_str() == gpg.fingerprint())
    );
    let unknown = Keyring::aws().unwrap().verify(CONTENT, &signature, Timestamp::now()).unwrap_err();
    let issuer = format!("key {}", gpg.fingerprint());
    assert_eq!(unknown, SignatureError::UnknownKey { issuer });
    assert!(unknown.hint().contains("keys"));
}

#[test]
fn an_expired_key_is_refused_with_its_date_and_the_remedy() {
    let gpg = Gpg::new("ed25519", "sign,cert", "20260301T000000", "20260101T000000");
    let (keyring, signature) = (gpg.keyring(), gpg.sign(CONTENT, &[]));
    let verify = |now| keyring.verify(CONTENT, &signature, at(now));

    let early = verify("2026-02-01T00:00:00Z").unwrap();
    assert_eq!(early.warning.unwrap().days_left, 28);

    let late = verify("2026-03-02T00:00:00Z").unwrap_err();
    let said = late.to_string();
    assert!(said.contains(&gpg.fingerprint()) && said.contains("2026-03-01"), "{said}");
    assert!(late.hint().contains("newer bootstrap") && late.hint().contains("keys = ["), "{}", late.hint());
    // Tampering is still found out first.
    let both = keyring.verify(b"other", &signature, at("2026-03-02T00:00:00Z"));
    assert!(matches!(both, Err(SignatureError::Bad { .. })));
}

#[test]
fn a_key_whose_owner_gave_it_a_longer_life_counts_with_that_and_a_revoked_one_stays_so() {
    let mut gpg = Gpg::new("ed25519", "sign,cert", "20260301T000000", "20260101T000000");
    let (first, signature) = (gpg.public_key(), gpg.sign(CONTENT, &[]));
    gpg.time = "20260201T000000";
    gpg.run(&["--quick-set-expire", &gpg.fingerprint(), "20280101T000000"]);
    let renewed = gpg.public_key();
    gpg.revoke();
    let revoked = gpg.public_key();
    let verify =
        |files: &[&Vec<u8>]| keyring_of(files).verify(CONTENT, &signature, at("2026-06-01T00:00:00Z"));
    assert!(matches!(verify(&[&first]), Err(SignatureError::KeyExpired { .. })));
    assert!(verify(&[&first, &renewed]).is_ok());
    assert!(verify(&[&renewed, &first]).is_ok());
    for files in [[&renewed, &revoked], [&revoked, &renewed]] {
        assert!(matches!(verify(&files), Err(SignatureError::KeyRevoked { .. })));
    }
}

#[test]
fn a_revoked_primary_key_takes_along_subkeys_that_only_another_copy_has() {
    for usage in ["sign,cert", "cert"] {
        let gpg = Gpg::new("ed25519", usage, "0", "");
        gpg.run(&["--quick-add-key", &gpg.fingerprint(), "ed25519", "sign", "0"]);
        let (old, signature) = (gpg.public_key(), gpg.sign(CONTENT, &[]));
        gpg.revoke();
        let revoked = gpg.primary_alone();
        for files in [[&old, &revoked], [&revoked, &old]] {
            let error = keyring_of(&files).verify(CONTENT, &signature, Timestamp::now()).unwrap_err();
            assert!(matches!(error, SignatureError::KeyRevoked { .. }), "{error}");
        }
        assert!(keyring_of(&[&old]).verify(CONTENT, &signature, Timestamp::now()).is_ok());
    }
}

#[test]
fn of_a_primary_key_and_its_subkey_the_newer_word_on_each_counts() {
    let mut gpg = Gpg::new("ed25519", "sign,cert", "20260301T000000", "20260101T000000");
    gpg.run(&["--quick-add-key", &gpg.fingerprint(), "ed25519", "sign", "20260301T000000"]);
    let (first, signature, key) = (gpg.public_key(), gpg.sign(CONTENT, &[]), gpg.fingerprint());
    let other = gpg.copy();
    // The owner renews the primary key on one machine, later the subkey on another.
    gpg.time = "20260201T000000";
    gpg.run(&["--quick-set-expire", &key, "20280101T000000"]);
    let primary_renewed = gpg.public_key();
    let mut gpg = other;
    gpg.time = "20260202T000000";
    gpg.run(&["--quick-set-expire", &key, "20270101T000000", "*"]);
    let subkey_renewed = gpg.public_key();
    let verify = |files: &[&Vec<u8>], now| keyring_of(files).verify(CONTENT, &signature, at(now));
    for file in [&first, &primary_renewed, &subkey_renewed] {
        assert!(matches!(verify(&[file], "2026-06-01T00:00:00Z"), Err(SignatureError::KeyExpired { .. })));
    }
    for files in [[&primary_renewed, &subkey_renewed], [&subkey_renewed, &primary_renewed]] {
        assert!(verify(&files, "2026-06-01T00:00:00Z").is_ok());
        let late = verify(&files, "2027-02-01T00:00:00Z");
        assert!(matches!(late, Err(SignatureError::KeyExpired { .. })), "{late:?}");
    }
}

#[test]
fn a_clock_that_stands_in_the_past_is_named_as_the_cause() {
    let gpg = ed25519();
    let signature = gpg.sign(CONTENT, &[]);
    let now = Timestamp::now().checked_sub((24 * 400).hours()).unwrap();
    let error = gpg.keyring().verify(CONTENT, &signature, now).unwrap_err();
    assert!(matches!(error, SignatureError::Time { .. }) && error.hint().contains("clock"), "{error}");
}

#[test]
fn a_signing_subkey_stands_for_its_primary_key() {
    let gpg = Gpg::new("ed25519", "cert", "0", "");
    assert!(matches!(
        Keyring::new().add("cert-only.asc", &gpg.public_key()),
        Err(KeyError::CannotSign { .. })
    ));
    gpg.run(&["--quick-add-key", &gpg.fingerprint(), "ed25519", "sign", "30d"]);
    let signed = gpg.keyring().verify(CONTENT, &gpg.sign(CONTENT, &[]), Timestamp::now()).unwrap();
    assert_eq!(signed.by.as_str(), gpg.fingerprint());
    assert!(signed.warning.is_some_and(|warning| (28..=30).contains(&warning.days_left)));
    let later = Timestamp::now().checked_add((24 * 31).hours()).unwrap();
    let expired = gpg.keyring().verify(CONTENT, &gpg.sign(CONTENT, &[]), later);
    assert!(matches!(expired, Err(SignatureError::KeyExpired { .. })), "{expired:?}");
}

#[test]
fn a_revoked_key_is_refused() {
    let gpg = Gpg::new("ed25519", "sign,cert", "0", "");
    let signature = gpg.sign(CONTENT, &[]);
    gpg.revoke();
    let error = gpg.keyring().verify(CONTENT, &signature, Timestamp::now()).unwrap_err();
    assert!(matches!(error, SignatureError::KeyRevoked { .. }), "{error}");
}

#[test]
fn text_signatures_do_not_count() {
    let gpg = ed25519();
    let text = gpg.sign(CONTENT, &["--textmode"]);
    let error = gpg.keyring().verify(CONTENT, &text, Timestamp::now()).unwrap_err();
    assert!(matches!(error, SignatureError::Weak(_)), "{error}");
}

#[test]
fn an_expired_signature_does_not_count() {
    let gpg = ed25519();
    let signature = gpg.sign(CONTENT, &["--default-sig-expire", "2d"]);
    let now = Timestamp::now();
    assert!(gpg.keyring().verify(CONTENT, &signature, now).is_ok());
    let later = now.checked_add(72.hours()).unwrap();
    let error = gpg.keyring().verify(CONTENT, &signature, later).unwrap_err();
    assert!(matches!(error, SignatureError::Expired { .. }), "{error}");
}

#[test]
fn of_several_signatures_one_by_a_known_key_suffices() {
    let gpg = ed25519();
    let other = Gpg::new("ed25519", "sign,cert", "0", "");
    let both = [other.sign(CONTENT, &[]), gpg.sign(CONTENT, &[])].concat();
    for keyring in [gpg.keyring(), other.keyring()] {
        assert!(keyring.verify(CONTENT, &both, Timestamp::now()).is_ok());
    }
}

#[test]
fn files_that_are_no_keys_or_signatures_are_refused_by_name() {
    let gpg = ed25519();
    for junk in [&b""[..], b"junk", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx\n", &[0x99, 0xff, 0xff]] {
        let error = Keyring::new().add("my.asc", junk).unwrap_err();
        assert!(error.to_string().contains("my.asc") && error.hint().contains("gpg"), "{error}");
        let error = gpg.keyring().verify(CONTENT, junk, Timestamp::now()).unwrap_err();
        assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
    }
}

static SIGNED: LazyLock<(Keyring, Vec<u8>, Fingerprint)> = LazyLock::new(|| {
    // A static is never dropped, and gpg's agent must be: so what is kept is not the home.
    let gpg = ed25519();
    let (keyring, signature) = (gpg.keyring(), gpg.sign(CONTENT, &[]));
    let by = keyring.verify(CONTENT, &signature, Timestamp::now()).unwrap().by;
    (keyring, signature, by)
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn no_other_content_is_ever_accepted(content in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assume!(content != CONTENT);
        prop_assert!(SIGNED.0.verify(&content, &SIGNED.1, Timestamp::now()).is_err());
    }

    #[test]
    fn changed_signatures_never_panic_and_never_name_another_key(
        index in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut signature = SIGNED.1.clone();
        let at = index.index(signature.len());
        signature[at] = byte;
        if let Ok(signed) = SIGNED.0.verify(CONTENT, &signature, Timestamp::now()) {
            prop_assert_eq!(&signed.by, &SIGNED.2);
        }
        prop_assert!(SIGNED.0.verify(CONTENT, &SIGNED.1[..cut.index(SIGNED.1.len())], Timestamp::now()).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_no_key_and_no_signature(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Keyring::new().add("x", &bytes).is_err());
        prop_assert!(SIGNED.0.verify(CONTENT, &bytes, Timestamp::now()).is_err());
    }
}
