//! What a host can be: architecture, distribution, package format, service manager; and what AWS offers for it.
//!
//! Everything that depends on the kind of host is a row of a table here, so that no other crate matches on
//! names of architectures or distributions. Pure data: no I/O, no async, nothing that can hang or fail but
//! the parsing of text.

pub mod agent;
mod arch;
mod os;
mod os_release;
pub mod s3;
mod service;
pub mod signing;
mod version;

pub use arch::{Arch, Artifact, PackageFormat, ROWS, Row, UnknownArch, UnknownFormat};
pub use os::{Distribution, Family, Unsupported};
pub use os_release::OsRelease;
pub use service::{ServiceManager, UnknownServiceManager};
pub use version::{AgentVersion, InvalidVersion};
