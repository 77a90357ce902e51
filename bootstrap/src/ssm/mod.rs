//! Everything that is said to AWS Systems Manager. The rest of the program knows only the
//! [`ControlPlane`] and these types, so the engine and its tests run without the SDK or a network.

mod activations;
mod aws;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod id;
mod lookup;
mod strays;
mod verifier;

use std::{future::Future, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;

pub use self::{
    activations::{
        ActivationChange, ActivationError, ActivationPool, Activations, Collected, ENVIRONMENT_TAG,
        GivenError, Handout, Leftover, RUN_TAG, collect, gc, leftovers,
    },
    aws::{AwsControlPlane, ConnectError},
    error::{FailureKind, SsmError},
    id::{ActivationId, InvalidActivationId, InvalidManagedNodeId, ManagedNodeId},
    lookup::Lookup,
    strays::{Strays, remove_strays},
    verifier::{StillOffline, Verifier, WhyOffline},
};
use crate::inventory::Tags;

/// How many ids one `DescribeInstanceInformation` is asked for: AWS answers with at most 50 at a time.
pub const NODES_PER_REQUEST: usize = 50;

/// The calls to SSM that `bootstrap` needs, for one environment.
pub trait ControlPlane: Send + Sync + 'static {
    /// AWS's clock, as far as it is known: by its last answer, else ours.
    fn now(&self) -> Timestamp;

    /// The same, and never later than AWS's clock is, whatever becomes of ours meanwhile.
    fn now_at_the_earliest(&self) -> Timestamp;

    /// Creates an activation; its code is in this answer and never again. AWS is asked once, since each request makes
    /// another activation: whoever asks again after [doubt](SsmError::leaves_in_doubt) looks first for the one he lost.
    fn create_activation(
        &self,
        request: &ActivationRequest,
    ) -> impl Future<Output = Result<Activation, SsmError>> + Send;

    /// Deletes an activation; one that is already gone is no error. Its nodes stay.
    fn delete_activation(&self, id: &ActivationId) -> impl Future<Output = Result<(), SsmError>> + Send;

    /// Every activation of the account and Region.
    fn activations(&self) -> impl Future<Output = Result<Vec<ActivationRecord>, SsmError>> + Send;

    /// Those whose nodes are called so until they have a name of their own (`DefaultInstanceName`).
    fn activations_named(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Vec<ActivationRecord>, SsmError>> + Send;

    /// What SSM knows of these nodes, in no particular order; a node it does not know is absent.
    fn nodes(&self, ids: &[ManagedNodeId]) -> impl Future<Output = Result<Vec<NodeRecord>, SsmError>> + Send;

    /// Every node that registered with an activation.
    fn nodes_of(
        &self,
        activation: &ActivationId,
    ) -> impl Future<Output = Result<Vec<NodeRecord>, SsmError>> + Send;

    /// Deregisters a node; one that SSM does not know is no error.
    fn deregister(&self, id: &ManagedNodeId) -> impl Future<Output = Result<(), SsmError>> + Send;

    /// The tags of a node.
    fn tags(&self, id: &ManagedNodeId) -> impl Future<Output = Result<Tags, SsmError>> + Send;

    /// Adds tags to a node; those of the same key are replaced, others stay.
    fn set_tags(&self, id: &ManagedNodeId, tags: &Tags) -> impl Future<Output = Result<(), SsmError>> + Send;
}

/// What an activation is asked for.
#[derive(Clone, Debug)]
pub struct ActivationRequest {
    /// Name of the IAM service role for the nodes.
    pub role: String,
    /// How many hosts may register with it.
    pub limit: RegistrationLimit,
    /// Its life from now on, up to 30 days.
    pub expires_in: Duration,
    /// What its nodes are called until they have a `Name` tag; at most 256 characters.
    pub default_instance_name: Option<String>,
    /// For the reader of the AWS console; at most 256 characters.
    pub description: String,
    /// Its tags, which AWS copies to the nodes.
    pub tags: Tags,
}

/// How many hosts may register with an activation: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegistrationLimit(u16);

impl RegistrationLimit {
    /// The most AWS allows.
    pub const MAX: Self = Self(1000);

    /// Room for `hosts`, as far as one activation goes.
    #[must_use]
    pub fn for_hosts(hosts: usize) -> Self {
        Self(u16::try_from(hosts).map_or(Self::MAX.0, |hosts| hosts.clamp(1, Self::MAX.0)))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A new activation with its code.
#[derive(Clone, Debug)]
pub struct Activation {
    /// Its id.
    pub id: ActivationId,
    /// Its code.
    pub code: SecretString,
    /// Until when hosts can register with it, by AWS's clock.
    pub expires: Timestamp,
}

/// An activation as SSM lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationRecord {
    /// Its id.
    pub id: ActivationId,
    /// Its tags.
    pub tags: Tags,
}

/// A managed node as SSM knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its id.
    pub id: ManagedNodeId,
    /// Whether SSM hears from its agent.
    pub ping: PingStatus,
    /// When SSM last did, by AWS's clock.
    pub last_ping: Option<Timestamp>,
    /// Name of its IAM service role.
    pub iam_role: Option<String>,
}

/// Whether SSM hears from a node's agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PingStatus {
    /// It does.
    Online,
    /// It no longer does.
    ConnectionLost,
    /// A word of AWS's that is none of the above (`Inactive`, which is deprecated, or a new one).
    Other(String),
}

impl std::fmt::Display for PingStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Online => "Online",
            Self::ConnectionLost => "ConnectionLost",
            Self::Other(word) => word,
        })
    }
}
