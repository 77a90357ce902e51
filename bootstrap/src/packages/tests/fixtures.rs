//! Small packages and signatures, made by dpkg-deb, rpmbuild and gpg.

use crate::packages::Keyring;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(super) const VERSION: &str = "3.3.987.0";

/// Runs a tool and gives its standard output.
pub(super) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; is it installed?"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output.stdout
}

/// What a package is to say of itself.
pub(super) struct Recipe<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) arch: &'a str,
    /// `-Z` of dpkg-deb.
    pub(super) compression: &'a str,
}

impl Default for Recipe<'_> {
    fn default() -> Self {
        Self { name: "amazon-ssm-agent", version: VERSION, arch: "amd64", compression: "xz" }
    }
}

impl Recipe<'_> {
    /// Builds a .deb at `path`.
    pub(super) fn deb(&self, path: &Path) -> Vec<u8> {
        let Self { name, version, arch, compression } = self;
        let root = TempDir::new().unwrap();
        let control = root.path().join("DEBIAN");
        fs::create_dir(&control).unwrap();
        let text = format!(
            "Package: {name}\nVersion: {version}-1\nArchitecture: {arch}\nMaintainer: Nobody <nobody@example.org>\n\
             Depends: libc6\nDescription: stand-in\n Package: not-this\n second line\n"
        );
        fs::write(control.join("control"), text).unwrap();
        fs::write(control.join("postinst"), "#!/bin/sh\nexit 0\n").unwrap();
        run(Command::new("chmod").arg("755").arg(&control).arg(control.join("postinst")));
        fs::write(root.path().join("agent"), "stand-in").unwrap();
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", &format!("-Z{compression}"), "--build"])
            .args([root.path(), path]));
        fs::read(path).unwrap()
    }

    /// Builds an .rpm at `path`.
    pub(super) fn rpm(&self, path: &Path) -> Vec<u8> {
        let Self { name, version, arch, .. } = self;
        let top = TempDir::new().unwrap();
        let spec = top.path().join("agent.spec");
        let text = format!(
            "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: stand-in\nLicense: none\n%description\nstand-in\n\
             %install\nmkdir -p %{{buildroot}}/opt\necho agent >%{{buildroot}}/opt/agent\n%files\n/opt/agent\n"
        );
        fs::write(&spec, text).unwrap();
        run(Command::new("rpmbuild")
            .args(["-bb", "--target", arch, "--define", &format!("_topdir {}", top.path().display())])
            .args(["--define", "__os_install_post %{nil}"])
            .arg(&spec));
        let built = top.path().join("RPMS").join(arch).join(format!("{name}-{version}-1.{arch}.rpm"));
        fs::copy(built, path).unwrap();
        fs::read(path).unwrap()
    }
}

/// A .deb for amd64 in memory.
pub(super) fn a_deb() -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    Recipe::default().deb(&directory.path().join("a.deb"))
}

/// A home directory of gpg with one key.
pub(super) struct Gpg {
    home: TempDir,
    /// Time to fake, as gpg writes it; now where empty.
    pub(super) time: &'static str,
}

impl Gpg {
    /// Makes a key: `algorithm` such as `ed25519`, `expires` such as `0`, `60d` or `20300101T000000`.
    pub(super) fn new(algorithm: &str, usage: &str, expires: &str, time: &'static str) -> Self {
        let gpg = Self { home: TempDir::new().unwrap(), time };
        gpg.run(&["--quick-generate-key", "Tester <tester@example.org>", algorithm, usage, expires]);
        gpg
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.home.path());
        command.args(["--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]);
        if !self.time.is_empty() {
            command.args(["--faked-system-time", self.time]);
        }
        run(command.args(arguments))
    }

    pub(super) fn fingerprint(&self) -> String {
        let listing = String::from_utf8(self.run(&["--with-colons", "--list-keys"])).unwrap();
        let line = listing.lines().find(|line| line.starts_with("fpr")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    pub(super) fn public_key(&self) -> Vec<u8> {
        self.run(&["--armor", "--export"])
    }

    /// The public key without its subkeys.
    pub(super) fn primary_alone(&self) -> Vec<u8> {
        self.run(&["--armor", "--export-filter", "drop-subkey=usage=~s", "--export"])
    }

    /// A home of its own that holds the same secret keys.
    pub(super) fn copy(&self) -> Self {
        let copy = Self { home: TempDir::new().unwrap(), time: self.time };
        let file = copy.home.path().join("secret.asc");
        fs::write(&file, self.run(&["--armor", "--export-secret-keys"])).unwrap();
        copy.run(&["--import", file.to_str().unwrap()]);
        copy
    }

    pub(super) fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::new();
        keyring.add("test.asc", &self.public_key()).unwrap();
        keyring
    }

    /// Applies the revocation that gpg prepares with every key.
    pub(super) fn revoke(&self) {
        let prepared = self.home.path().join("openpgp-revocs.d").join(format!("{}.rev", self.fingerprint()));
        // gpg puts a colon before the block, so that it is not imported by accident.
        let text = fs::read_to_string(prepared).unwrap().replace(":-----BEGIN", "-----BEGIN");
        let file = self.home.path().join("revocation.asc");
        fs::write(&file, text).unwrap();
        self.run(&["--import", file.to_str().unwrap()]);
    }

    /// A detached signature of `content`; `more` are further options.
    pub(super) fn sign(&self, content: &[u8], more: &[&str]) -> Vec<u8> {
        let file = self.home.path().join("content");
        fs::write(&file, content).unwrap();
        let signature = self.home.path().join("content.sig");
        let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let (output, input) = (path(&signature), path(&file));
        let mut arguments = more.to_vec();
        arguments.extend(["--output", &output, "--detach-sign", &input]);
        self.run(&arguments);
        fs::read(signature).unwrap()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // The agent that gpg started for this home, and no other.
        let _ =
            Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).output();
    }
}
