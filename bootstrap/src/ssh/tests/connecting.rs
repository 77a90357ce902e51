//! Every way in which a login can fail, and the ways in which it must not.

use std::{future::pending, time::Duration};

use super::{server::free_port, *};
use crate::{inventory::HostKeyPolicy, ssh::Phase};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// A host at which something other than sshd listens.
fn bare(port: u16) -> HostSpec {
    let mut host = HostSpec::for_test("bare", "dev");
    host.port = Some(port);
    host.limits.connect = Some(Duration::from_mins(1));
    host
}

/// A server that says something to the first caller and then does as it is told.
async fn speaker(said: &'static [u8], hangs_up: bool) -> HostSpec {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = bare(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(said).await.unwrap();
        if hangs_up {
            // The caller's version is read, so that closing does not become a reset.
            let mut version = [0; 512];
            if !said.is_empty() {
                assert!(stream.read(&mut version).await.unwrap() > 0);
            }
        } else {
            pending::<()>().await;
        }
    });
    host
}

#[tokio::test]
async fn a_name_without_an_address_does_not_resolve() {
    let mut host = bare(22);
    host.address = "no-such-host.invalid".to_owned();
    let error = refusal(&host).await;
    assert!(matches!(error, ConnectError::Unresolved { .. }) && error.never_connected(), "{error}");
}

#[tokio::test]
async fn a_port_without_a_listener_refuses() {
    let error = refusal(&bare(free_port())).await;
    assert!(matches!(error, ConnectError::Refused { .. }) && error.never_connected(), "{error}");
}

#[tokio::test]
async fn silence_is_timed_out_in_the_phase_in_which_it_falls() {
    // A listener with a full queue answers no more calls, like a firewall that drops packets.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let fillers: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
    tokio::task::yield_now().await;
    let mut dropped = bare(address.port());
    let mut mute = speaker(b"", false).await;
    let mut stuck = speaker(b"SSH-2.0-stuck\r\n", false).await;
    for (host, phase) in
        [(&mut dropped, Phase::Connect), (&mut mute, Phase::Banner), (&mut stuck, Phase::Handshake)]
    {
        host.limits.connect = Some(Duration::from_millis(500));
        let error = refusal(host).await;
        assert!(matches!(&error, ConnectError::TimedOut { phase: at, .. } if *at == phase), "{error}");
        assert!(error.never_connected());
    }
    drop(fillers);
}

#[tokio::test]
async fn other_services_are_told_from_ssh_servers_that_hang_up() {
    let error = refusal(&speaker(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await).await;
    assert!(
        matches!(&error, ConnectError::NotSsh { said, .. } if said == "HTTP/1.1 400 Bad Request"),
        "{error}"
    );
    let error = refusal(&speaker(b"Exceeded MaxStartups\r\n", true).await).await;
    assert!(
        matches!(&error, ConnectError::Closed { said: Some(said), .. } if said == "Exceeded MaxStartups"),
        "{error}"
    );
    for said in [&b""[..], b"SSH-2.0-gone\r\n"] {
        let error = refusal(&speaker(said, true).await).await;
        assert!(
            matches!(&error, ConnectError::Closed { said: None, .. }) && error.never_connected(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_known_host_lets_us_in_by_whichever_of_its_keys_is_known() {
    let server = Sshd::start().await;
    for key in ["host_ed25519", "host_rsa", "host_ecdsa"] {
        let known = format!("[127.0.0.1]:{} {}", server.port, server.read(&format!("{key}.pub")));
        server.write("known_hosts", &known);
        connect(&spec(&server)).await.unwrap().close().await;
        server.keygen(&["-H", "-f", "known_hosts"]);
        connect(&spec(&server)).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_the_fingerprint_it_showed() {
    let server = Sshd::start().await;
    server.write("known_hosts", "");
    let error = refusal(&spec(&server)).await;
    let ConnectError::HostKeyUnknown { offered, .. } = &error else { panic!("{error}") };
    assert_eq!(offered.to_string(), server.fingerprint("host_ed25519"));
    assert!(error.hint().contains(offered.sha256()) && !error.never_connected());
    // The file that is read for this host, and not one that is not.
    let known_hosts = format!(">> {}`", server.path("known_hosts").display());
    assert!(error.hint().contains(&known_hosts), "{}", error.hint());
}

#[tokio::test]
async fn a_changed_host_key_is_refused_with_both_fingerprints_and_the_line() {
    let server = Sshd::start().await;
    server.write("known_hosts", &format!("# lab\n[127.0.0.1]:{} {}", server.port, server.read("id.pub")));
    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew] {
        let mut host = spec(&server);
        host.host_key = Some(policy);
        let error = refusal(&host).await;
        assert!(matches!(error, ConnectError::HostKeyChanged { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(&server.fingerprint("host_ed25519")) && text.contains(&server.fingerprint("id")),
            "{text}"
        );
        assert!(text.contains(&format!("{}:2", server.path("known_hosts").display())), "{text}");
        assert!(error.hint().contains(&format!("ssh-keygen -R '[127.0.0.1]:{}'", server.port)));
    }
}

#[tokio::test]
async fn a_revoked_host_key_is_refused() {
    let server = Sshd::start().await;
    let known = server.read("known_hosts");
    server.write("known_hosts", &format!("{known}@revoked * {}", server.read("host_ed25519.pub")));
    let error = refusal(&spec(&server)).await;
    assert!(matches!(&error, ConnectError::HostKeyRevoked { revoked, .. } if revoked.line == 2), "{error}");
}

#[tokio::test]
async fn a_pin_is_met_by_any_host_key_of_the_server_and_by_no_other() {
    let server = Sshd::start().await;
    let mut host = spec(&server);
    host.known_hosts = Some(vec![]);
    for key in ["host_ed25519", "host_rsa", "host_ecdsa"] {
        let pin = server.fingerprint(key).split(' ').next().unwrap().to_owned();
        host.host_key = Some(HostKeyPolicy::Pinned(pin));
        connect(&host).await.unwrap().close().await;
    }
    let pin = server.fingerprint("id").split(' ').next().unwrap().to_owned();
    host.host_key = Some(HostKeyPolicy::Pinned(pin.clone()));
    let error = refusal(&host).await;
    let ConnectError::HostKeyMismatch { offered, pinned, .. } = &error else { panic!("{error}") };
    assert_eq!((offered.len(), pinned), (3, &pin));
    assert!(error.to_string().contains(&server.fingerprint("host_ecdsa")));
}

#[tokio::test]
async fn a_server_with_nothing_in_common_is_told_apart() {
    for (line, expected) in
        [("Ciphers aes128-cbc", "cipher"), ("KexAlgorithms diffie-hellman-group14-sha1", "key exchange")]
    {
        let server = Sshd::with(line).await;
        let error = refusal(&spec(&server)).await;
        let ConnectError::NoCommonAlgorithm { kind, theirs, .. } = &error else { panic!("{error}") };
        assert!(*kind == expected && line.ends_with(theirs.split(',').next().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_authorized_is_refused_with_what_was_tried() {
    let server = Sshd::start().await;
    server.keygen(&["-t", "ed25519", "-N", "", "-f", "stranger"]);
    let mut host = spec(&server);
    host.identities = Some(vec![server.path("stranger")]);
    let error = refusal(&host).await;
    let ConnectError::AuthenticationRefused { tried, methods, user, .. } = &error else { panic!("{error}") };
    assert_eq!(tried[0].to_string(), server.fingerprint("stranger"));
    assert_eq!((methods.as_slice(), user), (&["publickey"][..], &server.user));
    assert!(error.hint().contains("authorized_keys") && !error.never_connected());
    host.identities = Some(vec![server.path("stranger"), server.path("id")]);
    connect(&host).await.unwrap().close().await;
    host.identities = Some(vec![]);
    let error = refusal(&host).await;
    assert!(error.hint().contains("identity"), "{error}");
}

#[tokio::test]
async fn a_server_that_wants_more_than_a_key_or_no_key_says_so() {
    let server = Sshd::with("AuthenticationMethods publickey,publickey").await;
    let error = refusal(&spec(&server)).await;
    assert!(error.hint().contains("more than a key"), "{error}");
    let server = Sshd::with("PubkeyAuthentication no\nPasswordAuthentication yes").await;
    let error = refusal(&spec(&server)).await;
    assert!(error.hint().contains("PubkeyAuthentication yes"), "{error}");
}

#[tokio::test]
async fn a_server_that_loses_patience_with_our_keys_is_quoted() {
    let server = Sshd::with("MaxAuthTries 1").await;
    server.keygen(&["-t", "ed25519", "-N", "", "-f", "stranger"]);
    let mut host = spec(&server);
    host.identities = Some(vec![server.path("stranger"), server.path("id")]);
    let error = refusal(&host).await;
    let ConnectError::TooManyKeys { said, tried, .. } = &error else { panic!("{error}") };
    assert!(said.contains("Too many authentication failures") && !error.never_connected());
    // The one that was refused last is not told of any more.
    assert!(tried.len() < 2 && error.hint().contains("IdentitiesOnly yes"), "{error}");
}
