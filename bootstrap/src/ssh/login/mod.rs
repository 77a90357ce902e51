//! How to log in to a host, with everything said: by the inventory, else by the SSH configuration, else by what `ssh` does
//! when nobody says anything. Apart from connecting, because it is pure: no file is read and nobody is called.

mod fold;
mod logins;

use std::{path::PathBuf, sync::Arc, time::Duration};

pub use logins::{Logins, NoLogin};

use super::{config::AddressFamily, error::Peer};
use crate::inventory::HostKeyPolicy;

/// One host and how it lets us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    /// What it was asked for by, in the inventory or as a jump host.
    pub(super) alias: String,
    /// Where its server listens.
    pub(super) peer: Peer,
    pub(super) user: String,
    pub(super) keys: KeyWish,
    /// In the order to try; without doubles.
    pub(super) methods: Vec<Method>,
    /// Whether the password that the operator gave may be shown to it.
    pub(super) password: bool,
    pub(super) trust: Trust,
    pub(super) pace: Pace,
    pub(super) family: AddressFamily,
    pub(super) compression: bool,
    /// The host on the way right before it.
    pub(super) via: Option<Arc<Login>>,
}

/// Which keys are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyWish {
    pub(super) files: Vec<PathBuf>,
    pub(super) origin: Origin,
    /// Whether an agent's other keys are left alone.
    pub(super) only: bool,
    /// The socket of the agent.
    pub(super) agent: Option<PathBuf>,
    /// Certificates besides those that lie beside their keys.
    pub(super) certificates: Vec<PathBuf>,
}

/// Who named the key files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The inventory: they are there, and what is wrong with them stops the run.
    Inventory,
    /// The SSH configuration: they need not be there.
    Configuration,
    /// Nobody: the names that `ssh-keygen` gives.
    Habit,
}

/// A way to prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    PublicKey,
    KeyboardInteractive,
    Password,
}

/// How the host proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    pub(super) policy: HostKeyPolicy,
    /// What `known_hosts` calls it.
    pub(super) name: Peer,
    /// `known_hosts` files, in order.
    pub(super) files: Vec<PathBuf>,
    /// The one that a new key goes to.
    pub(super) record: Option<PathBuf>,
}

/// How patient we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// TCP connect, handshake and authentication, each.
    pub(super) connect: Duration,
    /// How often connecting is tried; at least 1.
    pub(super) attempts: u32,
    /// How often a silent host is asked for a sign of life; `None` is never.
    pub(super) alive: Option<Duration>,
    /// How many signs of life may be missing.
    pub(super) missing: usize,
}

impl Pace {
    /// How long a host may be silent before it is given up; `None` is for ever.
    pub(super) fn silence(&self) -> Option<Duration> {
        let asked = u32::try_from(self.missing).unwrap_or(u32::MAX);
        // As `ServerAliveCountMax 0` is understood by OpenSSH.
        self.alive.filter(|_| asked > 0).map(|alive| alive.saturating_mul(asked.saturating_add(1)))
    }
}

impl Login {
    /// Itself and those on its way, the last one first.
    pub(super) fn way(&self) -> impl Iterator<Item = &Login> {
        std::iter::successors(Some(self), |login| login.via.as_deref())
    }
}
