//! Deleting what a killed build has left. Apart from the rest of the cache, because of a build without root the files may
//! belong to subordinate users, whom only a user namespace can delete for.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

use crate::tool;

/// Deletes a directory with all that is in it.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    let refused = match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
        result => return result,
    };
    let mut command = Command::new("unshare");
    command.args(["--map-auto", "--map-root-user", "--", "rm", "-rf", "--"]).arg(path);
    match tool::answer("unshare", &mut command) {
        Ok(_) => Ok(()),
        Err(error) => Err(io::Error::new(refused.kind(), format!("{refused}; {error}"))),
    }
}
