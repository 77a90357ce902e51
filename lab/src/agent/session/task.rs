//! The task of an `interactive_shell` message: which session, what to run in it, and as whom.

use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::agent::command::parameters;

/// Why a task cannot be done.
#[derive(Debug, Error)]
pub enum TaskError {
    /// Not what the service sends.
    #[error("encountered error while parsing input - internal error")]
    Json(#[from] serde_json::Error),
    /// An id that cannot stand in a URL's path.
    #[error("`{0}` is no session id")]
    SessionId(String),
    /// A session type the stand-in has not.
    #[error(
        "Plugin with name {0} is not supported by this version of ssm agent, please update to latest version. Step name: {0}"
    )]
    Type(String),
    /// Another schema than 1.0.
    #[error(
        "Document with schema version {0} is not supported by this version of ssm agent, please update to latest version"
    )]
    Schema(String),
    /// Encryption with a KMS key.
    #[error(
        "Encountered error while initiating handshake. Fetching data key failed: the stand-in has no KMS"
    )]
    Kms,
    /// `InteractiveCommands` without a command.
    #[error("Commands cannot be empty for session type InteractiveCommands")]
    NoCommand,
    /// Neither the principal nor the preferences name a user.
    #[error("Unable to start command: please set the RunAs default user")]
    NoUser,
}

/// What to run on the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// A command for `sh -c`; a shell without one.
    pub command: Option<String>,
    /// Written to a shell before anything else.
    pub profile: String,
    /// As whom.
    pub user: RunAs,
}

/// As whom a session runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAs {
    /// `ssm-user`, made if need be.
    Default,
    /// A user of the host.
    Named(String),
    /// Root, as the document says.
    Elevated,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Payload {
    session_id: String,
    #[serde(default)]
    document_content: Value,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default)]
    run_as_user: Option<String>,
}

/// A task that names its session; what is wrong with it is told to that session's owner.
#[derive(Debug)]
pub struct Task {
    /// The session.
    pub session_id: String,
    /// What to do in it.
    pub launch: Result<Launch, TaskError>,
}

impl Task {
    /// Reads the content of the message.
    pub fn parse(content: &str) -> Result<Self, TaskError> {
        let payload: Payload = serde_json::from_str(content)?;
        if !is_session_id(&payload.session_id) {
            return Err(TaskError::SessionId(payload.session_id));
        }
        let launch = launch(&payload);
        Ok(Self { session_id: payload.session_id, launch })
    }
}

/// It stands in a path as it is.
fn is_session_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@=,+".contains(&byte);
    !text.is_empty() && text.len() <= 128 && !text.starts_with('.') && text.bytes().all(plain)
}

fn launch(payload: &Payload) -> Result<Launch, TaskError> {
    let document = &payload.document_content;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let schema = text(document.get("schemaVersion"));
    if schema != "1.0" {
        return Err(TaskError::Schema(schema));
    }
    let declared = document.get("parameters").and_then(Value::as_object).cloned().unwrap_or_default();
    let given = payload.parameters.clone().unwrap_or_default();
    let parameters = parameters::complete(&given, &declared);
    let filled = |name: &str| parameters::replace(document.get(name).unwrap_or(&Value::Null), &parameters);
    let (inputs, properties) = (filled("inputs"), filled("properties"));
    if !text(inputs.get("kmsKeyId")).is_empty() {
        return Err(TaskError::Kms);
    }
    let linux = properties.get("linux");
    let command = text(linux.and_then(|linux| linux.get("commands")));
    let elevated = truth(linux.and_then(|linux| linux.get("runAsElevated")));
    let (command, elevated) = match text(document.get("sessionType")).as_str() {
        "Standard_Stream" => (None, false),
        "InteractiveCommands" if command.trim().is_empty() => return Err(TaskError::NoCommand),
        "InteractiveCommands" => (Some(command), elevated),
        other => return Err(TaskError::Type(other.to_owned())),
    };
    let user = match (elevated, truth(inputs.get("runAsEnabled"))) {
        (true, _) => RunAs::Elevated,
        (false, false) => RunAs::Default,
        (false, true) => {
            // The user of the IAM principal comes before that of the preferences.
            let own = payload.run_as_user.clone().unwrap_or_default();
            let named = if own.trim().is_empty() { text(inputs.get("runAsDefaultUser")) } else { own };
            if named.trim().is_empty() {
                return Err(TaskError::NoUser);
            }
            RunAs::Named(named)
        }
    };
    let profile = text(inputs.get("shellProfile").and_then(|profile| profile.get("linux")));
    Ok(Launch { command, profile, user })
}

/// Documents have booleans and texts of them.
fn truth(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => ["true", "True", "TRUE", "t", "T", "1"].contains(&text.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Launch, RunAs, Task, TaskError};

    fn content(kind: &str, inputs: &Value, more: &Value) -> String {
        let mut content = json!({
            "DocumentName": "SSM-SessionManagerRunShell", "SessionId": "anna@example.com-0a1b", "Parameters": {},
            "RunAsUser": "", "SessionOwner": "arn:aws:iam::1:user/anna",
            "DocumentContent": {"schemaVersion": "1.0", "sessionType": kind, "inputs": inputs},
        });
        for (name, value) in more.as_object().unwrap() {
            content[name] = value.clone();
        }
        content.to_string()
    }

    fn launch(content: &str) -> Result<Launch, TaskError> {
        Task::parse(content).unwrap().launch
    }

    #[test]
    fn a_plain_session_is_a_shell_of_the_default_user() {
        let task = Task::parse(&content("Standard_Stream", &json!({}), &json!({}))).unwrap();
        assert_eq!(task.session_id, "anna@example.com-0a1b");
        assert_eq!(
            task.launch.unwrap(),
            Launch { command: None, profile: String::new(), user: RunAs::Default }
        );
    }

    #[test]
    fn the_principals_user_comes_before_the_preferences() {
        let inputs = json!({
            "runAsEnabled": "true", "runAsDefaultUser": "ops", "shellProfile": {"linux": "cd /"}, "kmsKeyId": "",
        });
        let default = launch(&content("Standard_Stream", &inputs, &json!({}))).unwrap();
        assert_eq!((default.user, default.profile.as_str()), (RunAs::Named("ops".into()), "cd /"));
        let own = launch(&content("Standard_Stream", &inputs, &json!({"RunAsUser": "anna"}))).unwrap();
        assert_eq!(own.user, RunAs::Named("anna".into()));
        let nobody = launch(&content("Standard_Stream", &json!({"runAsEnabled": true}), &json!({})));
        assert!(matches!(nobody, Err(TaskError::NoUser)));
    }

    #[test]
    fn an_interactive_command_has_its_parameters_filled_in() {
        let more = json!({
            "Parameters": {"unit": "sshd"},
            "DocumentContent": {
                "schemaVersion": "1.0", "sessionType": "InteractiveCommands",
                "properties": {"linux": {"commands": "journalctl -u {{ unit }}", "runAsElevated": true}},
            },
        });
        let launch = launch(&content("", &json!({}), &more)).unwrap();
        assert_eq!((launch.command.as_deref(), launch.user), (Some("journalctl -u sshd"), RunAs::Elevated));
    }

    #[test]
    fn what_the_stand_in_has_not_is_refused_by_name() {
        let port = launch(&content("Port", &json!({}), &json!({}))).unwrap_err();
        assert!(port.to_string().starts_with("Plugin with name Port is not supported"));
        let kms = launch(&content("Standard_Stream", &json!({"kmsKeyId": "key"}), &json!({})));
        assert!(matches!(kms, Err(TaskError::Kms)));
        let empty = launch(&content("InteractiveCommands", &json!({}), &json!({})));
        assert!(matches!(empty, Err(TaskError::NoCommand)));
    }

    #[test]
    fn a_session_id_is_safe_in_a_path() {
        for bad in ["", "..", "a/b", "a b", "a%2e", "a?b", "ä", &"x".repeat(129)] {
            let content = json!({"SessionId": bad}).to_string();
            assert!(matches!(Task::parse(&content), Err(TaskError::SessionId(_))), "{bad}");
        }
        assert!(Task::parse("{}").is_err());
    }
}
