//! The control channel: opened again whenever it fails, it brings commands and sessions and takes what the others
//! have in the outbox.

use std::thread::Scope;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tungstenite::Message;
use uuid::Uuid;

use super::gateway::{Channel, Gateway, GatewayError};
use super::link::Link;
use super::outbox::Outbox;
use super::wire::{Wire, WireError};
use crate::agent::bell::wait;
use crate::agent::command::replies::{Replies, Upstream};
use crate::agent::command::result::{Status, date};
use crate::agent::command::{Commands, Order, Refusal, Request};
use crate::agent::daemon::Never;
use crate::agent::node::Node;
use crate::agent::role::Role;
use crate::agent::schedule;
use crate::agent::session::Sessions;
use crate::agent::time::Ended;
use crate::agent_message::AgentMessage;

/// A channel that lived no longer was never of use.
const SHORT_LIVED: SignedDuration = SignedDuration::from_mins(1);

/// What the control channel works with.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is what its type says")]
pub struct Control<'a> {
    pub node: &'a Node,
    pub gateway: &'a Gateway,
    pub role: &'a Role<'a>,
    pub link: &'a Link,
    pub outbox: &'a Outbox,
    pub commands: &'a Commands<'a>,
    pub sessions: &'a Sessions<'a>,
    pub replies: &'a Replies<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentJob {
    content: String,
    job_id: String,
    topic: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    content: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Closed {
    session_id: String,
}

#[derive(Debug, Deserialize)]
struct JobReplyAck {
    #[serde(rename = "acknowledgedMessageId")]
    message_id: Uuid,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskAck {
    message_id: Uuid,
}

/// Why a channel is left.
enum Left {
    Ended,
    Lost(WireError),
}

impl From<Ended> for Left {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl From<WireError> for Left {
    fn from(error: WireError) -> Self {
        Self::Lost(error)
    }
}

impl<'a> Control<'a> {
    /// Keeps a channel open until the agent ends.
    pub fn live<'scope>(&'scope self, scope: &'scope Scope<'scope, 'a>) -> Result<Never, Ended> {
        let mut losses = 0;
        loop {
            let mut wire = self.connect()?;
            let opened = self.node.time.now();
            self.node.diary.info("Set up control channel successfully");
            self.outbox.set_connected(true);
            self.link.connected();
            let Err(left) = self.serve(&mut wire, scope);
            self.outbox.set_connected(false);
            match left {
                Left::Ended => {
                    wire.close();
                    return Err(Ended);
                }
                Left::Lost(error) => {
                    self.node.diary.error(&format!("The control channel is lost: {}", chain(&error)));
                    // A channel that is ended as soon as it is open is no better than one that does not open.
                    losses = if self.node.time.now().duration_since(opened) > SHORT_LIVED {
                        0
                    } else {
                        losses + 1
                    };
                    if losses > 1 {
                        let first = schedule::first_channel_pause();
                        self.node.time.pause(schedule::after_channel_failure(first, losses - 2))?;
                    }
                }
            }
        }
    }

    fn connect(&self) -> Result<Wire, Ended> {
        let first = schedule::first_channel_pause();
        let mut failures = 0;
        loop {
            let credentials = self.role.credentials()?;
            let opened = self.gateway.open(Channel::Control(&self.node.id), &credentials, &self.node.time);
            let error = match opened {
                Ok(wire) => return Ok(wire),
                Err(error) => error,
            };
            self.link.failed(error.is_access_denied());
            self.complain(&error);
            self.node.time.pause(schedule::after_channel_failure(first, failures))?;
            failures = failures.saturating_add(1);
        }
    }

    fn complain(&self, error: &GatewayError) {
        self.node.diary.error(&format!("Error setting up control channel: {}", chain(error)));
    }

    fn serve<'scope>(&'scope self, wire: &mut Wire, scope: &'scope Scope<'scope, 'a>) -> Result<Never, Left> {
        let stop = self.node.time.stop();
        loop {
            // Messages that came with the last ones are not announced by the socket again.
            while let Some(message) = wire.receive()? {
                self.take(&message, scope);
                self.node.time.check()?;
            }
            while !wire.is_backed_up()
                && let Some(message) = self.outbox.next()
            {
                wire.send(Message::binary(message.encode()))?;
            }
            wire.turn()?;
            let patience = wire.patience().min(Duration::from_hours(1));
            if wire.is_backed_up() {
                wait(&mut [wire.watched(), stop.watched()], patience).map_err(WireError::from)?;
            } else {
                let mut fds = [wire.watched(), stop.watched(), self.outbox.bell().watched()];
                wait(&mut fds, patience).map_err(WireError::from)?;
            }
            self.node.time.check()?;
        }
    }

    fn take<'scope>(&'scope self, message: &Message, scope: &'scope Scope<'scope, 'a>) {
        let Message::Binary(frame) = message else {
            self.node.diary.error("A text message on the control channel is ignored");
            return;
        };
        let message = match AgentMessage::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                self.node.diary.error(&format!("Cannot deserialize raw message, err: {error}"));
                return;
            }
        };
        match message.message_type.as_str() {
            "agent_job" => self.job(&message),
            "interactive_shell" => {
                if let Some(task) = self.read::<Task>(&message) {
                    self.sessions.start(scope, &task.content);
                }
            }
            "channel_closed" => {
                if let Some(closed) = self.read::<Closed>(&message) {
                    self.sessions.end(&closed.session_id);
                }
            }
            "agent_job_reply_ack" => {
                if let Some(ack) = self.read::<JobReplyAck>(&message) {
                    self.outbox.acknowledge(ack.message_id);
                }
            }
            "agent_task_acknowledge" => {
                if let Some(ack) = self.read::<TaskAck>(&message) {
                    self.outbox.acknowledge(ack.message_id);
                }
            }
            other => self.node.diary.error(&format!("invalid message type in message: {other}")),
        }
    }

    fn read<T: DeserializeOwned>(&self, message: &AgentMessage) -> Option<T> {
        serde_json::from_slice(&message.payload)
            .inspect_err(|error| {
                self.node.diary.error(&format!("Cannot parse {} message: {error}", message.message_type));
            })
            .ok()
    }

    fn job(&self, message: &AgentMessage) {
        let Some(job) = self.read::<AgentJob>(message) else {
            self.acknowledge_job(message, "", Refusal::Unreadable.told());
            return;
        };
        let request = Request { job_id: job.job_id, topic: job.topic, content: job.content };
        let order = match request.read() {
            Ok(order) => order,
            Err(error) => {
                self.node.diary.error(&format!("dropping message: {error}"));
                self.acknowledge_job(message, &request.job_id, Refusal::Unreadable.told());
                self.replies.tell(Upstream::Gateway, &request, Status::Failed, "");
                return;
            }
        };
        let cancel = match self.commands.admit(&request.job_id, &order) {
            Ok(cancel) => cancel,
            Err(refusal) => {
                self.acknowledge_job(message, &request.job_id, refusal.told());
                return;
            }
        };
        self.acknowledge_job(message, &request.job_id, ("200", "Successful"));
        self.replies.tell(Upstream::Gateway, &request, Status::InProgress, "");
        match order {
            Order::Run(document) => {
                self.commands.start(&request.job_id, Upstream::Gateway, *document, cancel);
            }
            Order::Cancel(job_id) => {
                self.commands.cancel(&job_id);
                self.commands.forget(&request.job_id);
            }
        }
    }

    fn acknowledge_job(&self, message: &AgentMessage, job_id: &str, (code, name): (&str, &str)) {
        let created = i64::try_from(message.created).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let content = json!({
            "jobId": job_id,
            "acknowledgedMessageId": message.id,
            "createdDate": date(created.unwrap_or(Timestamp::UNIX_EPOCH)),
            "statusCode": code,
            "errorMessage": name,
        });
        let _ = self.outbox.send(AgentMessage::new("agent_job_ack", 0, 0, content.to_string().into_bytes()));
    }
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
