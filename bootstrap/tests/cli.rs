//! The command as a user meets it: what it prints, where, and with which exit code.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails right there"
)]

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
        Command::new(env!("CARGO_BIN_EXE_bootstrap"))
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "example")
            .output()
            .unwrap()
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
fn the_schema_and_the_expanded_fleet_are_data_on_stdout() {
    let home = Home::new();
    nobody_home(&home);
    let schema: Value = serde_json::from_slice(&home.run(&["inventory", "schema"]).stdout).unwrap();
    assert!(schema["properties"]["environments"].is_object());
    let shown = home.run(&["inventory", "show", "--output", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["hosts"][0]["name"], "gone-1", "{shown:#}");
}
