//! A recipe of the user's own, as the program reads it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

use std::fs;
use std::process::Command;

#[test]
fn a_mistake_is_told_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my.toml");
    for (text, line) in [("name = \"my\"\nsummary = \n", "line 2"), ("name = \"my host\"\n", "line 1")] {
        fs::write(&path, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_images"));
        let output = command.arg("show").arg(&path).env("HOME", directory.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.starts_with(&format!("error: {}: ", path.display())) && said.contains(line), "{said}");
    }
}
