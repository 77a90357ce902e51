//! Values that AWS gives a meaning to, by their shape: what AWS would refuse late is refused early. Pure.

use super::{
    model::NameTemplate,
    problems::did_you_mean,
    tags,
    terms::{Refusal, refuse, refuse_unseen},
};

/// The name of an environment; it becomes the value of a tag.
pub(super) fn environment_name(text: &str) -> Result<(), Refusal> {
    let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(is_fine) {
        return Ok(());
    }
    refuse(
        format!("{text:?} can't be the name of an environment"),
        "up to 64 lower-case letters, digits and hyphens, such as \"prod\"",
    )
}

/// An AWS Region: `eu-central-1`, `us-gov-west-1`.
pub(super) fn region(text: &str) -> Result<(), Refusal> {
    if is_region(text) {
        return Ok(());
    }
    let trimmed = text.trim().to_lowercase();
    let without_zone = trimmed.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let hint = match [trimmed.as_str(), without_zone].into_iter().find(|text| is_region(text)) {
        Some(region) => format!("did you mean \"{region}\"?"),
        None => "write its code, such as \"eu-central-1\"".to_owned(),
    };
    refuse(format!("{text:?} is no AWS Region"), hint)
}

fn is_region(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let [first, middle @ .., number] = parts.as_slice() else { return false };
    let is_word = |word: &str| word.len() >= 2 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    !middle.is_empty()
        && is_word(first)
        && middle.iter().all(|word| is_word(word))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// An IAM role's name, or path and name, as `CreateActivation` takes it.
pub(super) fn role(text: &str) -> Result<(), Refusal> {
    if text.starts_with("arn:") {
        let hint = match text.split_once(":role/") {
            Some((_, name)) if !name.is_empty() => format!("write \"{name}\""),
            _ => "write the role's name".to_owned(),
        };
        return refuse("an ARN is not taken for `role`", hint);
    }
    if let Some(name) = text.strip_prefix('/') {
        return refuse("a role's path is written without the first `/`", format!("write \"{name}\""));
    }
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_fine) && !text.ends_with('/') {
        return Ok(());
    }
    refuse(
        format!("{text:?} can't be an IAM role"),
        "up to 64 letters, digits and `+=,.@_-`, such as \"service-role/SSMManagedNode\"",
    )
}

/// An activation's id: a lower-case UUID.
pub(super) fn activation_id(text: &str) -> Result<(), Refusal> {
    let groups: Vec<_> = text.split('-').collect();
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| is_hex(group))
    {
        return Ok(());
    }
    // Who mixes up id and code has put the code here.
    refuse_unseen("this is no activation id", "an id looks like 6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a11")
}

/// A template of the node's `Name`.
pub(super) fn name_template(text: &str) -> Result<NameTemplate, Refusal> {
    const KNOWN: [&str; 3] = ["{host}", "{address}", "{environment}"];
    const HINT: &str = "placeholders are {host}, {address} and {environment}";
    if text.is_empty() {
        return refuse("an empty name", "leave `instance_name` out for \"{host}\"");
    }
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        literal.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            return refuse("a `{` without its `}`", HINT);
        };
        let placeholder = format!("{{{name}}}");
        if !KNOWN.contains(&placeholder.as_str()) {
            let hint = did_you_mean(&placeholder, KNOWN).unwrap_or_else(|| HINT.to_owned());
            return refuse(format!("unknown placeholder `{placeholder}`"), hint);
        }
        rest = after;
    }
    literal.push_str(rest);
    if literal.contains('}') {
        return refuse("a `}` without its `{`", HINT);
    }
    tags::value(&literal)?;
    Ok(NameTemplate(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_every_partition_have_the_right_shape() {
        for text in [
            "eu-central-1",
            "us-gov-west-1",
            "ap-southeast-5",
            "cn-northwest-1",
            "us-iso-east-1",
            "eusc-de-east-1",
        ] {
            assert_eq!(region(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "eu",
            "eu-central",
            "eu-1",
            "eu-central-1a",
            "EU-CENTRAL-1",
            "Frankfurt",
            "eu_central_1",
            "-a-1",
            "eu--1",
        ] {
            assert!(region(text).is_err(), "{text}");
        }
        assert_eq!(region("EU-Central-1b").unwrap_err().hint, "did you mean \"eu-central-1\"?");
    }

    #[test]
    fn roles_are_names_or_paths_and_names() {
        for text in ["SSM", "service-role/AmazonEC2RunCommandRoleForManagedInstances", "a+=,.@_-b"] {
            assert_eq!(role(text), Ok(()), "{text}");
        }
        let arn = role("arn:aws-cn:iam::123456789012:role/service-role/SSM").unwrap_err();
        assert_eq!(arn.hint, "write \"service-role/SSM\"");
        for text in ["", "/service-role/SSM", "a b", "a/", &"r".repeat(65)] {
            assert!(role(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_activation_id_is_a_lower_case_uuid_and_anything_else_is_not_shown() {
        assert_eq!(activation_id("6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a11"), Ok(()));
        for text in [
            "",
            "6dd0f9c48d0c4e2b9a3e3f1f0f4f7a11",
            "6DD0F9C4-8D0C-4E2B-9A3E-3F1F0F4F7A11",
            "6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a1g",
        ] {
            assert!(activation_id(text).unwrap_err().may_be_secret, "{text}");
        }
    }

    #[test]
    fn templates_know_three_placeholders() {
        for text in ["{host}", "{environment}-{host}@{address}", "plain", "größe {host}"] {
            assert!(name_template(text).is_ok(), "{text}");
        }
        for text in ["", "{", "}", "{}", "{host", "host}", "{Host}", "{{host}}", "{name}", "a;b"] {
            assert!(name_template(text).is_err(), "{text}");
        }
    }
}
