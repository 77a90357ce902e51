//! The module against real OpenSSH servers on 127.0.0.1.

mod connecting;
mod keys;
mod recording;
mod running;
mod server;

use std::{path::Path, time::Duration};

use super::{ConnectError, KeyRing, PassphraseError, PassphraseSource, SshConnector, SshHost};
use crate::inventory::HostSpec;
use secrecy::SecretString;
use server::Sshd;

/// A source that knows some passphrases.
struct Fixed(Vec<&'static str>);

impl PassphraseSource for Fixed {
    fn passphrase(&mut self, _key: &Path, attempt: usize) -> Result<Option<SecretString>, PassphraseError> {
        Ok(self.0.get(attempt).map(|text| SecretString::from(*text)))
    }
}

/// A host of a server, with the server's key pair and known hosts.
fn spec(server: &Sshd) -> HostSpec {
    let mut host = HostSpec::for_test("lab", "dev");
    host.port = server.port;
    host.user.clone_from(&server.user);
    host.identities = vec![server.path("id")];
    host.known_hosts = vec![server.path("known_hosts")];
    host.limits.connect = Duration::from_mins(1);
    host
}

fn connector(host: &HostSpec) -> SshConnector {
    SshConnector::new(KeyRing::load(&host.identities, &mut Fixed(vec![])).unwrap(), 16)
}

async fn connect(host: &HostSpec) -> Result<SshHost, ConnectError> {
    connector(host).connect(host).await
}

async fn refusal(host: &HostSpec) -> ConnectError {
    let error = connect(host).await.expect_err("the login must fail");
    assert!(!error.hint().is_empty());
    error
}
