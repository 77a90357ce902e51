//! The way of commands to the agents and back: over a node's control channel while one is open, and otherwise by
//! waiting where `GetMessages` finds them.

use jiff::Timestamp;
use serde_json::json;

use super::reply::{Answer, JobAcknowledgement, JobReply, Told};
use super::{CommandId, MessageName, Outcome, Stage, progress, reply, shell_script};
use crate::agent_message::AgentMessage;
use crate::endpoint::Endpoint;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{Estate, PingStatus};
use crate::endpoint::wire::log_call;
use crate::ids::ManagedNodeId;

/// A message for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Its name.
    pub name: MessageName,
    /// `aws.ssm.sendCommand.<node>` or `aws.ssm.cancelCommand.<node>`.
    pub topic: String,
    /// JSON.
    pub content: String,
    /// When its command was sent or cancelled.
    pub created: Timestamp,
}

impl Post {
    fn into_frame(self) -> AgentMessage {
        let payload = json!({
            "Content": self.content, "JobId": self.name, "Topic": self.topic, "SchemaVersion": 1,
        });
        AgentMessage::new("agent_job", 0, 0, payload.to_string().into_bytes())
    }
}

/// Which of a node's messages are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those that were never sent.
    Unsent,
    /// Those that no agent has acknowledged: a new channel knows nothing of what an older one carried.
    Unacknowledged,
    /// Those that were not sent, or whose acknowledgement is overdue.
    Visible(Timestamp),
}

impl Wanted {
    fn wants(self, hidden_until: Option<Timestamp>) -> bool {
        match (self, hidden_until) {
            (_, None) | (Self::Unacknowledged, _) => true,
            (Self::Unsent, Some(_)) => false,
            (Self::Visible(now), Some(until)) => now >= until,
        }
    }
}

/// The messages that wait for a node; a command that is being cancelled is not sent again, only its cancellation.
#[must_use]
pub fn posts(estate: &Estate, node: &ManagedNodeId, wanted: Wanted) -> Vec<Post> {
    let mut posts: Vec<Post> = progress::of_node(estate, node)
        .filter_map(|(name, invocation)| {
            let Some(cancellation) = invocation.cancellation else {
                let hidden_until = match invocation.stage {
                    Stage::Waiting { .. } => None,
                    Stage::Sent { hidden_until, .. } => Some(hidden_until),
                    Stage::Queued | Stage::Running { .. } | Stage::Over { .. } => return None,
                };
                let command = estate.commands.get(&name.command)?;
                return wanted.wants(hidden_until).then(|| Post {
                    name: name.clone(),
                    topic: format!("aws.ssm.sendCommand.{node}"),
                    content: shell_script::payload(name.command, &command.parameters),
                    created: command.requested,
                });
            };
            let open = invocation.outcome().is_none() && !cancellation.taken;
            (open && wanted.wants(cancellation.hidden_until)).then(|| Post {
                name: MessageName { node: node.clone(), command: cancellation.id },
                topic: format!("aws.ssm.cancelCommand.{node}"),
                content: json!({"CancelMessageId": name}).to_string(),
                created: cancellation.requested,
            })
        })
        .collect();
    posts.sort_by_key(|post| post.created);
    posts
}

/// Sends a node its messages, or leaves them for `GetMessages`.
pub fn deliver(
    endpoint: &Endpoint,
    estate: &mut Estate,
    node: &ManagedNodeId,
    wanted: Wanted,
    now: Timestamp,
) {
    for post in posts(estate, node, wanted) {
        let name = post.name.clone();
        if endpoint.channels.send(node, post.into_frame()).is_ok() {
            progress::sent(estate, &name, now);
            continue;
        }
        // A node that is online polls within seconds; any other is known not to be there.
        let online = estate.node(node).is_some_and(|node| {
            node.ping_status(now, endpoint.settings.connection_lost_after) == PingStatus::Online
        });
        if !online {
            progress::delayed(estate, &name);
        }
        endpoint.channels.posted.notify_waiters();
    }
}

/// Lets happen to a command what was due, and sends it to the nodes whose turn has come.
pub fn settle(endpoint: &Endpoint, estate: &mut Estate, id: CommandId, now: Timestamp) {
    for name in progress::settle(estate, id, now) {
        deliver(endpoint, estate, &name.node, Wanted::Unsent, now);
    }
}

/// Does so for every command that is not over.
pub fn settle_all(endpoint: &Endpoint, estate: &mut Estate, now: Timestamp) {
    for name in progress::settle_all(estate, now) {
        deliver(endpoint, estate, &name.node, Wanted::Unsent, now);
    }
}

/// Does so for the commands that are not over on a node.
pub fn settle_node(endpoint: &Endpoint, estate: &mut Estate, node: &ManagedNodeId, now: Timestamp) {
    let open: Vec<CommandId> = progress::of_node(estate, node)
        .filter(|(_, invocation)| invocation.outcome().is_none())
        .map(|(name, _)| name.command)
        .collect();
    for id in open {
        settle(endpoint, estate, id, now);
    }
}

/// Takes over what an agent tells of a command on its node, and begins what waited for that.
pub fn tell(endpoint: &Endpoint, estate: &mut Estate, name: &MessageName, told: Told, now: Timestamp) {
    let ends = told.outcome.is_some();
    settle(endpoint, estate, name.command, now);
    progress::told(estate, name, told, now);
    settle(endpoint, estate, name.command, now);
    if ends {
        // An agent that had no room for a job has some now.
        deliver(endpoint, estate, &name.node, Wanted::Unsent, now);
    }
}

/// Reads a `SendReply` payload and takes it over.
pub fn tell_text(
    endpoint: &Endpoint,
    estate: &mut Estate,
    name: &MessageName,
    payload: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    let told = reply::read(payload).map_err(|error| ApiError::validation(error.to_string()))?;
    tell(endpoint, estate, name, told, now);
    Ok(())
}

/// Sends a node whose control channel has just opened whatever it did not acknowledge.
pub fn deliver_pending(endpoint: &Endpoint, node: &ManagedNodeId) {
    let now = endpoint.clock.now();
    let delivered = endpoint.change(|state| {
        settle_node(endpoint, &mut state.estate, node, now);
        deliver(endpoint, &mut state.estate, node, Wanted::Unacknowledged, now);
        Ok(())
    });
    report("agent_job", node, delivered);
}

/// Takes in the `agent_job_ack` of a node. One that is nonsense, or about another node's job, is of no account.
pub fn acknowledged(endpoint: &Endpoint, node: &ManagedNodeId, message: &AgentMessage) {
    let Ok(JobAcknowledgement { job, answer }) = JobAcknowledgement::read(&message.payload) else { return };
    if &job.node != node {
        return;
    }
    let now = endpoint.clock.now();
    let noted = endpoint.change(|state| {
        let estate = &mut state.estate;
        settle(endpoint, estate, job.command, now);
        match answer {
            Answer::Taken => progress::taken(estate, &job, now),
            Answer::NotNow => progress::delayed(estate, &job),
            Answer::Refused => progress::end(estate, &job, Outcome::Undeliverable),
        }
        settle(endpoint, estate, job.command, now);
        Ok(())
    });
    report("agent_job_ack", node, noted);
}

/// Takes in the `agent_job_reply` of a node, and gives the payload of the `agent_job_reply_ack` it waits for. A reply
/// that is nonsense gets none; one that could not be kept neither, so that the agent repeats it. One about another
/// node's job changes nothing.
pub fn replied(endpoint: &Endpoint, node: &ManagedNodeId, message: &AgentMessage) -> Option<Vec<u8>> {
    let JobReply { job, told } = JobReply::read(&message.payload).ok()?;
    let answer = json!({"jobId": job, "acknowledgedMessageId": message.id.to_string()});
    if &job.node == node {
        let now = endpoint.clock.now();
        let kept = endpoint.change(|state| {
            tell(endpoint, &mut state.estate, &job, told, now);
            Ok(())
        });
        if kept.is_err() {
            report("agent_job_reply", node, kept);
            return None;
        }
    }
    Some(answer.to_string().into_bytes())
}

fn report(what: &str, node: &ManagedNodeId, result: Result<(), ApiError>) {
    if let Err(error) = result {
        log_call(what, &format!("role/{node}"), &error.code);
    }
}
