//! What the lab's account holds: activations, managed nodes, role tokens, service settings, commands and inventories.
//! Pure state; who may do what is decided elsewhere.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::commands::{Command, CommandId, Invocation, MessageName};
use super::database::DatabaseError;
use super::documents::Document;
use super::inventory::Inventory;
use super::sessions::{Session, SessionId};
use super::table::{Kept, Table};
use super::tags::Tags;
use crate::ids::{ActivationId, ManagedNodeId};
use crate::node_key::NodePublicKey;

/// Everything but the channels that are open right now.
#[derive(Debug)]
pub struct Estate {
    /// All activations, deleted ones too.
    pub activations: Table<ActivationId, Activation>,
    /// All managed nodes, deregistered ones too.
    pub nodes: Table<ManagedNodeId, ManagedNode>,
    /// Role tokens that may still be good, by access key id.
    pub tokens: Table<String, RoleToken>,
    /// Service settings that are not at their default, by their id.
    pub settings: Table<String, ServiceSetting>,
    /// Sessions, those that are over too.
    pub sessions: Table<SessionId, Session>,
    /// The account's own documents, by name.
    pub documents: Table<String, Document>,
    /// Commands sent to nodes.
    pub commands: Table<CommandId, Command>,
    /// What became of each command on each of its nodes, by the name of the message that brings it there.
    pub invocations: Table<MessageName, Invocation>,
    /// What nodes say they have, by node.
    pub inventories: Table<ManagedNodeId, Inventory>,
}

impl Estate {
    /// What the database holds.
    pub fn load(database: &Connection) -> Result<Self, DatabaseError> {
        Ok(Self {
            activations: Table::load("activations", database)?,
            nodes: Table::load("nodes", database)?,
            tokens: Table::load("role_tokens", database)?,
            settings: Table::load("service_settings", database)?,
            sessions: Table::load("sessions", database)?,
            documents: Table::load("documents", database)?,
            commands: Table::load("commands", database)?,
            invocations: Table::load("command_invocations", database)?,
            inventories: Table::load("inventories", database)?,
        })
    }

    /// Brings all changes into the database, all or none.
    pub fn save(&mut self, database: &mut Connection) -> Result<(), DatabaseError> {
        if !self.tables().iter().any(|table| table.is_changed()) {
            return Ok(());
        }
        let transaction = database.transaction()?;
        self.tables().iter().try_for_each(|table| table.write(&transaction))?;
        transaction.commit()?;
        self.tables().into_iter().for_each(Kept::settle);
        Ok(())
    }

    fn tables(&mut self) -> [&mut dyn Kept; 9] {
        [
            &mut self.activations,
            &mut self.nodes,
            &mut self.tokens,
            &mut self.settings,
            &mut self.sessions,
            &mut self.documents,
            &mut self.commands,
            &mut self.invocations,
            &mut self.inventories,
        ]
    }

    /// The activation, unless it was deleted.
    #[must_use]
    pub fn activation(&self, id: &ActivationId) -> Option<&Activation> {
        self.activations.get(id).filter(|activation| !activation.deleted)
    }

    /// The activation to change, unless it was deleted.
    pub fn activation_mut(&mut self, id: &ActivationId) -> Option<&mut Activation> {
        self.activation(id)?;
        self.activations.get_mut(id)
    }

    /// The node, unless it was deregistered.
    #[must_use]
    pub fn node(&self, id: &ManagedNodeId) -> Option<&ManagedNode> {
        self.nodes.get(id).filter(|node| !node.deregistered)
    }

    /// The node to change, unless it was deregistered.
    pub fn node_mut(&mut self, id: &ManagedNodeId) -> Option<&mut ManagedNode> {
        self.node(id)?;
        self.nodes.get_mut(id)
    }

    /// Forgets tokens that have been expired for an hour, fresher ones still tell `ExpiredTokenException`, and all but
    /// the newest few of a node.
    pub fn forget_old_tokens(&mut self, node: &ManagedNodeId, now: Timestamp) {
        const KEPT: usize = 8;
        let hour = SignedDuration::from_hours(1);
        let mut expiries: Vec<Timestamp> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.node == *node)
            .map(|(_, token)| token.expires)
            .collect();
        expiries.sort_unstable();
        let oldest_kept = expiries.len().checked_sub(KEPT).and_then(|index| expiries.get(index)).copied();
        self.tokens.retain(|_, token| {
            let stale = now.duration_since(token.expires) >= hour;
            let crowded = token.node == *node && oldest_kept.is_some_and(|oldest| token.expires < oldest);
            !stale && !crowded
        });
    }
}

/// A hybrid activation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Activation {
    /// SHA-256 of the code in hexadecimal; the code itself is told once and not kept.
    pub code_digest: String,
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
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
pub struct RoleToken {
    /// Whom they speak for.
    pub node: ManagedNodeId,
    /// The secret key.
    #[serde(serialize_with = "exposed")]
    pub secret_access_key: SecretString,
    /// The session token that must come along.
    #[serde(serialize_with = "exposed")]
    pub session_token: SecretString,
    /// When they end.
    pub expires: Timestamp,
}

/// The database is as private as the tokens: mode 0600, and they are good for an hour.
fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// A service setting someone changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServiceSetting {
    /// Its value.
    pub value: String,
    /// When it was changed.
    pub modified: Timestamp,
    /// The ARN of who did.
    pub modified_by: String,
}
