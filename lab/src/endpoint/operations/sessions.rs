//! `StartSession`, `ResumeSession`, `TerminateSession`, `GetConnectionStatus`: the control plane of sessions. What they
//! carry goes through the data channel.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, documents as document_calls, service_settings, session_document};
use crate::agent_message::AgentMessage;
use crate::endpoint::authorize::Resource;
use crate::endpoint::caller::Caller;
use crate::endpoint::channels::tokens::Purpose;
use crate::endpoint::documents;
use crate::endpoint::error::ApiError;
use crate::endpoint::iam::arn;
use crate::endpoint::sessions::live::Live;
use crate::endpoint::sessions::{self, Session, SessionId, Status, ending, transcript};
use crate::ids::ManagedNodeId;
use session_document::Chosen;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    target: String,
    document_name: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    session_id: String,
}

/// The node of a call that has a `Target`.
pub(super) fn target(call: &Call<'_>) -> Vec<Resource> {
    let node = call.input().ok().and_then(|request: Start| ManagedNodeId::parse(&request.target).ok());
    node.map_or_else(|| vec![Resource::any()], |node| vec![call.node(&node)])
}

/// The node and, if the call names one, the document of a session. Without a name AWS takes the preferences and asks the
/// policies for them only where a statement has the condition `ssm:SessionDocumentAccessCheck`.
pub(super) fn target_and_document(call: &Call<'_>) -> Vec<Resource> {
    let mut touched = target(call);
    let named = call.input().ok().and_then(|request: Start| request.document_name);
    let document = document_calls::resource(call, named.as_deref().unwrap_or(documents::PREFERENCES));
    touched.push(Resource {
        check: Some("ssm:SessionDocumentAccessCheck"),
        only_if_asked: named.is_none(),
        ..document
    });
    touched
}

/// The session that a call names.
pub(super) fn named(call: &Call<'_>) -> Vec<Resource> {
    let settings = &call.endpoint.settings;
    match call.input() {
        Ok(Named { session_id }) => {
            let arn = arn::session(&settings.region, &settings.account, &session_id);
            vec![Resource::named(arn)]
        }
        Err(_) => vec![Resource::any()],
    }
}

pub(super) fn start(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Start = call.input()?;
    let not_connected =
        || ApiError::client("TargetNotConnected", format!("{} is not connected.", request.target));
    let node = ManagedNodeId::parse(&request.target)
        .ok()
        .filter(|node| call.state.estate.node(node).is_some())
        .ok_or_else(not_connected)?;
    // Neither the model nor the documentation has this error; users report it under this name and in these words.
    if !service_settings::is_advanced_tier(&call.state.estate) {
        return Err(ApiError::client(
            "BadRequest",
            "Enable advanced-instances tier to use Session Manager with your on-premises instances",
        ));
    }
    let name = request.document_name.as_deref().map_or(documents::PREFERENCES, documents::name_of);
    let chosen = session_document::choose(&call.state.estate, name, &request.parameters)?;
    if !call.endpoint.channels.is_connected(&node) {
        return Err(not_connected());
    }
    let id = SessionId::random(&user_of(call.caller));
    if !call.endpoint.sessions.open(id.clone(), Live::new(node.clone(), call.now)) {
        return Err(ApiError::internal("too many sessions are open; end some"));
    }
    let owner = call.caller_arn();
    let opened = token(call, &id).and_then(|token| {
        let shell = interactive_shell(&id, &node, name, &chosen, &request.parameters, &owner);
        call.endpoint.channels.send(&node, shell).map_err(|_| not_connected())?;
        Ok(token)
    });
    let token = opened.inspect_err(|_| drop(call.endpoint.sessions.remove(&id)))?;
    for gone in sessions::forget_old(&mut call.state.estate, call.now) {
        // A transcript that outlives its session is read by nobody.
        let _ = transcript::forget(&call.state.database, &gone);
    }
    let session = Session {
        target: node,
        owner,
        document: name.to_owned(),
        reason: request.reason,
        status: Status::Connecting,
        started: call.now,
        ended: None,
        details: None,
        idle_minutes: chosen.content.idle_minutes(),
        max_minutes: chosen.content.max_minutes(),
    };
    call.estate().sessions.insert(id.clone(), session);
    Ok(answer(call, &id, &token))
}

/// The first half of a session's id.
fn user_of(caller: &Caller) -> String {
    match caller {
        Caller::User(name) => name.clone(),
        other => other.to_string(),
    }
}

fn token(call: &Call<'_>, id: &SessionId) -> Result<SecretString, ApiError> {
    let issued = call.endpoint.channels.tokens.issue(Purpose::Client(id.clone()), call.now);
    issued.ok_or_else(|| ApiError::internal("too many channels are being opened; try again"))
}

fn answer(call: &Call<'_>, id: &SessionId, token: &SecretString) -> Value {
    json!({
        "SessionId": id,
        "TokenValue": token.expose_secret(),
        "StreamUrl": call.origin.websocket(&format!("/v1/data-channel/{id}?role=publish_subscribe")),
    })
}

/// What the agent is told to open a session.
fn interactive_shell(
    id: &SessionId,
    node: &ManagedNodeId,
    document: &str,
    chosen: &Chosen,
    parameters: &Map<String, Value>,
    owner: &str,
) -> AgentMessage {
    let content = json!({
        "DocumentName": document,
        "DocumentContent": chosen.content.to_json(),
        "SessionId": id,
        "Parameters": parameters,
        "RunAsUser": "",
        "SessionOwner": owner,
    });
    let task = json!({
        "Content": content.to_string(),
        "TaskId": id,
        "Topic": format!("aws.ssm.startSession.{node}"),
        "SchemaVersion": 1,
    });
    AgentMessage::new("interactive_shell", 0, 0, task.to_string().into_bytes())
}

pub(super) fn resume(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Named = call.input()?;
    let unknown = || {
        ApiError::client(
            "DoesNotExistException",
            format!("Session {} does not exist or is over", request.session_id),
        )
    };
    let id = SessionId::parse(&request.session_id).map_err(|_| unknown())?;
    let live = call.endpoint.sessions.get(&id).ok_or_else(unknown)?;
    if live.over().borrow().is_some() {
        return Err(unknown());
    }
    let token = token(call, &id)?;
    Ok(answer(call, &id, &token))
}

/// AWS answers with the id whatever became of the session; the model has no error for one that there is not.
pub(super) fn terminate(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Named = call.input()?;
    if let Ok(id) = SessionId::parse(&request.session_id) {
        ending::terminate(call.endpoint, call.state, &id, "", call.now);
    }
    Ok(json!({"SessionId": request.session_id}))
}

pub(super) fn connection_status(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Start = call.input()?;
    let connected =
        ManagedNodeId::parse(&request.target).is_ok_and(|node| call.endpoint.channels.is_connected(&node));
    let status = if connected { "connected" } else { "notconnected" };
    Ok(json!({"Target": request.target, "Status": status}))
}
