//! Deleting what no recipe makes any more. Apart from the rest of the cache, because here alone things go that another
//! process may be using: an image only under its own lock, the leavings of builds only under the lock of all builds.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::stored::bytes_of;
use super::{Cache, CacheError, Stored, remove};

/// What a sweep leaves alone.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// Names of recipes, each with the digest of recipe and scripts that an image of it must have.
    pub recipes: Vec<(String, String)>,
    /// Digests of the twins of those recipes.
    pub twins: Vec<String>,
    /// Digests of the ready-made images that those recipes name.
    pub downloads: Vec<String>,
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// What went, with its bytes.
    pub deleted: Vec<(PathBuf, u64)>,
    /// Images that would have gone, but machines use them.
    pub held: Vec<PathBuf>,
    /// What could not be deleted, and why.
    pub stuck: Vec<CacheError>,
    /// Another process builds, so packages and the leavings of builds were not looked at.
    pub building: bool,
}

impl Cache {
    /// Deletes every image that `keep` does not name, then twins, packages, downloads and leavings that belong to
    /// none of those that stay. Of several images of one recipe, made with other input files, the newest stays.
    pub fn sweep(&self, keep: &Keep) -> Result<Swept, CacheError> {
        let mut swept = Swept::default();
        let (mut staying, mut resisting) = (Vec::<Stored>::new(), Vec::new());
        for stored in self.stored() {
            let named =
                keep.recipes.iter().any(|(name, hash)| *name == stored.name && *hash == stored.recipe_hash);
            // One that stays only because a machine uses it may be of another recipe.
            let newest = !staying
                .iter()
                .any(|other| (&other.name, &other.recipe_hash) == (&stored.name, &stored.recipe_hash));
            if named && newest || !self.delete_image(&stored, &mut swept, &mut resisting) {
                staying.push(stored);
            }
        }
        let Some(_lock) = self.try_lock()? else {
            swept.building = true;
            swept.stuck.append(&mut resisting);
            return Ok(swept);
        };
        for path in entries(&self.directory.join("images")) {
            if name_of(&path).starts_with('.') {
                delete(&path, &mut swept);
            }
        }
        for path in entries(&self.directory.join("downloads")) {
            if !keep.downloads.iter().any(|digest| name_of(&path) == digest) {
                delete(&path, &mut swept);
            }
        }
        let mut manifests: Vec<PathBuf> = staying.iter().map(|stored| stored.image.manifest()).collect();
        for path in entries(&self.directory.join("twins")) {
            if keep.twins.iter().any(|hash| name_of(&path).contains(&format!("-{hash}."))) {
                manifests.extend(
                    Some(path).filter(|path| path.extension().is_some_and(|kind| kind == "manifest")),
                );
            } else {
                delete(&path, &mut swept);
            }
        }
        let used: HashSet<String> = manifests.iter().flat_map(|path| packages(path)).collect();
        for path in entries(&self.directory.join("debs")).iter().flat_map(|suite| entries(suite)) {
            let of_a_package = path.extension().is_some_and(|kind| kind == "deb");
            let stem = name_of(&path).rsplit_once('_').map_or("", |(stem, _)| stem);
            if of_a_package && !used.contains(stem) {
                delete(&path, &mut swept);
            }
        }
        Ok(swept)
    }

    /// False if it stays, because a machine uses it or it cannot be deleted. What is `resisting` is one of the leavings of
    /// builds now, which are tried again unless another process builds.
    fn delete_image(&self, stored: &Stored, swept: &mut Swept, resisting: &mut Vec<CacheError>) -> bool {
        let directory = stored.image.directory();
        let deleted = (directory.to_owned(), stored.bytes);
        match self.move_away(stored) {
            Ok(Some(away)) => match gone(remove::tree(&away)) {
                Ok(()) => swept.deleted.push(deleted),
                Err(source) => {
                    resisting.push(CacheError::Io { action: "can't delete", path: away, source });
                }
            },
            Ok(None) => {
                swept.held.push(deleted.0);
                return false;
            }
            // Another sweep was quicker.
            Err(_) if !directory.exists() => swept.deleted.push(deleted),
            Err(error) => {
                swept.stuck.push(error);
                return false;
            }
        }
        true
    }

    /// Renames an image's directory, so that no half of an image is ever found; `None` if a machine uses it.
    fn move_away(&self, stored: &Stored) -> Result<Option<PathBuf>, CacheError> {
        let directory = stored.image.directory();
        let path = directory.join("hold");
        let failed = |source| CacheError::Io { action: "can't lock", path: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let disk = stored.image.disk();
        let _disk = match lock_disk(&disk) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(None),
            Err(source) => return Err(CacheError::Io { action: "can't lock", path: disk, source }),
        };
        let away = self.directory.join("images").join(format!(".deleted-{}-{}", stored.name, stored.hash));
        let cannot = |source| CacheError::Io { action: "can't delete", path: directory.to_owned(), source };
        fs::rename(directory, &away).map_err(cannot)?;
        Ok(Some(away))
    }

    fn try_lock(&self) -> Result<Option<File>, CacheError> {
        let path = self.directory.join("build.lock");
        let failed = |source| CacheError::Io { action: "can't lock", path: path.clone(), source };
        super::create(&self.directory)?;
        let file = File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// A lock of the kind that QEMU has on every disk which it has open, be it under an overlay; `None` if some QEMU has it.
/// So a machine needs nobody who holds its image: the guests of a lab outlive whoever switched them on.
fn lock_disk(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().read(true).write(true).open(path)?;
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::ACCESS | Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `NAME_VERSION` of every package of a manifest, as apt names files: a colon can't stay.
fn packages(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let file = |line: &str| {
        let mut words = line.strip_prefix("kernel ").unwrap_or(line).split(' ');
        Some(format!("{}_{}", words.next()?, words.next()?.replace(':', "%3a")))
    };
    text.lines().filter_map(file).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// What another sweep has deleted meanwhile is gone.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn delete(path: &Path, swept: &mut Swept) {
    let bytes = bytes_of(path);
    match gone(if path.is_dir() { remove::tree(path) } else { fs::remove_file(path) }) {
        Ok(()) => swept.deleted.push((path.to_owned(), bytes)),
        Err(source) => {
            swept.stuck.push(CacheError::Io { action: "can't delete", path: path.to_owned(), source });
        }
    }
}

#[cfg(test)]
mod tests;
