//! `SendCommand` and `CancelCommand`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::command_listing::shown;
use super::command_targets::Whom;
use super::{Call, Resource, documents};
use crate::endpoint::commands::delivery::{Wanted, deliver, settle};
use crate::endpoint::commands::{self, Command, CommandId, MessageName, Parameters, Rate};
use crate::endpoint::commands::{progress, shell_script};
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Estate;
use crate::ids::ManagedNodeId;

/// AWS's default of `TimeoutSeconds`.
const DELIVERY_SECONDS: u32 = 3600;
const MAX_CONCURRENCY: Rate = Rate::Nodes(50);
const MAX_ERRORS: Rate = Rate::Nodes(0);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Send {
    #[serde(flatten)]
    whom: Whom,
    document_name: String,
    document_version: Option<String>,
    document_hash: Option<String>,
    timeout_seconds: Option<u32>,
    comment: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    max_concurrency: Option<Rate>,
    max_errors: Option<Rate>,
    #[serde(flatten)]
    unserved: Unserved,
}

/// What would have to arrive at services that the lab has not.
#[derive(Debug, Deserialize)]
struct Unserved {
    #[serde(rename = "OutputS3BucketName")]
    bucket: Option<String>,
    #[serde(rename = "ServiceRoleArn")]
    role: Option<String>,
    #[serde(rename = "NotificationConfig")]
    notification: Option<Value>,
    #[serde(rename = "CloudWatchOutputConfig")]
    cloud_watch: Option<Value>,
    #[serde(rename = "AlarmConfiguration")]
    alarms: Option<Value>,
}

impl Unserved {
    fn check(&self) -> Result<(), ApiError> {
        let told = |value: &Option<Value>, member: &str| {
            let member = value.as_ref().and_then(|value| value.get(member));
            member.is_some_and(|member| *member != json!("") && *member != json!(false) && !member.is_null())
        };
        let bucket = self.bucket.as_deref().unwrap_or_default();
        let (code, what) = if !bucket.is_empty() {
            (
                "InvalidOutputFolder",
                format!("bucket {bucket} does not exist: the lab has no S3; leave it out"),
            )
        } else if told(&self.notification, "NotificationArn") {
            ("InvalidNotificationConfig", "the lab has no SNS; leave NotificationConfig out".to_owned())
        } else if self.role.as_ref().is_some_and(|role| !role.is_empty()) {
            ("InvalidRole", "the lab has no SNS to take this role for; leave ServiceRoleArn out".to_owned())
        } else if told(&self.cloud_watch, "CloudWatchOutputEnabled") {
            ("InvalidParameters", "the lab has no CloudWatch; leave CloudWatchOutputConfig out".to_owned())
        } else if self.alarms.is_some() {
            ("InvalidParameters", "the lab has no CloudWatch; leave AlarmConfiguration out".to_owned())
        } else {
            return Ok(());
        };
        Err(ApiError::client(code, what))
    }
}

/// What a command touches: its document, and every node it is for.
pub(super) fn sent(call: &Call<'_>) -> Vec<Resource> {
    let document = call.input.get("DocumentName").and_then(Value::as_str).unwrap_or_default();
    let document = documents::resource(call, document);
    let nodes = call.input().and_then(|whom: Whom| whom.nodes(&call.state.estate)).unwrap_or_default();
    nodes.iter().map(|node| call.node(node)).chain([document]).collect()
}

pub(super) fn send(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Send = call.input()?;
    shell_script::check_name(&request.document_name, request.document_version.as_deref())?;
    if request.document_hash.is_some_and(|hash| !hash.is_empty()) {
        let message =
            "the lab's document is not AWS's to the byte, so it has another hash; leave DocumentHash out";
        return Err(ApiError::client("InvalidDocument", message));
    }
    let execution_seconds = shell_script::check_parameters(&request.parameters)?;
    request.unserved.check()?;
    let (endpoint, now) = (call.endpoint, call.now);
    let estate = call.estate();
    let mut nodes = request.whom.nodes(estate)?;
    // Listings page by the order of ids.
    nodes.sort_unstable();
    if !commands::has_room(estate) {
        return Err(ApiError::client(
            "ThrottlingException",
            "too many commands are not over yet; cancel some",
        ));
    }
    let id = CommandId::random();
    let command = Command {
        document_version: request.document_version.unwrap_or_else(|| "$DEFAULT".to_owned()),
        parameters: request.parameters,
        comment: request.comment,
        instance_ids: request.whom.named(estate)?,
        targets: request.whom.targets,
        nodes,
        max_concurrency: request.max_concurrency.unwrap_or(MAX_CONCURRENCY),
        max_errors: request.max_errors.unwrap_or(MAX_ERRORS),
        delivery_seconds: request.timeout_seconds.unwrap_or(DELIVERY_SECONDS),
        execution_seconds,
        requested: now,
        over: false,
    };
    commands::add(estate, id, command);
    // What is answered is how it stands before anything was sent.
    let answer = estate.commands.get(&id).map(|command| shown(estate, id, command));
    settle(endpoint, estate, id, now);
    Ok(json!({"Command": answer}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cancel {
    command_id: String,
    #[serde(flatten)]
    whom: Whom,
}

fn to_cancel(estate: &Estate, request: &Cancel) -> Result<(CommandId, Vec<ManagedNodeId>), ApiError> {
    let id = command_id(&request.command_id)?;
    let command = estate.commands.get(&id).ok_or_else(|| {
        ApiError::client("InvalidCommandId", format!("there is no command {}", request.command_id))
    })?;
    let named = request.whom.named(estate)?;
    match named.iter().find(|node| !command.nodes.contains(node)) {
        Some(other) => Err(ApiError::invalid_instance(format!("command {id} is not for {other}"))),
        None if named.is_empty() => Ok((id, command.nodes.clone())),
        None => Ok((id, named)),
    }
}

pub(super) fn cancel(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Cancel = call.input()?;
    let (endpoint, now) = (call.endpoint, call.now);
    let estate = call.estate();
    let (id, nodes) = to_cancel(estate, &request)?;
    settle(endpoint, estate, id, now);
    for node in &nodes {
        progress::cancel(estate, &MessageName { node: node.clone(), command: id }, now);
    }
    for node in &nodes {
        deliver(endpoint, estate, node, Wanted::Unsent, now);
    }
    settle(endpoint, estate, id, now);
    Ok(json!({}))
}

/// Reads a command's id.
pub(super) fn command_id(text: &str) -> Result<CommandId, ApiError> {
    CommandId::parse(text).map_err(|error| ApiError::client("InvalidCommandId", error.to_string()))
}
