//! AWS's query protocol, which STS speaks: a form in, XML out.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::error::ApiError;

/// The action and the other members of a form.
pub(super) fn read(body: &[u8]) -> Result<(String, Value), ApiError> {
    let mut members: Map<String, Value> = form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
        .collect();
    match members.remove("Action") {
        Some(Value::String(action)) => Ok((action, Value::Object(members))),
        _ => Err(ApiError::client("MissingAction", "the form has no Action")),
    }
}

/// The answer of an operation whose members are all texts.
pub(super) fn answer(operation: &str, answer: &Value, request_id: &str) -> String {
    let mut members = String::new();
    for (name, value) in answer.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(members, "<{name}>{}</{name}>", escape(text));
    }
    format!(
        "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <{operation}Result>{members}</{operation}Result>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
}

/// An error, under the names the query protocol has for those of signatures.
pub(super) fn refusal(error: &ApiError, request_id: &str) -> String {
    let code = match &*error.code {
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        "UnknownOperationException" => "InvalidAction",
        other => other.strip_suffix("Exception").unwrap_or(other),
    };
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        escape(&error.message)
    )
}

/// A text as the content of an XML element.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{answer, read};
    use serde_json::json;

    #[test]
    fn a_form_names_its_action() {
        let (action, input) = read(b"Action=GetCallerIdentity&Version=2011-06-15&X=a%26b").unwrap();
        assert_eq!((action.as_str(), &input["X"]), ("GetCallerIdentity", &json!("a&b")));
        assert_eq!(read(b"Version=1").unwrap_err().code, "MissingAction");
    }

    #[test]
    fn an_answer_is_escaped() {
        let xml = answer("GetCallerIdentity", &json!({"Arn": "a<b&c"}), "id");
        assert!(
            xml.contains("<GetCallerIdentityResult><Arn>a&lt;b&amp;c</Arn></GetCallerIdentityResult>"),
            "{xml}"
        );
    }
}
