//! HTTP on both ends of a call: AWS's JSON and query protocols in and out, and one log line per call.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::audit::event::{Answered, Event};
use super::authorize::{Resource, authorize};
use super::caller::{Caller, identify};
use super::error::ApiError;
use super::operations::{self, Admits, Call, Operation};
use super::origin::{Origin, peer};
use super::service::Service;
use super::{Endpoint, body, channels, faults, query};

const JSON: &str = "application/x-amz-json-1.1";
/// The agent gives up after 20 seconds.
const LONGEST_POLL: Duration = Duration::from_secs(15);
/// What calls of unknown names are counted as, so that their names cannot fill the memory.
const UNKNOWN: &str = "UnknownOperation";

/// The API as an axum application.
pub fn router(endpoint: Arc<Endpoint>) -> Router {
    channels::routes().fallback(answer).method_not_allowed_fallback(answer).with_state(endpoint)
}

/// How a request is written, and so how its answer is.
#[derive(Debug, Clone, Copy)]
enum Protocol<'a> {
    Json { target: &'a str },
    Query,
}

impl<'a> Protocol<'a> {
    fn of(parts: &'a Parts) -> Self {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if text("content-type").starts_with("application/x-www-form-urlencoded") {
            return Self::Query;
        }
        Self::Json { target: text("x-amz-target") }
    }
}

/// A call as far as it got, for the answer and the log.
struct Exchange {
    operation: Option<&'static Operation>,
    caller: Caller,
    input: Option<Value>,
    touched: Vec<Resource>,
    result: Result<Value, ApiError>,
}

async fn answer(Shared(endpoint): Shared<Arc<Endpoint>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let protocol = Protocol::of(&parts);
    let id = uuid::Uuid::new_v4().to_string();
    let mut exchange = Exchange {
        operation: None,
        caller: Caller::Anonymous,
        input: None,
        touched: Vec::new(),
        result: Ok(Value::Null),
    };
    exchange.result = exchange.perform(&endpoint, protocol, &parts, body).await;

    if let Some(event) = exchange.event(&endpoint, &parts, &id) {
        endpoint.record(&event);
    }
    let counted = exchange.operation.map_or(UNKNOWN, |operation| operation.name);
    *endpoint.calls().entry(counted.to_owned()).or_default() += 1;
    let outcome = exchange.result.as_ref().map_or_else(|error| error.code.to_string(), |_| "ok".to_owned());
    let shown = match (exchange.operation, protocol) {
        (None, Protocol::Json { target }) => printable(target),
        _ => counted.to_owned(),
    };
    log_call(&shown, &exchange.caller.to_string(), &outcome);
    respond(protocol, counted, &exchange.result, &id)
}

impl Exchange {
    async fn perform(
        &mut self,
        endpoint: &Endpoint,
        protocol: Protocol<'_>,
        parts: &Parts,
        body: Body,
    ) -> Result<Value, ApiError> {
        if parts.method != Method::POST || parts.uri.path() != "/" {
            return Err(ApiError { status: 404, ..ApiError::client("UnknownOperationException", "") });
        }
        let (operation, bytes, input) = match protocol {
            Protocol::Json { target } => {
                let (service, name) = Service::of_target(target).unwrap_or((Service::Ssm, ""));
                let operation = operations::find(service, name)?;
                self.operation = Some(operation);
                (operation, body::read(body).await?, None)
            }
            Protocol::Query => {
                let bytes = body::read(body).await?;
                let (action, input) = query::read(&bytes)?;
                let operation = operations::find(Service::Sts, &action)?;
                self.operation = Some(operation);
                (operation, bytes, Some(input))
            }
        };
        faults::befall(endpoint, operation.service, operation.name, parts).await?;
        if operation.admits != Admits::Anyone {
            self.caller = identify(endpoint, operation.service, parts, &bytes)?;
        }
        let mut input = input.map_or_else(|| read_json(&bytes), Ok)?;
        drop_nulls(&mut input);
        self.input = Some(input.clone());
        operation.check_input(&input)?;
        self.run(endpoint, operation, &Origin::of(parts), &input).await
    }

    /// Runs the operation; a long poll again and again, never holding the state while it waits.
    async fn run(
        &mut self,
        endpoint: &Endpoint,
        operation: &Operation,
        origin: &Origin,
        input: &Value,
    ) -> Result<Value, ApiError> {
        let Self { caller, touched, .. } = self;
        let mut run = || {
            endpoint.change(|state| {
                let now = endpoint.clock.now();
                let mut call = Call { endpoint, caller, origin, input, state, now };
                *touched = operation.touches(&call);
                authorize(operation, &call, touched)?;
                operation.run(&mut call)
            })
        };
        let deadline = Instant::now() + LONGEST_POLL;
        loop {
            // It hears of whatever is posted from here on, before it is waited for.
            let posted = endpoint.channels.posted.notified();
            let answer = run()?;
            if !operation.is_idle(&answer) {
                return Ok(answer);
            }
            if timeout_at(deadline, posted).await.is_err() {
                return run();
            }
        }
    }

    fn event(&self, endpoint: &Endpoint, parts: &Parts, request_id: &str) -> Option<Event> {
        let operation = self.operation?;
        let answered = Answered {
            request_id,
            service: operation.service,
            name: operation.name,
            signed: operation.admits != Admits::Anyone,
            caller: &self.caller,
            headers: &parts.headers,
            source: peer(parts),
            input: self.input.as_ref(),
            touched: &self.touched,
            result: &self.result,
        };
        Event::of(endpoint, &answered)
    }
}

/// An empty body counts as `{}`.
fn read_json(body: &[u8]) -> Result<Value, ApiError> {
    let body = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(body)
        .map_err(|error| ApiError::client("SerializationException", error.to_string()))
}

/// In AWS's JSON a member that is null is one that is not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn respond(
    protocol: Protocol<'_>,
    operation: &str,
    result: &Result<Value, ApiError>,
    id: &str,
) -> Response<Body> {
    let status = result.as_ref().map_or_else(|error| error.status, |_| 200);
    let (kind, body) = match (protocol, result) {
        (Protocol::Json { .. }, Ok(value)) => (JSON, value.to_string()),
        (Protocol::Json { .. }, Err(error)) => {
            (JSON, json!({"__type": error.code, "message": error.message}).to_string())
        }
        (Protocol::Query, Ok(value)) => ("text/xml", query::answer(operation, value, id)),
        (Protocol::Query, Err(error)) => ("text/xml", query::refusal(error, id)),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// One line per call. It carries names and outcomes only: codes, keys, tokens and messages stay out.
pub fn log_call(operation: &str, caller: &str, outcome: &str) {
    let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    // A closed stderr must not take the endpoint down.
    let _ = writeln!(std::io::stderr().lock(), "{time} {operation} {caller} {outcome}");
}

/// What a client calls itself may hold anything; the log gets a short, plain form.
fn printable(target: &str) -> String {
    let plain: String = target.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(80).collect();
    if plain.is_empty() { "-".to_owned() } else { plain }
}
