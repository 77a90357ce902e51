//! The packages of one run: each kind is fetched, read and verified once, however many hosts ask, and kept.

use super::cache::Entry;
use super::fetch::{Download, Fetcher, Validators};
use super::limits::SIGNATURE_BYTES;
use super::metadata::{AgentMetadata, ReadError};
use super::source::{is_package, shown};
use super::{
    Keyring, Limits, Package, PackageError, PackageSource, Sha256Digest, SignatureError, Verify, local,
};
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Client, Url};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use targets::s3::{self, Channel};
use targets::{Arch, PackageFormat};
use tokio::sync::OnceCell;

/// What an inventory says of packages.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where they come from.
    pub source: PackageSource,
    /// How signatures are treated.
    pub verify: Verify,
    /// The keys that may sign.
    pub keyring: Keyring,
    /// The digests that are allowed; empty where any is.
    pub pinned: Vec<Sha256Digest>,
    /// What a package may cost.
    pub limits: Limits,
}

impl StoreSettings {
    /// The defaults for a source: AWS's keys, its default strictness, nothing pinned.
    pub fn new(source: PackageSource) -> Result<Self, PackageError> {
        let (verify, keyring) = (source.default_verify(), Keyring::aws()?);
        Ok(Self { source, verify, keyring, pinned: Vec::new(), limits: Limits::default() })
    }
}

type Kind = (Arch, PackageFormat);
type Fetched = Result<Arc<Package>, Arc<PackageError>>;

/// Gives packages to hosts.
#[derive(Debug)]
pub struct PackageStore {
    settings: Arc<StoreSettings>,
    fetcher: Fetcher,
    cache: PathBuf,
    kinds: HashMap<Kind, OnceCell<Fetched>>,
}

/// A package and its signature, as they came.
struct Raw {
    /// Names the file in errors.
    file: String,
    signature_file: String,
    content: Bytes,
    signature: Option<Bytes>,
}

impl PackageStore {
    /// A store that keeps downloads in `cache`, which is made when it is needed.
    #[must_use]
    pub fn new(cache: PathBuf, settings: StoreSettings, client: Client) -> Self {
        let kinds = Arch::ALL
            .into_iter()
            .flat_map(|arch| PackageFormat::ALL.map(|format| ((arch, format), OnceCell::new())))
            .collect();
        let fetcher = Fetcher { client, limits: settings.limits.clone() };
        Self { settings: Arc::new(settings), fetcher, cache, kinds }
    }

    /// The package for hosts of `arch` that install `format`. The first to ask fetches it, all others wait for
    /// that; a failure is kept too, so that a thousand hosts don't try in vain one after the other.
    pub async fn package(&self, arch: Arch, format: PackageFormat) -> Fetched {
        let fetch = || async { self.fetch(arch, format).await.map(Arc::new).map_err(Arc::new) };
        match self.kinds.get(&(arch, format)) {
            Some(kind) => kind.get_or_init(fetch).await.clone(),
            None => fetch().await,
        }
    }

    async fn fetch(&self, arch: Arch, format: PackageFormat) -> Result<Package, PackageError> {
        let kind = (arch, format);
        let max_bytes = self.settings.limits.package_bytes;
        match &self.settings.source {
            PackageSource::File(path) => self.load_file(path, kind).await,
            PackageSource::Directory(directory) => {
                let path = local::find(directory, arch, format, max_bytes).await?;
                self.load_file(&path, kind).await
            }
            PackageSource::Url(url) if is_package(url.path()) => {
                self.load_first(vec![url.clone()], kind).await
            }
            PackageSource::Url(base) => self.load_first(in_layout(base, kind)?, kind).await,
            PackageSource::Aws { region, channel } => {
                let url = s3::package_url(region, channel, arch, format)
                    .ok_or(PackageError::NotBuilt { arch, format })?;
                self.load_first(vec![parse(&url)?], kind).await
            }
        }
    }

    async fn load_file(&self, path: &Path, kind: Kind) -> Result<Package, PackageError> {
        let content = local::read(path, self.settings.limits.package_bytes).await?;
        let signature = match self.settings.verify {
            Verify::Off => None,
            Verify::Required | Verify::IfPresent => local::signature(path).await?,
        };
        let file = path.display().to_string();
        let signature_file = local::signature_path(path).display().to_string();
        self.check(Raw { file, signature_file, content, signature }, kind).await
    }

    async fn load_first(&self, urls: Vec<Url>, (arch, format): Kind) -> Result<Package, PackageError> {
        let mut tried = Vec::new();
        for url in urls {
            match self.load_url(&url, (arch, format)).await? {
                Ok(package) => return Ok(package),
                Err(status) => tried.push(format!("{} (HTTP status {status})", shown(&url))),
            }
        }
        Err(PackageError::NotFound { arch, format, tried })
    }

    /// The package at `url`, or the status with which the server says that there is none.
    async fn load_url(&self, url: &Url, kind: Kind) -> Result<Result<Package, u16>, PackageError> {
        let entry = Entry::open(&self.cache, url).await?;
        let mut second_try = false;
        loop {
            let content = match self.content(&entry, url).await? {
                Ok(content) => content,
                Err(status) => return Ok(Err(status)),
            };
            let (signature_url, signature) = self.signature(&entry, url).await?;
            let raw = Raw { file: shown(url), signature_file: shown(&signature_url), content, signature };
            match self.check(raw, kind).await {
                Ok(package) => return Ok(Ok(Package { url: Some(url.clone()), ..package })),
                // A release that is being published has a new package beside an old signature for a moment.
                Err(error) if !second_try && may_be_half_published(&error) => second_try = true,
                Err(error) => {
                    entry.clear().await;
                    return Err(error);
                }
            }
            entry.clear().await;
            tokio::time::sleep(self.settings.limits.back_off).await;
        }
    }

    async fn content(&self, entry: &Entry, url: &Url) -> Result<Result<Bytes, u16>, PackageError> {
        let max_bytes = self.settings.limits.package_bytes;
        let (cached, known) = entry.load(max_bytes).await.unzip();
        let file = entry.temporary()?;
        let known = known.unwrap_or_default();
        match self.fetcher.download(url, &known, max_bytes, file.path()).await? {
            Download::Fresh(validators) => entry.store(file, validators, max_bytes).await.map(Ok),
            Download::Absent(status) => Ok(Err(status)),
            Download::NotModified => {
                // A 304 to a request without conditions is a server's mistake.
                cached.map(Ok).ok_or(PackageError::Http { url: shown(url), status: 304 })
            }
        }
    }

    async fn signature(&self, entry: &Entry, url: &Url) -> Result<(Url, Option<Bytes>), PackageError> {
        let mut signature_url = url.clone();
        signature_url.set_path(&s3::signature_of(url.path()));
        if self.settings.verify == Verify::Off {
            return Ok((signature_url, None));
        }
        let file = entry.temporary()?;
        let none = Validators::default();
        let download = self.fetcher.download(&signature_url, &none, SIGNATURE_BYTES, file.path()).await?;
        let signature = match download {
            Download::Fresh(_) => Some(local::read(file.path(), SIGNATURE_BYTES).await?),
            Download::Absent(_) | Download::NotModified => None,
        };
        Ok((signature_url, signature))
    }

    /// Reading and verifying take a second of pure work, which must not hold up the other hosts.
    async fn check(&self, raw: Raw, kind: Kind) -> Result<Package, PackageError> {
        let settings = Arc::clone(&self.settings);
        let file = raw.file.clone();
        tokio::task::spawn_blocking(move || check(raw, kind, &settings))
            .await
            .unwrap_or(Err(PackageError::Interrupted { file }))
    }
}

/// Signature and digest first: only then is what the package says of itself worth anything to the operator. But a
/// file that is no package at all says so, since a web page in its place is the commonest mistake.
fn check(raw: Raw, (arch, format): Kind, settings: &StoreSettings) -> Result<Package, PackageError> {
    let Raw { file, signature_file, content, signature } = raw;
    let metadata = match AgentMetadata::read(&file, &content) {
        Err(error @ PackageError::Unreadable { source: ReadError::UnknownFormat, .. }) => return Err(error),
        metadata => metadata,
    };
    let sha256 = Sha256Digest::of(&content);
    if !settings.pinned.is_empty() && !settings.pinned.contains(&sha256) {
        return Err(PackageError::Digest { file, sha256 });
    }
    let signed = match (settings.verify, signature) {
        (Verify::Off, _) | (Verify::IfPresent, None) => None,
        (Verify::Required, None) => {
            return Err(PackageError::MissingSignature { file, signature: signature_file });
        }
        (Verify::Required | Verify::IfPresent, Some(signature)) => {
            let signed = settings.keyring.verify(&content, &signature, Timestamp::now());
            Some(signed.map_err(|source| PackageError::Signature { file: file.clone(), source })?)
        }
    };
    let metadata = metadata?;
    metadata.expect(&file, arch, format)?;
    let (signed_by, key_warning) = signed.map(|signed| (signed.by, signed.warning)).unzip();
    Ok(Package {
        format: metadata.format,
        arch: metadata.arch,
        name: metadata.name,
        version: metadata.version,
        sha256,
        size: content.len() as u64,
        content,
        signed_by,
        key_warning: key_warning.flatten(),
        origin: file,
        url: None,
    })
}

fn may_be_half_published(error: &PackageError) -> bool {
    match error {
        PackageError::Signature { source, .. } => matches!(source, SignatureError::Bad { .. }),
        PackageError::Unreadable { source, .. } => *source != ReadError::UnknownFormat,
        _ => false,
    }
}

/// Where a package can be under the root of a mirror, or under one of its releases.
fn in_layout(base: &Url, (arch, format): Kind) -> Result<Vec<Url>, PackageError> {
    let path =
        s3::package_path(&Channel::Latest, arch, format).ok_or(PackageError::NotBuilt { arch, format })?;
    let below = path.trim_start_matches("latest/");
    let root = base.path().trim_end_matches('/');
    let last = root.rsplit('/').next().unwrap_or_default();
    let is_release = last.parse::<Channel>().is_ok();
    let candidates = if is_release { [below, path.as_str()] } else { [path.as_str(), below] };
    let url = |path: &&str| {
        let mut url = base.clone();
        url.set_path(&format!("{root}/{path}"));
        url
    };
    Ok(candidates.iter().map(url).collect())
}

fn parse(url: &str) -> Result<Url, PackageError> {
    match PackageSource::parse(url, "")? {
        PackageSource::Url(url) => Ok(url),
        _ => {
            Err(super::SourceError::Url { text: url.to_owned(), reason: "it names no host".to_owned() }
                .into())
        }
    }
}
