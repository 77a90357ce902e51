//! How much a package may cost, in bytes, time and tries.

use std::time::Duration;

/// Limits of reading and downloading one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest package, in bytes. AWS's are 20 to 60 MB.
    pub package_bytes: u64,
    /// Longest wait for an answer, and for each further piece of it.
    pub idle: Duration,
    /// Longest time for one package with all its tries.
    pub total: Duration,
    /// How often a request is tried that fails for a reason that can heal.
    pub tries: u32,
    /// Wait after the first failure; doubled after each further one.
    pub back_off: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            package_bytes: 256 * 1024 * 1024,
            idle: Duration::from_secs(30),
            total: Duration::from_mins(15),
            tries: 5,
            back_off: Duration::from_millis(500),
        }
    }
}

/// Largest signature file, in bytes; real ones have some hundred.
pub(super) const SIGNATURE_BYTES: u64 = 64 * 1024;

/// Largest file of public keys, in bytes.
pub(super) const KEY_FILE_BYTES: usize = 1024 * 1024;
