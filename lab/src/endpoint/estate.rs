//! What the lab's account holds: activations, managed nodes and the role tokens it has issued. Pure state; who may
//! do what is decided elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;

use super::tags::Tags;
use crate::ids::{ActivationId, ManagedNodeId};
use crate::node_key::NodePublicKey;

/// Activations, nodes and tokens.
#[derive(Debug, Default)]
pub struct Estate {
    /// All activations, deleted ones too.
    pub activations: BTreeMap<ActivationId, Activation>,
    /// All managed nodes, deregistered ones too.
    pub nodes: BTreeMap<ManagedNodeId, ManagedNode>,
    /// Role tokens that may still be good, by access key id.
    pub tokens: HashMap<String, RoleToken>,
}

impl Estate {
    /// The activation, unless it was deleted.
    #[must_use]
    pub fn activation(&self, id: &ActivationId) -> Option<&Activation> {
        self.activations.get(id).filter(|activation| !activation.deleted)
    }

    /// The node, unless it was deregistered.
    #[must_use]
    pub fn node(&self, id: &ManagedNodeId) -> Option<&ManagedNode> {
        self.nodes.get(id).filter(|node| !node.deregistered)
    }

    /// The node to change, unless it was deregistered.
    pub fn node_mut(&mut self, id: &ManagedNodeId) -> Option<&mut ManagedNode> {
        self.nodes.get_mut(id).filter(|node| !node.deregistered)
    }

    /// Forgets tokens that have been expired for a day; fresher ones still tell `ExpiredTokenException`.
    pub fn forget_old_tokens(&mut self, now: Timestamp) {
        let day = SignedDuration::from_hours(24);
        self.tokens.retain(|_, token| now.duration_since(token.expires) < day);
    }
}

/// A hybrid activation.
#[derive(Debug)]
pub struct Activation {
    /// SHA-256 of the code; the code itself is told once and not kept.
    pub code_digest: [u8; 32],
    /// The role its nodes take.
    pub iam_role: String,
    /// Free text.
    pub description: Option<String>,
    /// The `Name` of nodes registered by it.
    pub default_instance_name: Option<String>,
    /// How many nodes may register.
    pub registration_limit: u32,
    /// How many have.
    pub registrations_count: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Its tags, handed on to its nodes.
    pub tags: Tags,
    /// Whether `DeleteActivation` was called; kept for the admin listener.
    pub deleted: bool,
}

impl Activation {
    /// Whether its life is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires
    }
}

/// A managed node.
#[derive(Debug)]
pub struct ManagedNode {
    /// The activation it registered by.
    pub activation_id: ActivationId,
    /// The role it takes.
    pub iam_role: String,
    /// Its name, from the activation.
    pub name: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The public half of its key.
    pub public_key: NodePublicKey,
    /// The fingerprint it registered with.
    pub fingerprint: String,
    /// When it registered.
    pub registered: Timestamp,
    /// When its agent last called `UpdateInstanceInformation`.
    pub last_ping: Option<Timestamp>,
    /// How often it did.
    pub pings: u64,
    /// What its agent said of it.
    pub reported: Reported,
    /// Whether its agent is to be told to renew its key pair.
    pub wants_new_key: bool,
    /// Whether `DeregisterManagedInstance` was called; kept for the admin listener.
    pub deregistered: bool,
}

/// The two states AWS still reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingStatus {
    /// The last ping is recent.
    Online,
    /// The last ping is too old, or there was none.
    ConnectionLost,
}

impl PingStatus {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "Online",
            Self::ConnectionLost => "ConnectionLost",
        }
    }
}

impl ManagedNode {
    /// Whether the node counts as online. One that never pinged does not: a registration is no agent.
    #[must_use]
    pub fn ping_status(&self, now: Timestamp, lost_after: Duration) -> PingStatus {
        let silence = self.last_ping.map(|ping| now.duration_since(ping).unsigned_abs());
        match silence {
            Some(silence) if silence < lost_after => PingStatus::Online,
            _ => PingStatus::ConnectionLost,
        }
    }
}

/// What `UpdateInstanceInformation` says of a node; the agent's first, empty call leaves most of it out.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "members of UpdateInstanceInformation, documented by AWS")]
pub struct Reported {
    pub agent_version: Option<String>,
    pub computer_name: Option<String>,
    #[serde(rename = "IPAddress")]
    pub ip_address: Option<String>,
    pub platform_name: Option<String>,
    pub platform_type: Option<String>,
    pub platform_version: Option<String>,
}

impl Reported {
    /// Takes over what the newer report tells; what it leaves out or empty stays.
    pub fn update(&mut self, newer: Self) {
        let take = |old: &mut Option<String>, new: Option<String>| {
            if let Some(text) = new.filter(|text| !text.is_empty()) {
                *old = Some(text);
            }
        };
        take(&mut self.agent_version, newer.agent_version);
        take(&mut self.computer_name, newer.computer_name);
        take(&mut self.ip_address, newer.ip_address);
        take(&mut self.platform_name, newer.platform_name);
        take(&mut self.platform_type, newer.platform_type);
        take(&mut self.platform_version, newer.platform_version);
    }
}

/// Temporary credentials of a node.
#[derive(Debug)]
pub struct RoleToken {
    /// Whom they speak for.
    pub node: ManagedNodeId,
    /// The secret key.
    pub secret_access_key: SecretString,
    /// The session token that must come along.
    pub session_token: SecretString,
    /// When they end.
    pub expires: Timestamp,
}
