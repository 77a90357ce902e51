//! `RegisterManagedInstance`: the one unsigned call; an activation's id and code are its proof.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Call;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{ManagedNode, Reported};
use crate::endpoint::validation::{Violations, parse, require};
use crate::ids::{ActivationId, ManagedNodeId};
use crate::node_key::NodePublicKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Register {
    activation_code: Option<String>,
    activation_id: Option<String>,
    fingerprint: Option<String>,
    public_key: Option<String>,
    public_key_type: Option<String>,
}

pub(super) fn register(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: Register = parse(call.body)?;
    let code = require("activationCode", request.activation_code)?;
    let id = require("activationId", request.activation_id)?;
    let fingerprint = require("fingerprint", request.fingerprint)?;
    let public_key = require("publicKey", request.public_key)?;
    let mut violations = Violations::default();
    violations.length("activationCode", "***", code.chars().count(), 20..=250);
    violations.length("fingerprint", &fingerprint, fingerprint.chars().count(), 1..=1024);
    violations.into_result()?;
    let public_key = read_key(request.public_key_type.as_deref(), &public_key)?;

    let invalid =
        || ApiError::client("InvalidActivation", "The activation ID and activation code do not match");
    let id = ActivationId::parse(&id).map_err(|_| invalid())?;
    let now = call.endpoint.clock.now();
    let mut estate = call.endpoint.estate();
    let activation = estate
        .activations
        .get_mut(&id)
        .filter(|activation| !activation.deleted)
        .filter(|activation| activation.code_digest[..] == Sha256::digest(&code)[..])
        .ok_or_else(invalid)?;
    if activation.is_expired(now) {
        return Err(ApiError::client("ActivationExpired", format!("activation {id} has expired")));
    }
    if activation.registrations_count >= activation.registration_limit {
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
        fingerprint,
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
