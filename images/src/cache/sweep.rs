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
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::process::{Command, Stdio};

    const HASH: &str = "0123456789abcdef";

    fn image(cache: &Cache, name: &str, recipe_hash: &str) -> PathBuf {
        let directory = cache.directory().join("images").join(format!("{name}-{HASH}"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("disk.qcow2"), "0123456789").unwrap();
        fs::write(directory.join("recipe.hash"), recipe_hash).unwrap();
        fs::write(directory.join("manifest"), "kernel linux-image-6 6.1-2\nlogin 1:4.13+dfsg1 amd64\n")
            .unwrap();
        directory
    }

    fn keep(recipe_hash: &str) -> Keep {
        Keep {
            recipes: vec![("debian".to_owned(), recipe_hash.to_owned())],
            twins: vec![HASH.to_owned()],
            downloads: vec!["0f".to_owned()],
        }
    }

    #[test]
    fn an_image_of_the_recipe_stays_and_one_of_an_older_recipe_goes_with_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let place = image(&cache, "debian", "new");
        assert!(cache.sweep(&keep("new")).unwrap().deleted.is_empty());
        let swept = cache.sweep(&keep("newer")).unwrap();
        assert_eq!(swept.deleted.len(), 1);
        assert!(swept.deleted[0].1 > 10 && !place.exists());
    }

    #[test]
    fn an_image_that_a_machine_holds_stays_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let place = image(&cache, "debian", "old");
        let held = super::super::Image::at(place.clone()).hold().unwrap();
        let swept = cache.sweep(&keep("new")).unwrap();
        assert!(swept.held.contains(&place) && swept.deleted.is_empty());
        assert!(place.join("disk.qcow2").exists());
        drop(held);
        cache.sweep(&keep("new")).unwrap();
        assert!(!place.exists());
        let error = super::super::Image::at(place).hold().unwrap_err();
        assert!(matches!(error, CacheError::Io { .. } | CacheError::Deleted { .. }));
    }

    #[test]
    fn the_recipes_image_stays_beside_a_newer_one_of_another_recipe_that_a_machine_holds() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let place = image(&cache, "debian", "mine");
        let newer = cache.directory().join("images/debian-fedcba9876543210");
        fs::create_dir(&newer).unwrap();
        fs::write(newer.join("recipe.hash"), "branch").unwrap();
        let disk = File::create(newer.join("disk.qcow2")).unwrap();
        disk.set_modified(std::time::SystemTime::now() + std::time::Duration::from_hours(1)).unwrap();
        let held = super::super::Image::at(newer.clone()).hold().unwrap();
        let swept = cache.sweep(&keep("mine")).unwrap();
        assert!(swept.deleted.is_empty() && place.exists(), "{swept:?}");
        drop(held);
        cache.sweep(&keep("mine")).unwrap();
        assert!(!newer.exists() && place.exists());
    }

    #[test]
    fn an_image_under_an_overlay_that_qemu_has_open_stays_until_qemu_ends() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let place = image(&cache, "debian", "old");
        let (disk, overlay) = (place.join("disk.qcow2"), directory.path().join("overlay"));
        let create = |words: &[&str], path: &Path| {
            let mut command = Command::new("qemu-img");
            assert!(
                command
                    .args(["create", "-q", "-f", "qcow2"])
                    .args(words)
                    .arg(path)
                    .status()
                    .unwrap()
                    .success()
            );
        };
        fs::remove_file(&disk).unwrap();
        create(&["-o", "size=1M"], &disk);
        create(&["-F", "qcow2", "-b", disk.to_str().unwrap()], &overlay);
        let mut command = Command::new("qemu-io");
        command.args(["-f", "qcow2"]).arg(&overlay).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut qemu = command.spawn().unwrap();
        // Its prompt comes when the disks are open.
        qemu.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let swept = cache.sweep(&keep("new")).unwrap();
        assert!(swept.held.contains(&place) && disk.exists());
        drop(qemu.stdin.take());
        qemu.wait().unwrap();
        cache.sweep(&keep("new")).unwrap();
        assert!(!place.exists());
    }

    #[test]
    fn only_packages_of_images_and_twins_that_stay_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        image(&cache, "debian", "new");
        let twins = cache.directory().join("twins");
        let debs = cache.directory().join("debs/bookworm-amd64");
        for directory in [&twins, &debs] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(twins.join(format!("bookworm-{HASH}.manifest")), "sudo 1.9 amd64\n").unwrap();
        fs::write(twins.join("bookworm-ffffffffffffffff.tar"), "old").unwrap();
        let files = ["linux-image-6_6.1-2_amd64.deb", "login_1%3a4.13+dfsg1_amd64.deb", "sudo_1.9_amd64.deb"];
        for file in files.iter().chain(&["sudo_1.8_amd64.deb", "lock"]) {
            fs::write(debs.join(file), "").unwrap();
        }
        let swept = cache.sweep(&keep("new")).unwrap();
        let mut gone: Vec<_> = swept.deleted.iter().map(|(path, _)| name_of(path)).collect();
        gone.sort_unstable();
        assert_eq!(gone, ["bookworm-ffffffffffffffff.tar", "sudo_1.8_amd64.deb"]);
        assert!(files.iter().all(|file| debs.join(file).exists()));
    }

    #[test]
    fn a_download_that_a_recipe_names_stays_and_another_goes() {
        let directory = tempfile::tempdir().unwrap();
        let downloads = directory.path().join("downloads");
        fs::create_dir(&downloads).unwrap();
        for name in ["0f", "1f"] {
            fs::write(downloads.join(name), "disk").unwrap();
        }
        let swept = Cache::at(directory.path().to_owned()).sweep(&keep("new")).unwrap();
        assert_eq!(swept.deleted, [(downloads.join("1f"), 4)]);
        assert!(downloads.join("0f").exists());
    }

    #[test]
    fn what_resists_is_told_and_the_rest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        // A lock that cannot be opened, also by root.
        let place = image(&cache, "debian", "old");
        fs::create_dir(place.join("hold")).unwrap();
        let downloads = directory.path().join("downloads");
        fs::create_dir(&downloads).unwrap();
        fs::write(downloads.join("1f"), "disk").unwrap();
        let swept = cache.sweep(&keep("new")).unwrap();
        assert_eq!(swept.deleted, [(downloads.join("1f"), 4)]);
        assert_eq!(swept.stuck.len(), 1);
        assert!(swept.stuck[0].to_string().contains("debian-") && place.exists(), "{swept:?}");
    }

    #[test]
    fn while_another_process_builds_its_directory_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let lock = cache.lock(|| ()).unwrap();
        let work = cache.work("debian", &lock).unwrap();
        assert!(cache.sweep(&Keep::default()).unwrap().building && work.path().exists());
        drop(lock);
        let swept = cache.sweep(&Keep::default()).unwrap();
        assert!(!swept.building && !work.path().exists());
    }

    #[test]
    fn an_image_that_resists_is_told_once_whether_or_not_another_process_builds() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let place = image(&cache, "debian", "old");
        let away = place.with_file_name(format!(".deleted-debian-{HASH}"));
        let chattr = |mode: &str, path: &Path| Command::new("chattr").arg(mode).arg(path).status();
        if !chattr("+i", &place.join("manifest")).is_ok_and(|status| status.success()) {
            // Past the test's own capture: that it has shown nothing must be seen.
            let _ = writeln!(io::stderr(), "skipped: no file can be made to resist here");
            return;
        }
        let lock = cache.lock(|| ()).unwrap();
        let meanwhile = cache.sweep(&keep("new"));
        drop(lock);
        let afterwards = cache.sweep(&keep("new"));
        chattr("-i", &away.join("manifest")).unwrap();
        for (swept, building) in [(meanwhile.unwrap(), true), (afterwards.unwrap(), false)] {
            assert_eq!(
                (swept.building, swept.stuck.len(), swept.deleted.len()),
                (building, 1, 0),
                "{swept:?}"
            );
            assert!(swept.stuck[0].to_string().contains(".deleted-debian-"), "{swept:?}");
        }
        assert_eq!(cache.sweep(&keep("new")).unwrap().deleted.len(), 1);
    }

    #[test]
    fn what_another_sweep_was_quicker_to_delete_is_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let place = image(&cache, "debian", "old");
        let stored = cache.stored().remove(0);
        fs::remove_dir_all(&place).unwrap();
        let (mut swept, mut resisting) = (Swept::default(), Vec::new());
        assert!(cache.delete_image(&stored, &mut swept, &mut resisting));
        delete(&directory.path().join("downloads/1f"), &mut swept);
        assert!(swept.stuck.is_empty() && resisting.is_empty(), "{swept:?}");
        assert_eq!(swept.deleted.len(), 2);
    }
}
