//! Real SSH agents: whose keys are shown, in which order, and what happens when they fail.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::*;

/// A running agent.
struct Agent {
    process: Child,
    directory: tempfile::TempDir,
}

impl Agent {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("agent");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("the tests need ssh-agent: apt-get install openssh-client");
        let agent = Self { process, directory };
        for _ in 0..600 {
            if tokio::net::UnixStream::connect(&socket).await.is_ok() {
                return agent;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("ssh-agent does not start");
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("agent")
    }

    fn add(&self, file: &Path) {
        let added =
            Command::new("ssh-add").arg("-q").arg(file).env("SSH_AUTH_SOCK", self.socket()).status().unwrap();
        assert!(added.success());
    }

    /// A configuration for somebody with this agent.
    fn config(&self, lines: &str) -> SshConfig {
        configured(lines, &self.socket())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn configured(lines: &str, socket: &Path) -> SshConfig {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    let variables = [("SSH_AUTH_SOCK".to_owned(), socket.display().to_string())].into_iter().collect();
    SshConfig::load_file(file.path(), Local { variables, ..nobody() }).unwrap()
}

/// Makes keys of these names and loads them into an agent in this order.
fn load(server: &Sshd, agent: &Agent, names: &[&str]) {
    for name in names {
        server.keygen(&["-q", "-t", "ed25519", "-N", "", "-f", name]);
        agent.add(&server.path(name));
    }
}

#[tokio::test]
async fn a_key_of_the_agent_lets_us_in_without_any_file() {
    let (server, agent) = (Sshd::start().await, Agent::start().await);
    for kind in ["ed25519", "rsa", "ecdsa"] {
        server.keygen(&["-q", "-t", kind, "-N", "", "-f", &format!("held-{kind}")]);
        let agent_of_one = Agent::start().await;
        agent_of_one.add(&server.path(&format!("held-{kind}")));
        server.write("authorized_keys", &server.read(&format!("held-{kind}.pub")));
        let mut host = spec(&server);
        host.identities = None;
        let connector = prepared(&agent_of_one.config(""), &[&host], vec![]).await.unwrap();
        connector.connect(&host).await.unwrap().close().await;
    }
    // The configuration may name another one, or none.
    let mut host = spec(&server);
    host.identities = None;
    let config = agent.config("IdentityAgent none\n");
    let error = prepared(&config, &[&host], vec![]).await.unwrap().connect(&host).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::AuthenticationRefused { tried, .. } if tried.is_empty()),
        "{error}"
    );
}

#[tokio::test]
async fn an_encrypted_file_whose_key_the_agent_holds_needs_no_passphrase() {
    let (server, agent) = (Sshd::start().await, Agent::start().await);
    load(&server, &agent, &["plain"]);
    server.write("authorized_keys", &server.read("plain.pub"));
    std::fs::copy(server.path("plain"), server.path("locked")).unwrap();
    server.keygen(&["-q", "-p", "-P", "", "-N", "hunter22", "-f", "locked"]);
    let mut host = spec(&server);
    host.identities = Some(vec![server.path("locked")]);
    let connector = prepared(&agent.config("IdentitiesOnly yes\n"), &[&host], vec![]).await.unwrap();
    connector.connect(&host).await.unwrap().close().await;
    // Nobody knows the passphrase, and without the agent it is needed.
    let refused = prepared(&SshConfig::empty(nobody()), &[&host], vec![]).await;
    assert!(matches!(refused, Err(KeyError::WrongPassphrase { .. })));
}

#[tokio::test]
async fn named_keys_come_first_others_of_the_agent_after_and_only_if_they_may() {
    let (server, agent) = (Sshd::start().await, Agent::start().await);
    load(&server, &agent, &["one", "two", "three"]);
    server.keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "file"]);
    server.write("authorized_keys", "");
    let mut host = spec(&server);
    host.identities = Some(vec![server.path("file"), server.path("three")]);
    for (lines, expected) in
        [("", &["file", "three", "one", "two"][..]), ("IdentitiesOnly yes\n", &["file", "three"])]
    {
        let connector = prepared(&agent.config(lines), &[&host], vec![]).await.unwrap();
        let error = connector.connect(&host).await.unwrap_err();
        let ConnectError::AuthenticationRefused { tried, .. } = &error else { panic!("{error}") };
        let expected: Vec<String> = expected.iter().map(|name| server.fingerprint(name)).collect();
        assert_eq!(tried.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn not_more_keys_are_shown_than_servers_take_and_the_error_says_so() {
    let (server, agent) = (Sshd::with("MaxAuthTries 20").await, Agent::start().await);
    load(&server, &agent, &["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"]);
    let mut host = spec(&server);
    host.identities = None;
    server.write("authorized_keys", &server.read("k8.pub"));
    let error =
        prepared(&agent.config(""), &[&host], vec![]).await.unwrap().connect(&host).await.unwrap_err();
    let ConnectError::AuthenticationRefused { tried, notes, .. } = &error else { panic!("{error}") };
    assert_eq!((tried.len(), notes.as_slice()), (6, &["2 more keys were not tried".to_owned()][..]));
    assert!(error.hint().contains("IdentitiesOnly yes"), "{}", error.hint());
    // Named, it is the first. Its public half is enough of a name, as with `ssh`.
    let config = agent.config(&format!("IdentityFile {}\n", server.path("k8.pub").display()));
    prepared(&config, &[&host], vec![]).await.unwrap().connect(&host).await.unwrap().close().await;
}

#[tokio::test]
async fn an_agent_that_is_gone_or_locked_is_said_and_done_without() {
    let (server, agent) = (Sshd::start().await, Agent::start().await);
    let gone = PathBuf::from("/nowhere/agent");
    let host = spec(&server);
    let hosts = [Arc::new(host.clone())];
    let logins = Logins::find(&configured("", &gone), &hosts, &hosts);
    let agents = Agents::ask(&logins).await;
    assert!(
        agents.troubles()[0].contains("/nowhere/agent") && agents.troubles()[0].contains("no such socket")
    );
    prepared(&configured("", &gone), &[&host], vec![])
        .await
        .unwrap()
        .connect(&host)
        .await
        .unwrap()
        .close()
        .await;
    // An agent without keys matters to who has nothing else. A locked one shows none.
    let mut host = host;
    host.identities = None;
    for (host, troubles) in [(spec(&server), 0), (host, 1)] {
        let hosts = [Arc::new(host)];
        let logins = Logins::find(&agent.config(""), &hosts, &hosts);
        assert_eq!(Agents::ask(&logins).await.troubles().len(), troubles);
    }
}

#[tokio::test]
async fn a_certificate_in_the_agent_lets_us_in() {
    let (server, agent) = (Sshd::start().await, Agent::start().await);
    server.keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
    server.keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "held"]);
    server.keygen(&["-q", "-s", "ca", "-I", "me", "-n", &server.user, "held.pub"]);
    // ssh-add takes the certificate that lies beside.
    agent.add(&server.path("held"));
    server.write("authorized_keys", &format!("cert-authority {}", server.read("ca.pub")));
    let mut host = spec(&server);
    host.identities = None;
    prepared(&agent.config(""), &[&host], vec![]).await.unwrap().connect(&host).await.unwrap().close().await;
}

#[tokio::test]
async fn a_key_of_which_only_the_public_half_is_here_is_named_by_either() {
    let (server, agent) = (Sshd::start().await, Agent::start().await);
    load(&server, &agent, &["other", "held"]);
    server.write("authorized_keys", &server.read("held.pub"));
    std::fs::remove_file(server.path("held")).unwrap();
    let mut host = spec(&server);
    host.identities = None;
    // What is there in a form that is not read here can be in the agent all the same.
    server.write("foreign", "PuTTY-User-Key-File-3: ssh-ed25519\n");
    server.write("foreign.pub", &server.read("held.pub"));
    for name in ["held", "held.pub", "foreign"] {
        let lines = format!("IdentitiesOnly yes\nIdentityFile {}\n", server.path(name).display());
        let connector = prepared(&agent.config(&lines), &[&host], vec![]).await.unwrap();
        connector.connect(&host).await.unwrap_or_else(|error| panic!("{name}: {error}")).close().await;
    }
}

#[tokio::test]
async fn a_certificate_file_goes_with_a_key_that_only_the_agent_has() {
    let (server, agent) = (Sshd::start().await, Agent::start().await);
    load(&server, &agent, &["other", "held"]);
    server.keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
    server.keygen(&["-q", "-s", "ca", "-I", "me", "-n", &server.user, "held.pub"]);
    std::fs::rename(server.path("held-cert.pub"), server.path("elsewhere.pub")).unwrap();
    server.write("authorized_keys", &format!("cert-authority {}", server.read("ca.pub")));
    let mut host = spec(&server);
    host.identities = None;
    for only in ["yes", "no"] {
        let file = server.path("elsewhere.pub");
        let lines = format!("IdentitiesOnly {only}\nCertificateFile {}\n", file.display());
        let connector = prepared(&agent.config(&lines), &[&host], vec![]).await.unwrap();
        connector.connect(&host).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn an_encrypted_key_that_the_agent_holds_for_one_host_is_decrypted_for_another() {
    let (server, agent) = (Sshd::start().await, Agent::start().await);
    load(&server, &agent, &["plain"]);
    server.write("authorized_keys", &server.read("plain.pub"));
    std::fs::copy(server.path("plain"), server.path("locked")).unwrap();
    server.keygen(&["-q", "-p", "-P", "", "-N", "hunter22", "-f", "locked"]);
    let locked = server.path("locked");
    let lines = format!(
        "Host without\nIdentityAgent none\nHost *\nIdentitiesOnly yes\nIdentityFile {}\nHostName 127.0.0.1\nHostKeyAlias lab\n",
        locked.display()
    );
    server.write("known_hosts", &format!("lab {}", server.read("host_ed25519.pub")));
    // Whichever of them comes first.
    for names in [["a", "without"], ["without", "z"]] {
        let hosts = names.map(|name| {
            let mut host = HostSpec::for_test(name, "dev");
            host.address = name.to_owned();
            (host.user, host.port) = (Some(server.user.clone()), Some(server.port));
            host.known_hosts = Some(vec![server.path("known_hosts")]);
            host
        });
        let hosts: Vec<&HostSpec> = hosts.iter().collect();
        let connector = prepared(&agent.config(&lines), &hosts, vec!["hunter22"]).await.unwrap();
        for host in &hosts {
            connector.connect(host).await.unwrap_or_else(|error| panic!("{names:?}: {error}")).close().await;
        }
        // Where nobody knows the passphrase, it is left to the agent, and that is said.
        let specs: Vec<_> = hosts.iter().map(|host| Arc::new((*host).clone())).collect();
        let logins = Logins::find(&agent.config(&lines), &specs, &specs);
        let ring = KeyRing::gather(&logins, Agents::ask(&logins).await, &mut Fixed(vec!["wrong"])).unwrap();
        assert!(ring.warnings()[0].contains("where an agent holds it"), "{:?}", ring.warnings());
        assert!(ring.get(&locked).is_none());
    }
}
