//! `RequestManagedInstanceRoleToken` and `UpdateManagedInstancePublicKey`: what a node asks for with its own key.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use super::registration::read_key;
use crate::endpoint::ROLE_TOKEN_LIFE;
use crate::endpoint::caller::Caller;
use crate::endpoint::clock::epoch_seconds;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::RoleToken;
use crate::endpoint::iam::keys::{access_key_id, random_text};
use crate::ids::ManagedNodeId;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RequestToken {
    fingerprint: String,
}

pub(super) fn request_role_token(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: RequestToken = call.input()?;
    let id = node_of(call.caller)?;
    let (now, endpoint) = (call.now, call.endpoint);
    let estate = call.estate();
    let node = estate.node(id).ok_or_else(|| gone(id))?;
    if node.fingerprint != request.fingerprint || endpoint.faults().fingerprint(id) {
        return Err(ApiError::client(
            "MachineFingerprintDoesNotMatch",
            format!("the fingerprint is not the one {id} registered with"),
        ));
    }
    let wants_new_key = node.wants_new_key;
    let (key_id, secret, session) = (access_key_id("ASIA"), random_text(40), random_text(320));
    let expires = now.saturating_add(ROLE_TOKEN_LIFE).unwrap_or(now);
    estate.forget_old_tokens(id, now);
    estate.tokens.insert(
        key_id.clone(),
        RoleToken {
            node: id.clone(),
            secret_access_key: secret.clone().into(),
            session_token: session.clone().into(),
            expires,
        },
    );
    Ok(json!({
        "AccessKeyId": key_id,
        "SecretAccessKey": secret,
        "SessionToken": session,
        "TokenExpirationDate": epoch_seconds(expires),
        "UpdateKeyPair": wants_new_key,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateKey {
    new_public_key: String,
    new_public_key_type: Option<String>,
}

pub(super) fn update_public_key(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: UpdateKey = call.input()?;
    let key = read_key(request.new_public_key_type.as_deref(), &request.new_public_key)?;
    let id = node_of(call.caller)?;
    let node = call.estate().node_mut(id).ok_or_else(|| gone(id))?;
    node.public_key = key;
    node.wants_new_key = false;
    Ok(json!({}))
}

fn node_of(caller: &Caller) -> Result<&ManagedNodeId, ApiError> {
    match caller {
        Caller::Node(id) => Ok(id),
        other => Err(ApiError::access_denied(format!("{other} does not sign with a node key"))),
    }
}

fn gone(id: &ManagedNodeId) -> ApiError {
    ApiError::access_denied(format!("{id} is not a registered managed instance"))
}
