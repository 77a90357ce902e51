//! Ready-made images from a server and from a path. Apart from the code, because disks have to be made first.

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::download::tests::{ok, server};
use crate::{Cache, Image, ImageError, Inputs, Recipe, build};

struct Room {
    directory: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn cache(&self) -> Cache {
        Cache::at(self.path("cache"))
    }

    /// A raw disk of a MiB that has a boot sector.
    fn raw(&self) -> PathBuf {
        let mut bytes = vec![0; 1024 * 1024];
        bytes[..5].copy_from_slice(b"disk!");
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        fs::write(self.path("disk.raw"), bytes).unwrap();
        self.path("disk.raw")
    }

    fn qemu_img(&self, words: &[&str]) {
        let done = Command::new("qemu-img").args(words).current_dir(self.directory.path()).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn qcow2(&self) -> PathBuf {
        self.raw();
        self.qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2"]);
        self.path("disk.qcow2")
    }

    fn build(&self, recipe: &Recipe) -> Result<Image, String> {
        build(recipe, &Inputs::new().cache(self.cache()), &mut |_| ()).map_err(|error| match error {
            ImageError::Cloud { .. } => format!("{error}: {}", error.source().unwrap()),
            other => panic!("{other:?}"),
        })
    }
}

/// As sha256sum computes it.
fn sha256sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

fn recipe(source: &str, sha256: &str, disk_mib: u32) -> Recipe {
    Recipe::parse(&format!(
        "name = \"ready\"\nsummary = \"\"\n[cloud]\nsource = {source:?}\nsha256 = {sha256:?}\n\
         [machine]\nboard = \"pc\"\ndisk_mib = {disk_mib}\n"
    ))
    .unwrap()
}

fn of_path(path: &Path) -> Recipe {
    recipe(path.to_str().unwrap(), &sha256sum(path), 4)
}

/// Virtual size and first bytes of an image's disk.
fn disk(room: &Room, image: &Image) -> (u64, Vec<u8>) {
    room.qemu_img(&["convert", "-f", "qcow2", "-O", "raw", image.disk().to_str().unwrap(), "out.raw"]);
    let bytes = fs::read(room.path("out.raw")).unwrap();
    (bytes.len() as u64, bytes[..5].to_vec())
}

#[test]
fn a_raw_and_a_qcow2_disk_at_a_path_become_the_same_grown_disk() {
    let room = Room::new();
    for path in [room.raw(), room.qcow2()] {
        let image = room.build(&of_path(&path)).unwrap();
        assert_eq!(disk(&room, &image), (4 * 1024 * 1024, b"disk!".to_vec()));
        assert!(!image.kernel().exists() && path.exists());
    }
}

#[test]
fn a_download_is_kept_under_its_digest_so_that_another_recipe_does_not_load_it_again() {
    let room = Room::new();
    let path = room.qcow2();
    let sha256 = sha256sum(&path);
    let url = server(vec![ok(&fs::read(&path).unwrap())]);
    room.build(&recipe(&url, &sha256, 4)).unwrap();
    // The server has answered for the last time.
    let image = room.build(&recipe(&url, &sha256, 8)).unwrap();
    assert_eq!(disk(&room, &image).0, 8 * 1024 * 1024);
    assert_eq!(sha256sum(&room.path("cache/downloads").join(&sha256)), sha256);
}

#[test]
fn other_bytes_than_the_recipes_are_refused_with_both_digests_and_not_kept() {
    let room = Room::new();
    let path = room.qcow2();
    let url = server(vec![ok(b"not it")]);
    let error = room.build(&recipe(&url, &sha256sum(&path), 4)).unwrap_err();
    fs::write(room.path("other"), "not it").unwrap();
    let (wanted, found) = (sha256sum(&path), sha256sum(&room.path("other")));
    assert!(error.contains(&url) && error.contains(&wanted) && error.contains(&found), "{error}");
    assert_eq!(fs::read_dir(room.path("cache/downloads")).unwrap().count(), 0);
    assert!(room.cache().stored().is_empty());
}

#[test]
fn a_disk_that_is_compressed_foreign_partial_or_too_large_is_refused_with_what_to_do() {
    let room = Room::new();
    room.qcow2();
    fs::write(room.path("disk.img.gz"), [0x1f; 2048]).unwrap();
    room.qemu_img(&["convert", "-f", "raw", "-O", "vmdk", "disk.raw", "disk.vmdk"]);
    room.qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "disk.qcow2", "part.qcow2"]);
    room.qemu_img(&["create", "-q", "-f", "qcow2", "large.qcow2", "5M"]);
    let cases = [
        ("disk.img.gz", "unpack it first"),
        ("disk.vmdk", "it is vmdk; turn it into qcow2"),
        ("part.qcow2", "the rest is in disk.qcow2"),
        ("large.qcow2", "write disk_mib = 5 or more"),
    ];
    for (name, expected) in cases {
        let error = room.build(&of_path(&room.path(name))).unwrap_err();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_path_where_nothing_is_is_named() {
    let room = Room::new();
    let digest = "0".repeat(64);
    let error = room.build(&recipe("/nonexistent/disk.qcow2", &digest, 4)).unwrap_err();
    assert!(error.contains("can't read /nonexistent/disk.qcow2"), "{error}");
}
