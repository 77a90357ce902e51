//! The managed node's `Name` and tags, so that policies and people find it. Set once it is Online and
//! read back; tags that others have set are left alone.

use crate::inventory::Tags;

/// Sets tags of the managed node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The tags that are missing or different.
    pub tags: Tags,
}

impl Tag {
    /// What must be set so that `wanted` holds, if anything.
    pub fn wanted(current: &Tags, wanted: &Tags) -> Option<Self> {
        let tags: Tags = wanted
            .iter()
            .filter(|(key, value)| current.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        (!tags.is_empty()).then_some(Self { tags })
    }

    pub(super) fn sentence(&self) -> String {
        let pairs: Vec<_> = self.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("tag {}", pairs.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_missing_and_different_tags_are_set_and_others_are_left_alone() {
        let wanted = tags(&[("Name", "a"), ("stage", "dev")]);
        let tag = Tag::wanted(&tags(&[("Name", "b"), ("stage", "dev"), ("owner", "x")]), &wanted).unwrap();
        assert_eq!(tag.sentence(), "tag Name=a");
        assert_eq!(Tag::wanted(&tags(&[("Name", "a"), ("stage", "dev"), ("owner", "x")]), &wanted), None);
    }
}
