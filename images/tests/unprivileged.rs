//! `images` as somebody who is not root. Root runs it as a user who exists in a mount namespace of this test only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Runs a script of sh, whose `$1` is `directory`, as a user with subordinate ids; what it printed, both streams as one.
fn as_user(directory: &Path, script: &str) -> String {
    let run = directory.join("run");
    fs::write(&run, format!("#!/bin/sh\nset -eu\nexec 2>&1\n{script}")).unwrap();
    let user = "exec sh \"$1/run\" \"$1\"";
    let root = "sed '$a tester:x:4242:4242::/nonexistent:/bin/sh' /etc/passwd > \"$1/passwd\"
        echo tester:100000:65536 > \"$1/ids\"
        mount --bind \"$1/passwd\" /etc/passwd
        for file in /etc/subuid /etc/subgid; do mount --bind \"$1/ids\" $file; done
        exec setpriv --reuid=4242 --regid=4242 --clear-groups sh \"$1/run\" \"$1\"";
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-euc", root]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", user]);
        command
    };
    let output = command.arg("sh").arg(directory).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn a_killed_builds_files_of_subordinate_users_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    // The directory of the build may be closed to others.
    fs::copy(env!("CARGO_BIN_EXE_images"), directory.join("images")).unwrap();
    let left = "left=$1/cache/bootstrap/images/.debian-x
        mkdir -p \"$left\"
        unshare --map-auto --map-root-user -- sh -c 'mkdir \"$0/root\" && touch \"$0/root/file\" && chown -R 5:5 \"$0/root\"' \"$left\"
        ! rm -rf \"$left\" 2> /dev/null
        [ -e \"$left/root/file\" ]
        XDG_CACHE_HOME=$1/cache \"$1/images\" gc
        [ ! -e \"$left\" ]";
    let said = as_user(directory, left);
    assert!(said.contains("/images/.debian-x (") && said.contains("1 deleted"), "{said}");
}
