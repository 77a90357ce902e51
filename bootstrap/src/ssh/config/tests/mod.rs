//! Tests against OpenSSH itself, and of what `ssh -G` does not show.

mod files;
mod following;
mod oracle;
mod random;
mod routes;
mod unsupported;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{ConfigError, Given, HostOptions, Local, Resolved, SshConfig};

/// A home directory with a configuration in it, and whose it is.
struct Home {
    directory: TempDir,
    local: Local,
}

impl Home {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let local = Local {
            home: Some(directory.path().to_owned()),
            user: Some("me".to_owned()),
            uid: rustix::process::getuid().as_raw(),
            host: "desk.example.org".to_owned(),
            variables: [("KEYS".to_owned(), "/keys".to_owned())].into_iter().collect(),
        };
        fs::create_dir(directory.path().join(".ssh")).unwrap();
        Self { directory, local }
    }

    fn with(config: &str) -> Self {
        let home = Self::new();
        home.write(".ssh/config", config);
        home
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn write(&self, below: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        // Whatever the umask of who runs the tests.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The configuration without that of the machine the tests run on.
    fn load(&self) -> Result<SshConfig, ConfigError> {
        SshConfig::read(Some(&self.path(".ssh/config")), None, true, self.local.clone())
    }
}

fn resolved(config: &str, alias: &str) -> Resolved {
    Home::with(config).load().unwrap().resolve(alias, Given::default()).unwrap()
}

fn options(config: &str, alias: &str) -> HostOptions {
    resolved(config, alias).options
}

/// What is said of a configuration or a host that is refused: the message, and the remedy.
fn refused(config: &str, alias: &str) -> (String, String) {
    let home = Home::with(config);
    let error = home.load().and_then(|config| config.resolve(alias, Given::default())).unwrap_err();
    (error.to_string().replace(&home.path("").display().to_string(), "~/"), error.hint())
}
