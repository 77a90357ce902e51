//! What a document may hold. The lab takes those it can honour: session documents, whose preferences the agent follows,
//! and command documents whose steps are shell scripts. JSON only; AWS takes YAML as well.

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::endpoint::error::ApiError;

/// AWS's limit of a document's size.
const LARGEST: usize = 64 << 10;
const DEFAULT_IDLE_MINUTES: i64 = 20;

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Sessions.
    Session,
    /// `SendCommand`.
    Command,
}

impl Kind {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session => "Session",
            Self::Command => "Command",
        }
    }

    /// Reads `DocumentType`; command documents are the default.
    pub fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        match text {
            None | Some("Command") => Ok(Self::Command),
            Some("Session") => Ok(Self::Session),
            Some(other) => Err(ApiError::validation(format!(
                "the lab has documents of the types Session and Command, not {other}"
            ))),
        }
    }
}

/// A content that was read and holds what its kind allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Content(Map<String, Value>);

impl Content {
    /// Reads a content and checks it.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, ApiError> {
        if text.len() > LARGEST {
            return Err(ApiError::client(
                "MaxDocumentSizeExceeded",
                format!("a document has at most {LARGEST} bytes"),
            ));
        }
        let value = serde_json::from_str(text).map_err(|error| {
            invalid(format!("the content is not JSON, the one format the lab reads: {error}"))
        })?;
        let Value::Object(members) = value else {
            return Err(invalid("the content is not a JSON object".to_owned()));
        };
        let content = Self(members);
        match kind {
            Kind::Session => content.check_session()?,
            Kind::Command => content.check_command()?,
        }
        Ok(content)
    }

    /// A member of text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The parameters it declares, by name.
    #[must_use]
    pub fn parameters(&self) -> Option<&Map<String, Value>> {
        self.0.get("parameters")?.as_object()
    }

    /// A member of a session document's `inputs` that is a text with something in it.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&str> {
        self.0.get("inputs")?.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// The preferences of a session document, if it has any.
    #[must_use]
    pub fn inputs(&self) -> Option<&Value> {
        self.0.get("inputs")
    }

    /// The content with other preferences.
    #[must_use]
    pub fn with_inputs(mut self, inputs: Value) -> Self {
        self.0.insert("inputs".to_owned(), inputs);
        self
    }

    /// The content as the agent gets it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Minutes without a key or an output after which a session by this document ends.
    #[must_use]
    pub fn idle_minutes(&self) -> i64 {
        self.minutes("idleSessionTimeout").unwrap_or(DEFAULT_IDLE_MINUTES)
    }

    /// Minutes after which a session by this document ends in any case.
    #[must_use]
    pub fn max_minutes(&self) -> Option<i64> {
        self.minutes("maxSessionDuration")
    }

    fn minutes(&self, name: &str) -> Option<i64> {
        self.input(name)?.parse().ok()
    }

    fn schema(&self, wanted: &[&str]) -> Result<(), ApiError> {
        match self.text("schemaVersion") {
            Some(version) if wanted.contains(&version) => Ok(()),
            other => Err(ApiError::client(
                "InvalidDocumentSchemaVersion",
                format!(
                    "schemaVersion is {}, and must be {}",
                    other.unwrap_or("missing"),
                    wanted.join(" or ")
                ),
            )),
        }
    }

    fn check_session(&self) -> Result<(), ApiError> {
        self.schema(&["1.0"])?;
        let commands = match self.text("sessionType") {
            Some("Standard_Stream") => false,
            Some("InteractiveCommands" | "NonInteractiveCommands") => true,
            other => {
                return Err(invalid(format!(
                    "sessionType is {}; the lab has Standard_Stream, InteractiveCommands and NonInteractiveCommands",
                    other.unwrap_or("missing")
                )));
            }
        };
        for name in self.0.keys() {
            if !["schemaVersion", "description", "sessionType", "inputs", "parameters", "properties"]
                .contains(&name.as_str())
            {
                return Err(invalid(format!("{name} is no member of a session document")));
            }
        }
        if let Some(inputs) = self.inputs() {
            check_inputs(inputs)?;
        }
        let linux = self.0.get("properties").and_then(|properties| properties.get("linux"));
        if commands
            && linux.and_then(|linux| linux.get("commands")).is_none_or(|commands| !commands.is_string())
        {
            return Err(invalid("properties.linux.commands is missing".to_owned()));
        }
        self.check_parameters()
    }

    fn check_command(&self) -> Result<(), ApiError> {
        self.schema(&["2.2"])?;
        let steps = self.0.get("mainSteps").and_then(Value::as_array).filter(|steps| !steps.is_empty());
        for step in steps.ok_or_else(|| invalid("mainSteps is missing or empty".to_owned()))? {
            let action = step.get("action").and_then(Value::as_str).unwrap_or("missing");
            if action != "aws:runShellScript" {
                return Err(invalid(format!(
                    "the lab runs aws:runShellScript; the action {action} it does not"
                )));
            }
            let script = step.get("inputs").and_then(|inputs| inputs.get("runCommand"));
            if step.get("name").and_then(Value::as_str).is_none() || script.is_none() {
                return Err(invalid("a step has no name or no inputs.runCommand".to_owned()));
            }
        }
        self.check_parameters()
    }

    fn check_parameters(&self) -> Result<(), ApiError> {
        let declared = match self.0.get("parameters") {
            None => return Ok(()),
            Some(declared) => {
                declared.as_object().ok_or_else(|| invalid("parameters is not an object".to_owned()))?
            }
        };
        for (name, declaration) in declared {
            match declaration.get("type").and_then(Value::as_str) {
                Some("String" | "StringList" | "Boolean" | "Integer" | "MapList" | "StringMap") => {}
                _ => {
                    return Err(invalid(format!(
                        "the parameter {name} has no type that a document may have"
                    )));
                }
            }
            let pattern = declaration.get("allowedPattern").and_then(Value::as_str);
            pattern.map(whole).transpose().map_err(|error| {
                invalid(format!("the allowedPattern of {name} is no regular expression: {error}"))
            })?;
        }
        Ok(())
    }
}

/// A pattern that a value has to match as a whole.
pub fn whole(pattern: &str) -> Result<Regex, Box<fancy_regex::Error>> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(Box::new)
}

fn check_inputs(inputs: &Value) -> Result<(), ApiError> {
    let inputs = inputs.as_object().ok_or_else(|| invalid("inputs is not an object".to_owned()))?;
    for (name, value) in inputs {
        let right = match name.as_str() {
            "s3EncryptionEnabled"
            | "cloudWatchEncryptionEnabled"
            | "cloudWatchStreamingEnabled"
            | "runAsEnabled" => value.is_boolean(),
            "s3BucketName" | "s3KeyPrefix" | "cloudWatchLogGroupName" | "kmsKeyId" | "runAsDefaultUser" => {
                value.is_string()
            }
            "idleSessionTimeout" => are_minutes(value, 60),
            "maxSessionDuration" => are_minutes(value, 1440),
            "shellProfile" => value.as_object().is_some_and(|profiles| {
                profiles.iter().all(|(platform, profile)| {
                    ["linux", "windows"].contains(&platform.as_str()) && profile.is_string()
                })
            }),
            _ => return Err(invalid(format!("inputs.{name} is no preference of sessions"))),
        };
        if !right {
            return Err(invalid(format!("inputs.{name} has a value that it cannot have")));
        }
    }
    Ok(())
}

/// Minutes come as text; empty where there is no limit.
fn are_minutes(value: &Value, most: i64) -> bool {
    value.as_str().is_some_and(|text| {
        text.is_empty() || text.parse().is_ok_and(|minutes: i64| (1..=most).contains(&minutes))
    })
}

fn invalid(why: String) -> ApiError {
    ApiError::client("InvalidDocumentContent", why)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Content, Kind};

    fn session(inputs: &Value) -> Value {
        json!({"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": inputs})
    }

    /// The example of AWS's documentation, with every preference it names.
    #[test]
    fn the_preferences_of_the_documentation_are_read() {
        let content = session(&json!({
            "s3BucketName": "", "s3KeyPrefix": "", "s3EncryptionEnabled": true, "cloudWatchLogGroupName": "",
            "cloudWatchEncryptionEnabled": true, "cloudWatchStreamingEnabled": false, "kmsKeyId": "",
            "runAsEnabled": true, "runAsDefaultUser": "ops", "idleSessionTimeout": "5", "maxSessionDuration": "60",
            "shellProfile": {"windows": "", "linux": "exec bash"},
        }));
        let content = Content::parse(Kind::Session, &content.to_string()).unwrap();
        assert_eq!((content.idle_minutes(), content.max_minutes()), (5, Some(60)));
        let content =
            Content::parse(Kind::Session, &session(&json!({"maxSessionDuration": ""})).to_string()).unwrap();
        assert_eq!((content.idle_minutes(), content.max_minutes()), (20, None));
    }

    #[test]
    fn other_contents_are_refused_by_name() {
        let code = |kind, content: &str| Content::parse(kind, content).unwrap_err().code;
        for inputs in [
            json!({"idleSessionTimeout": "61"}),
            json!({"idleSessionTimeout": 5}),
            json!({"maxSessionDuration": "1441"}),
            json!({"runAsEnabled": "yes"}),
            json!({"shellProfile": {"beos": ""}}),
            json!({"colour": "red"}),
            json!([]),
        ] {
            assert_eq!(
                code(Kind::Session, &session(&inputs).to_string()),
                "InvalidDocumentContent",
                "{inputs}"
            );
        }
        for bad in ["", "[]", "schemaVersion: '1.0'"] {
            assert_eq!(code(Kind::Session, bad), "InvalidDocumentContent", "{bad}");
        }
        let port = r#"{"schemaVersion": "1.0", "sessionType": "Port"}"#;
        assert_eq!(code(Kind::Session, port), "InvalidDocumentContent");
        assert_eq!(code(Kind::Session, r#"{"schemaVersion": "2.2"}"#), "InvalidDocumentSchemaVersion");
        assert_eq!(code(Kind::Session, &"x".repeat(65537)), "MaxDocumentSizeExceeded");
        let step = |action: &str| {
            json!({"schemaVersion": "2.2", "mainSteps": [
                {"action": action, "name": "s", "inputs": {"runCommand": ["true"]}}]})
            .to_string()
        };
        assert!(Content::parse(Kind::Command, &step("aws:runShellScript")).is_ok());
        assert_eq!(code(Kind::Command, &step("aws:softwareInventory")), "InvalidDocumentContent");
    }
}
