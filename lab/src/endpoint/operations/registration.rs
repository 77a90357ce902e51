//! `RegisterManagedInstance`: the one unsigned call; an activation's id and code are its proof.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use super::activations::digest;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{ManagedNode, Reported};
use crate::endpoint::faults::ActivationState;
use crate::ids::{ActivationId, ManagedNodeId};
use crate::node_key::NodePublicKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Register {
    activation_code: String,
    activation_id: String,
    fingerprint: String,
    public_key: String,
    public_key_type: Option<String>,
}

pub(super) fn register(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Register = call.input()?;
    let public_key = read_key(request.public_key_type.as_deref(), &request.public_key)?;
    let invalid =
        || ApiError::client("InvalidActivation", "The activation ID and activation code do not match");
    let id = ActivationId::parse(&request.activation_id).map_err(|_| invalid())?;
    let (now, endpoint) = (call.now, call.endpoint);
    let estate = call.estate();
    let activation = estate
        .activation_mut(&id)
        .filter(|activation| activation.code_digest == digest(&request.activation_code))
        .ok_or_else(invalid)?;
    // Overlays, for as long as they are ordered: the activation itself stays as it is.
    let fault = endpoint.faults().activation(&id);
    if activation.is_expired(now) || fault == Some(ActivationState::Expired) {
        return Err(ApiError::client("ActivationExpired", format!("activation {id} has expired")));
    }
    if activation.registrations_count >= activation.registration_limit || fault == Some(ActivationState::Full)
    {
        return Err(ApiError::client(
            "RegistrationLimitExceeded",
            format!("activation {id} has reached its limit of {}", activation.registration_limit),
        ));
    }
    activation.registrations_count += 1;
    let node = ManagedNode {
        activation_id: id,
        iam_role: activation.iam_role.clone(),
        name: activation.default_instance_name.clone(),
        tags: activation.tags.clone(),
        public_key,
        fingerprint: request.fingerprint,
        registered: now,
        last_ping: None,
        pings: 0,
        reported: Reported::default(),
        wants_new_key: false,
        deregistered: false,
    };
    let node_id = ManagedNodeId::random();
    estate.nodes.insert(node_id.clone(), node);
    Ok(json!({"InstanceId": node_id}))
}

/// Reads a node's public key as registration and key renewal send it.
pub(super) fn read_key(kind: Option<&str>, key: &str) -> Result<NodePublicKey, ApiError> {
    let invalid = |message: String| ApiError::client("InvalidPublicKey", message);
    match kind {
        Some("Rsa") => NodePublicKey::from_base64(key).map_err(|error| invalid(error.to_string())),
        other => Err(invalid(format!("the key type {} is not Rsa", other.unwrap_or("null")))),
    }
}
