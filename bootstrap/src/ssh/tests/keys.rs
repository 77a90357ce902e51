//! Private key files as `ssh-keygen` writes them.

use std::{fs, io::Write, os::fd::AsRawFd, path::PathBuf};

use secrecy::ExposeSecret;

use super::*;
use crate::ssh::{Fingerprint, FromDescriptor, KeyError};

/// A key file and its fingerprint by `ssh-keygen`.
fn make(directory: &Path, name: &str, options: &[&str], passphrase: &str) -> (PathBuf, String) {
    server::keygen(directory, &[options, &["-q", "-a", "1", "-N", passphrase, "-f", name]].concat());
    let line = server::keygen(directory, &["-lf", &format!("{name}.pub")]);
    (directory.join(name), line.split_whitespace().nth(1).unwrap().to_owned())
}

fn load(file: &Path, passphrases: Vec<&'static str>) -> Result<String, KeyError> {
    let mut host = HostSpec::for_test("lab", "dev");
    host.identities = Some(vec![file.to_owned()]);
    let hosts = [Arc::new(host)];
    let logins = Logins::find(&SshConfig::empty(nobody()), &hosts, &hosts);
    let ring = KeyRing::gather(&logins, Agents::default(), &mut Fixed(passphrases))?;
    Ok(Fingerprint::of(ring.get(file).unwrap().public_key()).sha256().to_owned())
}

#[test]
fn every_format_that_ssh_keygen_writes_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let rsa = ["-t", "rsa", "-b", "2048"];
    let cases: [(&str, &[&str]); 5] = [
        ("ed25519", &["-t", "ed25519"]),
        ("rsa", &rsa),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
    ];
    for (kind, options) in cases {
        for form in ["RFC4716", "PEM", "PKCS8"] {
            // ssh-keygen knows Ed25519 in its own format only.
            if kind == "ed25519" && form != "RFC4716" {
                continue;
            }
            let options = [options, &["-m", form]].concat();
            let (file, expected) = make(directory.path(), &format!("{kind}-{form}"), &options, "");
            assert_eq!(load(&file, vec![]).unwrap(), expected, "{kind} {form}");
            let (file, expected) =
                make(directory.path(), &format!("{kind}-{form}-locked"), &options, "hunter22");
            if form == "PEM" && kind != "rsa" {
                assert!(matches!(load(&file, vec!["hunter22"]), Err(KeyError::Unsupported { .. })), "{kind}");
                continue;
            }
            assert_eq!(load(&file, vec!["wrong", "hunter22"]).unwrap(), expected, "{kind} {form} locked");
            assert!(
                matches!(load(&file, vec!["wrong"]), Err(KeyError::WrongPassphrase { .. })),
                "{kind} {form}"
            );
        }
    }
}

#[test]
fn what_is_not_a_private_key_is_called_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let (file, _) = make(at, "id", &["-t", "ed25519"], "");
    let write = |name: &str, text: &str| {
        fs::write(at.join(name), text).unwrap();
        at.join(name)
    };
    let whole = fs::read_to_string(&file).unwrap();
    let half = write(
        "half",
        &whole.lines().filter(|line| !line.starts_with("QyN")).take(3).collect::<Vec<_>>().join("\n"),
    );
    let error = load(&at.join("id.pub"), vec![]).unwrap_err();
    assert!(matches!(error, KeyError::PublicKey { .. }) && error.hint().ends_with("/id"));
    assert!(matches!(load(&half, vec![]), Err(KeyError::Damaged { .. })));
    assert!(matches!(load(&at.join("none"), vec![]), Err(KeyError::Unreadable { .. })));
    assert!(matches!(load(&write("text", "hello\n"), vec![]), Err(KeyError::NotAKey { .. })));
    assert!(matches!(load(&write("empty", ""), vec![]), Err(KeyError::NotAKey { .. })));
    let certificate = write("crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(matches!(load(&certificate, vec![]), Err(KeyError::NotAKey { .. })));
    let putty = write("id.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n");
    let error = load(&putty, vec![]).unwrap_err();
    assert!(matches!(error, KeyError::Unsupported { .. }) && error.hint().contains("puttygen"));
    for error in [error, load(&half, vec![]).unwrap_err()] {
        assert!(error.to_string().contains(at.to_str().unwrap()), "names the file: {error}");
    }
}

#[test]
fn passphrases_come_from_a_descriptor_line_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let (one, one_print) = make(directory.path(), "one", &["-t", "ed25519"], "first one");
    let (two, two_print) = make(directory.path(), "two", &["-t", "ed25519"], "second");
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"the password\nfirst one\nsecond\n").unwrap();
    drop(writer);
    let mut source = FromDescriptor::read("--passphrase-fd", reader.as_raw_fd().try_into().unwrap()).unwrap();
    assert!(!format!("{source:?}").contains("second"));
    // With a password, that is the first line, and no passphrase.
    assert_eq!(source.password("").unwrap().unwrap().expose_secret(), "the password");
    let mut host = HostSpec::for_test("lab", "dev");
    host.identities = Some(vec![one.clone(), two.clone()]);
    let hosts = [Arc::new(host)];
    let logins = Logins::find(&SshConfig::empty(nobody()), &hosts, &hosts);
    let ring = KeyRing::gather(&logins, Agents::default(), &mut source).unwrap();
    for (file, expected) in [(&one, one_print), (&two, two_print)] {
        assert_eq!(Fingerprint::of(ring.get(file).unwrap().public_key()).sha256(), expected);
    }
    let error = FromDescriptor::read("--become-password-fd", 987_654).unwrap_err();
    assert!(error.hint().contains("--become-password-fd 987654 987654<"));
}

#[tokio::test]
async fn servers_take_rsa_and_ecdsa_keys_and_encrypted_ones() {
    let server = Sshd::start().await;
    let mut host = spec(&server);
    for (name, options, passphrase) in [
        ("rsa", &["-t", "rsa", "-b", "2048", "-m", "PEM"][..], ""),
        ("ecdsa", &["-t", "ecdsa", "-m", "PKCS8"][..], ""),
        ("locked", &["-t", "ed25519"][..], "hunter22"),
    ] {
        let (file, _) = make(server.path("").as_path(), name, options, passphrase);
        server.write("authorized_keys", &server.read(&format!("{name}.pub")));
        host.identities = Some(vec![file]);
        let connector = prepared(&SshConfig::empty(nobody()), &[&host], vec!["hunter22"]).await.unwrap();
        connector.connect(&host).await.unwrap().close().await;
    }
}
