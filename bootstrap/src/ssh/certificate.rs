//! What makes a host's certificate good: that it is a host's, for this name, at this time, with nothing in it that we don't
//! understand. Whether its authority is to be trusted is for `known_hosts` to say.

use std::fmt;

use russh::keys::{Certificate, HashAlg, ssh_key::certificate::CertType};

use crate::wildcard::matches;

/// Why a certificate is no good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// It is a user's.
    NotOfAHost,
    /// The authority's signature is not right.
    Forged,
    /// It is for others.
    OtherNames(Vec<String>),
    /// Its time has not come: a Unix time.
    NotYet(u64),
    /// Its time is over: a Unix time.
    Expired(u64),
    /// It demands something that we don't know.
    Demands(String),
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |seconds: u64| {
            let stamp =
                i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
            stamp.map_or_else(|| seconds.to_string(), |stamp| stamp.to_string())
        };
        match self {
            Self::NotOfAHost => f.write_str("it is the certificate of a user"),
            Self::Forged => f.write_str("its signature is wrong"),
            Self::OtherNames(names) if names.is_empty() => f.write_str("it names no host"),
            Self::OtherNames(names) => write!(f, "it is for {}", names.join(", ")),
            Self::NotYet(from) => write!(f, "it is valid from {} on only", time(*from)),
            Self::Expired(until) => write!(f, "it has expired at {}", time(*until)),
            Self::Demands(option) => write!(f, "it has the critical option `{option}`, which is not known"),
        }
    }
}

/// Checks all of a certificate but who has signed it; `name` is in lower case, `now` a Unix time.
pub(super) fn check(certificate: &Certificate, name: &str, now: u64) -> Result<(), CertificateFault> {
    if certificate.cert_type() != CertType::Host {
        return Err(CertificateFault::NotOfAHost);
    }
    if certificate.valid_after() > now {
        return Err(CertificateFault::NotYet(certificate.valid_after()));
    }
    if certificate.valid_before() <= now {
        return Err(CertificateFault::Expired(certificate.valid_before()));
    }
    let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
    if certificate.validate_at(now, [&signer]).is_err() {
        return Err(CertificateFault::Forged);
    }
    // For hosts there is none that anybody has defined.
    if let Some((option, _)) = certificate.critical_options().iter().next() {
        return Err(CertificateFault::Demands(option.clone()));
    }
    // A certificate without names would be one for every host.
    let names = certificate.valid_principals();
    if names.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name)) {
        Ok(())
    } else {
        Err(CertificateFault::OtherNames(names.to_vec()))
    }
}
