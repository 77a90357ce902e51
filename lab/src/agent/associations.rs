//! Associations: asked for as the real agent asks for them, and never run; the lab has none.

use std::time::Duration;

use rand::Rng as _;
use serde_json::{Value, json};

use super::daemon::Never;
use super::node::Node;
use super::proof::Proof;
use super::role::Role;
use super::service::{Service, ServiceError};
use super::time::Ended;

const AFTER_EMPTY_START: Duration = Duration::from_secs(30);
/// `Ssm.AssociationFrequencyMinutes`.
const BETWEEN: Duration = Duration::from_mins(10);

/// Asks until the agent ends.
pub fn live(node: &Node, ssm: &Service, role: &Role<'_>) -> Result<Never, Ended> {
    node.time.pause(Duration::from_millis(rand::rng().random_range(1_000..=28_000)))?;
    if ask(node, ssm, role)? {
        node.time.pause(AFTER_EMPTY_START)?;
        ask(node, ssm, role)?;
    }
    loop {
        node.time.pause(BETWEEN)?;
        ask(node, ssm, role)?;
    }
}

/// Whether the answer was an empty list.
fn ask(node: &Node, ssm: &Service, role: &Role<'_>) -> Result<bool, Ended> {
    let credentials = role.credentials()?;
    let call = |operation, body: &Value| ssm.call(&node.time, operation, body, Proof::Role(&credentials));
    let answer = match call("ListInstanceAssociations", &json!({"InstanceId": node.id, "MaxResults": 20})) {
        Err(error) if error.code() == Some("UnknownOperationException") => call(
            "ListAssociations",
            &json!({
                "AssociationFilterList": [{"key": "InstanceId", "value": node.id}], "MaxResults": 20,
            }),
        ),
        answered => answered,
    };
    Ok(note(node, answer))
}

fn note(node: &Node, answer: Result<Value, ServiceError>) -> bool {
    match answer {
        Ok(answer) => {
            let count = answer.get("Associations").and_then(Value::as_array).map_or(0, Vec::len);
            if count > 0 {
                node.diary.info(&format!("{count} associations are not run: the stand-in runs none"));
            }
            count == 0
        }
        Err(error) => {
            node.diary.error(&format!("Unable to load instance associations, {}", error.line()));
            false
        }
    }
}
