//! Certificates that `ssh-keygen -s` makes, of users and of hosts, on real servers.

use super::*;
use crate::{
    inventory::HostKeyPolicy,
    ssh::{CertificateFault, Unvouched},
};

#[tokio::test]
async fn a_certificate_beside_a_key_or_named_lets_us_in_whatever_the_key() {
    let server = Sshd::start().await;
    server.keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
    server.write("authorized_keys", &format!("cert-authority {}", server.read("ca.pub")));
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let (name, certificate) = (format!("user-{kind}"), format!("user-{kind}-cert.pub"));
        server.keygen(&["-q", "-t", kind, "-N", "", "-f", &name]);
        let mut host = spec(&server);
        host.identities = Some(vec![server.path(&name)]);
        assert!(matches!(refusal(&host).await, ConnectError::AuthenticationRefused { .. }), "{kind}");
        server.keygen(&["-q", "-s", "ca", "-I", "me", "-n", &server.user, &format!("{name}.pub")]);
        connect(&host).await.unwrap().close().await;
        std::fs::rename(server.path(&certificate), server.path("elsewhere.pub")).unwrap();
        assert!(matches!(refusal(&host).await, ConnectError::AuthenticationRefused { .. }), "{kind}");
        let config = format!("CertificateFile {}\n", server.path("elsewhere.pub").display());
        server.write("ssh_config", &config);
        let config = SshConfig::load_file(&server.path("ssh_config"), nobody()).unwrap();
        prepared(&config, &[&host], vec![]).await.unwrap().connect(&host).await.unwrap().close().await;
    }
}

#[test]
fn a_certificate_whose_time_is_over_is_said_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    for name in ["ca", "id"] {
        server::keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", name]);
    }
    server::keygen(at, &["-q", "-s", "ca", "-I", "old-one", "-n", "me", "-V", "20200101:20200102", "id.pub"]);
    let mut host = HostSpec::for_test("lab", "dev");
    host.identities = Some(vec![at.join("id")]);
    let hosts = [Arc::new(host)];
    let logins = Logins::find(&SshConfig::empty(nobody()), &hosts, &hosts);
    let ring = KeyRing::gather(&logins, Agents::default(), &mut Fixed(vec![])).unwrap();
    assert!(ring.warnings()[0].contains("id-cert.pub (old-one) has expired"), "{:?}", ring.warnings());
    let proofs = ring.proofs(logins.each().next().unwrap());
    assert!(proofs.len() == 1 && proofs[0].certificate.is_none());
}

/// A server with a host certificate made with these options; `known_hosts` has its authority only.
async fn certified(options: &[&str]) -> Sshd {
    let server = Sshd::signing_hosts(options).await;
    server.write("known_hosts", &format!("@cert-authority [127.0.0.1]:* {}", server.read("host_ca.pub")));
    server
}

#[tokio::test]
async fn an_authority_vouches_for_a_host_that_is_not_known() {
    let server = certified(&["-n", "127.0.0.1,other.lab"]).await;
    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew] {
        let mut host = spec(&server);
        host.host_key = Some(policy);
        connect(&host).await.unwrap().close().await;
    }
    assert_eq!(server.read("known_hosts").lines().count(), 1, "nothing is to be recorded");
    // Another authority's word is none; the key alone is as known as before.
    server.write("known_hosts", &format!("@cert-authority * {}", server.read("id.pub")));
    let error = refusal(&spec(&server)).await;
    assert!(matches!(error, ConnectError::HostKeyUnknown { .. }), "{error}");
    let plain = format!("[127.0.0.1]:{} {}", server.port, server.read("host_ed25519.pub"));
    server.write("known_hosts", &format!("{plain}@cert-authority * {}", server.read("id.pub")));
    connect(&spec(&server)).await.unwrap().close().await;
}

#[tokio::test]
async fn a_host_certificate_that_is_no_good_is_refused_with_why() {
    type IsIt = fn(&CertificateFault) -> bool;
    let cases: [(&[&str], IsIt); 4] = [
        (
            &["-n", "other.lab"],
            |fault| matches!(fault, CertificateFault::OtherNames(names) if names == &["other.lab"]),
        ),
        (&[], |fault| matches!(fault, CertificateFault::OtherNames(names) if names.is_empty())),
        (&["-n", "127.0.0.1", "-V", "20200101:20200102"], |fault| {
            matches!(fault, CertificateFault::Expired(_))
        }),
        (&["-n", "127.0.0.1", "-V", "20990101:20990102"], |fault| {
            matches!(fault, CertificateFault::NotYet(_))
        }),
    ];
    for (options, is_it) in cases {
        let server = certified(options).await;
        let error = refusal(&spec(&server)).await;
        let ConnectError::HostCertificate { authority, why: Unvouched::Fault(fault), .. } = &error else {
            panic!("{options:?}: {error}")
        };
        assert!(is_it(fault) && authority.line == 1, "{error}");
    }
}

#[tokio::test]
async fn a_revoked_authority_vouches_for_nobody() {
    let server = certified(&["-n", "127.0.0.1"]).await;
    for revoked in ["host_ca.pub", "host_ed25519.pub"] {
        let lines =
            format!("@cert-authority * {}@revoked * {}", server.read("host_ca.pub"), server.read(revoked));
        server.write("known_hosts", &lines);
        let error = refusal(&spec(&server)).await;
        assert!(
            matches!(&error, ConnectError::HostCertificate { why: Unvouched::Revoked, authority, .. } if authority.line == 2),
            "{error}"
        );
    }
}

/// Whether OpenSSH's own client trusts the server by its `known_hosts`.
fn ssh_trusts(server: &Sshd) -> bool {
    let known_hosts = format!("UserKnownHostsFile={}", server.path("known_hosts").display());
    let output = std::process::Command::new("ssh")
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"])
        .args(["-o", "GlobalKnownHostsFile=none", "-o", "IdentityAgent=none", "-o", &known_hosts])
        .args(["-i", server.path("id").to_str().unwrap(), "-l", &server.user])
        .args(["-p", &server.port.to_string(), "127.0.0.1", "true"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    output.status.success()
}

#[tokio::test]
async fn authorities_ports_and_revocations_mean_what_they_mean_to_ssh() {
    // Of 127.0.0.1, by `ssh-keygen -H`.
    let hashed = "|1|H8tIM54HuakA5wlSXcMGXqJ8NUM=|GcWjlJ7g5deiijj3B0KEmxilKGc=";
    let good = Sshd::signing_hosts(&["-n", "127.0.0.1"]).await;
    let expired = Sshd::signing_hosts(&["-n", "127.0.0.1", "-V", "20200101:20200102"]).await;
    for (server, lines, expected) in [
        // A line without a port speaks for every port, for authorities as for keys.
        (&good, "@cert-authority 127.0.0.1 CA", true),
        (&good, "@cert-authority 127.* CA", true),
        (&good, "@cert-authority [127.0.0.1]:PORT CA", true),
        (&good, "@cert-authority [127.0.0.1]:1 CA", false),
        (&good, "@cert-authority 127.*,!127.0.0.1 CA", false),
        (&good, "@cert-authority [127.0.0.1]:PORT OTHER\n@cert-authority 127.0.0.1 CA", true),
        (&good, "@cert-authority 127.0.0.1 CA\n127.0.0.1 OTHER", true),
        (&good, "@revoked 127.0.0.1 CA\n@cert-authority 127.0.0.1 CA", false),
        (&good, "@revoked 127.0.0.1 KEY\n@cert-authority 127.0.0.1 CA", false),
        (&good, "@revoked * CA\n@cert-authority [127.0.0.1]:PORT OTHER\n[127.0.0.1]:PORT KEY", false),
        (&good, "@revoked 127.0.0.1 CA\n@cert-authority [127.0.0.1]:PORT CA", true),
        // Keys, as people and other programs write them.
        (&good, "127.0.0.1 KEY\r\n", true),
        (&good, "# old\r\n[127.0.0.1]:PORT KEY\r\n", true),
        (&good, "\t 127.0.0.1\tKEY # mine", true),
        (&good, "# 127.0.0.1 KEY", false),
        (&good, "127.0.0.?,!127.0.0.1 KEY", false),
        (&good, "!127.0.0.2,127.* KEY", true),
        (&good, "127.0.0.1 OTHER", false),
        (&good, "127.0.0.1 OTHER\n[127.0.0.1]:PORT KEY", true),
        (&good, "127.0.0.1 KEY\r\n@revoked * KEY\r\n", false),
        (&good, "@Revoked * KEY\n127.0.0.1 KEY", true),
        (&good, "@cert-authority 127.0.0.1 CA\r\n", true),
        (&good, "HASHED KEY", true),
        (&good, "@cert-authority HASHED CA", true),
        (&good, "@revoked HASHED KEY\n127.* KEY", false),
        // A key that is known by itself needs no certificate.
        (&expired, "@cert-authority 127.0.0.1 CA", false),
        (&expired, "@cert-authority 127.0.0.1 CA\n[127.0.0.1]:PORT KEY", true),
        (&expired, "@cert-authority 127.0.0.1 CA\n127.0.0.1 KEY", true),
    ] {
        let lines = lines.replace("HASHED", hashed);
        let text = [("CA", "host_ca.pub"), ("KEY", "host_ed25519.pub"), ("OTHER", "id.pub")]
            .iter()
            .fold(lines.replace("PORT", &server.port.to_string()), |text, (word, file)| {
                text.replace(word, server.read(file).trim())
            });
        server.write("known_hosts", &text);
        assert_eq!(ssh_trusts(server), expected, "ssh by\n{lines}");
        let ours = connect(&spec(server)).await;
        assert_eq!(ours.is_ok(), expected, "{:?} by\n{lines}", ours.err());
    }
}
