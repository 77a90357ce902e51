//! The operations the endpoint knows: one table of names, of who may call, of what they touch, and of what is done.

mod activations;
mod associations;
mod command_filters;
mod command_listing;
mod command_targets;
mod commands;
mod document_views;
mod documents;
mod heartbeat;
mod identity;
mod instance_filters;
mod instances;
mod inventory;
mod messages;
mod node_keys;
mod registration;
mod service_settings;
mod session_document;
mod session_list;
mod sessions;
mod tagging;
mod trail;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::authorize::Resource;
use super::caller::Caller;
use super::error::ApiError;
use super::estate::Estate;
use super::iam::Policy;
use super::iam::Principal;
use super::iam::arn;
use super::model::{self, Modelled};
use super::origin::Origin;
use super::service::Service;
use super::{Endpoint, State, channels};
use crate::ids::ManagedNodeId;

/// One call of an operation by a proven caller.
#[derive(Debug)]
pub struct Call<'a> {
    /// The endpoint called.
    pub endpoint: &'a Endpoint,
    /// Who calls.
    pub caller: &'a Caller,
    /// Where it came in.
    pub origin: &'a Origin,
    /// What is asked, as the operation's model has it.
    pub input: &'a Value,
    /// The state, locked for this call.
    pub state: &'a mut State,
    /// When it came.
    pub now: Timestamp,
}

impl Call<'_> {
    /// The input as the operation's own type. The model was checked, so this fails only where the two disagree.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        T::deserialize(self.input)
            .map_err(|error| ApiError::client("SerializationException", error.to_string()))
    }

    /// A node as IAM sees it: its ARN and, if it is registered, its tags.
    #[must_use]
    pub fn node(&self, id: &ManagedNodeId) -> Resource {
        let settings = &self.endpoint.settings;
        let arn = arn::managed_instance(&settings.region, &settings.account, id.as_str());
        let tags = self.state.estate.node(id).map(|node| node.tags.clone()).unwrap_or_default();
        Resource { tags, ..Resource::named(arn) }
    }

    /// The caller as IAM sees it; someone who signs with a node's key, or not at all, is nobody there.
    #[must_use]
    pub fn principal(&self) -> Option<Principal> {
        self.endpoint.principal(self.caller, &self.state.estate)
    }

    /// The caller's ARN; empty for nobody.
    #[must_use]
    pub fn caller_arn(&self) -> String {
        self.principal().map(|principal| principal.arn()).unwrap_or_default()
    }

    /// What the caller's policies are.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        self.endpoint.policies(self.caller, &self.state.estate)
    }

    /// Activations, nodes and the rest.
    pub fn estate(&mut self) -> &mut Estate {
        &mut self.state.estate
    }
}

/// How an operation wants its caller proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Not at all.
    Anyone,
    /// By the credentials of a user or a role, whose policies decide.
    Policy,
    /// By the key of a managed node.
    NodeKey,
}

type Run = fn(&mut Call<'_>) -> Result<Value, ApiError>;
type Touches = fn(&Call<'_>) -> Vec<Resource>;
type Idle = fn(&Value) -> bool;

/// An operation of the API.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// AWS's name.
    pub name: &'static str,
    /// Whose it is.
    pub service: Service,
    /// Who may call it.
    pub admits: Admits,
    touches: Touches,
    run: Run,
    idle: Option<Idle>,
}

const fn ssm(name: &'static str, touches: Touches, run: Run) -> Operation {
    Operation { name, service: Service::Ssm, admits: Admits::Policy, touches, run, idle: None }
}

const fn ec2messages(name: &'static str, run: Run) -> Operation {
    Operation { service: Service::Ec2Messages, ..ssm(name, everything, run) }
}

const fn admitting(admits: Admits, operation: Operation) -> Operation {
    Operation { admits, ..operation }
}

static OPERATIONS: &[Operation] = &[
    ssm("AddTagsToResource", tagging::resource, tagging::add),
    ssm("CancelCommand", everything, commands::cancel),
    ssm("CreateActivation", everything, activations::create),
    ssm("CreateDocument", documents::named, documents::create),
    ssm("DeleteActivation", everything, activations::delete),
    ssm("DeleteDocument", documents::named, documents::delete),
    ssm("DeregisterManagedInstance", instances::named, instances::deregister),
    ssm("DescribeActivations", everything, activations::describe),
    ssm("DescribeDocument", documents::named, document_views::describe),
    ssm("DescribeInstanceInformation", everything, instances::describe),
    ssm("DescribeInstanceProperties", everything, instances::describe_properties),
    ssm("DescribeSessions", everything, session_list::describe),
    ssm("GetCommandInvocation", everything, command_listing::get),
    ssm("GetConnectionStatus", sessions::target, sessions::connection_status),
    ssm("GetDocument", documents::named, document_views::get),
    ssm("GetInventory", everything, inventory::get),
    ssm("GetServiceSetting", service_settings::named, service_settings::get),
    ssm("ListAssociations", everything, associations::list),
    ssm("ListCommandInvocations", everything, command_listing::list_invocations),
    ssm("ListCommands", everything, command_listing::list),
    ssm("ListInstanceAssociations", instances::named, associations::list_of_node),
    ssm("ListTagsForResource", tagging::resource, tagging::list),
    ssm("PutInventory", instances::named, inventory::put),
    ssm("RemoveTagsFromResource", tagging::resource, tagging::remove),
    ssm("ResetServiceSetting", service_settings::named, service_settings::reset),
    ssm("ResumeSession", sessions::named, sessions::resume),
    ssm("SendCommand", commands::sent, commands::send),
    ssm("StartSession", sessions::target_and_document, sessions::start),
    ssm("TerminateSession", sessions::named, sessions::terminate),
    ssm("UpdateDocument", documents::named, documents::update),
    ssm("UpdateDocumentDefaultVersion", documents::named, documents::update_default),
    ssm("UpdateInstanceInformation", instances::named, heartbeat::update),
    ssm("UpdateManagedInstanceRole", instances::named, instances::update_role),
    ssm("UpdateServiceSetting", service_settings::named, service_settings::update),
    admitting(Admits::Anyone, ssm("RegisterManagedInstance", everything, registration::register)),
    admitting(
        Admits::NodeKey,
        ssm("RequestManagedInstanceRoleToken", everything, node_keys::request_role_token),
    ),
    admitting(
        Admits::NodeKey,
        ssm("UpdateManagedInstancePublicKey", everything, node_keys::update_public_key),
    ),
    ec2messages("AcknowledgeMessage", messages::acknowledge),
    ec2messages("DeleteMessage", messages::delete),
    ec2messages("FailMessage", messages::fail),
    ec2messages("GetEndpoint", messages::endpoint),
    Operation { idle: Some(messages::is_empty), ..ec2messages("GetMessages", messages::get) },
    ec2messages("SendReply", messages::reply),
    Operation {
        service: Service::Sts,
        ..ssm("GetCallerIdentity", everything, identity::get_caller_identity)
    },
    Operation { service: Service::CloudTrail, ..ssm("LookupEvents", everything, trail::lookup_events) },
];

/// For operations that IAM knows no resource of.
fn everything(_: &Call<'_>) -> Vec<Resource> {
    vec![Resource::any()]
}

/// Whether any service here has an operation of this name, the channels' ones included.
#[must_use]
pub fn is_served(name: &str) -> bool {
    channels::OPERATIONS.contains(&name) || OPERATIONS.iter().any(|operation| operation.name == name)
}

/// Finds an operation; one that AWS has and the lab has not is told apart from one that nobody has.
pub fn find(service: Service, name: &str) -> Result<&'static Operation, ApiError> {
    let found = OPERATIONS.iter().find(|operation| operation.service == service && operation.name == name);
    found.ok_or_else(|| {
        if model::is_known_elsewhere(name) {
            let message = format!("the lab does not serve {name}; docs/lab.md lists what it serves");
            return ApiError { status: 501, ..ApiError::client("NotImplemented", message) };
        }
        ApiError::client("UnknownOperationException", "")
    })
}

impl Operation {
    /// The action as IAM names it.
    #[must_use]
    pub fn action(&self) -> String {
        format!("{}:{}", self.service.name(), self.name)
    }

    /// Its model; STS has none here.
    #[must_use]
    pub fn model(&self) -> Option<Modelled> {
        model::find(self.name)
    }

    /// Checks what is asked against the model.
    pub fn check_input(&self, input: &Value) -> Result<(), ApiError> {
        let checked = self.model().map_or(Ok(()), |model| model.check_input(input));
        match self.service {
            Service::CloudTrail => checked.map_err(|error| trail::own_error(input, error)),
            _ => checked,
        }
    }

    /// What the call touches, for the policies.
    #[must_use]
    pub fn touches(&self, call: &Call<'_>) -> Vec<Resource> {
        (self.touches)(call)
    }

    /// Whether this answer is to be held back until something happens or the caller has waited long enough: the
    /// operation is a long poll, and there is nothing to tell.
    #[must_use]
    pub fn is_idle(&self, answer: &Value) -> bool {
        self.idle.is_some_and(|idle| idle(answer))
    }

    /// Does it. An answer that AWS's model does not allow is the lab's own fault, and is told as that.
    pub fn run(&self, call: &mut Call<'_>) -> Result<Value, ApiError> {
        let answer = (self.run)(call)?;
        if let Some(model) = self.model() {
            model.check_output(&answer).map_err(|error| {
                ApiError::internal(format!("the answer of {} breaks its model: {}", self.name, error.message))
            })?;
        }
        Ok(answer)
    }
}

/// A structure of those members that have a value.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let told = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(told.collect::<Map<_, _>>())
}

/// The node that a call names in `member`, which has to be the one whose role calls.
fn own_node(call: &Call<'_>, member: &str) -> Result<ManagedNodeId, ApiError> {
    let named = call.input.get(member).and_then(Value::as_str).unwrap_or_default();
    let node = match call.caller {
        Caller::Role(node) if node.as_str() == named => node.clone(),
        other => {
            return Err(ApiError::access_denied(format!("User: {other} may not speak for node {named}")));
        }
    };
    match call.state.estate.node(&node) {
        Some(_) => Ok(node),
        None => Err(instances::not_registered(&node)),
    }
}
