//! What the SSH configuration says, followed on a real server; and what comes first where several speak.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::*;
use crate::{
    inventory::{HostKeyPolicy, JumpHost},
    ssh::NoLogin,
};

/// A host of which the inventory says its name only.
fn bare(address: &str) -> HostSpec {
    let mut host = HostSpec::for_test("lab", "dev");
    host.address = address.to_owned();
    host.user = None;
    host
}

/// A home with a configuration.
struct Home(tempfile::TempDir);

impl Home {
    fn with(config: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir(home.path(".ssh")).unwrap();
        fs::write(home.path(".ssh/config"), config).unwrap();
        fs::set_permissions(home.path(".ssh/config"), fs::Permissions::from_mode(0o600)).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> SshConfig {
        let uid = rustix::process::getuid().as_raw();
        SshConfig::load_file(
            &self.path(".ssh/config"),
            Local { home: Some(self.0.path().to_owned()), uid, ..nobody() },
        )
        .unwrap()
    }

    async fn connect(&self, host: &HostSpec) -> Result<SshHost, ConnectError> {
        prepared(&self.config(), &[host], vec![]).await.unwrap().connect(host).await
    }
}

#[tokio::test]
async fn a_host_can_be_told_by_the_configuration_alone() {
    let server = Sshd::start().await;
    let at = server.path("").display().to_string();
    let home = Home::with(&format!(
        "Host pi\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {at}/id\n  IdentityFile {at}/absent\n  \
         UserKnownHostsFile {at}/known_hosts\n  ServerAliveInterval 5\n  Compression yes\n  ConnectTimeout 60\n",
        server.port, server.user
    ));
    home.connect(&bare("pi")).await.unwrap().close().await;
    // The inventory wins.
    let mut host = bare("pi");
    host.user = Some("somebody-else".to_owned());
    let error = home.connect(&host).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::AuthenticationRefused { user, .. } if user == "somebody-else"),
        "{error}"
    );
    let mut host = bare("pi");
    host.port = Some(server::free_port());
    assert!(matches!(home.connect(&host).await.unwrap_err(), ConnectError::Refused { .. }));
    let mut host = bare("pi");
    host.host_key =
        Some(HostKeyPolicy::Pinned("SHA256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB+o".to_owned()));
    assert!(matches!(home.connect(&host).await.unwrap_err(), ConnectError::HostKeyMismatch { .. }));
}

#[tokio::test]
async fn a_host_key_is_looked_up_by_its_alias_and_recorded_where_the_configuration_says() {
    let server = Sshd::start().await;
    let at = server.path("").display().to_string();
    let home = Home::with(&format!(
        "Host *\n  Port {}\n  User {}\n  IdentityFile {at}/id\n  HostKeyAlias One.Lab\n  StrictHostKeyChecking no\n  \
         UserKnownHostsFile ~/.ssh/fresh\n  GlobalKnownHostsFile none\n",
        server.port, server.user
    ));
    home.connect(&bare("127.0.0.1")).await.unwrap().close().await;
    let found = server::keygen(&home.path(".ssh"), &["-F", "one.lab", "-f", "fresh"]);
    assert!(found.contains("found: line 1"), "{found}");
    // `no` takes new keys, and not changed ones; that this is less than OpenSSH does is said.
    fs::write(home.path(".ssh/fresh"), format!("one.lab {}", server.read("id.pub"))).unwrap();
    let error = home.connect(&bare("127.0.0.1")).await.unwrap_err();
    assert!(error.hint().contains("ssh-keygen -R 'one.lab'"), "{}", error.hint());
    let hosts = [Arc::new(bare("127.0.0.1"))];
    let logins = Logins::find(&home.config(), &hosts, &hosts);
    let said = logins.unsupported()[0].to_string();
    assert!(
        said.ends_with(
            "config:6: `StrictHostKeyChecking no` is taken as `accept-new`: a changed host key is refused"
        ),
        "{said}"
    );
}

#[tokio::test]
async fn the_family_of_addresses_and_an_absent_host_are_what_the_configuration_says() {
    let home = Home::with("AddressFamily inet6\nUser me\n");
    let error = home.connect(&bare("127.0.0.1")).await.unwrap_err();
    assert!(crate::failure::with_sources(&error).contains("AddressFamily inet6"), "{error:?}");
}

#[tokio::test]
async fn a_host_behind_a_program_is_refused_with_the_line_and_the_others_are_not() {
    let server = Sshd::start().await;
    let home = Home::with("Host far\n  ProxyCommand ssh -W %h:%p gate\n");
    let error = home.connect(&bare("far")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("config:2: `ProxyCommand` is the way to `far`"), "{text}");
    assert!(error.never_connected() && error.hint().contains("is `ProxyJump gate`"));
    home.connect(&spec(&server)).await.unwrap().close().await;
    // The inventory knows a way.
    let mut host = spec(&server);
    host.address = "far".to_owned();
    host.jump = Some(vec![]);
    assert!(matches!(home.connect(&host).await.unwrap_err(), ConnectError::Unresolved { .. }));
}

#[test]
fn jump_hosts_that_lead_to_themselves_are_named() {
    let jump = |name: &str| Some(vec![JumpHost { user: None, name: name.to_owned(), port: None }]);
    let (mut one, mut two) = (HostSpec::for_test("one", "dev"), HostSpec::for_test("two", "dev"));
    (one.jump, two.jump) = (jump("two"), jump("one"));
    let hosts = [Arc::new(one), Arc::new(two)];
    let logins = Logins::find(&SshConfig::empty(nobody()), &hosts, &hosts);
    let error = logins.of(&hosts[0].name).unwrap().as_ref().unwrap_err();
    assert!(matches!(&**error, NoLogin::Loop { chain } if chain.join(" ") == "one two one"), "{error}");
}

#[test]
fn without_any_name_to_log_in_as_that_is_said_and_nothing_is_made_up() {
    let unnamed = || Local { user: None, ..nobody() };
    let (plain, mut named) = (bare("pi.lab"), bare("pi.lab"));
    named.name = HostSpec::for_test("named", "dev").name;
    named.user = Some("pi".to_owned());
    let hosts = [Arc::new(plain), Arc::new(named)];
    let logins = Logins::find(&SshConfig::empty(unnamed()), &hosts, &hosts);
    let error = logins.of(&hosts[0].name).unwrap().as_ref().unwrap_err();
    assert!(matches!(&**error, NoLogin::Nobody { uid: 65534, .. }), "{error}");
    assert!(error.hint().contains("`user` in the inventory"));
    assert_eq!(logins.user(&hosts[1].name), Some("pi"));
}

#[test]
fn what_is_not_said_is_what_ssh_does_without() {
    let local = Local { home: Some("/home/me".into()), user: Some("me".to_owned()), ..nobody() };
    let hosts = [Arc::new(bare("PI.lab"))];
    let logins = Logins::find(&SshConfig::empty(local), &hosts, &hosts);
    let login = logins.of(&hosts[0].name).unwrap().as_ref().unwrap();
    assert_eq!((login.user.as_str(), login.peer.to_string().as_str()), ("me", "pi.lab:22"));
    let names = ["id_rsa", "id_ecdsa", "id_ed25519"].map(|name| PathBuf::from("/home/me/.ssh").join(name));
    assert_eq!(login.keys.files, names);
    assert_eq!(login.trust.policy, HostKeyPolicy::Strict);
    assert_eq!(
        login.trust.files,
        [PathBuf::from("/home/me/.ssh/known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts")]
    );
    assert_eq!(
        (login.pace.connect, login.pace.alive),
        (Duration::from_secs(15), Some(Duration::from_secs(15)))
    );
    assert!(login.via.is_none() && !login.password);
}
