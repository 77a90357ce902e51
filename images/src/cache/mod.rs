//! Where images lie: found by hash, made under a lock, put in place by one rename. Apart from the build, because a
//! cached image is used without building.

mod remove;
mod stored;
mod sweep;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use self::stored::Stored;
pub use self::sweep::{Keep, Swept};
use crate::hash::ImageHash;

/// Why the cache can't be used.
#[derive(Debug, Error)]
pub enum CacheError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no cache directory: set XDG_CACHE_HOME or HOME")]
    NoHome,
    /// A directory, file or lock failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried: "can't create".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `images gc` was faster than a machine that wanted to use it.
    #[error("the image {} was deleted in this moment; build it again", directory.display())]
    Deleted {
        /// Where it was.
        directory: PathBuf,
    },
}

/// The directory of images and of downloaded packages.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

/// A built image: the files of one directory, never changed once they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    directory: PathBuf,
}

impl Image {
    /// The image in a directory, as an earlier build left it.
    #[must_use]
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The root disk, qcow2. Machines run on an overlay of it.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    /// The kernel. A ready-made image has neither kernel nor initrd beside its disk: the firmware boots it.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// The device tree, for a board that needs one.
    #[must_use]
    pub fn dtb(&self) -> Option<PathBuf> {
        Some(self.directory.join("board.dtb")).filter(|path| path.is_file())
    }

    /// The initrd.
    #[must_use]
    pub fn initrd(&self) -> PathBuf {
        self.directory.join("initrd")
    }

    /// Name and version of every package, one a line; the first line is the kernel's. A ready-made image has none.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.directory.join("manifest")
    }

    /// Where all of them lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Says that a machine uses the image, whose disk is then the backing file of an overlay: it is not deleted as long
    /// as the file, or a copy of its descriptor in another process, is open.
    pub fn hold(&self) -> Result<File, CacheError> {
        let path = self.directory.join("hold");
        let failed = |source| CacheError::Io { action: "can't lock", path: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        file.lock_shared().map_err(failed)?;
        // Whoever deletes takes the lock first, and may have had it just now.
        if self.disk().is_file() {
            Ok(file)
        } else {
            Err(CacheError::Deleted { directory: self.directory.clone() })
        }
    }
}

impl Cache {
    /// `$XDG_CACHE_HOME/bootstrap`, else `~/.cache/bootstrap`.
    pub fn of_user() -> Result<Self, CacheError> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        Ok(Self::at(base.ok_or(CacheError::NoHome)?.join("bootstrap")))
    }

    /// A cache at an absolute path; it is made when something is put there.
    #[must_use]
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where it lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The image of that recipe and hash, if it has been built.
    #[must_use]
    pub fn find(&self, name: &str, hash: ImageHash) -> Option<Image> {
        let image = Image { directory: self.place(name, hash) };
        image.disk().is_file().then_some(image)
    }

    /// Downloaded packages, shared by all images of a suite and architecture.
    pub(crate) fn packages(&self, suite: &str, architecture: &str) -> Result<PathBuf, CacheError> {
        let directory = self.directory.join("debs").join(format!("{suite}-{architecture}"));
        create(&directory)?;
        Ok(directory)
    }

    /// Roots of this machine's architecture, from which those of others are made.
    pub(crate) fn twins(&self) -> Result<PathBuf, CacheError> {
        let directory = self.directory.join("twins");
        create(&directory)?;
        Ok(directory)
    }

    /// Ready-made images as they were downloaded, by digest.
    pub(crate) fn downloads(&self) -> Result<PathBuf, CacheError> {
        let directory = self.directory.join("downloads");
        create(&directory)?;
        Ok(directory)
    }

    /// Takes the lock of all builds, which also guards the package cache; `waiting` is called if another holds it.
    pub(crate) fn lock(&self, waiting: impl FnOnce()) -> Result<File, CacheError> {
        create(&self.directory)?;
        let path = self.directory.join("build.lock");
        let failed = |source| CacheError::Io { action: "can't lock", path: path.clone(), source };
        let file = File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(failed)?;
                Ok(file)
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// An empty directory beside the images, deleted on drop: a build that fails leaves nothing. What a build that was
    /// killed has left is deleted here, since whoever holds `lock` is the only one that builds.
    pub(crate) fn work(&self, name: &str, _lock: &File) -> Result<tempfile::TempDir, CacheError> {
        let images = self.directory.join("images");
        create(&images)?;
        for entry in fs::read_dir(&images).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                // What resists costs only space.
                let _ = remove::tree(&entry.path());
            }
        }
        tempfile::Builder::new()
            .prefix(&format!(".{name}-"))
            .tempdir_in(&images)
            .map_err(|source| CacheError::Io { action: "can't make a directory in", path: images, source })
    }

    /// Puts a finished directory in its place.
    pub(crate) fn publish(&self, finished: &Path, name: &str, hash: ImageHash) -> Result<Image, CacheError> {
        let place = self.place(name, hash);
        match settle(finished).and_then(|()| fs::rename(finished, &place)) {
            Ok(()) => Ok(Image { directory: place }),
            Err(source) => Err(CacheError::Io { action: "can't put the image at", path: place, source }),
        }
    }

    fn place(&self, name: &str, hash: ImageHash) -> PathBuf {
        self.directory.join("images").join(format!("{name}-{hash}"))
    }
}

/// Waits until a file, or all of a directory, is on the disk: what is found in its place after a power cut is taken for whole.
pub(crate) fn settle(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            settle(&entry?.path())?;
        }
    }
    File::open(path)?.sync_all()
}

fn create(directory: &Path) -> Result<(), CacheError> {
    fs::create_dir_all(directory).map_err(|source| CacheError::Io {
        action: "can't create",
        path: directory.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inputs, Recipe};

    #[test]
    fn an_image_is_found_only_after_it_is_published_whole() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let recipe = Recipe::builtin("debian-12-amd64").unwrap();
        let hash = ImageHash::of(&recipe, &Inputs::new()).unwrap();
        let lock = cache.lock(|| panic!("nobody else builds")).unwrap();
        let work = cache.work(recipe.name(), &lock).unwrap();
        let finished = work.path().join("image");
        fs::create_dir(&finished).unwrap();
        fs::write(finished.join("disk.qcow2"), "disk").unwrap();
        assert!(cache.find(recipe.name(), hash).is_none());
        let image = cache.publish(&finished, recipe.name(), hash).unwrap();
        assert_eq!(cache.find(recipe.name(), hash), Some(image));
    }

    #[test]
    fn a_killed_builds_leavings_are_deleted_and_images_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let lock = cache.lock(|| ()).unwrap();
        let left = cache.work("debian", &lock).unwrap().keep();
        let image = directory.path().join("images/debian-00");
        fs::create_dir(&image).unwrap();
        let _work = cache.work("debian", &lock).unwrap();
        assert!(!left.exists() && image.exists());
    }

    #[test]
    fn a_second_builder_is_told_that_it_waits() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let first = cache.lock(|| ()).unwrap();
        let (told, waits) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || cache.lock(|| told.send(()).unwrap()).is_ok());
        waits.recv().unwrap();
        assert!(!second.is_finished());
        drop(first);
        assert!(second.join().unwrap());
    }
}
