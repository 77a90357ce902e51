//! HTTP on both ends of a call: AWS's JSON 1.1 protocol in and out, a bounded body, one log line per call.

use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Endpoint;
use super::caller::{Caller, identify};
use super::error::ApiError;
use super::operations::{self, Admits, Call, unknown_operation};

/// Requests of this API are a few KiB; a thousand tags of the longest kind stay below this.
const LARGEST_BODY: usize = 1 << 20;
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const TARGET_PREFIX: &str = "AmazonSSM.";
/// What calls of unknown names are counted as, so that their names cannot fill the memory.
const UNKNOWN: &str = "UnknownOperation";

/// The API as an axum application.
pub fn router(endpoint: Arc<Endpoint>) -> Router {
    Router::new().fallback(answer).with_state(endpoint)
}

async fn answer(State(endpoint): State<Arc<Endpoint>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST || parts.uri.path() != "/" {
        log_call(parts.method.as_str(), "-", "404");
        return respond(&Err(ApiError { status: 404, ..unknown_operation() }));
    }
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = target.strip_prefix(TARGET_PREFIX).unwrap_or_default();
    let operation = operations::find(name);
    let counted = operation.map_or(UNKNOWN, |operation| operation.name);
    *endpoint.calls().entry(counted.to_owned()).or_default() += 1;

    let mut caller = Caller::Anonymous;
    let result = match operation {
        None => Err(unknown_operation()),
        Some(operation) => perform(&endpoint, operation, &parts, body, &mut caller).await,
    };
    let outcome = match &result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code.to_string(),
    };
    let shown = if operation.is_some() { counted.to_owned() } else { printable(target) };
    log_call(&shown, &caller.to_string(), &outcome);
    respond(&result)
}

async fn perform(
    endpoint: &Endpoint,
    operation: &operations::Operation,
    parts: &Parts,
    body: Body,
    caller: &mut Caller,
) -> Result<Value, ApiError> {
    let body = to_bytes(body, LARGEST_BODY).await.map_err(|_| ApiError {
        status: 413,
        ..ApiError::client("RequestEntityTooLargeException", "the request body is too large or broken off")
    })?;
    let blow = endpoint.faults().strike(operation.name);
    if let Some(blow) = blow {
        tokio::time::sleep(blow.delay).await;
        if let Some(error) = blow.error {
            return Err(error);
        }
    }
    if operation.admits != Admits::Anyone {
        *caller = identify(endpoint, parts, &body)?;
    }
    operation.run(&Call { endpoint, caller, body: &body })
}

fn respond(result: &Result<Value, ApiError>) -> Response<Body> {
    let (status, body) = match result {
        Ok(value) => (200, value.clone()),
        Err(error) => (error.status, json!({"__type": error.code, "message": error.message})),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// One line per call. It carries names and outcomes only: codes, keys, tokens and messages stay out.
fn log_call(operation: &str, caller: &str, outcome: &str) {
    let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    // A closed stderr must not take the endpoint down.
    let _ = writeln!(std::io::stderr().lock(), "{time} {operation} {caller} {outcome}");
}

/// What a client calls itself may hold anything; the log gets a short, plain form.
fn printable(target: &str) -> String {
    let plain: String = target.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(80).collect();
    if plain.is_empty() { "-".to_owned() } else { plain }
}
