//! Values against shapes: a request's violations are told all at once, in AWS's words; an answer's first one is a
//! fault of the lab.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::{Kind, Model, Modelled, Shape};
use crate::endpoint::error::ApiError;

impl Modelled {
    /// Checks a request: `SerializationException` where a value has the wrong type, `ValidationException` where it
    /// breaks a limit. Members the model does not know are ignored, as AWS does.
    pub fn check_input(&self, input: &Value) -> Result<(), ApiError> {
        let Some(shape) = self.operation.input.as_ref().and_then(|name| self.model.shapes.get(name)) else {
            return Ok(());
        };
        let mut check = Check { model: self.model, violations: Violations::default() };
        check.value("", input, shape)?;
        check.violations.into_result()
    }

    /// Checks an answer: its types, and that it has no member which the model does not know. Its limits are those of
    /// requests; AWS itself answers a `RegistrationsCount` of 0 where the model wants 1.
    pub fn check_output(&self, output: &Value) -> Result<(), ApiError> {
        let Some(shape) = self.operation.output.as_ref().and_then(|name| self.model.shapes.get(name)) else {
            return Ok(());
        };
        let mut check = Check { model: self.model, violations: Violations::default() };
        check.value("", output, shape)?;
        unknown_member(self.model, "", output, shape)
            .map_or(Ok(()), |place| Err(ApiError::validation(format!("{place} is not in the model"))))
    }
}

struct Check {
    model: &'static Model,
    violations: Violations,
}

impl Check {
    fn value(&mut self, place: &str, value: &Value, shape: &'static Shape) -> Result<(), ApiError> {
        match (shape.kind, value) {
            (Kind::Structure, Value::Object(members)) => self.structure(place, members, shape),
            (Kind::List, Value::Array(items)) => {
                self.length(place, value, items.len(), shape);
                let member = shape.member.as_ref();
                items.iter().enumerate().try_for_each(|(index, item)| {
                    self.referred(&format!("{place}.{}.member", index + 1), item, member)
                })
            }
            (Kind::Map, Value::Object(entries)) => {
                self.length(place, value, entries.len(), shape);
                entries.iter().try_for_each(|(key, item)| {
                    self.referred(&format!("{place}.key"), &Value::from(key.as_str()), shape.key.as_ref())?;
                    self.referred(&format!("{place}.{key}.member"), item, shape.value.as_ref())
                })
            }
            (Kind::String, Value::String(text)) => {
                self.text(place, text, shape);
                Ok(())
            }
            (Kind::Integer | Kind::Long, Value::Number(number)) => {
                let number = number.as_i64().ok_or_else(|| wrong_type(place, value, shape.kind))?;
                self.range(place, number, shape);
                Ok(())
            }
            (Kind::Boolean, Value::Bool(_)) | (Kind::Timestamp, Value::Number(_)) => Ok(()),
            _ => Err(wrong_type(place, value, shape.kind)),
        }
    }

    fn structure(
        &mut self,
        place: &str,
        members: &Map<String, Value>,
        shape: &'static Shape,
    ) -> Result<(), ApiError> {
        let inner = |name: &str| {
            if place.is_empty() { lower_camel(name) } else { format!("{place}.{}", lower_camel(name)) }
        };
        for name in &shape.required {
            if members.get(name).is_none_or(Value::is_null) {
                self.violations.missing(&inner(name));
            }
        }
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(member) = shape.members.get(name) {
                self.referred(&inner(name), value, Some(member))?;
            }
        }
        Ok(())
    }

    fn referred(&mut self, place: &str, value: &Value, name: Option<&String>) -> Result<(), ApiError> {
        match name.and_then(|name| self.model.shapes.get(name)) {
            Some(shape) => self.value(place, value, shape),
            None => Ok(()),
        }
    }

    fn length(&mut self, place: &str, value: &Value, length: usize, shape: &Shape) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let shown = || if shape.sensitive { "***".to_owned() } else { cut(&value.to_string()) };
        self.limits(place, shown, length, "length", shape);
    }

    fn text(&mut self, place: &str, text: &str, shape: &Shape) {
        let shown = || if shape.sensitive { "***".to_owned() } else { cut(text) };
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        self.limits(place, shown, length, "length", shape);
        if !shape.allowed.is_empty() && !shape.allowed.iter().any(|allowed| allowed == text) {
            let allowed = shape.allowed.join(", ");
            self.violations.broken(
                place,
                shown(),
                &format!("Member must satisfy enum value set: [{allowed}]"),
            );
        }
        if let Some(pattern) = &shape.pattern
            && !pattern.whole.is_match(text).unwrap_or(false)
        {
            let constraint = format!("Member must satisfy regular expression pattern: {}", pattern.text);
            self.violations.broken(place, shown(), &constraint);
        }
    }

    fn range(&mut self, place: &str, number: i64, shape: &Shape) {
        self.limits(place, || number.to_string(), number, "value", shape);
    }

    fn limits(&mut self, place: &str, shown: impl Fn() -> String, number: i64, measure: &str, shape: &Shape) {
        if let Some(min) = shape.min.filter(|min| number < *min) {
            let constraint = format!("Member must have {measure} greater than or equal to {min}");
            self.violations.broken(place, shown(), &constraint);
        }
        if let Some(max) = shape.max.filter(|max| number > *max) {
            let constraint = format!("Member must have {measure} less than or equal to {max}");
            self.violations.broken(place, shown(), &constraint);
        }
    }
}

fn unknown_member(model: &'static Model, place: &str, value: &Value, shape: &Shape) -> Option<String> {
    let below = |name: Option<&String>| name.and_then(|name| model.shapes.get(name));
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(members)) => members.iter().find_map(|(name, value)| {
            let place = format!("{place}.{name}");
            match shape.members.get(name) {
                None => Some(place),
                member => unknown_member(model, &place, value, below(member)?),
            }
        }),
        (Kind::List, Value::Array(items)) => {
            let shape = below(shape.member.as_ref())?;
            items.iter().find_map(|item| unknown_member(model, place, item, shape))
        }
        (Kind::Map, Value::Object(entries)) => {
            let shape = below(shape.value.as_ref())?;
            entries.values().find_map(|entry| unknown_member(model, place, entry, shape))
        }
        _ => None,
    }
}

fn wrong_type(place: &str, value: &Value, expected: Kind) -> ApiError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a structure",
    };
    let place = if place.is_empty() { "the request" } else { place };
    let expected = format!("{expected:?}").to_lowercase();
    ApiError::client("SerializationException", format!("{place} is {found} where the model has a {expected}"))
}

/// AWS's messages name members as its Java code does.
pub(super) fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// A message repeats what was sent, but not all of it.
fn cut(text: &str) -> String {
    const SHOWN: usize = 200;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain("...".chars()).collect()
}

/// Constraint violations found so far.
#[derive(Debug, Default)]
pub struct Violations(Vec<String>);

/// A request may break one limit a thousand times; so many are told.
const TOLD: usize = 20;

impl Violations {
    fn missing(&mut self, place: &str) {
        self.0.push(format!("Value null at '{place}' failed to satisfy constraint: Member must not be null"));
    }

    /// Notes a constraint that `shown` at `place` breaks.
    pub fn broken(&mut self, place: &str, shown: impl Display, constraint: &str) {
        self.0.push(format!("Value '{shown}' at '{place}' failed to satisfy constraint: {constraint}"));
    }

    /// `ValidationException` if anything was found.
    pub fn into_result(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let plural = if self.0.len() == 1 { "" } else { "s" };
        let told: Vec<&str> = self.0.iter().take(TOLD).map(String::as_str).collect();
        Err(ApiError::validation(format!(
            "{} validation error{plural} detected: {}",
            self.0.len(),
            told.join("; ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::endpoint::model::find;

    fn refusal(operation: &str, input: &Value) -> (String, String) {
        let error = find(operation).unwrap().check_input(input).unwrap_err();
        (error.code.into_owned(), error.message)
    }

    #[test]
    fn all_violations_are_told_at_once_in_the_words_of_aws() {
        let (code, message) = refusal("CreateActivation", &json!({"RegistrationLimit": 1001}));
        assert_eq!(code, "ValidationException");
        assert_eq!(
            message,
            "2 validation errors detected: Value null at 'iamRole' failed to satisfy constraint: Member must not \
             be null; Value '1001' at 'registrationLimit' failed to satisfy constraint: Member must have value less \
             than or equal to 1000"
        );
    }

    #[test]
    fn patterns_and_enumerations_name_what_is_allowed() {
        let (_, message) = refusal("DeregisterManagedInstance", &json!({"InstanceId": "mi-ABC"}));
        assert!(message.contains("'mi-ABC' at 'instanceId'"), "{message}");
        assert!(message.contains("regular expression pattern: (^mi-[0-9a-f]{17}$)"), "{message}");
        let (_, message) = refusal("DescribeSessions", &json!({"State": "Asleep"}));
        assert!(message.contains("Member must satisfy enum value set: [Active, History]"), "{message}");
    }

    #[test]
    fn members_of_lists_are_named_by_their_place() {
        let input = json!({"IamRole": "r", "Tags": [{"Key": "a", "Value": "b"}, {"Key": "", "Value": "b"}]});
        let (_, message) = refusal("CreateActivation", &input);
        assert!(message.contains("'tags.2.member.key'"), "{message}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_no_validation_error() {
        for input in [json!({"IamRole": 5}), json!([]), json!({"IamRole": "r", "Tags": {}})] {
            assert_eq!(refusal("CreateActivation", &input).0, "SerializationException", "{input}");
        }
    }

    #[test]
    fn a_secret_that_is_too_short_is_not_repeated() {
        let input =
            json!({"ActivationCode": "hunter2", "ActivationId": "i", "Fingerprint": "f", "PublicKey": "k"});
        let (_, message) = refusal("RegisterManagedInstance", &input);
        assert!(message.contains("activationCode") && !message.contains("hunter2"), "{message}");
    }

    #[test]
    fn an_answer_with_a_member_of_no_model_is_found() {
        let model = find("CreateActivation").unwrap();
        assert!(model.check_output(&json!({"ActivationId": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"})).is_ok());
        let error = model.check_output(&json!({"Activation": "x"})).unwrap_err();
        assert!(error.message.contains(".Activation is not in the model"), "{}", error.message);
    }
}
