//! Replies about commands, over the service each command came from: sent once, kept when nobody acknowledged them,
//! and sent again every few minutes until they are too old to matter.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use super::Request;
use super::result::{Status, StepResult, document_payload, step_payload};
use crate::agent::channel::link::Link;
use crate::agent::channel::messages::Delivery;
use crate::agent::channel::outbox::Outbox;
use crate::agent::daemon::Never;
use crate::agent::node::Node;
use crate::agent::time::Ended;
use crate::agent_message::AgentMessage;

const TOPIC: &str = "aws.ssm.sendCommand";
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(1);
const BETWEEN_RESENDS: Duration = Duration::from_mins(5);
/// The service gives a command up after two hours without an answer.
const TOO_OLD: Duration = Duration::from_hours(2);
const MOST_KEPT: usize = 50;
/// A control channel takes no larger reply; the real agent drops it.
const LARGEST_PAYLOAD: usize = 120_000;

/// The service a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// The message gateway, over the control channel.
    Gateway,
    /// The message delivery service.
    Delivery,
}

#[derive(Debug)]
struct Reply {
    upstream: Upstream,
    id: Uuid,
    job_id: String,
    payload: String,
    made: Instant,
}

impl Reply {
    fn new(upstream: Upstream, job_id: &str, payload: String) -> Self {
        Self { upstream, id: Uuid::new_v4(), job_id: job_id.to_owned(), payload, made: Instant::now() }
    }
}

/// The way back.
#[derive(Debug)]
pub struct Replies<'a> {
    node: &'a Node,
    outbox: &'a Outbox,
    delivery: &'a Delivery<'a>,
    link: &'a Link,
    kept: Mutex<VecDeque<Reply>>,
}

impl<'a> Replies<'a> {
    /// Nothing to tell yet.
    #[must_use]
    pub fn new(node: &'a Node, outbox: &'a Outbox, delivery: &'a Delivery<'a>, link: &'a Link) -> Self {
        Self { node, outbox, delivery, link, kept: Mutex::default() }
    }

    /// Tells how the whole document stands before any step did. Over the control channel nobody waits for this.
    pub fn tell(&self, upstream: Upstream, request: &Request, status: Status, trace: &str) {
        let payload = document_payload(status, trace, self.gateway_state(upstream)).to_string();
        match upstream {
            Upstream::Gateway => {
                let message = job_reply(Uuid::new_v4(), &request.job_id, &payload, request.reply_topic());
                let _ = self.outbox.send(message);
            }
            Upstream::Delivery => self.send_or_keep(Reply::new(upstream, &request.job_id, payload)),
        }
    }

    /// Tells what steps came to: one of them if `last` names it, else the document.
    pub fn send(&self, upstream: Upstream, job_id: &str, results: &[StepResult], last: Option<&str>) {
        let payload = step_payload(results, last, self.gateway_state(upstream)).to_string();
        self.send_or_keep(Reply::new(upstream, job_id, payload));
    }

    /// Sends again what nobody acknowledged, until the agent ends.
    pub fn live(&self) -> Result<Never, Ended> {
        loop {
            self.node.time.pause(BETWEEN_RESENDS)?;
            let again = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
            for reply in again {
                self.node.time.check()?;
                if reply.made.elapsed() < self.node.time.scaled(TOO_OLD) {
                    self.send_or_keep(reply);
                }
            }
        }
    }

    /// Only replies to the delivery service say whether the other one could be reached.
    fn gateway_state(&self, upstream: Upstream) -> Option<bool> {
        (upstream == Upstream::Delivery).then(|| self.link.is_gateway())
    }

    fn send_or_keep(&self, reply: Reply) {
        let diary = &self.node.diary;
        let arrived = match reply.upstream {
            Upstream::Gateway if reply.payload.len() > LARGEST_PAYLOAD => {
                diary.error(&format!(
                    "dropping reply message {} because it is too large to send over control channel",
                    reply.id
                ));
                return;
            }
            Upstream::Gateway => {
                let message = job_reply(reply.id, &reply.job_id, &reply.payload, TOPIC);
                self.outbox.send_and_wait(message, self.node.time.scaled(ACKNOWLEDGEMENT))
            }
            Upstream::Delivery => self.delivery.reply(reply.id, &reply.job_id, &reply.payload),
        };
        if arrived {
            return;
        }
        diary.info(&format!("no ack received while sending reply {}; it is sent again later", reply.id));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(reply);
    }
}

fn job_reply(id: Uuid, job_id: &str, payload: &str, topic: &str) -> AgentMessage {
    let content: Value = json!({"schemaVersion": 1, "jobId": job_id, "content": payload, "topic": topic});
    AgentMessage { id, ..AgentMessage::new("agent_job_reply", 0, 0, content.to_string().into_bytes()) }
}
