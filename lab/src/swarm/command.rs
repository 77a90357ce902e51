//! Canned answers to commands: acknowledged, in progress, and a success of every plugin. Nothing is ever run.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::agent::AGENT_VERSION;
use crate::agent_message::AgentMessage;

/// What every command is said to have printed.
pub const OUTPUT: &str = "answered by a simulated agent\n";
const TOPIC: &str = "aws.ssm.sendCommand";
/// Before any time there is, as Go writes it.
const NEVER: &str = "0001-01-01T00:00:00.000Z";

/// A job that is none.
#[derive(Debug, Error)]
#[error("a job that came over a control channel cannot be read")]
pub(super) struct BadJob(#[from] serde_json::Error);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Job {
    content: String,
    #[serde(rename = "JobId")]
    id: String,
    topic: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    document_content: Document,
}

/// A document of schema 1.2 has its plugins by name, one of 2.x its steps in order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    runtime_config: Map<String, Value>,
    #[serde(default)]
    main_steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    action: String,
    name: String,
}

/// What an agent that is instantly done says to a job.
pub(super) fn answers(message: &AgentMessage) -> Result<Vec<AgentMessage>, BadJob> {
    let job: Job = serde_json::from_slice(&message.payload)?;
    let created = i64::try_from(message.created).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    let acknowledgement = json!({
        "jobId": job.id,
        "acknowledgedMessageId": message.id,
        "createdDate": date(created.unwrap_or(Timestamp::UNIX_EPOCH)),
        "statusCode": "200",
        "errorMessage": "Successful",
    });
    let mut answers = vec![frame("agent_job_ack", &acknowledgement)];
    // What is done at once cannot be cancelled any more; such a job is acknowledged only.
    if job.topic.starts_with(TOPIC) {
        let content: Content = serde_json::from_str(&job.content)?;
        let plugins = content.document_content.plugins();
        answers.push(reply(&job.id, "InProgress", &[]));
        answers.push(reply(&job.id, "Success", &plugins));
    }
    Ok(answers)
}

impl Document {
    /// What each result is filed under, and the plugin it is of.
    fn plugins(&self) -> Vec<(&str, &str)> {
        let steps = self.main_steps.iter().map(|step| (step.name.as_str(), step.action.as_str()));
        self.runtime_config.keys().map(|plugin| (plugin.as_str(), plugin.as_str())).chain(steps).collect()
    }
}

fn reply(job_id: &str, status: &str, plugins: &[(&str, &str)]) -> AgentMessage {
    let now = date(Timestamp::now());
    let results: Map<String, Value> = plugins
        .iter()
        .map(|(id, plugin)| {
            let result = json!({
                "status": status,
                "code": 0,
                "name": plugin,
                "output": OUTPUT,
                "startDateTime": now,
                "endDateTime": if status == "Success" { &now } else { NEVER },
                "outputS3BucketName": "",
                "outputS3KeyPrefix": "",
                "stepName": "",
                "standardOutput": OUTPUT,
                "standardError": "",
            });
            ((*id).to_owned(), result)
        })
        .collect();
    let content = json!({
        "additionalInfo": {
            "agent": {"lang": "en-US", "name": "amazon-ssm-agent", "os": "", "osver": "1", "ver": AGENT_VERSION},
            "dateTime": now,
            "runId": "",
            "runtimeStatusCounts": {status: plugins.len()},
        },
        "documentStatus": status,
        "documentTraceOutput": "",
        "runtimeStatus": results,
    });
    let reply = json!({"schemaVersion": 1, "jobId": job_id, "content": content.to_string(), "topic": TOPIC});
    frame("agent_job_reply", &reply)
}

fn frame(kind: &str, payload: &Value) -> AgentMessage {
    AgentMessage::new(kind, 0, 0, payload.to_string().into_bytes())
}

fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{AgentMessage, answers};

    fn job(topic: &str, document: &Value) -> AgentMessage {
        let content = json!({
            "Parameters": {"commands": ["true"]}, "DocumentContent": document, "CommandId": "c", "DocumentName": "d",
        });
        let job = json!({
            "Content": content.to_string(), "JobId": "aws.ssm.c.mi-1", "Topic": topic, "SchemaVersion": 1,
        });
        AgentMessage::new("agent_job", 0, 0, job.to_string().into_bytes())
    }

    fn payload(message: &AgentMessage) -> Value {
        serde_json::from_slice(&message.payload).unwrap()
    }

    #[test]
    fn a_command_is_acknowledged_then_in_progress_then_a_success() {
        for (document, id) in [
            (
                json!({"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {}}}),
                "aws:runShellScript",
            ),
            (
                json!({"schemaVersion": "2.2", "mainSteps": [{"action": "aws:runShellScript", "name": "one"}]}),
                "one",
            ),
        ] {
            let job = job("aws.ssm.sendCommand.mi-1", &document);
            let answers = answers(&job).unwrap();
            let kinds: Vec<_> = answers.iter().map(|answer| answer.message_type.as_str()).collect();
            assert_eq!(kinds, ["agent_job_ack", "agent_job_reply", "agent_job_reply"]);
            let acknowledgement = payload(&answers[0]);
            assert_eq!(acknowledgement["acknowledgedMessageId"], json!(job.id));
            assert_eq!(acknowledgement["jobId"], "aws.ssm.c.mi-1");
            assert_eq!(acknowledgement["statusCode"], "200");
            let told = |at: usize| -> Value {
                serde_json::from_str(payload(&answers[at])["content"].as_str().unwrap()).unwrap()
            };
            assert_eq!(told(1)["documentStatus"], "InProgress");
            assert_eq!(told(2)["documentStatus"], "Success");
            assert_eq!(told(2)["runtimeStatus"][id]["code"], 0);
            assert_eq!(told(2)["runtimeStatus"][id]["name"], "aws:runShellScript");
        }
    }

    #[test]
    fn a_cancellation_is_acknowledged_only() {
        let answers = answers(&job("aws.ssm.cancelCommand.mi-1", &json!({}))).unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].message_type, "agent_job_ack");
    }

    proptest! {
        #[test]
        fn no_payload_is_too_strange(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = answers(&AgentMessage::new("agent_job", 0, 0, payload));
        }
    }
}
