//! Where the files of one machine lie. Apart, so that nobody spells a file name twice.

use std::path::{Path, PathBuf};

/// The directory of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    directory: PathBuf,
}

impl Layout {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn state(&self) -> PathBuf {
        self.directory.join("machine.json")
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    pub(super) fn monitor(&self) -> PathBuf {
        self.directory.join("qmp.sock")
    }

    /// Where OpenSSH keeps the connection that root's commands share.
    pub(super) fn shared_login(&self) -> PathBuf {
        self.directory.join("ssh.sock")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.directory.join("pid")
    }

    pub(super) fn host_key(&self) -> PathBuf {
        self.directory.join("ssh_host_ed25519_key")
    }

    pub(super) fn host_public_key(&self) -> PathBuf {
        self.directory.join("ssh_host_ed25519_key.pub")
    }

    pub(super) fn initrd(&self) -> PathBuf {
        self.directory.join("initrd")
    }

    /// What a ready-made image's cloud-init reads.
    pub(super) fn seed_volume(&self) -> PathBuf {
        self.directory.join("seed.iso")
    }

    pub(super) fn monitor_log(&self) -> PathBuf {
        self.directory.join("qmp.log")
    }
}
