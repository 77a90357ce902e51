//! Machines over SSH: connecting, proving who is who on both sides, and running commands.
//!
//! This is the only module that knows russh. It implements [`Host`](crate::host::Host), so that the
//! steps need not know that there is a network; every way in which a network, a server or a key can
//! fail has its own name and remedy in [`ConnectError`].

mod agent;
mod authenticate;
mod certificate;
mod client;
pub mod config;
mod connect;
mod error;
mod fingerprint;
mod hint;
mod jump;
mod keys;
mod known_hosts;
mod login;
mod passphrase;
mod password;
mod ring;
mod session;
mod socket;
mod spare;
#[cfg(test)]
mod tests;
mod way;

pub use agent::Agents;
pub use certificate::CertificateFault;
pub use connect::{HANDSHAKES, SshConnector};
pub use error::{ConnectError, Detour, Peer, Phase};
pub use fingerprint::Fingerprint;
pub use keys::KeyError;
pub use known_hosts::{KnownHostsError, KnownKey, Unvouched};
pub use login::{Logins, NoLogin};
pub use passphrase::{FromDescriptor, PassphraseError, PassphraseSource};
pub use ring::KeyRing;
pub use session::SshHost;
