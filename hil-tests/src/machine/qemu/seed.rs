//! Keys and name of one machine, which all machines of its image must not share. Behind the initrd: a second archive, which
//! the kernel unpacks like the first; every board that boots Linux with an initrd takes it, with or without a VM's devices. Or,
//! for a ready-made image, which brings its own initrd, on a small disk for its cloud-init.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cpio::newc;
use images::User;
use images::nocloud::Seed;
use secrecy::{ExposeSecret as _, SecretString};

use super::layout::Layout;

type Failure = (&'static str, PathBuf, io::Error);

/// Writes the disk that cloud-init reads; the public key of `identity` may log in.
pub(super) fn volume(
    layout: &Layout,
    identity: &Path,
    hostname: &str,
    users: &[User],
) -> Result<(), Failure> {
    let read = |path: PathBuf| fs::read_to_string(&path).map_err(|error| ("can't read", path, error));
    let host_key = SecretString::from(read(layout.host_key())?);
    let (host_public_key, authorized_keys) =
        (read(layout.host_public_key())?, read(identity.with_added_extension("pub"))?);
    let seed = Seed {
        hostname,
        users,
        authorized_keys: &authorized_keys,
        host_key: &host_key,
        host_public_key: &host_public_key,
    };
    let to = layout.seed_volume();
    let volume =
        seed.volume().map_err(|error| ("can't pack the keys for", to.clone(), io::Error::other(error)))?;
    write_private(&to, volume.expose_secret()).map_err(|error| ("can't write", to, error))
}

/// Writes `initrd` with `/seed/...` behind it: `files` by name, and `hostname`.
pub(super) fn append(
    initrd: &Path,
    files: &[(&str, PathBuf)],
    hostname: &str,
    to: &Path,
) -> Result<(), Failure> {
    let read = |path: &Path| fs::read(path).map_err(|error| ("can't read", path.to_owned(), error));
    let mut bytes = read(initrd)?;
    let mut contents = vec![("hostname", format!("{hostname}\n").into_bytes())];
    for (name, path) in files {
        contents.push((name, read(path)?));
    }
    let archived = archive(&mut bytes, &contents);
    archived.map_err(|error| ("can't pack the keys for", to.to_owned(), error))?;
    write_private(to, &bytes).map_err(|error| ("can't write", to.to_owned(), error))
}

/// The kernel wants each archive on a boundary of four bytes and passes over zeros between them.
fn archive(bytes: &mut Vec<u8>, contents: &[(&str, Vec<u8>)]) -> io::Result<()> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let directory = newc::Builder::new("seed").mode(0o040_700).nlink(2);
    let mut rest = directory.write(&mut *bytes, 0).finish()?;
    for (number, (name, content)) in (2_u32..).zip(contents) {
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let file = newc::Builder::new(&format!("seed/{name}")).ino(number).mode(0o100_600).nlink(1);
        let mut writer = file.write(rest, size);
        writer.write_all(content)?;
        rest = writer.finish()?;
    }
    newc::trailer(rest)?;
    Ok(())
}

/// It holds a private key.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn cpio_finds_every_file_of_the_seed_behind_an_initrd_of_odd_length() {
        let directory = tempfile::tempdir().unwrap();
        let (initrd, key, out) =
            (directory.path().join("initrd"), directory.path().join("key"), directory.path().join("out"));
        fs::write(&initrd, "12345").unwrap();
        fs::write(&key, "the key\n").unwrap();
        append(&initrd, &[("authorized_keys", key)], "host-1", &out).unwrap();

        let bytes = fs::read(&out).unwrap();
        assert_eq!(&bytes[..8], b"12345\0\0\0");
        let mut cpio = Command::new("cpio");
        cpio.args(["--quiet", "-idm"]).current_dir(directory.path()).stdin(Stdio::piped());
        let mut child = cpio.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&bytes[8..]).unwrap();
        assert!(child.wait().unwrap().success());
        let read = |name: &str| fs::read_to_string(directory.path().join("seed").join(name)).unwrap();
        assert_eq!(
            (read("authorized_keys"), read("hostname")),
            ("the key\n".to_owned(), "host-1\n".to_owned())
        );
    }
}
