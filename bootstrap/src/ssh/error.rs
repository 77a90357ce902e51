//! Why a host could not be logged in to: one variant for each cause that has its own remedy. The
//! remedies are in `hint.rs`, where they can be read together.

use std::{fmt, io, time::Duration};

use super::{
    fingerprint::Fingerprint,
    known_hosts::{KnownHostsError, KnownKey},
};

/// A part of connecting that has the connect limit to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Finding the address and opening the TCP connection.
    Connect,
    /// Waiting for the server to say that it speaks SSH.
    Banner,
    /// Agreeing on keys, and the host proving its own.
    Handshake,
    /// The user proving theirs.
    Authentication,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "TCP connect",
            Self::Banner => "wait for the SSH banner",
            Self::Handshake => "SSH handshake",
            Self::Authentication => "authentication",
        })
    }
}

/// The port of a host that would not have us, and the name by which `known_hosts` calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// DNS name or address, as in the inventory.
    pub address: String,
    /// SSH port.
    pub port: u16,
}

impl Peer {
    /// How `known_hosts` calls it.
    pub(super) fn known_as(&self) -> String {
        if self.port == 22 { self.address.clone() } else { format!("[{}]:{}", self.address, self.port) }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port } = self;
        if address.contains(':') { write!(f, "[{address}]:{port}") } else { write!(f, "{address}:{port}") }
    }
}

/// A login that failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No address for the name.
    #[error("the name `{}` does not resolve", peer.address)]
    Unresolved {
        /// Whom we called.
        peer: Peer,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing listens there.
    #[error("{peer} refused the connection")]
    Refused {
        /// Whom we called.
        peer: Peer,
    },
    /// The network knows no way.
    #[error("{peer} cannot be reached")]
    Unreachable {
        /// Whom we called.
        peer: Peer,
        /// What the network said.
        source: io::Error,
    },
    /// No answer.
    #[error("{peer}: the {phase} took longer than {limit:?}")]
    TimedOut {
        /// Whom we called.
        peer: Peer,
        /// What took so long.
        phase: Phase,
        /// The host's connect limit.
        limit: Duration,
    },
    /// Something answers that is no SSH server.
    #[error("{peer} does not speak SSH; it said `{said}`")]
    NotSsh {
        /// Whom we called.
        peer: Peer,
        /// The beginning of its first line.
        said: String,
    },
    /// Nothing both sides can do.
    #[error("{peer} has no {kind} algorithm in common with bootstrap; it offers {theirs}")]
    NoCommonAlgorithm {
        /// Whom we called.
        peer: Peer,
        /// Key exchange, host key, cipher, ...
        kind: &'static str,
        /// What the server can do.
        theirs: String,
    },
    /// No `known_hosts` file speaks of the host.
    #[error("{peer} shows host key {offered}, which no known_hosts file has")]
    HostKeyUnknown {
        /// Whom we called.
        peer: Peer,
        /// The key it showed.
        offered: Fingerprint,
        /// An authority for its certificates, if one is named.
        authority: Option<KnownKey>,
    },
    /// It is not the host we know, or it got a new key.
    #[error("the host key of {peer} has changed: it shows {offered}, known is {}", list(known))]
    HostKeyChanged {
        /// Whom we called.
        peer: Peer,
        /// The key it showed.
        offered: Fingerprint,
        /// The keys we know.
        known: Vec<KnownKey>,
    },
    /// It is not the host of the inventory.
    #[error("{peer} shows host key {}, the inventory wants {pinned}", list(offered))]
    HostKeyMismatch {
        /// Whom we called.
        peer: Peer,
        /// Every key it showed.
        offered: Vec<Fingerprint>,
        /// `host_key` of the inventory.
        pinned: String,
    },
    /// The key is known to be in wrong hands.
    #[error("{peer} shows host key {offered}, which is revoked at {}:{}", revoked.file.display(), revoked.line)]
    HostKeyRevoked {
        /// Whom we called.
        peer: Peer,
        /// The key it showed.
        offered: Fingerprint,
        /// The line that revokes it.
        revoked: KnownKey,
    },
    /// A `known_hosts` file could not be read or written.
    #[error("the host key of {peer} cannot be checked")]
    KnownHosts {
        /// Whom we called.
        peer: Peer,
        /// Why.
        source: KnownHostsError,
    },
    /// None of our keys is good for the user.
    #[error("{peer} refused to log in `{user}`: tried {}, the server takes {}", list(tried), list(methods))]
    AuthenticationRefused {
        /// Whom we called.
        peer: Peer,
        /// The login user.
        user: String,
        /// The keys we showed.
        tried: Vec<Fingerprint>,
        /// The methods by which the server would go on.
        methods: Vec<&'static str>,
        /// Whether a key was good, but not enough.
        partly: bool,
    },
    /// The server hung up.
    #[error("{peer} closed the connection during the {phase}{}", said.as_ref().map(|said| format!(": `{said}`")).unwrap_or_default())]
    Closed {
        /// Whom we called.
        peer: Peer,
        /// When it did.
        phase: Phase,
        /// What it said, if it did.
        said: Option<String>,
    },
    /// The conversation broke down in a way that should not happen.
    #[error("the {phase} with {peer} failed")]
    Protocol {
        /// Whom we called.
        peer: Peer,
        /// Where it broke.
        phase: Phase,
        /// What the library said.
        source: russh::Error,
    },
}

impl ConnectError {
    /// A word for reports and statistics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unresolved { .. } => "unresolved",
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed-out",
            Self::NotSsh { .. } => "not-ssh",
            Self::NoCommonAlgorithm { .. } => "no-common-algorithm",
            Self::HostKeyUnknown { .. } => "host-key-unknown",
            Self::HostKeyChanged { .. } => "host-key-changed",
            Self::HostKeyMismatch { .. } => "host-key-mismatch",
            Self::HostKeyRevoked { .. } => "host-key-revoked",
            Self::KnownHosts { .. } => "known-hosts",
            Self::AuthenticationRefused { .. } => "authentication-refused",
            Self::Closed { .. } => "closed",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// Whether no SSH server ever talked to us: the host is off, or the network is in the way.
    #[must_use]
    pub fn never_connected(&self) -> bool {
        match self {
            Self::Unresolved { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::NotSsh { .. } => true,
            Self::TimedOut { phase, .. } | Self::Closed { phase, .. } => *phase != Phase::Authentication,
            _ => false,
        }
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
