//! The admin listener: what a test may see of the endpoint, and what it may order. No AWS API, no signatures; it
//! never shows a code, a key or a token.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Endpoint;
use super::audit::lookup::records_since;
use super::clock::epoch_seconds;
use super::error::ApiError;
use super::estate::{Activation, ManagedNode, PingStatus};
use super::faults;
use super::sessions::{SessionId, transcript};
use crate::ids::{ActivationId, ManagedNodeId};

/// The admin API as an axum application.
pub fn router(endpoint: Arc<Endpoint>) -> Router {
    Router::new()
        .route("/state", get(state))
        .route("/events", get(events))
        .route("/renew-key", post(renew_key))
        .merge(faults::admin::routes())
        .route("/sessions/{id}/transcript", get(show_transcript))
        .with_state(endpoint)
}

async fn state(State(endpoint): State<Arc<Endpoint>>) -> Json<Value> {
    let now = endpoint.clock.now();
    let lost_after = endpoint.settings.connection_lost_after;
    let calls = endpoint.calls().clone();
    let clock = faults::admin::clock(&endpoint);
    let (faults, spent) = {
        let faults = endpoint.faults();
        (json!(faults.active()), json!(faults.spent().collect::<Vec<_>>()))
    };
    endpoint.read(|estate| {
        let activations: Vec<Value> =
            estate.activations.iter().map(|(id, activation)| show_activation(id, activation, now)).collect();
        let instances: Vec<Value> = estate
            .nodes
            .iter()
            .map(|(id, node)| {
                show_node(id, node, node.ping_status(now, lost_after), endpoint.channels.is_connected(id))
            })
            .collect();
        Json(json!({
            "schema": 1,
            "activations": activations,
            "instances": instances,
            "calls": calls,
            "clock": clock,
            "faults": faults,
            "spent_faults": spent,
        }))
    })
}

fn show_activation(id: &ActivationId, activation: &Activation, now: Timestamp) -> Value {
    json!({
        "id": id,
        "code_sha256": activation.code_digest,
        "iam_role": activation.iam_role,
        "default_instance_name": activation.default_instance_name,
        "limit": activation.registration_limit,
        "registrations_count": activation.registrations_count,
        "created": epoch_seconds(activation.created),
        "expires": epoch_seconds(activation.expires),
        "expired": activation.is_expired(now),
        "tags": activation.tags,
        "deleted": activation.deleted,
    })
}

fn show_node(id: &ManagedNodeId, node: &ManagedNode, status: PingStatus, connected: bool) -> Value {
    json!({
        "id": id,
        "activation_id": node.activation_id,
        "iam_role": node.iam_role,
        "name": node.name,
        "tags": node.tags,
        "ping_status": status.as_str(),
        "control_channel": connected,
        "registered": epoch_seconds(node.registered),
        "last_ping": node.last_ping.map(epoch_seconds),
        "pings": node.pings,
        "agent_version": node.reported.agent_version,
        "computer_name": node.reported.computer_name,
        "ip_address": node.reported.ip_address,
        "platform_name": node.reported.platform_name,
        "platform_version": node.reported.platform_version,
        "deregistered": node.deregistered,
    })
}

/// Records that one answer of `/events` has at most; who follows asks again.
const MOST_EVENTS: usize = 1_000;

/// CloudTrail records as lines of JSON, oldest first, those after the event `since` if it is named.
async fn events(State(endpoint): State<Arc<Endpoint>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let since = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "since");
    let since = since.as_ref().map(|(_, id)| id.as_ref());
    let records = endpoint.change(|state| {
        records_since(&state.database, since, MOST_EVENTS)
            .map_err(|error| ApiError::internal(format!("the events cannot be read: {error}")))
    });
    match records {
        Ok(Some(records)) => {
            let lines: String = records.iter().flat_map(|record| [record.as_str(), "\n"]).collect();
            ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
        }
        Ok(None) => refuse("no such event is kept; leave since out to start with the oldest").into_response(),
        Err(error) => refuse(&error.message).into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenewKey {
    instance_id: ManagedNodeId,
}

async fn renew_key(
    State(endpoint): State<Arc<Endpoint>>,
    Json(of): Json<RenewKey>,
) -> (StatusCode, Json<Value>) {
    let ordered = endpoint.change(|state| {
        let node = state.estate.node_mut(&of.instance_id);
        node.ok_or_else(|| ApiError::invalid_instance("no such instance"))?.wants_new_key = true;
        Ok(())
    });
    match ordered {
        Ok(()) => (StatusCode::OK, Json(json!({}))),
        Err(error) => refuse(&error.message),
    }
}

/// What was typed and seen in a session, as text.
async fn show_transcript(
    State(endpoint): State<Arc<Endpoint>>,
    Path(id): Path<String>,
) -> Result<String, (StatusCode, Json<Value>)> {
    let unknown = || (StatusCode::NOT_FOUND, Json(json!({"error": "there is no such session"})));
    let id = SessionId::parse(&id).map_err(|_| unknown())?;
    let failed = |why: String| (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": why})));
    if let Some(live) = endpoint.sessions.get(&id) {
        transcript::write_down(&endpoint, &id, &live).map_err(|error| failed(error.message))?;
    }
    endpoint
        .change(|state| {
            transcript::transcript(&state.database, &id)
                .map_err(|error| ApiError::internal(error.to_string()))
        })
        .map_err(|error| failed(error.message))?
        .ok_or_else(unknown)
}

/// A refusal of the admin API.
pub(super) fn refuse(why: &str) -> (StatusCode, Json<Value>) {
    (StatusCode::BAD_REQUEST, Json(json!({"error": why})))
}
