//! Tags: AWS's limits on them, and the keys that are not the operator's to set.
//! <https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html>

use super::{
    problems::Findings,
    spans::{At, Table},
    terms::{Refusal, refuse},
};

/// AWS takes 50; three stay for `Name` and the product's own.
pub(super) const MOST_TAGS: usize = 47;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// Reports every tag that AWS would not take, or that is reserved.
pub(super) fn check(tags: &Table<At<String>>, findings: &mut Findings<'_>) {
    for (tag_key, tag_value) in &tags.0 {
        findings.accept(tag_key.span, key(&tag_key.value));
        findings.accept(tag_value.span, value(&tag_value.value));
    }
}

fn key(text: &str) -> Result<(), Refusal> {
    let prefix = text.split_once(':').map(|(prefix, _)| prefix.to_ascii_lowercase());
    match prefix.as_deref() {
        Some("aws") => {
            return refuse(format!("tag `{text}`: AWS keeps `aws:` for itself"), "choose another prefix");
        }
        Some("bootstrap") => {
            return refuse(
                format!("tag `{text}`: `bootstrap:` is reserved for this tool"),
                "choose another prefix",
            );
        }
        _ => {}
    }
    if text == "Name" {
        return refuse("tag `Name` is set from `instance_name`", "set `instance_name` in the environment");
    }
    if text.is_empty() {
        return refuse("a tag without a key", "name it, or take it out");
    }
    within("a tag's key", text, LONGEST_KEY)
}

/// Whether AWS takes a text as a tag's value.
pub(super) fn value(text: &str) -> Result<(), Refusal> {
    within("a tag's value", text, LONGEST_VALUE)
}

fn within(kind: &str, text: &str, longest: usize) -> Result<(), Refusal> {
    let length = text.chars().count();
    if length > longest {
        return refuse(
            format!("{kind} of {length} characters"),
            format!("AWS takes at most {longest}; shorten it"),
        );
    }
    match text.chars().find(|c| !is_taken(*c)) {
        Some(c) => {
            refuse(format!("{kind} with {c:?} in it"), "AWS takes letters, digits, spaces and `_.:/=+-@`")
        }
        None => Ok(()),
    }
}

// AWS: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$
fn is_taken(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}
