//! What an agent tells of a command: the payload of `SendReply` and of `agent_job_reply`, and the acknowledgement of a job.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;

use super::names::{BadName, MessageName};
use super::shell_script::PLUGIN;
use super::{Outcome, PluginResult};

/// AWS's limits of what is kept, in characters.
const STANDARD_OUTPUT: usize = 24_000;
const STANDARD_ERROR: usize = 8_000;
const OUTPUT: usize = 2_500;
const TRACE: usize = 2_500;

/// A payload that tells nothing.
#[derive(Debug, Error)]
pub enum BadReply {
    /// No JSON, or other members than those of an agent.
    #[error("the payload is not an agent's")]
    Payload(#[from] serde_json::Error),
    /// It is about no command.
    #[error(transparent)]
    Name(#[from] BadName),
}

/// What a reply tells of its command.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// How the command ended, if it did.
    pub outcome: Option<Outcome>,
    /// What the agent says of the document as a whole.
    pub trace: String,
    /// What became of the plugin, if the reply says anything of it.
    pub result: Option<PluginResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    document_status: String,
    #[serde(default)]
    document_trace_output: Option<String>,
    #[serde(default)]
    runtime_status: Option<BTreeMap<String, Plugin>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Plugin {
    code: i32,
    output: String,
    standard_output: String,
    standard_error: String,
    start_date_time: String,
    end_date_time: String,
}

/// Reads the payload of `SendReply`, which is also the `content` of an `agent_job_reply`.
pub fn read(payload: &str) -> Result<Told, BadReply> {
    let payload: Payload = serde_json::from_str(payload)?;
    let mut plugins = payload.runtime_status.unwrap_or_default();
    let plugin = plugins.remove(PLUGIN).or_else(|| plugins.into_values().next());
    Ok(Told {
        outcome: outcome(&payload.document_status),
        trace: cut(payload.document_trace_output.unwrap_or_default(), TRACE),
        result: plugin.map(Plugin::into_result),
    })
}

/// `SuccessAndReboot` is not the end: the agent goes on after the reboot.
fn outcome(status: &str) -> Option<Outcome> {
    match status {
        "Success" | "Skipped" => Some(Outcome::Success),
        "Failed" => Some(Outcome::Failed),
        "TimedOut" => Some(Outcome::ExecutionTimedOut),
        "Cancelled" => Some(Outcome::Cancelled),
        _ => None,
    }
}

impl Plugin {
    fn into_result(self) -> PluginResult {
        PluginResult {
            code: self.code,
            output: cut(self.output, OUTPUT),
            standard_output: cut(self.standard_output, STANDARD_OUTPUT),
            standard_error: cut(self.standard_error, STANDARD_ERROR),
            started: time(&self.start_date_time),
            ended: time(&self.end_date_time),
        }
    }
}

/// Go writes a time that is not set as the first of January of the year 1.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|time| *time > Timestamp::UNIX_EPOCH)
}

fn cut(mut text: String, characters: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
    }
    text
}

/// A reply on the control channel.
#[derive(Debug)]
pub struct JobReply {
    /// The job it is about.
    pub job: MessageName,
    /// What it tells.
    pub told: Told,
}

impl JobReply {
    /// Reads the payload of an `agent_job_reply`.
    pub fn read(payload: &[u8]) -> Result<Self, BadReply> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Frame {
            job_id: String,
            content: String,
        }
        let frame: Frame = serde_json::from_slice(payload)?;
        Ok(Self { job: MessageName::parse(&frame.job_id)?, told: read(&frame.content)? })
    }
}

/// What an agent does about a job it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Taken,
    /// It has no room for it now, or is about to stop.
    NotNow,
    /// It will never do it.
    Refused,
}

/// The acknowledgement of a job on the control channel.
#[derive(Debug)]
pub struct JobAcknowledgement {
    /// The job.
    pub job: MessageName,
    /// What the agent does about it.
    pub answer: Answer,
}

impl JobAcknowledgement {
    /// Reads the payload of an `agent_job_ack`.
    pub fn read(payload: &[u8]) -> Result<Self, BadReply> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Frame {
            job_id: String,
            status_code: String,
        }
        let frame: Frame = serde_json::from_slice(payload)?;
        let answer = match frame.status_code.as_str() {
            // Closed processor, full buffer.
            "51401" | "51402" => Answer::NotNow,
            // Unexpected document type, untranslatable error, invalid document, container, unexpected error.
            "51403" | "51404" | "51406" | "51407" | "51499" => Answer::Refused,
            // Success; also a duplicate, and a job it cannot parse, of which a reply tells more.
            _ => Answer::Taken,
        };
        Ok(Self { job: MessageName::parse(&frame.job_id)?, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::{JobAcknowledgement, JobReply, read};
    use crate::endpoint::commands::Outcome;
    use serde_json::json;

    fn payload(status: &str, output: &str, errors: &str) -> String {
        json!({
            "additionalInfo": {"agent": {"name": "amazon-ssm-agent"}, "runtimeStatusCounts": {status: 1}},
            "documentStatus": status, "documentTraceOutput": "",
            "runtimeStatus": {"aws:runShellScript": {
                "status": status, "code": 3, "name": "aws:runShellScript", "output": output,
                "startDateTime": "2024-10-15T10:00:00.250Z", "endDateTime": "0001-01-01T00:00:00.000Z",
                "outputS3BucketName": "", "outputS3KeyPrefix": "", "stepName": "",
                "standardOutput": output, "standardError": errors,
            }},
        })
        .to_string()
    }

    #[test]
    fn output_is_cut_by_characters_not_bytes() {
        let told = read(&payload("Failed", &"ä".repeat(30_000), &"ö".repeat(9_000))).unwrap();
        let result = told.result.unwrap();
        assert_eq!(told.outcome, Some(Outcome::Failed));
        assert_eq!(result.code, 3);
        assert_eq!(result.standard_output, "ä".repeat(24_000));
        assert_eq!(result.standard_error, "ö".repeat(8_000));
        assert_eq!(result.output, "ä".repeat(2_500));
    }

    #[test]
    fn a_time_that_go_did_not_set_is_none() {
        let result = read(&payload("InProgress", "", "")).unwrap().result.unwrap();
        assert_eq!(result.started, Some("2024-10-15T10:00:00.25Z".parse().unwrap()));
        assert_eq!(result.ended, None);
    }

    #[test]
    fn the_first_reply_of_a_document_has_no_plugins() {
        let told = read(r#"{"additionalInfo":{},"documentStatus":"InProgress","documentTraceOutput":"","runtimeStatus":null}"#).unwrap();
        assert_eq!((told.outcome, told.result), (None, None));
    }

    #[test]
    fn a_reboot_is_not_the_end() {
        assert_eq!(read(&payload("SuccessAndReboot", "", "")).unwrap().outcome, None);
    }

    #[test]
    fn nonsense_is_told_from_replies() {
        for bad in ["", "[]", "{}", "\u{0}", r#"{"jobId":"x","content":"{}"}"#, r#"{"jobId":1,"content":2}"#]
        {
            assert!(JobReply::read(bad.as_bytes()).is_err(), "{bad}");
            assert!(JobAcknowledgement::read(bad.as_bytes()).is_err(), "{bad}");
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
