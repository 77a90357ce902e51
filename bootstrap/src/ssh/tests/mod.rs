//! The module against real OpenSSH servers on 127.0.0.1.

mod agents;
mod certificates;
mod configured;
mod connecting;
mod hostile;
mod jumping;
mod keys;
mod lasting;
mod passwords;
mod recording;
mod running;
mod server;
mod silence;

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    Agents, ConnectError, KeyError, KeyRing, Logins, PassphraseError, PassphraseSource, SshConnector,
    SshHost,
    config::{Local, SshConfig, Variables},
};
use crate::inventory::HostSpec;
use secrecy::SecretString;
use server::Sshd;

/// A source that knows some passphrases.
struct Fixed(Vec<&'static str>);

impl PassphraseSource for Fixed {
    fn passphrase(&mut self, _key: &Path, attempt: usize) -> Result<Option<SecretString>, PassphraseError> {
        Ok(self.0.get(attempt).map(|text| SecretString::from(*text)))
    }

    fn password(&mut self, _what: &str) -> Result<Option<SecretString>, PassphraseError> {
        Ok(self.0.first().map(|text| SecretString::from(*text)))
    }
}

/// A host of a server, with the server's key pair and known hosts.
fn spec(server: &Sshd) -> HostSpec {
    let mut host = HostSpec::for_test("lab", "dev");
    host.port = Some(server.port);
    host.user = Some(server.user.clone());
    host.identities = Some(vec![server.path("id")]);
    host.known_hosts = Some(vec![server.path("known_hosts")]);
    host.limits.connect = Some(Duration::from_mins(1));
    host
}

/// Somebody without a home and an environment: nothing of this machine's user is seen.
fn nobody() -> Local {
    Local {
        home: None,
        user: Some("nobody".to_owned()),
        uid: 65534,
        host: "here".to_owned(),
        variables: Variables::default(),
    }
}

/// A connector for hosts that are told by the inventory and a configuration.
async fn prepared(
    config: &SshConfig,
    hosts: &[&HostSpec],
    passphrases: Vec<&'static str>,
) -> Result<SshConnector, KeyError> {
    let hosts: Vec<_> = hosts.iter().map(|host| Arc::new((*host).clone())).collect();
    let logins = Logins::find(config, &hosts, &hosts);
    let agents = Agents::ask(&logins).await;
    let mut source = Fixed(passphrases);
    let password = if logins.want_password() { source.password("").unwrap() } else { None };
    let keys = KeyRing::gather(&logins, agents, &mut source)?;
    Ok(SshConnector::new(logins, keys, password, 16))
}

async fn connector(host: &HostSpec) -> SshConnector {
    prepared(&SshConfig::empty(nobody()), &[host], vec![]).await.unwrap()
}

async fn connect(host: &HostSpec) -> Result<SshHost, ConnectError> {
    connector(host).await.connect(host).await
}

async fn refusal(host: &HostSpec) -> ConnectError {
    let error = connect(host).await.expect_err("the login must fail");
    assert!(!error.hint().is_empty());
    error
}
