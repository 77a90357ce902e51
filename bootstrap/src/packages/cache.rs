//! Downloaded packages on disk, by URL. Nothing here is trusted: an entry counts only if its content has the
//! recorded digest, and signatures are verified anew at every use.

use super::fetch::Validators;
use super::source::shown;
use super::{PackageError, Sha256Digest, local};
use bytes::Bytes;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// How every temporary file's name begins.
const TEMPORARY: &str = ".part-";
/// How it began before, by tempfile's own habit.
const TEMPORARY_BEFORE: &str = ".tmp";
/// No download takes as long: what is older was left by a run that was killed.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// What is known of a cached package.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// For people who look into the cache.
    url: String,
    sha256: String,
    #[serde(flatten)]
    validators: Validators,
}

/// The digest of a package takes a tenth of a second, which must not hold up the other hosts.
async fn digest(content: Bytes) -> Option<Sha256Digest> {
    tokio::task::spawn_blocking(move || Sha256Digest::of(&content)).await.ok()
}

/// The place of one URL's package in the cache.
#[derive(Debug)]
pub(super) struct Entry {
    directory: PathBuf,
    url: String,
}

impl Entry {
    /// Makes the place of `url` under `cache`.
    pub(super) async fn open(cache: &Path, url: &Url) -> Result<Self, PackageError> {
        let name: String = Sha256Digest::of(url.as_str().as_bytes()).to_string().chars().take(16).collect();
        let directory = cache.join(name);
        let mut builder = tokio::fs::DirBuilder::new();
        // What others may not change need not be feared, even where signatures are off.
        builder.recursive(true).mode(0o700);
        let made = builder.create(&directory).await;
        made.map_err(|source| PackageError::Io { what: "make", path: directory.clone(), source })?;
        let places = cache.to_owned();
        // What cannot be deleted costs only space.
        let _ = tokio::task::spawn_blocking(move || forget_abandoned(&places)).await;
        Ok(Self { directory, url: shown(url) })
    }

    fn package(&self) -> PathBuf {
        self.directory.join("package")
    }

    fn record(&self) -> PathBuf {
        self.directory.join("record.json")
    }

    /// A file beside the package, gone when it is dropped.
    pub(super) fn temporary(&self) -> Result<NamedTempFile, PackageError> {
        let made = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.directory);
        made.map_err(|source| PackageError::Io {
            what: "make a file in",
            path: self.directory.clone(),
            source,
        })
    }

    /// The cached package, if it is whole.
    pub(super) async fn load(&self, max_bytes: u64) -> Option<(Bytes, Validators)> {
        let record: Record = serde_json::from_slice(&tokio::fs::read(self.record()).await.ok()?).ok()?;
        let content = local::read(&self.package(), max_bytes).await.ok()?;
        let sha256 = digest(content.clone()).await?;
        (sha256.to_string() == record.sha256).then_some((content, record.validators))
    }

    /// Takes a finished download into the cache, at one stroke.
    pub(super) async fn store(
        &self,
        download: NamedTempFile,
        validators: Validators,
        max_bytes: u64,
    ) -> Result<Bytes, PackageError> {
        let content = local::read(download.path(), max_bytes).await?;
        let file = || PackageError::Interrupted { file: self.url.clone() };
        let sha256 = digest(content.clone()).await.ok_or_else(file)?.to_string();
        let io = |path: PathBuf| |source| PackageError::Io { what: "write", path, source };
        // Until the record is rewritten its digest does not match, and the entry does not count.
        download.persist(self.package()).map_err(|error| io(self.package())(error.error))?;
        let record = Record { url: self.url.clone(), sha256, validators };
        let json = serde_json::to_vec_pretty(&record).unwrap_or_default();
        let file = self.temporary()?;
        tokio::fs::write(file.path(), json).await.map_err(io(file.path().to_owned()))?;
        file.persist(self.record()).map_err(|error| io(self.record())(error.error))?;
        Ok(content)
    }

    /// Forgets the package.
    pub(super) async fn clear(&self) {
        // A record without package, or none at all, both mean that nothing is cached.
        let _ = tokio::fs::remove_file(self.record()).await;
        let _ = tokio::fs::remove_file(self.package()).await;
    }
}

/// In the places of all URLs: nobody may ever ask for some of them again.
fn forget_abandoned(cache: &Path) {
    let entries = |directory: &Path| std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries(cache).flat_map(|place| entries(&place.path())) {
        let written = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let age = written.and_then(|written| written.elapsed().ok()).unwrap_or_default();
        let name = entry.file_name();
        let temporary = [TEMPORARY, TEMPORARY_BEFORE]
            .iter()
            .any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()));
        if temporary && age > ABANDONED_AFTER {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
