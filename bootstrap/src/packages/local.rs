//! Packages in files and directories of the controller.

use super::PackageError;
use super::limits::SIGNATURE_BYTES;
use super::metadata::AgentMetadata;
use super::source::is_package;
use bytes::Bytes;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use targets::s3::{self, Channel};
use targets::{AgentVersion, Arch, PackageFormat};
use tokio::task::spawn_blocking;

/// Reads a file of at most `max_bytes`.
pub(super) async fn read(path: &Path, max_bytes: u64) -> Result<Bytes, PackageError> {
    let io = |source| PackageError::Io { what: "read", path: path.to_owned(), source };
    // One more than the limit, to see that there is more; the file may grow while it is read.
    let (file, most) = (path.to_owned(), max_bytes.saturating_add(1));
    let reading = spawn_blocking(move || {
        let file = std::fs::File::open(file)?;
        // All of it at once: what a buffer leaves behind as it grows is as much again.
        let size = file.metadata()?.len().min(max_bytes);
        let mut content = Vec::with_capacity(size.try_into().unwrap_or_default());
        file.take(most).read_to_end(&mut content)?;
        Ok(content)
    });
    let content = reading.await.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped))).map_err(io)?;
    if content.len() as u64 > max_bytes {
        return Err(PackageError::TooLarge { file: path.display().to_string(), limit: max_bytes });
    }
    Ok(content.into())
}

/// Where the signature of the package at `path` lies.
pub(super) fn signature_path(path: &Path) -> PathBuf {
    PathBuf::from({
        let mut name = path.as_os_str().to_owned();
        name.push(".sig");
        name
    })
}

/// The signature beside a package, if there is one.
pub(super) async fn signature(path: &Path) -> Result<Option<Bytes>, PackageError> {
    match read(&signature_path(path), SIGNATURE_BYTES).await {
        Ok(signature) => Ok(Some(signature)),
        Err(PackageError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The package for `arch` and `format` in a directory: in AWS's layout, with or without `latest`, or else the
/// newest of all files in it that are one.
pub(super) async fn find(
    directory: &Path,
    arch: Arch,
    format: PackageFormat,
    max_bytes: u64,
) -> Result<PathBuf, PackageError> {
    let mut missing = Vec::new();
    if let Some(path) = s3::package_path(&Channel::Latest, arch, format) {
        let in_layout = directory.join(&path);
        let without_latest = directory.join(path.trim_start_matches("latest/"));
        for candidate in [in_layout, without_latest] {
            match tokio::fs::metadata(&candidate).await {
                Ok(_) => return Ok(candidate),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    missing.push(format!("{} (missing)", candidate.display()));
                }
                // One that may not be read is not to be passed over for another.
                Err(source) => return Err(PackageError::Io { what: "read", path: candidate, source }),
            }
        }
    }
    let mut tried = Vec::new();
    let mut best: Option<(AgentVersion, PathBuf)> = None;
    for path in packages_in(directory).await? {
        let file = path.display().to_string();
        // The content of one is dropped before the next is read.
        match metadata(&path, file.clone(), max_bytes).await {
            Ok(package) if (package.arch, package.format) == (arch, format) => {
                if best.as_ref().is_none_or(|(version, _)| *version < package.version) {
                    best = Some((package.version, path));
                }
            }
            Ok(package) => tried.push(format!("{file} (.{} for {})", package.format, package.arch)),
            Err(error) => tried.push(error.to_string()),
        }
    }
    if tried.is_empty() {
        tried.push(format!("{} (no .deb or .rpm in it)", directory.display()));
    }
    missing.append(&mut tried);
    best.map(|(_, path)| path).ok_or(PackageError::NotFound { arch, format, tried: missing })
}

async fn metadata(path: &Path, file: String, max_bytes: u64) -> Result<AgentMetadata, PackageError> {
    let content = read(path, max_bytes).await?;
    let interrupted = PackageError::Interrupted { file: file.clone() };
    spawn_blocking(move || AgentMetadata::read(&file, &content)).await.unwrap_or(Err(interrupted))
}

async fn packages_in(directory: &Path) -> Result<Vec<PathBuf>, PackageError> {
    let io = |source| PackageError::Io { what: "read", path: directory.to_owned(), source };
    let mut entries = tokio::fs::read_dir(directory).await.map_err(io)?;
    let mut paths = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(io)? {
        if is_package(&entry.file_name().to_string_lossy()) {
            paths.push(entry.path());
        }
    }
    // The order of a directory is accidental; which of two equal packages is taken should not be.
    paths.sort();
    Ok(paths)
}
