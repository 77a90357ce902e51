//! All that we can prove ourselves with: keys of files, decrypted once for the whole run and before any host is touched;
//! certificates; and what agents hold. What of it is shown to a host, and in which order, is decided here.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use russh::keys::{Certificate, PrivateKey, PublicKey, agent::AgentIdentity};

use super::{
    agent::Agents,
    keys::{self, KeyError, Sealed},
    login::{Login, Logins, Origin},
    passphrase::PassphraseSource,
};
use crate::failure::with_sources;

/// Keys, certificates and agents of a run.
#[derive(Default)]
pub struct KeyRing {
    files: HashMap<PathBuf, FileKey>,
    certificates: HashMap<PathBuf, Arc<Certificate>>,
    agents: Agents,
    warnings: Vec<String>,
}

/// What a key file is good for.
enum FileKey {
    /// It signs.
    Private(Arc<PrivateKey>),
    /// It only names a key; an agent has to sign.
    Public(Box<PublicKey>),
}

/// A key file, and who wants it.
struct Wanted<'a> {
    file: &'a Path,
    /// Whether the inventory names it for one of them.
    must: bool,
    /// The agents that they have.
    agents: BTreeSet<Option<&'a Path>>,
}

impl<'a> Wanted<'a> {
    /// Each file once, in the order in which they are named.
    fn by(logins: &'a Logins) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut places: HashMap<&Path, usize> = HashMap::new();
        for keys in logins.each().map(|login| &login.keys) {
            for file in keys.files.iter().map(PathBuf::as_path) {
                let place = *places.entry(file).or_insert(all.len());
                if place == all.len() {
                    all.push(Self { file, must: false, agents: BTreeSet::new() });
                }
                if let Some(wanted) = all.get_mut(place) {
                    wanted.must |= keys.origin == Origin::Inventory;
                    wanted.agents.insert(keys.agent.as_deref());
                }
            }
        }
        all
    }
}

impl FileKey {
    fn public(&self) -> &PublicKey {
        match self {
            Self::Private(key) => key.public_key(),
            Self::Public(key) => key,
        }
    }
}

/// One thing to show to a server, and who signs for it.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) key: PublicKey,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) signing: Signing,
}

/// Who signs.
#[derive(Clone)]
pub(super) enum Signing {
    Ourselves(Arc<PrivateKey>),
    /// The agent behind a socket, with what it holds.
    Agent(PathBuf, Box<AgentIdentity>),
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ourselves(_) => "Ourselves",
            Self::Agent(..) => "Agent",
        })
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.files.keys()).finish()
    }
}

impl KeyRing {
    /// Loads every file of the logins once; `passphrases` is asked for those that are encrypted and that not every agent holds. A
    /// file that the inventory does not name and that is of no use is said and left out.
    pub fn gather(
        logins: &Logins,
        agents: Agents,
        passphrases: &mut dyn PassphraseSource,
    ) -> Result<Self, KeyError> {
        let mut ring = Self { warnings: agents.troubles().to_vec(), agents, ..Self::default() };
        for wanted in Wanted::by(logins) {
            ring.add(&wanted, passphrases)?;
        }
        for login in logins.each() {
            for file in &login.keys.certificates {
                ring.add_certificate(file);
            }
        }
        Ok(ring)
    }

    /// What the operator should know.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The private key of a file.
    #[must_use]
    pub fn get(&self, file: &Path) -> Option<&Arc<PrivateKey>> {
        match self.files.get(file)? {
            FileKey::Private(key) => Some(key),
            FileKey::Public(_) => None,
        }
    }

    fn add(&mut self, wanted: &Wanted<'_>, passphrases: &mut dyn PassphraseSource) -> Result<(), KeyError> {
        let Wanted { file, must, .. } = *wanted;
        match self.open(wanted, passphrases) {
            Ok(key) => {
                self.files.insert(file.to_owned(), key);
                self.add_certificate(&beside(file));
                Ok(())
            }
            Err(error) if must => Err(error),
            Err(KeyError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => {
                self.warnings.push(format!("{}; it is not used ({})", with_sources(&error), error.hint()));
                Ok(())
            }
        }
    }

    /// What of a file is of use to those who want it: it is decrypted if one of them has no agent that holds it.
    fn open(
        &mut self,
        wanted: &Wanted<'_>,
        passphrases: &mut dyn PassphraseSource,
    ) -> Result<FileKey, KeyError> {
        let Wanted { file, agents, .. } = wanted;
        let held = |agent: Option<&Path>, key: &PublicKey| self.agents.find(agent, key.key_data()).is_some();
        let is_held = |key: &PublicKey| agents.iter().any(|agent| held(*agent, key));
        // As with `ssh`, the public half tells an agent which key is meant.
        let named =
            |public: Option<Box<PublicKey>>| Some(FileKey::Public(public.filter(|key| is_held(key))?));
        match keys::read(file) {
            Ok(Sealed::Open(key)) => Ok(FileKey::Private(Arc::new(*key))),
            Ok(Sealed::Public(key)) => {
                named(Some(key)).ok_or_else(|| KeyError::PublicKey { file: file.to_path_buf() })
            }
            Ok(Sealed::Encrypted { public: Some(key), .. })
                if agents.iter().all(|agent| held(*agent, &key)) =>
            {
                Ok(FileKey::Public(key))
            }
            Ok(Sealed::Encrypted { text, public }) => match keys::decrypt(file, &text, passphrases) {
                Ok(key) => Ok(FileKey::Private(Arc::new(key))),
                Err(error) if wanted.must => Err(error),
                Err(error) => match named(public) {
                    Some(key) => {
                        let why = with_sources(&error);
                        self.warnings
                            .push(format!("{why}; it is used where an agent holds it ({})", error.hint()));
                        Ok(key)
                    }
                    None => Err(error),
                },
            },
            // Not there, or in a form that only the agent knows.
            Err(error) => named(keys::public_beside(file)).ok_or(error),
        }
    }

    fn add_certificate(&mut self, file: &Path) {
        if self.certificates.contains_key(file) || !file.exists() {
            return;
        }
        let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let parsed =
            read.and_then(|text| Certificate::from_openssh(text.trim()).map_err(|error| error.to_string()));
        match parsed {
            Ok(certificate) if certificate.valid_before() <= now() => {
                let key_id = certificate.key_id();
                self.warnings.push(format!(
                    "certificate {} ({key_id}) has expired and is not shown; get a new one (`ssh-keygen -Lf` shows its times)",
                    file.display()
                ));
            }
            Ok(certificate) => {
                self.certificates.insert(file.to_owned(), Arc::new(certificate));
            }
            Err(why) => {
                let file = file.display();
                self.warnings.push(format!(
                    "certificate {file} cannot be used: {why}; see what `ssh-keygen -Lf {file}` says of it"
                ));
            }
        }
    }

    /// What is shown to a host, in order: the files that somebody named, each with its certificates before it; what else an
    /// agent holds; and keys by habit, those in the agent first. `ssh` shows the agent's other keys before files that the
    /// agent does not hold; here, the keys that were named come before a server loses its patience.
    pub(super) fn proofs(&self, login: &Login) -> Vec<Proof> {
        let wish = &login.keys;
        let agent = wish.agent.as_deref();
        let files = || wish.files.iter().filter_map(|file| Some((file, self.files.get(file)?)));
        let mut proofs = Proofs::default();
        for (file, key) in files() {
            if wish.origin != Origin::Habit || self.agents.find(agent, key.public().key_data()).is_some() {
                self.add_file(login, file, key, &mut proofs);
            }
        }
        // A certificate whose key is in the agent alone.
        for certificate in wish.certificates.iter().filter_map(|file| self.certificates.get(file)) {
            if let Some((socket, held)) = self.agents.find(agent, certificate.public_key()) {
                let signing = Signing::Agent(socket.to_owned(), Box::new(held.clone()));
                proofs.add(held.public_key().into_owned(), Some(Arc::clone(certificate)), signing);
            }
        }
        if let Some(socket) = agent.filter(|_| !wish.only) {
            for held in self.agents.held(socket) {
                proofs.add_held(socket, held);
            }
        }
        for (file, key) in files() {
            self.add_file(login, file, key, &mut proofs);
        }
        proofs.0
    }

    fn add_file(&self, login: &Login, file: &Path, key: &FileKey, proofs: &mut Proofs) {
        let public = key.public();
        let agent = login.keys.agent.as_deref();
        // An agent that holds a certificate for the key holds the key: it needs no file for it.
        if let Some(socket) = agent {
            let certified = self.agents.held(socket).iter().filter(|held| {
                matches!(held, AgentIdentity::Certificate { certificate, .. } if certificate.public_key() == public.key_data())
            });
            certified.for_each(|held| proofs.add_held(socket, held));
        }
        let signing = match (self.agents.find(agent, public.key_data()), key) {
            (Some((socket, held)), _) => Signing::Agent(socket.to_owned(), Box::new(held.clone())),
            (None, FileKey::Private(key)) => Signing::Ourselves(Arc::clone(key)),
            (None, FileKey::Public(_)) => return,
        };
        let beside = beside(file);
        let certificates = login.keys.certificates.iter().chain([&beside]);
        for certificate in certificates.filter_map(|file| self.certificates.get(file)) {
            if certificate.public_key() == public.key_data() {
                proofs.add(public.clone(), Some(Arc::clone(certificate)), signing.clone());
            }
        }
        proofs.add(public.clone(), None, signing);
    }
}

/// Each thing once.
#[derive(Default)]
struct Proofs(Vec<Proof>);

impl Proofs {
    fn add(&mut self, key: PublicKey, certificate: Option<Arc<Certificate>>, signing: Signing) {
        let is_same =
            |proof: &Proof| proof.key.key_data() == key.key_data() && proof.certificate == certificate;
        if !self.0.iter().any(is_same) {
            self.0.push(Proof { key, certificate, signing });
        }
    }

    fn add_held(&mut self, socket: &Path, held: &AgentIdentity) {
        let certificate = match held {
            AgentIdentity::PublicKey { .. } => None,
            AgentIdentity::Certificate { certificate, .. } if certificate.valid_before() <= now() => return,
            AgentIdentity::Certificate { certificate, .. } => Some(Arc::new(certificate.clone())),
        };
        let signing = Signing::Agent(socket.to_owned(), Box::new(held.clone()));
        self.add(held.public_key().into_owned(), certificate, signing);
    }
}

/// Where `ssh-keygen -s` puts the certificate of a key.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    // The certificate of `id.pub` is that of `id`.
    if file.extension().is_some_and(|extension| extension == "pub") {
        name = file.with_extension("").into_os_string();
    }
    name.push("-cert.pub");
    name.into()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
