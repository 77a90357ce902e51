//! Ways through real jump hosts.

use super::*;
use crate::{
    host::{Command, Host, Script},
    inventory::JumpHost,
    ssh::Detour,
};
use tokio::net::TcpListener;

static HELLO: Script = Script { name: "hello", text: "echo hello\n" };

/// A host named after its part, with a server's settings.
fn named(name: &str, server: &Sshd, jump: Option<&str>) -> HostSpec {
    let mut host = HostSpec { name: HostSpec::for_test(name, "dev").name, ..spec(server) };
    host.jump = jump.map(|jump| vec![JumpHost { user: None, name: jump.to_owned(), port: None }]);
    host
}

fn logins_at(server: &Sshd) -> usize {
    server.read("log").matches("Accepted publickey").count()
}

async fn says_hello(host: &mut SshHost) {
    let command = Command::new(&HELLO, vec![], Duration::from_mins(1)).as_login_user();
    assert_eq!(host.run(&command, &mut |_| {}).await.unwrap().stdout, "hello\n");
}

#[tokio::test]
async fn hosts_behind_a_jump_host_share_one_connection_to_it() {
    let (gate, inner) = (Sshd::start().await, Sshd::start().await);
    let jump = named("gate", &gate, None);
    let hosts: Vec<HostSpec> = ["a", "b", "c"].map(|name| named(name, &inner, Some("gate"))).into();
    let all: Vec<&HostSpec> = hosts.iter().chain([&jump]).collect();
    let connector = prepared(&SshConfig::empty(nobody()), &all, vec![]).await.unwrap();
    let (a, b, c) = tokio::join!(
        connector.connect(&hosts[0]),
        connector.connect(&hosts[1]),
        connector.connect(&hosts[2])
    );
    // What it goes through outlives the one that made it.
    drop(connector);
    for host in [a, b, c] {
        let mut host = host.unwrap();
        says_hello(&mut host).await;
        host.close().await;
    }
    assert_eq!((logins_at(&gate), logins_at(&inner)), (1, 3));
}

#[tokio::test]
async fn a_chain_of_the_configuration_is_followed_each_host_with_its_own_settings() {
    let (first, second, inner) = (Sshd::start().await, Sshd::start().await, Sshd::start().await);
    let block = |name: &str, server: &Sshd| {
        let at = server.path("").display().to_string();
        format!(
            "Host {name}\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {at}/id\n  UserKnownHostsFile {at}/known_hosts\n",
            server.port, server.user
        )
    };
    let blocks = [block("first", &first), block("second", &second), block("inner", &inner)].concat();
    inner.write("ssh_config", &format!("{blocks}  ProxyJump second\nHost second\n  ProxyJump first\n"));
    let config = SshConfig::load_file(&inner.path("ssh_config"), nobody()).unwrap();
    let mut host = HostSpec::for_test("inner", "dev");
    (host.address, host.user) = ("inner".to_owned(), None);
    let connector = prepared(&config, &[&host], vec![]).await.unwrap();
    let mut reached = connector.connect(&host).await.unwrap();
    says_hello(&mut reached).await;
    reached.close().await;
    assert_eq!([logins_at(&first), logins_at(&second), logins_at(&inner)], [1, 1, 1]);
    // A host key that is wrong on the way is refused there, and every host behind names it.
    second.write("known_hosts", &format!("[127.0.0.1]:{} {}", second.port, second.read("id.pub")));
    let connector = prepared(&config, &[&host], vec![]).await.unwrap();
    for _ in 0..2 {
        let error = connector.connect(&host).await.unwrap_err();
        let ConnectError::Jump { jump, source, .. } = &error else { panic!("{error}") };
        assert!(jump.starts_with("second (127.0.0.1:"), "{jump}");
        assert!(matches!(**source, ConnectError::HostKeyChanged { .. }), "{source}");
        assert!(error.hint().contains("the jump host second") && error.never_connected());
    }
    assert_eq!(logins_at(&inner), 1);
}

#[tokio::test]
async fn a_jump_host_that_is_off_is_what_every_host_behind_names() {
    let inner = Sshd::start().await;
    let mut jump = named("gate", &inner, None);
    jump.port = Some(server::free_port());
    let hosts = [named("a", &inner, Some("gate")), named("b", &inner, Some("gate"))];
    let all = [&hosts[0], &hosts[1], &jump];
    let connector = prepared(&SshConfig::empty(nobody()), &all, vec![]).await.unwrap();
    tokio::time::pause();
    for host in &hosts {
        let error = connector.connect(host).await.unwrap_err();
        let text = crate::failure::with_sources(&error);
        assert!(
            text.contains("is behind jump host 127.0.0.1:") && text.contains("refused the connection"),
            "{text}"
        );
        assert!(error.never_connected());
    }
}

#[tokio::test]
async fn what_a_jump_host_will_not_or_cannot_do_is_told_apart() {
    let inner = Sshd::start().await;
    for (line, is_on, expected) in
        [("AllowTcpForwarding no", true, Detour::Prohibited), ("", false, Detour::Unreached)]
    {
        let gate = Sshd::with(line).await;
        let mut host = named("a", &inner, Some("gate"));
        if !is_on {
            host.port = Some(server::free_port());
        }
        let jump = named("gate", &gate, None);
        let connector = prepared(&SshConfig::empty(nobody()), &[&host, &jump], vec![]).await.unwrap();
        let error = connector.connect(&host).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Behind { why, .. } if *why == expected), "{error}");
    }
}

#[tokio::test]
async fn a_connection_to_a_jump_host_that_breaks_is_made_anew() {
    let (gate, inner) = (Sshd::start().await, Sshd::start().await);
    // Between us and the jump host is something that can be cut.
    let cut = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut jump = named("gate", &gate, None);
    jump.port = Some(cut.local_addr().unwrap().port());
    let known = format!("[127.0.0.1]:{} {}", jump.port.unwrap(), gate.read("host_ed25519.pub"));
    gate.write("known_hosts", &known);
    let to = gate.port;
    let (sender, mut cuts) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok((mut ours, _)) = cut.accept().await {
            let mut theirs = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let passing =
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut ours, &mut theirs).await });
            sender.send(passing.abort_handle()).await.unwrap();
        }
    });
    let host = named("a", &inner, Some("gate"));
    let connector = prepared(&SshConfig::empty(nobody()), &[&host, &jump], vec![]).await.unwrap();
    let mut first = connector.connect(&host).await.unwrap();
    says_hello(&mut first).await;
    cuts.recv().await.unwrap().abort();
    let command = Command::new(&HELLO, vec![], Duration::from_mins(1)).as_login_user();
    let error = first.run(&command, &mut |_| {}).await.unwrap_err().to_string();
    assert!(error.ends_with("the jump host is lost: the host closed the connection"), "{error}");
    let mut second = connector.connect(&host).await.unwrap();
    says_hello(&mut second).await;
    assert_eq!((logins_at(&gate), logins_at(&inner)), (2, 2));
}
