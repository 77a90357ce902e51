//! Requests and answers as events keep them: without secrets, and without bulk.

use serde_json::{Value, json};

use crate::endpoint::model::{self, Hidden};

/// CloudTrail leaves out parameters beyond 100 KiB; the lab keeps fewer bytes of more calls.
const LARGEST: usize = 4096;
/// CloudTrail's word in place of a secret.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// What AWS's models do not mark as sensitive and is secret all the same.
const SECRETS: &[Hidden] = &[
    Hidden { member: "ActivationCode", shown: HIDDEN },
    Hidden { member: "Fingerprint", shown: HIDDEN },
    Hidden { member: "SecretAccessKey", shown: HIDDEN },
    Hidden { member: "SessionToken", shown: HIDDEN },
    // CloudTrail has these words for the token of StartSession.
    Hidden { member: "TokenValue", shown: "Value hidden due to security reasons." },
];

/// `requestParameters` of a call; `null` for a request that was not read.
pub(super) fn request(operation: &str, input: Option<&Value>) -> Value {
    let shown =
        model::find(operation).zip(input).and_then(|(model, input)| model.show_input(input, HIDDEN, SECRETS));
    bounded(shown)
}

/// `responseElements` of a call that changed something.
pub(super) fn response(operation: &str, output: &Value) -> Value {
    bounded(model::find(operation).and_then(|model| model.show_output(output, HIDDEN, SECRETS)))
}

/// Nothing is `null`, and what is too large is replaced as CloudTrail does.
fn bounded(shown: Option<Value>) -> Value {
    let Some(shown) = shown.filter(|shown| shown.as_object().is_some_and(|members| !members.is_empty()))
    else {
        return Value::Null;
    };
    let size = shown.to_string().len();
    if size <= LARGEST {
        return shown;
    }
    json!({"omitted": true, "originalSize": size, "reason": "larger than the lab keeps"})
}

/// A text of the caller's, as far as it is kept.
pub(super) fn cut(text: &str, longest: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(longest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{request, response};
    use crate::endpoint::model::SHOWN_TEXT;

    #[test]
    fn commands_are_hidden_as_cloudtrail_hides_them() {
        let input = json!({
            "DocumentName": "AWS-RunShellScript",
            "InstanceIds": ["mi-0123456789abcdef0"],
            "Parameters": {"commands": ["echo hunter2"]},
            "parameters": "hunter2",
        });
        assert_eq!(
            request("SendCommand", Some(&input)),
            json!({
                "documentName": "AWS-RunShellScript",
                "instanceIds": ["mi-0123456789abcdef0"],
                "parameters": "HIDDEN_DUE_TO_SECURITY_REASONS",
            })
        );
        let answer = json!({"Command": {"CommandId": "c", "Parameters": {"commands": ["hunter2"]}}});
        assert!(!response("SendCommand", &answer).to_string().contains("hunter2"));
    }

    #[test]
    fn a_token_is_hidden_in_the_words_that_cloudtrail_has_for_it() {
        let answer = json!({"SessionId": "me-1", "TokenValue": "hunter2", "StreamUrl": "wss://x"});
        assert_eq!(
            response("StartSession", &answer),
            json!({
                "sessionId": "me-1",
                "tokenValue": "Value hidden due to security reasons.",
                "streamUrl": "wss://x",
            })
        );
    }

    #[test]
    fn codes_and_keys_are_hidden_in_requests_and_answers_of_any_shape() {
        for value in [json!("hunter2"), json!({"a": "hunter2"}), json!(["hunter2"])] {
            let register = json!({"ActivationCode": value, "Fingerprint": value, "IamRole": value});
            let create = json!({"IamRole": {"a": value}, "Tags": [{"Key": [value]}], "Else": value});
            let token = json!({"AccessKeyId": "ASIA", "SecretAccessKey": value, "SessionToken": value});
            for shown in [
                request("RegisterManagedInstance", Some(&register)),
                request("CreateActivation", Some(&create)),
                request("CreateActivation", Some(&json!(["hunter2"]))),
                response("CreateActivation", &json!({"ActivationId": "a", "ActivationCode": value})),
                response("RequestManagedInstanceRoleToken", &token),
            ] {
                assert!(!shown.to_string().contains("hunter2"), "{shown}");
            }
        }
    }

    #[test]
    fn long_texts_are_cut_and_bulk_is_left_out() {
        let long = "x".repeat(100_000);
        let shown = request("UpdateInstanceInformation", Some(&json!({"ComputerName": long})));
        assert!(shown["computerName"].as_str().unwrap().chars().count() <= SHOWN_TEXT + 3);
        let many: Vec<Value> = (0..1000).map(|key| json!({"Key": key.to_string(), "Value": "v"})).collect();
        let shown = request("AddTagsToResource", Some(&json!({"ResourceId": "r", "Tags": many})));
        assert_eq!(shown["omitted"], true, "{shown}");
        assert_eq!(request("GetCallerIdentity", Some(&json!({"A": "b"}))), Value::Null);
    }
}
