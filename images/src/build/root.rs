//! The command line of `mmdebstrap`: a recipe as hooks. Apart, because it is the one place where words become shell
//! text, and it is pure.
//!
//! Files go in and out by mmdebstrap's own `sync-in` and `download`: in a user namespace its hooks may read neither a
//! home directory nor write where the caller may.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Build, ImageError};

/// Where the scripts lie while the root is made.
pub(super) const STAGE: &str = "/bootstrap-lab";
/// apt's downloads.
pub(super) const ARCHIVES: &str = "/var/cache/apt/archives";

/// The files of a root that was made.
pub(super) struct Made {
    /// Everything in it.
    pub(super) tar: PathBuf,
    /// Its packages, a line "PACKAGE VERSION ARCHITECTURE" each.
    pub(super) manifest: PathBuf,
}

/// Debian's name of the architecture whose programs this machine runs.
pub(crate) fn native() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "armhf",
        other => other,
    }
}

/// mmdebstrap, ready to make a root of this machine's architecture.
pub(super) fn command(build: &Build<'_>, made: &Made) -> Result<Command, ImageError> {
    let base = &build.packages.base;
    let packages = build.cache.packages(&base.suite, native())?;
    let mut command = Command::new("mmdebstrap");
    command.arg(build.privilege.mode()).args([
        "--variant=minbase",
        "--format=tar",
        "--skip=essential/unlink",
    ]);
    command.arg(format!("--architectures={}", native()));
    command.arg(format!("--include={}", base.packages.join(",")));
    // Without it the package usrmerge does the same in minutes of perl.
    command.arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr");
    // What is left out of the image is deleted by scripts: dpkg's own way, path-exclude, runs a Python per package.
    command.arg("--dpkgopt=force-unsafe-io");
    command.args(["--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"3\""]);

    command.arg(format!("--setup-hook=mkdir -p \"$1{ARCHIVES}\" \"$1{STAGE}\""));
    command.arg(format!("--setup-hook=sync-in {} {ARCHIVES}", quoted(&packages)));
    // The directory comes with its owner, who is somebody else in the guest.
    command.arg(format!("--setup-hook=chown -R 0:0 \"$1{ARCHIVES}\""));
    command.arg(format!("--customize-hook=sync-in {} {STAGE}", quoted(&build.stage())));
    // Before a script that cleans.
    command.arg(format!("--customize-hook=sync-out {ARCHIVES} {}", quoted(&packages)));
    for step in steps(build) {
        command.arg(format!("--customize-hook={step}"));
    }
    command.arg(format!("--customize-hook=download {STAGE}/manifest {}", quoted(&made.manifest)));
    command.arg(format!("--customize-hook=rm -rf \"$1{STAGE}\""));
    command.arg(&base.suite).arg(&made.tar).arg(build.inputs.archive());
    Ok(command)
}

/// Users, the manifest before a script that hides dpkg, customizations.
fn steps(build: &Build<'_>) -> Vec<String> {
    let users = build.recipe.users().iter().map(|user| inside("user.sh", &[&user.name, user.sudo.word()]));
    let manifest = inside("manifest.sh", &[&format!("{STAGE}/manifest")]);
    let customize = |step: &crate::recipe::Customize| {
        let input = step.input.as_ref().map(|name| format!("{STAGE}/{name}"));
        let args: Vec<&str> = step.args.iter().chain(&input).map(String::as_str).collect();
        inside(&step.script, &args)
    };
    users.chain([manifest]).chain(build.packages.customize.iter().map(customize)).collect()
}

/// A script of ours, run inside the root.
fn inside(script: &str, args: &[&str]) -> String {
    let mut text = format!("chroot \"$1\" {STAGE}/scripts/{script}");
    for arg in args {
        text.push(' ');
        text.push_str(&quote(arg));
    }
    text
}

pub(super) fn quoted(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// One word of POSIX shell, also of Perl's `shellwords`, with which mmdebstrap reads its own hooks.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_a_quote_and_a_space_stays_one_word_of_the_shell() {
        let word = "it's $HOME; `x`";
        let output = Command::new("sh").args(["-c", &format!("printf %s {}", quote(word))]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
    }

    #[test]
    fn a_script_runs_in_the_root_with_quoted_arguments() {
        assert_eq!(
            inside("user.sh", &["admin", "free"]),
            r#"chroot "$1" /bootstrap-lab/scripts/user.sh 'admin' 'free'"#
        );
    }
}
