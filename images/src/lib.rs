//! Disk images: recipes (what is in a guest) and the builder that makes a bootable disk of one.
//!
//! Apart from `hil-tests`, because an image is built without any machine: from packages, without root and without
//! mounts, by `mmdebstrap`, `mke2fs` and `qemu-img`. No async: a build is one tool after the other.

mod build;
mod cache;
mod hash;
mod lock;
mod progress;
mod recipe;
mod scripts;
mod tool;

pub use build::{ImageError, Inputs, build};
pub use cache::{Cache, CacheError, Image, Keep, Stored, Swept};
pub use hash::ImageHash;
pub use lock::{Difference, Lock};
pub use progress::{Progress, Step};
pub use recipe::{Base, Customize, Machine, Recipe, RecipeError, Sudo, User};
pub use tool::ToolError;
