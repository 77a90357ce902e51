//! Whole inventories: what they become, and what is said about bad ones.

mod bad_fleets;
mod bad_shapes;
mod bad_values;
mod bad_ways;
mod documents;
mod excerpts;
mod expansion;
mod properties;
mod secrets;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{Base, HostSpec, Inventory};

/// A directory with the files that inventories name.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        for name in [
            "key",
            "keys/lab",
            "keys/packager.asc",
            "keys/lab-ca.pem",
            "known_hosts",
            "code",
            "home/.ssh/lab",
        ] {
            room.file(name, 0o600);
        }
        fs::create_dir(room.path("packages")).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn base(&self) -> Base {
        Base { directory: self.0.path().to_owned(), home: Some(self.path("home")), user: "me".to_owned() }
    }

    fn read(&self, text: &str) -> Inventory {
        Inventory::parse(text, Path::new("hosts.toml"), &self.base())
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The problems as shown, with the room's own path taken out.
    fn problems(&self, text: &str) -> String {
        let problems = Inventory::parse(text, Path::new("hosts.toml"), &self.base()).unwrap_err();
        problems.to_string().replace(&format!("{}", self.0.path().display()), "ROOM")
    }
}

/// An inventory that is fine up to what is added: defaults and one environment, `dev`.
fn with(rest: &str) -> String {
    format!("{COMMON}{rest}")
}

const COMMON: &str = r#"[defaults]
user = "pi"
identity = "key"
[environments.dev]
region = "eu-central-1"
role = "SSM"
"#;

fn find<'i>(inventory: &'i Inventory, name: &str) -> &'i HostSpec {
    inventory.hosts.iter().find(|host| host.name.as_str() == name).unwrap()
}
