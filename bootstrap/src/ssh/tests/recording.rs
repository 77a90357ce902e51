//! `known_hosts` files, compared with what OpenSSH's own tools make of them.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::*;
use crate::{
    inventory::HostKeyPolicy,
    ssh::{
        Peer,
        known_hosts::{KnownHosts, Standing},
    },
};
use russh::keys::PublicKey;

fn at_port(host: &str, port: u16) -> Peer {
    Peer { address: host.to_owned(), port }
}

fn pair(directory: &std::path::Path, name: &str, kind: &str) -> PublicKey {
    server::keygen(directory, &["-q", "-t", kind, "-N", "", "-f", name]);
    PublicKey::from_openssh(&fs::read_to_string(directory.join(format!("{name}.pub"))).unwrap()).unwrap()
}

#[test]
fn what_is_recorded_is_found_by_ssh_keygen_and_after_its_hashing_by_us() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let (one, two) = (pair(at, "one", "ed25519"), pair(at, "two", "ecdsa"));
    let files = [at.join("new/known_hosts")];
    let hosts = KnownHosts::default();
    for (host, port, key) in [("web1.Example", 22, &one), ("10.0.0.1", 2222, &two), ("::1", 22, &two)] {
        assert_eq!(
            hosts.accept_new(&files, Some(&files[0]), &at_port(host, port), key).unwrap(),
            Standing::Known
        );
        assert_eq!(
            hosts.accept_new(&files, Some(&files[0]), &at_port(host, port), key).unwrap(),
            Standing::Known
        );
    }
    assert_eq!(fs::read_to_string(&files[0]).unwrap().lines().count(), 3);
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(at.join("new")).unwrap().permissions().mode() & 0o777, 0o700);
    let find = |name: &str| server::keygen(at, &["-F", name, "-f", "new/known_hosts"]);
    for (name, line) in [("web1.example", 1), ("[10.0.0.1]:2222", 2), ("::1", 3)] {
        assert!(find(name).contains(&format!("found: line {line}")), "{name}");
    }
    server::keygen(at, &["-H", "-f", "new/known_hosts"]);
    assert!(fs::read_to_string(&files[0]).unwrap().lines().all(|line| line.starts_with("|1|")));
    let hosts = KnownHosts::default();
    assert_eq!(hosts.look_up(&files, &at_port("WEB1.example", 22), &one).unwrap(), Standing::Known);
    assert_eq!(hosts.look_up(&files, &at_port("10.0.0.1", 2222), &two).unwrap(), Standing::Known);
    assert!(matches!(hosts.look_up(&files, &at_port("10.0.0.1", 2222), &one).unwrap(), Standing::Changed(_)));
    assert_eq!(
        hosts.look_up(&files, &at_port("web2.example", 22), &one).unwrap(),
        Standing::Unknown { authority: None }
    );
}

#[test]
fn a_key_is_changed_revoked_or_unknown_by_the_line_that_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let (one, two) = (pair(at, "one", "ed25519"), pair(at, "two", "ed25519"));
    let text = |key: &PublicKey| key.to_openssh().unwrap();
    let lines = format!(
        "# mine\nnonsense\n*.lab,!bad.lab {}\n@revoked * {}\n@cert-authority *.corp {}\n",
        text(&one),
        text(&two),
        text(&one)
    );
    fs::write(at.join("known_hosts"), lines).unwrap();
    let (files, hosts) = ([at.join("none"), at.join("known_hosts")], KnownHosts::default());
    let look = |host: &str, key: &PublicKey| hosts.look_up(&files, &at_port(host, 22), key).unwrap();
    assert_eq!(look("a.lab", &one), Standing::Known);
    assert_eq!(look("bad.lab", &one), Standing::Unknown { authority: None });
    let Standing::Revoked(line) = look("a.lab", &two) else { panic!() };
    assert_eq!((line.line, line.file), (4, at.join("known_hosts")));
    let Standing::Unknown { authority: Some(authority) } = look("a.corp", &one) else { panic!() };
    assert_eq!(authority.line, 5);
    // An entry without a port speaks for the key at other ports, and never against it.
    assert_eq!(hosts.look_up(&files, &at_port("a.lab", 2222), &one).unwrap(), Standing::Known);
    let third = pair(at, "three", "ecdsa");
    assert_eq!(
        hosts.look_up(&files, &at_port("a.lab", 2222), &third).unwrap(),
        Standing::Unknown { authority: None }
    );
    let Standing::Changed(known) = look("a.lab", &third) else { panic!() };
    assert_eq!((known.len(), known[0].line), (1, 3));
}

#[test]
fn a_last_line_without_an_end_is_not_spoiled() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let key = pair(at, "one", "ed25519");
    let files = [at.join("known_hosts")];
    fs::write(&files[0], format!("old {}", key.to_openssh().unwrap().trim_end())).unwrap();
    KnownHosts::default().accept_new(&files, Some(&files[0]), &at_port("new", 22), &key).unwrap();
    for name in ["old", "new"] {
        assert_eq!(KnownHosts::default().look_up(&files, &at_port(name, 22), &key).unwrap(), Standing::Known);
    }
}

#[tokio::test]
async fn many_first_contacts_at_once_record_one_line_and_strict_then_agrees() {
    let server = Sshd::start().await;
    let mut host = spec(&server);
    host.host_key = Some(HostKeyPolicy::AcceptNew);
    host.known_hosts = Some(vec![server.path("fresh/known_hosts")]);
    let connector = connector(&host).await;
    let (a, b, c) =
        tokio::join!(connector.connect(&host), connector.connect(&host), connector.connect(&host));
    for host in [a, b, c] {
        host.unwrap().close().await;
    }
    let name = format!("[127.0.0.1]:{}", server.port);
    assert!(server.keygen(&["-F", &name, "-f", "fresh/known_hosts"]).contains("found: line 1"));
    assert_eq!(server.read("fresh/known_hosts").lines().count(), 1);
    host.host_key = Some(HostKeyPolicy::Strict);
    connect(&host).await.unwrap().close().await;
}

#[tokio::test]
async fn accept_new_without_a_writable_file_is_an_error_of_its_own() {
    let server = Sshd::start().await;
    let mut host = spec(&server);
    host.host_key = Some(HostKeyPolicy::AcceptNew);
    host.known_hosts = Some(vec![]);
    assert_eq!(refusal(&host).await.kind(), "known-hosts");
    host.known_hosts = Some(vec![PathBuf::from("/proc/none/known_hosts")]);
    assert_eq!(refusal(&host).await.kind(), "known-hosts");
}
