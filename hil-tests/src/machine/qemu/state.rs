//! What is remembered of a machine between two programs: everything that its next start needs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Changes when machines of an older program can't be switched on any more.
pub(super) const SCHEMA: u32 = 2;

/// The state file's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// [`SCHEMA`] of the program that made it.
    pub schema: u32,
    /// Its name, which is also its host name.
    pub name: String,
    /// Directory of the image under its overlay.
    pub image: PathBuf,
    /// The board, as `targets` names it.
    #[serde(default)]
    pub board: String,
    /// The kernel's command line; none if the firmware boots the disk.
    pub append: Option<String>,
    /// Memory in MiB, if it is not the board's.
    #[serde(default)]
    pub memory_mib: Option<u32>,
    /// Local port that leads to its port 22. Kept for life: the inventory names it.
    pub ssh_port: u16,
    /// Private key of its users.
    pub identity: PathBuf,
    /// Where its host key is known.
    pub known_hosts: PathBuf,
}

impl State {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::from)?;
        crate::private_file::write(path, &text)
    }

    #[cfg(test)]
    pub(super) fn example() -> Self {
        Self {
            schema: SCHEMA,
            name: "deb-1".to_owned(),
            image: "/cache/images/debian-12-amd64-00".into(),
            board: "pc".to_owned(),
            append: Some("root=/dev/vda".to_owned()),
            memory_mib: None,
            ssh_port: 40022,
            identity: "/lab/id_ed25519".into(),
            known_hosts: "/lab/known_hosts".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine.json");
        State::example().write(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), State::example());
    }

    #[test]
    fn half_a_state_file_is_an_error_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine.json");
        fs::write(&path, "{\"schema\": 1, \"name\"").unwrap();
        assert!(State::read(&path).is_err());
    }
}
