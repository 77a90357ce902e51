//! The operations the endpoint knows: one table of names, of who may call, and of what is done.

mod activations;
mod heartbeat;
mod instance_filters;
mod instances;
mod node_keys;
mod registration;
mod tagging;

use serde_json::Value;

use super::Endpoint;
use super::caller::Caller;
use super::error::ApiError;

/// One call of an operation by a caller who may.
#[derive(Debug)]
pub struct Call<'a> {
    /// The endpoint called.
    pub endpoint: &'a Endpoint,
    /// Who calls.
    pub caller: &'a Caller,
    /// The JSON sent.
    pub body: &'a [u8],
}

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Anyone, unsigned.
    Anyone,
    /// The lab user.
    LabUser,
    /// A node with role credentials.
    Role,
    /// A node that signs with its own key.
    NodeKey,
}

impl Admits {
    fn admits(self, caller: &Caller) -> bool {
        match self {
            Self::Anyone => true,
            Self::LabUser => matches!(caller, Caller::LabUser),
            Self::Role => matches!(caller, Caller::Role(_)),
            Self::NodeKey => matches!(caller, Caller::Node(_)),
        }
    }
}

type Run = fn(&Call<'_>) -> Result<Value, ApiError>;

/// An operation of the API.
#[derive(Debug)]
pub struct Operation {
    /// AWS's name.
    pub name: &'static str,
    /// Who may call it.
    pub admits: Admits,
    run: Run,
}

const fn operation(name: &'static str, admits: Admits, run: Run) -> Operation {
    Operation { name, admits, run }
}

static OPERATIONS: [Operation; 12] = [
    operation("AddTagsToResource", Admits::LabUser, tagging::add),
    operation("CreateActivation", Admits::LabUser, activations::create),
    operation("DeleteActivation", Admits::LabUser, activations::delete),
    operation("DeregisterManagedInstance", Admits::LabUser, instances::deregister),
    operation("DescribeActivations", Admits::LabUser, activations::describe),
    operation("DescribeInstanceInformation", Admits::LabUser, instances::describe),
    operation("ListTagsForResource", Admits::LabUser, tagging::list),
    operation("RegisterManagedInstance", Admits::Anyone, registration::register),
    operation("RemoveTagsFromResource", Admits::LabUser, tagging::remove),
    operation("RequestManagedInstanceRoleToken", Admits::NodeKey, node_keys::request_role_token),
    operation("UpdateInstanceInformation", Admits::Role, heartbeat::update),
    operation("UpdateManagedInstancePublicKey", Admits::NodeKey, node_keys::update_public_key),
];

/// `UnknownOperationException`.
#[must_use]
pub fn unknown_operation() -> ApiError {
    ApiError::client("UnknownOperationException", "")
}

/// Finds an operation by AWS's name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

impl Operation {
    /// Does it, if the caller may.
    pub fn run(&self, call: &Call<'_>) -> Result<Value, ApiError> {
        if !self.admits.admits(call.caller) {
            return Err(ApiError::access_denied(format!(
                "User: {} is not authorized to perform: ssm:{}",
                call.caller, self.name
            )));
        }
        (self.run)(call)
    }
}
