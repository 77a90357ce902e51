//! SSH agents: which keys they hold, asked once before the run, and their signatures, asked for at each login. An agent that
//! fails is said and done without: it is a help, not a condition.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use russh::{
    AgentAuthError, Signer,
    keys::{
        Error, HashAlg,
        agent::{AgentIdentity, AgentSessionBinding, client::AgentClient},
        ssh_key::public::KeyData,
    },
};
use tokio::{net::UnixStream, time::timeout};

use super::login::Logins;

/// How long an agent may take to list its keys. To sign, it may ask a person, and has the host's connect limit.
const LISTED_WITHIN: Duration = Duration::from_secs(5);

/// What the agents of a run hold, by their sockets.
#[derive(Debug, Default)]
pub struct Agents {
    held: HashMap<PathBuf, Vec<AgentIdentity>>,
    troubles: Vec<String>,
}

impl Agents {
    /// Asks every agent that some login wants.
    pub async fn ask(logins: &Logins) -> Self {
        let sockets: BTreeSet<&Path> =
            logins.each().filter_map(|login| login.keys.agent.as_deref()).collect();
        let mut agents = Self::default();
        for socket in sockets {
            match timeout(LISTED_WITHIN, list(socket)).await {
                Ok(Ok(held)) => {
                    if held.is_empty() && logins.each().any(|login| relies_on(login, socket)) {
                        agents.troubles.push(format!(
                            "the SSH agent at {} shows no keys: it is empty (`ssh-add -l`) or locked (`ssh-add -X`)",
                            socket.display()
                        ));
                    }
                    agents.held.insert(socket.to_owned(), held);
                }
                Ok(Err(error)) => agents.troubles.push(trouble(socket, &reason(&error))),
                Err(_) => {
                    let why = format!("no answer within {} seconds", LISTED_WITHIN.as_secs());
                    agents.troubles.push(trouble(socket, &why));
                }
            }
        }
        agents
    }

    /// What the operator should know of them.
    #[must_use]
    pub fn troubles(&self) -> &[String] {
        &self.troubles
    }

    /// What an agent holds, in its order.
    pub(super) fn held(&self, socket: &Path) -> &[AgentIdentity] {
        self.held.get(socket).map_or(&[], Vec::as_slice)
    }

    /// An agent's own word for a plain key that it holds.
    pub(super) fn find<'a>(
        &'a self,
        socket: Option<&'a Path>,
        key: &KeyData,
    ) -> Option<(&'a Path, &'a AgentIdentity)> {
        let socket = socket?;
        let is_it = |held: &&AgentIdentity| matches!(held, AgentIdentity::PublicKey { key: own, .. } if own.key_data() == key);
        self.held(socket).iter().find(is_it).map(|held| (socket, held))
    }
}

/// Whether a login has nothing but this agent.
fn relies_on(login: &super::login::Login, socket: &Path) -> bool {
    login.keys.agent.as_deref() == Some(socket) && !login.keys.files.iter().any(|file| file.exists())
}

fn trouble(socket: &Path, why: &str) -> String {
    format!(
        "the SSH agent at {} cannot be asked, its keys are not used: {why}; start it and `ssh-add` the key, or unset SSH_AUTH_SOCK \
         (IdentityAgent none)",
        socket.display()
    )
}

async fn list(socket: &Path) -> Result<Vec<AgentIdentity>, Error> {
    AgentClient::connect_uds(socket).await?.request_identities().await
}

/// The library's own words name the variable, not the file.
fn reason(error: &Error) -> String {
    match error {
        Error::IO(source) if source.kind() == io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        Error::IO(source) if source.kind() == io::ErrorKind::ConnectionRefused => {
            "it is not running any more".to_owned()
        }
        Error::IO(source) => source.to_string(),
        Error::AgentFailure => "it refused".to_owned(),
        other => other.to_string(),
    }
}

/// An agent that signs with one of its keys.
pub(super) struct AgentSigner {
    client: AgentClient<UnixStream>,
    identity: AgentIdentity,
}

impl AgentSigner {
    /// Connects to an agent. It is told which host the signature is for: keys that are bound to hosts need it.
    pub(super) async fn connect(
        socket: &Path,
        identity: &AgentIdentity,
        binding: Option<&AgentSessionBinding>,
    ) -> Result<Self, SignFailure> {
        let mut client =
            AgentClient::connect_uds(socket).await.map_err(|error| SignFailure(reason(&error)))?;
        if let Some(binding) = binding {
            // Agents that don't know the extension say no and sign all the same.
            client.bind_session(binding, false).await.ok();
        }
        Ok(Self { client, identity: identity.clone() })
    }
}

/// Why an agent did not sign.
#[derive(Debug)]
pub(super) struct SignFailure(pub(super) String);

impl From<russh::SendError> for SignFailure {
    fn from(_: russh::SendError) -> Self {
        Self("the connection was lost".to_owned())
    }
}

impl Signer for AgentSigner {
    type Error = SignFailure;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SignFailure> {
        // Named by what it holds: with a certificate from a file, the agent holds the plain key.
        self.client.auth_sign(&self.identity, hash, data).await.map_err(|error| match error {
            AgentAuthError::Send(error) => error.into(),
            AgentAuthError::Key(error) => Self::Error::of(&error),
        })
    }
}

impl SignFailure {
    fn of(error: &Error) -> Self {
        Self(reason(error))
    }
}
