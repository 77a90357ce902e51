//! What a build tells while it runs. Apart from the build, because the library never prints: whoever called renders.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// One thing that happened in a build.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The image was in the cache; nothing is built.
    Reused {
        /// Name of the recipe.
        image: &'a str,
        /// Where it is.
        directory: &'a Path,
    },
    /// Another process builds; this one waits for it.
    Waiting {
        /// Name of the recipe.
        image: &'a str,
    },
    /// A step begins.
    Started {
        /// Name of the recipe.
        image: &'a str,
        /// The step.
        step: Step,
    },
    /// A tool of the step printed a line.
    Output {
        /// Name of the recipe.
        image: &'a str,
        /// The step.
        step: Step,
        /// Since the step began.
        elapsed: Duration,
        /// The line, without its end.
        line: &'a str,
    },
    /// A step has ended well.
    Finished {
        /// Name of the recipe.
        image: &'a str,
        /// The step.
        step: Step,
        /// How long it took.
        elapsed: Duration,
    },
}

/// The steps of a build, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The kernel is downloaded and unpacked: `mmdebstrap`.
    Kernel,
    /// Packages are downloaded, installed and customized: `mmdebstrap`.
    Root,
    /// The same for this machine's architecture, for an image of another one: `mmdebstrap`.
    Twin,
    /// Packages of another architecture are downloaded: `mmdebstrap`.
    Packages,
    /// A ready-made image is downloaded, or read, and its digest compared.
    Download,
    /// The root becomes a file system, and the initrd is packed: `mke2fs`, `cpio`.
    Disk,
    /// The file system becomes a sparse qcow2: `qemu-img`.
    Convert,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Root => "packages and customization",
            Self::Twin => "twin of this machine's architecture",
            Self::Packages => "packages of the other architecture",
            Self::Download => "ready-made image",
            Self::Disk => "file system and initrd",
            Self::Convert => "qcow2",
        })
    }
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reused { image, directory } => {
                write!(f, "image {image}: cached in {}", directory.display())
            }
            Self::Waiting { image } => {
                write!(f, "image {image}: another process is building, waiting for it")
            }
            Self::Started { image, step } => write!(f, "image {image}: {step} ..."),
            Self::Output { image, elapsed, line, .. } => {
                write!(f, "image {image}: [{:.0} s] {line}", elapsed.as_secs_f64())
            }
            Self::Finished { image, step, elapsed } => {
                write!(f, "image {image}: {step} took {:.1} s", elapsed.as_secs_f64())
            }
        }
    }
}
