//! The machine fingerprint: a random UUID that stays as long as the machine is found similar to the one it was made
//! on. The hardware values never leave the host.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::diary::Diary;
use super::host;
use super::paths::Paths;
use super::time::{Ended, Time};
use super::vault::{Vault, VaultError};

/// The real agent's default: this percentage of the hardware values must match.
pub const DEFAULT_THRESHOLD: i64 = 40;
/// A threshold that accepts every machine.
pub const NO_THRESHOLD: i64 = -1;
const COMPARISONS: u32 = 3;
const BETWEEN_COMPARISONS: Duration = Duration::from_secs(5);

/// `Store/InstanceFingerprint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedFingerprint {
    /// The UUID sent to SSM.
    pub fingerprint: String,
    /// What the machine looked like.
    pub hardware_hash: BTreeMap<String, String>,
    /// How much of it must stay the same, in percent.
    pub similarity_threshold: i64,
}

impl SavedFingerprint {
    fn new(hardware_hash: BTreeMap<String, String>, similarity_threshold: i64) -> Self {
        Self {
            fingerprint: uuid::Uuid::new_v4().hyphenated().to_string(),
            hardware_hash,
            similarity_threshold,
        }
    }
}

/// Whether two sets of values are of one machine: another machine-id is another machine; with it, the same
/// address is enough; else the share of equal values decides.
#[must_use]
pub fn similar(saved: &BTreeMap<String, String>, now: &BTreeMap<String, String>, threshold: i64) -> bool {
    let same = |key: &str| saved.get(key) == now.get(key);
    if threshold == NO_THRESHOLD {
        return true;
    }
    if !same("machine-id") {
        return false;
    }
    if same("ipaddress-info") {
        return true;
    }
    let equal = saved.keys().filter(|key| same(key)).count();
    let percent = equal * 100 / saved.len().max(1);
    i64::try_from(percent).is_ok_and(|percent| percent >= threshold)
}

/// Why there is no fingerprint.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The agent ended first.
    #[error("the agent was stopped")]
    Ended,
}

impl From<Ended> for FingerprintError {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

/// The fingerprint of this machine: the saved one if it still fits, else a new one, which SSM will not accept.
pub fn current(paths: &Paths, vault: &Vault, diary: &Diary, time: &Time) -> Result<String, FingerprintError> {
    let saved = vault.fingerprint()?;
    let threshold = saved.as_ref().map_or(DEFAULT_THRESHOLD, |saved| saved.similarity_threshold);
    if let Some(saved) = saved {
        for comparison in 1..=COMPARISONS {
            if similar(&saved.hardware_hash, &host::hardware(paths), threshold) {
                return Ok(saved.fingerprint);
            }
            if comparison < COMPARISONS {
                time.pause(BETWEEN_COMPARISONS)?;
            }
        }
        diary.error("The hardware does not match the saved fingerprint; generating a new fingerprint");
    }
    let fresh = SavedFingerprint::new(host::hardware(paths), threshold);
    vault.store_fingerprint(&fresh)?;
    Ok(fresh.fingerprint)
}

/// Changes how similar the machine must stay.
pub fn set_threshold(paths: &Paths, vault: &Vault, threshold: i64) -> Result<(), VaultError> {
    let mut saved =
        vault.fingerprint()?.unwrap_or_else(|| SavedFingerprint::new(host::hardware(paths), threshold));
    saved.similarity_threshold = threshold;
    vault.store_fingerprint(&saved)
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, similar};

    fn values(machine: &str, address: &str, others: &str) -> BTreeMap<String, String> {
        let mut values = BTreeMap::from([
            ("machine-id".to_owned(), machine.to_owned()),
            ("ipaddress-info".to_owned(), address.to_owned()),
        ]);
        for index in 0..7 {
            values.insert(format!("other-{index}"), others.chars().nth(index).unwrap_or('-').to_string());
        }
        values
    }

    #[test]
    fn another_machine_id_is_another_machine_whatever_else_matches() {
        assert!(!similar(&values("a", "ip", "1234567"), &values("b", "ip", "1234567"), 40));
    }

    #[test]
    fn the_same_address_is_enough() {
        assert!(similar(&values("a", "ip", "1234567"), &values("a", "ip", "abcdefg"), 100));
    }

    #[test]
    fn else_the_share_of_equal_values_decides() {
        let saved = values("a", "ip", "1234567");
        assert!(similar(&saved, &values("a", "other", "123xxxx"), 40), "4 of 9 are 44 %");
        assert!(!similar(&saved, &values("a", "other", "12xxxxx"), 40), "3 of 9 are 33 %");
    }

    #[test]
    fn without_a_threshold_every_machine_is_the_same() {
        assert!(similar(&values("a", "ip", "1"), &values("b", "other", "2"), -1));
    }
}
