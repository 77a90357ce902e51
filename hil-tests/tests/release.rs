//! What `make dist` decides and says before and after its long builds: the toolchain, the checks, the bills of materials.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a check that cannot go on fails right there"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn workspace() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..").canonicalize().unwrap()
}

/// A machine with nothing but what a test puts there.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        fs::create_dir(machine.path("bin")).unwrap();
        for name in ["sh", "cat", "grep", "timeout", "uname", "sed", "readelf", "wc", "printf"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
            let program = String::from_utf8(found.stdout).unwrap();
            if program.starts_with('/') {
                symlink(program.trim(), machine.path("bin").join(name)).unwrap();
            }
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command that does as this script.
    fn with(self, name: &str, script: &str) -> Self {
        let path = self.path("bin").join(name);
        // It may be a link to this computer's own program, which must not be written through.
        let _ = fs::remove_file(&path);
        fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(format!("#!/bin/sh\n{script}\n").as_bytes()))
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Runs lines of shell after the functions of `make dist`.
    fn run(&self, script: &str) -> Output {
        let script = format!(". tools/step.sh; . tools/static.sh; . tools/check-static.sh; {script}");
        Command::new("sh")
            .args(["-c", &script])
            .current_dir(workspace())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.0.path())
            .env("CARGO_TARGET_DIR", self.path("target"))
            .output()
            .unwrap()
    }

    fn route(&self) -> (String, String) {
        let output = self.run("choose_route $all_targets; echo \"${route-}\"");
        (
            String::from_utf8(output.stdout).unwrap().trim().to_owned(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

const INSTALLED: &str =
    "printf '%s\\n' x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf";

#[test]
fn installed_targets_of_rustup_are_taken_first() {
    let machine = Machine::new().with("rustup", INSTALLED).with("cargo-zigbuild", ":").with("zig", ":");
    let machine = machine.with("cross", ":").with("docker", ":");
    let (route, said) = machine.route();
    assert_eq!(route, "rustup", "{said}");
    assert!(said.contains("toolchain: rustup's targets with cargo-zigbuild"), "{said}");
}

#[test]
fn cross_is_taken_only_with_an_engine_that_answers() {
    let machine = Machine::new().with("cross", ":").with("docker", "exit 1").with("podman", "[ $1 = info ]");
    let (route, said) = machine.route();
    assert_eq!(route, "cross", "{said}");
    assert!(said.contains("not rustup's targets with cargo-zigbuild: there is no rustup"), "{said}");

    let machine = Machine::new().with("cross", ":").with("docker", "exit 1");
    let (route, said) = machine.route();
    assert_ne!(route, "cross");
    assert!(said.contains("not cross with a container engine: neither docker nor podman answers"), "{said}");
}

#[test]
fn a_missing_target_of_rustup_is_named() {
    let script = "echo aarch64-unknown-linux-musl; echo x86_64-unknown-linux-gnu";
    let machine = Machine::new().with("rustup", script).with("cargo-zigbuild", ":").with("zig", ":");
    let (route, said) = machine.route();
    assert_ne!(route, "rustup");
    let missing = "not installed: x86_64-unknown-linux-musl armv7-unknown-linux-musleabihf";
    assert!(said.contains(missing), "{said}");
}

#[test]
fn a_release_of_debians_kin_without_its_compiler_is_told_before_anything_is_installed() {
    let apt = |known: &str| {
        let machine = Machine::new().with("apt-get", "exit 1").with("uname", "echo x86_64");
        let machine =
            machine.with("apt-cache", &format!("[ $1 = show ] || exit 2; case $2 in {known} esac; exit 100"));
        // As if Debian's source of the standard library were not here.
        let output =
            machine.run("rust_source() { echo /none; }; choose_route $all_targets; echo \"${route-}\"");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (route, said) = apt("rustc) exit 0 ;;");
    assert_eq!(route.trim(), "", "{said}");
    assert!(
        said.contains("this release has no package rustc-web") && said.contains("any of these will do"),
        "{said}"
    );
    assert_eq!(apt("rustc | rustc-web) exit 0 ;;").0.trim(), "debian");
    assert_eq!(apt("none) ;;").0.trim(), "debian", "a machine without apt's lists");
}

#[test]
fn what_a_release_takes_is_missed_before_its_builds() {
    let ask = |machine: &Machine, check: &str| {
        let output = machine.run(check);
        (output.status.success(), String::from_utf8(output.stderr).unwrap().trim().to_owned())
    };
    let (tools, nothing) =
        ("check_tools x86_64-unknown-linux-musl armv7-unknown-linux-musleabihf", (true, String::new()));
    let machine = Machine::new().with("python3", "exit 1").with("uname", "echo x86_64");
    let python = "error: please install first: Python 3.11 or newer as python3";
    assert_eq!(ask(&machine, "check_python"), (false, python.to_owned()));
    let runner = "error: please install first: what runs programs for armv7 (qemu-user-static)";
    assert_eq!(ask(&machine, tools), (false, runner.to_owned()));
    assert_eq!(ask(&machine, "check_tools"), nothing, "of programs that nobody runs");
    let machine = machine.with("python3", "[ \"$2\" = 'import tomllib' ]").with("qemu-arm-static", ":");
    assert_eq!(ask(&machine, "check_python"), nothing);
    assert_eq!(ask(&machine, tools), nothing);
}

#[test]
fn a_bill_of_materials_names_the_compiler_that_built_and_not_the_first_one_in_the_path() {
    let machine = Machine::new().with("python3", "echo $RUSTC $CARGO $*");
    for (route, programs) in [("debian", "/usr/bin/rustc /usr/bin/cargo"), ("rustup", "rustc cargo")] {
        let output = machine.run(&format!("route={route}; bill_of TARGET FILE"));
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.trim(), format!("{programs} tools/sbom.py TARGET FILE"));
    }
}

#[test]
fn a_dynamic_program_and_one_for_another_machine_are_no_release() {
    let machine = Machine::new();
    let program = std::env::current_exe().unwrap();
    let check = |triple: &str| {
        let output = machine.run(&format!("check_static '{}' {triple}", program.display()));
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let (own, other) = match std::env::consts::ARCH {
        "aarch64" => ("aarch64-unknown-linux-musl", "x86_64-unknown-linux-musl"),
        _ => ("x86_64-unknown-linux-musl", "armv7-unknown-linux-musleabihf"),
    };
    let said = check(own);
    assert!(said.contains("needs a dynamic loader"), "{said}");
    let said = check(other);
    assert!(said.contains("is for ") && said.contains(", not for "), "{said}");
}

fn bill(triple: &str, binary: &Path) -> String {
    let output = Command::new("python3")
        .arg(workspace().join("tools/sbom.py"))
        .args([triple.as_ref(), binary.as_os_str()])
        .env("SOURCE_DATE_EPOCH", "1767225600")
        .env("BOOTSTRAP_COMMIT", "0123456789ab")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_bill_of_materials_names_what_is_linked_with_the_digests_of_the_lock_file() {
    let directory = tempfile::tempdir().unwrap();
    let binary = directory.path().join("bootstrap");
    fs::write(&binary, "abc").unwrap();
    let lock: toml::Table = fs::read_to_string(workspace().join("Cargo.lock")).unwrap().parse().unwrap();
    let locked: BTreeMap<(String, String), Option<String>> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let text = |key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
            ((text("name").unwrap(), text("version").unwrap()), text("checksum"))
        })
        .collect();

    for triple in targets::ROWS.iter().filter_map(|row| row.rust_triple) {
        let bill: Value = serde_json::from_str(&bill(triple, &binary)).unwrap();
        assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
        assert_eq!(bill["metadata"]["timestamp"], "2026-01-01T00:00:00Z");
        // SHA-256 of `abc`, from FIPS 180-2.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(bill["metadata"]["component"]["hashes"][0]["content"], digest);
        let components = bill["components"].as_array().unwrap();
        let mut names = Vec::new();
        for component in components {
            let text = |key: &str| component[key].as_str().unwrap().to_owned();
            let locked = &locked[&(text("name"), text("version"))];
            assert_eq!(component["hashes"][0]["content"].as_str(), locked.as_deref(), "{component}");
            names.push(text("name"));
        }
        for linked in ["aws-sdk-ssm", "libsqlite3-sys", "ring", "russh", "targets"] {
            assert!(names.iter().any(|name| name == linked), "{linked}");
        }
        // The endpoint's, the test programs', a macro's and a build script's.
        for absent in ["axum", "qapi", "clap_derive", "cc", "bootstrap"] {
            assert!(!names.iter().any(|name| name == absent), "{absent}");
        }
    }
}

#[test]
fn a_bill_of_materials_is_a_closed_graph_without_paths_and_the_same_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let binary = directory.path().join("bootstrap");
    fs::write(&binary, "abc").unwrap();
    let text = bill("aarch64-unknown-linux-musl", &binary);
    assert_eq!(text, bill("aarch64-unknown-linux-musl", &binary));
    for path in [workspace().to_str().unwrap(), directory.path().to_str().unwrap(), "serialNumber"] {
        assert!(!text.contains(path), "{path}");
    }
    let bill: Value = serde_json::from_str(&text).unwrap();
    let dependencies = bill["dependencies"].as_array().unwrap();
    let known: Vec<&str> = dependencies.iter().map(|entry| entry["ref"].as_str().unwrap()).collect();
    assert_eq!(known.len(), bill["components"].as_array().unwrap().len() + 1);
    for entry in dependencies {
        for need in entry["dependsOn"].as_array().unwrap() {
            assert!(known.contains(&need.as_str().unwrap()), "{need} of {}", entry["ref"]);
        }
    }
}
