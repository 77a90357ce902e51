//! Passwords, on a server that takes nothing else. It is russh's own: OpenSSH takes the passwords of this machine's users only.

use std::{
    borrow::Cow,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
};

use russh::{
    MethodKind, MethodSet,
    keys::decode_secret_key,
    server::{self, Auth, Handler, Response},
};
use tokio::{net::TcpListener, task::JoinSet};

use super::*;
use crate::inventory::HostKeyPolicy;

const PASSWORD: &str = "correct horse";

/// What a server asks in words of its own.
#[derive(Clone, Copy)]
enum Asks {
    Password,
    Code,
}

/// A server for one login user, and what it was told.
#[derive(Clone)]
struct Server {
    methods: Vec<MethodKind>,
    asks: Asks,
    /// What is wanted one after the other; where it is empty, a password will do.
    parts: Arc<Mutex<Vec<MethodKind>>>,
    told: Arc<Mutex<Vec<String>>>,
    keys: Arc<AtomicUsize>,
}

impl Server {
    fn hears(&self, password: &str) -> Auth {
        self.told.lock().unwrap().push(password.to_owned());
        if password == PASSWORD { Auth::Accept } else { Auth::reject() }
    }

    /// What is said to a good proof.
    fn takes(&self, method: MethodKind) -> Auth {
        let mut parts = self.parts.lock().unwrap();
        if parts.first() != Some(&method) {
            return Auth::reject();
        }
        parts.remove(0);
        match parts.first() {
            None => Auth::Accept,
            Some(next) => Auth::Reject {
                proceed_with_methods: Some(MethodSet::from(&[*next][..])),
                partial_success: true,
            },
        }
    }

    fn is_patient(&self) -> bool {
        self.parts.lock().unwrap().is_empty()
    }
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        _key: server::PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.keys.fetch_add(1, Ordering::Relaxed);
        Ok(if self.parts.lock().unwrap().first() == Some(&MethodKind::PublicKey) {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.takes(MethodKind::PublicKey))
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(match self.hears(password) {
            Auth::Accept if !self.is_patient() => self.takes(MethodKind::Password),
            answer => answer,
        })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut response) = response else {
            let prompt = match self.asks {
                Asks::Password => ("Password: ", false),
                Asks::Code => ("Verification code: ", true),
            };
            let prompts = Cow::Owned(vec![(Cow::Borrowed(prompt.0), prompt.1)]);
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts });
        };
        let answer = String::from_utf8(response.next().unwrap().to_vec()).unwrap();
        Ok(match self.hears(&answer) {
            Auth::Accept if !self.is_patient() => self.takes(MethodKind::KeyboardInteractive),
            answer => answer,
        })
    }
}

/// Starts a server; the host is known and has a key that it does not take.
async fn start(methods: &[MethodKind], asks: Asks) -> (Server, HostSpec, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    for name in ["host", "id"] {
        super::server::keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", name]);
    }
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    let config = Arc::new(server::Config {
        keys: vec![decode_secret_key(&read("host"), None).unwrap()],
        methods: MethodSet::from(methods),
        auth_rejection_time: Duration::ZERO,
        ..server::Config::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    std::fs::write(at.join("known_hosts"), format!("[127.0.0.1]:{port} {}", read("host.pub"))).unwrap();
    let server = Server {
        methods: methods.to_vec(),
        asks,
        parts: Arc::default(),
        told: Arc::default(),
        keys: Arc::default(),
    };
    let handler = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let session = server::run_stream(Arc::clone(&config), stream, handler.clone()).await;
            if let Ok(session) = session {
                tokio::spawn(session);
            }
        }
    });
    let mut host = HostSpec::for_test("lab", "dev");
    host.port = Some(port);
    host.identities = Some(vec![at.join("id")]);
    host.known_hosts = Some(vec![at.join("known_hosts")]);
    host.limits.connect = Some(Duration::from_mins(1));
    host.password = true;
    (server, host, directory)
}

async fn with_password(host: &HostSpec, password: &'static str) -> Result<SshHost, ConnectError> {
    prepared(&SshConfig::empty(nobody()), &[host], vec![password]).await.unwrap().connect(host).await
}

/// Logs in to all of them at the same time.
async fn all(connector: SshConnector, hosts: &[&HostSpec]) -> Vec<Result<SshHost, ConnectError>> {
    let connector = Arc::new(connector);
    let mut logins = JoinSet::new();
    for host in hosts {
        let (connector, host) = (connector.clone(), (*host).clone());
        logins.spawn(async move { connector.connect(&host).await });
    }
    logins.join_all().await
}

#[tokio::test]
async fn a_password_comes_after_the_keys_and_is_said_once() {
    let both = [MethodKind::PublicKey, MethodKind::KeyboardInteractive, MethodKind::Password];
    for methods in [&both[..], &both[..2], &[MethodKind::PublicKey, MethodKind::Password], &both[1..]] {
        let (server, host, _files) = start(methods, Asks::Password).await;
        with_password(&host, PASSWORD).await.unwrap().close().await;
        assert_eq!(*server.told.lock().unwrap(), [PASSWORD]);
        assert_eq!(server.keys.load(Ordering::Relaxed), 1);
        let error = with_password(&host, "wrong").await.unwrap_err();
        assert!(error.to_string().contains("the password was refused"), "{error}");
        assert_eq!(*server.told.lock().unwrap(), [PASSWORD, "wrong"], "{:?}", server.methods);
    }
}

#[tokio::test]
async fn a_password_that_no_host_takes_is_seen_by_three() {
    let methods = [MethodKind::KeyboardInteractive, MethodKind::Password];
    let mut servers = Vec::new();
    for number in 0..6 {
        let (server, mut host, files) = start(&methods[number % 2..][..1], Asks::Password).await;
        host.name = HostSpec::for_test(&format!("lab-{number}"), "dev").name;
        servers.push((server, host, files));
    }
    let hosts: Vec<&HostSpec> = servers.iter().map(|(_, host, _)| host).collect();
    let heard = || servers.iter().map(|(server, ..)| server.told.lock().unwrap().len()).sum::<usize>();

    let connector = prepared(&SshConfig::empty(nobody()), &hosts, vec!["wrong"]).await.unwrap();
    let results = all(connector, &hosts).await;
    assert_eq!(heard(), 3);
    let errors: Vec<ConnectError> = results.into_iter().map(Result::unwrap_err).collect();
    assert_eq!(
        errors.iter().filter(|error| error.to_string().contains("not shown")).count(),
        3,
        "{errors:?}"
    );
    for error in &errors {
        assert!(
            error.is_refused_login() && error.hint().contains("right password"),
            "{error}: {}",
            error.hint()
        );
    }

    let connector = prepared(&SshConfig::empty(nobody()), &hosts, vec![PASSWORD]).await.unwrap();
    for host in all(connector, &hosts).await {
        host.unwrap().close().await;
    }
    assert_eq!(heard(), 9);
}

#[tokio::test]
async fn a_question_for_something_else_is_quoted_and_its_answer_is_empty() {
    let methods = [MethodKind::PublicKey, MethodKind::KeyboardInteractive];
    let (server, host, _files) = start(&methods, Asks::Code).await;
    let error = with_password(&host, PASSWORD).await.unwrap_err();
    assert!(error.to_string().contains("the server asks `Verification code:`"), "{error}");
    assert_eq!(*server.told.lock().unwrap(), [""]);
}

#[tokio::test]
async fn after_a_question_that_cannot_be_answered_comes_the_password() {
    let methods = [MethodKind::PublicKey, MethodKind::KeyboardInteractive, MethodKind::Password];
    let (server, host, _files) = start(&methods, Asks::Code).await;
    with_password(&host, PASSWORD).await.unwrap().close().await;
    assert_eq!(*server.told.lock().unwrap(), ["", PASSWORD]);
}

#[tokio::test]
async fn a_server_gets_what_it_wants_one_after_the_other_in_its_own_order() {
    use MethodKind::{KeyboardInteractive, Password, PublicKey};
    for parts in [
        &[Password, PublicKey][..],
        &[PublicKey, KeyboardInteractive],
        &[KeyboardInteractive, PublicKey],
        &[Password, KeyboardInteractive],
        &[PublicKey, Password],
        &[Password, KeyboardInteractive, PublicKey],
    ] {
        let (server, host, _files) = start(&parts[..1], Asks::Password).await;
        *server.parts.lock().unwrap() = parts.to_vec();
        with_password(&host, PASSWORD)
            .await
            .unwrap_or_else(|error| panic!("{parts:?}: {error}"))
            .close()
            .await;
        assert!(server.is_patient(), "{parts:?}");
    }
    // More than that is not asked by anybody honest.
    let (server, host, _files) = start(&[Password], Asks::Password).await;
    *server.parts.lock().unwrap() = vec![Password; 9];
    let error = with_password(&host, PASSWORD).await.unwrap_err();
    assert!(matches!(error, ConnectError::AuthenticationRefused { partly: true, .. }), "{error}");
    assert_eq!(server.told.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_host_that_is_not_who_it_should_be_or_did_not_ask_hears_no_password() {
    let (server, host, _files) = start(&[MethodKind::Password], Asks::Password).await;
    let mut impostor = host.clone();
    impostor.host_key =
        Some(HostKeyPolicy::Pinned("SHA256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB+o".to_owned()));
    let error = with_password(&impostor, PASSWORD).await.unwrap_err();
    assert!(matches!(error, ConnectError::HostKeyMismatch { .. }), "{error}");
    let other = HostSpec { name: HostSpec::for_test("other", "dev").name, password: false, ..host.clone() };
    let config = SshConfig::empty(nobody());
    let connector = prepared(&config, &[&host, &other], vec![PASSWORD]).await.unwrap();
    let error = connector.connect(&other).await.unwrap_err();
    assert!(error.hint().contains("ssh_password"), "{}", error.hint());
    assert!(server.told.lock().unwrap().is_empty());
}
