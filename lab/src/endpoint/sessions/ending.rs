//! How a session ends: its operator, the clock or its node's removal ask for it, or its agent says that it is done. The
//! agent gets the chance to end its shell, then the session is over in any case.

use axum::body::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::live::{Ending, Side};
use super::{SessionId, Status, transcript};
use crate::agent_message::AgentMessage;
use crate::endpoint::{Endpoint, State};
use crate::ids::ManagedNodeId;

/// The model's limit of `Details`.
const LONGEST_DETAILS: usize = 1024;

/// Ends a session that lives, and does nothing to another. `why` is told to the client and stays in the session's
/// details; it is empty when the operator wished it.
pub fn terminate(endpoint: &Endpoint, state: &mut State, id: &SessionId, why: &str, now: Timestamp) {
    let Some(live) = endpoint.sessions.get(id) else { return };
    if !live.finish(Ending { by_agent: false, output: why.to_owned(), at: now }) {
        return;
    }
    let Some(session) = state.estate.sessions.get_mut(id) else { return };
    session.details = details(why);
    if live.seat(Side::Agent).taken {
        session.status = Status::Terminating;
        return;
    }
    session.status = Status::Terminated;
    session.ended = Some(now);
    endpoint.sessions.remove(id);
    // What the database does not take, the next call is told.
    let _ = transcript::append(&mut state.database, id, &live.recorder().take());
    // An agent that is on its way to its data channel is told where it listens; without one there is nobody to tell.
    let _ = endpoint.channels.send(&live.node, channel_closed(id, &live.node, ""));
}

/// Ends all sessions on a node that is there no more.
pub fn terminate_on(endpoint: &Endpoint, state: &mut State, node: &ManagedNodeId, why: &str, now: Timestamp) {
    for (id, _) in endpoint.sessions.all().iter().filter(|(_, live)| live.node == *node) {
        terminate(endpoint, state, id, why, now);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Complete {
    task_id: String,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    final_task_status: String,
    #[serde(default)]
    output: String,
}

/// Takes an agent's `agent_task_complete`: its session is over. The answer acknowledges it; the agent repeats one that is
/// not, so also that of a session that is over already. `None` for a message that cannot be read.
pub fn completed(endpoint: &Endpoint, node: &ManagedNodeId, message: &AgentMessage) -> Option<AgentMessage> {
    let complete: Complete = serde_json::from_slice(&message.payload).ok()?;
    let id = SessionId::parse(&complete.task_id).ok()?;
    let now = endpoint.clock.now();
    if let Some(live) = endpoint.sessions.get(&id).filter(|live| live.node == *node) {
        let failed = live.seat(Side::Agent).comings == 0 && complete.final_task_status == "Failed";
        live.finish(Ending { by_agent: true, output: complete.output.clone(), at: now });
        close(endpoint, &id, if failed { Status::Failed } else { Status::Terminated }, &complete.output);
    }
    let acknowledgement = json!({
        "SchemaVersion": 1, "MessageId": message.id.to_string(), "TaskId": complete.task_id, "Topic": complete.topic,
    });
    Some(AgentMessage::new("agent_task_acknowledge", 0, 0, acknowledgement.to_string().into_bytes()))
}

/// Notes that a session is over and forgets its live half.
pub fn close(endpoint: &Endpoint, id: &SessionId, status: Status, why: &str) {
    let Some(live) = endpoint.sessions.remove(id) else { return };
    let now = endpoint.clock.now();
    // Where the database fails, the next call says so; nobody waits for an answer here.
    let _ = transcript::write_down(endpoint, id, &live);
    let _ = endpoint.change(|state| {
        if let Some(session) = state.estate.sessions.get_mut(id) {
            session.status = status;
            session.ended = Some(now);
            session.details = session.details.take().or_else(|| details(why));
        }
        Ok(())
    });
}

/// Notes how the ends of a session that is not over are served.
pub fn note(endpoint: &Endpoint, id: &SessionId) {
    let Some(live) = endpoint.sessions.get(id) else { return };
    let (agent, client) = (live.seat(Side::Agent), live.seat(Side::Client));
    let status = match (agent.taken, agent.comings, client.taken, client.comings) {
        (false, 0, ..) => Status::Connecting,
        (true, _, true, _) | (true, _, _, 0) => Status::Connected,
        _ => Status::Disconnected,
    };
    let _ = endpoint.change(|state| {
        let is_new = |session: &super::Session| {
            session.status != status && !session.status.is_over() && session.status != Status::Terminating
        };
        if state.estate.sessions.get(id).is_some_and(is_new)
            && let Some(session) = state.estate.sessions.get_mut(id)
        {
            session.status = status;
        }
        Ok(())
    });
}

/// The message that closes a session for either end.
#[must_use]
pub fn channel_closed(id: &SessionId, node: &ManagedNodeId, output: &str) -> AgentMessage {
    let mut message = AgentMessage::new("channel_closed", 0, 0, Vec::new());
    let payload = json!({
        "MessageType": "channel_closed",
        "MessageId": message.id.to_string(),
        "DestinationId": node,
        "SessionId": id,
        "SchemaVersion": 1,
        "CreatedDate": message.created.to_string(),
        "Output": output,
    });
    message.payload = payload.to_string().into_bytes();
    message
}

/// A message without content, as a frame.
#[must_use]
pub fn bare(message_type: &str) -> Bytes {
    AgentMessage::new(message_type, 0, 0, b"{}".to_vec()).encode().into()
}

fn details(why: &str) -> Option<String> {
    (!why.is_empty()).then(|| why.chars().take(LONGEST_DETAILS).collect())
}
