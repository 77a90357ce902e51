//! Tags on activations and managed nodes: their wire form and AWS's limits.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::validation::{Violations, is_plain_text};

/// Tags of one resource, by key.
pub type Tags = BTreeMap<String, String>;

/// AWS's limit of tags on one resource.
const PER_RESOURCE: usize = 50;

/// One tag of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: Option<String>,
    value: Option<String>,
}

/// Checks the tags of a request and brings them into one map.
pub fn collect(tags: Vec<Tag>) -> Result<Tags, ApiError> {
    let mut violations = Violations::default();
    violations.length("tags", "[...]", tags.len(), 0..=1000);
    let mut collected = Tags::new();
    let mut twice = None;
    for (index, tag) in tags.into_iter().enumerate() {
        let place = |member: &str| format!("tags.{}.member.{member}", index + 1);
        let (Some(key), Some(value)) = (tag.key, tag.value) else {
            violations.missing(&place("key"));
            continue;
        };
        violations.length(&place("key"), &key, key.chars().count(), 1..=128);
        violations.length(&place("value"), &value, value.chars().count(), 0..=256);
        violations.pattern(&place("key"), &key, is_plain_text(&key), PATTERN);
        violations.pattern(&place("value"), &value, is_plain_text(&value), PATTERN);
        if key.to_lowercase().starts_with("aws:") {
            return Err(ApiError::validation(format!(
                "aws: prefixed tag key names are not allowed for external use: {key}"
            )));
        }
        if collected.insert(key.clone(), value).is_some() {
            twice = Some(key);
        }
    }
    violations.into_result()?;
    match twice {
        Some(key) => Err(ApiError::validation(format!("Duplicate tag key: {key}"))),
        None => Ok(collected),
    }
}

const PATTERN: &str = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$";

/// Adds tags to those of a resource, unless there would be too many.
pub fn merge(into: &mut Tags, tags: Tags) -> Result<(), ApiError> {
    let new = tags.keys().filter(|key| !into.contains_key(*key)).count();
    if into.len() + new > PER_RESOURCE {
        return Err(ApiError::client(
            "TooManyTagsError",
            format!("a resource has at most {PER_RESOURCE} tags; this one has {}", into.len()),
        ));
    }
    into.extend(tags);
    Ok(())
}

/// The wire form, `[{"Key": …, "Value": …}]`.
#[must_use]
pub fn to_json(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

#[cfg(test)]
mod tests {
    use super::{Tag, Tags, collect, merge};

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }
    }

    #[test]
    fn tags_outside_the_model_are_refused() {
        for bad in [
            tag("", "x"),
            tag(&"k".repeat(129), "x"),
            tag("k", &"v".repeat(257)),
            tag("a#b", "x"),
            tag("aws:owner", "x"),
            Tag { key: Some("k".to_owned()), value: None },
        ] {
            assert_eq!(collect(vec![bad]).unwrap_err().code, "ValidationException");
        }
        assert!(collect(vec![tag("k", "1"), tag("k", "2")]).is_err());
        assert_eq!(collect(vec![tag("Größe", "1:2/x @y")]).unwrap().len(), 1);
    }

    #[test]
    fn the_fifty_first_tag_of_a_resource_is_too_many() {
        let mut tags: Tags = (0..50).map(|n| (format!("k{n}"), String::new())).collect();
        assert!(merge(&mut tags, Tags::from([("k0".into(), "changed".into())])).is_ok());
        let error = merge(&mut tags, Tags::from([("one more".into(), String::new())])).unwrap_err();
        assert_eq!(error.code, "TooManyTagsError");
        assert_eq!(tags.len(), 50);
    }
}
