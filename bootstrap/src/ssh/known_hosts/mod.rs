//! Which key belongs to which host: `known_hosts` files, read once each and shared by all
//! connections, and the one place that writes to them.
//!
//! Own code rather than russh's, which knows no patterns, markers or negation, and reads the file
//! anew for every host.

mod entry;

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use russh::keys::{Algorithm, Certificate, PublicKey};

use super::{
    certificate::{self, CertificateFault},
    error::Peer,
    fingerprint::Fingerprint,
};
use entry::{Entry, Marker, lookup_name, names};

/// What the files say about a host and a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the host's key.
    Known,
    /// The host has other keys.
    Changed(Vec<KnownKey>),
    /// The key is marked `@revoked`.
    Revoked(KnownKey),
    /// Nothing is said about the host, unless that an authority signs its certificates.
    Unknown { authority: Option<KnownKey> },
}

/// What the files say about a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Vouching {
    /// An authority for this host has signed it, and all is well with it.
    Good,
    /// An authority for this host has signed it, and yet it is no good.
    Bad {
        /// The line of the authority, or the one that revokes.
        authority: KnownKey,
        /// Why.
        why: Unvouched,
    },
    /// No authority that is known for this host has signed it.
    None,
}

/// Why a certificate by a known authority is no good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unvouched {
    /// The authority's key, or the host's, is in wrong hands.
    Revoked,
    /// Something in the certificate.
    Fault(CertificateFault),
}

impl std::fmt::Display for Unvouched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Revoked => f.write_str("its key or its authority's is revoked"),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

/// A key of a `known_hosts` file and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The key's fingerprint.
    pub fingerprint: Fingerprint,
}

impl std::fmt::Display for KnownKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}:{}", self.fingerprint, self.file.display(), self.line)
    }
}

/// A `known_hosts` file that failed us.
#[derive(Debug, thiserror::Error)]
pub enum KnownHostsError {
    /// It is there but cannot be read.
    #[error("{} cannot be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A new key cannot be recorded in it.
    #[error("the new host key cannot be written to {}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The policy is `accept-new`, and there is nowhere to record a key.
    #[error("there is no known_hosts file to record the new host key in")]
    NoFile,
}

impl KnownHostsError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Read { file, .. } | Self::Write { file, .. } => {
                format!("check the path and its permissions: `ls -l {}`", file.display())
            }
            Self::NoFile => "name a file in `known_hosts`".to_owned(),
        }
    }
}

/// All files read so far.
#[derive(Debug, Default)]
pub(super) struct KnownHosts {
    files: Mutex<HashMap<PathBuf, Vec<Entry>>>,
}

impl KnownHosts {
    /// The types of the keys that are known for a host: those its server should be asked for first.
    pub(super) fn algorithms(
        &self,
        files: &[PathBuf],
        host: &Peer,
    ) -> Result<Vec<Algorithm>, KnownHostsError> {
        let read = self.read(files)?;
        let name = lookup_name(host);
        let entries = listed(&read, files).map(|(_, entry)| entry);
        Ok(entries
            .filter(|entry| entry.marker == Marker::Host && entry.covers(&name))
            .map(|entry| entry.key.algorithm())
            .collect())
    }

    /// What the files say about a key.
    pub(super) fn look_up(
        &self,
        files: &[PathBuf],
        host: &Peer,
        key: &PublicKey,
    ) -> Result<Standing, KnownHostsError> {
        Ok(standing(&*self.read(files)?, files, host, key))
    }

    /// The same, but the key of a host of which nothing is known is recorded in the file for that. Two
    /// connections to one host can't both find it unknown: looking and recording is one step.
    pub(super) fn accept_new(
        &self,
        files: &[PathBuf],
        record: Option<&Path>,
        host: &Peer,
        key: &PublicKey,
    ) -> Result<Standing, KnownHostsError> {
        let mut read = self.read(files)?;
        let found = standing(&read, files, host, key);
        if !matches!(found, Standing::Unknown { .. }) {
            return Ok(found);
        }
        let file = record.ok_or(KnownHostsError::NoFile)?;
        let name = lookup_name(host);
        let line = append(file, &name, key)
            .map_err(|source| KnownHostsError::Write { file: file.to_owned(), source })?;
        read.entry(file.to_owned()).or_default().push(Entry::new(line, &name, key.clone()));
        Ok(Standing::Known)
    }

    /// Whether an authority is known for a host: then its server is asked for a certificate.
    pub(super) fn has_authority(&self, files: &[PathBuf], host: &Peer) -> Result<bool, KnownHostsError> {
        let read = self.read(files)?;
        let is_one = |entry: &Entry| {
            entry.marker == Marker::CertAuthority && names(host).any(|name| entry.covers(&name))
        };
        Ok(listed(&read, files).any(|(_, entry)| is_one(entry)))
    }

    /// What the files say about a certificate.
    pub(super) fn vouch(
        &self,
        files: &[PathBuf],
        host: &Peer,
        certificate: &Certificate,
    ) -> Result<Vouching, KnownHostsError> {
        let read = self.read(files)?;
        let is_revoked = |entry: &Entry| {
            let revoked = [certificate.signature_key(), certificate.public_key()];
            entry.marker == Marker::Revoked && revoked.contains(&entry.key.key_data())
        };
        let is_authority = |entry: &Entry| {
            entry.marker == Marker::CertAuthority && entry.key.key_data() == certificate.signature_key()
        };
        let find = |name: &str, is_it: &dyn Fn(&Entry) -> bool| {
            let found = listed(&read, files).find(|(_, entry)| entry.covers(name) && is_it(entry));
            found.map(|(file, entry)| entry.known(file))
        };
        for name in names(host) {
            if let Some(authority) = find(&name, &is_revoked) {
                return Ok(Vouching::Bad { authority, why: Unvouched::Revoked });
            }
            let Some(authority) = find(&name, &is_authority) else { continue };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            // Principals are names without ports.
            let fault = match certificate::check(certificate, &host.address.to_ascii_lowercase(), now) {
                Ok(()) => return Ok(Vouching::Good),
                Err(fault) => fault,
            };
            let key = PublicKey::from(certificate.public_key().clone());
            return Ok(match standing(&read, files, host, &key) {
                // A key that is known by itself needs nobody's word.
                Standing::Known => Vouching::None,
                _ => Vouching::Bad { authority, why: Unvouched::Fault(fault) },
            });
        }
        Ok(Vouching::None)
    }

    fn read(
        &self,
        files: &[PathBuf],
    ) -> Result<MutexGuard<'_, HashMap<PathBuf, Vec<Entry>>>, KnownHostsError> {
        let mut read = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files {
            if !read.contains_key(file) {
                read.insert(file.clone(), parse(file)?);
            }
        }
        Ok(read)
    }
}

fn parse(file: &Path) -> Result<Vec<Entry>, KnownHostsError> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(KnownHostsError::Read { file: file.into(), source }),
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().enumerate().filter_map(|(index, line)| Entry::parse(index + 1, line)).collect())
}

fn listed<'a>(
    read: &'a HashMap<PathBuf, Vec<Entry>>,
    files: &'a [PathBuf],
) -> impl Iterator<Item = (&'a PathBuf, &'a Entry)> {
    files.iter().flat_map(|file| read.get(file).into_iter().flatten().map(move |entry| (file, entry)))
}

fn standing(
    read: &HashMap<PathBuf, Vec<Entry>>,
    files: &[PathBuf],
    host: &Peer,
    key: &PublicKey,
) -> Standing {
    let mut authority = None;
    for name in names(host) {
        let found = standing_of_name(read, files, &name, key);
        match found {
            Standing::Unknown { authority: own } => authority = authority.or(own),
            // Without the port, a line speaks for a key, never against one that is not revoked.
            Standing::Changed(_) if name != lookup_name(host) => {}
            found => return found,
        }
    }
    Standing::Unknown { authority }
}

fn standing_of_name(
    read: &HashMap<PathBuf, Vec<Entry>>,
    files: &[PathBuf],
    name: &str,
    key: &PublicKey,
) -> Standing {
    let (mut same, mut others, mut authority) = (false, Vec::new(), None);
    for (file, entry) in listed(read, files).filter(|(_, entry)| entry.covers(name)) {
        let is_same = entry.key.key_data() == key.key_data();
        let known = || entry.known(file);
        match entry.marker {
            Marker::Revoked if is_same => return Standing::Revoked(known()),
            Marker::Revoked => {}
            Marker::CertAuthority => authority = authority.or_else(|| Some(known())),
            Marker::Host if is_same => same = true,
            Marker::Host => others.push(known()),
        }
    }
    match (same, others.is_empty()) {
        (true, _) => Standing::Known,
        (false, false) => Standing::Changed(others),
        (false, true) => Standing::Unknown { authority },
    }
}

/// Appends one line and returns its number. One write in append mode: another process appending at
/// the same time can't tear it.
fn append(file: &Path, name: &str, key: &PublicKey) -> io::Result<usize> {
    if let Some(directory) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let (lines, ends) = count_lines(&mut open)?;
    let key = PublicKey::from(key.key_data().clone()).to_openssh().map_err(io::Error::other)?;
    let newline = if ends { "" } else { "\n" };
    open.write_all(format!("{newline}{name} {}\n", key.trim_end()).as_bytes())?;
    Ok(lines + 1)
}

/// How many lines there are, and whether the last one is ended.
fn count_lines(file: &mut File) -> io::Result<(usize, bool)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let ends = bytes.last().is_none_or(|byte| *byte == b'\n');
    // An ended last line leaves an empty piece behind it.
    Ok((bytes.split(|byte| *byte == b'\n').count() - usize::from(ends), ends))
}
