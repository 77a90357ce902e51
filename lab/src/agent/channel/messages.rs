//! The message delivery service: a long poll while the control channel does not carry, and the answers to what it
//! brings.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::link::Link;
use crate::agent::command::replies::{Replies, Upstream};
use crate::agent::command::result::Status;
use crate::agent::command::{Commands, Order, Refusal, Request};
use crate::agent::daemon::Never;
use crate::agent::node::Node;
use crate::agent::proof::Proof;
use crate::agent::role::Role;
use crate::agent::schedule;
use crate::agent::service::{Service, ServiceError};
use crate::agent::time::Ended;

/// A poll answered faster did not wait for messages, and the next one must.
const QUICK: Duration = Duration::from_secs(1);
/// Between two looks at whether to poll.
const IDLE: Duration = Duration::from_secs(1);
const UNTIL_FREE: Duration = Duration::from_secs(10);
const INTERNAL: &str = "InternalHandlerException";

/// The calls of the service.
#[derive(Debug)]
pub struct Delivery<'a> {
    node: &'a Node,
    role: &'a Role<'a>,
    service: Service,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Delivered {
    message_id: String,
    topic: String,
    #[serde(default)]
    payload: String,
}

impl<'a> Delivery<'a> {
    /// The service as configured.
    pub fn new(node: &'a Node, role: &'a Role<'a>) -> Result<Self, ServiceError> {
        Ok(Self { node, role, service: Service::messages(&node.config, &node.region)? })
    }

    /// Sends a reply; `false` if it did not arrive.
    #[must_use]
    pub fn reply(&self, id: Uuid, message_id: &str, payload: &str) -> bool {
        let body = json!({"MessageId": message_id, "Payload": payload, "ReplyId": id});
        self.call("SendReply", &body).is_ok_and(|sent| sent.is_some())
    }

    fn acknowledge(&self, message_id: &str) -> Result<(), Ended> {
        self.call("AcknowledgeMessage", &json!({"MessageId": message_id})).map(|_| ())
    }

    fn fail(&self, message_id: &str) -> Result<(), Ended> {
        self.call("FailMessage", &json!({"MessageId": message_id, "FailureType": INTERNAL})).map(|_| ())
    }

    fn poll(&self) -> Result<Vec<Value>, Ended> {
        let body = json!({
            "Destination": self.node.id, "MessagesRequestId": Uuid::new_v4(), "VisibilityTimeoutInSeconds": 10,
        });
        let answer = self.call("GetMessages", &body)?.unwrap_or_default();
        Ok(answer.get("Messages").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    fn call(&self, operation: &str, body: &Value) -> Result<Option<Value>, Ended> {
        let credentials = self.role.credentials()?;
        match self.service.call(&self.node.time, operation, body, Proof::Role(&credentials)) {
            Ok(answer) => Ok(Some(answer)),
            Err(ServiceError::Ended) => Err(Ended),
            Err(error) => {
                self.node.diary.error(&format!("{operation} Error: {}", error.line()));
                Ok(None)
            }
        }
    }
}

/// Polls until the agent ends.
pub fn live(
    delivery: &Delivery<'_>,
    link: &Link,
    commands: &Commands<'_>,
    replies: &Replies<'_>,
) -> Result<Never, Ended> {
    let time = &delivery.node.time;
    loop {
        time.check()?;
        if !link.polls() {
            time.pause(IDLE)?;
            continue;
        }
        let start = Instant::now();
        for message in delivery.poll()? {
            match serde_json::from_value::<Delivered>(message) {
                Ok(message) => take(delivery, message, commands, replies)?,
                Err(error) => delivery.node.diary.error(&format!("message not valid, ignoring: {error}")),
            }
        }
        if start.elapsed() < QUICK {
            time.pause(schedule::between_polls())?;
        }
    }
}

fn take(
    delivery: &Delivery<'_>,
    message: Delivered,
    commands: &Commands<'_>,
    replies: &Replies<'_>,
) -> Result<(), Ended> {
    let diary = &delivery.node.diary;
    let request = Request { job_id: message.message_id, topic: message.topic, content: message.payload };
    let order = match request.read() {
        Ok(order) => order,
        Err(error) if request.topic.starts_with("aws.ssm.sendCommand") => {
            diary.error(&error.to_string());
            replies.tell(Upstream::Delivery, &request, Status::Failed, &error.to_string());
            return Ok(());
        }
        Err(error) => {
            diary.error(&format!("format of received message is invalid: {error}"));
            return delivery.fail(&request.job_id);
        }
    };
    let admitted = loop {
        match commands.admit(&request.job_id, &order) {
            Err(Refusal::Full) => delivery.node.time.pause(UNTIL_FREE)?,
            // The service did not learn that it was taken.
            Err(_) => break None,
            Ok(cancel) => break Some(cancel),
        }
    };
    replies.tell(Upstream::Delivery, &request, Status::InProgress, "");
    delivery.acknowledge(&request.job_id)?;
    if let Some(cancel) = admitted {
        match order {
            Order::Run(document) => {
                commands.start(&request.job_id, Upstream::Delivery, *document, cancel);
            }
            Order::Cancel(job_id) => {
                commands.cancel(&job_id);
                commands.forget(&request.job_id);
            }
        }
    }
    Ok(())
}
