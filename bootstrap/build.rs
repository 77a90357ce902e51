//! What the program says of its own making: target, compiler, commit.
#![allow(clippy::disallowed_macros, reason = "cargo reads what is printed here")]

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=BOOTSTRAP_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let compiler = said(Command::new(rustc).arg("--version")).unwrap_or_else(|| "rustc unknown".to_owned());
    let commit = env::var("BOOTSTRAP_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty())
        .or_else(commit_of_this_clone)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILT_BY={}", compiler.trim_start_matches("rustc "));
    println!("cargo::rustc-env=BUILT_FOR={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=BUILT_FROM={commit}");
}

/// As `tools/dist.sh` says it. Asked again after each commit and change of the sources. The index is not watched, since
/// `git status` rewrites it and would have the crate compiled again; so a change elsewhere may be missed until then.
fn commit_of_this_clone() -> Option<String> {
    let commit = git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"])?;
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=Cargo.toml");
    // A file that does not exist counts as changed, always; without a log of HEAD there is HEAD, which knows of branches only.
    if let Some(log) = ["logs/HEAD", "HEAD"]
        .iter()
        .find_map(|name| git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()))
    {
        println!("cargo::rerun-if-changed={log}");
    }
    Some(commit)
}

/// In the package's directory, where cargo starts build scripts.
fn git(arguments: &[&str]) -> Option<String> {
    said(Command::new("git").args(arguments))
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
