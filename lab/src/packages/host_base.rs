//! The package that makes a Debian userland an rpm host: rpm's database is empty there, so it does not know that the
//! host has a shell and systemd. This package tells it, and contains nothing.

use rpm::{Dependency, PackageBuilder};

use super::PackageError;
use super::rpm_package::config;

/// Builds the package.
pub fn build() -> Result<Vec<u8>, PackageError> {
    let mut bytes = Vec::new();
    PackageBuilder::new(
        "lab-rpm-host-base",
        "1.0",
        "Apache-2.0",
        "noarch",
        "What a Debian userland offers to rpm",
    )
    .using_config(config())
    .release("1")
    .build_host("ssm-lab")
    .provides(Dependency::any("/bin/sh"))
    .provides(Dependency::any("systemd"))
    .build()?
    .write(&mut bytes)?;
    Ok(bytes)
}
