//! The command as a user meets it: what it prints, where, and with which exit code.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails right there"
)]

mod credentials;
mod here;
mod reports;
mod terminal;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs in an empty environment, so that nothing of this machine's user is seen.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "example");
        command
    }

    fn key(&self) {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(self.path().join("key"))
            .status();
        assert!(made.unwrap().success());
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An inventory of one host on a port where nothing listens.
fn nobody_home(home: &Home) {
    home.key();
    home.write("known_hosts", "");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.write(
        "hosts.toml",
        &format!(
            r#"
[defaults]
user = "admin"
identity = "key"
known_hosts = "known_hosts"
limits = {{ retries = 0 }}

[environments.dev]
region = "eu-central-1"
role = "LabRole"
endpoint = "http://127.0.0.1:9"

[[hosts]]
name = "gone-1"
address = "127.0.0.1"
port = {port}
"#
        ),
    );
}

#[test]
fn without_arguments_it_explains_itself_and_does_nothing() {
    let output = Home::new().run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--inventory"), "{output:?}");
}

#[test]
fn a_machine_without_authorities_sets_out_for_its_hosts() {
    let home = Home::new();
    nobody_home(&home);
    home.write("none.pem", "");
    let output = home
        .command(&["--inventory", "hosts.toml", "--dry-run"])
        .env("SSL_CERT_FILE", home.path().join("none.pem"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("gone-1"), "{output:?}");
}

#[test]
fn every_problem_of_an_inventory_is_told_at_once_with_its_place() {
    let home = Home::new();
    home.write(
        "hosts.toml",
        "[defaults]\nuser = \"pi\"\nprot = 22\n\n[[hosts]]\nname = \"a\"\nenvironment = \"nope\"\n",
    );
    let output = home.run(&["--inventory", "hosts.toml"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(stdout(&output), "");
    let said = stderr(&output);
    for part in ["hosts.toml:3:1", "did you mean `port`?", "hosts.toml:7:15", "nope", "nothing was done"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn an_inventory_that_is_not_there_is_named() {
    let output = Home::new().run(&["--inventory", "hosts.toml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("hosts.toml"), "{output:?}");
}

#[test]
fn a_host_that_is_not_there_is_unreachable_in_the_report_and_in_the_history() {
    let home = Home::new();
    nobody_home(&home);
    let output = home.run(&["--inventory", "hosts.toml", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["hosts"][0]["outcome"], "unreachable");
    assert!(report["hosts"][0]["why"].as_str().unwrap().contains("refused"), "{report:#}");

    let history = home.run(&["history", "--output", "json"]);
    let history: Value = serde_json::from_slice(&history.stdout).unwrap();
    assert_eq!(history["runs"][0]["run"], report["run"], "{history:#}");
    let one = home.run(&["history", report["run"].as_str().unwrap()]);
    assert!(stdout(&one).contains("gone-1"), "{one:?}");
}

#[test]
fn the_table_ends_with_the_counts_and_progress_goes_to_stderr() {
    let home = Home::new();
    nobody_home(&home);
    let output = home.run(&["--inventory", "hosts.toml"]);
    let last = stdout(&output).lines().last().unwrap().to_owned();
    assert!(last.starts_with("1 host: 0 online"), "{last}");
    assert!(stderr(&output).contains("gone-1: connecting"), "{output:?}");
}

#[test]
fn a_key_that_is_a_public_key_stops_the_run_at_its_start() {
    let home = Home::new();
    nobody_home(&home);
    fs::copy(home.path().join("key.pub"), home.path().join("key")).unwrap();
    fs::set_permissions(home.path().join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let output = home.run(&["--inventory", "hosts.toml"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = stderr(&output);
    assert!(said.starts_with("error:") && said.contains("public key") && said.contains("hint:"), "{said}");
}

#[test]
fn a_state_directory_that_cannot_be_used_stops_the_run_at_its_start() {
    let home = Home::new();
    nobody_home(&home);
    let output = home.run(&["--inventory", "hosts.toml", "--state-dir", "key/below"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(stderr(&output).contains("hint:"), "{output:?}");
}

#[test]
fn what_only_reads_the_journal_makes_none_and_says_where_there_is_none() {
    let home = Home::new();
    nobody_home(&home);
    for command in [&["history"][..], &["activations", "gc", "--inventory", "hosts.toml"]] {
        let output = home.run(&[command, &["--state-dir", "typo"]].concat());
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(stderr(&output).contains("there is no journal typo/journal.db"), "{output:?}");
        assert!(!home.path().join("typo").exists());
    }
}

#[test]
fn no_runs_at_all_are_nothing_to_ask_for() {
    let output = Home::new().run(&["history", "--last", "0"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn what_lies_between_waves_is_not_accepted_where_there_are_none() {
    let home = Home::new();
    let base = ["--inventory", "hosts.toml"];
    for (more, said) in [
        (&["--check", "./check.sh"][..], "--batch"),
        (&["--pause", "30s"], "--one-first"),
        (&["--batch", "0%"], "a wave has one host at least"),
    ] {
        let output = home.run(&[&base[..], more].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
    // Of both at once nothing is said: the file is what is missing.
    let both = home.run(&[&base[..], &["--one-first", "--batch", "1", "--check", "x"]].concat());
    assert!(stderr(&both).contains("hosts.toml"), "{}", stderr(&both));
}

#[test]
fn the_schema_and_the_expanded_fleet_are_data_on_stdout() {
    let home = Home::new();
    nobody_home(&home);
    let schema: Value = serde_json::from_slice(&home.run(&["inventory", "schema"]).stdout).unwrap();
    assert!(schema["properties"]["environments"].is_object());
    let shown = home.run(&["inventory", "show", "--output", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["hosts"][0]["name"], "gone-1", "{shown:#}");
}

#[test]
fn the_version_is_one_line() {
    for flag in ["--version", "-V"] {
        let output = Home::new().run(&[flag]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(stdout(&output), concat!("bootstrap ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[test]
fn the_verbose_version_says_what_was_built_from_what_by_what() {
    let home = Home::new();
    let said = stdout(&home.run(&["--version", "--verbose"]));
    assert_eq!(said, stdout(&home.run(&["-vV"])));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], concat!("bootstrap ", env!("CARGO_PKG_VERSION")));
    let line = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let target = line("target:");
    assert!(target.starts_with(std::env::consts::ARCH) && target.contains("-linux-"), "{said}");
    assert!(line("rustc:").starts_with("1."), "{said}");
    // SQLite is bundled, so its version does not depend on this machine.
    assert!(line("sqlite:").starts_with("3."), "{said}");
    let commit = line("commit:").trim_end_matches("-dirty");
    assert!(commit == "unknown" || commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");
}

#[test]
fn the_features_of_the_verbose_version_are_those_of_the_manifest() {
    let said = stdout(&Home::new().run(&["--version", "--verbose"]));
    let features: Vec<&str> =
        said.lines().find_map(|line| line.strip_prefix("features:")).unwrap().split_whitespace().collect();
    let manifest =
        fs::read_to_string(Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../Cargo.toml"))
            .unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let of = |name: &str| -> Vec<&str> {
        let features = manifest["workspace"]["dependencies"][name]["features"].as_array().unwrap();
        features.iter().map(|feature| feature.as_str().unwrap()).collect()
    };
    let mut chosen = of("aws-config");
    chosen.retain(|feature| *feature != "rt-tokio");
    if of("rustls").contains(&"ring") && of("russh").contains(&"ring") {
        chosen.push("ring");
    }
    chosen.sort_unstable();
    assert_eq!(features, chosen);
}

#[test]
fn verbose_without_version_says_where_more_is() {
    for arguments in [&["--verbose"][..], &["-v", "--inventory", "hosts.toml"]] {
        let output = Home::new().run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = stderr(&output);
        assert!(
            said.starts_with("error: --verbose goes with --version\nhint: ")
                && said.contains("logs/HOST.log"),
            "{said}"
        );
    }
}

#[test]
fn the_ssh_configuration_that_is_named_is_followed_and_no_other() {
    let home = Home::new();
    nobody_home(&home);
    home.write("ssh", "Host *\n  ProxyCommand nc %h %p\n");
    let why = |configuration: &str| {
        let output =
            home.run(&["--inventory", "hosts.toml", "--output", "json", "--ssh-config", configuration]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["hosts"][0]["outcome"], "unreachable", "{report:#}");
        (report["hosts"][0]["why"].to_string(), stderr(&output))
    };
    let (refused, said) = why("ssh");
    assert!(refused.contains("ssh:2: `ProxyCommand`"), "{refused}");
    assert_eq!(said.matches("`ProxyCommand` is not supported").count(), 1, "{said}");
    let (unreached, said) = why("none");
    assert!(!(unreached + &said).contains("ProxyCommand"));
    let output = home.run(&["--inventory", "hosts.toml", "--ssh-config", "absent"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("absent does not exist"), "{output:?}");
}

#[test]
fn activations_are_looked_for_in_every_environment_whatever_is_wrong_with_another() {
    let home = Home::new();
    home.write("no-ca.pem", "not a certificate");
    let environment = |name: &str| {
        format!(
            "[environments.{name}]\nregion = \"eu-central-1\"\nrole = \"LabRole\"\n\
             endpoint = \"https://127.0.0.1:9\"\nca_bundle = \"no-ca.pem\"\n"
        )
    };
    let host = "[[hosts]]\nname = \"web-1\"\naddress = \"192.0.2.1\"\nenvironment = \"dev\"\n";
    home.write("hosts.toml", &(environment("dev") + &environment("without-hosts") + host));
    let output = home.run(&["activations", "gc", "--inventory", "hosts.toml", "--all"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for told in ["dev: AWS cannot be used: ", "without-hosts: AWS cannot be used: "] {
        assert!(stderr(&output).contains(told), "no {told:?} in {output:?}");
    }
}
