//! `AddTagsToResource`, `RemoveTagsFromResource`, `ListTagsForResource`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::endpoint::authorize::Resource;
use crate::endpoint::error::ApiError;
use crate::endpoint::tags::{self, Tag};
use crate::ids::ManagedNodeId;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    resource_type: String,
    resource_id: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl Request {
    /// The model knows more types of resources than the lab has.
    fn node(&self) -> Result<ManagedNodeId, ApiError> {
        if self.resource_type != "ManagedInstance" {
            return Err(ApiError::client(
                "InvalidResourceType",
                format!(
                    "the lab has tags on resources of type ManagedInstance, not on {}",
                    self.resource_type
                ),
            ));
        }
        ManagedNodeId::parse(&self.resource_id).map_err(|error| invalid_id(&error.to_string()))
    }
}

fn invalid_id(message: &str) -> ApiError {
    ApiError::client("InvalidResourceId", message)
}

fn unknown(id: &ManagedNodeId) -> ApiError {
    invalid_id(&format!("{id} is not a registered managed instance"))
}

/// The node that a tagging call names.
pub(super) fn resource(call: &Call<'_>) -> Vec<Resource> {
    match call.input().and_then(|request: Request| request.node()) {
        Ok(id) => vec![call.node(&id)],
        Err(_) => vec![Resource::any()],
    }
}

pub(super) fn add(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Request = call.input()?;
    let id = request.node()?;
    let added = tags::collect(request.tags)?;
    tags::merge(&mut call.estate().node_mut(&id).ok_or_else(|| unknown(&id))?.tags, added)?;
    Ok(json!({}))
}

pub(super) fn remove(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Request = call.input()?;
    let id = request.node()?;
    let node = call.estate().node_mut(&id).ok_or_else(|| unknown(&id))?;
    node.tags.retain(|key, _| !request.tag_keys.contains(key));
    Ok(json!({}))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Request = call.input()?;
    let id = request.node()?;
    let node = call.estate().node(&id).ok_or_else(|| unknown(&id))?;
    Ok(json!({"TagList": tags::to_json(&node.tags)}))
}
