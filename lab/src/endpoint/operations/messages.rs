//! The agent's older message service, ec2messages: what waits for a node is polled, acknowledged, answered and deleted.
//! A node whose control channel is open gets its messages there, and nothing here.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Call, own_node};
use crate::endpoint::caller::Caller;
use crate::endpoint::commands::delivery::{self, Post, Wanted};
use crate::endpoint::commands::{MessageName, Outcome, progress};
use crate::endpoint::error::ApiError;
use crate::ids::ManagedNodeId;

/// How long a message that was shown stays hidden if the agent does not say; the real agent says ten seconds.
const HIDDEN: i64 = 10;
const LONGEST_HIDDEN: i64 = 12 * 3600;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Get {
    messages_request_id: String,
    visibility_timeout_in_seconds: Option<i64>,
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Get = call.input()?;
    let node = own_node(call, "Destination")?;
    let (endpoint, now) = (call.endpoint, call.now);
    let seconds = request.visibility_timeout_in_seconds.unwrap_or(HIDDEN).clamp(0, LONGEST_HIDDEN);
    let hidden_until = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    let estate = call.estate();
    delivery::settle_node(endpoint, estate, &node, now);
    let posts = if endpoint.channels.is_connected(&node) {
        Vec::new()
    } else {
        delivery::posts(estate, &node, Wanted::Visible(now))
    };
    for post in &posts {
        progress::sent(estate, &post.name, hidden_until);
    }
    let messages: Vec<Value> = posts.iter().map(|post| shown(&node, post)).collect();
    Ok(json!({
        "Destination": node, "Messages": messages, "MessagesRequestId": request.messages_request_id,
    }))
}

/// Whether `GetMessages` has nothing to tell.
pub(super) fn is_empty(answer: &Value) -> bool {
    answer.get("Messages").and_then(Value::as_array).is_none_or(Vec::is_empty)
}

fn shown(node: &ManagedNodeId, post: &Post) -> Value {
    json!({
        "CreatedDate": post.created.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        "Destination": node,
        "MessageId": post.name,
        "PayloadDigest": hex::encode(Sha256::digest(post.content.as_bytes())),
        "Payload": post.content,
        "Topic": post.topic,
    })
}

/// The message a call names, which has to be for the node whose role calls.
fn named(call: &Call<'_>) -> Result<MessageName, ApiError> {
    let text = call.input.get("MessageId").and_then(Value::as_str).unwrap_or_default();
    let name = MessageName::parse(text).map_err(|error| ApiError::validation(error.to_string()))?;
    match call.caller {
        Caller::Role(node) if *node == name.node => Ok(name),
        other => Err(ApiError::access_denied(format!("User: {other} may not answer the message {name}"))),
    }
}

pub(super) fn acknowledge(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let name = named(call)?;
    let (endpoint, now) = (call.endpoint, call.now);
    delivery::settle(endpoint, call.estate(), name.command, now);
    progress::taken(call.estate(), &name, now);
    Ok(json!({}))
}

/// A message that is deleted is not shown again, so the agent has to have it.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Value, ApiError> {
    acknowledge(call)
}

pub(super) fn reply(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let name = named(call)?;
    let payload = call.input.get("Payload").and_then(Value::as_str).unwrap_or_default();
    let (endpoint, now) = (call.endpoint, call.now);
    delivery::tell_text(endpoint, &mut call.state.estate, &name, payload, now)?;
    Ok(json!({}))
}

pub(super) fn fail(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let name = named(call)?;
    let (endpoint, now) = (call.endpoint, call.now);
    let estate = call.estate();
    delivery::settle(endpoint, estate, name.command, now);
    progress::end(estate, &name, Outcome::Failed);
    delivery::settle(endpoint, estate, name.command, now);
    Ok(json!({}))
}

/// There is no other address than the one called, so none is named.
pub(super) fn endpoint(call: &mut Call<'_>) -> Result<Value, ApiError> {
    own_node(call, "Destination")?;
    Ok(json!({"Endpoint": {"Protocol": call.input.get("Protocol")}}))
}
