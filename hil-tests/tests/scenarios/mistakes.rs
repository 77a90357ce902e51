//! What operators and networks do wrong: each gives its own clear error with a remedy, and changes nothing.

use std::{fs, path::Path};

use crate::rig::{Ran, Rig, rig};

/// One host failed at this step, with these words, a remedy, and nothing left behind.
fn assert_failure(rig: &Rig, ran: Ran, step: &str, words: &[&str], remedy: &str) {
    let ran = ran.expect_code(1);
    let host = ran.host("deb-1");
    assert_eq!((&host["outcome"], &host["step"]), (&"failed".into(), &step.into()), "{host:#}");
    for word in words {
        assert!(host["why"].as_str().unwrap().contains(word), "no {word:?} in {host:#}");
    }
    assert!(host["hint"].as_str().unwrap().contains(remedy), "no {remedy:?} in {host:#}");
    assert_eq!(rig.live_activations(), 0);
    assert_eq!(
        rig.root("deb-1", &["sh", "-c", "ls -A /var/lib/bootstrap /etc/amazon 2>/dev/null; true"]),
        ""
    );
}

fn only_deb(text: &str) -> String {
    let at = text.match_indices("[[hosts]]").nth(1).unwrap().0;
    text[..at].to_owned()
}

/// A copy of the lab's packages that can be spoilt.
fn packages(rig: &Rig, name: &str) -> std::path::PathBuf {
    let (from, to) = (rig.lab.paths().packages(), rig.lab.paths().directory().join(name));
    let status = std::process::Command::new("cp").arg("-a").args([&from, &to]).status().unwrap();
    assert!(status.success());
    to
}

fn deb(packages: &Path) -> std::path::PathBuf {
    packages.join("latest/debian_amd64/amazon-ssm-agent.deb")
}

#[test]
fn wrong_packages_are_found_before_anything_is_sent() {
    let rig = rig();
    let tampered = packages(&rig, "tampered");
    let mut bytes = fs::read(deb(&tampered)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(deb(&tampered), bytes).unwrap();
    let with = |name: &str| {
        rig.inventory(|text| {
            only_deb(&text).replace("source = \"packages\"", &format!("source = \"{name}\""))
        })
    };
    assert_failure(
        &rig,
        rig.enrol(&with("tampered")),
        "fetch",
        &["amazon-ssm-agent.deb", "does not match"],
        "download package and signature again",
    );

    let foreign = rig.lab.paths().directory().join("foreign.deb");
    build_foreign_deb(&foreign);
    let unsigned = rig.inventory(|text| {
        only_deb(&text)
            .replace("source = \"packages\"", "source = \"foreign.deb\"")
            .replace("verify = \"required\"", "verify = \"if-present\"")
    });
    assert_failure(
        &rig,
        rig.enrol(&unsigned),
        "fetch",
        &["arm64", "amd64"],
        "a package for each kind of host",
    );
}

/// A package of the right name and the wrong architecture.
fn build_foreign_deb(path: &Path) {
    let root = tempfile::tempdir().unwrap();
    let control = "Package: amazon-ssm-agent\nVersion: 3.3.1.0-1\nArchitecture: arm64\nMaintainer: a <a@example.com>\nDescription: x\n";
    fs::create_dir(root.path().join("DEBIAN")).unwrap();
    fs::write(root.path().join("DEBIAN/control"), control).unwrap();
    let built = std::process::Command::new("dpkg-deb")
        .args(["--root-owner-group", "-b"])
        .arg(root.path())
        .arg(path)
        .output();
    assert!(built.unwrap().status.success());
}

#[test]
fn a_changed_host_key_is_refused_with_both_fingerprints_and_the_remedy() {
    let rig = rig();
    let known_hosts = rig.lab.paths().known_hosts();
    let text = fs::read_to_string(&known_hosts).unwrap();
    // The two guests' keys, swapped.
    let keys: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    let names: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().0).collect();
    let swapped: Vec<_> =
        names.iter().zip(keys.iter().rev()).map(|(name, key)| format!("{name} {key}")).collect();
    fs::write(rig.lab.paths().directory().join("swapped"), swapped.join("\n") + "\n").unwrap();
    let inventory = rig.inventory(|text| {
        only_deb(&text).replace("known_hosts = \"known_hosts\"", "known_hosts = \"swapped\"")
    });
    let ran = rig.enrol(&inventory);
    let prints = ran.host("deb-1")["why"].as_str().unwrap().matches("SHA256:").count();
    assert_eq!(prints, 2, "{ran:#?}");
    assert_failure(&rig, ran, "connect", &["swapped"], "ssh-keygen -R");
}

#[test]
fn a_key_pair_that_the_host_does_not_know_is_named() {
    let rig = rig();
    let key = rig.lab.paths().directory().join("stranger");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let inventory =
        rig.inventory(|text| only_deb(&text).replace("identity = \"id_ed25519\"", "identity = \"stranger\""));
    assert_failure(&rig, rig.enrol(&inventory), "connect", &["admin", "SHA256:"], "authorized_keys");
}

#[test]
fn sudo_that_wants_a_password_is_told_how_to_want_none() {
    let rig = rig();
    let inventory = rig.inventory(|text| only_deb(&text).replace("user = \"admin\"", "user = \"pwadmin\""));
    assert_failure(&rig, rig.enrol(&inventory), "plan", &["password"], "NOPASSWD");
}

#[test]
fn a_full_disk_is_named_with_what_is_needed() {
    let rig = rig();
    rig.root(
        "deb-1",
        &["sh", "-c", "fallocate -l $(( $(df --output=avail -B1 / | tail -n 1) - 1000000 )) /fill"],
    );
    let ran = rig.enrol(&rig.inventory(|text| only_deb(&text)));
    assert_failure(&rig, ran, "plan", &["KiB free", "needed"], "free some space");
}

#[test]
fn an_endpoint_that_is_not_there_is_named_with_its_address() {
    let rig = rig();
    let url = rig.lab.endpoint().url.clone();
    // For the controller: no activation can be created.
    let inventory = rig.inventory(|text| {
        let own = format!("agent_endpoint = \"{}\"", rig.lab.endpoint().url_for_guests());
        only_deb(&text)
            .replace(&format!("\nendpoint = \"{url}\""), "\nendpoint = \"http://127.0.0.1:9\"\n#")
            .replace(&format!("#\n{own}"), &own)
    });
    let ran = rig.enrol(&inventory).expect_code(1);
    let host = ran.host("deb-1");
    assert_eq!(host["step"], "register", "{host:#}");
    assert!(host["hint"].as_str().unwrap().contains("http://127.0.0.1:9"), "{host:#}");

    // For the host: the agent cannot register.
    let inventory = rig
        .inventory(|text| only_deb(&text).replace(&rig.lab.endpoint().url_for_guests(), "http://10.0.2.2:9"));
    let ran = rig.enrol(&inventory).expect_code(1);
    let host = ran.host("deb-1");
    assert_eq!(host["step"], "register", "{host:#}");
    assert!(host["hint"].as_str().unwrap().contains("cannot reach the SSM endpoint"), "{host:#}");
    assert_eq!(rig.live_activations(), 0);
}
