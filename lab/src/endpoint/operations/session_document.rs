//! The document a session is opened by: found, of the right kind, filled up with the account's preferences, and given
//! parameters that it has.

use serde_json::{Map, Value};

use crate::endpoint::documents::content::{Content, Kind, whole};
use crate::endpoint::documents::{PREFERENCES, default_content, owned, unknown};
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Estate;

/// The document of a session.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Its content with the preferences that hold.
    pub(super) content: Content,
}

/// Finds the document of a session and checks the parameters against it.
pub(super) fn choose(
    estate: &Estate,
    name: &str,
    parameters: &Map<String, Value>,
) -> Result<Chosen, ApiError> {
    let preferences = match default_content(estate, PREFERENCES) {
        Some((Kind::Session, text)) => Content::parse(Kind::Session, &text)?,
        _ => Content::parse(Kind::Session, &owned::standard_preferences().to_string())?,
    };
    let content = if name == PREFERENCES {
        preferences
    } else {
        let (kind, text) = default_content(estate, name).ok_or_else(|| unknown(name))?;
        if kind != Kind::Session {
            return Err(ApiError::client(
                "InvalidDocument",
                format!("Document type of {name} is not Session."),
            ));
        }
        let content = Content::parse(kind, &text)?;
        match preferences.inputs() {
            Some(inputs) if content.inputs().is_none() => content.with_inputs(inputs.clone()),
            _ => content,
        }
    };
    check(&content, name, parameters)?;
    Ok(Chosen { content })
}

fn check(content: &Content, name: &str, parameters: &Map<String, Value>) -> Result<(), ApiError> {
    let nothing = Map::new();
    let declared = content.parameters().unwrap_or(&nothing);
    let invalid = |why: String| ApiError::client("InvalidParameters", why);
    if let Some(extra) = parameters.keys().find(|given| !declared.contains_key(*given)) {
        return Err(invalid(format!("{extra} is no parameter of {name}")));
    }
    for (parameter, declaration) in declared {
        let Some(values) = parameters.get(parameter).and_then(Value::as_array) else {
            if declaration.get("default").is_none() {
                return Err(invalid(format!("{name} needs the parameter {parameter}")));
            }
            continue;
        };
        let is_list = declaration.get("type").is_some_and(|kind| kind == "StringList");
        if !is_list && values.len() != 1 {
            return Err(invalid(format!("the parameter {parameter} takes one value, not {}", values.len())));
        }
        let allowed = declaration.get("allowedPattern").and_then(Value::as_str);
        let allowed = allowed.map(whole).transpose().map_err(|error| {
            invalid(format!("the allowedPattern of {parameter} is no regular expression: {error}"))
        })?;
        if let Some(pattern) = allowed
            && !values
                .iter()
                .all(|value| value.as_str().is_some_and(|text| pattern.is_match(text).unwrap_or(false)))
        {
            return Err(invalid(format!(
                "the parameter {parameter} has a value that its allowedPattern does not allow"
            )));
        }
    }
    Ok(())
}
