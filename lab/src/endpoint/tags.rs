//! Tags on activations and managed nodes: their wire form and AWS's limits.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;

/// Tags of one resource, by key.
pub type Tags = BTreeMap<String, String>;

/// AWS's limit of tags on one resource.
const PER_RESOURCE: usize = 50;

/// One tag of a request; its lengths and letters are the model's to check.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    value: String,
}

/// Brings the tags of a request into one map.
pub fn collect(tags: Vec<Tag>) -> Result<Tags, ApiError> {
    let mut collected = Tags::new();
    for tag in tags {
        if tag.key.to_lowercase().starts_with("aws:") {
            return Err(ApiError::validation(format!(
                "aws: prefixed tag key names are not allowed for external use: {}",
                tag.key
            )));
        }
        let duplicate = ApiError::validation(format!("Duplicate tag key: {}", tag.key));
        if collected.insert(tag.key, tag.value).is_some() {
            return Err(duplicate);
        }
    }
    Ok(collected)
}

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
        Tag { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn tags_of_aws_and_tags_twice_are_refused() {
        for bad in [vec![tag("aws:owner", "x")], vec![tag("k", "1"), tag("k", "2")]] {
            assert_eq!(collect(bad).unwrap_err().code, "ValidationException");
        }
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
