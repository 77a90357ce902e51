//! The part of the admin API that orders, shows and clears faults; the clock is one of them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Order;
use crate::endpoint::Endpoint;
use crate::endpoint::admin::refuse;
use crate::endpoint::clock::epoch_seconds;

/// `/faults` and `/clock`.
pub(in crate::endpoint) fn routes() -> Router<Arc<Endpoint>> {
    Router::new()
        .route("/faults", get(show).post(order).delete(clear_all))
        .route("/faults/{id}", delete(clear_one))
        .route("/clock", get(show_clock).post(set_clock).delete(right_clock))
}

async fn show(State(endpoint): State<Arc<Endpoint>>) -> Json<Value> {
    Json(json!(endpoint.faults().active()))
}

async fn order(
    State(endpoint): State<Arc<Endpoint>>,
    Json(members): Json<Map<String, Value>>,
) -> (StatusCode, Json<Value>) {
    let order = match Order::read(members) {
        Ok(order) => order,
        Err(why) => return refuse(&why),
    };
    match endpoint.order(order) {
        Ok(fault) => (StatusCode::CREATED, Json(json!(fault))),
        Err(error) => (StatusCode::CONFLICT, refuse(&error.to_string()).1),
    }
}

async fn clear_all(State(endpoint): State<Arc<Endpoint>>) -> StatusCode {
    endpoint.clear_faults(|_| true);
    StatusCode::NO_CONTENT
}

async fn clear_one(
    State(endpoint): State<Arc<Endpoint>>,
    Path(id): Path<String>,
) -> Result<StatusCode, (StatusCode, Json<Value>)> {
    if endpoint.clear_faults(|fault| fault.id == id) == 0 {
        let (_, why) = refuse("no fault has this id; `ssm-lab fault list` shows those that are active");
        return Err((StatusCode::NOT_FOUND, why));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn show_clock(State(endpoint): State<Arc<Endpoint>>) -> Json<Value> {
    Json(clock(&endpoint))
}

/// What the clock shows, for the admin.
pub(in crate::endpoint) fn clock(endpoint: &Endpoint) -> Value {
    json!({"now": epoch_seconds(endpoint.clock.now()), "offset_seconds": endpoint.clock.offset()})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum SetClock {
    AdvanceSeconds(i64),
    OffsetSeconds(i64),
}

async fn set_clock(
    State(endpoint): State<Arc<Endpoint>>,
    Json(wish): Json<SetClock>,
) -> (StatusCode, Json<Value>) {
    let offset = match wish {
        SetClock::AdvanceSeconds(by) => endpoint.clock.offset().saturating_add(by),
        SetClock::OffsetSeconds(offset) => offset,
    };
    match endpoint.set_clock(offset) {
        Ok(()) => (StatusCode::OK, Json(clock(&endpoint))),
        Err(why) => refuse(&why),
    }
}

async fn right_clock(State(endpoint): State<Arc<Endpoint>>) -> (StatusCode, Json<Value>) {
    match endpoint.set_clock(0) {
        Ok(()) => (StatusCode::OK, Json(clock(&endpoint))),
        Err(why) => refuse(&why),
    }
}
