//! What is known of a request besides its action and resource: the condition keys a service fills in. Apart from
//! the conditions, because the endpoint builds it and knows nothing of policies.

use std::collections::BTreeMap;

/// Condition keys and their values. Names of keys are not case-sensitive, tag keys within them neither: so it is in IAM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// A context that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more value for `key`; a second value makes the key multi-valued.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
        self
    }

    /// With the tags of the resource, under the key of Systems Manager (`ssm:resourceTag/…`) and the global one
    /// (`aws:ResourceTag/…`).
    #[must_use]
    pub fn with_resource_tags<'a>(self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        tags.into_iter().fold(self, |context, (key, value)| {
            context
                .with(&format!("ssm:resourceTag/{key}"), value)
                .with(&format!("aws:ResourceTag/{key}"), value)
        })
    }

    /// With the tags a call brings: `aws:RequestTag/…`, and all their keys as `aws:TagKeys`.
    #[must_use]
    pub fn with_request_tags<'a>(self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        tags.into_iter().fold(self, |context, (key, value)| {
            context.with(&format!("aws:RequestTag/{key}"), value).with("aws:TagKeys", key)
        })
    }

    /// All values of `key`; none if the request does not have it.
    #[must_use]
    pub fn values(&self, key: &str) -> &[String] {
        self.0.get(&key.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The value of `key`, if it has exactly one.
    #[must_use]
    pub fn single(&self, key: &str) -> Option<&str> {
        match self.values(key) {
            [value] => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Context;

    #[test]
    fn keys_and_the_tag_keys_in_them_are_found_in_any_case() {
        let context = Context::new().with_resource_tags([("Environment", "Dev")]);
        for key in
            ["ssm:resourceTag/Environment", "SSM:ResourceTag/environment", "aws:ResourceTag/ENVIRONMENT"]
        {
            assert_eq!(context.single(key), Some("Dev"), "{key}");
        }
        assert_eq!(context.single("ssm:resourceTag/Env"), None);
    }

    #[test]
    fn keys_of_the_tags_of_a_call_are_one_key_of_many_values() {
        let context = Context::new().with_request_tags([("Environment", "dev"), ("Owner", "alice")]);
        assert_eq!(context.values("aws:TagKeys"), ["Environment", "Owner"]);
        assert_eq!(context.single("aws:TagKeys"), None, "which of the two would it be?");
        assert_eq!(context.single("aws:RequestTag/Owner"), Some("alice"));
    }
}
