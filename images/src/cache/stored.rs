//! What lies in the cache, read back from its directories. Apart from finding an image by its hash, because whoever
//! lists or deletes does not know the hash.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::{Cache, Image};

/// An image that was built, by whatever recipe.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The recipe's name.
    pub name: String,
    /// Digest of what it was made of, as in the directory's name.
    pub hash: String,
    /// Digest of the recipe and the scripts alone, without input files; empty if it was not recorded.
    pub recipe_hash: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// When it was built.
    pub built: SystemTime,
    /// Its files.
    pub image: Image,
}

impl Cache {
    /// Every finished image, by name, the newest first.
    #[must_use]
    pub fn stored(&self) -> Vec<Stored> {
        let entries = fs::read_dir(self.directory.join("images")).into_iter().flatten().flatten();
        let mut all: Vec<Stored> = entries.filter_map(|entry| Stored::at(&entry.path())).collect();
        all.sort_by(|a, b| (&a.name, b.built).cmp(&(&b.name, a.built)));
        all
    }
}

impl Stored {
    fn at(directory: &Path) -> Option<Self> {
        let (name, hash) = directory.file_name()?.to_str()?.rsplit_once('-')?;
        let image = Image::at(directory.to_owned());
        if name.starts_with('.') || hash.len() != 16 {
            return None;
        }
        let built = image.disk().metadata().ok()?.modified().ok()?;
        let recipe_hash = fs::read_to_string(directory.join("recipe.hash")).unwrap_or_default();
        Some(Self {
            name: name.to_owned(),
            hash: hash.to_owned(),
            recipe_hash: recipe_hash.trim().to_owned(),
            bytes: bytes_of(directory),
            built,
            image,
        })
    }
}

/// Bytes of a file, or of all files below a directory, as far as they can be read. Links are not followed.
pub(super) fn bytes_of(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| bytes_of(&entry.path())).sum()
}
