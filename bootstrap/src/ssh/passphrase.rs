//! Where the passphrases of encrypted keys come from. Apart from the keys, because a person at a
//! terminal may mistype and be asked again, and a file descriptor may not.

use std::{fs, io, path::Path};

use secrecy::{ExposeSecret, SecretString};

/// Someone who knows passphrases.
pub trait PassphraseSource {
    /// The passphrase to try on a key file, counting tries from 0; `None` when there is nothing more to try.
    fn passphrase(&mut self, key: &Path, attempt: usize) -> Result<Option<SecretString>, PassphraseError>;

    /// A password, asked for before any passphrase; `None` when there is none.
    fn password(&mut self, what: &str) -> Result<Option<SecretString>, PassphraseError>;
}

/// A passphrase that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Nobody can be asked.
    #[error("the terminal cannot be asked")]
    Terminal(#[source] io::Error),
    /// Ctrl-C, or another signal that is to end the program.
    #[error("interrupted")]
    Interrupted,
    /// An option names something unreadable.
    #[error("file descriptor {number} cannot be read")]
    Descriptor {
        /// The option: `--passphrase-fd`.
        option: &'static str,
        /// The number given.
        number: u32,
        /// Why.
        source: io::Error,
    },
}

impl PassphraseError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Terminal(_) | Self::Interrupted => {
                "give it by `--passphrase-fd N`, or run at a terminal".to_owned()
            }
            Self::Descriptor { option, number, .. } => {
                format!(
                    "open the descriptor for bootstrap, as in `bootstrap {option} {number} {number}< FILE`"
                )
            }
        }
    }
}

/// Passphrases, one a line, from an inherited file descriptor; each is tried on each encrypted key.
#[derive(Debug)]
pub struct FromDescriptor {
    lines: Vec<SecretString>,
}

impl FromDescriptor {
    /// Reads the descriptor that an option names to its end.
    pub fn read(option: &'static str, number: u32) -> Result<Self, PassphraseError> {
        // Opening it by its name in /proc needs no unsafe claim that the number is ours to own.
        let text = fs::read_to_string(format!("/proc/self/fd/{number}"))
            .map(SecretString::from)
            .map_err(|source| PassphraseError::Descriptor { option, number, source })?;
        let lines = text.expose_secret().lines().map(SecretString::from).collect();
        Ok(Self { lines })
    }
}

impl FromDescriptor {
    /// The lines.
    #[must_use]
    pub fn into_lines(self) -> Vec<SecretString> {
        self.lines
    }
}

impl PassphraseSource for FromDescriptor {
    fn passphrase(&mut self, _key: &Path, attempt: usize) -> Result<Option<SecretString>, PassphraseError> {
        Ok(self.lines.get(attempt).cloned())
    }

    fn password(&mut self, _what: &str) -> Result<Option<SecretString>, PassphraseError> {
        // Taken out: a password is no passphrase.
        Ok((!self.lines.is_empty()).then(|| self.lines.remove(0)))
    }
}
