//! A ready-made image becomes one of the cache: its bytes are those that the recipe names, its form is checked, and it is
//! made a qcow2 of the recipe's size that stands alone. Nothing in it is changed: what a machine needs of its own comes by
//! the seed. Apart from the build from packages, with which it shares no step.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::Deserialize;
use thiserror::Error;

use super::download::{self, DownloadError};
use super::{ImageError, Listener, record, run_step};
use crate::cache::Cache;
use crate::progress::{Progress, Step};
use crate::recipe::{CloudImage, Recipe, Sha256, Source};
use crate::tool::{self, ToolError};

const MIB: u64 = 1024 * 1024;
/// What a file may be larger than its disk: headers and tables of its format.
const OVERHEAD: u64 = 64 * MIB;

/// Why a ready-made image can't be used.
#[derive(Debug, Error)]
pub enum CloudError {
    /// It did not come.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A file of the build, or the image itself.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried: "can't write".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is another one.
    #[error(
        "its SHA-256 is {found}, the recipe wants {expected}; if the publisher has a newer image, put its digest, from the publisher's own list, into the recipe"
    )]
    Digest {
        /// In the recipe.
        expected: Sha256,
        /// Of what came.
        found: Sha256,
    },
    /// It is no disk of a form that is known.
    #[error("it is {what}; {remedy}")]
    Form {
        /// What it is.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Its disk does not fit.
    #[error(
        "its disk has {mib} MiB, which is more than disk_mib of the recipe; write disk_mib = {mib} or more"
    )]
    TooSmall {
        /// Its size, rounded up.
        mib: u64,
    },
    /// A tool is missing or failed.
    #[error("{step} failed")]
    Tool {
        /// The step.
        step: Step,
        /// What the tool said.
        source: ToolError,
    },
}

/// What `qemu-img info` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    format: String,
    virtual_size: u64,
    backing_filename: Option<String>,
    #[serde(default)]
    encrypted: bool,
    format_specific: Option<FormatSpecific>,
}

#[derive(Debug, Deserialize)]
struct FormatSpecific {
    data: Option<FormatData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FormatData {
    data_file: Option<String>,
}

/// The directory that holds the finished image's files.
pub(super) fn build(
    recipe: &Recipe,
    image: &CloudImage,
    cache: &Cache,
    work: &Path,
    progress: Listener<'_>,
) -> Result<PathBuf, ImageError> {
    let downloads = cache.downloads()?;
    make(recipe, image, &downloads, work, progress).map_err(|source| ImageError::Cloud {
        image: recipe.name().to_owned(),
        from: image.source.to_string(),
        source,
    })
}

fn make(
    recipe: &Recipe,
    image: &CloudImage,
    downloads: &Path,
    work: &Path,
    progress: Listener<'_>,
) -> Result<PathBuf, CloudError> {
    let step = Step::Convert;
    let failed = |source| CloudError::Tool { step, source };
    tool::require(&["qemu-img"]).map_err(failed)?;
    let from = fetch(recipe, image, downloads, work, progress)?;
    let format = check(&from, recipe.machine().disk_mib)?;
    let finished = work.join("image");
    fs::create_dir_all(&finished).map_err(|error| write_error(&finished, error))?;
    let disk = finished.join("disk.qcow2");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", &format, "-O", "qcow2"]).arg(&from).arg(&disk);
    let mut resize = Command::new("qemu-img");
    resize.args(["resize", "-q", "-f", "qcow2"]).arg(&disk).arg(format!("{}M", recipe.machine().disk_mib));
    for command in [&mut convert, &mut resize] {
        run_step(recipe.name(), step, "qemu-img", command, progress).map_err(failed)?;
    }
    record(recipe, &finished).map_err(|(path, error)| write_error(&path, error))?;
    Ok(finished)
}

/// The file with the bytes of the recipe: where it lies, or downloaded. A download takes its name when its digest is right.
fn fetch(
    recipe: &Recipe,
    image: &CloudImage,
    downloads: &Path,
    work: &Path,
    progress: Listener<'_>,
) -> Result<PathBuf, CloudError> {
    let place = downloads.join(image.sha256.to_string());
    if place.is_file() {
        return Ok(place);
    }
    let (name, step, begin) = (recipe.name(), Step::Download, Instant::now());
    progress(Progress::Started { image: name, step });
    let (path, found) = match &image.source {
        Source::Url(url) => {
            let part = work.join("download");
            let limit = u64::from(recipe.machine().disk_mib) * MIB + OVERHEAD;
            let mut line =
                |line: &str| progress(Progress::Output { image: name, step, elapsed: begin.elapsed(), line });
            let found = download::download(url, &part, limit, &mut line)?;
            (part, found)
        }
        Source::Path(path) => {
            let found = download::digest(path).map_err(|error| read_error(path, error))?;
            (path.clone(), found)
        }
    };
    if found != image.sha256 {
        return Err(CloudError::Digest { expected: image.sha256, found });
    }
    progress(Progress::Finished { image: name, step, elapsed: begin.elapsed() });
    if matches!(image.source, Source::Path(_)) {
        return Ok(path);
    }
    fs::rename(path, &place).map_err(|error| write_error(&place, error))?;
    Ok(place)
}

/// The disk's format, if it is one that can be used.
fn check(path: &Path, disk_mib: u32) -> Result<String, CloudError> {
    let refuse = |what: &str, remedy| Err(CloudError::Form { what: what.to_owned(), remedy });
    let mut probe = Command::new("qemu-img");
    let text = tool::answer("qemu-img", probe.args(["info", "--output=json"]).arg(path))
        .map_err(|source| CloudError::Tool { step: Step::Convert, source })?;
    let info: Info = serde_json::from_str(&text).map_err(|error| read_error(path, error.into()))?;
    let data_file = info.format_specific.and_then(|specific| specific.data?.data_file);
    if let Some(other) = info.backing_filename.or(data_file) {
        return refuse(
            &format!("only a part of a disk, the rest is in {other}"),
            "take an image that stands alone",
        );
    }
    if info.encrypted {
        return refuse("encrypted", "take one that is not: nobody could type its passphrase");
    }
    match info.format.as_str() {
        "qcow2" => {}
        "raw" if has_boot_sector(path).map_err(|error| read_error(path, error))? => {}
        "raw" => {
            return refuse(
                "neither qcow2 nor a disk with a boot sector",
                "unpack it first if it is compressed",
            );
        }
        other => {
            return refuse(
                other,
                "turn it into qcow2 with `qemu-img convert -O qcow2`, and take that one's digest",
            );
        }
    }
    if info.virtual_size > u64::from(disk_mib) * MIB {
        return Err(CloudError::TooSmall { mib: info.virtual_size.div_ceil(MIB) });
    }
    Ok(info.format)
}

/// A disk with partitions, of the old kind or GPT, has this mark at the end of its first sector; what QEMU does not know
/// is "raw" to it, a compressed image too.
fn has_boot_sector(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(510))?;
    let mut mark = Vec::new();
    file.take(2).read_to_end(&mut mark)?;
    Ok(mark == [0x55, 0xaa])
}

fn read_error(path: &Path, source: io::Error) -> CloudError {
    CloudError::File { action: "can't read", path: path.to_owned(), source }
}

fn write_error(path: &Path, source: io::Error) -> CloudError {
    CloudError::File { action: "can't write", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
