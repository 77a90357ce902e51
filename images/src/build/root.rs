//! The command line of `mmdebstrap`: a recipe as hooks. Apart, because it is the one place where words become shell
//! text, and it is pure.
//!
//! Files go in and out by mmdebstrap's own `sync-in` and `download`: in a user namespace its hooks may read neither a
//! home directory nor write where the caller may.

use std::path::Path;
use std::process::Command;

use super::{Build, ImageError};

/// Where the scripts lie while the root is made.
const STAGE: &str = "/bootstrap-lab";
/// apt's downloads.
const ARCHIVES: &str = "/var/cache/apt/archives";

/// mmdebstrap, ready to write `root.tar` into the work directory, and kernel and manifest into `finished`.
pub(super) fn command(build: &Build<'_>, finished: &Path) -> Result<Command, ImageError> {
    let base = build.recipe.base();
    let packages = build.cache.packages(&base.suite, &base.architecture)?;
    let mut command = Command::new("mmdebstrap");
    command.arg(build.privilege.mode()).args([
        "--variant=minbase",
        "--format=tar",
        "--skip=essential/unlink",
    ]);
    command.arg(format!("--architectures={}", base.architecture));
    command.arg(format!("--include={}", base.packages.join(",")));
    // Without it the package usrmerge does the same in minutes of perl.
    command.arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr");
    command.args(["--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/man/*"]);
    command.args(["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*"]);
    command.args(["--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"3\""]);

    command.arg(format!("--setup-hook=mkdir -p \"$1{ARCHIVES}\" \"$1{STAGE}\""));
    command.arg(format!("--setup-hook=sync-in {} {ARCHIVES}", quoted(&packages)));
    command.arg(format!("--customize-hook=sync-in {} {STAGE}", quoted(&build.stage())));
    for step in steps(build) {
        command.arg(format!("--customize-hook={step}"));
    }
    // Before a script that cleans: the kernel's package is part of the cache.
    command.arg(format!("--customize-hook=sync-out {ARCHIVES} {}", quoted(&packages)));
    for step in customize(build) {
        command.arg(format!("--customize-hook={step}"));
    }
    for file in ["vmlinuz", "manifest"] {
        command.arg(format!("--customize-hook=download {STAGE}/{file} {}", quoted(&finished.join(file))));
    }
    command.arg(format!("--customize-hook=rm -rf \"$1{STAGE}\""));
    command.arg(&base.suite).arg(build.work.join("root.tar")).args(build.inputs.mirror_url());
    Ok(command)
}

fn steps(build: &Build<'_>) -> Vec<String> {
    let kernel = inside("kernel.sh", &[&build.recipe.base().kernel]);
    let users = build.recipe.users().iter().map(|user| inside("user.sh", &[&user.name, user.sudo.word()]));
    std::iter::once(kernel).chain(users).collect()
}

fn customize(build: &Build<'_>) -> Vec<String> {
    let text = |step: &crate::recipe::Customize| {
        let input = step.input.as_ref().map(|name| format!("{STAGE}/{name}"));
        let args: Vec<&str> = step.args.iter().chain(&input).map(String::as_str).collect();
        inside(&step.script, &args)
    };
    build.recipe.customize().iter().map(text).collect()
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

fn quoted(path: &Path) -> String {
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
