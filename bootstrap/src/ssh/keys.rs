//! Private key files: what they hold, whether they are encrypted, and what is wrong with those that are of no use. The
//! library's own errors don't tell these apart.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use russh::keys::{Algorithm, Error as ParseError, PrivateKey, PublicKey, decode_secret_key};
use secrecy::{ExposeSecret, SecretString};

use super::passphrase::{PassphraseError, PassphraseSource};

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
    #[error("{} is a public key, and no SSH agent holds its private half", file.display())]
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

/// What is in a key file.
pub(super) enum Sealed {
    Open(Box<PrivateKey>),
    /// The other half of a pair.
    Public(Box<PublicKey>),
    Encrypted {
        text: SecretString,
        /// Its other half, if the file itself or the one beside it tells.
        public: Option<Box<PublicKey>>,
    },
}

/// Reads a key file without asking anybody.
pub(super) fn read(file: &Path) -> Result<Sealed, KeyError> {
    let bytes = fs::read(file).map_err(|source| KeyError::Unreadable { file: file.into(), source })?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => SecretString::from(text),
        Err(_) => return Err(KeyError::NotAKey { file: file.into() }),
    };
    match Form::of(text.expose_secret()) {
        Form::Plain => match decode_secret_key(text.expose_secret(), None) {
            Ok(key) => usable(file, key).map(|key| Sealed::Open(Box::new(key))),
            Err(ParseError::KeyIsEncrypted) => Ok(encrypted(file, text)),
            Err(cause) => Err(KeyError::Damaged { file: file.into(), cause: cause.to_string() }),
        },
        Form::Encrypted => Ok(encrypted(file, text)),
        Form::Public => match public_half(text.expose_secret()) {
            Some(key) => Ok(Sealed::Public(Box::new(key))),
            None => Err(KeyError::PublicKey { file: file.into() }),
        },
        Form::Unsupported(what) => Err(KeyError::Unsupported { file: file.into(), what: what.to_owned() }),
        Form::Unknown => Err(KeyError::NotAKey { file: file.into() }),
    }
}

fn usable(file: &Path, key: PrivateKey) -> Result<PrivateKey, KeyError> {
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => Ok(key),
        other => Err(KeyError::Unsupported { file: file.into(), what: format!("a key of type {other}") }),
    }
}

fn encrypted(file: &Path, text: SecretString) -> Sealed {
    // OpenSSH's own format has the public half in the clear; for others, `ssh-keygen` leaves it beside them.
    let inside = PrivateKey::from_openssh(text.expose_secret()).ok().map(|key| key.public_key().clone());
    let public = inside.map(Box::new).or_else(|| public_beside(file));
    Sealed::Encrypted { text, public }
}

/// The public half that `ssh-keygen` leaves beside a private key, which need not be there itself.
pub(super) fn public_beside(file: &Path) -> Option<Box<PublicKey>> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    public_half(&fs::read_to_string(beside).ok()?).map(Box::new)
}

fn public_half(text: &str) -> Option<PublicKey> {
    text.lines().find_map(|line| PublicKey::from_openssh(line).ok())
}

/// Asks for passphrases until one fits.
pub(super) fn decrypt(
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
            return usable(file, key);
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
                if PublicKey::from_openssh(line).is_ok() { Self::Public } else { Self::Unknown }
            }),
        }
    }
}
