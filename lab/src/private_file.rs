//! Files only their owner may read, replaced in one step: a reader sees the old content or the new, and a
//! crash leaves no half-written key.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// Writes `content` to `path`, mode 0600, by way of a temporary file beside it.
pub fn write(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    replace(path, content, 0o600)
}

/// Writes `content` to `path` with the given mode, by way of a temporary file beside it.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), WriteError> {
    let attempt = || {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(content)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.persist(path)?;
        Ok(())
    };
    attempt().map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Makes `dir` and its parents, mode 0700; what is there already keeps its mode.
pub fn private_dir(dir: &Path) -> Result<(), WriteError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| WriteError { path: dir.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_private_file_is_replaced_and_stays_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        super::write(&path, b"old").unwrap();
        super::write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn an_error_names_the_file() {
        let error = super::write("/nonexistent/dir/file".as_ref(), b"x").unwrap_err();
        assert_eq!(error.to_string(), "cannot write /nonexistent/dir/file");
    }
}
