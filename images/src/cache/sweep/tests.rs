use super::*;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const HASH: &str = "0123456789abcdef";

fn image(cache: &Cache, name: &str, recipe_hash: &str) -> PathBuf {
    let directory = cache.directory().join("images").join(format!("{name}-{HASH}"));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("disk.qcow2"), "0123456789").unwrap();
    fs::write(directory.join("recipe.hash"), recipe_hash).unwrap();
    fs::write(directory.join("manifest"), "kernel linux-image-6 6.1-2\nlogin 1:4.13+dfsg1 amd64\n").unwrap();
    directory
}

fn keep(recipe_hash: &str) -> Keep {
    Keep {
        recipes: vec![("debian".to_owned(), recipe_hash.to_owned())],
        twins: vec![HASH.to_owned()],
        downloads: vec!["0f".to_owned()],
    }
}

/// Sweeps until no lock is left: a process that another test is starting has a copy of each until its exec.
#[expect(clippy::disallowed_methods, reason = "no async runtime here")]
fn sweep_when_free(cache: &Cache, keep: &Keep) -> Swept {
    for _ in 0..1000 {
        let swept = cache.sweep(keep).unwrap();
        if swept.held.is_empty() && !swept.building {
            return swept;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("a lock was never let go")
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
    sweep_when_free(&cache, &keep("new"));
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
    disk.set_modified(std::time::SystemTime::now() + Duration::from_hours(1)).unwrap();
    let held = super::super::Image::at(newer.clone()).hold().unwrap();
    let swept = cache.sweep(&keep("mine")).unwrap();
    assert!(swept.deleted.is_empty() && place.exists(), "{swept:?}");
    drop(held);
    sweep_when_free(&cache, &keep("mine"));
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
            command.args(["create", "-q", "-f", "qcow2"]).args(words).arg(path).status().unwrap().success()
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
    sweep_when_free(&cache, &Keep::default());
    assert!(!work.path().exists());
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
    let afterwards = sweep_when_free(&cache, &keep("new"));
    chattr("-i", &away.join("manifest")).unwrap();
    for (swept, building) in [(meanwhile.unwrap(), true), (afterwards, false)] {
        assert_eq!((swept.building, swept.stuck.len(), swept.deleted.len()), (building, 1, 0), "{swept:?}");
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
