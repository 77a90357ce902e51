//! `AWS-RunShellScript`, the one document the lab runs: its name and versions, its parameters and their limits, and its
//! content as the agent is sent it.

use serde_json::{Value, json};

use super::{CommandId, Parameters};
use crate::endpoint::error::ApiError;

/// The document's name.
pub const NAME: &str = "AWS-RunShellScript";
/// The plugin it runs, by which results are found.
pub const PLUGIN: &str = "aws:runShellScript";
/// The limits of `executionTimeout`, in seconds: the agent takes what is below or above as an hour.
const EXECUTION_SECONDS: std::ops::RangeInclusive<u32> = 5..=172_800;
const DEFAULT_EXECUTION_SECONDS: u32 = 3600;
const LONGEST_DIRECTORY: usize = 4096;
/// AWS's limit of a document with its parameters, in bytes.
const LARGEST: usize = 64 << 10;

/// Refuses documents and versions that there are not. A document may be named by its ARN.
pub fn check_name(name: &str, version: Option<&str>) -> Result<(), ApiError> {
    let short = name.rsplit_once(":document/").map_or(name, |(_, short)| short);
    if short != NAME {
        return Err(ApiError::client(
            "InvalidDocument",
            format!("document {name} does not exist; the lab runs {NAME} alone"),
        ));
    }
    match version {
        None | Some("$DEFAULT" | "$LATEST" | "1") => Ok(()),
        Some(other) => Err(ApiError::client(
            "InvalidDocumentVersion",
            format!("{NAME} has no version {other}; name 1, $DEFAULT or $LATEST"),
        )),
    }
}

/// Checks parameters as the document declares them, and gives the seconds a script may run.
pub fn check_parameters(parameters: &Parameters) -> Result<u32, ApiError> {
    let invalid = |message: String| ApiError::client("InvalidParameters", message);
    let known = ["commands", "workingDirectory", "executionTimeout"];
    if let Some(other) = parameters.0.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(invalid(format!("{NAME} has no parameter {other}; it has {}", known.join(", "))));
    }
    if parameters.0.get("commands").is_none_or(Vec::is_empty) {
        return Err(invalid("commands is required: give the lines of the script".to_owned()));
    }
    if one(parameters, "workingDirectory")?.is_some_and(|path| path.chars().count() > LONGEST_DIRECTORY) {
        return Err(invalid(format!("workingDirectory has at most {LONGEST_DIRECTORY} characters")));
    }
    if serde_json::to_vec(parameters).map_or(usize::MAX, |json| json.len()) > LARGEST {
        return Err(ApiError::client(
            "MaxDocumentSizeExceeded",
            format!("the document and its parameters have at most {LARGEST} bytes; send a file another way"),
        ));
    }
    let Some(timeout) = one(parameters, "executionTimeout")? else { return Ok(DEFAULT_EXECUTION_SECONDS) };
    let seconds = timeout.parse().ok().filter(|seconds| (1..=*EXECUTION_SECONDS.end()).contains(seconds));
    match seconds {
        Some(seconds) if EXECUTION_SECONDS.contains(&seconds) => Ok(seconds),
        Some(_) => Ok(DEFAULT_EXECUTION_SECONDS),
        None => Err(invalid(format!(
            "executionTimeout is a number of seconds from 1 to {}, not {timeout}",
            EXECUTION_SECONDS.end()
        ))),
    }
}

/// The value of a parameter that takes one.
fn one<'a>(parameters: &'a Parameters, name: &str) -> Result<Option<&'a str>, ApiError> {
    match parameters.0.get(name).map(Vec::as_slice) {
        None => Ok(None),
        Some([value]) => Ok(Some(value)),
        Some(_) => Err(ApiError::client("InvalidParameters", format!("{name} takes one value"))),
    }
}

/// What the agent is sent, as JSON in a string.
#[must_use]
pub fn payload(id: CommandId, parameters: &Parameters) -> String {
    let lines = parameters.0.get("commands").cloned().unwrap_or_default();
    let single = |name: &str, default: &str| {
        let value = parameters.0.get(name).and_then(|values| values.first());
        json!(value.map_or(default, String::as_str))
    };
    json!({
        "Parameters": {
            "commands": lines,
            "workingDirectory": single("workingDirectory", ""),
            "executionTimeout": single("executionTimeout", "3600"),
        },
        "DocumentContent": content(),
        "CommandId": id,
        "DocumentName": NAME,
        "OutputS3KeyPrefix": "",
        "OutputS3BucketName": "",
        "CloudWatchLogGroupName": "",
        "CloudWatchOutputEnabled": "false",
    })
    .to_string()
}

/// The document, of schema 1.2 as AWS's is, so that agents file its result under the plugin's name.
fn content() -> Value {
    json!({
        "schemaVersion": "1.2",
        "description": "Runs a shell script.",
        "parameters": {
            "commands": {
                "type": "StringList", "minItems": 1, "displayType": "textarea",
                "description": "The lines of the script.",
            },
            "workingDirectory": {
                "type": "String", "default": "", "maxChars": LONGEST_DIRECTORY,
                "description": "Where it runs.",
            },
            "executionTimeout": {
                "type": "String", "default": "3600",
                "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
                "description": "After how many seconds it is ended.",
            },
        },
        "runtimeConfig": {PLUGIN: {"properties": [{
            "id": format!("0.{PLUGIN}"),
            "runCommand": "{{ commands }}",
            "workingDirectory": "{{ workingDirectory }}",
            "timeoutSeconds": "{{ executionTimeout }}",
        }]}},
    })
}

#[cfg(test)]
mod tests {
    use super::{check_name, check_parameters};
    use crate::endpoint::commands::Parameters;

    fn parameters(given: &[(&str, &[&str])]) -> Parameters {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        Parameters(given.iter().map(|(name, values)| ((*name).to_owned(), owned(values))).collect())
    }

    #[test]
    fn parameters_are_those_the_document_declares() {
        assert_eq!(check_parameters(&parameters(&[("commands", &["true"])])).unwrap(), 3600);
        let timed = parameters(&[("commands", &["true"]), ("executionTimeout", &["172800"])]);
        assert_eq!(check_parameters(&timed).unwrap(), 172_800);
        for bad in [
            parameters(&[]),
            parameters(&[("commands", &[])]),
            parameters(&[("commands", &["true"]), ("command", &["true"])]),
            parameters(&[("commands", &["true"]), ("executionTimeout", &["0"])]),
            parameters(&[("commands", &["true"]), ("executionTimeout", &["172801"])]),
            parameters(&[("commands", &["true"]), ("executionTimeout", &["soon"])]),
            parameters(&[("commands", &["true"]), ("executionTimeout", &["60", "70"])]),
            parameters(&[("commands", &["true"]), ("workingDirectory", &[&"/d".repeat(2049)])]),
        ] {
            assert_eq!(check_parameters(&bad).unwrap_err().code, "InvalidParameters", "{bad:?}");
        }
        let large = parameters(&[("commands", &[&"#".repeat(70_000)])]);
        assert_eq!(check_parameters(&large).unwrap_err().code, "MaxDocumentSizeExceeded");
    }

    #[test]
    fn the_document_goes_by_its_name_and_by_its_arn() {
        for name in ["AWS-RunShellScript", "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript"] {
            assert!(check_name(name, Some("$LATEST")).is_ok(), "{name}");
        }
        assert_eq!(check_name("AWS-RunPowerShellScript", None).unwrap_err().code, "InvalidDocument");
        assert_eq!(check_name("AWS-RunShellScript", Some("2")).unwrap_err().code, "InvalidDocumentVersion");
    }
}
