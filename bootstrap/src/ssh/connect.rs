//! From an inventory entry to a logged-in host, phase by phase, each with the host's connect limit.

use std::{future::Future, sync::Arc, time::Duration};

use russh::{
    AlgorithmKind, Error,
    client::{Config, Handle, connect_stream},
    keys::{Algorithm, PrivateKey},
};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::spawn_blocking,
    time::{error::Elapsed, timeout},
};

use super::{
    authenticate::authenticate,
    client::{Client, End, Ledger, config, host_key_algorithms, hung_up},
    error::{ConnectError, Peer, Phase},
    fingerprint::same_key_type,
    keys::KeyRing,
    known_hosts::KnownHosts,
    session::{Connection, SshHost},
    socket::{self, Greeting, Lifeline, Severable},
};
use crate::inventory::{Escalation, HostKeyPolicy, HostSpec};

/// Handshakes at once. One costs about 2 ms of CPU here and 35 ms at the server; many more at once
/// only queue, and their limits run.
pub const HANDSHAKES: usize = 16;

/// Logs in to hosts; one for a whole run, shared by all its tasks.
#[derive(Debug)]
pub struct SshConnector {
    keys: KeyRing,
    known_hosts: Arc<KnownHosts>,
    handshakes: Semaphore,
    config: Arc<Config>,
}

impl SshConnector {
    /// A connector with the keys of the run; at most `handshakes` are under way at any time.
    #[must_use]
    pub fn new(keys: KeyRing, handshakes: usize) -> Self {
        Self {
            keys,
            known_hosts: Arc::default(),
            handshakes: Semaphore::new(handshakes.max(1)),
            config: Arc::new(config(host_key_algorithms())),
        }
    }

    /// Logs in to a host.
    pub async fn connect(&self, host: &HostSpec) -> Result<SshHost, ConnectError> {
        let mut order = self.host_key_order(host).await?;
        let mut shown = Vec::new();
        loop {
            match self.attempt(host, &order).await {
                // A server shows one key at a time, and the pin doesn't tell its type: ask for the others.
                Err(ConnectError::HostKeyMismatch { peer, offered, pinned }) => {
                    order.retain(|one| !offered.iter().any(|seen| seen.is_of(one)));
                    shown.extend(offered);
                    if order.is_empty() {
                        return Err(ConnectError::HostKeyMismatch { peer, offered: shown, pinned });
                    }
                }
                Err(ConnectError::NoCommonAlgorithm { peer, .. }) if !shown.is_empty() => {
                    let HostKeyPolicy::Pinned(pinned) = host.host_key.clone() else { continue };
                    return Err(ConnectError::HostKeyMismatch { peer, offered: shown, pinned });
                }
                result => return result,
            }
        }
    }

    /// All host key algorithms, those of known keys first: a host that is known by its RSA key must
    /// not look changed because it also has another one.
    async fn host_key_order(&self, host: &HostSpec) -> Result<Vec<Algorithm>, ConnectError> {
        let mut order = host_key_algorithms();
        if matches!(host.host_key, HostKeyPolicy::Pinned(_)) {
            return Ok(order);
        }
        let (known_hosts, files) = (Arc::clone(&self.known_hosts), host.known_hosts.clone());
        let (address, port) = (host.address.clone(), host.port);
        let known = spawn_blocking(move || known_hosts.algorithms(&files, &address, port)).await;
        let known = known.unwrap_or_else(|_| Ok(Vec::new()));
        let known = known.map_err(|source| ConnectError::KnownHosts { peer: peer(host), source })?;
        order.sort_by_key(|one| !known.iter().any(|known| same_key_type(one, known)));
        Ok(order)
    }

    async fn attempt(&self, host: &HostSpec, order: &[Algorithm]) -> Result<SshHost, ConnectError> {
        let peer = peer(host);
        let limit = host.limits.connect;
        let stream = within(limit, &peer, Phase::Connect, socket::open(&peer)).await?;
        let greeting = within(limit, &peer, Phase::Banner, socket::greeting(&stream, &peer)).await?;
        // Held from here on only: hosts that are switched off must not keep the others waiting.
        let permit = self.handshakes.acquire().await;
        let ledger = Arc::new(Ledger::default());
        let client = Client::new(host, &peer, &self.known_hosts, &ledger);
        let shaking = shake_hands(self.config(order), stream, client, &ledger, &peer, greeting);
        let (mut handle, lifeline) = within(limit, &peer, Phase::Handshake, shaking).await?;
        let keys: Vec<Arc<PrivateKey>> =
            host.identities.iter().filter_map(|file| self.keys.get(file)).cloned().collect();
        let proving = authenticate(&mut handle, &ledger, &peer, &host.user, &keys);
        within(limit, &peer, Phase::Authentication, proving).await?;
        drop(permit);
        let sudo = host.escalation != Escalation::None && host.user != "root";
        Ok(SshHost::new(Connection::new(handle, ledger, lifeline), sudo))
    }

    fn config(&self, order: &[Algorithm]) -> Arc<Config> {
        if *order == *self.config.preferred.key {
            Arc::clone(&self.config)
        } else {
            Arc::new(config(order.to_vec()))
        }
    }
}

fn peer(host: &HostSpec) -> Peer {
    Peer { address: host.address.clone(), port: host.port }
}

async fn within<T>(
    limit: Duration,
    peer: &Peer,
    phase: Phase,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let late = |_: Elapsed| ConnectError::TimedOut { peer: peer.clone(), phase, limit };
    timeout(limit, work).await.map_err(late)?
}

async fn shake_hands(
    config: Arc<Config>,
    stream: TcpStream,
    client: Client,
    ledger: &Ledger,
    peer: &Peer,
    greeting: Greeting,
) -> Result<(Handle<Client>, Lifeline), ConnectError> {
    let (stream, lifeline) = Severable::new(stream);
    let source = match connect_stream(config, stream, client).await {
        Ok(handle) => return Ok((handle, lifeline)),
        Err(error) => error,
    };
    let (peer, phase) = (peer.clone(), Phase::Handshake);
    Err(match (ledger.take(), source, greeting) {
        (Some(End::Untrusted(error)), _, _) => *error,
        (Some(End::Farewell(said)), _, _) => ConnectError::Closed { peer, phase, said: Some(said) },
        (_, Error::NoCommonAlgo { kind, theirs, .. }, _) => {
            ConnectError::NoCommonAlgorithm { peer, kind: kind_name(&kind), theirs: theirs.join(", ") }
        }
        (_, error, Greeting::Other(said)) if hung_up(&error) || matches!(error, Error::Version) => {
            ConnectError::NotSsh { peer, said }
        }
        (_, Error::Version, Greeting::Ssh) => {
            ConnectError::NotSsh { peer, said: "SSH- and an unknown version".to_owned() }
        }
        (_, error, _) if hung_up(&error) => ConnectError::Closed { peer, phase, said: None },
        (_, source, _) => ConnectError::Protocol { peer, phase, source },
    })
}

fn kind_name(kind: &AlgorithmKind) -> &'static str {
    match kind {
        AlgorithmKind::Kex => "key exchange",
        AlgorithmKind::Key => "host key",
        AlgorithmKind::Cipher => "cipher",
        AlgorithmKind::Compression => "compression",
        AlgorithmKind::Mac => "MAC",
    }
}
