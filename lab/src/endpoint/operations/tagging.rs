//! `AddTagsToResource`, `RemoveTagsFromResource`, `ListTagsForResource`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Estate;
use crate::endpoint::tags::{self, Tag, Tags};
use crate::endpoint::validation::{parse, require};
use crate::ids::{ActivationId, ManagedNodeId};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    resource_type: Option<String>,
    resource_id: Option<String>,
    tags: Option<Vec<Tag>>,
    tag_keys: Option<Vec<String>>,
}

#[derive(Debug)]
enum Resource {
    Node(ManagedNodeId),
    Activation(ActivationId),
}

impl Request {
    /// `ManagedInstance` is AWS's word; `Activation` is the lab's own, since AWS never lets an activation's tags change.
    fn resource(&mut self) -> Result<Resource, ApiError> {
        let kind = require("resourceType", self.resource_type.take())?;
        let id = require("resourceId", self.resource_id.take())?;
        match kind.as_str() {
            "ManagedInstance" => {
                ManagedNodeId::parse(&id).map(Resource::Node).map_err(|error| invalid_id(&error.to_string()))
            }
            "Activation" => ActivationId::parse(&id)
                .map(Resource::Activation)
                .map_err(|error| invalid_id(&error.to_string())),
            other => Err(ApiError::client(
                "InvalidResourceType",
                format!("{other} is not a valid resource type; ManagedInstance and Activation are"),
            )),
        }
    }
}

impl Resource {
    fn tags<'a>(&self, estate: &'a mut Estate) -> Result<&'a mut Tags, ApiError> {
        match self {
            Self::Node(id) => estate
                .node_mut(id)
                .map(|node| &mut node.tags)
                .ok_or_else(|| invalid_id(&format!("{id} is not a registered managed instance"))),
            Self::Activation(id) => estate
                .activations
                .get_mut(id)
                .filter(|activation| !activation.deleted)
                .map(|activation| &mut activation.tags)
                .ok_or_else(|| invalid_id(&format!("there is no activation {id}"))),
        }
    }
}

fn invalid_id(message: &str) -> ApiError {
    ApiError::client("InvalidResourceId", message)
}

pub(super) fn add(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut request: Request = parse(call.body)?;
    let resource = request.resource()?;
    let added = tags::collect(require("tags", request.tags)?)?;
    tags::merge(resource.tags(&mut call.endpoint.estate())?, added)?;
    Ok(json!({}))
}

pub(super) fn remove(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut request: Request = parse(call.body)?;
    let resource = request.resource()?;
    let keys = require("tagKeys", request.tag_keys)?;
    resource.tags(&mut call.endpoint.estate())?.retain(|key, _| !keys.contains(key));
    Ok(json!({}))
}

pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut request: Request = parse(call.body)?;
    let resource = request.resource()?;
    let mut estate = call.endpoint.estate();
    Ok(json!({"TagList": tags::to_json(resource.tags(&mut estate)?)}))
}
