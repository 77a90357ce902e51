//! `DescribeInstanceInformation` and `DeregisterManagedInstance`.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Call;
use super::instance_filters::{Filter, Requested};
use crate::endpoint::clock::epoch_seconds;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{ManagedNode, PingStatus};
use crate::endpoint::listing::page;
use crate::endpoint::validation::{Violations, parse, require};
use crate::ids::ManagedNodeId;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(flatten)]
    filters: Requested,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: Describe = parse(call.body)?;
    let max_results = request.max_results.unwrap_or(10);
    let mut violations = Violations::default();
    violations.range("maxResults", max_results, 5..=50);
    violations.into_result()?;
    let filters = request.filters.into_filters()?;
    let now = call.endpoint.clock.now();
    let lost_after = call.endpoint.settings.connection_lost_after;
    let estate = call.endpoint.estate();
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
    let max_results = usize::try_from(max_results).unwrap_or(10);
    let page = page("instances", items, max_results, request.next_token.as_deref())?;
    let mut answer = json!({"InstanceInformationList": page.items});
    if let (Some(token), Value::Object(members)) = (page.next_token, &mut answer) {
        members.insert("NextToken".to_owned(), token.into());
    }
    Ok(answer)
}

fn shown(id: &ManagedNodeId, node: &ManagedNode, status: PingStatus) -> Value {
    let reported = &node.reported;
    let time = |time: Timestamp| json!(epoch_seconds(time));
    let members = [
        ("InstanceId", Some(json!(id))),
        ("PingStatus", Some(json!(status.as_str()))),
        ("LastPingDateTime", node.last_ping.map(time)),
        ("AgentVersion", reported.agent_version.as_ref().map(|text| json!(text))),
        ("IsLatestVersion", reported.agent_version.as_ref().map(|_| json!(true))),
        ("PlatformType", reported.platform_type.as_ref().map(|text| json!(text))),
        ("PlatformName", reported.platform_name.as_ref().map(|text| json!(text))),
        ("PlatformVersion", reported.platform_version.as_ref().map(|text| json!(text))),
        ("ActivationId", Some(json!(node.activation_id))),
        ("IamRole", Some(json!(node.iam_role))),
        ("RegistrationDate", Some(time(node.registered))),
        ("ResourceType", Some(json!("ManagedInstance"))),
        ("Name", node.name.as_ref().map(|text| json!(text))),
        ("IPAddress", reported.ip_address.as_ref().map(|text| json!(text))),
        ("ComputerName", reported.computer_name.as_ref().map(|text| json!(text))),
        ("SourceId", Some(json!(id))),
        ("SourceType", Some(json!("AWS::SSM::ManagedInstance"))),
    ];
    let told = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(told.collect::<Map<_, _>>())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Deregister {
    instance_id: Option<String>,
}

pub(super) fn deregister(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: Deregister = parse(call.body)?;
    let text = require("instanceId", request.instance_id)?;
    let Ok(id) = ManagedNodeId::parse(&text) else {
        let mut violations = Violations::default();
        violations.pattern("instanceId", &text, false, "(^mi-[0-9a-f]{17}$)");
        return violations.into_result().map(|()| json!({}));
    };
    let mut estate = call.endpoint.estate();
    let node = estate
        .node_mut(&id)
        .ok_or_else(|| ApiError::invalid_instance(format!("{id} is not a registered managed instance")))?;
    node.deregistered = true;
    Ok(json!({}))
}
