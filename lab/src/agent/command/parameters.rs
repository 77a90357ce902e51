//! `{{ parameter }}` in documents, replaced by its value. A parameter's value is never searched for parameters again.

use serde_json::{Map, Value};

/// Names are letters and digits; others are left out, as the real agent leaves them.
pub type Parameters = Map<String, Value>;

/// The values given, completed by the document's defaults.
#[must_use]
pub fn complete(given: &Parameters, declared: &Map<String, Value>) -> Parameters {
    let mut all: Parameters = given
        .iter()
        .filter(|(name, _)| is_name(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, declaration) in declared {
        if !all.contains_key(name) {
            let default = declaration.get("default").cloned().unwrap_or_default();
            all.insert(name.clone(), default);
        }
    }
    all
}

/// The input with all parameters replaced. A text that is one parameter and nothing else becomes its value, of
/// whatever kind; inside a longer text a value that is no text stands as JSON.
#[must_use]
pub fn replace(input: &Value, parameters: &Parameters) -> Value {
    match input {
        Value::String(text) => match marker(text) {
            Some((name, "")) if parameters.contains_key(name) => {
                parameters.get(name).cloned().unwrap_or_default()
            }
            _ => Value::String(replace_in_text(text, parameters)),
        },
        Value::Array(items) => items.iter().map(|item| replace(item, parameters)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), replace(value, parameters))).collect()
        }
        other => other.clone(),
    }
}

/// A text with all parameters replaced.
#[must_use]
pub fn replace_in_text(text: &str, parameters: &Parameters) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find("{{") {
        let (before, from) = rest.split_at(place);
        done.push_str(before);
        let known = marker(from).and_then(|(name, after)| Some((parameters.get(name)?, after)));
        if let Some((value, after)) = known {
            done.push_str(&as_text(value));
            rest = after;
        } else {
            // One brace only: `{{{ x }}` holds a parameter from its second brace on.
            done.push('{');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    done + rest
}

/// The name of the parameter the text starts with, and what follows it.
fn marker(text: &str) -> Option<(&str, &str)> {
    const BLANKS: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];
    let inside = text.strip_prefix("{{")?.trim_start_matches(BLANKS);
    let end = inside.find(|character: char| !character.is_ascii_alphanumeric())?;
    let (name, rest) = inside.split_at(end);
    let after = rest.trim_start_matches(BLANKS).strip_prefix("}}")?;
    is_name(name).then_some((name, after))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Old agents read `$` in values as a reference and users wrote `$$`; to this day the agent makes one of two.
fn as_text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.replace("$$", "$")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{complete, replace, replace_in_text};

    fn parameters() -> super::Parameters {
        let Value::Object(given) = json!({
            "commands": ["echo one", "echo two"], "dir": "/tmp", "loop": "{{ dir }}", "cash": "$$1", "number": 3,
        }) else {
            panic!("an object")
        };
        given
    }

    #[test]
    fn a_text_that_is_one_parameter_becomes_its_value() {
        for text in ["{{ commands }}", "{{commands}}", "{{\tcommands  }}"] {
            assert_eq!(replace(&json!(text), &parameters()), json!(["echo one", "echo two"]), "{text}");
        }
        assert_eq!(
            replace(&json!({"a": ["{{ dir }}"], "b": 1}), &parameters()),
            json!({"a": ["/tmp"], "b": 1})
        );
    }

    #[test]
    fn inside_a_text_values_stand_as_text_or_json() {
        let done = |text: &str| replace_in_text(text, &parameters());
        assert_eq!(done("cd {{ dir }}/{{dir}}"), "cd /tmp//tmp");
        assert_eq!(done("{{ commands }}!"), r#"["echo one","echo two"]!"#);
        assert_eq!(done("n={{number}};"), "n=3;");
        assert_eq!(done("{{ cash }} {{{dir}}}"), "$1 {/tmp}");
    }

    #[test]
    fn a_value_is_not_searched_again_and_unknown_names_stay() {
        let done = |text: &str| replace_in_text(text, &parameters());
        assert_eq!(done("x {{ loop }}"), "x {{ dir }}");
        for text in ["{{ unknown }} ", "{{ ssm:name }}", "{{ dir", "{{", "}} {{ dir }", "{{ d ir }} "] {
            assert_eq!(done(text), text);
        }
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let Value::Object(declared) = json!({
            "dir": {"type": "String", "default": "/"}, "executionTimeout": {"default": "3600"}, "bare": {},
        }) else {
            panic!("an object")
        };
        let Value::Object(given) = json!({"dir": "/srv", "bad name": "x"}) else { panic!("an object") };
        let all = Value::Object(complete(&given, &declared));
        assert_eq!(all, json!({"dir": "/srv", "executionTimeout": "3600", "bare": null}));
    }
}
