//! Managed nodes as the control plane sees them: described, given another role, deregistered.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::instance_filters::{Filter, Requested};
use super::{Call, object};
use crate::endpoint::authorize::Resource;
use crate::endpoint::clock::epoch_seconds;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{ManagedNode, PingStatus};
use crate::endpoint::listing::{Page, page};
use crate::endpoint::sessions::ending;
use crate::ids::ManagedNodeId;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(flatten)]
    filters: Requested,
    max_results: Option<usize>,
    next_token: Option<String>,
}

pub(super) fn describe(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let page = pages(call, "instances", shown)?;
    Ok(page.answer("InstanceInformationList"))
}

pub(super) fn describe_properties(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let page = pages(call, "properties", properties)?;
    Ok(page.answer("InstanceProperties"))
}

type Shown = fn(&ManagedNodeId, &ManagedNode, PingStatus) -> Value;

fn pages(call: &mut Call<'_>, listing: &str, shown: Shown) -> Result<Page, ApiError> {
    let request: Describe = call.input()?;
    let filters = request.filters.into_filters()?;
    let (now, lost_after) = (call.now, call.endpoint.settings.connection_lost_after);
    let estate = call.estate();
    for id in filters.iter().filter_map(Filter::instance_ids).flatten() {
        if estate.node(id).is_none() {
            return Err(ApiError::invalid_instance(format!(
                "Instances [[{id}]] not in a valid state for account"
            )));
        }
    }
    let items = estate
        .nodes
        .iter()
        .filter(|(_, node)| !node.deregistered)
        .map(|(id, node)| (id, node, node.ping_status(now, lost_after)))
        .filter(|(id, node, status)| filters.iter().all(|filter| filter.fits(id, node, *status)))
        .map(|(id, node, status)| (id.to_string(), shown(id, node, status)));
    page(listing, items, request.max_results.unwrap_or(10), request.next_token.as_deref())
}

fn shown(id: &ManagedNodeId, node: &ManagedNode, status: PingStatus) -> Value {
    let reported = &node.reported;
    object([
        ("InstanceId", Some(json!(id))),
        ("PingStatus", Some(json!(status.as_str()))),
        ("LastPingDateTime", node.last_ping.map(time)),
        ("AgentVersion", text(reported.agent_version.as_ref())),
        ("IsLatestVersion", reported.agent_version.as_ref().map(|_| json!(true))),
        ("PlatformType", text(reported.platform_type.as_ref())),
        ("PlatformName", text(reported.platform_name.as_ref())),
        ("PlatformVersion", text(reported.platform_version.as_ref())),
        ("ActivationId", Some(json!(node.activation_id))),
        ("IamRole", Some(json!(node.iam_role))),
        ("RegistrationDate", Some(time(node.registered))),
        ("ResourceType", Some(json!("ManagedInstance"))),
        ("Name", text(node.name.as_ref())),
        ("IPAddress", text(reported.ip_address.as_ref())),
        ("ComputerName", text(reported.computer_name.as_ref())),
        ("SourceId", Some(json!(id))),
        ("SourceType", Some(json!("AWS::SSM::ManagedInstance"))),
    ])
}

fn properties(id: &ManagedNodeId, node: &ManagedNode, status: PingStatus) -> Value {
    let reported = &node.reported;
    object([
        ("Name", text(node.name.as_ref())),
        ("InstanceId", Some(json!(id))),
        ("ActivationId", Some(json!(node.activation_id))),
        ("IamRole", Some(json!(node.iam_role))),
        ("RegistrationDate", Some(time(node.registered))),
        ("ResourceType", Some(json!("ManagedInstance"))),
        ("IPAddress", text(reported.ip_address.as_ref())),
        ("ComputerName", text(reported.computer_name.as_ref())),
        ("PingStatus", Some(json!(status.as_str()))),
        ("LastPingDateTime", node.last_ping.map(time)),
        ("AgentVersion", text(reported.agent_version.as_ref())),
        ("PlatformType", text(reported.platform_type.as_ref())),
        ("PlatformName", text(reported.platform_name.as_ref())),
        ("PlatformVersion", text(reported.platform_version.as_ref())),
        ("SourceId", Some(json!(id))),
        ("SourceType", Some(json!("AWS::SSM::ManagedInstance"))),
    ])
}

fn time(time: Timestamp) -> Value {
    json!(epoch_seconds(time))
}

fn text(text: Option<&String>) -> Option<Value> {
    text.map(|text| json!(text))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    instance_id: String,
    iam_role: Option<String>,
}

impl Named {
    fn id(&self) -> Result<ManagedNodeId, ApiError> {
        ManagedNodeId::parse(&self.instance_id).map_err(|error| ApiError::invalid_instance(error.to_string()))
    }
}

/// The node that a call names as its `InstanceId`.
pub(super) fn named(call: &Call<'_>) -> Vec<Resource> {
    match call.input().and_then(|request: Named| request.id()) {
        Ok(id) => vec![call.node(&id)],
        Err(_) => vec![Resource::any()],
    }
}

pub(super) fn deregister(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Named = call.input()?;
    let id = request.id()?;
    call.estate().node_mut(&id).ok_or_else(|| not_registered(&id))?.deregistered = true;
    ending::terminate_on(call.endpoint, call.state, &id, "the node was deregistered", call.now);
    call.endpoint.channels.end(&id);
    Ok(json!({}))
}

pub(super) fn update_role(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Named = call.input()?;
    let id = request.id()?;
    call.estate().node_mut(&id).ok_or_else(|| not_registered(&id))?.iam_role =
        request.iam_role.unwrap_or_default();
    Ok(json!({}))
}

/// `InvalidInstanceId` for a node that is not there, or no more.
pub(super) fn not_registered(id: &ManagedNodeId) -> ApiError {
    ApiError::invalid_instance(format!("{id} is not a registered managed instance"))
}
