//! The way into a channel over HTTP: the signed call that issues a token, in XML, and the upgrade to a websocket whose
//! first frame brings the token back.

use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts as _;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use crate::endpoint::audit::event::{Answered, Event};
use crate::endpoint::authorize::{Resource, authorize_action};
use crate::endpoint::caller::{Caller, identify};
use crate::endpoint::error::ApiError;
use crate::endpoint::origin::peer;
use crate::endpoint::service::Service;
use crate::endpoint::wire::log_call;
use crate::endpoint::{Endpoint, body, faults, query};
use crate::ids::ManagedNodeId;

/// How long the first frame may take.
const OPENING: Duration = Duration::from_secs(15);
/// Small, since a fleet keeps a thousand of these open; a larger frame grows its own.
const BUFFER: usize = 4 << 10;

/// Counts a call and lets an ordered fault strike it.
pub(super) async fn enter(
    endpoint: &Endpoint,
    operation: &'static str,
    parts: &Parts,
) -> Result<(), ApiError> {
    *endpoint.calls().entry(operation.to_owned()).or_default() += 1;
    faults::befall(endpoint, Service::SsmMessages, operation, parts).await
}

/// The node whose role signed the request and may do this. Nobody else has channels.
pub(super) fn role(
    endpoint: &Endpoint,
    operation: &'static str,
    parts: &Parts,
    body: &[u8],
) -> Result<ManagedNodeId, ApiError> {
    let caller = identify(endpoint, Service::SsmMessages, parts, body)?;
    let Caller::Role(node) = &caller else {
        return Err(ApiError::access_denied(format!("{caller} is no role of a managed instance")));
    };
    let action = format!("{}:{operation}", Service::SsmMessages.name());
    authorize_action(endpoint, &caller, &action)?;
    Ok(node.clone())
}

/// Writes down that a channel was opened, or was not. Who only has a session's token is nobody there.
pub(super) fn record<T>(
    endpoint: &Endpoint,
    operation: &'static str,
    parts: &Parts,
    touched: Option<String>,
    opened: &Result<T, ApiError>,
) {
    let signed = parts.headers.contains_key(header::AUTHORIZATION);
    let caller = identify(endpoint, Service::SsmMessages, parts, b"").unwrap_or(Caller::Anonymous);
    let answered = Answered {
        request_id: &uuid::Uuid::new_v4().to_string(),
        service: Service::SsmMessages,
        name: operation,
        signed,
        caller: &caller,
        headers: &parts.headers,
        source: peer(parts),
        input: None,
        touched: &touched.map(Resource::named).into_iter().collect::<Vec<_>>(),
        result: &opened.as_ref().map(|_| Value::Null).map_err(Clone::clone),
    };
    if let Some(event) = Event::of(endpoint, &answered) {
        endpoint.record(&event);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    message_schema_version: String,
}

/// Proves a request for a token: the node, if the request is whole.
pub(super) async fn create(
    endpoint: &Endpoint,
    operation: &'static str,
    parts: &Parts,
    body: Body,
) -> Result<ManagedNodeId, ApiError> {
    let bytes = body::read(body).await?;
    enter(endpoint, operation, parts).await?;
    let node = role(endpoint, operation, parts, &bytes)?;
    let request: Create = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::client("SerializationException", error.to_string()))?;
    if request.message_schema_version != "1.0" {
        return Err(ApiError::validation("MessageSchemaVersion is not 1.0"));
    }
    Ok(node)
}

/// Too many tokens are waiting to be used.
pub(super) fn no_token() -> ApiError {
    ApiError { status: 429, ..ApiError::client("ThrottlingException", "too many channels are being opened") }
}

/// The answer to a request for a token.
pub(super) fn created(
    operation: &'static str,
    caller: &str,
    token: Result<SecretString, ApiError>,
) -> Response<Body> {
    let token = match token {
        Ok(token) => token,
        Err(error) => return refused(operation, caller, &error),
    };
    log_call(operation, caller, "ok");
    let xml = format!(
        "<{operation}Response><MessageSchemaVersion>1.0</MessageSchemaVersion><TokenValue>{}</TokenValue></{operation}Response>",
        token.expose_secret()
    );
    answer(StatusCode::CREATED, xml)
}

/// A refusal. The agent looks for the error's name as an element, to tell a missing permission from a broken service.
pub(super) fn refused(operation: &'static str, caller: &str, error: &ApiError) -> Response<Body> {
    log_call(operation, caller, &error.code);
    let status = match &*error.code {
        "AccessDeniedException" => StatusCode::FORBIDDEN,
        _ => StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let (name, message) = (query::escape(&error.code), query::escape(&error.message));
    answer(status, format!("<{name}><Message>{message}</Message></{name}>"))
}

fn answer(status: StatusCode, xml: String) -> Response<Body> {
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

/// Takes the upgrade out of a request; frames above `largest` bytes end the connection.
pub(super) async fn upgrade(parts: &mut Parts, largest: usize) -> Result<WebSocketUpgrade, ApiError> {
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &())
        .await
        .map_err(|rejection| ApiError::validation(rejection.body_text()))?;
    Ok(upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(largest)
        .max_frame_size(largest))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Opening {
    token_value: SecretString,
}

/// The token of the first frame, which must be text; `None` if none came in time.
pub(super) async fn opening(socket: &mut WebSocket) -> Option<SecretString> {
    let first = async {
        loop {
            match socket.recv().await?.ok()? {
                Message::Text(text) => return serde_json::from_str::<Opening>(&text).ok(),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Binary(_) | Message::Close(_) => return None,
            }
        }
    };
    Some(timeout(OPENING, first).await.ok()??.token_value)
}
