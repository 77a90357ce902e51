//! Downloading packages of any architecture without installing them. Apart from making a root, because apt only
//! resolves and downloads here: `mmdebstrap` sets it up in an empty directory, `fetch.sh` is its hook.

use std::process::Command;

use super::root::{ARCHIVES, STAGE, quoted};
use super::{Build, ImageError, Listener};
use crate::progress::Step;

/// What is downloaded.
pub(super) enum What {
    /// The recipe's kernel.
    Kernel,
    /// Packages of these names and all that they depend on.
    Packages(Vec<String>),
}

/// One downloaded package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) version: String,
}

impl Build<'_> {
    /// The downloaded packages; their files lie in the cache of that architecture.
    pub(super) fn fetch(
        &self,
        step: Step,
        architecture: &str,
        what: &What,
        progress: Listener<'_>,
    ) -> Result<Vec<Package>, ImageError> {
        let base = &self.packages.base;
        let packages = quoted(&self.cache.packages(&base.suite, architecture)?);
        let list = self.list();
        let asked = match what {
            What::Kernel => format!("kernel '{}'", base.kernel),
            What::Packages(names) => {
                self.write(&self.stage().join("names"), &names.join("\n"))?;
                format!("packages \"$1{STAGE}/names\"")
            }
        };
        let mut command = Command::new("mmdebstrap");
        command.arg(self.privilege.mode()).args([
            "--variant=custom",
            "--format=null",
            // Nothing of that architecture is run.
            "--skip=check/qemu",
            "--aptopt=Acquire::Languages \"none\"",
            "--aptopt=Acquire::Retries \"3\"",
        ]);
        command.arg(format!("--architectures={architecture}"));
        command.arg(format!("--setup-hook=mkdir -p \"$1{ARCHIVES}/partial\" \"$1{STAGE}\""));
        command.arg(format!("--customize-hook=sync-in {packages} {ARCHIVES}"));
        command.arg(format!("--customize-hook=sync-in {} {STAGE}", quoted(&self.stage())));
        command.arg(format!("--customize-hook=\"$1{STAGE}/scripts/fetch.sh\" \"$1\" {asked}"));
        command.arg(format!("--customize-hook=sync-out {ARCHIVES} {packages}"));
        command.arg(format!("--customize-hook=download {STAGE}/list {}", quoted(&list)));
        command.arg(&base.suite).arg("/dev/null").arg(self.inputs.archive());
        self.step(step, "mmdebstrap", &mut command, progress)?;
        Ok(self.read(&list)?.lines().filter_map(parse).collect())
    }

    /// Where the last download is listed.
    pub(super) fn list(&self) -> std::path::PathBuf {
        self.work.join("list")
    }
}

/// A line "FILE PACKAGE VERSION ARCHITECTURE".
fn parse(line: &str) -> Option<Package> {
    let mut words = line.split(' ').map(str::to_owned);
    Some(Package { file: words.next()?, name: words.next()?, version: words.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_is_a_package_and_its_file() {
        let line = "openssh-server_1%3a9.2p1-2+deb12u10_arm64.deb openssh-server 1:9.2p1-2+deb12u10 arm64";
        let package = parse(line).unwrap();
        assert_eq!(package.name, "openssh-server");
        assert_eq!(package.version, "1:9.2p1-2+deb12u10");
        assert!(package.file.ends_with("_arm64.deb"));
    }
}
