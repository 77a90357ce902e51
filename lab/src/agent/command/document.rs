//! The document of a command, parsed: schema 1.2 with its plugins, 2.x with its steps, parameters filled in.

use serde_json::{Map, Value};
use thiserror::Error;

use super::parameters::{self, Parameters};

/// Why a message is no command.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// Neither sendCommand nor cancelCommand.
    #[error("unexpected topic name {0}")]
    Topic(String),
    /// Not JSON.
    #[error("encountered error while parsing input - internal error")]
    Json(#[from] serde_json::Error),
    /// A member is missing.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// An id or a name that would leave the command's directory.
    #[error("`{0}` cannot name a directory")]
    Name(String),
    /// A schema this agent does not know.
    #[error(
        "Document with schema version {0} is not supported by this version of ssm agent, please update to latest version"
    )]
    Schema(String),
    /// A document without anything to run.
    #[error("Unsupported schema format")]
    Empty,
}

/// One step of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The step's name, or in schema 1.x the plugin's.
    pub id: String,
    /// `aws:runShellScript`, …
    pub plugin: String,
    /// The plugin's input, its parameters filled in.
    pub properties: Value,
    /// Why it is to be skipped on this platform, if it is.
    pub skipped: Option<String>,
}

/// A document to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The command's UUID.
    pub command_id: String,
    /// What to run, in order.
    pub steps: Vec<Step>,
}

impl Document {
    /// Reads the content of a sendCommand message.
    pub fn parse(content: &str) -> Result<Self, DocumentError> {
        let payload: Value = serde_json::from_str(content)?;
        let command_id = text(&payload, "CommandId").ok_or(DocumentError::Missing("CommandId"))?;
        let document = payload.get("DocumentContent").ok_or(DocumentError::Missing("DocumentContent"))?;
        let given = members(&payload, "Parameters");
        let parameters = parameters::complete(&given, &members(document, "parameters"));
        let schema = text(document, "schemaVersion").unwrap_or_default();
        let steps = match schema {
            "1.0" | "1.2" => plugins(document, &parameters),
            "2.0" | "2.0.1" | "2.0.2" | "2.0.3" | "2.2" => main_steps(document, &parameters)?,
            other => return Err(DocumentError::Schema(other.to_owned())),
        };
        if steps.is_empty() {
            return Err(DocumentError::Empty);
        }
        Ok(Self { command_id: directory(command_id)?, steps })
    }
}

/// The job id a cancelCommand message names.
pub fn cancelled_job(content: &str) -> Result<String, DocumentError> {
    let payload: Value = serde_json::from_str(content)?;
    text(&payload, "CancelMessageId").map(str::to_owned).ok_or(DocumentError::Missing("CancelMessageId"))
}

/// The name of a directory: colons go, as the real agent drops them; what would lead elsewhere is refused.
pub fn directory(name: &str) -> Result<String, DocumentError> {
    let plain: String = name.chars().filter(|character| *character != ':').collect();
    let leads_elsewhere = plain.starts_with('.') || plain.contains(['/', '\0']) || plain.len() > 200;
    if plain.is_empty() || leads_elsewhere {
        return Err(DocumentError::Name(name.to_owned()));
    }
    Ok(plain)
}

fn plugins(document: &Value, parameters: &Parameters) -> Vec<Step> {
    members(document, "runtimeConfig")
        .into_iter()
        .map(|(plugin, config)| Step {
            id: plugin.clone(),
            plugin,
            properties: parameters::replace(config.get("properties").unwrap_or(&Value::Null), parameters),
            skipped: None,
        })
        .collect()
}

fn main_steps(document: &Value, parameters: &Parameters) -> Result<Vec<Step>, DocumentError> {
    let steps = document.get("mainSteps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    steps
        .iter()
        .map(|step| {
            let id = text(step, "name").ok_or(DocumentError::Missing("name of a step"))?;
            let plugin = text(step, "action").ok_or(DocumentError::Missing("action of a step"))?;
            directory(id)?;
            Ok(Step {
                id: id.to_owned(),
                plugin: plugin.to_owned(),
                properties: parameters::replace(step.get("inputs").unwrap_or(&Value::Null), parameters),
                skipped: unsatisfied(step, parameters).map(|why| {
                    format!(
                        "Step execution skipped due to unsatisfied preconditions: '{why}'. Step name: {id}"
                    )
                }),
            })
        })
        .collect()
}

/// The precondition of a step that does not hold here. `StringEquals` is the only one there is.
fn unsatisfied(step: &Value, parameters: &Parameters) -> Option<String> {
    let wanted = step.get("precondition")?.get("StringEquals")?.as_array()?;
    let [one, other] = wanted.as_slice() else { return None };
    let value = |text: &Value| match text.as_str().unwrap_or_default() {
        "platformType" => "linux".to_owned(),
        text => parameters::replace_in_text(text, parameters),
    };
    let about_platform = [one, other].iter().any(|text| text.as_str() == Some("platformType"));
    let (left, right) = (value(one), value(other));
    let holds = if about_platform { left.eq_ignore_ascii_case(&right) } else { left == right };
    let shown = |text: &Value| text.as_str().unwrap_or_default().to_owned();
    (!holds).then(|| format!("\"StringEquals\": [{}, {}]", shown(one), shown(other)))
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member).and_then(Value::as_str)
}

fn members(value: &Value, member: &str) -> Map<String, Value> {
    value.get(member).and_then(Value::as_object).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Document, DocumentError, cancelled_job, directory};

    /// As the service sends `AWS-RunShellScript`.
    fn run_shell_script() -> Value {
        json!({
            "CommandId": "0c2a4e7d-0000-4000-8000-000000000001",
            "DocumentName": "AWS-RunShellScript",
            "Parameters": {"commands": ["whoami", "id"], "executionTimeout": "60"},
            "DocumentContent": {
                "schemaVersion": "1.2",
                "parameters": {
                    "commands": {"type": "StringList"},
                    "workingDirectory": {"type": "String", "default": ""},
                    "executionTimeout": {"type": "String", "default": "3600"},
                },
                "runtimeConfig": {"aws:runShellScript": {"properties": [{
                    "id": "0.aws:runShellScript", "runCommand": "{{ commands }}",
                    "workingDirectory": "{{ workingDirectory }}", "timeoutSeconds": "{{ executionTimeout }}",
                }]}},
            },
        })
    }

    #[test]
    fn the_shell_script_document_has_its_parameters_filled_in() {
        let document = Document::parse(&run_shell_script().to_string()).unwrap();
        let [step] = document.steps.as_slice() else { panic!("{document:?}") };
        assert_eq!(step.plugin, "aws:runShellScript");
        assert_eq!(
            step.properties,
            json!([{
                "id": "0.aws:runShellScript", "runCommand": ["whoami", "id"], "workingDirectory": "",
                "timeoutSeconds": "60",
            }])
        );
    }

    #[test]
    fn steps_for_other_platforms_are_skipped() {
        let step = |name: &str, platform: &str| {
            json!({
                "name": name, "action": "aws:runShellScript", "inputs": {"runCommand": ["{{ word }}"]},
                "precondition": {"StringEquals": ["platformType", platform]},
            })
        };
        let document = Document::parse(
            &json!({
                "CommandId": "c", "Parameters": {"word": "true"},
                "DocumentContent": {
                    "schemaVersion": "2.2", "mainSteps": [step("here", "Linux"), step("there", "Windows")],
                },
            })
            .to_string(),
        )
        .unwrap();
        let [here, there] = document.steps.as_slice() else { panic!("{document:?}") };
        assert_eq!((here.skipped.as_deref(), &here.properties), (None, &json!({"runCommand": ["true"]})));
        assert_eq!(
            there.skipped.as_deref(),
            Some(
                "Step execution skipped due to unsatisfied preconditions: '\"StringEquals\": [platformType, Windows]'. \
                 Step name: there"
            )
        );
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let mut unknown = run_shell_script();
        unknown["DocumentContent"]["schemaVersion"] = json!("9999.0");
        assert!(matches!(Document::parse(&unknown.to_string()), Err(DocumentError::Schema(_))));
        let mut outside = run_shell_script();
        outside["CommandId"] = json!("../../etc");
        assert!(matches!(Document::parse(&outside.to_string()), Err(DocumentError::Name(_))));
        for bad in ["", "[]", "{}", r#"{"CommandId":"c"}"#, r#"{"CommandId":"c","DocumentContent":{}}"#] {
            assert!(Document::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_cannot_lead_out_of_its_directory() {
        assert_eq!(directory("0.aws:runShellScript").unwrap(), "0.awsrunShellScript");
        for bad in ["", ".", "..", ".ssh", "a/b", "../x", ":", "a\0b"] {
            assert!(directory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cancellation_names_a_job() {
        assert_eq!(cancelled_job(r#"{"CancelMessageId":"aws.ssm.c.mi-1"}"#).unwrap(), "aws.ssm.c.mi-1");
        assert!(cancelled_job("{}").is_err());
    }
}
