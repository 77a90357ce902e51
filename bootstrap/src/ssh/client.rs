//! Our side of the protocol: what we ask of a server, how its host key is judged, and what is
//! remembered of how the conversation ended. russh calls in here from its own task, and of an end it
//! passes little on, so causes are kept in a [`Ledger`] that both sides hold.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use russh::{
    Channel, ChannelOpenFailure, Error, Limits, Preferred, SshId, cipher,
    client::{ChannelOpenHandle, Config, DisconnectReason, Handler, Msg, Session},
    compression::{NONE, ZLIB, ZLIB_LEGACY},
    keys::{Algorithm, PublicKey, PublicKeyOrCertificate},
};
use tokio::task::spawn_blocking;

use super::{
    error::ConnectError,
    fingerprint::Fingerprint,
    known_hosts::{KnownHosts, KnownHostsError, Standing, Vouching},
    login::{Login, Trust},
};
use crate::inventory::HostKeyPolicy;

/// Our version, as a server hears it.
pub(super) const HELLO: &str = concat!("SSH-2.0-bootstrap_", env!("CARGO_PKG_VERSION"), "\r\n");

/// The host key algorithms that a server is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostKeys {
    /// In order of preference.
    pub(super) order: Vec<Algorithm>,
    /// Whether certificates are asked for before plain keys: some authority is known that may vouch for the host.
    pub(super) certified: bool,
}

/// What is asked for in a connection; mostly the same for a whole fleet.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Wants {
    host_keys: HostKeys,
    compression: bool,
    alive: Option<Duration>,
    missing: usize,
}

impl Wants {
    /// What is asked of a host.
    pub(super) fn of(login: &Login, host_keys: &HostKeys) -> Self {
        let (alive, missing) = (login.pace.alive, login.pace.missing);
        Self { host_keys: host_keys.clone(), compression: login.compression, alive, missing }
    }

    /// That as russh has it; `limits` are those of one set of session keys.
    pub(super) fn config(&self, limits: Limits) -> Config {
        let HostKeys { order, certified } = self.host_keys.clone();
        Config {
            client_id: SshId::Raw(Cow::Borrowed(HELLO)),
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
                host_key_certificates: if certified { Cow::Owned(order.clone()) } else { Cow::Borrowed(&[]) },
                key: Cow::Owned(order),
                compression: Cow::Borrowed(if self.compression {
                    &[ZLIB_LEGACY, ZLIB, NONE]
                } else {
                    &[NONE]
                }),
                // The rest as it is: `kex` also carries the markers of strict key exchange and ext-info.
                ..Preferred::DEFAULT
            },
            limits,
            keepalive_interval: self.alive,
            keepalive_max: self.missing,
            nodelay: true,
            ..Config::default()
        }
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
    /// Nothing was heard from it for so long.
    Silent(Duration),
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
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(End::Farewell(text)) => format!("the host said `{text}`"),
            Some(End::Silent(silence)) => {
                format!("no sign of life from the host for {} seconds", silence.as_secs())
            }
            Some(End::Broken(text)) => text.clone(),
            Some(End::Untrusted(error)) => error.to_string(),
            None => "the host closed the connection".to_owned(),
        }
    }
}

/// What russh calls during a connection.
#[derive(Debug)]
pub(super) struct Client {
    login: Arc<Login>,
    known_hosts: Arc<KnownHosts>,
    ledger: Arc<Ledger>,
}

impl Client {
    /// A client that expects a certain host.
    pub(super) fn new(login: &Arc<Login>, known_hosts: &Arc<KnownHosts>, ledger: &Arc<Ledger>) -> Self {
        let (login, known_hosts, ledger) = (Arc::clone(login), Arc::clone(known_hosts), Arc::clone(ledger));
        Self { login, known_hosts, ledger }
    }

    async fn judge(&self, shown: &PublicKeyOrCertificate) -> Result<(), ConnectError> {
        if let Some(certificate) = shown.certificate() {
            let certificate = Box::new(certificate.clone());
            let vouching =
                self.ask(move |known, trust| known.vouch(&trust.files, &trust.name, &certificate)).await?;
            match vouching {
                Some(Vouching::Good) => return Ok(()),
                Some(Vouching::Bad { authority, why }) => {
                    return Err(ConnectError::HostCertificate {
                        peer: self.login.peer.clone(),
                        authority,
                        why,
                    });
                }
                // Nobody whom we know has signed it: it is a key like any other.
                Some(Vouching::None) | None => {}
            }
        }
        self.judge_key(shown.public_key()).await
    }

    async fn judge_key(&self, key: PublicKey) -> Result<(), ConnectError> {
        let peer = self.login.peer.clone();
        let offered = Fingerprint::of(&key);
        if let HostKeyPolicy::Pinned(pinned) = &self.login.trust.policy {
            if offered.sha256() == pinned {
                return Ok(());
            }
            return Err(ConnectError::HostKeyMismatch {
                peer,
                offered: vec![offered],
                pinned: pinned.clone(),
            });
        }
        let accept_new = self.login.trust.policy == HostKeyPolicy::AcceptNew;
        let found = self
            .ask(move |known, Trust { files, record, name, .. }| {
                if accept_new {
                    known.accept_new(&files, record.as_deref(), &name, &key)
                } else {
                    known.look_up(&files, &name, &key)
                }
            })
            .await?;
        // Only a runtime that is shutting down gives no answer: nothing is trusted then.
        match found.unwrap_or(Standing::Unknown { authority: None }) {
            Standing::Known => Ok(()),
            Standing::Changed(known) => Err(ConnectError::HostKeyChanged {
                peer,
                known_as: self.login.trust.name.known_as(),
                offered,
                known,
            }),
            Standing::Revoked(revoked) => Err(ConnectError::HostKeyRevoked { peer, offered, revoked }),
            Standing::Unknown { authority } => {
                let file = self.login.trust.files.first().cloned();
                Err(ConnectError::HostKeyUnknown { peer, offered, authority, file })
            }
        }
    }

    /// Asks the `known_hosts` files, which may have to be read.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&KnownHosts, Trust) -> Result<T, KnownHostsError> + Send + 'static,
    ) -> Result<Option<T>, ConnectError> {
        let (known_hosts, trust) = (Arc::clone(&self.known_hosts), self.login.trust.clone());
        let answer = spawn_blocking(move || question(&known_hosts, trust)).await.ok().transpose();
        answer.map_err(|source| ConnectError::KnownHosts { peer: self.login.peer.clone(), source })
    }

    fn broken(&self, error: &Error) -> End {
        match (error, self.login.pace.silence()) {
            (error, _) if hung_up(error) => End::Broken("the host closed the connection".to_owned()),
            (error, Some(silence)) if fell_silent(error) => End::Silent(silence),
            (other, _) => End::Broken(other.to_string()),
        }
    }
}

impl Handler for Client {
    type Error = Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Error> {
        // In a box: russh's own future has room for ours as long as the connection lives, twice over.
        match Box::pin(self.judge(shown)).await {
            Ok(()) => Ok(true),
            Err(error) => {
                self.ledger.note(End::Untrusted(Box::new(error)));
                Ok(false)
            }
        }
    }

    // Channels that a server opens: we ask for none, russh accepts them, and nobody would read them. What comes with one is
    // dropped at once: russh has room for all that waits.

    fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        refuse(reply)
    }

    fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        refuse(reply)
    }

    fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        refuse(reply)
    }

    fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        refuse(reply)
    }

    fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        refuse(reply)
    }

    fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        refuse(reply)
    }

    fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        refuse(reply)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<(), Error> {
        self.ledger.note(match reason {
            DisconnectReason::ReceivedDisconnect(farewell) => End::Farewell(farewell.message),
            DisconnectReason::Error(error) => self.broken(&error),
        });
        Ok(())
    }
}

async fn refuse(reply: ChannelOpenHandle) -> Result<(), Error> {
    reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    Ok(())
}

/// Whether an error says that nothing came from the other end for too long.
pub(super) fn fell_silent(error: &Error) -> bool {
    use std::io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    match error {
        Error::KeepaliveTimeout => true,
        // A kernel that has been told meanwhile why no answer comes says that instead of the silence.
        Error::IO(io) => matches!(io.kind(), TimedOut | HostUnreachable | NetworkUnreachable),
        _ => false,
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
