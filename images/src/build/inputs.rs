//! What a build takes beside its recipe. Apart from the build, because callers make it and the hash reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cache::Cache;

/// The release as it was last published, without the security archive: guests face no network, and an image of the same
/// packages can be made again until the next point release.
const ARCHIVE: &str = "http://deb.debian.org/debian";

/// What a build takes beside its recipe.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    pub(super) cache: Option<Cache>,
    files: BTreeMap<String, PathBuf>,
    mirror: Option<String>,
}

impl Inputs {
    /// No files, the user's cache, Debian's archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The file behind an `input` of the recipe.
    #[must_use]
    pub fn file(mut self, name: &str, path: &Path) -> Self {
        self.files.insert(name.to_owned(), path.to_owned());
        self
    }

    /// Another cache than the user's.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// A mirror of Debian instead of deb.debian.org.
    #[must_use]
    pub fn mirror(mut self, url: &str) -> Self {
        self.mirror = Some(url.to_owned());
        self
    }

    pub(crate) fn path(&self, name: &str) -> Option<&Path> {
        self.files.get(name).map(PathBuf::as_path)
    }

    pub(crate) fn archive(&self) -> &str {
        self.mirror.as_deref().unwrap_or(ARCHIVE)
    }
}
