//! The lab key pair: private key files, read and decrypted once for the whole run, before any host
//! is touched, so that a passphrase is asked for once and a bad file stops the run at its start.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use russh::keys::{Algorithm, Error as ParseError, PrivateKey, decode_secret_key};
use secrecy::{ExposeSecret, SecretString};

use super::passphrase::{PassphraseError, PassphraseSource};

/// Private keys by file, ready to sign.
#[derive(Default)]
pub struct KeyRing {
    keys: HashMap<PathBuf, Arc<PrivateKey>>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

impl KeyRing {
    /// Loads every file once; `passphrases` is asked for those that are encrypted.
    pub fn load<'a>(
        files: impl IntoIterator<Item = &'a PathBuf>,
        passphrases: &mut dyn PassphraseSource,
    ) -> Result<Self, KeyError> {
        let mut keys = HashMap::new();
        for file in files {
            if !keys.contains_key(file) {
                keys.insert(file.clone(), Arc::new(load(file, passphrases)?));
            }
        }
        Ok(Self { keys })
    }

    /// The key of a file.
    #[must_use]
    pub fn get(&self, file: &Path) -> Option<&Arc<PrivateKey>> {
        self.keys.get(file)
    }
}

/// A private key file that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("private key {} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The other half of the pair.
    #[error("{} is a public key, not a private one", file.display())]
    PublicKey {
        /// The file.
        file: PathBuf,
    },
    /// Something else altogether.
    #[error("{} holds no private key", file.display())]
    NotAKey {
        /// The file.
        file: PathBuf,
    },
    /// A private key in a form that is not read here.
    #[error("private key {} is {what}, which is not supported", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// The form or algorithm.
        what: String,
    },
    /// Right form, bad content.
    #[error("private key {} is damaged: {cause}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What the parser said.
        cause: String,
    },
    /// No passphrase fitted.
    #[error("the passphrase for private key {} is wrong", file.display())]
    WrongPassphrase {
        /// The file.
        file: PathBuf,
    },
    /// Nobody gave a passphrase.
    #[error("private key {} is encrypted", file.display())]
    NoPassphrase {
        /// The file.
        file: PathBuf,
        /// Why.
        source: PassphraseError,
    },
}

impl KeyError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { file, .. } => {
                format!("check `identity` in the inventory and the permissions: `ls -l {}`", file.display())
            }
            Self::PublicKey { file } => {
                format!(
                    "name the private key: usually the same path without `.pub`, {}",
                    file.with_extension("").display()
                )
            }
            Self::NotAKey { .. } => "`identity` must name a private key as `ssh-keygen` writes it".to_owned(),
            Self::Unsupported { file, .. } => format!(
                "convert it: `ssh-keygen -p -f {0}` rewrites PEM in OpenSSH's format, `puttygen {0} -O private-openssh` \
                 converts PuTTY's; or make an Ed25519 key",
                file.display()
            ),
            Self::Damaged { file, .. } => {
                format!(
                    "see whether `ssh-keygen -y -f {}` can read it; if not, copy it again",
                    file.display()
                )
            }
            Self::WrongPassphrase { file } => format!("try it with `ssh-keygen -y -f {}`", file.display()),
            Self::NoPassphrase { source, .. } => source.hint(),
        }
    }
}

fn load(file: &Path, passphrases: &mut dyn PassphraseSource) -> Result<PrivateKey, KeyError> {
    let bytes = fs::read(file).map_err(|source| KeyError::Unreadable { file: file.into(), source })?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => SecretString::from(text),
        Err(_) => return Err(KeyError::NotAKey { file: file.into() }),
    };
    let key = match Form::of(text.expose_secret()) {
        Form::Plain => decode_secret_key(text.expose_secret(), None),
        Form::Encrypted => Err(ParseError::KeyIsEncrypted),
        Form::Public => return Err(KeyError::PublicKey { file: file.into() }),
        Form::Unsupported(what) => {
            return Err(KeyError::Unsupported { file: file.into(), what: what.to_owned() });
        }
        Form::Unknown => return Err(KeyError::NotAKey { file: file.into() }),
    };
    let key = match key {
        Ok(key) => key,
        Err(ParseError::KeyIsEncrypted) => decrypt(file, &text, passphrases)?,
        Err(cause) => return Err(KeyError::Damaged { file: file.into(), cause: cause.to_string() }),
    };
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => Ok(key),
        other => Err(KeyError::Unsupported { file: file.into(), what: format!("a key of type {other}") }),
    }
}

fn decrypt(
    file: &Path,
    text: &SecretString,
    passphrases: &mut dyn PassphraseSource,
) -> Result<PrivateKey, KeyError> {
    for attempt in 0.. {
        let passphrase = passphrases
            .passphrase(file, attempt)
            .map_err(|source| KeyError::NoPassphrase { file: file.into(), source })?;
        let Some(passphrase) = passphrase else { break };
        if let Ok(key) = decode_secret_key(text.expose_secret(), Some(passphrase.expose_secret())) {
            return Ok(key);
        }
    }
    Err(KeyError::WrongPassphrase { file: file.into() })
}

/// What a file looks like from outside. The parser's own errors don't tell these apart.
enum Form {
    Plain,
    Encrypted,
    Public,
    Unsupported(&'static str),
    Unknown,
}

impl Form {
    fn of(text: &str) -> Self {
        if text.trim_start().starts_with("PuTTY-User-Key-File-") {
            return Self::Unsupported("in PuTTY's format");
        }
        let header = text
            .lines()
            .map(str::trim)
            .find_map(|line| line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")));
        // OpenSSL's own encryption of PEM names its cipher in a line of its own.
        let cipher = text.lines().find_map(|line| line.trim().strip_prefix("DEK-Info:"));
        match (header, cipher.map(str::trim)) {
            (Some("RSA PRIVATE KEY"), Some(cipher)) if cipher.starts_with("AES-128-CBC") => Self::Encrypted,
            (Some("RSA PRIVATE KEY" | "EC PRIVATE KEY" | "DSA PRIVATE KEY"), Some(_)) => {
                Self::Unsupported("PEM in an old encryption of OpenSSL's")
            }
            (Some("DSA PRIVATE KEY"), None) => Self::Unsupported("a DSA key"),
            (Some("ENCRYPTED PRIVATE KEY"), _) => Self::Encrypted,
            // Whether an OpenSSH file is encrypted is inside it; the parser says so.
            (Some("OPENSSH PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "PRIVATE KEY"), _) => {
                Self::Plain
            }
            (Some("PUBLIC KEY" | "RSA PUBLIC KEY" | "SSH2 PUBLIC KEY"), _) => Self::Public,
            (Some("SSH2 ENCRYPTED PRIVATE KEY"), _) => Self::Unsupported("in ssh.com's format"),
            (Some(_), _) => Self::Unknown,
            (None, _) if text.contains("---- BEGIN SSH2 PUBLIC KEY ----") => Self::Public,
            (None, _) => text.lines().find(|line| !line.trim().is_empty()).map_or(Self::Unknown, |line| {
                if russh::keys::PublicKey::from_openssh(line).is_ok() { Self::Public } else { Self::Unknown }
            }),
        }
    }
}
