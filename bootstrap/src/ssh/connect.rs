//! From an inventory entry to a logged-in host, phase by phase, each with the host's connect limit.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use russh::{
    AlgorithmKind, Error, Limits,
    client::{Config, Handle, connect_stream},
    keys::Algorithm,
};
use secrecy::SecretString;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{error::Elapsed, timeout},
};

use super::{
    authenticate::{Credentials, authenticate},
    client::{Client, End, HELLO, HostKeys, Ledger, Wants, fell_silent, host_key_algorithms, hung_up},
    error::{ConnectError, Peer, Phase},
    fingerprint::same_key_type,
    jump::{Jump, Jumps},
    known_hosts::KnownHosts,
    login::{Login, Logins},
    password::Password,
    ring::KeyRing,
    session::{Connection, SshHost},
    socket::{self, Greeting, Severable, Wire},
};
use crate::inventory::{Escalation, HostKeyPolicy, HostName, HostSpec};

/// Handshakes at once. One costs about 2 ms of CPU here and 35 ms at the server; many more at once
/// only queue, and their limits run.
pub const HANDSHAKES: usize = 16;

/// How long a handshake has a place: what costs CPU is over far earlier.
const LONG: Duration = Duration::from_secs(2);

/// Logs in to hosts; one for a whole run, shared by all its tasks.
#[derive(Debug)]
pub struct SshConnector {
    logins: Logins,
    keys: KeyRing,
    password: Option<Password>,
    known_hosts: Arc<KnownHosts>,
    handshakes: Semaphore,
    jumps: Jumps,
    limits: Limits,
    /// Those in use, one for all hosts that are asked the same.
    configs: Mutex<HashMap<Wants, Arc<Config>>>,
}

/// A login under way. In a box, because the way to a host may begin with a login to another.
pub(super) type LoggingIn<'a> = Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send + 'a>>;

impl SshConnector {
    /// A connector with the logins, the keys and, if it was asked for, the password of the run. At most `handshakes` have a
    /// place at any time; one that hangs gives its back after two seconds, so more may be under way.
    #[must_use]
    pub fn new(logins: Logins, keys: KeyRing, password: Option<SecretString>, handshakes: usize) -> Self {
        Self {
            logins,
            keys,
            password: password.map(Password::new),
            known_hosts: Arc::default(),
            handshakes: Semaphore::new(handshakes.max(1)),
            jumps: Jumps::default(),
            limits: Limits::default(),
            configs: Mutex::default(),
        }
    }

    /// The same with other limits for one set of session keys.
    #[cfg(test)]
    pub(super) fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Whom a host is logged in to as; `None` if there is no way to log in.
    #[must_use]
    pub fn user(&self, host: &HostName) -> Option<&str> {
        self.logins.user(host)
    }

    /// Logs in to a host.
    pub async fn connect(&self, host: &HostSpec) -> Result<SshHost, ConnectError> {
        let login = match self.logins.of(&host.name) {
            Some(Ok(login)) => login,
            Some(Err(why)) => return Err(ConnectError::NoLogin { why: Arc::clone(why) }),
            None => return Err(ConnectError::NotChosen { host: host.name.clone() }),
        };
        let connection = self.log_in(login).await?;
        let sudo = host.escalation != Escalation::None && login.user != "root";
        Ok(SshHost::new(connection, sudo))
    }

    fn log_in<'a>(&'a self, login: &'a Arc<Login>) -> LoggingIn<'a> {
        Box::pin(self.try_host_keys(login))
    }

    async fn try_host_keys(&self, login: &Arc<Login>) -> Result<Connection, ConnectError> {
        let mut wanted = self.host_keys(login).await?;
        let mut shown = Vec::new();
        loop {
            match self.attempt(login, &wanted).await {
                // A server shows one key at a time, and the pin doesn't tell its type: ask for the others.
                Err(ConnectError::HostKeyMismatch { peer, offered, pinned }) => {
                    wanted.order.retain(|one| !offered.iter().any(|seen| seen.is_of(one)));
                    shown.extend(offered);
                    if wanted.order.is_empty() {
                        return Err(ConnectError::HostKeyMismatch { peer, offered: shown, pinned });
                    }
                }
                Err(ConnectError::NoCommonAlgorithm { peer, .. }) if !shown.is_empty() => {
                    let HostKeyPolicy::Pinned(pinned) = login.trust.policy.clone() else { continue };
                    return Err(ConnectError::HostKeyMismatch { peer, offered: shown, pinned });
                }
                result => return result,
            }
        }
    }

    /// All host key algorithms, those of known keys first: a host that is known by its RSA key must
    /// not look changed because it also has another one.
    async fn host_keys(&self, login: &Login) -> Result<HostKeys, ConnectError> {
        let mut order = host_key_algorithms();
        if matches!(login.trust.policy, HostKeyPolicy::Pinned(_)) {
            return Ok(HostKeys { order, certified: false });
        }
        let (known_hosts, trust) = (Arc::clone(&self.known_hosts), login.trust.clone());
        let known = spawn_blocking(move || {
            let keys = known_hosts.algorithms(&trust.files, &trust.name)?;
            Ok((keys, known_hosts.has_authority(&trust.files, &trust.name)?))
        });
        let known: Result<(Vec<Algorithm>, bool), _> =
            known.await.unwrap_or_else(|_| Ok((Vec::new(), false)));
        let (known, certified) =
            known.map_err(|source| ConnectError::KnownHosts { peer: login.peer.clone(), source })?;
        order.sort_by_key(|one| !known.iter().any(|known| same_key_type(one, known)));
        Ok(HostKeys { order, certified })
    }

    async fn attempt(&self, login: &Arc<Login>, wanted: &HostKeys) -> Result<Connection, ConnectError> {
        let Login { peer, pace, .. } = &**login;
        let limit = pace.connect;
        // A socket is watched by the kernel.
        let patience = login.via.as_ref().and(pace.silence());
        let (mut stream, way) = match &login.via {
            None => (socket::open(login).await?, None),
            Some(via) => {
                let (stream, way) = self.through(via, peer, limit).await?;
                (stream, Some(way))
            }
        };
        let greeting = socket::greeting(stream.as_mut(), peer, HELLO.as_bytes());
        let (greeting, said) = within(limit, peer, Phase::Banner, greeting).await?;
        // Held from here on only: hosts that are switched off must not keep the others waiting.
        let place = self.handshakes.acquire().await;
        let ledger = Arc::new(Ledger::default());
        let client = Client::new(login, &self.known_hosts, &ledger);
        let config = self.config(Wants::of(login, wanted));
        let carrier = way.as_ref().map(|way| way.pulse());
        let (stream, lifeline) = Severable::new(stream, HELLO.as_bytes(), said, patience, carrier);
        let shaking = async {
            // In a box: russh's future has room for it four times over.
            match connect_stream(config, Box::new(stream), client).await {
                Ok(handle) => Ok(handle),
                Err(error) => Err(broken_handshake(error, &ledger, login, greeting)),
            }
        };
        let credentials = Credentials {
            user: &login.user,
            proofs: self.keys.proofs(login),
            methods: &login.methods,
            password: self.password.as_ref().filter(|_| login.password),
        };
        let entering = async {
            let mut handle: Handle<Client> = within(limit, peer, Phase::Handshake, shaking).await?;
            authenticate(&mut handle, &ledger, peer, &credentials, limit).await?;
            Ok::<_, ConnectError>(handle)
        };
        let handle = in_place(place, entering).await?;
        Ok(Connection::new(handle, ledger, lifeline, way))
    }

    fn config(&self, wants: Wants) -> Arc<Config> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let made =
            configs.entry(wants).or_insert_with_key(|wants| Arc::new(wants.config(self.limits.clone())));
        Arc::clone(made)
    }

    /// A stream to a host through the one before it, which is logged in to first if it is not yet.
    async fn through(
        &self,
        via: &Arc<Login>,
        peer: &Peer,
        limit: Duration,
    ) -> Result<(Box<dyn Wire>, Arc<Connection>), ConnectError> {
        let jump: Arc<Jump> = self.jumps.of(via);
        let (stream, connection) = jump.open(peer, limit, || self.log_in(via)).await?;
        Ok((Box::new(stream), connection))
    }
}

/// Does what has a place to its end, and gives the place back early if that takes long: a host that hangs in the middle of it
/// costs nothing, and must not keep the others waiting either.
async fn in_place<T>(place: impl Sized, work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    if let Ok(done) = timeout(LONG, &mut work).await {
        return done;
    }
    drop(place);
    work.await
}

/// The work of a phase, unless it takes longer than the limit.
pub(super) async fn within<T>(
    limit: Duration,
    peer: &Peer,
    phase: Phase,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let late = |_: Elapsed| ConnectError::TimedOut { peer: peer.clone(), phase, limit };
    // In a box, since a future that is handed over takes its room twice.
    timeout(limit, Box::pin(work)).await.map_err(late)?
}

fn broken_handshake(source: Error, ledger: &Ledger, login: &Login, greeting: Greeting) -> ConnectError {
    let (peer, phase) = (login.peer.clone(), Phase::Handshake);
    match (ledger.take(), source, greeting) {
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
        (_, error, _) if fell_silent(&error) => {
            ConnectError::TimedOut { peer, phase, limit: login.pace.silence().unwrap_or(login.pace.connect) }
        }
        (_, source, _) => ConnectError::Protocol { peer, phase, source },
    }
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hosts_that_hang_in_the_handshake_give_their_places_back() {
        let places = Semaphore::new(1);
        let hung = in_place(places.acquire().await, pending::<()>());
        let next = async {
            let place = places.acquire().await;
            in_place(place, async { 7 }).await
        };
        let first = async {
            tokio::select! {
                () = hung => 0,
                seven = next => seven,
            }
        };
        assert_eq!(timeout(LONG * 2, first).await.unwrap(), 7);
    }
}
