//! `UpdateInstanceInformation`: the agent's heartbeat, and what it says of its host.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use super::instances::not_registered;
use crate::endpoint::caller::Caller;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Reported;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Update {
    instance_id: String,
    #[serde(flatten)]
    reported: Reported,
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Update = call.input()?;
    let id = match call.caller {
        Caller::Role(id) if id.as_str() == request.instance_id => id,
        other => {
            return Err(ApiError::access_denied(format!(
                "User: {other} is not authorized to perform: ssm:UpdateInstanceInformation on resource: {}",
                request.instance_id
            )));
        }
    };
    let now = call.now;
    let node = call.estate().node_mut(id).ok_or_else(|| not_registered(id))?;
    node.last_ping = Some(now);
    node.pings += 1;
    node.reported.update(request.reported);
    Ok(json!({}))
}
