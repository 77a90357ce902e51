//! Disk images: recipes (what is in a guest) and the builder that makes a bootable disk of one.
//!
//! Apart from `hil-tests`, because an image is built without any machine: from packages, without root and without
//! mounts, by `mmdebstrap`, `mke2fs` and `qemu-img`. No async: a build is one tool after the other.
//!
//! A ready-made cloud image is taken as it is, and [`nocloud`] makes the seed that its cloud-init reads.

mod build;
mod cache;
mod hash;
mod lock;
pub mod nocloud;
mod progress;
mod recipe;
mod scripts;
mod tool;

pub use build::{CloudError, DownloadError, ImageError, Inputs, build};
pub use cache::{Cache, CacheError, Image, Keep, Stored, Swept};
pub use hash::ImageHash;
pub use lock::{Difference, Lock};
pub use progress::{Progress, Step};
pub use recipe::{
    Base, CloudImage, Customize, KernelBoot, Machine, Origin, Packages, Recipe, RecipeError, Sha256, Source,
    Sudo, User,
};
pub use tool::ToolError;
