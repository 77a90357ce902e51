//! Our side of the protocol: what we ask of a server, how its host key is judged, and what is
//! remembered of how the conversation ended. russh calls in here from its own task, and of an end it
//! passes little on, so causes are kept in a [`Ledger`] that both sides hold.

use std::{
    borrow::Cow,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use russh::{
    Error, Preferred, SshId, cipher,
    client::{Config, DisconnectReason, Handler},
    keys::{Algorithm, PublicKey, PublicKeyOrCertificate},
};
use tokio::task::spawn_blocking;

use super::{
    error::{ConnectError, Peer},
    fingerprint::Fingerprint,
    known_hosts::{KnownHosts, Standing},
};
use crate::inventory::{HostKeyPolicy, HostSpec};

/// A silent connection is asked for a sign of life this often; home routers forget one after minutes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Signs of life that may be missing before the host counts as gone.
const KEEPALIVES_MISSED: usize = 3;

/// The one configuration of all connections, apart from the order of host key algorithms.
pub(super) fn config(host_keys: Vec<Algorithm>) -> Config {
    Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-bootstrap_", env!("CARGO_PKG_VERSION")))),
        preferred: Preferred {
            // Measured: russh's first choice, chacha20, costs twice the CPU of AES-GCM on both sides.
            cipher: Cow::Borrowed(&[
                cipher::AES_128_GCM,
                cipher::AES_256_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_256_CTR,
                cipher::AES_192_CTR,
                cipher::AES_128_CTR,
            ]),
            key: Cow::Owned(host_keys),
            // The rest as it is: `kex` also carries the markers of strict key exchange and ext-info.
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_MISSED,
        nodelay: true,
        ..Config::default()
    }
}

/// Host key algorithms in our order of preference: russh's, without signatures over SHA-1.
pub(super) fn host_key_algorithms() -> Vec<Algorithm> {
    Preferred::DEFAULT
        .key
        .iter()
        .filter(|one| !matches!(one, Algorithm::Rsa { hash: None }))
        .cloned()
        .collect()
}

/// How a conversation ended, told by the side that saw it.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Option<End>>);

/// The end of a conversation.
#[derive(Debug)]
pub(super) enum End {
    /// We don't trust the host.
    Untrusted(Box<ConnectError>),
    /// The server took leave, with these words.
    Farewell(String),
    /// It broke.
    Broken(String),
}

impl Ledger {
    fn note(&self, end: End) {
        // The first cause is the true one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
    }

    /// Hands over what is known.
    pub(super) fn take(&self) -> Option<End> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why an established connection is gone, in words.
    pub(super) fn cause(&self) -> String {
        match self.take() {
            Some(End::Farewell(text)) => format!("the host said `{text}`"),
            Some(End::Broken(text)) => text,
            Some(End::Untrusted(error)) => error.to_string(),
            None => "the host closed the connection".to_owned(),
        }
    }
}

/// What russh calls during a connection.
#[derive(Debug)]
pub(super) struct Client {
    peer: Peer,
    policy: HostKeyPolicy,
    files: Vec<PathBuf>,
    known_hosts: Arc<KnownHosts>,
    ledger: Arc<Ledger>,
}

impl Client {
    /// A client that expects a certain host.
    pub(super) fn new(
        host: &HostSpec,
        peer: &Peer,
        known_hosts: &Arc<KnownHosts>,
        ledger: &Arc<Ledger>,
    ) -> Self {
        Self {
            peer: peer.clone(),
            policy: host.host_key.clone(),
            files: host.known_hosts.clone(),
            known_hosts: Arc::clone(known_hosts),
            ledger: Arc::clone(ledger),
        }
    }

    async fn judge(&self, key: PublicKey) -> Result<(), ConnectError> {
        let peer = self.peer.clone();
        let offered = Fingerprint::of(&key);
        if let HostKeyPolicy::Pinned(pinned) = &self.policy {
            if offered.sha256() == pinned {
                return Ok(());
            }
            return Err(ConnectError::HostKeyMismatch {
                peer,
                offered: vec![offered],
                pinned: pinned.clone(),
            });
        }
        match self.standing(key).await? {
            Standing::Known => Ok(()),
            Standing::Changed(known) => Err(ConnectError::HostKeyChanged { peer, offered, known }),
            Standing::Revoked(revoked) => Err(ConnectError::HostKeyRevoked { peer, offered, revoked }),
            Standing::Unknown { authority } => Err(ConnectError::HostKeyUnknown { peer, offered, authority }),
        }
    }

    async fn standing(&self, key: PublicKey) -> Result<Standing, ConnectError> {
        let (known_hosts, files) = (Arc::clone(&self.known_hosts), self.files.clone());
        let Peer { address, port } = self.peer.clone();
        let accept_new = self.policy == HostKeyPolicy::AcceptNew;
        let found = spawn_blocking(move || {
            if accept_new {
                known_hosts.accept_new(&files, &address, port, &key)
            } else {
                known_hosts.look_up(&files, &address, port, &key)
            }
        })
        .await;
        match found {
            Ok(found) => found.map_err(|source| ConnectError::KnownHosts { peer: self.peer.clone(), source }),
            // Only a runtime that is shutting down cancels the task: nothing is trusted then.
            Err(_) => Ok(Standing::Unknown { authority: None }),
        }
    }
}

impl Handler for Client {
    type Error = Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Error> {
        match self.judge(shown.public_key()).await {
            Ok(()) => Ok(true),
            Err(error) => {
                self.ledger.note(End::Untrusted(Box::new(error)));
                Ok(false)
            }
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<(), Error> {
        self.ledger.note(match reason {
            DisconnectReason::ReceivedDisconnect(farewell) => End::Farewell(farewell.message),
            DisconnectReason::Error(error) => End::Broken(broken(&error)),
        });
        Ok(())
    }
}

fn broken(error: &Error) -> String {
    match error {
        _ if hung_up(error) => "the host closed the connection".to_owned(),
        Error::KeepaliveTimeout => {
            format!("no sign of life from the host for {} seconds", (KEEPALIVE * 4).as_secs())
        }
        other => other.to_string(),
    }
}

/// Whether an error only says that the other end has gone.
pub(super) fn hung_up(error: &Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match error {
        Error::Disconnect | Error::HUP | Error::SendError => true,
        Error::IO(io) => matches!(io.kind(), UnexpectedEof | ConnectionReset | BrokenPipe),
        _ => false,
    }
}
