//! The real things behind the engine's seams: SSH and this machine, AWS and the package stores.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use targets::{Arch, PackageFormat};

use crate::{
    events::{Event, Events},
    failure::{Exit, Failure, with_sources},
    fleet::{Backend, Packages},
    host::{Command, Connect, Host, HostError, LocalHost, NoConnection, Output},
    inventory::{Connection, Environment, HostSpec, PackageWish, VerifyWish},
    packages::{
        Keyring, Package, PackageError, PackageSource, PackageStore, Sha256Digest, StoreSettings, Verify,
        http_client,
    },
    ssh::{SshConnector, SshHost},
    ssm::AwsControlPlane,
};

pub(super) struct Real;

impl Backend for Real {
    type Connector = Arc<Connections>;
    type ControlPlane = AwsControlPlane;
    type Packages = Announced;
}

/// Connects by SSH, but for the local host, which is there already.
pub(super) struct Connections(pub(super) SshConnector);

impl Connect for Connections {
    type Host = Reached;

    async fn connect(&self, host: &HostSpec) -> Result<Reached, NoConnection> {
        match host.connection {
            Connection::Local => Ok(Reached::Local(LocalHost::new(host.escalation))),
            Connection::Ssh => self.0.connect(host).await.map(Reached::Ssh).map_err(|error| NoConnection {
                unreachable: error.never_connected(),
                login_refused: error.is_refused_login(),
                heals: error.may_pass(),
                why: with_sources(&error),
                hint: error.hint(),
            }),
        }
    }

    fn user<'a>(&'a self, host: &'a HostSpec) -> Option<&'a str> {
        match host.connection {
            Connection::Local => host.user.as_deref(),
            Connection::Ssh => self.0.user(&host.name),
        }
    }
}

/// A machine, however it was reached.
pub(super) enum Reached {
    Ssh(SshHost),
    Local(LocalHost),
}

impl Host for Reached {
    async fn run(
        &mut self,
        command: &Command,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Output, HostError> {
        match self {
            Self::Ssh(host) => host.run(command, on_line).await,
            Self::Local(host) => host.run(command, on_line).await,
        }
    }
}

/// A package store that tells once what the operator should know of its keys.
pub(super) struct Announced {
    store: PackageStore,
    events: Events,
    warned: AtomicBool,
}

impl Packages for Announced {
    async fn package(&self, arch: Arch, format: PackageFormat) -> Result<Arc<Package>, Arc<PackageError>> {
        let package = self.store.package(arch, format).await?;
        if let Some(warning) = &package.key_warning
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            self.events.send(Event::Warning { host: None, text: warning.to_string() }).await;
        }
        Ok(package)
    }
}

/// What is wished, the Region if it is AWS's own bucket, and whom the downloads trust.
type Wish = (PackageWish, Option<String>, Option<PathBuf>);

/// One store for all environments that want the same.
pub(super) struct Stores {
    cache: PathBuf,
    events: Events,
    known: BTreeMap<Wish, Arc<Announced>>,
}

/// The client for downloads, with the system's certificates and proxies, and the authorities of a bundle; and the name of its
/// cache. What came from a server that only some trust is not for the others.
fn downloads(ca_bundle: Option<&Path>) -> Result<(reqwest::Client, String), PackageError> {
    let Some(path) = ca_bundle else { return Ok((http_client(None)?, "packages".to_owned())) };
    let io = |source| PackageError::Io { what: "read", path: path.to_owned(), source };
    let bundle = std::fs::read(path).map_err(io)?;
    let digest: String = Sha256Digest::of(&bundle).to_string().chars().take(16).collect();
    Ok((http_client(Some(&bundle))?, format!("packages-{digest}")))
}

impl Stores {
    pub(super) fn new(cache: PathBuf, events: Events) -> Self {
        Self { cache, events, known: BTreeMap::new() }
    }

    /// The store of an environment.
    pub(super) fn of(&mut self, environment: &Environment) -> Result<Arc<Announced>, Failure> {
        let wish = &environment.package;
        let source = source(wish, &environment.region).map_err(|error| failure(&error))?;
        // Only AWS's own bucket depends on the Region, and only what is downloaded on who is trusted.
        let (region, ca_bundle) = match source {
            PackageSource::Aws { .. } => (Some(environment.region.clone()), environment.ca_bundle.clone()),
            PackageSource::Url(_) => (None, environment.ca_bundle.clone()),
            PackageSource::File(_) | PackageSource::Directory(_) => (None, None),
        };
        let key = (wish.clone(), region, ca_bundle);
        if let Some(store) = self.known.get(&key) {
            return Ok(store.clone());
        }
        let settings = settings(wish, source).map_err(|error| failure(&error))?;
        let (client, name) = downloads(key.2.as_deref()).map_err(|error| failure(&error))?;
        let store = PackageStore::new(self.cache.join(name), settings, client);
        let store =
            Arc::new(Announced { store, events: self.events.clone(), warned: AtomicBool::new(false) });
        self.known.insert(key, store.clone());
        Ok(store)
    }
}

fn failure(error: &PackageError) -> Failure {
    let failure =
        Failure::new(Exit::CannotStart, "the package source cannot be used").because(with_sources(error));
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn source(wish: &PackageWish, region: &str) -> Result<PackageSource, PackageError> {
    Ok(PackageSource::parse(wish.source.as_deref().unwrap_or("aws"), region)?)
}

fn settings(wish: &PackageWish, source: PackageSource) -> Result<StoreSettings, PackageError> {
    let mut settings = StoreSettings::new(source)?;
    match wish.verify {
        Some(VerifyWish::Required) => settings.verify = Verify::Required,
        Some(VerifyWish::IfPresent) => settings.verify = Verify::IfPresent,
        Some(VerifyWish::Off) => settings.verify = Verify::Off,
        None => {}
    }
    add_keys(&mut settings.keyring, &wish.keys)?;
    // The inventory has checked that it is 64 hex digits.
    settings.pinned = wish.sha256.iter().filter_map(|digest| digest.parse().ok()).collect();
    Ok(settings)
}

fn add_keys(keyring: &mut Keyring, files: &[PathBuf]) -> Result<(), PackageError> {
    for path in files {
        let file = std::fs::read(path).map_err(|source| PackageError::Io {
            what: "read",
            path: path.clone(),
            source,
        })?;
        keyring.add(&path.display().to_string(), &file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[test]
    fn an_environments_authorities_are_trusted_for_its_packages_too() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("ca.pem");
        std::fs::write(&bundle, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
        let mut environment = (*HostSpec::for_test("a", "dev").environment).clone();
        let mut stores = Stores::new(directory.path().to_owned(), Events::to(mpsc::channel(1).0));
        assert!(stores.of(&environment).is_ok());
        environment.ca_bundle = Some(bundle);
        let Err(failure) = stores.of(&environment) else { panic!("the bundle was not looked at") };
        assert!(failure.to_string().contains("PEM"), "{failure}");
    }

    #[test]
    fn environments_that_trust_others_share_a_package_unless_it_is_downloaded() {
        let directory = tempfile::tempdir().unwrap();
        let mut stores = Stores::new(directory.path().to_owned(), Events::to(mpsc::channel(1).0));
        let bundle = directory.path().join("ca.pem");
        std::fs::write(&bundle, "").unwrap();
        for (source, shared) in [("/srv/agent.deb", true), ("https://example.org/agent.deb", false)] {
            let mut environment = (*HostSpec::for_test("a", "dev").environment).clone();
            environment.package.source = Some(source.to_owned());
            let one = stores.of(&environment).ok().unwrap();
            environment.ca_bundle = Some(bundle.clone());
            let other = stores.of(&environment).ok().unwrap();
            assert_eq!(Arc::ptr_eq(&one, &other), shared, "{source}");
        }
    }

    #[test]
    fn what_a_server_gave_that_only_some_trust_is_in_a_cache_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let mut names = std::collections::BTreeSet::from([downloads(None).unwrap().1]);
        for (name, text) in [("a.pem", ""), ("b.pem", "# another"), ("c.pem", "")] {
            let bundle = directory.path().join(name);
            std::fs::write(&bundle, text).unwrap();
            names.insert(downloads(Some(&bundle)).unwrap().1);
        }
        assert_eq!((names.len(), names.first().map(String::as_str)), (3, Some("packages")));
    }
}
