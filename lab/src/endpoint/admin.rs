//! The admin listener: what a test may see of the endpoint, and what it may order. No AWS API, no signatures; it
//! never shows a code, a key or a token.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Endpoint;
use super::clock::epoch_seconds;
use super::faults::Fault;
use crate::ids::ManagedNodeId;

/// The admin API as an axum application.
pub fn router(endpoint: Arc<Endpoint>) -> Router {
    Router::new()
        .route("/state", get(state))
        .route("/faults", get(open_faults).post(order_fault).delete(clear_faults))
        .route("/clock", post(advance_clock))
        .route("/renew-key", post(renew_key))
        .with_state(endpoint)
}

async fn state(State(endpoint): State<Arc<Endpoint>>) -> Json<Value> {
    let now = endpoint.clock.now();
    let lost_after = endpoint.settings.connection_lost_after;
    let calls = endpoint.calls().clone();
    let estate = endpoint.estate();
    let activations: Vec<Value> = estate
        .activations
        .iter()
        .map(|(id, activation)| {
            json!({
                "id": id,
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
        })
        .collect();
    let instances: Vec<Value> = estate
        .nodes
        .iter()
        .map(|(id, node)| {
            json!({
                "id": id,
                "activation_id": node.activation_id,
                "iam_role": node.iam_role,
                "name": node.name,
                "tags": node.tags,
                "ping_status": node.ping_status(now, lost_after).as_str(),
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
        })
        .collect();
    Json(json!({"schema": 1, "activations": activations, "instances": instances, "calls": calls}))
}

async fn open_faults(State(endpoint): State<Arc<Endpoint>>) -> Json<Value> {
    Json(json!(endpoint.faults().open()))
}

async fn order_fault(
    State(endpoint): State<Arc<Endpoint>>,
    Json(fault): Json<Fault>,
) -> (StatusCode, Json<Value>) {
    if !(400..=599).contains(&fault.status) {
        return refuse("status must be 400 to 599");
    }
    endpoint.faults().order(fault);
    (StatusCode::CREATED, Json(json!(endpoint.faults().open())))
}

async fn clear_faults(State(endpoint): State<Arc<Endpoint>>) -> StatusCode {
    endpoint.faults().clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

async fn advance_clock(State(endpoint): State<Arc<Endpoint>>, Json(by): Json<Advance>) -> Json<Value> {
    endpoint.clock.advance(Duration::from_secs(by.advance_seconds));
    Json(json!({"now": epoch_seconds(endpoint.clock.now())}))
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
    match endpoint.estate().node_mut(&of.instance_id) {
        Some(node) => {
            node.wants_new_key = true;
            (StatusCode::OK, Json(json!({})))
        }
        None => refuse("no such instance"),
    }
}

fn refuse(why: &str) -> (StatusCode, Json<Value>) {
    (StatusCode::BAD_REQUEST, Json(json!({"error": why})))
}
