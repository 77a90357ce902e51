//! `UpdateInstanceInformation`: the agent's heartbeat, and what it says of its host.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::endpoint::caller::Caller;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Reported;
use crate::endpoint::validation::{parse, require};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Update {
    instance_id: Option<String>,
    #[serde(flatten)]
    reported: Reported,
}

pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: Update = parse(call.body)?;
    let instance_id = require("instanceId", request.instance_id)?;
    let id = match call.caller {
        Caller::Role(id) if id.as_str() == instance_id => id,
        other => {
            return Err(ApiError::access_denied(format!(
                "User: {other} is not authorized to perform: ssm:UpdateInstanceInformation on resource: {instance_id}"
            )));
        }
    };
    let now = call.endpoint.clock.now();
    let mut estate = call.endpoint.estate();
    let node = estate
        .node_mut(id)
        .ok_or_else(|| ApiError::invalid_instance(format!("{id} is not a registered managed instance")))?;
    node.last_ping = Some(now);
    node.pings += 1;
    node.reported.update(request.reported);
    Ok(json!({}))
}
