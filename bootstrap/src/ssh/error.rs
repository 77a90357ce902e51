//! Why a host could not be logged in to: one variant for each cause that has its own remedy. The
//! remedies are in `hint.rs`, where they can be read together.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use super::{
    fingerprint::Fingerprint,
    known_hosts::{KnownHostsError, KnownKey, Unvouched},
    login::NoLogin,
};
use crate::inventory::HostName;

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

/// Why a jump host opened no way to the host behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detour {
    /// It may not.
    Prohibited,
    /// It got no connection.
    Unreached,
    /// It can't have more.
    Exhausted,
    /// It does not know how.
    Unknown,
    /// Its connection broke.
    Lost,
    /// Something else, in its own words.
    Other(String),
}

impl fmt::Display for Detour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prohibited => f.write_str("it does not forward connections"),
            Self::Unreached => f.write_str("from there, it refuses the connection or cannot be reached"),
            Self::Exhausted => f.write_str("it has too many connections already"),
            Self::Unknown => f.write_str("its SSH server knows no forwarding"),
            Self::Lost => f.write_str("the connection to it broke"),
            Self::Other(said) => write!(f, "it said `{said}`"),
        }
    }
}

/// A login that failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// What the inventory and the SSH configuration say makes no login.
    #[error(transparent)]
    NoLogin {
        /// Why.
        why: Arc<NoLogin>,
    },
    /// Nobody found out before how to log in to it.
    #[error("host {host} is not one of this run")]
    NotChosen {
        /// The host.
        host: HostName,
    },
    /// The host on the way to it cannot be logged in to.
    #[error("{peer} is behind jump host {jump}, which cannot be used")]
    Jump {
        /// Whom we called.
        peer: Peer,
        /// The jump host.
        jump: String,
        /// What is wrong with that.
        source: Arc<ConnectError>,
    },
    /// The host on the way to it has no way on.
    #[error("jump host {jump} opens no way to {peer}: {why}")]
    Behind {
        /// Whom we called.
        peer: Peer,
        /// The jump host.
        jump: String,
        /// Why.
        why: Detour,
    },
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
    /// This machine has as many files open as it may, and a connection is one.
    #[error("{peer} was not called: too many files are open on this machine")]
    OpenFiles {
        /// Whom we wanted to call.
        peer: Peer,
        /// What the system said.
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
        /// The first of the files that were read.
        file: Option<PathBuf>,
    },
    /// It is not the host we know, or it got a new key.
    #[error("the host key of {peer} has changed: it shows {offered}, known is {}", list(known))]
    HostKeyChanged {
        /// Whom we called.
        peer: Peer,
        /// What `known_hosts` calls it.
        known_as: String,
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
    /// An authority that we know has signed its key, and yet it is no good.
    #[error("{peer} shows a certificate by the authority {authority}, and it is no good: {why}")]
    HostCertificate {
        /// Whom we called.
        peer: Peer,
        /// The line of the authority, or the one that revokes.
        authority: KnownKey,
        /// Why.
        why: Unvouched,
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
    #[error("{peer} refused to log in `{user}`: tried {}, the server takes {}{}", list(tried), list(methods), notes.iter().fold(String::new(), |all, note| all + "; " + note))]
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
        /// What else happened: a password that was refused, keys that were not tried.
        notes: Vec<String>,
    },
    /// The server lost its patience with our keys.
    #[error("{peer} said `{said}` after {}", list(tried))]
    TooManyKeys {
        /// Whom we called.
        peer: Peer,
        /// What the server said.
        said: String,
        /// The keys that it refused before.
        tried: Vec<Fingerprint>,
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
    /// A name for which no address was found.
    pub(super) fn unresolved(peer: &Peer, source: io::Error) -> Self {
        let peer = peer.clone();
        if is_out_of_files(&source) {
            Self::OpenFiles { peer, source }
        } else {
            Self::Unresolved { peer, source }
        }
    }

    /// Addresses of which none could be connected to; `source` is what the first of them failed by.
    pub(super) fn unconnected(peer: &Peer, source: io::Error) -> Self {
        let peer = peer.clone();
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused { peer },
            _ if is_out_of_files(&source) => Self::OpenFiles { peer, source },
            _ => Self::Unreachable { peer, source },
        }
    }

    /// A word for reports and statistics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoLogin { .. } => "no-login",
            Self::NotChosen { .. } => "not-chosen",
            Self::Jump { .. } => "jump-host",
            Self::Behind { .. } => "behind-jump-host",
            Self::HostCertificate { .. } => "host-certificate",
            Self::TooManyKeys { .. } => "too-many-keys",
            Self::Unresolved { .. } => "unresolved",
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::OpenFiles { .. } => "open-files",
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
            Self::NoLogin { .. }
            | Self::NotChosen { .. }
            | Self::Jump { .. }
            | Self::Behind { .. }
            | Self::Unresolved { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::OpenFiles { .. }
            | Self::NotSsh { .. } => true,
            Self::TimedOut { phase, .. } | Self::Closed { phase, .. } => *phase != Phase::Authentication,
            _ => false,
        }
    }
}

impl ConnectError {
    /// Whether the server would not let the user in, which it may count.
    #[must_use]
    pub fn is_refused_login(&self) -> bool {
        matches!(
            self,
            Self::AuthenticationRefused { .. }
                | Self::TooManyKeys { .. }
                | Self::Closed { phase: Phase::Authentication, .. }
        )
    }

    /// Whether it may go better a little later: the network, or a server that is busy or starting. What was said about keys,
    /// host keys or algorithms will be said again, and each login that is refused brings us nearer to being shut out.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::OpenFiles { .. }
            | Self::TimedOut { .. } => true,
            Self::Closed { phase, .. } => *phase != Phase::Authentication,
            Self::Behind { why, .. } => matches!(why, Detour::Unreached | Detour::Exhausted | Detour::Lost),
            Self::Jump { source, .. } => source.may_pass(),
            // The resolver's words for EAI_AGAIN, of glibc and of musl.
            Self::Unresolved { source, .. } => {
                let said = source.to_string();
                ["Temporary failure", "Try again"].iter().any(|words| said.contains(words))
            }
            _ => false,
        }
    }
}

/// EMFILE of this process, ENFILE of the whole machine.
fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_out_of_files_is_told_apart_from_a_network_without_a_way() {
        let peer = Peer { address: "a.example".to_owned(), port: 22 };
        let error = |code: rustix::io::Errno| io::Error::from(code);
        for code in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
            for error in
                [ConnectError::unconnected(&peer, error(code)), ConnectError::unresolved(&peer, error(code))]
            {
                assert_eq!(error.kind(), "open-files");
                assert!(error.hint().contains("ulimit -n") && error.hint().contains("--concurrency"));
                assert!(error.may_pass() && error.never_connected());
            }
        }
        let unreachable = ConnectError::unconnected(&peer, error(rustix::io::Errno::NETUNREACH));
        assert_eq!(unreachable.kind(), "unreachable");
        assert_eq!(ConnectError::unconnected(&peer, error(rustix::io::Errno::CONNREFUSED)).kind(), "refused");
    }
}
