//! What a host can be: architecture, distribution, package format, service manager; and what AWS offers for it.
//!
//! Everything that depends on the kind of host is a row of a table here, so that no other crate matches on
//! names of architectures or distributions. Pure data: no I/O, no async, nothing that can hang or fail but
//! the parsing of text.

pub mod agent;
mod arch;
mod board;
mod elf;
mod os;
mod os_release;
pub mod outputs;
mod package_tool;
pub mod partition;
pub mod s3;
mod service;
pub mod signing;
mod version;

pub use arch::{Arch, Artifact, PackageFormat, ROWS, Row, UnknownArch, UnknownFormat};
pub use board::{BOARDS, Board, DiskPort, NetworkPort};
pub use elf::{Elf, NotOurs};
pub use os::{Distribution, Family, Unsupported};
pub use os_release::OsRelease;
pub use package_tool::{PackageTool, UnknownPackageTool};
pub use service::{ServiceManager, UnknownServiceManager};
pub use version::{AgentVersion, InvalidVersion};
