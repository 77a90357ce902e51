//! The documents that AWS owns and the lab has a use for. Their names and parameters are AWS's, the text is the lab's.

use serde_json::{Value, json};

use super::content::Kind;

/// A document of AWS.
#[derive(Debug)]
pub struct Owned {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    content: fn() -> Value,
}

const OWNED: [Owned; 3] = [
    Owned { name: "AWS-RunShellScript", kind: Kind::Command, content: run_shell_script },
    Owned {
        name: "AWS-StartInteractiveCommand",
        kind: Kind::Session,
        content: || start_command("InteractiveCommands"),
    },
    Owned {
        name: "AWS-StartNonInteractiveCommand",
        kind: Kind::Session,
        content: || start_command("NonInteractiveCommands"),
    },
];

/// The document of this name, if AWS owns it and the lab has it.
#[must_use]
pub fn find(name: &str) -> Option<&'static Owned> {
    static DOCUMENTS: [Owned; 3] = OWNED;
    DOCUMENTS.iter().find(|owned| owned.name == name)
}

impl Owned {
    /// Its content.
    #[must_use]
    pub fn content(&self) -> String {
        format!("{:#}", (self.content)())
    }
}

/// The content of the preferences while the account has none of its own.
#[must_use]
pub fn standard_preferences() -> Value {
    json!({
        "schemaVersion": "1.0",
        "description": "Sessions as they are without preferences",
        "sessionType": "Standard_Stream",
        "inputs": {
            "s3BucketName": "",
            "s3KeyPrefix": "",
            "s3EncryptionEnabled": true,
            "cloudWatchLogGroupName": "",
            "cloudWatchEncryptionEnabled": true,
            "cloudWatchStreamingEnabled": false,
            "kmsKeyId": "",
            "runAsEnabled": false,
            "runAsDefaultUser": "",
            "idleSessionTimeout": "",
            "maxSessionDuration": "",
            "shellProfile": {"windows": "", "linux": ""},
        },
    })
}

fn start_command(session_type: &str) -> Value {
    json!({
        "schemaVersion": "1.0",
        "description": "Run one command in a session",
        "sessionType": session_type,
        "parameters": {
            "command": {"type": "String", "description": "The command to run"},
        },
        "properties": {
            "windows": {"commands": "{{ command }}", "runAsElevated": false},
            "macos": {"commands": "{{ command }}", "runAsElevated": false},
            "linux": {"commands": "{{ command }}", "runAsElevated": false},
        },
    })
}

fn run_shell_script() -> Value {
    json!({
        "schemaVersion": "2.2",
        "description": "Run a shell script or specify the commands to run",
        "parameters": {
            "commands": {"type": "StringList", "description": "The script's lines", "minItems": 1},
            "workingDirectory": {"type": "String", "default": "", "description": "Where to run it", "maxChars": 4096},
            "executionTimeout": {
                "type": "String",
                "default": "3600",
                "description": "Seconds after which it is ended",
                "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
            },
        },
        "mainSteps": [{
            "action": "aws:runShellScript",
            "name": "runShellScript",
            "inputs": {
                "timeoutSeconds": "{{ executionTimeout }}",
                "runCommand": "{{ commands }}",
                "workingDirectory": "{{ workingDirectory }}",
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::{OWNED, standard_preferences};
    use crate::endpoint::documents::content::{Content, Kind};

    #[test]
    fn every_owned_document_holds_what_its_kind_allows() {
        for owned in &OWNED {
            assert!(Content::parse(owned.kind, &owned.content()).is_ok(), "{}", owned.name);
        }
        assert!(Content::parse(Kind::Session, &standard_preferences().to_string()).is_ok());
    }
}
